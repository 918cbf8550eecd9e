"""Reading files record by record, and writing them in one go.

A reader is a function `read_x(path, nlp=None, losses=None)` that hands a `build(record, place)` function to
`read_json_lines`, `read_json_list` or `build_docs`. `build` makes Docs with `Gold` and raises a ValueError for a record
that is broken; the place is added and the record skipped here.
"""

import os
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Callable, Iterable, Iterator, Optional, Tuple

from spacy.tokens import Doc

from . import lines
from .errors import Errors, Reasons
from .losses import Losses, StrictError
from .values import expect, parse_json

Build = Callable[[Any, str], Iterable[Doc]]


# Most bytes of a file that is read as a whole. As Python's objects they take up to 25 times as many.
MAX_FILE = 2**28


def read_whole(path: Path, limit: int) -> bytes:
    """Read a file that can't be read in parts.

    path (Path): The file.
    limit (int): Most bytes that it may have.
    RETURNS (bytes): What it holds.
    RAISES (ValueError): If it is larger.
    """
    with path.open("rb") as file_:
        raw = file_.read(limit + 1)
    if len(raw) > limit:
        raise ValueError(Errors.F040.format(what="The file", limit=limit))
    return raw


def build_docs(path: Path, records: Iterable[Tuple[str, Any]], build: Build, losses: Losses) -> Iterator[Doc]:
    """Make Docs of records, passing over the broken ones.

    path (Path): The file, for messages.
    records (Iterable[Tuple[str, Any]]): The place of each record, and the record.
    build (Build): Makes Docs of one record; raises a ValueError if it is broken.
    losses (Losses): Where to count.
    YIELDS (Doc): The documents.
    RAISES (StrictError): If something would be lost and must not be.
    """
    place = None
    for place, record in records:
        try:
            docs = list(build(record, place))
        except StrictError:
            raise
        except (ValueError, RecursionError) as err:
            losses.drop(Reasons.BROKEN, f"{place}: {err}")
            continue
        yield from docs
    if place is None:
        losses.drop(Reasons.BROKEN, f"{path}: {Errors.F004}")


def read_lines(path: Path, blank: bool = False) -> Iterator[Tuple[str, bytes]]:
    """Read a file line by line. They are left as bytes, so that a wrong encoding is the matter of one record.

    path (Path): The file.
    blank (bool): Whether to yield blank lines as well.
    YIELDS (Tuple[str, bytes]): The place and the line.
    """
    with path.open("rb") as file_:
        for i, line in enumerate(file_, start=1):
            if blank or line.strip():
                yield f"{path}:{i}", line


def read_json_lines(path: Any, build: Build, losses: Losses) -> Iterator[Doc]:
    """Make Docs of a file with one JSON object a line. Blank lines are passed over.

    path (Any): The file.
    build (Build): Makes Docs of one object.
    losses (Losses): Where to count.
    RETURNS (Iterator[Doc]): The documents.
    """
    path = Path(path)

    def numbered() -> Iterator[Tuple[str, Optional[bytes]]]:
        with path.open("rb") as file_:
            for line in lines.read_lines(file_, lines.MAX_LINE):
                if line.raw is None or line.raw.strip():
                    yield f"{path}:{line.number}", line.raw

    def from_line(raw: Optional[bytes], place: str) -> Iterable[Doc]:
        if raw is None:
            raise ValueError(Errors.F040.format(what="The line", limit=lines.MAX_LINE))
        return build(expect(parse_json(raw), dict, "the record"), place)

    return build_docs(path, numbered(), from_line, losses)


def read_json_list(path: Any, build: Build, losses: Losses) -> Iterator[Doc]:
    """Make Docs of a file that holds one JSON list of objects.

    path (Any): The file.
    build (Build): Makes Docs of one object.
    losses (Losses): Where to count.
    YIELDS (Doc): The documents.
    """
    path = Path(path)

    def from_object(value: Any, place: str) -> Iterable[Doc]:
        return build(expect(value, dict, "the record"), place)

    try:
        values = expect(parse_json(read_whole(path, MAX_FILE)), list, "the file")
    except ValueError as err:
        losses.drop(Reasons.BROKEN, f"{path}: {err}")
        return
    records = ((f"{path}, record {i}", value) for i, value in enumerate(values, start=1))
    yield from build_docs(path, records, from_object, losses)


@contextmanager
def open_whole(path: Any, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a file that appears under its name only once it is complete. Missing folders are made.

    path (Any): The file.
    mode (str): "w" for UTF-8 text, "wb" for bytes.
    YIELDS (IO): The file to write to.
    RAISES (ValueError): If there is a folder of this name.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(Errors.F024.format(output=path))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    try:
        # Not "w", which would follow a link that somebody put there meanwhile.
        with part.open(mode.replace("w", "x"), encoding=None if "b" in mode else "utf-8") as file_:
            yield file_
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
