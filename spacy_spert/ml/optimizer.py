"""AdamW as the paper uses it: one gradient norm over all weights, no decay on biases and layer norms."""

from typing import Any, Dict, Iterable, Optional, Set, Tuple

import torch
from thinc.api import Model, Optimizer, torch2xp, xp2torch
from thinc.types import FloatsXd

from ..errors import Errors

KeyT = Tuple[int, str]


def build_adamw(
    learn_rate: Any,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    grad_clip: float = 1.0,
    head_learn_rate: Any = None,
    averages_decay: float = 0.0,
) -> Optimizer:
    """Create the optimizer. Register name: "spacy-spert.AdamW.v1".

    learn_rate (Union[float, Schedule]): The learning rate, or a schedule of it.
    beta1 (float): Decay of the first moment.
    beta2 (float): Decay of the second moment.
    eps (float): Added to the denominator.
    weight_decay (float): Decoupled weight decay of matrices. Vectors (biases, layer norms) have none.
    grad_clip (float): Highest norm of the gradient of all weights together; 0.0 for no limit.
    head_learn_rate (Optional[Union[float, Schedule]]): The learning rate of the layers of `spert` components, their
        encoders aside; by default that of all others.
    averages_decay (float): What is scored and saved is a moving average of the weights, of which each step keeps this
        share; at first less, so that the first weights are soon forgotten. 0.0 for the weights themselves. Weights
        beside a `spert` component in the pipeline are averaged, too.
    RETURNS (Optimizer): The optimizer.
    RAISES (ValueError): If averages_decay is not from 0 to below 1.
    """
    if not 0.0 <= averages_decay < 1.0:
        raise ValueError(Errors.S114.format(value=averages_decay))
    return AdamW(
        learn_rate,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        L2=weight_decay,
        grad_clip=grad_clip,
        use_averages=False,
        head_learn_rate=head_learn_rate,
        averages_decay=averages_decay,
    )


class AdamW(Optimizer):
    """Thinc hands an optimizer one tensor at a time, which could only be clipped on its own.

    This one collects the gradients and makes the step, by `torch.optim.AdamW`, when all are known: in `step_schedules`,
    which `spacy train` calls after each batch. In a loop of your own call it after `nlp.update(..., sgd=optimizer)`, as
    thinc asks for schedules anyway; if you don't, the step is made when the same weights come again.
    """

    __slots__ = [
        "head_learn_rate",
        "averages_decay",
        "_heads",
        "_models",
        "_weights",
        "_arrays",
        "_gradients",
        "_pending",
        "_adamw",
        "_means",
        "_steps",
    ]

    head_learn_rate: Optional[float]
    averages_decay: float
    _heads: Set[int]
    _adamw: Optional[torch.optim.AdamW]
    _weights: Dict[KeyT, torch.nn.Parameter]
    _arrays: Dict[KeyT, FloatsXd]
    _gradients: Dict[KeyT, torch.Tensor]
    _pending: Dict[KeyT, torch.nn.Parameter]
    _models: Dict[int, Model]
    _means: Dict[KeyT, torch.Tensor]
    _steps: int

    def __init__(self, *args: Any, head_learn_rate: Any = None, averages_decay: float = 0.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.averages_decay = averages_decay
        self._models = {}
        self._means = {}
        self._steps = 0
        if head_learn_rate is not None and not isinstance(head_learn_rate, (float, int)):
            self.schedules["head_learn_rate"] = head_learn_rate
            head_learn_rate = next(head_learn_rate)
        self.head_learn_rate = head_learn_rate
        self._heads = set()
        self._weights = {}
        self._arrays = {}
        self._gradients = {}
        self._pending = {}
        self._adamw = None

    def __call__(
        self, key: KeyT, weights: FloatsXd, gradient: FloatsXd, *, lr_scale: float = 1.0
    ) -> Tuple[FloatsXd, FloatsXd]:
        """Take note of a gradient and clear it.

        key (Tuple[int, str]): Identifies the weights.
        weights (FloatsXd): The weights, to be changed in place by the step.
        gradient (FloatsXd): Their gradient, zero afterwards.
        lr_scale (float): Not supported by this optimizer, must be 1.0.
        RETURNS (Tuple[FloatsXd, FloatsXd]): The same arrays.
        """
        if key in self._pending:
            self._step()
        # The arrays share their memory with the tensors, so neither weights nor moments are copied back and forth.
        tensor = xp2torch(weights)
        if key not in self._weights:
            self._weights[key] = torch.nn.Parameter(tensor)
            self._gradients[key] = torch.empty_like(tensor)
            self._arrays[key] = weights
            self._add(key)
        parameter = self._weights[key]
        if tensor.data_ptr() != parameter.data_ptr():
            # Other weights were loaded.
            parameter.data = tensor
            self._arrays[key] = weights
        parameter.grad = self._gradients[key].copy_(xp2torch(gradient))
        self._pending[key] = parameter
        gradient.fill(0.0)
        # Thinc makes the array it gets back the model's new tensor. If this were always the latest one, each would hold
        # the one before, and training would take more memory with each step.
        return self._arrays[key], gradient

    def step_schedules(self) -> None:
        """Make the step with all gradients collected, then move on to the next learning rate."""
        self._step()
        super().step_schedules()

    def add_head(self, model: Model) -> None:
        """Let the weights of a model have the learning rate of heads. Called before they are seen for the first time.

        model (Model): The model. Its layers are left out.
        """
        self._heads.update(shim.id for shim in model.shims)

    def add_models(self, models: Iterable[Model]) -> None:
        """Make known which torch modules the weights belong to. Without that they can't be averaged.

        models (Iterable[Model]): The models of a pipeline.
        """
        self._models.update((model.id, model) for model in models)

    @property
    def averages(self) -> Optional[Dict[Any, Any]]:
        """The averaged weights, with the keys that `nlp.use_params` wants. All that a torch module has are among them,
        as it takes all or none.

        RETURNS (Optional[Dict[Any, Any]]): The weights; None if they are not averaged.
        """
        if not self._means:
            return None
        shims = [shim for model in self._models.values() for node in model.walk() for shim in node.shims]
        # They have no public access to the module that they wrap.
        modules = {shim.id: shim._model for shim in shims if hasattr(shim, "_model")}
        averages: Dict[Any, Any] = {key: torch2xp(mean) for key, mean in self._means.items() if key[0] not in modules}
        for number, module in modules.items():
            if any(key[0] == number for key in self._means):
                for name, weights in module.state_dict().items():
                    averages[f"pytorch_{number}_{name}"] = torch2xp(self._means.get((number, name), weights))
        return averages

    @averages.setter
    def averages(self, averages: Any) -> None:
        # Thinc's own, which it makes in vain for torch.
        pass

    def _add(self, key: KeyT) -> None:
        # spaCy's models keep their weights apart, so that one group each costs nothing but a dictionary.
        if self._adamw is None:
            groups = [{"params": [], "weight_decay": decay} for _ in range(2) for decay in (self.L2, 0.0)]
            self._adamw = torch.optim.AdamW(groups, fused=True)
        is_head, is_vector = key[0] in self._heads, self._weights[key].ndim < 2
        self._adamw.param_groups[2 * is_head + is_vector]["params"].append(self._weights[key])

    def _step(self) -> None:
        if not self._pending or self._adamw is None:
            return
        if self.grad_clip:
            torch.nn.utils.clip_grad_norm_(list(self._pending.values()), self.grad_clip)
        for i, group in enumerate(self._adamw.param_groups):
            own_rate = i >= 2 and self.head_learn_rate is not None
            rate = self.head_learn_rate if own_rate else self.learn_rate
            group.update(lr=rate, betas=(self.b1, self.b2), eps=self.eps)
        self._adamw.step()
        for parameter in self._pending.values():
            parameter.grad = None
        if self.averages_decay:
            self._average()
        self._pending.clear()

    def _average(self) -> None:
        """Move the averages on."""
        self._steps += 1
        decay = min(self.averages_decay, (1 + self._steps) / (10 + self._steps))
        for key in self._pending.keys() - self._means.keys():
            self._means[key] = self._weights[key].detach().clone()
        keys = list(self._pending)
        with torch.no_grad():
            torch._foreach_lerp_(
                [self._means[key] for key in keys], [self._weights[key].detach() for key in keys], 1 - decay
            )
