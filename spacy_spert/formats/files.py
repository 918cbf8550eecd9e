"""Reading files record by record, and writing them in one go.

A reader is a function `read_x(path, nlp=None, losses=None)` that hands a `build(record, place)` function to
`read_json_lines`, `read_json_list` or `build_docs`. `build` makes Docs with `Gold` and raises a ValueError for a record
that is broken; the place is added and the record skipped here. What a broken record held is counted with a function
`held(record)`, which must take any value.
"""

import io
import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Callable, Iterable, Iterator, Optional, Sequence, Tuple

from spacy.tokens import Doc

from ..errors import Errors as SpertErrors
from . import lines
from .errors import Errors, Reasons
from .losses import Losses, StrictError
from .values import expect, parse_json

Build = Callable[[Any, str], Iterable[Doc]]
# The numbers of entities and relations of a record.
Held = Callable[[Any], Sequence[int]]
# The output that stands for stdout.
STDOUT = Path("-")


# Most bytes of a file that is read as a whole. As Python's objects they take up to 25 times as many.
MAX_FILE = 2**28


def read_whole(path: Path, limit: int) -> bytes:
    """Read a text file that can't be read in parts.

    path (Path): The file.
    limit (int): Most bytes that it may have.
    RETURNS (bytes): What it holds.
    RAISES (ValueError): If it is larger, or not UTF-8 by its beginning.
    """
    with path.open("rb") as file_:
        raw = file_.read(limit + 1)
    if len(raw) > limit:
        raise ValueError(Errors.F040.format(what="The file", limit=limit))
    lines.check_encoding(raw[:4])
    return raw


def build_docs(
    path: Path,
    records: Iterable[Tuple[str, Any]],
    build: Build,
    losses: Losses,
    held: Optional[Held] = None,
) -> Iterator[Doc]:
    """Make Docs of records, passing over the broken ones.

    path (Path): The file, for messages.
    records (Iterable[Tuple[str, Any]]): The place of each record, and the record. A ValueError says that the file can't
        be read any further.
    build (Build): Makes Docs of one record; raises a ValueError if it is broken.
    losses (Losses): Where to count.
    held (Optional[Held]): Counts the entities and relations of a broken record.
    YIELDS (Doc): The documents.
    RAISES (StrictError): If something would be lost and must not be.
    """
    n = 0
    iterator = iter(records)
    while True:
        try:
            place, record = next(iterator)
        except StopIteration:
            break
        except StrictError:
            raise
        except ValueError as err:
            losses.drop(Reasons.BROKEN, f"{path}: {err}")
            return
        n += 1
        try:
            docs = list(build(record, place))
        except StrictError:
            raise
        except (ValueError, RecursionError) as err:
            losses.drop(Reasons.BROKEN, f"{place}: {err}")
            for kind, lost in zip(("entity", "relation"), held(record) if held else ()):
                losses.note(Reasons.IN_BROKEN.format(kind=kind), lost)
            continue
        yield from docs
    if not n:
        losses.drop(Reasons.BROKEN, f"{path}: {Errors.F004}")


def read_lines(path: Path, blank: bool = False) -> Iterator[Tuple[str, Optional[bytes]]]:
    """Read a file line by line. They are left as bytes, so that a wrong encoding affects one record only.

    path (Path): The file.
    blank (bool): Whether to yield blank lines as well.
    YIELDS (Tuple[str, Optional[bytes]]): The place and the line; None for a line that is too long, see `check_line`.
    RAISES (ValueError): If the file is not UTF-8 by its beginning.
    """
    with path.open("rb") as file_:
        for line in lines.read_lines(file_, lines.MAX_LINE):
            if blank or line.raw is None or line.raw.strip():
                yield f"{path}:{line.number}", line.raw


def check_line(raw: Optional[bytes]) -> bytes:
    """RETURNS (bytes): A line of `read_lines`. RAISES (ValueError): If it was too long."""
    if raw is None:
        raise ValueError(Errors.F040.format(what="The line", limit=lines.MAX_LINE))
    return raw


def read_json_lines(path: Any, build: Build, losses: Losses, held: Optional[Held] = None) -> Iterator[Doc]:
    """Make Docs of a file with one JSON object a line. Blank lines are skipped.

    path (Any): The file.
    build (Build): Makes Docs of one object.
    losses (Losses): Where to count.
    held (Optional[Held]): Counts the entities and relations of a broken object.
    RETURNS (Iterator[Doc]): The documents.
    """
    path = Path(path)

    def from_line(raw: Optional[bytes], place: str) -> Iterable[Doc]:
        return build(expect(parse_json(check_line(raw)), dict, "the record"), place)

    def held_in_line(raw: Optional[bytes]) -> Sequence[int]:
        try:
            return held(parse_json(check_line(raw))) if held else ()
        except ValueError:
            return ()

    return build_docs(path, read_lines(path), from_line, losses, held_in_line)


def read_json_list(path: Any, build: Build, losses: Losses, held: Optional[Held] = None) -> Iterator[Doc]:
    """Make Docs of a file that holds one JSON list of objects.

    path (Any): The file.
    build (Build): Makes Docs of one object.
    losses (Losses): Where to count.
    held (Optional[Held]): Counts the entities and relations of a broken object.
    RETURNS (Iterator[Doc]): The documents.
    """
    path = Path(path)

    def parsed() -> Iterator[Tuple[str, Any]]:
        values = expect(parse_json(read_whole(path, MAX_FILE)), list, "the file")
        for i, value in enumerate(values, start=1):
            yield f"{path}, record {i}", value

    def from_object(value: Any, place: str) -> Iterable[Doc]:
        return build(expect(value, dict, "the record"), place)

    return build_docs(path, parsed(), from_object, losses, held)


def is_stdout(path: Path) -> bool:
    """RETURNS (bool): Whether a path is "-", or a name of what stdout leads to, such as /dev/stdout."""
    return path == STDOUT or _is_open(path, 1)


@contextmanager
def open_whole(path: Any, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a file that appears under its name only once it is complete. Missing folders are made.

    path (Any): The file. A pipe or a device, and stdout, given as "-", are written to once all is there.
    mode (str): "w" for UTF-8 text, "wb" for bytes.
    YIELDS (IO): The file to write to.
    RAISES (ValueError): If the path is something else, such as a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(Errors.F024.format(output=path))
    if path.is_symlink() and not path.exists():
        # Such as /dev/stdout where stdout is closed: the file would take the place of the link.
        raise ValueError(Errors.F054.format(path=path))
    if path == STDOUT or _is_open(path, 1) or _is_open(path, 2) or (path.exists() and not path.is_file()):
        with _open_stream(path, mode) as file_:
            yield file_
        return
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


@contextmanager
def _open_stream(path: Path, mode: str) -> Iterator[IO[Any]]:
    """Write to what can't be replaced, and only if all could be made."""
    if path == STDOUT and sys.stdout is None:
        raise ValueError(SpertErrors.S083.format(name="stdout"))
    if path != STDOUT and not (path.is_file() or path.is_fifo() or path.is_char_device()):
        raise ValueError(Errors.F054.format(path=path))
    with tempfile.TemporaryFile() as whole:
        text = None if "b" in mode else io.TextIOWrapper(whole, encoding="utf-8", write_through=True)
        yield text or whole
        whole.seek(0)
        if path == STDOUT:
            shutil.copyfileobj(whole, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        else:
            with path.open("wb") as file_:
                shutil.copyfileobj(whole, file_)


def _is_open(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False
