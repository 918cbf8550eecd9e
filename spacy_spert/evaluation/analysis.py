"""Errors by kind: what a prediction got wrong, document by document. Documents in, plain rows out.

Every missed and every wrong entity or relation is part of exactly one error; a gold annotation and a prediction that
explain each other make one error together. The kinds are tried in the order of ENTITY_KINDS and RELATION_KINDS, within
a kind the closest match first. Relations are compared as in the scores by boundaries, so that the wrong label of an
entity is one error, and not another one for each of its relations.
"""

from collections import Counter
from typing import Callable, Collection, Dict, Iterable, List, NamedTuple, Optional, Set, Tuple

from spacy.tokens import Doc, Span
from spacy.training import Example

from ..alignment import Place, TokenMap, gold_entities, gold_relations, unknown_tokens
from ..relations import DEFAULT_SPANS_KEY, SCORES_ATTR, Relation, get_relations

WRONG_LABEL = "wrong label"
WRONG_BOUNDARY = "wrong boundary"
MISSED_ENTITY = "missed entity"
SPURIOUS_ENTITY = "spurious entity"
WRONG_DIRECTION = "wrong direction"
WRONG_RELATION_LABEL = "wrong relation label"
UNDER_THRESHOLD = "just under the threshold"
MISSED_PAIR = "missed pair"
SPURIOUS_PAIR = "spurious pair"

ENTITY_KINDS = {
    WRONG_LABEL: "A predicted entity has the boundaries of a gold one, but another label.",
    WRONG_BOUNDARY: "A predicted entity overlaps a gold one of the same label, but begins or ends elsewhere.",
    MISSED_ENTITY: "A gold entity was not found, and no prediction comes near it in one of these ways.",
    SPURIOUS_ENTITY: "A predicted entity is none, and comes near no missed one in one of these ways.",
}
RELATION_KINDS = {
    WRONG_DIRECTION: "The label and both entities are right, but head and tail are swapped.",
    WRONG_RELATION_LABEL: "Both entities are right, in whichever order, but the label is another one.",
    UNDER_THRESHOLD: "A gold relation was not predicted, but its score was only a little too low.",
    MISSED_PAIR: "A gold relation was not predicted in any other way.",
    SPURIOUS_PAIR: "A predicted relation is none in any other way.",
}
KINDS = {**ENTITY_KINDS, **RELATION_KINDS}


class Error(NamedTuple):
    """One error, with what it is about on the gold side, on the predicted side or on both.

    kind (str): One of KINDS.
    gold (Tuple[Span, ...]): The gold entity, or head and tail of the gold relation; empty if there is none.
    gold_label (str): Its label.
    predicted (Tuple[Span, ...]): The predicted entity, or head and tail; empty if there is none.
    predicted_label (str): Its label.
    score (Optional[float]): The score of the prediction, or of what was nearly predicted.
    detail (str): For missed and spurious pairs what became of their entities.
    """

    kind: str
    gold: Tuple[Span, ...] = ()
    gold_label: str = ""
    predicted: Tuple[Span, ...] = ()
    predicted_label: str = ""
    score: Optional[float] = None
    detail: str = ""


class Analysed(NamedTuple):
    """A document with its errors.

    number (int): Its number in the data, from 1.
    reference (Doc): The gold annotation.
    predicted (Doc): The prediction.
    errors (List[Error]): What is wrong with it.
    """

    number: int
    reference: Doc
    predicted: Doc
    errors: List[Error]


class _Item(NamedTuple):
    """An entity or a relation. A prediction is right if its places and label are those of a gold one.

    places (Tuple[Place, ...]): Of the entity, or of head and tail; in textual order if they have none.
    label (str): Its label.
    spans (Tuple[Span, ...]): The entity, or head and tail.
    score (Optional[float]): Its score.
    """

    places: Tuple[Place, ...]
    label: str
    spans: Tuple[Span, ...]
    score: Optional[float] = None


# How close a gold and a predicted item are; 0 if the one does not explain the other.
_Closeness = Callable[[_Item, _Item], int]


def find_errors(
    example: Example,
    nearly: Iterable[Relation] = (),
    *,
    spans_key: str = DEFAULT_SPANS_KEY,
    symmetric_labels: Collection[str] = (),
) -> List[Error]:
    """The errors in the prediction of a document.

    example (Example): The predicted document and its reference.
    nearly (Iterable[Relation]): Relations of the predicted document whose scores were just under the threshold.
    spans_key (str): The span group that is compared.
    symmetric_labels (Collection[str]): Relation labels without direction. To be left out where it counts all the same.
    RETURNS (List[Error]): The errors, those of entities first, by kind and then in the order of the text. There are
        none if the reference is not annotated, none of relations if these are not, and none where tokens are not.
    """
    reference, predicted = example.reference, example.predicted
    gold_spans = gold_entities(reference, spans_key)
    if gold_spans is None:
        return []
    to_itself, to_reference = (TokenMap(doc, reference, example) for doc in (reference, predicted))
    unknown = unknown_tokens(reference)

    def place(span: Span) -> Place:
        return (to_itself if span.doc is reference else to_reference).place(span)

    def entity(span: Span, score: Optional[float] = None) -> _Item:
        return _Item((place(span),), span.label_, (span,), None if score is None else float(score))

    def relation(relation: Relation) -> _Item:
        head, tail, label, score = relation
        places = (place(head), place(tail))
        return _Item(tuple(sorted(places)) if label in symmetric_labels else places, label, (head, tail), score)

    spans = list(predicted.spans.get(spans_key, ()))
    scores = predicted.spans[spans_key].attrs.get(SCORES_ATTR) if spans else None

    def judged(found: List[_Item], gold: List[_Item]) -> List[_Item]:
        """Without what is not known to be wrong."""
        right = {item[:2] for item in gold}
        return [
            item
            for item in found
            if item[:2] in right or not any(unknown[place.start : place.end].any() for place in item.places)
        ]

    gold = [entity(span) for span in gold_spans]
    found = [entity(span, score) for span, score in zip(spans, [None] * len(spans) if scores is None else scores)]
    entity_errors = _entity_errors(gold, judged(found, gold))
    relations = gold_relations(reference, spans_key)
    if relations is None:
        return entity_errors
    related = [relation(each) for each in relations]
    relation_errors = _relation_errors(
        related,
        judged([relation(each) for each in get_relations(predicted, spans_key)], related),
        [relation(each) for each in nearly],
        {item.places[0] for item in gold},
        {item.places[0] for item in found},
    )
    return entity_errors + relation_errors


def count_errors(documents: Iterable[Analysed]) -> Dict[str, int]:
    """Count errors by kind.

    documents (Iterable[Analysed]): The documents.
    RETURNS (Dict[str, int]): The number of errors of each kind, in the order of KINDS.
    """
    counts = Counter(error.kind for document in documents for error in document.errors)
    return {kind: counts[kind] for kind in KINDS}


def worst_first(documents: Iterable[Analysed]) -> List[Analysed]:
    """Sort documents by their number of errors.

    documents (Iterable[Analysed]): The documents.
    RETURNS (List[Analysed]): Those with the most errors first, others in the order they had.
    """
    return sorted(documents, key=lambda document: -len(document.errors))


def _entity_errors(gold: Iterable[_Item], found: Iterable[_Item]) -> List[Error]:
    def same_boundaries(one: _Item, other: _Item) -> int:
        return int(one.places == other.places)

    def overlap(one: _Item, other: _Item) -> int:
        (place,), (other_place,) = one.places, other.places
        shared = min(place.end, other_place.end) - max(place.start, other_place.start)
        return max(0, shared) if one.label == other.label else 0

    missed, wrong = _differences(gold, found)
    errors: List[Error] = []
    for kind, closeness in ((WRONG_LABEL, same_boundaries), (WRONG_BOUNDARY, overlap)):
        errors.extend(_error(kind, one, other) for one, other in _take_matches(missed, wrong, closeness))
    errors.extend(_error(MISSED_ENTITY, one, None) for one in missed)
    errors.extend(_error(SPURIOUS_ENTITY, None, other) for other in wrong)
    return errors


def _relation_errors(
    gold: Iterable[_Item],
    found: Iterable[_Item],
    nearly: Iterable[_Item],
    gold_places: Set[Place],
    found_places: Set[Place],
) -> List[Error]:
    def swapped(one: _Item, other: _Item) -> int:
        return int(one.label == other.label and one.places == other.places[::-1])

    def same_pair(one: _Item, other: _Item) -> int:
        return 2 if one.places == other.places else int(one.places == other.places[::-1])

    missed, wrong = _differences(gold, found)
    errors: List[Error] = []
    for kind, closeness in ((WRONG_DIRECTION, swapped), (WRONG_RELATION_LABEL, same_pair)):
        errors.extend(_error(kind, one, other) for one, other in _take_matches(missed, wrong, closeness))
    scores = {item[:2]: item.score for item in nearly}
    near = [one for one in missed if one[:2] in scores]
    errors.extend(_error(UNDER_THRESHOLD, one, None)._replace(score=scores[one[:2]]) for one in near)
    for one in missed:
        if one[:2] not in scores:
            errors.append(_error(MISSED_PAIR, one, None, _name_absent(one, found_places, "found")))
    for other in wrong:
        errors.append(_error(SPURIOUS_PAIR, None, other, _name_absent(other, gold_places, "in the gold data")))
    return errors


def _differences(gold: Iterable[_Item], found: Iterable[_Item]) -> Tuple[List[_Item], List[_Item]]:
    """What is only on one side, each once and in the order of the text."""
    sides = [{item[:2]: item for item in sorted(side, key=_text_order)} for side in (gold, found)]
    missed, wrong = ([item for key, item in one.items() if key not in other] for one, other in (sides, sides[::-1]))
    return missed, wrong


def _text_order(item: _Item) -> Tuple:
    return [(span.start, span.end) for span in item.spans], item.label


def _take_matches(missed: List[_Item], wrong: List[_Item], closeness: _Closeness) -> List[Tuple[_Item, _Item]]:
    """Take pairs that explain each other out of both lists, the closest first. Returned in the order of the text."""
    ranked = sorted((-closeness(one, other), i, j) for i, one in enumerate(missed) for j, other in enumerate(wrong))
    partner: Dict[int, int] = {}
    taken: Set[int] = set()
    for negative, i, j in ranked:
        if negative < 0 and i not in partner and j not in taken:
            partner[i] = j
            taken.add(j)
    pairs = [(missed[i], wrong[j]) for i, j in sorted(partner.items())]
    missed[:] = [one for i, one in enumerate(missed) if i not in partner]
    wrong[:] = [other for j, other in enumerate(wrong) if j not in taken]
    return pairs


def _error(kind: str, gold: Optional[_Item], found: Optional[_Item], detail: str = "") -> Error:
    error = Error(kind, detail=detail)
    if gold is not None:
        error = error._replace(gold=gold.spans, gold_label=gold.label)
    if found is not None:
        error = error._replace(predicted=found.spans, predicted_label=found.label, score=found.score)
    return error


def _name_absent(item: _Item, places: Set[Place], where: str) -> str:
    absent = [name for name, place in zip(("head", "tail"), item.places) if place not in places]
    if len(absent) == 1:
        return f"{absent[0]} not {where}"
    return f"neither entity {where}" if absent else f"both entities {where}"
