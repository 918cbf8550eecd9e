"""Scores of entities and relations, counted against all gold annotation. Fractions from 0 to 1."""

from functools import partial
from typing import Any, Callable, Collection, Dict, Iterable, Iterator, List, Optional, Tuple

from spacy.scorer import PRFScore, get_ner_prf
from spacy.tokens import Span
from spacy.training import Example

from .alignment import gold_entities, gold_relations, map_span, token_map
from .errors import Errors
from .relations import DEFAULT_SPANS_KEY, get_relations

# Symmetric labels are counted once and without order, as the original does ("once"), as directed ("directed", as PURE
# does), or in both orders ("twice", as PL-Marker does). Published figures differ in this.
SYMMETRIC = ("once", "directed", "twice")

Labelled = Tuple[str, Tuple]
CountsT = Dict[str, Dict[str, PRFScore]]


def make_spert_scorer(symmetric: str = "once") -> Callable[..., Dict[str, Any]]:
    """Create the scorer. Register name: "spacy-spert.spert_scorer.v1".

    symmetric (str): How relations of symmetric labels are counted: "once", "directed" or "twice".
    RETURNS (Callable): The scorer.
    """
    if symmetric not in SYMMETRIC:
        raise ValueError(Errors.S033.format(value=symmetric, options=SYMMETRIC))
    return partial(score_spert, symmetric=symmetric)


def score_spert(
    examples: Iterable[Example],
    *,
    spans_key: str = DEFAULT_SPANS_KEY,
    symmetric_labels: Collection[str] = (),
    symmetric: str = "once",
    **kwargs: Any,
) -> Dict[str, Any]:
    """Score entities and relations.

    Predictions are compared in tokens of the reference. One that does not fall on its tokens is wrong; a gold relation
    counts whether or not its entities were found. Documents whose entities are not annotated are left out.

    examples (Iterable[Example]): Predicted documents with their references.
    spans_key (str): The span group to score.
    symmetric_labels (Collection[str]): Relation labels without direction.
    symmetric (str): How they are counted: "once", "directed" or "twice".
    RETURNS (Dict[str, Any]): For the prefixes `spans_{spans_key}`, `rels` (boundaries and label) and `rels_strict`
        (entity labels too): `_p`, `_r`, `_f` over all, `_macro_p`, `_macro_r` and `_macro_f`, the means over the labels
        that occur, and `_per_type`, a dict of p, r and f for each label. Further those of `doc.ents`: `ents_p`,
        `ents_r`, `ents_f`, `ents_per_type`.
    """
    examples = list(examples)
    counts = count_spert(examples, spans_key=spans_key, symmetric_labels=symmetric_labels, symmetric=symmetric)
    return {**scores_of(counts, spans_key), **get_ner_prf(examples)}


def scores_of(counts: CountsT, spans_key: str = DEFAULT_SPANS_KEY) -> Dict[str, Any]:
    """The scores that follow from counts, named as `score_spert` names them.

    counts (CountsT): What `count_spert` returned.
    spans_key (str): The span group that was counted.
    RETURNS (Dict[str, Any]): The scores.
    """
    scores: Dict[str, Any] = {}
    for name, types in counts.items():
        prefix = f"spans_{spans_key}" if name == "spans" else name
        per_type = {label: score.to_dict() for label, score in types.items()}
        total = sum(types.values(), PRFScore()).to_dict()
        scores.update({f"{prefix}_{key}": value for key, value in total.items()})
        scores.update({f"{prefix}_macro_{key}": macro([score[key] for score in per_type.values()]) for key in total})
        scores[f"{prefix}_per_type"] = per_type
    return scores


def count_spert(
    examples: Iterable[Example],
    *,
    spans_key: str = DEFAULT_SPANS_KEY,
    symmetric_labels: Collection[str] = (),
    symmetric: str = "once",
) -> CountsT:
    """Count what is right and wrong, as `score_spert` does.

    examples (Iterable[Example]): Predicted documents with their references.
    spans_key (str): The span group to score.
    symmetric_labels (Collection[str]): Relation labels without direction.
    symmetric (str): How they are counted: "once", "directed" or "twice".
    RETURNS (CountsT): For "spans", "rels" and "rels_strict" the counts of each label.
    """
    counts: CountsT = {"spans": {}, "rels": {}, "rels_strict": {}}
    for example in examples:
        gold_spans = gold_entities(example.reference, spans_key)
        if gold_spans is None:
            continue
        gold = Annotation(gold_spans, gold_relations(example.reference, spans_key), symmetric_labels, symmetric)
        predicted_spans = list(example.predicted.spans.get(spans_key, []))
        relations = get_relations(example.predicted, spans_key)
        predicted = Annotation(predicted_spans, relations, symmetric_labels, symmetric, example)
        for name, types in counts.items():
            right, found = set(getattr(gold, name)()), set(getattr(predicted, name)())
            for label in sorted({label for label, _ in right | found}):
                of_label = ({item for item in side if item[0] == label} for side in (found, right))
                types.setdefault(label, PRFScore()).score_set(*of_label)
    return {name: dict(sorted(types.items())) for name, types in counts.items()}


def macro(values: Collection[float]) -> float:
    """The mean over labels; 0.0 without any.

    values (Collection[float]): A value for each label.
    RETURNS (float): Their mean.
    """
    return sum(values) / len(values) if values else 0.0


class Annotation:
    """The annotation of one document as sets of (label, identity), in tokens of the reference."""

    def __init__(
        self,
        spans: List[Span],
        relations: Iterable[Tuple[Span, Span, str, float]],
        symmetric_labels: Collection[str],
        symmetric: str,
        example: Optional[Example] = None,
    ):
        self._spans = spans
        self._relations = list(relations)
        self._symmetric_labels = symmetric_labels
        self._symmetric = symmetric
        self._map = token_map(example.predicted, example.reference, example) if example else None

    def spans(self) -> Iterator[Labelled]:
        for span in self._spans:
            yield span.label_, self._bounds(span)

    def rels(self) -> Iterator[Labelled]:
        return self._pairs(self._bounds)

    def rels_strict(self) -> Iterator[Labelled]:
        return self._pairs(lambda span: (*self._bounds(span), span.label_))

    def _pairs(self, identify: Callable[[Span], Tuple]) -> Iterator[Labelled]:
        for head, tail, label, _ in self._relations:
            ends = (identify(head), identify(tail))
            if label in self._symmetric_labels and self._symmetric == "once":
                ends = (min(ends), max(ends))
            yield label, ends
            if label in self._symmetric_labels and self._symmetric == "twice":
                yield label, (ends[1], ends[0])

    def _bounds(self, span: Span) -> Tuple[int, int]:
        if self._map is None:
            return span.start, span.end
        start, end = map_span(span, *self._map)
        # A span that is none of the reference must stay distinct, and equal to no gold span.
        return (start, end) if start >= 0 else (-1 - span.start, -1 - span.end)
