"""Our own JSON lines, one document a line:

    {"text": "Ann lives in Bonn.", "entities": [{"start": 0, "end": 3, "label": "PER"}, {"start": 13, "end": 17,
    "label": "LOC"}], "relations": [{"head": 0, "tail": 1, "label": "LIVES_IN"}], "meta": {"id": 7}}

- `text` or `tokens` (a list of strings). Offsets count in characters for `text`, else in tokens. Ends are exclusive.
- `head` and `tail` are indices into `entities`, from 0.
- `relations` and `meta` may be left out. Without `relations` they are not known: nobody has looked for them. `meta` is
  any object; it goes to `doc.user_data["meta"]`.
- Written where they are needed to lose nothing, and read: `token_offsets` ([start, end] in characters of each token of
  a text), `sent_starts` (offsets where sentences begin), `score` of an entity or a relation.

A text is split by the tokenizer of the language, unless `token_offsets` are there.
"""

from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import (
    Any,
    Callable,
    ContextManager,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Set,
    Union,
)

from spacy.language import Language
from spacy.tokens import Doc, Span, SpanGroup

from ..relations import DEFAULT_SPANS_KEY, RELATIONS_ATTR, SCORES_ATTR, SpanKey, check_tokens, related_groups
from .docs import defaults, doc_from_text, doc_from_tokens, mark_sentences
from .errors import Errors, Reasons
from .files import read_json_lines
from .gold import Gold
from .losses import Losses
from .offsets import CHARACTERS, check_unit, count_offsets
from .values import count_entries, entries, expect, note_fields, read_meta, take
from .writing import NO_SPACES, SCORES, SENTENCES, SPACES, TOKENS, UNKNOWN, RecordWriter, meta_of, score_of

FIELDS = ("text", "tokens", "token_offsets", "sent_starts", "entities", "relations", "meta")
NUMBER = (int, float)
EntryT = Callable[[str], ContextManager[None]]
# Further decimals of a score depend on what else is in the batch.
DECIMALS = 6


def read_jsonl(
    path: Union[str, Path],
    nlp: Optional[Language] = None,
    losses: Optional[Losses] = None,
    offsets: str = CHARACTERS,
) -> Iterator[Doc]:
    """Read our own JSON lines.

    path (Union[str, Path]): The file.
    nlp (Optional[Language]): Its tokenizer splits texts. Blank English by default.
    losses (Optional[Losses]): Where to count what can't be kept. By default that is an error.
    offsets (str): What offsets in a text count: "characters", "utf16" or "bytes".
    YIELDS (Doc): The documents.
    """
    check_unit(offsets)
    nlp, losses = defaults(nlp, losses)

    def build(record: Dict[str, Any], place: str) -> Iterable[Doc]:
        note_fields(record, FIELDS, "record", losses)
        doc = make_doc(nlp, record, offsets, lambda kind: losses.entry(kind, place))
        gold = Gold(doc, losses, place, meta=read_meta(record, losses, place))
        in_text = "text" in record
        if in_text:
            gold.offsets = count_offsets(gold.text, offsets)
        take(record, "entities", list)
        gold.relations_known = relations_given(record, losses)
        add_annotations(gold, record, "label", in_text)
        yield gold.finish()

    return read_json_lines(path, build, losses, count_annotations)


def write_jsonl(
    docs: Iterable[Doc], path: Union[str, Path], losses: Optional[Losses] = None, *, offsets: str = CHARACTERS
) -> Counter[str]:
    """Write our own JSON lines. Reading them gives the same documents again.

    docs (Iterable[Doc]): The documents.
    path (Union[str, Path]): The file.
    losses (Optional[Losses]): Where to count what can't be kept. By default a loss is an error.
    offsets (str): What offsets in a text count: "characters", "utf16" or "bytes".
    RETURNS (Counter[str]): The number of "documents", "entities" and "relations" written.
    RAISES (ValueError): If there are no documents.
    """
    check_unit(offsets)
    return RECORDS.write(docs, path, losses, offsets=offsets)


def to_json(doc: Doc, spans_key: Optional[str] = None, in_text: Optional[bool] = None) -> Dict[str, Any]:
    """A document in plain values, as `spacy spert extract` writes it and a service sends it.

    doc (Doc): The document.
    spans_key (Optional[str]): The span group of the entities; doc.ents where there is none. By default all groups that
        hold relations. Where none does, `doc.spans["spert"]`, or else those that hold scores.
    in_text (Optional[bool]): Whether to give the text and offsets in characters, or the tokens and offsets in tokens.
        By default the text, unless the document was made of tokens without one.
    RETURNS (Dict[str, Any]): "text" or "tokens", "entities", "relations" unless they are not known, and "meta" if
        `doc.user_data` has it. Scores have six decimals.
    RAISES (ValueError): If tokens were merged or split after the entities were found.
    """
    in_text = not doc.has_unknown_spaces if in_text is None else in_text
    # One that several groups hold is in here once.
    at = range(len(doc.text) + 1) if in_text else None
    entities: Dict[SpanKey, Dict[str, Any]] = {}
    index: Dict[SpanKey, int] = {}
    relations: Optional[List[Dict[str, Any]]] = None
    for key, group in _groups_to_show(doc, spans_key).items():
        check_tokens(doc, key)
        places: List[int] = []
        scores = group.attrs.get(SCORES_ATTR)
        for i, span in enumerate(group):
            same = (span.start, span.end, span.label)
            places.append(index.setdefault(same, len(index)))
            entity = entities.setdefault(same, {**_bounds(span, at), "label": span.label_})
            if scores is not None:
                entity.setdefault("score", round(float(scores[i]), DECIMALS))
        if group.attrs.get(RELATIONS_ATTR) is not None:
            relations = [] if relations is None else relations
            for head, tail, label, score in group.attrs[RELATIONS_ATTR]:
                ends = {"head": places[head], "tail": places[tail]}
                relations.append({**ends, "label": label, "score": round(score, DECIMALS)})
    meta = meta_of(doc)
    return {
        **({"text": doc.text} if in_text else {"tokens": [token.text for token in doc]}),
        "entities": list(entities.values()),
        **({} if relations is None else {"relations": relations}),
        **({} if meta is None else {"meta": meta}),
    }


def _groups_to_show(doc: Doc, key: Optional[str]) -> Dict[str, SpanGroup]:
    """The span groups whose entities are shown."""
    if key is None:
        groups = related_groups(doc)
        if not groups and DEFAULT_SPANS_KEY not in doc.spans:
            groups = {name: group for name, group in doc.spans.items() if SCORES_ATTR in group.attrs}
        if groups:
            return groups
        key = DEFAULT_SPANS_KEY
    return {key: doc.spans[key] if key in doc.spans else SpanGroup(doc, name=key, spans=list(doc.ents))}


def make_doc(
    nlp: Language,
    record: Dict[str, Any],
    unit: str = CHARACTERS,
    entry: EntryT = lambda kind: nullcontext(),
) -> Doc:
    """Make a Doc of the text or the tokens of a record, with its sentences.

    nlp (Language): The tokenizer and vocabulary.
    record (Dict[str, Any]): The JSON object.
    unit (str): What offsets in a text count.
    entry (EntryT): For the kind of a part that may be left out, the context in which it is read. By default its errors
        are those of the record.
    RETURNS (Doc): The document, without entities.
    RAISES (ValueError): If a value is missing or unusable.
    """
    in_text = "text" in record
    if in_text == ("tokens" in record):
        raise ValueError(Errors.F005.format(n="both" if in_text else "neither"))
    if in_text:
        offsets = count_offsets(expect(record["text"], str, "'text'"), unit)
        doc = doc_from_text(nlp, record["text"], record.get("token_offsets"), offsets)
    else:
        doc = doc_from_tokens(nlp, record["tokens"])
    if record.get("sent_starts") is not None:
        tokens = {offsets.from_char(token.idx) if in_text else token.i: token.i for token in doc}
        read_sentences(doc, record, tokens, entry)
    return doc


def read_sentences(doc: Doc, record: Dict[str, Any], tokens: Mapping[int, int], entry: EntryT) -> None:
    """Mark the sentences that a record has.

    doc (Doc): The document.
    record (Dict[str, Any]): The JSON object, with a field "sent_starts".
    tokens (Mapping[int, int]): The tokens by the offsets at which they begin.
    entry (EntryT): As for `make_doc`.
    """
    with entry("sentence marks"):
        values = take(record, "sent_starts", list)
        starts: Set[int] = set()
        for value in values:
            with entry("sentence start"):
                starts.add(_token_at(tokens, value))
        # Of odd ones alone nothing is known.
        if starts or not values:
            mark_sentences(doc, starts)


def given_meta(record: Dict[str, Any]) -> Optional[Dict[str, Any]]:
    """RETURNS (Optional[Dict[str, Any]]): The meta data of a record, if it has any."""
    return take(record, "meta", dict) if record.get("meta") is not None else None


def add_annotations(gold: Gold, record: Dict[str, Any], label: str, in_text: bool = False) -> None:
    """Read entities by offsets and relations by index.

    gold (Gold): Where they go.
    record (Dict[str, Any]): The JSON object.
    label (str): The name of the field that holds the label.
    in_text (bool): Whether offsets count in characters.
    RAISES (ValueError): If a value is missing or unusable.
    """
    add = gold.entity_chars if in_text else gold.entity
    for i, (where, value) in enumerate(entries(record, "entities")):
        with gold.entry("entity", i):
            start, end = take(value, "start", int, where), take(value, "end", int, where)
            note_fields(value, ("start", "end", label, "score"), "entity", gold.losses)
            score = take(value, "score", NUMBER, where) if "score" in value else None
            add(i, start, end, take(value, label, str, where), score)
    for where, value in entries(record, "relations", required=False):
        with gold.entry("relation"):
            head, tail = take(value, "head", int, where), take(value, "tail", int, where)
            note_fields(value, ("head", "tail", label, "score"), "relation", gold.losses)
            score = take(value, "score", NUMBER, where) if "score" in value else 1.0
            gold.relation(head, tail, take(value, label, str, where), score)


def count_annotations(record: Any) -> List[int]:
    """RETURNS (List[int]): The numbers of entities and relations in a record, whatever else is in it."""
    return count_entries(record, "entities", "relations")


def relations_given(record: Dict[str, Any], losses: Losses, key: str = "relations") -> bool:
    """Find out whether the relations of a record are annotated. If not, that is counted.

    record (Dict[str, Any]): The JSON object.
    losses (Losses): Where to count.
    key (str): The name of the field.
    RETURNS (bool): Whether the field is there. If it is an empty list, there are known to be none.
    RAISES (ValueError): If it is not a list.
    """
    if record.get(key) is None:
        losses.note(Reasons.NOT_ANNOTATED.format(key=key))
        return False
    take(record, key, list)
    return True


def annotations(gold: Gold, label: str, at: Optional[Sequence[int]] = None) -> Dict[str, Any]:
    """The reverse of `add_annotations`.

    gold (Gold): The entities and relations.
    label (str): The name of the field that holds the label.
    at (Optional[Sequence[int]]): Where each character begins, and where the text ends. By default offsets are tokens.
    RETURNS (Dict[str, Any]): The fields "entities" and, if relations are known, "relations".
    """
    entities: List[Dict[str, Any]] = []
    for span, score in zip(gold.spans, gold.scores):
        entities.append({**_bounds(span, at), label: span.label_, **score_of(score)})
    if not gold.relations_known:
        return {"entities": entities}
    relations = [
        {"head": head, "tail": tail, label: name, **({} if score == 1.0 else {"score": score})}
        for head, tail, name, score in gold.rows
    ]
    return {"entities": entities, "relations": relations}


def sentence_starts(doc: Doc, at: Optional[Sequence[int]] = None) -> Dict[str, Any]:
    """Make the field "sent_starts".

    doc (Doc): The document.
    at (Optional[Sequence[int]]): Where each character begins. By default offsets are tokens.
    RETURNS (Dict[str, Any]): The field, if the document has sentence marks.
    """
    if not doc.has_annotation("SENT_START"):
        return {}
    return {"sent_starts": [token.i if at is None else at[token.idx] for token in doc if token.is_sent_start]}


def _to_record(gold: Gold, offsets: str = CHARACTERS) -> Dict[str, Any]:
    doc = gold.doc
    at: Optional[Sequence[int]] = None
    if doc.has_unknown_spaces:
        record: Dict[str, Any] = {"tokens": [token.text for token in doc]}
    else:
        at = count_offsets(gold.text, offsets).starts
        record = {"text": gold.text, "token_offsets": [[at[t.idx], at[t.idx + len(t)]] for t in doc]}
    record.update(sentence_starts(doc, at), **annotations(gold, "label", at))
    meta = meta_of(doc)
    return record if meta is None else {**record, "meta": meta}


RECORDS = RecordWriter(_to_record, keeps={TOKENS, SPACES, NO_SPACES, SENTENCES, SCORES, UNKNOWN})


def _bounds(span: Span, at: Optional[Sequence[int]]) -> Dict[str, int]:
    if at is None:
        return {"start": span.start, "end": span.end}
    return {"start": at[span.start_char], "end": at[span.end_char]}


def _token_at(tokens: Mapping[int, int], start: Any) -> int:
    if expect(start, int, "a value of 'sent_starts'") not in tokens:
        raise ValueError(Errors.F009.format(start=start))
    return tokens[start]
