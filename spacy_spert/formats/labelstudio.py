"""Label Studio's JSON export (not JSON-MIN, which has no relations): one list of tasks, each

    {"id": 1, "data": {"text": "Ann lives in Bonn."}, "annotations": [{"result": [
     {"id": "a", "type": "labels", "value": {"start": 0, "end": 3, "text": "Ann", "labels": ["PER"]}},
     {"id": "b", "type": "labels", "value": {"start": 13, "end": 17, "text": "Bonn", "labels": ["LOC"]}},
     {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right", "labels": ["LIVES_IN"]}]}]}

- Ends are exclusive. What offsets count is found by the texts of the spans, each CR LF as one among it; characters if
  these don't tell. Spans of HyperText have paths instead: they are counted and left out.
- `direction` "right" goes from `from_id` to `to_id`, "left" the other way; "bi" becomes a relation each way. It is
  "right" if it is not there.
- Line breaks in the texts of spans are written as a backslash and an n, as such signs in the text are.
- A task with several annotations: the first that is not cancelled is read, the others are counted.
- `predictions` are a list like `annotations`, each with `model_version` and `score`; their results may have a `score`.
  People see the newest and make an annotation of it. They are written, and read only if that is asked for.
- The text is `data["text"]`, else the only string in `data`.
- Other kinds of results (choices, ratings) are counted and left out.
- JSON-MIN is refused, and so are tasks that hold a URL in place of the text: where it looks like one, and no span has
  its text in it.
- The task's id goes to `doc.user_data["meta"]["id"]`, unless its `meta`, an object which Label Studio leaves as it is,
  has an id: that of the text before Label Studio gave it a new one.
"""

import re
from collections import Counter
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple, Union

from spacy.language import Language
from spacy.tokens import Doc

from .docs import defaults, doc_from_text
from .errors import Errors, Reasons
from .files import read_json_list
from .gold import Gold
from .losses import Losses, shorten
from .offsets import CHARACTERS, Mention, check_unit, count_offsets, find_offsets, same_text
from .values import entries, expect, id_of, read_meta, read_score, take
from .writing import SCORES, SPACES, RecordWriter, meta_of, score_of

# What Label Studio loads texts from. Names of files may have blanks.
URL = re.compile(
    r"\s*([a-z][a-z0-9+.-]*://\S+|(s3|gs|azure-blob)://.+|/data/\S+|/data/(upload|local-files)/.+|upload/\d+/.+)\s*",
    re.IGNORECASE,
)
MODEL_VERSION = "spacy-spert"


def read_labelstudio(
    path: Union[str, Path],
    nlp: Optional[Language] = None,
    losses: Optional[Losses] = None,
    offsets: Optional[str] = None,
    predictions: bool = False,
) -> Iterator[Doc]:
    """Read Label Studio's JSON export.

    path (Union[str, Path]): The file.
    nlp (Optional[Language]): Its tokenizer splits the texts. Blank English by default.
    losses (Optional[Losses]): Where to count what can't be kept. By default that is an error.
    offsets (Optional[str]): What offsets count: "characters", "utf16" or "bytes". By default the spans tell.
    predictions (bool): Where a task has no annotation, read its last prediction.
    YIELDS (Doc): The documents.
    """
    check_unit(offsets)
    nlp, losses = defaults(nlp, losses)

    def build(record: Dict[str, Any], place: str) -> Iterable[Doc]:
        if "data" not in record and "annotations" not in record and ("annotator" in record or "label" in record):
            raise ValueError(Errors.F058)
        if not predictions and "annotations" not in record and record.get("predictions"):
            raise ValueError(Errors.F096)
        annotations = _usable(record, "annotations", losses, place, required=not predictions)
        if predictions and not annotations:
            annotations = _usable(record, "predictions", losses, place, required=False)[-1:]
        if not annotations:
            losses.note("record: no annotation")
            return
        losses.note("record: further annotation of the same task", len(annotations) - 1)
        doc = doc_from_text(nlp, _text(take(record, "data", dict)))
        meta = {**({"id": record["id"]} if "id" in record else {}), **(read_meta(record, losses, place) or {})}
        gold = Gold(doc, losses, place, meta=meta or None)
        results = entries(annotations[0], "result")
        mentions = _mentions(results)
        if URL.fullmatch(gold.text) and not any(_is_in(mention, gold.text) for mention in mentions):
            raise ValueError(Errors.F059)
        gold.offsets = find_offsets(gold.text, mentions, offsets, losses, line_breaks=True)
        for where, result in results:
            kind = result.get("type") if isinstance(result, dict) else "labels"
            if kind == "labels":
                with gold.entry("entity", id_of(result, "id")):
                    _add_entity(gold, result, where)
            elif kind != "relation":
                losses.note(f"result: type {shorten(repr(kind))} not kept")
        for where, result in results:
            if isinstance(result, dict) and result.get("type") == "relation":
                with gold.entry("relation"):
                    _add_relations(gold, result, where)
        yield gold.finish()

    return read_json_list(path, build, losses, _held)


def _usable(record: Dict[str, Any], key: str, losses: Losses, place: str, required: bool) -> List[Dict[str, Any]]:
    """The annotations of a task, or its predictions, without those that were cancelled. Odd ones are counted."""
    found = []
    for where, value in entries(record, key, required):
        with losses.entry(key[:-1], place):
            take(value, "result", list, where)
            if not value.get("was_cancelled"):
                found.append(value)
    return found


def _held(record: Any) -> List[int]:
    """The numbers of entities and relations of a task, whatever else is in it."""
    if not isinstance(record, dict):
        return [0, 0]
    known = [_results(record, key) for key in ("annotations", "predictions")]
    kinds = [result.get("type") for result in (known[0][:1] or known[1][-1:] or [[]])[0] if isinstance(result, dict)]
    # JSON-MIN has the spans in a field of its own, of any name.
    fields = [value for value in record.values() if isinstance(value, list)]
    spans = [span for field in fields for span in field if isinstance(span, dict) and "labels" in span]
    return [kinds.count("labels") + len(spans), kinds.count("relation")]


def _results(record: Dict[str, Any], key: str) -> List[List[Any]]:
    values = record.get(key)
    objects = [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []
    results = [value.get("result") for value in objects if not value.get("was_cancelled")]
    return [result for result in results if isinstance(result, list)]


def _mentions(results: List[Tuple[str, Any]]) -> List[Mention]:
    found = []
    for _, result in results:
        value = result.get("value") if isinstance(result, dict) else None
        if not isinstance(value, dict) or result.get("type") != "labels":
            continue
        start, end, text = value.get("start"), value.get("end"), value.get("text")
        if isinstance(start, int) and isinstance(end, int):
            found.append(Mention([(start, end)], text if isinstance(text, str) else None))
    return found


def _is_in(mention: Mention, text: str) -> bool:
    """Whether the text of a mention is there in this text."""
    ((start, end),) = mention.parts
    return mention.text is not None and start < end <= len(text) and same_text(text[start:end], mention.text)


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
    text = value["text"] if isinstance(value.get("text"), str) else None
    for n, label in enumerate(labels):
        # Further labels of a span need keys of their own: relations mean the first.
        gold.entity_chars(key if n == 0 else (key, n), start, end, label, read_score(result, where), text)


def _add_relations(gold: Gold, result: Dict[str, Any], where: str) -> None:
    head, tail = take(result, "from_id", str, where), take(result, "to_id", str, where)
    direction = result.get("direction") or "right"
    pairs = {"right": [(head, tail)], "left": [(tail, head)], "bi": [(head, tail), (tail, head)]}
    if not isinstance(direction, str) or direction not in pairs:
        expected = "one of " + ", ".join(pairs)
        raise ValueError(
            Errors.F002.format(where=f"'direction' of {where}", expected=expected, value=shorten(repr(direction)))
        )
    score = read_score(result, where, 1.0)
    for label in expect(result.get("labels") or [None], list, f"'labels' of {where}"):
        for pair in pairs[direction]:
            gold.relation(*pair, label, score)
        gold.losses.note("relation: direction 'bi', kept as one each way", int(direction == "bi"))


def write_labelstudio(
    docs: Iterable[Doc],
    path: Union[str, Path],
    losses: Optional[Losses] = None,
    *,
    model_version: str = MODEL_VERSION,
    annotations: bool = False,
    from_name: str = "label",
    to_name: str = "text",
    offsets: str = CHARACTERS,
) -> Counter[str]:
    """Write tasks for Label Studio, with what is found in them as predictions.

    docs (Iterable[Doc]): The documents.
    path (Union[str, Path]): The file.
    losses (Optional[Losses]): Where to count what can't be kept. By default a loss is an error.
    model_version (str): What the predictions are shown under.
    annotations (bool): Write annotations, as if people had made them, instead of predictions.
    from_name (str): The name of the tag Labels in the labeling interface.
    to_name (str): The name of the tag Text there. Its value is $text.
    offsets (str): What offsets count: "characters", "utf16" or "bytes".
    RETURNS (Counter[str]): The number of "documents", "entities" and "relations" written.
    RAISES (ValueError): If there are no documents.
    """
    check_unit(offsets)
    return RECORDS.write(
        docs,
        path,
        losses,
        model_version=model_version,
        annotations=annotations,
        from_name=from_name,
        to_name=to_name,
        offsets=offsets,
    )


def _to_record(
    gold: Gold,
    model_version: str = MODEL_VERSION,
    annotations: bool = False,
    from_name: str = "label",
    to_name: str = "text",
    offsets: str = CHARACTERS,
) -> Dict[str, Any]:
    at = count_offsets(gold.text, offsets).starts
    results: List[Dict[str, Any]] = [
        {
            "id": _key(i),
            "from_name": from_name,
            "to_name": to_name,
            "type": "labels",
            "value": {
                "start": at[span.start_char],
                "end": at[span.end_char],
                "text": gold.text[span.start_char : span.end_char],
                "labels": [span.label_],
            },
            **score_of(score),
        }
        for i, (span, score) in enumerate(zip(gold.spans, gold.scores))
    ]
    results += [
        {
            "type": "relation",
            "from_id": _key(head),
            "to_id": _key(tail),
            "direction": "right",
            "labels": [label],
            **({} if score == 1.0 else {"score": score}),
        }
        for head, tail, label, score in gold.rows
    ]
    scores = [result["score"] for result in results if "score" in result]
    found: Dict[str, Any] = {"result": results}
    if not annotations:
        found = {"model_version": model_version, **score_of(sum(scores) / len(scores) if scores else None), **found}
    meta = meta_of(gold.doc)
    return {
        "data": {"text": gold.text},
        "annotations" if annotations else "predictions": [found],
        **({} if meta is None else {"meta": meta}),
    }


def _key(i: int) -> str:
    """What a region is called by relations."""
    return f"entity-{i}"


RECORDS = RecordWriter(_to_record, {SPACES, SCORES}, before="[", between=",\n", after="]\n")
