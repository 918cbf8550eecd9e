"""Long runs over files: an output that an interrupted run can go on with. Knows no spaCy.

As long as a run is not finished, `OUT.progress` lies beside its output: how many lines of the input are done, a
checksum of them, and how many bytes of the output they gave. It is replaced as a whole, and only when those bytes are
on the disk. A later run cuts off whatever the output holds beyond them and makes it again. So no line is lost or there
twice, wherever the run was stopped and whether or not a line gives any output. The output is locked meanwhile, so that
only one run writes it.
"""

import errno
import json
import os
import time
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import IO, Any, Dict, Iterator, Mapping, NamedTuple

from ..errors import Errors
from ..formats.lines import Line

# The output is brought to the disk this often. What was done since the last time is done again after a crash.
COMMIT_SECONDS = 1.0
# The setting that tells a model from another under the same name.
CHECKSUM = "checksum"


class Done(NamedTuple):
    """How far a run is.

    lines (int): How many lines of the input are done.
    checksum (int): Checksum of these lines.
    size (int): How many bytes of output they gave.
    counts (Mapping[str, int]): What was counted on the way.
    """

    lines: int = 0
    checksum: int = 0
    size: int = 0
    counts: Mapping[str, int] = {}


START = Done()


class Output:
    """Where a run writes to, and how far it is.

    file (IO[bytes]): The file.
    done (Done): How far the run is.
    close (bool): Whether to close the file at the end.
    end (bytes): What stands at the end of a complete output.
    """

    done = START

    def __init__(self, file_: IO[bytes], done: Done = START, close: bool = True, end: bytes = b"") -> None:
        self.file = file_
        self.done = done
        self.close = close
        self.end = end

    def __enter__(self) -> "Output":
        return self

    def __exit__(self, error: Any, *_: Any) -> None:
        try:
            if error is None:
                self.file.write(self.end)
                self.file.flush()
        finally:
            if self.close:
                self.file.close()

    def skip(self, lines: Iterator[Line], source: str) -> None:
        """Read the lines that are done.

        lines (Iterator[Line]): The lines, from the first.
        source (str): How to call the input in a message.
        RAISES (ValueError): If they are not those of the interrupted run.
        """

    def write(self, data: bytes, last: Line, counts: Mapping[str, int]) -> None:
        """Write what some lines gave.

        data (bytes): The bytes, in one piece, so that others don't see half a line.
        last (Line): The last of the lines.
        counts (Mapping[str, int]): What to add to the counts.
        """
        self.file.write(data)
        self.file.flush()
        self.advance(last, len(data), counts)

    def advance(self, last: Line, size: int, counts: Mapping[str, int]) -> None:
        """Note that some lines are done.

        last (Line): The last of them.
        size (int): How many bytes they gave.
        counts (Mapping[str, int]): What to add to the counts.
        """
        total = Counter(self.done.counts)
        total.update(counts)
        # One assignment, so that an interrupt leaves either all of it or nothing.
        self.done = Done(last.number, last.checksum, self.done.size + size, total)


class ResumableOutput(Output):
    """An output file that a later run can go on with. See the module for how."""

    def __init__(
        self, path: Path, settings: Dict[str, Any], *, resume: bool = False, replace: bool = True, end: bytes = b""
    ) -> None:
        """Open the file.

        path (Path): The file. Folders on the way to it are made.
        settings (Dict[str, Any]): What must be the same when the run is gone on with; JSON values.
        resume (bool): Go on with an interrupted run, if there is one. Otherwise the file is written anew.
        replace (bool): Whether a file that is there may be written anew.
        end (bytes): What stands at the end of a complete output.
        RAISES (ValueError): If the file or the settings do not fit the interrupted run, the file is there and may not
            be replaced, or another run is writing it.
        """
        self.path = path
        self.settings = settings
        self.progress = progress_path(path)
        going_on = resume and self.progress.exists()
        done = self._read_progress() if going_on else START
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file_ = path.open("ab" if resume or replace else "xb")
        except FileExistsError as err:
            raise ValueError(Errors.S061.format(output=path)) from err
        try:
            lock(file_, path)
            # Again: another run may have written until now.
            super().__init__(file_, self._read_progress() if going_on else done, end=end)
            # Progress first: if the run ends between the two, what the file held before is still not taken for output.
            self._commit()
            self.file.truncate(self.done.size)
        except BaseException:
            file_.close()
            raise

    def __exit__(self, error: Any, *_: Any) -> None:
        # Closing the file lets other runs write it, so it comes last.
        try:
            self._commit()
            if error is None:
                # Not among what is done: a run that ends before it is gone on with, and cuts the end off.
                self.file.write(self.end)
                self.file.flush()
                os.fsync(self.file.fileno())
                self.progress.unlink()
        finally:
            self.file.close()

    def skip(self, lines: Iterator[Line], source: str) -> None:
        n, checksum = 0, 0
        for line in islice(lines, self.done.lines):
            n, checksum = line.number, line.checksum
        if (n, checksum) != (self.done.lines, self.done.checksum):
            raise ValueError(Errors.S063.format(output=self.path, lines=self.done.lines, input=source))

    def write(self, data: bytes, last: Line, counts: Mapping[str, int]) -> None:
        super().write(data, last, counts)
        if time.monotonic() >= self._due:
            self._commit()

    def _commit(self) -> None:
        os.fsync(self.file.fileno())
        part = self.progress.with_name(self.progress.name + ".part")
        with part.open("w", encoding="utf8") as file_:
            json.dump({"settings": self.settings, "done": self.done._asdict()}, file_)
            file_.flush()
            os.fsync(file_.fileno())
        os.replace(part, self.progress)
        self._due = time.monotonic() + COMMIT_SECONDS

    def _read_progress(self) -> Done:
        place = {"output": self.path, "progress": self.progress}
        try:
            state = json.loads(self.progress.read_bytes())
            before, done, size = dict(state["settings"]), Done(**state["done"]), self.path.stat().st_size
        except (ValueError, KeyError, TypeError, OSError) as err:
            raise ValueError(Errors.S064.format(**place, reason=err)) from err
        for setting, now in self.settings.items():
            if before.get(setting) != now and setting == CHECKSUM:
                raise ValueError(Errors.S082.format(output=self.path, model=self.settings.get("model")))
            if before.get(setting) != now:
                text = Errors.S062.format(
                    output=self.path, setting=setting, before=repr(before.get(setting)), now=repr(now)
                )
                raise ValueError(text)
        if size < done.size:
            reason = f"{size} bytes of {done.size}"
            raise ValueError(Errors.S064.format(**place, reason=reason))
        return done


def lock(file_: IO[bytes], path: Path) -> None:
    """Keep other runs off a file until it is closed, however this process ends.

    file_ (IO[bytes]): The file, open.
    path (Path): What to call it in a message.
    RAISES (ValueError): If another run has it.
    """
    try:
        import fcntl
    except ImportError:
        # Windows locks parts of files, and keeps everybody from reading them.
        return
    try:
        fcntl.flock(file_, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as err:
        raise ValueError(Errors.S081.format(output=path)) from err
    except OSError as err:
        # Some network file systems have no locks.
        if err.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise


def progress_path(path: Path) -> Path:
    """RETURNS (Path): The file that lies beside an output as long as its run is not finished."""
    return path.with_name(path.name + ".progress")
