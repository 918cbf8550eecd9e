"""Label Studio's JSON export (not JSON-MIN, which has no relations): one list of tasks, each

    {"id": 1, "data": {"text": "Ann lives in Bonn."}, "annotations": [{"result": [
     {"id": "a", "type": "labels", "value": {"start": 0, "end": 3, "text": "Ann", "labels": ["PER"]}},
     {"id": "b", "type": "labels", "value": {"start": 13, "end": 17, "text": "Bonn", "labels": ["LOC"]}},
     {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right", "labels": ["LIVES_IN"]}]}]}

- Offsets are characters, ends are exclusive. Spans of HyperText have paths instead: they are counted and left out.
- `direction` "right" goes from `from_id` to `to_id`, "left" the other way; "bi" becomes a relation each way.
- A task with several annotations: the first that is not cancelled is read, the others are counted. Predictions are not
  read.
- The text is `data["text"]`, else the only string in `data`.
- Other kinds of results (choices, ratings) are counted and left out.
- The task's id goes to `doc.user_data["meta"]["id"]`.
"""

from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, Optional, Union

from spacy.language import Language
from spacy.tokens import Doc

from .docs import defaults, doc_from_text
from .errors import Errors, Reasons
from .files import read_json_list
from .gold import Gold
from .losses import Losses, shorten
from .values import expect, objects, take


def read_labelstudio(
    path: Union[str, Path], nlp: Optional[Language] = None, losses: Optional[Losses] = None
) -> Iterator[Doc]:
    """Read Label Studio's JSON export.

    path (Union[str, Path]): The file.
    nlp (Optional[Language]): Its tokenizer splits the texts. Blank English by default.
    losses (Optional[Losses]): Where to count what can't be kept. By default that is an error.
    YIELDS (Doc): The documents.
    """
    nlp, losses = defaults(nlp, losses)

    def build(record: Dict[str, Any], place: str) -> Iterable[Doc]:
        annotations = [a for _, a in objects(record, "annotations") if not a.get("was_cancelled")]
        if not annotations:
            losses.note("record: no annotation")
            return
        losses.note("record: further annotation of the same task", len(annotations) - 1)
        gold = Gold(doc_from_text(nlp, _text(take(record, "data", dict))), losses, place)
        results = list(objects(annotations[0], "result"))
        for where, result in results:
            if result.get("type") == "labels":
                _add_entity(gold, result, where)
            elif result.get("type") != "relation":
                losses.note(f"result: type {shorten(repr(result.get('type')))} not kept")
        for where, result in results:
            if result.get("type") == "relation":
                _add_relations(gold, result, where)
        yield gold.finish({"id": record["id"]} if "id" in record else None)

    return read_json_list(path, build, losses)


def _text(data: Dict[str, Any]) -> str:
    strings = [value for value in data.values() if isinstance(value, str)]
    if isinstance(data.get("text"), str):
        return data["text"]
    if len(strings) != 1:
        raise ValueError(Errors.F036.format(keys=shorten(str(list(data)), 400)))
    return strings[0]


def _add_entity(gold: Gold, result: Dict[str, Any], where: str) -> None:
    key, value = take(result, "id", str, where), take(result, "value", dict, where)
    start, end = value.get("start"), value.get("end")
    labels = expect(value.get("labels") or [None], list, f"'labels' of {where}")
    if not isinstance(start, int) or not isinstance(end, int):
        what = f"Entity {shorten(key)} ({shorten(repr(labels[0]))})"
        message = Errors.F038.format(what=what, value=shorten(repr(start)))
        gold.lose(key, Reasons.NO_OFFSETS, message)
        return
    # Line breaks are escaped twice in the export.
    text = value["text"].replace("\\n", "\n") if isinstance(value.get("text"), str) else None
    for n, label in enumerate(labels):
        # Further labels of a span need keys of their own: relations mean the first.
        gold.entity_chars(key if n == 0 else (key, n), start, end, label, text=text)


def _add_relations(gold: Gold, result: Dict[str, Any], where: str) -> None:
    head, tail = take(result, "from_id", str, where), take(result, "to_id", str, where)
    direction = result.get("direction") or "right"
    pairs = {"right": [(head, tail)], "left": [(tail, head)], "bi": [(head, tail), (tail, head)]}
    if not isinstance(direction, str) or direction not in pairs:
        expected = "one of " + ", ".join(pairs)
        raise ValueError(
            Errors.F002.format(where=f"'direction' of {where}", expected=expected, value=shorten(repr(direction)))
        )
    for label in expect(result.get("labels") or [None], list, f"'labels' of {where}"):
        for pair in pairs[direction]:
            gold.relation(*pair, label)
        gold.losses.note("relation: direction 'bi', kept as one each way", int(direction == "bi"))
