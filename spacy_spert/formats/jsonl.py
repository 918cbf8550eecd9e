"""Our own JSON lines, one document a line:

    {"text": "Ann lives in Bonn.", "entities": [{"start": 0, "end": 3, "label": "PER"}, {"start": 13, "end": 17,
    "label": "LOC"}], "relations": [{"head": 0, "tail": 1, "label": "LIVES_IN"}], "meta": {"id": 7}}

- `text` or `tokens` (a list of strings). Offsets count in characters for `text`, else in tokens. Ends are exclusive.
- `head` and `tail` are indices into `entities`, from 0.
- `relations` and `meta` may be left out. `meta` is any object; it goes to `doc.user_data["meta"]`.
- Written where they are needed to lose nothing, and read: `token_offsets` ([start, end] in characters of each token of
  a text), `sent_starts` (offsets where sentences begin), `score` of an entity or a relation.

A text is split by the tokenizer of the language, unless `token_offsets` are there.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Tuple, Union

from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.util import filter_spans

from ..relations import DEFAULT_SPANS_KEY, RELATIONS_ATTR, SCORES_ATTR, describe_doc
from .docs import defaults, doc_from_text, doc_from_tokens, mark_sentences
from .errors import Errors, Reasons
from .files import open_whole, read_json_lines
from .gold import Gold
from .losses import Losses, StrictError
from .values import expect, note_fields, objects, take

FIELDS = ("text", "tokens", "token_offsets", "sent_starts", "entities", "relations", "meta")
NUMBER = (int, float)
# Annotation of a Doc that has no place in a record. Entities and sentences have.
OTHER_ATTRS = ("TAG", "POS", "MORPH", "LEMMA", "DEP")


def read_jsonl(
    path: Union[str, Path], nlp: Optional[Language] = None, losses: Optional[Losses] = None
) -> Iterator[Doc]:
    """Read our own JSON lines.

    path (Union[str, Path]): The file.
    nlp (Optional[Language]): Its tokenizer splits texts. Blank English by default.
    losses (Optional[Losses]): Where to count what can't be kept. By default that is an error.
    YIELDS (Doc): The documents.
    """
    nlp, losses = defaults(nlp, losses)

    def build(record: Dict[str, Any], place: str) -> Iterable[Doc]:
        note_fields(record, FIELDS, "record", losses)
        gold = Gold(make_doc(nlp, record), losses, place, exact=True)
        add_annotations(gold, record, "label", "text" in record)
        yield gold.finish(given_meta(record))

    return read_json_lines(path, build, losses)


def write_jsonl(docs: Iterable[Doc], path: Union[str, Path], losses: Optional[Losses] = None) -> Counter[str]:
    """Write our own JSON lines. Reading them gives the same documents again.

    docs (Iterable[Doc]): The documents.
    path (Union[str, Path]): The file.
    losses (Optional[Losses]): Where to count what can't be kept. By default a loss is an error.
    RETURNS (Counter[str]): The number of "documents", "entities" and "relations" written.
    RAISES (ValueError): If there are no documents.
    """
    return write_records(docs, _to_record, path, losses, "", "\n", "\n")


def make_doc(nlp: Language, record: Dict[str, Any]) -> Doc:
    """Make a Doc of the text or the tokens of a record, with its sentences.

    nlp (Language): The tokenizer and vocabulary.
    record (Dict[str, Any]): The JSON object.
    RETURNS (Doc): The document, without entities.
    RAISES (ValueError): If a value is missing or unusable.
    """
    in_text = "text" in record
    if in_text == ("tokens" in record):
        raise ValueError(Errors.F005.format(n="both" if in_text else "neither"))
    if in_text:
        doc = doc_from_text(nlp, record["text"], record.get("token_offsets"))
    else:
        doc = doc_from_tokens(nlp, record["tokens"])
    if record.get("sent_starts") is not None:
        tokens = {token.idx if in_text else token.i: token.i for token in doc}
        mark_sentences(doc, {_token_at(tokens, start) for start in take(record, "sent_starts", list)})
    return doc


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
    for i, (where, value) in enumerate(objects(record, "entities")):
        note_fields(value, ("start", "end", label, "score"), "entity", gold.losses)
        start, end = take(value, "start", int, where), take(value, "end", int, where)
        score = take(value, "score", NUMBER, where) if "score" in value else None
        add(i, start, end, take(value, label, str, where), score)
    for where, value in objects(record, "relations", required=False):
        note_fields(value, ("head", "tail", label, "score"), "relation", gold.losses)
        head, tail = take(value, "head", int, where), take(value, "tail", int, where)
        score = take(value, "score", NUMBER, where) if "score" in value else 1.0
        gold.relation(head, tail, take(value, label, str, where), score)


def write_records(
    docs: Iterable[Doc],
    to_record: Callable[[Gold], Dict[str, Any]],
    path: Union[str, Path],
    losses: Optional[Losses],
    before: str,
    between: str,
    after: str,
) -> Counter[str]:
    """Write Docs as JSON objects, counting what has no place in them.

    docs (Iterable[Doc]): The documents.
    to_record (Callable[[Gold], Dict[str, Any]]): Makes the object of a document's checked entities and relations.
    path (Union[str, Path]): The file.
    losses (Optional[Losses]): Where to count. By default a loss is an error.
    before (str): What stands before the first object.
    between (str): What stands between objects.
    after (str): What stands after the last object.
    RETURNS (Counter[str]): The number of "documents", "entities" and "relations" written.
    RAISES (ValueError): If there are no documents.
    """
    losses = Losses(strict=True) if losses is None else losses
    kept: Counter[str] = Counter()
    with open_whole(path) as file_:
        for i, doc in enumerate(docs, start=1):
            place = f"document {i}, {describe_doc(doc)}"
            try:
                gold = _gold_of(doc, losses, place)
                line = json.dumps(to_record(gold), ensure_ascii=False, allow_nan=False)
            except StrictError:
                raise
            except (ValueError, TypeError) as err:
                losses.drop(Reasons.BROKEN, f"{place}: {err}")
                continue
            _note_others(gold)
            file_.write((between if kept else before) + line)
            kept.update(documents=1, entities=len(gold.spans), relations=len(gold.rows))
        if not kept:
            raise ValueError(Errors.F022)
        file_.write(after)
    return kept


def annotations(gold: Gold, label: str, in_text: bool = False) -> Dict[str, Any]:
    """The reverse of `add_annotations`.

    gold (Gold): The entities and relations.
    label (str): The name of the field that holds the label.
    in_text (bool): Whether offsets count in characters.
    RETURNS (Dict[str, Any]): The fields "entities" and "relations".
    """
    entities: List[Dict[str, Any]] = []
    for span, score in zip(gold.spans, gold.scores):
        start, end = (span.start_char, span.end_char) if in_text else (span.start, span.end)
        entities.append({"start": start, "end": end, label: span.label_, **({} if score is None else {"score": score})})
    relations = [
        {"head": head, "tail": tail, label: name, **({} if score == 1.0 else {"score": score})}
        for head, tail, name, score in gold.rows
    ]
    return {"entities": entities, "relations": relations}


def sentence_starts(doc: Doc, in_text: bool = False) -> Dict[str, Any]:
    """RETURNS (Dict[str, Any]): The field "sent_starts", if the document has sentence marks."""
    if not doc.has_annotation("SENT_START"):
        return {}
    return {"sent_starts": [token.idx if in_text else token.i for token in doc if token.is_sent_start]}


def meta_of(doc: Doc) -> Optional[Dict[str, Any]]:
    """RETURNS (Optional[Dict[str, Any]]): The meta data of a document, if it has any."""
    meta = doc.user_data.get("meta")
    return None if meta is None else expect(meta, dict, "doc.user_data['meta']")


def _to_record(gold: Gold) -> Dict[str, Any]:
    doc = gold.doc
    in_text = not doc.has_unknown_spaces
    if in_text:
        record: Dict[str, Any] = {"text": doc.text, "token_offsets": [[t.idx, t.idx + len(t)] for t in doc]}
    else:
        record = {"tokens": [token.text for token in doc]}
    record.update(sentence_starts(doc, in_text), **annotations(gold, "label", in_text))
    meta = meta_of(doc)
    return record if meta is None else {**record, "meta": meta}


def _token_at(tokens: Dict[int, int], start: Any) -> int:
    if expect(start, int, "a value of 'sent_starts'") not in tokens:
        raise ValueError(Errors.F009.format(start=start))
    return tokens[start]


def _entities(doc: Doc) -> Iterable[Span]:
    if DEFAULT_SPANS_KEY in doc.spans:
        return doc.spans[DEFAULT_SPANS_KEY]
    return doc.ents


def _gold_of(doc: Doc, losses: Losses, place: str) -> Gold:
    gold = Gold(doc, losses, place, exact=True)
    attrs = doc.spans[DEFAULT_SPANS_KEY].attrs if DEFAULT_SPANS_KEY in doc.spans else {}
    scores = attrs.get(SCORES_ATTR)
    for i, span in enumerate(_entities(doc)):
        gold.entity(i, span.start, span.end, span.label_, None if scores is None else float(scores[i]))
    for head, tail, label, score in attrs.get(RELATIONS_ATTR) or []:
        gold.relation(head, tail, label, score)
    return gold


def _note_others(gold: Gold) -> None:
    doc = gold.doc
    flat = {(span.start, span.end, span.label) for span in filter_spans(gold.spans)}
    kinds: List[Tuple[str, bool]] = [(attr, doc.has_annotation(attr)) for attr in OTHER_ATTRS]
    kinds += [(f"span group '{key}'", True) for key in doc.spans if key != DEFAULT_SPANS_KEY]
    kinds.append(("cats", bool(doc.cats)))
    kinds.append(("other user data", any(key != "meta" for key in doc.user_data)))
    kinds.append(("own choice of doc.ents", flat != {(span.start, span.end, span.label) for span in doc.ents}))
    kinds.append(("ids of entities", any(span.kb_id or span.id for span in _entities(doc))))
    for kind, found in kinds:
        if found:
            gold.losses.note(f"document: {kind} not kept")
