"""Doccano's JSON lines with relations, one document a line:

    {"id": 1, "text": "Ann lives in Bonn.", "entities": [{"id": 4, "label": "PER", "start_offset": 0, "end_offset": 3},
     {"id": 5, "label": "LOC", "start_offset": 13, "end_offset": 17}], "relations": [{"id": 2, "from_id": 4, "to_id": 5,
     "type": "LIVES_IN"}], "Comments": []}

- Ends are exclusive. Offsets count UTF-16 units, as Doccano does unless told otherwise; `offsets` chooses another unit.
- Older exports are read as well: `{"data": ..., "label": {"entities": [...], "relations": [...]}}`, and spans without
  relations, `{"text": ..., "label": [[0, 3, "PER"]]}`, in a field "label" or "labels". Without a list of relations they
  are not known.
- The id goes to `doc.user_data["meta"]["id"]`; other fields are counted.
"""

from collections import Counter
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple, Union

from spacy.language import Language
from spacy.tokens import Doc

from .docs import defaults, doc_from_text
from .files import read_json_lines
from .gold import Gold
from .jsonl import count_annotations, relations_given
from .losses import Losses
from .offsets import UTF16, Mention, check_unit, count_offsets, find_offsets
from .values import entries, id_of, note_fields, take
from .writing import SPACES, RecordWriter, take_meta

FIELDS = ("id", "text", "entities", "relations", "Comments")
# What they were called before.
OLDER = {"data": "text", "comments": "Comments", "labels": "label"}


def read_doccano(
    path: Union[str, Path],
    nlp: Optional[Language] = None,
    losses: Optional[Losses] = None,
    offsets: str = UTF16,
) -> Iterator[Doc]:
    """Read Doccano's JSON lines.

    path (Union[str, Path]): The file.
    nlp (Optional[Language]): Its tokenizer splits the texts. Blank English by default.
    losses (Optional[Losses]): Where to count what can't be kept. By default that is an error.
    offsets (str): What offsets count: "characters", "utf16" or "bytes".
    YIELDS (Doc): The documents.
    """
    check_unit(offsets)
    nlp, losses = defaults(nlp, losses)

    def build(record: Dict[str, Any], place: str) -> Iterable[Doc]:
        record = _as_now(record)
        note_fields(record, FIELDS, "record", losses)
        doc = doc_from_text(nlp, take(record, "text", str))
        gold = Gold(doc, losses, place, meta={"id": record["id"]} if "id" in record else None)
        found = entries(record, "entities")
        gold.relations_known = relations_given(record, losses)
        gold.offsets = find_offsets(gold.text, _mentions(found), None, losses, default=offsets)
        for where, entity in found:
            with gold.entry("entity", id_of(entity, "id")):
                start, end = take(entity, "start_offset", int, where), take(entity, "end_offset", int, where)
                gold.entity_chars(take(entity, "id", (int, str), where), start, end, entity.get("label"))
        for where, relation in entries(record, "relations", required=False):
            with gold.entry("relation"):
                head, tail = (take(relation, key, (int, str), where) for key in ("from_id", "to_id"))
                gold.relation(head, tail, relation.get("type"))
        yield gold.finish()

    return read_json_lines(path, build, losses, lambda record: count_annotations(_as_now(record)))


def _as_now(record: Any) -> Any:
    """A record of an older export in the form of today's."""
    if not isinstance(record, dict) or "entities" in record:
        return record
    now = {**record}
    for old, new in OLDER.items():
        if old in now and new not in now:
            now[new] = now.pop(old)
    label = now.get("label")
    if isinstance(label, dict):
        now.update({**now.pop("label")})
    elif isinstance(label, list):
        now["entities"] = [_from_list(n, span) for n, span in enumerate(now.pop("label"))]
    return now


def _from_list(n: int, span: Any) -> Any:
    if not isinstance(span, list) or len(span) != 3:
        return span
    return {"id": n, "start_offset": span[0], "end_offset": span[1], "label": span[2]}


def _mentions(found: List[Tuple[str, Any]]) -> List[Mention]:
    objects = [entity for _, entity in found if isinstance(entity, dict)]
    bounds = [(entity.get("start_offset"), entity.get("end_offset")) for entity in objects]
    return [Mention([(start, end)]) for start, end in bounds if isinstance(start, int) and isinstance(end, int)]


def write_doccano(
    docs: Iterable[Doc], path: Union[str, Path], losses: Optional[Losses] = None, *, offsets: str = UTF16
) -> Counter[str]:
    """Write Doccano's JSON lines.

    docs (Iterable[Doc]): The documents.
    path (Union[str, Path]): The file.
    losses (Optional[Losses]): Where to count what can't be kept. By default a loss is an error.
    offsets (str): What offsets count: "characters", "utf16" or "bytes".
    RETURNS (Counter[str]): The number of "documents", "entities" and "relations" written.
    RAISES (ValueError): If there are no documents.
    """
    check_unit(offsets)
    return RECORDS.write(docs, path, losses, offsets=offsets)


def _to_record(gold: Gold, offsets: str = UTF16) -> Dict[str, Any]:
    at = count_offsets(gold.text, offsets).starts
    return {
        **take_meta(gold, ("id",)),
        "text": gold.text,
        "entities": [
            {"id": i, "label": span.label_, "start_offset": at[span.start_char], "end_offset": at[span.end_char]}
            for i, span in enumerate(gold.spans)
        ],
        "relations": [
            {"id": i, "from_id": head, "to_id": tail, "type": label}
            for i, (head, tail, label, _) in enumerate(gold.rows)
        ],
    }


RECORDS = RecordWriter(_to_record, {SPACES})
