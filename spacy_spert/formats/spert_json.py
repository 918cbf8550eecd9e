"""The JSON of the original SpERT: one list of sentences, each

    {"tokens": ["Ann", "lives", "in", "Bonn"], "entities": [{"type": "PER", "start": 0, "end": 1}, {"type": "LOC",
    "start": 3, "end": 4}], "relations": [{"type": "LIVES_IN", "head": 0, "tail": 1}], "orig_id": 7}

- Offsets count in tokens, ends are exclusive, `head` and `tail` are indices into `entities`.
- `orig_id` is optional. It goes to `doc.user_data["meta"]`, as does an object `meta`.
- `types.json`, beside it, lists the labels under "entities" and "relations", each relation with a flag "symmetric". The
  flag belongs into the component's setting `symmetric_labels`.
- Written where they are needed to lose nothing, and read (the original ignores them): `spaces` (whether a blank follows
  each token), `sent_starts`, `meta`, and `score` of an entity or a relation.
"""

from collections import Counter
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Union

from spacy.language import Language
from spacy.tokens import Doc

from .docs import defaults, doc_from_tokens
from .files import read_json_list, read_whole
from .gold import Gold
from .jsonl import add_annotations, annotations, count_annotations, read_sentences, relations_given, sentence_starts
from .losses import Losses
from .values import expect, note_fields, parse_json, read_meta, take
from .writing import NO_SPACES, SCORES, SENTENCES, SPACES, TOKENS, UNKNOWN, RecordWriter, meta_of

# Most bytes of a types.json.
MAX_TYPES = 2**24
FIELDS = ("tokens", "spaces", "sent_starts", "entities", "relations", "orig_id", "meta")


class Types(NamedTuple):
    """The labels in a types.json.

    entities (List[str]): Entity labels.
    relations (List[str]): Relation labels.
    symmetric (List[str]): The relation labels that have no direction.
    """

    entities: List[str]
    relations: List[str]
    symmetric: List[str]


def read_types(path: Union[str, Path]) -> Types:
    """Read a types.json.

    path (Union[str, Path]): The file.
    RETURNS (Types): Its labels.
    RAISES (ValueError): If it has another form.
    """
    try:
        value = expect(parse_json(read_whole(Path(path), MAX_TYPES)), dict, "the file")
        entities, relations = take(value, "entities", dict), take(value, "relations", dict)
        for label, entry in relations.items():
            expect(entry, dict, f"relation '{label}'")
        symmetric = [label for label, entry in relations.items() if entry.get("symmetric")]
    except ValueError as err:
        raise ValueError(f"{path}: {err}") from err
    return Types(list(entities), list(relations), symmetric)


def read_spert_json(
    path: Union[str, Path],
    nlp: Optional[Language] = None,
    losses: Optional[Losses] = None,
    types: Union[str, Path, None] = None,
) -> Iterator[Doc]:
    """Read SpERT's JSON.

    path (Union[str, Path]): The file.
    nlp (Optional[Language]): The vocabulary. Blank English by default.
    losses (Optional[Losses]): Where to count what can't be kept. By default that is an error.
    types (Union[str, Path, None]): A types.json. Entities and relations with a label that is not in it are left out.
    YIELDS (Doc): The documents.
    """
    nlp, losses = defaults(nlp, losses)
    labels = None if types is None else read_types(types)

    def build(record: Dict[str, Any], place: str) -> Iterable[Doc]:
        note_fields(record, FIELDS, "record", losses)
        doc = doc_from_tokens(nlp, take(record, "tokens", list))
        if record.get("spaces") is not None:
            with losses.entry("blanks between tokens", place):
                doc = doc_from_tokens(nlp, record["tokens"], record["spaces"])
        if record.get("sent_starts") is not None:
            read_sentences(doc, record, {i: i for i in range(len(doc))}, lambda kind: losses.entry(kind, place))
        meta = read_meta(record, losses, place)
        if "orig_id" in record:
            meta = {**(meta or {}), "orig_id": record["orig_id"]}
        gold = Gold(doc, losses, place, meta=meta)
        if labels is not None:
            gold.entity_labels, gold.relation_labels = labels.entities, labels.relations
        take(record, "entities", list)
        gold.relations_known = relations_given(record, losses)
        add_annotations(gold, record, "type")
        yield gold.finish()

    return read_json_list(path, build, losses, count_annotations)


def write_spert_json(docs: Iterable[Doc], path: Union[str, Path], losses: Optional[Losses] = None) -> Counter[str]:
    """Write SpERT's JSON. Reading it gives the same documents again.

    docs (Iterable[Doc]): The documents.
    path (Union[str, Path]): The file.
    losses (Optional[Losses]): Where to count what can't be kept. By default a loss is an error.
    RETURNS (Counter[str]): The number of "documents", "entities" and "relations" written.
    RAISES (ValueError): If there are no documents.
    """
    return RECORDS.write(docs, path, losses)


def _to_record(gold: Gold) -> Dict[str, Any]:
    doc = gold.doc
    record: Dict[str, Any] = {"tokens": [token.text for token in doc]}
    if not doc.has_unknown_spaces:
        record["spaces"] = [bool(token.whitespace_) for token in doc]
    record.update(sentence_starts(doc), **annotations(gold, "type"))
    meta = meta_of(doc)
    if meta is not None:
        rest = {key: value for key, value in meta.items() if key != "orig_id"}
        if "orig_id" in meta:
            record["orig_id"] = meta["orig_id"]
        if rest or "orig_id" not in meta:
            record["meta"] = rest
    return record


RECORDS = RecordWriter(
    _to_record, {TOKENS, SPACES, NO_SPACES, SENTENCES, SCORES, UNKNOWN}, before="[", between=",\n", after="]\n"
)
