"""Relations on a Doc: the value object, where it is stored, and the `doc._.relations` attribute.

Relations live in the attributes of the span group that holds the entities, as rows `[head, tail, label, score]` of
plain Python values, where head and tail are indices into the group. Span groups travel with the Doc through `to_bytes`,
`DocBin`, pickle, `copy` and worker processes, so the relations do as well, and an index tells apart nested entities and
mentions of the same text.

A group without the attribute says nothing of relations: they are not known. An empty list says that there are none.
"""

from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

import numpy
from spacy.tokens import Doc, Span, SpanGroup

# The only place where spaCy keeps all extensions, and what it hands on to worker processes. The public
# Doc.get_extension needs the name, which is what we look for.
from spacy.tokens.underscore import Underscore

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


def install_extension(name: Optional[str] = None) -> None:
    """Register `doc._.relations`, or the same under another name. Done by itself when a component is made or loaded.

    name (Optional[str]): The name of the attribute. One that was registered before is given up. By default the name
        that is registered already, else "relations".
    RAISES (ValueError): If another package has registered an attribute of this name.
    """
    ours = [each for each, (_, _, getter, _) in Underscore.doc_extensions.items() if getter is get_relations]
    name = name or (ours[0] if ours else RELATIONS_ATTR)
    if name not in ours:
        if Doc.has_extension(name):
            raise ValueError(Errors.S100.format(name=name, value=Doc.get_extension(name)))
        Doc.set_extension(name, getter=get_relations, setter=set_relations)
    for other in ours:
        if other != name:
            Doc.remove_extension(other)


def get_relations(doc: Doc, key: Optional[str] = None) -> Tuple[Relation, ...]:
    """Read the relations of a document.

    doc (Doc): The document.
    key (Optional[str]): The span group to read from. By default all groups that hold relations.
    RETURNS (Tuple[Relation, ...]): The relations, in the order in which they were stored.
    RAISES (ValueError): If a stored relation points outside its group, or tokens were merged or split since.
    """
    relations = []
    for name, group in related_groups(doc, key).items():
        check_tokens(doc, name)
        spans = list(group)
        for i, (head, tail, label, score) in enumerate(group.attrs[RELATIONS_ATTR]):
            for index in (head, tail):
                if not 0 <= index < len(spans):
                    raise ValueError(
                        Errors.S004.format(index=i, doc=describe_doc(doc), entity=index, key=name, n=len(spans))
                    )
            relations.append(Relation(spans[head], spans[tail], label, score))
    return tuple(relations)


def have_moved(doc: Doc, spans: Iterable[Span]) -> bool:
    """Whether tokens were merged or split since spans were made: they lie on other words now.

    doc (Doc): The document.
    spans (Iterable[Span]): The spans, which keep the tokens and characters that they were made with.
    RETURNS (bool): Whether the tokens of a span have other characters.
    """
    try:
        return any(
            doc[span.start].idx != span.start_char or doc[span.end - 1].idx + len(doc[span.end - 1]) != span.end_char
            for span in spans
            if span.start < span.end
        )
    except IndexError:
        # There is no such token any more.
        return True


def check_tokens(doc: Doc, key: str) -> None:
    """Make sure that the spans of a group lie on the words for which they were made.

    doc (Doc): The document.
    key (str): The span group, which may be missing.
    RAISES (ValueError): If tokens were merged or split since.
    """
    if have_moved(doc, doc.spans.get(key, ())):
        raise ValueError(Errors.S007.format(doc=describe_doc(doc), key=key))


def related_groups(doc: Doc, key: Optional[str] = None) -> Dict[str, SpanGroup]:
    """The span groups whose relations are known, be it that there are none.

    doc (Doc): The document.
    key (Optional[str]): The only group to look at. By default all.
    RETURNS (Dict[str, SpanGroup]): The groups by name. Empty if the relations are not known.
    """
    return {
        name: group
        for name, group in doc.spans.items()
        if (key is None or name == key) and group.attrs.get(RELATIONS_ATTR) is not None
    }


def related_spans(doc: Doc, key: Optional[str] = None) -> List[Span]:
    """The entities that can be related.

    doc (Doc): The document.
    key (Optional[str]): Their span group. By default all groups that hold relations, or `doc.spans["spert"]` if none
        does.
    RETURNS (List[Span]): The entities. One that several groups hold is in here once.
    """
    groups = related_groups(doc) if key is None else {}
    spans = [span for group in groups.values() for span in group]
    if not groups:
        spans = list(doc.spans.get(key or DEFAULT_SPANS_KEY) or ())
    return list({(span.start, span.end, span.label): span for span in spans}.values())


def set_relations(doc: Doc, relations: Iterable[Sequence[Any]], key: Optional[str] = None) -> None:
    """Store relations on a document, replacing those that are there. Nothing changes if one of them is unusable.

    No relations are stored as well: they say that the document has none, which is not the same as not knowing.

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
        if not doc.ents and relations:
            raise ValueError(Errors.S003.format(doc=describe_doc(doc), key=name))
        if not doc.has_annotation("ENT_IOB"):
            return
        group = SpanGroup(doc, name=name, spans=list(doc.ents))
    index: Dict[SpanKey, int] = {}
    for i, span in enumerate(group):
        index.setdefault((span.start, span.end, span.label), i)
    rows = [list(_to_row(doc, name, i, value, index)) for i, value in enumerate(relations)]
    if key is None:
        # The attribute shows the relations of all groups, so that assigning to it replaces those of all.
        for other in related_groups(doc).values():
            other.attrs[RELATIONS_ATTR] = []
    group.attrs[RELATIONS_ATTR] = rows
    doc.spans[name] = group


def set_entities(
    doc: Doc, key: str, spans: Iterable[Span], rows: Optional[Iterable[Row]], scores: Optional[Iterable[float]] = None
) -> None:
    """Write a span group together with the relations between its spans.

    A group that holds these spans already, in whichever order, keeps it, and with it the attributes that other
    components have given it.

    doc (Doc): The document to write to.
    key (str): The name of the span group.
    spans (Iterable[Span]): The entities.
    rows (Optional[Iterable[Row]]): The relations, as (head, tail, label, score) with indices into the entities. None
        if they are not known.
    scores (Optional[Iterable[float]]): One score per entity, if there are any.
    """
    group, place = _same_group(doc, key, list(spans))
    attrs = {name: value for name, value in group.attrs.items() if name != RELATIONS_ATTR}
    if scores is not None:
        attrs[SCORES_ATTR] = numpy.zeros(len(place), dtype="float32")
        for i, score in enumerate(scores):
            attrs[SCORES_ATTR][place[i]] = score
    if rows is not None:
        attrs[RELATIONS_ATTR] = [
            [place[head], place[tail], str(label), float(score)] for head, tail, label, score in rows
        ]
    group.attrs = attrs
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

    docs (Iterable[Doc]): The documents to join. Where only some of their groups of one name have relations, these are
        taken for all there are; where none has, they are not known in the joined one either.
    **kwargs (Any): Passed on to `Doc.from_docs`.
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
        groups = [doc.spans[key] for doc in docs if key in doc.spans]
        for group in groups:
            rows.extend((h + first, t + first, x, s) for h, t, x, s in group.attrs.get(RELATIONS_ATTR) or [])
            scores.extend(_scores(group, range(len(group))))
            first += len(group)
        known = any(group.attrs.get(RELATIONS_ATTR) is not None for group in groups)
        all_scores = scores if scores and len(scores) == first else None
        set_entities(joined, key, joined.spans[key], rows if known else None, all_scores)
    return joined


def blocked_tokens(doc: Doc) -> List[Span]:
    """The tokens that were set to be no part of any entity: `doc.set_ents(..., blocked=...)`.

    doc (Doc): The document.
    RETURNS (List[Span]): The tokens, each a span of its own.
    """
    return [doc[token.i : token.i + 1] for token in doc if token.ent_iob == 3 and not token.ent_type]


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
    groups = related_groups(doc)
    if groups:
        # Rather one that has some than one that has none.
        return max(groups, key=lambda name: bool(groups[name].attrs[RELATIONS_ATTR]))
    if DEFAULT_SPANS_KEY not in doc.spans and len(doc.spans) == 1 and not doc.ents:
        return next(iter(doc.spans))
    return DEFAULT_SPANS_KEY


def _same_group(doc: Doc, key: str, spans: Sequence[Span]) -> Tuple[SpanGroup, Dict[int, int]]:
    """The group that holds these spans, or a new one, and where in it each of them is."""

    def identify(span: Span) -> Tuple[int, ...]:
        return span.start, span.end, span.label, span.kb_id, span.id

    group = doc.spans.get(key)
    if group is not None and len(group) == len(spans):
        there = list(group)
        order = sorted(range(len(spans)), key=lambda i: identify(spans[i]))
        order_there = sorted(range(len(spans)), key=lambda i: identify(there[i]))
        if all(identify(spans[i]) == identify(there[j]) for i, j in zip(order, order_there)):
            return group, dict(zip(order, order_there))
    return SpanGroup(doc, name=key, spans=spans), {i: i for i in range(len(spans))}


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
        end = index.get((span.start, span.end, span.label))
        if span.doc is not doc or end is None:
            message = Errors.S006 if span.doc is not doc else Errors.S001
            place = {"index": i, "label": label, "doc": describe_doc(doc), "side": side, "span": describe_span(span)}
            raise ValueError(message.format(**place, key=key))
        ends.append(end)
    if ends[0] == ends[1]:
        raise ValueError(Errors.S002.format(index=i, label=label, doc=describe_doc(doc), span=describe_span(head)))
    return ends[0], ends[1], str(label), score


def _copy_group(doc: Doc, key: str, group: SpanGroup, kept: Sequence[int], offset: int) -> None:
    spans = list(group)
    position = {old: new for new, old in enumerate(kept)}
    stored = group.attrs.get(RELATIONS_ATTR)
    rows = None
    if stored is not None:
        rows = [(position[h], position[t], x, s) for h, t, x, s in stored if h in position and t in position]
    set_entities(doc, key, [_moved(doc, spans[i], offset) for i in kept], rows, _scores(group, kept) or None)


def _scores(group: SpanGroup, kept: Iterable[int]) -> List[float]:
    scores = group.attrs.get(SCORES_ATTR)
    return [] if scores is None else [float(scores[i]) for i in kept]


def _moved(doc: Doc, span: Span, offset: int) -> Span:
    return Span(doc, span.start + offset, span.end + offset, span.label_, kb_id=span.kb_id_, span_id=span.id_)
