"""Many files in, a folder of files out, in pieces that are the same whoever makes them. Knows neither spaCy nor Ray.

A piece is a stretch of lines of one file, and gives one file of the output, whose name tells which it is and which
appears as a whole. So a piece that was made twice is there once, and a later run goes on with those that are missing.
As long as a run is not finished, `_job.json` lies in the folder: what must be the same when it is gone on with.
"""

import gzip
import json
import os
import re
import uuid
import zlib
from glob import glob, has_magic
from pathlib import Path
from typing import IO, Any, Collection, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from ..errors import Errors
from ..formats.lines import Line, batch_lines, read_lines
from .codec import INPUTS, json_line
from .parquet import check_columns, import_arrow, kept_types, open_parquet, read_rows, to_row
from .stream import CHECKSUM, lock

FORMATS = ("parquet", "jsonl")
# A piece ends with so many lines, or with the line that makes it so many bytes.
MAX_LINES, MAX_BYTES = 2**10, 2**22
ROWS = 2**8
JOB = "_job.json"
NAME = re.compile(r"part-(\d{5,})-(\d{12,})\.(?:parquet|jsonl)")
# What is left of an output file when its writer ends suddenly.
TEMPORARY = re.compile(r"\.part-.*\.tmp")


class Source(NamedTuple):
    """A file to read.

    path (str): The file.
    format (str): One of INPUTS.
    size (int): How many bytes it has.
    """

    path: str
    format: str
    size: int


class Piece(NamedTuple):
    """Some lines of a file.

    name (str): The name of the file that they give, without its ending.
    source (str): The file that they are of.
    format (str): Its format.
    numbers (List[int]): The numbers of the lines.
    lines (List[Optional[bytes]]): The lines; None for one that is too long.
    error (Optional[str]): Why the file can't be read beyond them, if so.
    """

    name: str
    source: str
    format: str
    numbers: List[int]
    lines: List[Optional[bytes]]
    error: Optional[str] = None


def find_sources(pattern: str, from_format: Optional[str] = None) -> List[Source]:
    """Find the files to read.

    pattern (str): A file, a folder, or a pattern such as "texts/*.jsonl.gz". In a folder, and in those below it, files
        are read whose names end as those of a format; not those that begin with "_" or ".".
    from_format (Optional[str]): Their format; by default as each name ends. ".gz" may follow.
    RETURNS (List[Source]): The files, by name.
    RAISES (ValueError): If there are none, or the format of one is not known.
    """
    given = Path(pattern)
    if given.is_dir():
        below = (
            path for path in given.rglob("*") if not any(part[0] in "._" for part in path.relative_to(given).parts)
        )
        paths = [path for path in below if from_format or _format_of(path)]
    elif has_magic(pattern) and not given.exists():
        paths = [Path(name) for name in glob(pattern, recursive=True)]
    else:
        paths = [given]
    sources = []
    for path in sorted(path for path in paths if not path.is_dir()):
        found = from_format or _format_of(path)
        if found is None:
            raise ValueError(Errors.S060.format(path=path, option="--from", formats=", ".join(INPUTS)))
        sources.append(Source(str(path), found, path.stat().st_size))
    if not sources:
        raise ValueError(Errors.S178.format(pattern=pattern, formats=", ".join(INPUTS)))
    return sources


def common_types(sources: List[Source]) -> Dict[str, Any]:
    """The types of `id` and `meta` in the output: those of the input, if all files are Parquet and have the same.

    sources (List[Source]): The files.
    RETURNS (Dict[str, pyarrow.DataType]): The types.
    RAISES (ValueError): If a Parquet file can't be read.
    """
    kinds: List[Dict[str, Any]] = []
    for source in sources:
        if source.format != "parquet":
            kinds.append({})
            continue
        with open_parquet(Path(source.path)) as file_:
            check_columns(file_.schema_arrow, source.path)
            kinds.append(kept_types(file_.schema_arrow))
    return {name: kind for name, kind in kinds[0].items() if all(other.get(name) == kind for other in kinds)}


def read_pieces(number: int, source: Source, done: Collection[str] = (), max_lines: int = MAX_LINES) -> Iterator[Piece]:
    """Read a file in pieces.

    number (int): The number of the file among those that are read.
    source (Source): The file.
    done (Collection[str]): Names of pieces to leave out.
    max_lines (int): How many lines a piece has at most.
    YIELDS (Piece): The pieces. If the file can't be read to its end, the last says why.
    """
    last = 0
    try:
        for batch in batch_lines(_read(source), max_lines, MAX_BYTES):
            piece = _piece(number, source, batch)
            last = batch[-1].number
            if piece.name not in done:
                yield piece
    except (ValueError, OSError, EOFError, zlib.error) as err:
        piece = _piece(number, source, [Line(last + 1, None, 0, 0)])._replace(lines=[], error=str(err))
        if piece.name not in done:
            yield piece


class OutputFolder:
    """A folder that a run writes, and a later one can go on with. See the module for how."""

    def __init__(
        self,
        path: Path,
        settings: Mapping[str, Any],
        sources: List[Source],
        *,
        resume: bool = False,
        replace: bool = False,
    ) -> None:
        """Open the folder.

        path (Path): The folder. It is made if it isn't there.
        settings (Mapping[str, Any]): What must be the same when the run is gone on with; JSON values.
        sources (List[Source]): The files that are read. They must be the same, too.
        resume (bool): Go on with an interrupted run, if there is one.
        replace (bool): Remove what an earlier run has written.
        RAISES (ValueError): If there are other files in the folder, or those of an earlier run that is not to be gone
            on with or was another one, or if a run is writing them.
        """
        self.path = path
        job = path / JOB
        names = sorted(name.name for name in path.iterdir()) if path.exists() else []
        others = [name for name in names if name != JOB and not NAME.fullmatch(name) and not TEMPORARY.fullmatch(name)]
        if others:
            raise ValueError(Errors.S179.format(path=path, name=others[0]))
        if names and not resume and not replace:
            raise ValueError(Errors.S061.format(output=path))
        going_on = resume and job.exists()
        path.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = job.open("a+b")
        try:
            lock(self._file, path)
            state = {"settings": dict(settings), "sources": [list(source) for source in sources]}
            if going_on:
                self._check(state)
            self._file.truncate(0)
            self._file.write(json_line(state))
            self._file.flush()
            os.fsync(self._file.fileno())
            for name in names:
                if TEMPORARY.fullmatch(name) or (name != JOB and not going_on):
                    (path / name).unlink(missing_ok=True)
        except BaseException:
            self._file.close()
            raise
        self.done = {name.rpartition(".")[0] for name in names if NAME.fullmatch(name)} if going_on else set()

    def __enter__(self) -> "OutputFolder":
        return self

    def __exit__(self, error: Any, *_: Any) -> None:
        if error is None:
            (self.path / JOB).unlink()
        self._file.close()

    def _check(self, state: Dict[str, Any]) -> None:
        self._file.seek(0)
        try:
            before = json.loads(self._file.read())
            settings, sources = dict(before["settings"]), list(before["sources"])
        except (ValueError, KeyError, TypeError) as err:
            raise ValueError(Errors.S064.format(output=self.path, progress=self.path / JOB, reason=err)) from err
        for setting, now in state["settings"].items():
            if settings.get(setting) != now and setting == CHECKSUM:
                raise ValueError(Errors.S082.format(output=self.path, model=state["settings"].get("model")))
            if settings.get(setting) != now:
                values = {"before": repr(settings.get(setting)), "now": repr(now)}
                raise ValueError(Errors.S062.format(output=self.path, setting=setting, **values))
        changed = [row for row in (*sources, *state["sources"]) if row not in sources or row not in state["sources"]]
        if changed:
            raise ValueError(Errors.S180.format(output=self.path, input=changed[0][0]))


def is_unfinished(path: Path) -> bool:
    """RETURNS (bool): Whether a run has not finished writing a folder."""
    return (path / JOB).exists()


def write_records(records: List[Dict[str, Any]], folder: Path, name: str, schema: Any) -> None:
    """Write the file of a piece. It appears as a whole, also where another process writes the same.

    records (List[Dict[str, Any]]): What was found.
    folder (Path): The folder.
    name (str): The name of the file, without its ending.
    schema (Optional[pyarrow.Schema]): The columns, for Parquet. Without, JSON lines are written.
    """
    part = folder / f".{name}-{uuid.uuid4().hex}.tmp"
    with part.open("wb") as file_:
        if schema is None:
            file_.writelines(map(json_line, records))
        else:
            pa = import_arrow()
            pa.parquet.write_table(pa.Table.from_pylist([to_row(record, schema) for record in records], schema), file_)
        file_.flush()
        os.fsync(file_.fileno())
    os.replace(part, folder / f"{name}.{'jsonl' if schema is None else 'parquet'}")


def _format_of(path: Path) -> Optional[str]:
    name = path.name.removesuffix(".gz")
    found = name.rpartition(".")[2]
    return found if found in INPUTS and name != found else None


def _read(source: Source) -> Iterator[Line]:
    if source.format == "parquet":
        with open_parquet(Path(source.path)) as rows:
            yield from read_rows(rows, ROWS)
        return
    opener: Any = gzip.open if source.path.endswith(".gz") else open
    with opener(source.path, "rb") as file_:
        yield from read_lines(file_)


def _piece(number: int, source: Source, batch: List[Line]) -> Piece:
    pairs: List[Tuple[int, Optional[bytes]]] = [(line.number, line.raw) for line in batch]
    numbers, lines = (list(column) for column in zip(*pairs))
    return Piece(f"part-{number:05}-{numbers[0]:012}", source.path, source.format, numbers, lines)
