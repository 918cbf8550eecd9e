"""Parquet: rows to the lines that everything else works on, and back. Knows no spaCy.

A row is a record with a column for each field; a field that it doesn't have is null. A record's `meta` may be anything
in JSON lines, which a column can't. So `id` and `meta` keep the types that the input has for them, and are text where
there are none: the `meta` as JSON.
"""

import json
import os
from contextlib import contextmanager, suppress
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, Optional
from zlib import crc32

from ..errors import Errors
from ..formats.jsonl import FIELDS
from ..formats.lines import MAX_LINE, Line
from ..formats.values import parse_json
from .stream import Output, lock

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.parquet import ParquetFile

# The columns that are read, if they are there.
READ = ("id", *FIELDS)
# Those whose types are kept.
KEPT = ("id", "meta")
# A group of rows is written when there are so many, or so many bytes of them.
MAX_ROWS, MAX_BYTES = 2**13, 2**25


def import_arrow() -> Any:
    """RETURNS (module): pyarrow. RAISES (ImportError): If it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet  # noqa: F401
    except ImportError as err:
        raise ImportError(Errors.S174) from err
    return pyarrow


def make_schema(kept: Optional[Mapping[str, "pyarrow.DataType"]] = None) -> "pyarrow.Schema":
    """The columns of an output. They are always the same, as rows that have only empty lists say nothing of their type.

    kept (Optional[Mapping[str, pyarrow.DataType]]): The types of `id` and `meta`, where the input has any.
    RETURNS (pyarrow.Schema): The columns.
    """
    pa = import_arrow()
    kept = kept or {}
    return pa.schema(
        {
            "id": kept.get("id", pa.string()),
            "text": pa.string(),
            "tokens": pa.list_(pa.string()),
            "entities": pa.list_(_struct(start=pa.int32(), end=pa.int32(), label=pa.string(), score=pa.float64())),
            "relations": pa.list_(_struct(head=pa.int32(), tail=pa.int32(), label=pa.string(), score=pa.float64())),
            "meta": kept.get("meta", pa.string()),
        }
    )


def kept_types(schema: "pyarrow.Schema") -> Dict[str, "pyarrow.DataType"]:
    """RETURNS (Dict[str, pyarrow.DataType]): The types of an input's `id` and `meta` that an output can have as well:
    those that JSON can tell."""
    return {
        name: schema.field(name).type for name in KEPT if name in schema.names and _is_plain(schema.field(name).type)
    }


def to_row(record: Mapping[str, Any], schema: "pyarrow.Schema") -> Dict[str, Any]:
    """Make a row of a record.

    record (Mapping[str, Any]): The record.
    schema (pyarrow.Schema): The columns.
    RETURNS (Dict[str, Any]): The values of those that it has.
    """
    row = {name: record[name] for name in schema.names if record.get(name) is not None}
    for name in row.keys() & set(KEPT):
        if schema.field(name).type == "string" and not isinstance(row[name], str):
            row[name] = json.dumps(row[name], ensure_ascii=False)
    return row


def from_row(row: Mapping[str, Any]) -> Dict[str, Any]:
    """Make a record of a row.

    row (Mapping[str, Any]): The values of its columns; maps are dicts.
    RETURNS (Dict[str, Any]): The fields that it has. A `meta` that is text is taken for JSON, if it is any.
    """
    record = {name: value for name, value in row.items() if value is not None}
    if isinstance(record.get("meta"), str):
        # What it is instead is said when the record is read.
        with suppress(ValueError):
            record["meta"] = parse_json(record["meta"].encode("utf8"))
    return record


@contextmanager
def open_parquet(path: Path) -> Iterator["ParquetFile"]:
    """Open a file, and make sure that there are texts in it.

    path (Path): The file.
    YIELDS (ParquetFile): The open file.
    RAISES (ValueError): If it is no such file, or has no column that could be read.
    """
    pa = import_arrow()
    with path.open("rb") as source:
        try:
            file_ = pa.parquet.ParquetFile(source)
        except (pa.ArrowException, OSError) as err:
            raise ValueError(Errors.S175.format(path=path, error=err)) from err
        check_columns(file_.schema_arrow, path)
        yield file_


def check_columns(schema: "pyarrow.Schema", path: Any) -> None:
    """Make sure that there are texts in some columns.

    schema (pyarrow.Schema): The columns.
    path (Any): The file or folder, for messages.
    RAISES (ValueError): If there are none, or what is read is binary.
    """
    if not {"text", "tokens"} & set(schema.names):
        raise ValueError(Errors.S176.format(path=path, columns=", ".join(schema.names)))
    for name in READ:
        if name in schema.names and "binary" in str(schema.field(name).type):
            raise ValueError(Errors.S177.format(path=path, column=name, type=schema.field(name).type))


def unread_columns(schema: "pyarrow.Schema") -> List[str]:
    """RETURNS (List[str]): The columns of an input that are not read."""
    return [name for name in schema.names if name not in READ]


def read_rows(file_: "ParquetFile", batch_size: int) -> Iterator[Line]:
    """Read the rows as lines of JSON.

    file_ (ParquetFile): The file.
    batch_size (int): How many are read at a time.
    YIELDS (Line): The lines.
    """
    columns = [name for name in file_.schema_arrow.names if name in READ]
    number = checksum = 0
    for batch in file_.iter_batches(batch_size, columns=columns):
        for row in batch.to_pylist(maps_as_pydicts="lossy"):
            # NaN, which is no JSON, is refused with its line when that is read.
            raw = json.dumps(from_row(row), ensure_ascii=False, default=_plain).encode("utf8") + b"\n"
            number, checksum = number + 1, crc32(raw, checksum)
            yield Line(number, raw if len(raw) < MAX_LINE else None, len(raw), checksum)


class ParquetOutput(Output):
    """A Parquet file. It ends with what says how to read it, so it appears only when it is complete, and no later run
    can go on with it."""

    def __init__(self, path: Path, schema: "pyarrow.Schema") -> None:
        """Open the file.

        path (Path): The file. Folders on the way to it are made.
        schema (pyarrow.Schema): Its columns.
        RAISES (ValueError): If another run is writing it.
        """
        self.path = path
        self.schema = schema
        self.part = path.with_name(path.name + ".part")
        path.parent.mkdir(parents=True, exist_ok=True)
        super().__init__(self.part.open("ab"))
        try:
            lock(self.file, path)
            self.file.truncate(0)
            self._rows: List[Dict[str, Any]] = []
            self._size = 0
            self._writer = import_arrow().parquet.ParquetWriter(self.file, schema)
        except BaseException:
            self.file.close()
            raise

    def __exit__(self, error: Any, *_: Any) -> None:
        try:
            if error is None:
                self._flush()
                self._writer.close()
                self.file.flush()
                os.fsync(self.file.fileno())
                os.replace(self.part, self.path)
            else:
                self.part.unlink()
                self._writer.close()
        finally:
            self.file.close()

    def write(self, data: bytes, last: Line, counts: Mapping[str, int]) -> None:
        """Write what some lines gave.

        data (bytes): Lines of JSON.
        last (Line): The last of the lines of the input.
        counts (Mapping[str, int]): What to add to the counts.
        """
        self._rows += [to_row(json.loads(line), self.schema) for line in data.split(b"\n") if line]
        self._size += len(data)
        if len(self._rows) >= MAX_ROWS or self._size >= MAX_BYTES:
            self._flush()
        self.advance(last, len(data), counts)

    def _flush(self) -> None:
        self._writer.write_table(import_arrow().Table.from_pylist(self._rows, self.schema))
        self._rows, self._size = [], 0


def _struct(**fields: Any) -> Any:
    return import_arrow().struct(fields)


def _is_plain(kind: "pyarrow.DataType") -> bool:
    """Whether values of a type are the same after they were JSON."""
    types = import_arrow().types
    if types.is_list(kind) or types.is_large_list(kind):
        return _is_plain(kind.value_type)
    if types.is_struct(kind):
        return all(_is_plain(field.type) for field in kind)
    tests = (types.is_boolean, types.is_integer, types.is_floating, types.is_string, types.is_large_string)
    return any(test(kind) for test in tests)


def _plain(value: Any) -> Any:
    """Values that JSON doesn't have, as text."""
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")
