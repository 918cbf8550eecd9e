"""An update of transformer and spert, and of the transformer alone, which gets the same gradient each time."""

from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy
from spacy.language import Language
from spacy.training import Example
from spacy.util import fix_random_seed
from spacy_transformers.layers import TransformerListener
from thinc.api import Optimizer

from spacy_spert.ml.encoders import get_gradients
from spacy_spert.ml.encoders.transformer import build_wordpiece_listener
from spacy_spert.ml.optimizer import build_adamw

from .measure import Stopwatch, compare
from .pipelines import Encoder, Setup, encoders, finish_update, make_examples, make_nlp, read_docs
from .report import Result, add_ratio, bars

TITLE = "Training: milliseconds for an update"
PROFILE = "Training: where the time goes, in percent"
BATCH_SIZES = (2, 8, 32)
# Updates in each repetition, by batch size.
N_UPDATES = {"small": (16, 12, 4), "base": (4, 3, 1)}
TARGETS = {("small", 8): 1.20, ("base", 8): 1.10}


@Language.factory("constant_gradient")
class ConstantGradient:
    """Stands for a component of no cost: it sends the same gradient to the transformer for each batch."""

    def __init__(self, nlp: Language, name: str):
        self.name = name
        self.model: TransformerListener = build_wordpiece_listener()

    def initialize(self, get_examples: Callable, *, nlp: Optional[Language] = None) -> None:
        """Nothing is to be initialized."""

    def update(
        self, examples: List[Example], *, drop: float = 0.0, sgd: Any = None, losses: Optional[Dict[str, float]] = None
    ) -> Dict[str, float]:
        docs = [example.predicted for example in examples]
        outputs, backprop = self.model.begin_update(docs)
        states = [output.model_output["last_hidden_state"] for output in outputs]
        # Where the states are, as those of a component would be.
        xp = self.model.ops.xp
        gradients = [xp.full((state.size // state.shape[-1], state.shape[-1]), 1e-4, "float32") for state in states]
        backprop(get_gradients(self.model.ops, docs, outputs, gradients, 1.0))
        return losses or {}

    def finish_update(self, optimizer: Optimizer) -> None:
        """Nothing is learned."""


def measure(setup: Setup) -> Result:
    """Measure all batch sizes with all encoders.

    setup (Setup): The setup.
    RETURNS (Result): The result.
    """
    result = Result({TITLE: [], PROFILE: []})
    with encoders(setup) as found:
        for encoder in found:
            pipelines = {
                "alone": _pipeline(setup, encoder, "constant_gradient"),
                "with spert": _pipeline(setup, encoder, "spert"),
            }
            sizes = [(8, 1)] if setup.quick else zip(BATCH_SIZES, N_UPDATES[encoder.size])
            for batch_size, n_updates in sizes:
                _compare(result, setup, encoder, pipelines, batch_size, n_updates)
                nlp, optimizer, examples = pipelines["with spert"]
                batches = [examples[i * batch_size : (i + 1) * batch_size] for i in range(n_updates)]
                shares = _profile(nlp, optimizer, [batch for batch in batches if batch])
                result.tables[PROFILE].append({"encoder": encoder.name, "batch": batch_size, **shares})
    return result


PipelineT = Tuple[Language, Optimizer, List[Example]]


def _pipeline(setup: Setup, encoder: Encoder, component: str) -> PipelineT:
    fix_random_seed(0)
    nlp = make_nlp(encoder.path, component)
    examples = make_examples(read_docs(nlp, setup.data))
    nlp.initialize(lambda: examples)
    return nlp, build_adamw(5e-5), examples


def _compare(
    result: Result,
    setup: Setup,
    encoder: Encoder,
    pipelines: Dict[str, PipelineT],
    batch_size: int,
    n_updates: int,
) -> None:
    def task(name: str) -> Callable[[int], None]:
        nlp, optimizer, examples = pipelines[name]

        def update(i: int) -> None:
            first = i * batch_size % max(1, len(examples) - batch_size)
            nlp.update(examples[first : first + batch_size], sgd=False, losses={})
            finish_update(nlp, optimizer)

        return update

    times = compare({name: task(name) for name in pipelines}, range(n_updates), setup.repeats)
    row = {"encoder": encoder.name, "batch": batch_size, "updates": n_updates}
    what = f"update over the transformer's alone, {encoder.name}, batch {batch_size}"
    add_ratio(result, TITLE, row, times, n_updates, what, TARGETS.get((encoder.size, batch_size)))


def _profile(nlp: Language, optimizer: Optimizer, batches: List[List[Example]]) -> Dict[str, float]:
    """Parts of some updates. What runs backward within spert's update is told apart by the transformer's callback."""
    transformer, spert = nlp.get_pipe("transformer"), nlp.get_pipe("spert")
    shim, head = transformer.model.layers[0].shims[0], spert.model.get_ref("head").shims[0]
    stopwatch = Stopwatch()

    def watch_both_ways(begin_update: Callable, name: str) -> Callable:
        def timed(inputs: Any) -> Tuple[Any, Callable]:
            with stopwatch.part(f"{name} forward"):
                outputs, backprop = begin_update(inputs)
            return outputs, stopwatch.wrap(f"{name} backward", backprop)

        return timed

    places = [
        ("tokenising", transformer, "update"),
        ("spert: around the head", spert, "update"),
        ("spert: samples", spert, "get_samples"),
        ("spert: loss", spert, "get_loss"),
    ]
    with stopwatch.watch(places):
        begin_updates = [(part, part.begin_update) for part in (shim, head)]
        for (part, begin_update), name in zip(begin_updates, ("encoder", "head")):
            part.begin_update = watch_both_ways(begin_update, name)
        for batch in batches:
            with stopwatch.part("all"):
                nlp.update(batch, sgd=False, losses={})
            with stopwatch.part("optimizer"):
                finish_update(nlp, optimizer)
        for part, _ in begin_updates:
            del part.begin_update
    return stopwatch.shares("all")


def draw(result: Result, figure: Any) -> None:
    """Draw the ratios, and the parts of an update."""
    ratios, parts = figure.subplots(1, 2, width_ratios=(1, 2))
    rows = result.tables[TITLE]
    bars(ratios, [_label(row) for row in rows], [row["ratio"] for row in rows])
    ratios.axhline(1.0, color="black", linewidth=1)
    ratios.set(ylabel="time / transformer alone", ylim=(0.9, None))
    rows = result.tables[PROFILE]
    left = numpy.zeros(len(rows))
    for name in dict.fromkeys(name for row in rows for name in row if name not in ("encoder", "batch")):
        values = numpy.asarray([row.get(name, 0.0) for row in rows])
        parts.barh([_label(row) for row in rows], values, left=left, label=name)
        left += values
    parts.set(xlabel="percent of an update", xlim=(0, 100))
    parts.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=5, fontsize="small")


def _label(row: Dict[str, Any]) -> str:
    return f"{row['encoder'].split()[0].strip(',')}\nbatch {row['batch']}"
