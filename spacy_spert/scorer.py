"""Scores of entities and relations, counted against all gold annotation. Fractions from 0 to 1."""

from functools import partial
from typing import Any, Callable, Collection, Dict, Iterable, Iterator, Optional, Set, Tuple

from spacy.scorer import PRFScore, get_ner_prf
from spacy.tokens import Span
from spacy.training import Example

from .alignment import TokenMap, gold_entities, gold_relations, unknown_tokens
from .errors import Errors
from .ml.arrays import Bools
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


def symmetric_of(scorer: Optional[Callable]) -> str:
    """How a component's scorer counts relations of symmetric labels.

    scorer (Optional[Callable]): The scorer.
    RETURNS (str): "once", "directed" or "twice"; "once" for a scorer that `make_spert_scorer` has not made.
    """
    return (getattr(scorer, "keywords", None) or {}).get("symmetric", "once")


def score_spert(
    examples: Iterable[Example],
    *,
    spans_key: str = DEFAULT_SPANS_KEY,
    symmetric_labels: Collection[str] = (),
    symmetric: str = "once",
    **kwargs: Any,
) -> Dict[str, Any]:
    """Score entities and relations.

    Predictions are compared in tokens of the reference, without white space at their edges. One that does not fall on
    its tokens is wrong; a gold relation counts whether or not its entities were found. What is not known counts neither
    way: documents without annotated entities are left out, those without annotated relations for relations, and
    predictions that touch tokens without annotation unless they are right.

    examples (Iterable[Example]): Predicted documents with their references.
    spans_key (str): The span group to score.
    symmetric_labels (Collection[str]): Relation labels without direction.
    symmetric (str): How they are counted: "once", "directed" or "twice".
    RETURNS (Dict[str, Any]): For the prefixes `spans_{spans_key}`, `rels` (boundaries and label) and `rels_strict`
        (entity labels too): `_p`, `_r`, `_f` over all, `_macro_p`, `_macro_r` and `_macro_f`, the means over the labels
        that occur, and `_per_type`, a dict of p, r and f for each label. With another spans_key than the default,
        `rels_{spans_key}` and `rels_strict_{spans_key}`. Further those of `doc.ents`: `ents_p`, `ents_r`, `ents_f`,
        `ents_per_type`.
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
        prefix = name if name != "spans" and spans_key == DEFAULT_SPANS_KEY else f"{name}_{spans_key}"
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
        reference, predicted = example.reference, example.predicted
        gold_spans, relations = gold_entities(reference, spans_key), gold_relations(reference, spans_key)
        if gold_spans is None:
            continue
        counting = symmetric_labels, symmetric
        to_itself, to_reference = (TokenMap(doc, reference, example) for doc in (reference, predicted))
        gold = Annotation(gold_spans, relations or (), to_itself, *counting)
        spans, unknown = predicted.spans.get(spans_key, ()), unknown_tokens(reference)
        found = Annotation(spans, get_relations(predicted, spans_key), to_reference, *counting, unknown)
        for name, types in counts.items():
            if name != "spans" and relations is None:
                continue
            right = set(getattr(gold, name)())
            items = set(getattr(found, name)()) - (found.uncertain - right)
            for label in sorted({label for label, _ in right | items}):
                of_label = ({item for item in side if item[0] == label} for side in (items, right))
                types.setdefault(label, PRFScore()).score_set(*of_label)
    return {name: dict(sorted(types.items())) for name, types in counts.items()}


def macro(values: Collection[float]) -> float:
    """The mean over labels; 0.0 without any.

    values (Collection[float]): A value for each label.
    RETURNS (float): Their mean.
    """
    return sum(values) / len(values) if values else 0.0


class Annotation:
    """The annotation of one document as sets of (label, identity), in tokens of the reference.

    uncertain: What was read that touches tokens without annotation.
    """

    def __init__(
        self,
        spans: Iterable[Span],
        relations: Iterable[Tuple[Span, Span, str, float]],
        to_reference: TokenMap,
        symmetric_labels: Collection[str],
        symmetric: str,
        unknown: Optional[Bools] = None,
    ):
        self._spans = list(spans)
        self._relations = list(relations)
        self._map = to_reference
        self._symmetric_labels = symmetric_labels
        self._symmetric = symmetric
        self._unknown = unknown if unknown is not None and unknown.any() else None
        self.uncertain: Set[Labelled] = set()

    def spans(self) -> Iterator[Labelled]:
        for span in self._spans:
            yield self._noted((span.label_, self._map.place(span)), span)

    def rels(self) -> Iterator[Labelled]:
        return self._pairs(self._map.place)

    def rels_strict(self) -> Iterator[Labelled]:
        return self._pairs(lambda span: (*self._map.place(span), span.label_))

    def _pairs(self, identify: Callable[[Span], Tuple]) -> Iterator[Labelled]:
        for head, tail, label, _ in self._relations:
            ends = (identify(head), identify(tail))
            if label in self._symmetric_labels and self._symmetric == "once":
                ends = (min(ends), max(ends))
            yield self._noted((label, ends), head, tail)
            if label in self._symmetric_labels and self._symmetric == "twice":
                yield self._noted((label, (ends[1], ends[0])), head, tail)

    def _noted(self, item: Labelled, *spans: Span) -> Labelled:
        if self._unknown is not None:
            places = map(self._map.place, spans)
            if any(self._unknown[place.start : place.end].any() for place in places):
                self.uncertain.add(item)
        return item
