"""The optimizer against torch: one global norm, decay on matrices only, one step a batch."""

import contextlib
import copy
import gc

import numpy
import pytest
import spacy
import thinc.api
import torch
from thinc.api import Linear, PyTorchWrapper

from spacy_spert.ml.optimizer import build_adamw

LEARN_RATE = 0.05


class Pair:
    """Two thinc models around torch modules, a third of thinc's own, and the same weights as a plain torch module."""

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        self.modules = [torch.nn.Linear(4, 3), torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.LayerNorm(3))]
        native = torch.nn.Linear(3, 2)
        for module in [*self.modules, native]:
            for parameter in module.parameters():
                parameter.data = torch.randn(parameter.shape, generator=generator)
        self.plain = copy.deepcopy([*self.modules, native])
        self.models = [PyTorchWrapper(module) for module in self.modules]
        linear = Linear(2, 3)
        linear.initialize()
        linear.set_param("W", native.weight.detach().numpy().copy())
        linear.set_param("b", native.bias.detach().numpy().copy())
        self.models.append(linear)
        self.generator = generator

    def gradients(self, scale=1.0, chosen=(0, 1, 2)):
        """Run a batch through some models, and through their copies."""
        for i in chosen:
            model, plain = self.models[i], self.plain[i]
            X = torch.randn(5, 4 if i == 0 else 3, generator=self.generator)
            Y, backprop = model.begin_update(X.numpy())
            dY = torch.randn(Y.shape, generator=self.generator) * scale
            backprop(dY.numpy())
            plain(X).backward(dY)

    def finish(self, optimizer, chosen=(0, 1, 2)):
        for i in chosen:
            self.models[i].finish_update(optimizer)

    def weights(self):
        own = [parameter.detach().numpy() for module in self.modules for parameter in module.parameters()]
        return [*own, self.models[2].get_param("W"), self.models[2].get_param("b")]

    def parameters(self):
        return [parameter for module in self.plain for parameter in module.parameters()]

    def check(self):
        for found, expected in zip(self.weights(), self.parameters()):
            numpy.testing.assert_allclose(found, expected.detach().numpy(), rtol=0, atol=1e-6)


class Torch:
    """What the optimizer should do."""

    def __init__(self, parameters, grad_clip=1.0, weight_decay=0.01, **settings):
        self.parameters, self.grad_clip = parameters, grad_clip
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0},
        ]
        self.adamw = torch.optim.AdamW(groups, lr=LEARN_RATE, **settings)

    def step(self, learn_rate=LEARN_RATE):
        if self.grad_clip:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.grad_clip)
        for group in self.adamw.param_groups:
            group["lr"] = learn_rate
        self.adamw.step()
        self.adamw.zero_grad()


@pytest.fixture
def pair():
    return Pair()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"grad_clip": 0.0},
        {"grad_clip": 100.0},
        {"weight_decay": 0.0},
        {"weight_decay": 0.5},
        {"eps": 0.1},
        {"beta1": 0.5, "beta2": 0.6},
    ],
    ids=str,
)
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_steps_equal_those_of_torch(pair, settings, scale):
    optimizer = build_adamw(LEARN_RATE, **settings)
    settings = dict(settings)
    betas = (settings.pop("beta1", 0.9), settings.pop("beta2", 0.999))
    reference = Torch(pair.parameters(), betas=betas, **settings)
    for _ in range(5):
        pair.gradients(scale)
        pair.finish(optimizer)
        optimizer.step_schedules()
        reference.step()
    pair.check()


@pytest.mark.parametrize("schedule", [False, True])
def test_heads_have_a_learning_rate_of_their_own(pair, schedule):
    """All weights still share one gradient norm."""
    rates = [0.5, 0.3, 0.1]
    optimizer = build_adamw(LEARN_RATE, head_learn_rate=iter(rates) if schedule else rates[0])
    optimizer.add_head(pair.models[0])
    own, others = list(pair.plain[0].parameters()), [p for module in pair.plain[1:] for p in module.parameters()]
    steps = [
        torch.optim.AdamW([{"params": [p for p in own if p.ndim > 1]}, {"params": [own[1]], "weight_decay": 0.0}]),
        torch.optim.AdamW(
            [
                {"params": [p for p in others if p.ndim > 1]},
                {"params": [p for p in others if p.ndim == 1], "weight_decay": 0.0},
            ],
            lr=LEARN_RATE,
        ),
    ]
    for i in range(3):
        pair.gradients(scale=10.0)
        pair.finish(optimizer)
        optimizer.step_schedules()
        torch.nn.utils.clip_grad_norm_(pair.parameters(), 1.0)
        for group in steps[0].param_groups:
            group["lr"] = rates[i] if schedule else rates[0]
        for step in steps:
            step.step()
            step.zero_grad()
    pair.check()


def test_heads_have_the_common_learning_rate_by_default(pair):
    optimizer, reference = build_adamw(LEARN_RATE), Torch(pair.parameters())
    optimizer.add_head(pair.models[0])
    pair.gradients()
    pair.finish(optimizer)
    optimizer.step_schedules()
    reference.step()
    pair.check()


def test_clipping_is_by_the_norm_of_all_weights_together(pair):
    """With a large epsilon the step is in proportion to the gradient, so that clipping shows."""
    optimizer = build_adamw(1.0, beta1=0.0, beta2=0.0, eps=1e3, weight_decay=0.0, grad_clip=0.5)
    before = [weights.copy() for weights in pair.weights()]
    pair.gradients(scale=10.0)
    pair.finish(optimizer)
    optimizer.step_schedules()
    moved = [(old - new) * 1e3 for old, new in zip(before, pair.weights())]
    norm = numpy.sqrt(sum(float((part**2).sum()) for part in moved))
    assert norm == pytest.approx(0.5, abs=0.005)


def test_vectors_do_not_decay(pair):
    """With gradients of zero only the decay moves anything."""
    before = [weights.copy() for weights in pair.weights()]
    optimizer = build_adamw(0.1, weight_decay=0.5)
    pair.gradients(scale=0.0)
    pair.finish(optimizer)
    optimizer.step_schedules()
    for old, new in zip(before, pair.weights()):
        numpy.testing.assert_allclose(new, old * (0.95 if old.ndim > 1 else 1.0), rtol=1e-6)


@pytest.mark.parametrize("form", [list, iter])
def test_schedule_moves_on_after_each_step(pair, form):
    rates = [0.1, 0.02, 0.3, 0.004]
    optimizer = build_adamw(form(rates))
    reference = Torch(pair.parameters())
    # An exhausted schedule stays at its last value.
    for rate in [*rates, rates[-1]]:
        assert optimizer.learn_rate == rate
        pair.gradients()
        pair.finish(optimizer)
        optimizer.step_schedules()
        reference.step(rate)
    pair.check()


def test_loop_without_schedules_is_one_step_late(pair):
    optimizer = build_adamw(LEARN_RATE)
    reference = Torch(pair.parameters())
    # The gradients of linear layers do not depend on their weights, late or not.
    linear = (0, 2)
    for step in range(4):
        pair.gradients(chosen=linear)
        pair.finish(optimizer, linear)
        if step:
            pair.check()
        reference.step()
    optimizer.step_schedules()
    pair.check()


def test_nothing_moves_before_the_step(pair):
    optimizer = build_adamw(LEARN_RATE)
    before = [weights.copy() for weights in pair.weights()]
    pair.gradients()
    pair.finish(optimizer)
    for old, new in zip(before, pair.weights()):
        assert (old == new).all()


def test_a_step_without_gradients_changes_nothing(pair):
    optimizer = build_adamw(LEARN_RATE)
    optimizer.step_schedules()
    pair.gradients()
    pair.finish(optimizer)
    optimizer.step_schedules()
    before = [weights.copy() for weights in pair.weights()]
    optimizer.step_schedules()
    for old, new in zip(before, pair.weights()):
        assert (old == new).all()


def test_gradients_are_cleared(pair):
    optimizer = build_adamw(LEARN_RATE)
    pair.gradients()
    pair.finish(optimizer)
    assert not pair.models[2].get_grad("W").any()
    assert not any(parameter.grad.any() for module in pair.modules for parameter in module.parameters())


def test_models_without_a_gradient_stay_out_of_the_step(pair):
    optimizer = build_adamw(LEARN_RATE)
    reference = Torch(pair.parameters())
    for chosen in ((0, 1, 2), (0, 2), (1,), (0, 1, 2)):
        pair.gradients(chosen=chosen)
        for model in pair.modules:
            for parameter in model.parameters():
                if parameter.grad is not None and not parameter.grad.any():
                    parameter.grad = None
        pair.finish(optimizer, chosen)
        optimizer.step_schedules()
        reference.step()
    pair.check()


def test_gradients_of_several_batches_add_up(pair):
    optimizer = build_adamw(LEARN_RATE)
    reference = Torch(pair.parameters())
    for _ in range(2):
        pair.gradients()
        pair.gradients()
        pair.finish(optimizer)
        optimizer.step_schedules()
        reference.step()
    pair.check()


def test_weights_are_changed_in_place(pair):
    """Neither the arrays nor the tensors are replaced, whoever holds them sees the step."""
    optimizer = build_adamw(LEARN_RATE)
    held = [parameter for module in pair.modules for parameter in module.parameters()]
    addresses = [parameter.data_ptr() for parameter in held]
    array = pair.models[2].get_param("W")
    before = [parameter.detach().clone() for parameter in held]
    for _ in range(2):
        pair.gradients()
        pair.finish(optimizer)
        optimizer.step_schedules()
    assert [parameter.data_ptr() for parameter in held] == addresses
    assert all(not torch.equal(old, new) for old, new in zip(before, held))
    assert numpy.shares_memory(array, pair.models[2].get_param("W"))
    pair.models[0].predict(numpy.ones((1, 4), dtype="float32"))


def test_no_step_holds_on_to_the_one_before(pair):
    """Thinc turns a tensor into an array and back in each update. The arrays must not pile up behind each other."""
    optimizer = build_adamw(LEARN_RATE)

    def n_tensors(steps):
        for _ in range(steps):
            pair.gradients()
            pair.finish(optimizer)
            optimizer.step_schedules()
        gc.collect()
        return sum(type(item) is torch.Tensor for item in gc.get_objects())

    before = n_tensors(3)
    assert n_tensors(20) == before


def test_weights_that_were_loaded_anew_are_the_ones_that_change(pair):
    optimizer = build_adamw(LEARN_RATE)
    reference = Torch(pair.parameters())
    for step in range(3):
        if step == 1:
            for model in pair.models:
                model.from_bytes(model.to_bytes())
        pair.gradients()
        pair.finish(optimizer)
        optimizer.step_schedules()
        reference.step()
    pair.check()


@pytest.mark.parametrize("registry", [spacy.registry, thinc.api.registry], ids=["spacy", "thinc"])
def test_optimizer_is_registered(registry):
    assert registry.optimizers.get("spacy-spert.AdamW.v1") is build_adamw


def test_optimizer_from_a_config():
    config = thinc.api.Config().from_str(
        """
        [optimizer]
        @optimizers = "spacy-spert.AdamW.v1"
        weight_decay = 0.1
        grad_clip = 2.0

        [optimizer.learn_rate]
        @schedules = "warmup_linear.v1"
        warmup_steps = 2
        total_steps = 4
        initial_rate = 0.5
        """
    )
    optimizer = spacy.registry.resolve(config)["optimizer"]
    assert (optimizer.L2, optimizer.grad_clip, optimizer.eps) == (0.1, 2.0, 1e-8)
    rates = []
    for _ in range(5):
        rates.append(optimizer.learn_rate)
        optimizer.step_schedules()
    assert rates == pytest.approx([0.0, 0.25, 0.5, 0.25, 0.0])


def test_no_averages():
    assert build_adamw(LEARN_RATE).averages is None


# Averages


def averaged(decay=0.9, steps=4):
    pair = Pair()
    optimizer = build_adamw(LEARN_RATE, averages_decay=decay)
    optimizer.add_models(pair.models)
    means = None
    for step in range(1, steps + 1):
        pair.gradients()
        pair.finish(optimizer)
        optimizer.step_schedules()
        kept = min(decay, (1 + step) / (10 + step))
        weights = [each.copy() for each in pair.weights()]
        means = weights if means is None else [kept * m + (1 - kept) * w for m, w in zip(means, weights)]
    return pair, optimizer, means


def test_averages_by_hand():
    pair, optimizer, means = averaged()
    before = [each.copy() for each in pair.weights()]
    with contextlib.ExitStack() as stack:
        for model in pair.models:
            stack.enter_context(model.use_params(optimizer.averages))
        for found, expected in zip(pair.weights(), means):
            numpy.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    for found, expected in zip(pair.weights(), before):
        numpy.testing.assert_array_equal(found, expected)


def test_weights_that_are_never_learned_go_along():
    """Modules take all weights or none, such as the pooler of a transformer that nothing reads."""
    module = torch.nn.ModuleDict({"used": torch.nn.Linear(2, 2), "unused": torch.nn.Linear(2, 2)})
    module.forward = lambda X: module["used"](X)
    model = PyTorchWrapper(module)
    optimizer = build_adamw(LEARN_RATE, averages_decay=0.5)
    optimizer.add_models([model])
    unused = module["unused"].weight.detach().clone()
    for _ in range(2):
        Y, backprop = model.begin_update(numpy.ones((3, 2), dtype="float32"))
        backprop(Y)
        model.finish_update(optimizer)
        optimizer.step_schedules()
    with model.use_params(optimizer.averages):
        assert torch.equal(module["unused"].weight, unused)


def test_no_averages_by_default():
    pair = Pair()
    optimizer = build_adamw(LEARN_RATE)
    optimizer.add_models(pair.models)
    pair.gradients()
    pair.finish(optimizer)
    optimizer.step_schedules()
    assert optimizer.averages is None


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_decay_of_averages_is_checked(decay):
    with pytest.raises(ValueError, match="averages_decay"):
        build_adamw(LEARN_RATE, averages_decay=decay)
