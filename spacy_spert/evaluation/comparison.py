"""Two pipelines compared on the same documents: each score, its difference, and how sure the difference is."""

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy
from spacy.tokens import Span
from spacy.training import Example

from ..alignment import TokenMap, gold_entities, gold_relations, unknown_tokens
from ..errors import Errors
from ..ml.arrays import Ints
from ..relations import SCORES_ATTR, Relation, get_relations
from ..scorer import Annotation, count_spert
from .analysis import Analysed
from .run import TITLES, Evaluation, Table
from .scored import Doubles

# Samples that are drawn at a time, so that many documents don't need much memory.
CHUNK = 100
SAMPLES = 1000

# Scores by name of counts: true positives, false positives and false negatives, shape (n, n_labels, 3).
Statistic = Callable[[Ints], Dict[str, Doubles]]


# Where a document differs.
ONLY_A_RIGHT, ONLY_B_RIGHT = "only A, right", "only B, right"
ONLY_A_WRONG, ONLY_B_WRONG = "only A, wrong", "only B, wrong"
KINDS = {
    ONLY_A_RIGHT: "An entity or a relation of the gold data that A finds and B does not.",
    ONLY_B_RIGHT: "An entity or a relation of the gold data that B finds and A does not.",
    ONLY_A_WRONG: "A prediction of A that is not in the gold data, and that B does not make.",
    ONLY_B_WRONG: "A prediction of B that is not in the gold data, and that A does not make.",
}
HEADER = ("", "A", "B", "B - A", "95 % interval")


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

    def cells(self) -> Tuple[str, ...]:
        """RETURNS (Tuple[str, ...]): The values for people: both scores, the difference, and the interval."""
        interval = f"{self.low:+.4f} to {self.high:+.4f}"
        return f"{self.one:.4f}", f"{self.other:.4f}", f"{self.difference:+.4f}", interval

    def to_json(self) -> Dict[str, float]:
        """RETURNS (Dict[str, float]): All values."""
        return {"a": self.one, "b": self.other, "difference": self.difference, "low": self.low, "high": self.high}


# The spans of an entity or a relation, its label, and its score.
_Item = Tuple[Tuple[Span, ...], str, Optional[float]]


class Deviation(NamedTuple):
    """An entity or a relation that only one of two pipelines predicts.

    kind (str): One of KINDS.
    spans (Tuple[Span, ...]): The entity, or head and tail.
    label (str): Its label.
    score (Optional[float]): Its score.
    """

    kind: str
    spans: Tuple[Span, ...]
    label: str
    score: Optional[float]


@dataclass
class Comparison:
    """Two evaluations of the same documents.

    one (Evaluation): That of the first pipeline, A.
    other (Evaluation): That of the second, B.
    differences (Dict[str, Dict[str, Difference]]): For "spans", "rels" and "rels_strict" each score.
    deviations (List[List[Deviation]]): For each document what only one of them predicts.
    samples (int): How often documents were drawn for the intervals.
    """

    one: Evaluation
    other: Evaluation
    differences: Dict[str, Dict[str, Difference]]
    deviations: List[List[Deviation]]
    samples: int

    @property
    def tables(self) -> List[Table]:
        """RETURNS (List[Table]): The scores as tables for people."""
        return [
            (TITLES[name], [HEADER, *((score, *difference.cells()) for score, difference in scores.items())])
            for name, scores in self.differences.items()
        ]

    @property
    def kinds(self) -> Dict[str, int]:
        """RETURNS (Dict[str, int]): Number of deviations of each kind."""
        counts = Counter(deviation.kind for deviations in self.deviations for deviation in deviations)
        return {kind: counts[kind] for kind in KINDS}

    @property
    def n_differing(self) -> int:
        """RETURNS (int): Number of documents on which they differ."""
        return sum(map(bool, self.deviations))

    def to_json(self) -> Dict[str, Any]:
        """RETURNS (Dict[str, Any]): Scores, differences and counts, all plain values."""
        return {
            "scores": {
                name: {score: difference.to_json() for score, difference in scores.items()}
                for name, scores in self.differences.items()
            },
            "deviations": self.kinds,
            "documents": len(self.deviations),
            "differing_documents": self.n_differing,
            "samples": self.samples,
        }


def compare_evaluations(one: Evaluation, other: Evaluation, *, samples: int = SAMPLES, seed: int = 0) -> Comparison:
    """Compare two evaluations.

    one (Evaluation): That of the first pipeline.
    other (Evaluation): That of the second, on the same documents.
    samples (int): How often to draw documents for the intervals.
    seed (int): For the generator.
    RETURNS (Comparison): Each score, its difference and its interval, and what only one of them predicts.
    RAISES (ValueError): If they are of different documents, or count relations in different ways.
    """
    if one.symmetric != other.symmetric:
        raise ValueError(Errors.S192.format(one=one.symmetric, other=other.symmetric))
    documents = [[(each.number, each.reference.text) for each in side.documents] for side in (one, other)]
    if documents[0] != documents[1]:
        raise ValueError(Errors.S120.format(one=len(documents[0]), other=len(documents[1])))
    labels = {name: sorted({*one.counts[name], *other.counts[name]}) for name in one.counts}
    counts = [
        count_documents(
            (Example(each.predicted, each.reference) for each in side.documents),
            labels,
            spans_key=side.spans_key,
            symmetric_labels=side.cfg["symmetric_labels"],
            symmetric=side.symmetric,
        )
        for side in (one, other)
    ]
    given = one.gold_entities and other.gold_entities
    differences = {
        name: bootstrap(counts[0][name], counts[1][name], partial(prf, labels=names), samples=samples, seed=seed)
        for name, names in labels.items()
        if name != "spans" or not given
    }
    deviations = [find_deviations(first, second, one, other) for first, second in zip(one.documents, other.documents)]
    return Comparison(one, other, differences, deviations, samples)


def find_deviations(first: Analysed, second: Analysed, one: Evaluation, other: Evaluation) -> List[Deviation]:
    """What only one of two pipelines predicts in a document.

    first (Analysed): The document, predicted by the first.
    second (Analysed): The document, predicted by the second.
    one (Evaluation): The evaluation of the first.
    other (Evaluation): The evaluation of the second.
    RETURNS (List[Deviation]): Entities, then relations, by kind.
    """
    found = [_items(document, evaluation, True) for document, evaluation in ((first, one), (second, other))]
    gold = {*_items(first, one, False), *_items(second, other, False)}
    deviations = []
    for mine, others, right, wrong in (
        (found[0], found[1], ONLY_A_RIGHT, ONLY_A_WRONG),
        (found[1], found[0], ONLY_B_RIGHT, ONLY_B_WRONG),
    ):
        for item, (spans, label, score) in mine.items():
            if item not in others:
                deviations.append(Deviation(right if item in gold else wrong, spans, label, score))
    order = list(KINDS)
    return sorted(deviations, key=lambda each: (len(each.spans), order.index(each.kind)))


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


def _items(document: Analysed, evaluation: Evaluation, predicted: bool) -> Dict[Any, _Item]:
    """The gold annotation, or the predictions that can be judged, by what makes them the same: tokens of the reference
    and labels."""
    key, reference = evaluation.spans_key, document.reference
    counting = evaluation.cfg["symmetric_labels"], "directed" if evaluation.symmetric == "directed" else "once"
    doc = document.predicted if predicted else reference
    tokens = TokenMap(doc, reference, Example(document.predicted, reference))
    gold_rels = gold_relations(reference, key)
    relations: Sequence[Relation] = gold_rels or ()
    if predicted and gold_rels is not None:
        relations = get_relations(doc, key)
    spans = list(doc.spans.get(key, ())) if predicted else gold_entities(reference, key) or []
    scores = doc.spans[key].attrs.get(SCORES_ATTR) if predicted and spans else None
    of_spans = [None] * len(spans) if scores is None else map(float, scores)
    annotation = Annotation(spans, relations, tokens, *counting, unknown_tokens(reference) if predicted else None)
    items: Dict[Any, _Item] = {
        item: ((span,), span.label_, score) for item, span, score in zip(annotation.spans(), spans, of_spans)
    }
    for item, (head, tail, label, score) in zip(annotation.rels_strict(), relations):
        items[item] = ((head, tail), label, score)
    return {item: value for item, value in items.items() if item not in annotation.uncertain}


def _ratio(numerator: Ints, denominator: Ints) -> Doubles:
    return numerator / numpy.maximum(denominator, 1)
