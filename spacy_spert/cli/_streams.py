"""Inputs and outputs of `spacy spert extract`: lines or rows in, a file or a pipe out."""

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, ContextManager, Dict, Iterable, Iterator, NamedTuple, Optional

from ..errors import Errors
from ..extraction.parquet import ParquetOutput, kept_types, make_schema, open_parquet, read_rows, unread_columns
from ..extraction.stream import Output, ResumableOutput
from ..formats.files import is_stdout
from ..formats.lines import Line, check_encoding, read_lines

PIPE = Path("-")


class Texts(NamedTuple):
    """An open input.

    lines (Iterator[Line]): Its lines.
    total (Optional[int]): How many bytes they are, or how many rows.
    tell (Callable[[], int]): How many bytes of it were read.
    in_rows (bool): Whether it has rows.
    types (Dict[str, Any]): The types of columns that are kept.
    unread (List[str]): Columns that are not read.
    """

    lines: Iterator[Line]
    total: Optional[int] = None
    tell: Callable[[], int] = int
    in_rows: bool = False
    types: Dict[str, Any] = {}
    unread: Iterable[str] = ()


@contextmanager
def open_input(path: Path, from_format: str, batch_size: int) -> Iterator[Texts]:
    """Open an input.

    path (Path): The file; "-" for stdin.
    from_format (str): Its format.
    batch_size (int): How many rows are read at a time, if it has rows.
    YIELDS (Texts): The open input.
    RAISES (ValueError): If it can't be read, by its beginning.
    """
    if from_format == "parquet":
        with open_parquet(path) as rows:
            schema = rows.schema_arrow
            lines = read_rows(rows, batch_size)
            yield Texts(lines, rows.metadata.num_rows, int, True, kept_types(schema), unread_columns(schema))
        return
    if path == PIPE:
        yield Texts(read_lines(standard("stdin").buffer))
        return
    with path.open("rb") as file_:
        is_file = path.is_file()
        if is_file:
            # Before there is an output that a further run would have to go on with.
            check_encoding(file_.read(4))
            file_.seek(0)
        yield Texts(read_lines(file_), path.stat().st_size if is_file else None, file_.tell if is_file else int)


def open_output(
    path: Path,
    in_file: bool,
    is_folder: bool,
    settings: Dict[str, Any],
    end: bytes,
    types: Dict[str, Any],
    *,
    resume: bool,
    replace: bool,
) -> ContextManager[Output]:
    """Open an output.

    path (Path): The file; "-" for stdout.
    in_file (bool): Whether it is a file, not a pipe or a device.
    is_folder (bool): Whether it is a folder of an annotation tool's files.
    settings (Dict[str, Any]): What must be the same when the run is gone on with.
    end (bytes): What stands at the end of a complete output.
    types (Dict[str, Any]): The types of columns that are kept.
    resume (bool): Go on with an interrupted run.
    replace (bool): Whether a file that is there may be written anew.
    RETURNS (ContextManager[Output]): The open output.
    RAISES (ValueError): If it can't be written, or not gone on with.
    """
    if is_folder:
        from ..extraction.outputs import FolderOutput

        return FolderOutput(path)
    if settings["to_format"] == "parquet":
        return ParquetOutput(path, make_schema(types))
    if in_file:
        return ResumableOutput(path, settings, resume=resume, replace=replace, end=end)
    # Stdout is not ours to close.
    is_ours = not is_stdout(path)
    return Output(path.open("wb") if is_ours else standard("stdout").buffer, close=is_ours, end=end)


def standard(name: str) -> Any:
    """RETURNS (Any): Stdin or stdout. RAISES (ValueError): If the process was started with it closed."""
    stream = getattr(sys, name)
    if stream is None:
        raise ValueError(Errors.S083.format(name=name))
    return stream
