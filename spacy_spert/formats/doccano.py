"""Doccano's JSON lines with relations, one document a line:

    {"id": 1, "text": "Ann lives in Bonn.", "entities": [{"id": 4, "label": "PER", "start_offset": 0, "end_offset": 3},
     {"id": 5, "label": "LOC", "start_offset": 13, "end_offset": 17}], "relations": [{"id": 2, "from_id": 4, "to_id": 5,
     "type": "LIVES_IN"}], "Comments": []}

- Offsets are characters, ends are exclusive.
- The id goes to `doc.user_data["meta"]["id"]`; other fields are counted.
"""

from collections import Counter
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, Optional, Union

from spacy.language import Language
from spacy.tokens import Doc

from .docs import defaults, doc_from_text
from .files import read_json_lines
from .gold import Gold
from .losses import Losses
from .offsets import UTF16, check_unit, positions
from .values import note_fields, objects, take
from .writing import SPACES, RecordWriter, take_meta


def read_doccano(
    path: Union[str, Path], nlp: Optional[Language] = None, losses: Optional[Losses] = None
) -> Iterator[Doc]:
    """Read Doccano's JSON lines.

    path (Union[str, Path]): The file.
    nlp (Optional[Language]): Its tokenizer splits the texts. Blank English by default.
    losses (Optional[Losses]): Where to count what can't be kept. By default that is an error.
    YIELDS (Doc): The documents.
    """
    nlp, losses = defaults(nlp, losses)

    def build(record: Dict[str, Any], place: str) -> Iterable[Doc]:
        note_fields(record, ("id", "text", "entities", "relations", "Comments"), "record", losses)
        gold = Gold(doc_from_text(nlp, take(record, "text", str)), losses, place)
        for where, entity in objects(record, "entities"):
            start, end = take(entity, "start_offset", int, where), take(entity, "end_offset", int, where)
            gold.entity_chars(take(entity, "id", (int, str), where), start, end, entity.get("label"))
        for where, relation in objects(record, "relations", required=False):
            head, tail = (take(relation, key, (int, str), where) for key in ("from_id", "to_id"))
            gold.relation(head, tail, relation.get("type"))
        yield gold.finish({"id": record["id"]} if "id" in record else None)

    return read_json_lines(path, build, losses)


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
    at = positions(gold.text, offsets)
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
