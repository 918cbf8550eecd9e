"""Two pipelines compared on the same documents: each score, its difference, and how sure the difference is."""

from typing import Callable, Dict, Iterable, List, Mapping, NamedTuple, Sequence

import numpy
from spacy.training import Example

from ..candidates import Ints
from ..scorer import count_spert
from .scored import Doubles

# Samples that are drawn at a time, so that many documents don't need much memory.
CHUNK = 100
SAMPLES = 1000

# Scores by name of counts: true positives, false positives and false negatives, shape (n, n_labels, 3).
Statistic = Callable[[Ints], Dict[str, Doubles]]


class Difference(NamedTuple):
    """A score of two pipelines.

    one (float): That of the first.
    other (float): That of the second.
    low (float): With a confidence of 95 % the difference, other - one, lies above this,
    high (float): and below this.
    """

    one: float
    other: float
    low: float
    high: float

    @property
    def difference(self) -> float:
        """RETURNS (float): How much higher the second is."""
        return self.other - self.one

    @property
    def is_sure(self) -> bool:
        """RETURNS (bool): Whether the interval leaves no doubt which is higher."""
        return self.low > 0.0 or self.high < 0.0

    def to_json(self) -> Dict[str, float]:
        """RETURNS (Dict[str, float]): All values."""
        return {"a": self.one, "b": self.other, "difference": self.difference, "low": self.low, "high": self.high}


def count_documents(
    examples: Iterable[Example], labels: Mapping[str, Sequence[str]], **settings: object
) -> Dict[str, Ints]:
    """Count what is right and wrong in each document.

    examples (Iterable[Example]): Predicted and annotated documents.
    labels (Mapping[str, Sequence[str]]): The labels to count, for "spans", "rels" and "rels_strict".
    **settings: Those of `count_spert`.
    RETURNS (Dict[str, Ints]): For each the true positives, false positives and false negatives, shape (n_documents,
        n_labels, 3).
    """
    examples = list(examples)
    counts = {name: numpy.zeros((len(examples), len(names), 3), dtype="int64") for name, names in labels.items()}
    for i, example in enumerate(examples):
        for name, types in count_spert([example], **settings).items():  # type: ignore[arg-type]
            for label, score in types.items():
                counts[name][i, labels[name].index(label)] = score.tp, score.fp, score.fn
    return counts


def prf(counts: Ints, labels: Sequence[str] = ()) -> Dict[str, Doubles]:
    """Scores of counts.

    counts (Ints): True positives, false positives and false negatives, shape (n, n_labels, 3).
    labels (Sequence[str]): Names of the labels whose F1 is wanted, too; none or all.
    RETURNS (Dict[str, Doubles]): "P", "R" and "F" over all labels, "macro F", the mean over the labels that occur, and
        "F" of each label, all of shape (n,).
    """
    right, wrong, missed = numpy.moveaxis(counts.sum(axis=1), -1, 0)
    occurs = counts.sum(axis=-1) > 0
    of_labels = _ratio(2 * counts[..., 0], 2 * counts[..., 0] + counts[..., 1] + counts[..., 2])
    scores = {
        "P": _ratio(right, right + wrong),
        "R": _ratio(right, right + missed),
        "F": _ratio(2 * right, 2 * right + wrong + missed),
        "macro F": _ratio(of_labels.sum(axis=1), occurs.sum(axis=1)),
    }
    return {**scores, **{f"F {label}": of_labels[:, i] for i, label in enumerate(labels)}}


def bootstrap(
    one: Ints, other: Ints, statistic: Statistic = prf, *, samples: int = SAMPLES, seed: int = 0
) -> Dict[str, Difference]:
    """Compare scores by paired bootstrap: documents are drawn anew with replacement, the same for both.

    one (Ints): Counts of the first pipeline's documents, shape (n_documents, n_labels, 3).
    other (Ints): Counts of the second's, of the same shape.
    statistic (Statistic): Makes scores of counts.
    samples (int): How often to draw.
    seed (int): For the generator.
    RETURNS (Dict[str, Difference]): The scores, with the middle 95 % of the differences that were drawn.
    """
    generator = numpy.random.default_rng(seed)
    n = len(one)
    drawn: Dict[str, List[Doubles]] = {}
    for start in range(0, samples, CHUNK):
        weights = generator.multinomial(n, numpy.full(n, 1.0 / n), size=min(CHUNK, samples - start))
        scores = [statistic(numpy.tensordot(weights, counts, axes=1)) for counts in (one, other)]
        for name in scores[0]:
            drawn.setdefault(name, []).append(scores[1][name] - scores[0][name])
    totals = [statistic(counts.sum(axis=0, keepdims=True)) for counts in (one, other)]
    result = {}
    for name, parts in drawn.items():
        low, high = numpy.quantile(numpy.concatenate(parts), [0.025, 0.975])
        result[name] = Difference(float(totals[0][name][0]), float(totals[1][name][0]), float(low), float(high))
    return result


def _ratio(numerator: Ints, denominator: Ints) -> Doubles:
    return numerator / numpy.maximum(denominator, 1)
