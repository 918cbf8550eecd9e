"""Doccano's JSON lines with relations, one document a line:

    {"id": 1, "text": "Ann lives in Bonn.", "entities": [{"id": 4, "label": "PER", "start_offset": 0, "end_offset": 3},
     {"id": 5, "label": "LOC", "start_offset": 13, "end_offset": 17}], "relations": [{"id": 2, "from_id": 4, "to_id": 5,
     "type": "LIVES_IN"}], "Comments": []}

- Offsets are characters, ends are exclusive.
- The id goes to `doc.user_data["meta"]["id"]`; other fields are counted.
"""

from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, Optional, Union

from spacy.language import Language
from spacy.tokens import Doc

from .docs import defaults, doc_from_text
from .files import read_json_lines
from .gold import Gold
from .losses import Losses
from .values import note_fields, objects, take


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
