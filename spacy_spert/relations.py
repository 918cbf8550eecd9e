"""Relations on a Doc: the value object, where it is stored, and the `doc._.relations` attribute.

Relations live in the attributes of the span group that holds the entities, as rows `[head, tail, label, score]` of
plain Python values, where head and tail are indices into the group. Span groups travel with the Doc through `to_bytes`,
`DocBin`, pickle, `copy` and worker processes, so the relations do as well, and an index tells apart nested entities and
mentions of the same text.
"""

from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

import numpy
from spacy.tokens import Doc, Span, SpanGroup

from .errors import Errors

DEFAULT_SPANS_KEY = "spert"
RELATIONS_ATTR = "relations"
SCORES_ATTR = "scores"

# (start token, end token, label): spans of one document that agree in these are the same entity.
SpanKey = Tuple[int, int, int]
Row = Tuple[int, int, str, float]


class Relation(NamedTuple):
    """A directed, labelled relation between two entities of a document.

    head (Span): The entity the relation starts from.
    tail (Span): The entity the relation points to.
    label (str): The relation label.
    score (float): Confidence from 0 to 1; 1.0 for gold data.
    """

    head: Span
    tail: Span
    label: str
    score: float = 1.0


def install_extension() -> None:
    """Register `doc._.relations`, unless it is registered already."""
    if not Doc.has_extension(RELATIONS_ATTR):
        Doc.set_extension(RELATIONS_ATTR, getter=get_relations, setter=set_relations)


def get_relations(doc: Doc, key: Optional[str] = None) -> List[Relation]:
    """Read the relations of a document.

    doc (Doc): The document.
    key (Optional[str]): The span group to read from. By default all groups that hold relations.
    RETURNS (List[Relation]): The relations, in the order in which they were stored.
    RAISES (ValueError): If a stored relation points outside its group.
    """
    relations = []
    for name in list(doc.spans) if key is None else [key]:
        rows = doc.spans[name].attrs.get(RELATIONS_ATTR) if name in doc.spans else None
        if not rows:
            continue
        spans = list(doc.spans[name])
        for i, (head, tail, label, score) in enumerate(rows):
            for index in (head, tail):
                if not 0 <= index < len(spans):
                    raise ValueError(
                        Errors.S004.format(index=i, doc=describe_doc(doc), entity=index, key=name, n=len(spans))
                    )
            relations.append(Relation(spans[head], spans[tail], label, score))
    return relations


def set_relations(doc: Doc, relations: Iterable[Sequence[Any]], key: Optional[str] = None) -> None:
    """Store relations on a document, replacing those that are there. Nothing changes if one of them is unusable.

    doc (Doc): The document. Its entities must be set already.
    relations (Iterable[Relation]): The relations, or tuples `(head, tail, label)` or `(head, tail, label, score)`.
    key (Optional[str]): The span group whose spans are related. By default the group that holds relations already,
        else `doc.spans["spert"]`, which is made from `doc.ents` where it is missing, or else the only group there is.
    RAISES (ValueError): If the document has no entities, if a head or tail is not among them, belongs to another
        document or equals its counterpart, or if a value does not have the form of a relation.
    """
    relations = list(relations)
    name = _group_for_writing(doc) if key is None else key
    group = doc.spans.get(name)
    if group is None:
        if not relations:
            return
        if not doc.ents:
            raise ValueError(Errors.S003.format(doc=describe_doc(doc), key=name))
        group = SpanGroup(doc, name=name, spans=list(doc.ents))
    index: Dict[SpanKey, int] = {}
    for i, span in enumerate(group):
        index.setdefault((span.start, span.end, span.label), i)
    rows = [list(_to_row(doc, name, i, value, index)) for i, value in enumerate(relations)]
    if key is None:
        # The attribute shows the relations of all groups, so that assigning to it replaces those of all.
        for other in doc.spans.values():
            other.attrs.pop(RELATIONS_ATTR, None)
    group.attrs[RELATIONS_ATTR] = rows
    doc.spans[name] = group


def set_entities(
    doc: Doc, key: str, spans: Iterable[Span], rows: Optional[Iterable[Row]], scores: Optional[Iterable[float]] = None
) -> None:
    """Write a span group together with the relations between its spans.

    doc (Doc): The document to write to.
    key (str): The name of the span group.
    spans (Iterable[Span]): The entities.
    rows (Optional[Iterable[Row]]): The relations, as (head, tail, label, score) with indices into the entities. None if
        they are not known.
    scores (Optional[Iterable[float]]): One score per entity, if there are any.
    """
    group = SpanGroup(doc, name=key, spans=list(spans))
    if scores is not None:
        group.attrs[SCORES_ATTR] = numpy.asarray(list(scores), dtype="float32")
    if rows is not None:
        group.attrs[RELATIONS_ATTR] = [
            [int(head), int(tail), str(label), float(score)] for head, tail, label, score in rows
        ]
    doc.spans[key] = group


def span_as_doc(span: Span) -> Doc:
    """Like `Span.as_doc`, and keeps the span groups with the relations that lie inside the span.

    span (Span): The part of the document to copy.
    RETURNS (Doc): The new document. Relations with an end outside the span are not part of it.
    """
    doc = span.as_doc()
    for key, group in span.doc.spans.items():
        kept = [i for i, s in enumerate(group) if span.start <= s.start and s.end <= span.end]
        _copy_group(doc, key, group, kept, -span.start)
    return doc


def join_docs(docs: Iterable[Doc], **kwargs: Any) -> Optional[Doc]:
    """Like `Doc.from_docs`, and keeps the relations.

    docs (Iterable[Doc]): The documents to join.
    kwargs: Passed on to `Doc.from_docs`.
    RETURNS (Optional[Doc]): One document with the tokens, entities and relations of all; None for no documents.
    """
    docs = list(docs)
    joined = Doc.from_docs(docs, **kwargs)
    if joined is None:
        return None
    for key in joined.spans:
        rows: List[Row] = []
        scores: List[float] = []
        first = 0
        for group in (doc.spans[key] for doc in docs if key in doc.spans):
            rows.extend((h + first, t + first, x, s) for h, t, x, s in group.attrs.get(RELATIONS_ATTR) or [])
            scores.extend(_scores(group, range(len(group))))
            first += len(group)
        set_entities(joined, key, joined.spans[key], rows, scores if scores and len(scores) == first else None)
    return joined


def describe_doc(doc: Doc) -> str:
    """Name a document in a message: the beginning of its text.

    doc (Doc): The document.
    RETURNS (str): Up to 50 characters of its text, in quotes.
    """
    text = doc.text
    return repr(text if len(text) <= 50 else text[:47] + "...")


def describe_span(span: Span) -> str:
    """Name a span in a message: its text, tokens and label."""
    return f"'{span.text}' (tokens {span.start}-{span.end}, label '{span.label_}')"


def _group_for_writing(doc: Doc) -> str:
    for name, group in doc.spans.items():
        if group.attrs.get(RELATIONS_ATTR):
            return name
    if DEFAULT_SPANS_KEY not in doc.spans and len(doc.spans) == 1 and not doc.ents:
        return next(iter(doc.spans))
    return DEFAULT_SPANS_KEY


def _to_row(doc: Doc, key: str, i: int, value: Any, index: Dict[SpanKey, int]) -> Row:
    try:
        head, tail, label, score = Relation(*value)
        if not (isinstance(head, Span) and isinstance(tail, Span) and isinstance(label, str)):
            raise TypeError
        score = float(score)
    except (TypeError, ValueError):
        raise ValueError(Errors.S005.format(index=i, doc=describe_doc(doc), value=repr(value))) from None
    ends = []
    for side, span in (("head", head), ("tail", tail)):
        place = {"index": i, "label": label, "doc": describe_doc(doc), "side": side, "span": describe_span(span)}
        if span.doc is not doc:
            raise ValueError(Errors.S006.format(**place))
        if (span.start, span.end, span.label) not in index:
            raise ValueError(Errors.S001.format(**place, key=key))
        ends.append(index[(span.start, span.end, span.label)])
    if ends[0] == ends[1]:
        raise ValueError(Errors.S002.format(index=i, label=label, doc=describe_doc(doc), span=describe_span(head)))
    return ends[0], ends[1], str(label), score


def _copy_group(doc: Doc, key: str, group: SpanGroup, kept: Sequence[int], offset: int) -> None:
    spans = list(group)
    position = {old: new for new, old in enumerate(kept)}
    rows = [
        (position[head], position[tail], label, score)
        for head, tail, label, score in group.attrs.get(RELATIONS_ATTR) or []
        if head in position and tail in position
    ]
    set_entities(doc, key, [_moved(doc, spans[i], offset) for i in kept], rows, _scores(group, kept) or None)


def _scores(group: SpanGroup, kept: Iterable[int]) -> List[float]:
    scores = group.attrs.get(SCORES_ATTR)
    return [] if scores is None else [float(scores[i]) for i in kept]


def _moved(doc: Doc, span: Span, offset: int) -> Span:
    return Span(doc, span.start + offset, span.end + offset, span.label_, kb_id=span.kb_id_, span_id=span.id_)
