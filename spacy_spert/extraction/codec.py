"""Lines of bytes to records, and records to lines of bytes. Knows no spaCy."""

import csv
import io
import json
from itertools import accumulate
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple

from ..errors import Errors
from ..formats import format_names, records
from ..formats.lines import MAX_LINE, Line
from ..formats.values import expect, parse_json
from .export import Triple

# Files of lines, and all that can be read and written in our own forms. A row of Parquet is a line of JSON here.
LINES = ("jsonl", "txt")
INPUTS, OUTPUTS = (*LINES, "parquet"), ("jsonl", "csv", "parquet")
# The format that is a folder: two files for each document.
FOLDER = "brat"
# A column for each field of a triple but the document's index; "line" is the number of the line in the input.
COLUMNS = ("line", *Triple._fields[:-1])


def decode(line: Line, from_format: str) -> Optional[Dict[str, Any]]:
    """Make a record of a line. A blank line is an empty text, or no record in JSON lines.

    line (Line): The line.
    from_format (str): One of INPUTS.
    RETURNS (Optional[Dict[str, Any]]): The record, if there is one.
    RAISES (ValueError): If the line can't be read.
    """
    if line.raw is None:
        raise ValueError(Errors.S065.format(limit=MAX_LINE))
    if from_format == "txt":
        text = line.raw.decode("utf-8-sig" if line.number == 1 else "utf-8")
        return {"text": text.removesuffix("\n").removesuffix("\r"), "meta": {"line": line.number}}
    if not line.raw.strip():
        return None
    return expect(parse_json(line.raw), dict, "the record")


def output_names() -> List[str]:
    """RETURNS (List[str]): The formats that extract writes, our own first."""
    return [*OUTPUTS, *sorted({*format_names(records), FOLDER} - {*OUTPUTS})]


def with_id_in_meta(record: Dict[str, Any]) -> Dict[str, Any]:
    """RETURNS (Dict[str, Any]): A record of which other formats can keep the id: they have it in the meta data."""
    meta = {} if record.get("meta") is None else record["meta"]
    if "id" not in record or not isinstance(meta, dict):
        return record
    return {**record, "meta": {"id": record["id"], **meta}}


def header(to_format: str) -> bytes:
    """RETURNS (bytes): What an output of this format begins with."""
    return csv_lines([COLUMNS]) if to_format == "csv" else b""


def encode(record: Dict[str, Any], to_format: str, number: int) -> bytes:
    """Make lines of what was extracted.

    record (Dict[str, Any]): Our own record.
    to_format (str): One of OUTPUTS.
    number (int): The number of the line in the input.
    RETURNS (bytes): The lines.
    RAISES (ValueError): If a value has no place in the format.
    """
    if to_format == "csv":
        return csv_lines((number, *triple) for triple in _triples(record))
    return json_line(record)


def json_line(record: Any) -> bytes:
    """Make a line of JSON.

    record (Any): Plain values.
    RETURNS (bytes): The line, in UTF-8.
    RAISES (ValueError): If a value has no place in JSON: NaN, or half of a character.
    """
    return json.dumps(record, ensure_ascii=False, allow_nan=False).encode("utf8") + b"\n"


def csv_lines(rows: Iterable[Iterable[Any]]) -> bytes:
    """RETURNS (bytes): The rows in CSV, in UTF-8."""
    file_ = io.StringIO()
    csv.writer(file_, lineterminator="\n").writerows(rows)
    return file_.getvalue().encode("utf8")


def _triples(record: Dict[str, Any]) -> Iterator[Tuple[Any, ...]]:
    """The fields of a `Triple` but its last for each relation. The text of tokens has a blank between them."""
    bounds = [(entity["start"], entity["end"]) for entity in record["entities"]]
    text = record.get("text")
    if text is None:
        starts = list(accumulate((len(token) + 1 for token in record["tokens"]), initial=0))
        bounds = [(starts[start], starts[end] - 1) for start, end in bounds]
        text = " ".join(record["tokens"])
    labels = [entity["label"] for entity in record["entities"]]
    for relation in record.get("relations", ()):
        head, tail = relation["head"], relation["tail"]
        ends = [value for i in (head, tail) for value in (text[slice(*bounds[i])], labels[i])]
        yield (*ends[:2], relation["label"], *ends[2:], relation["score"], *bounds[head], *bounds[tail])
