"""Files line by line, with a limit, and left as bytes. Knows no spaCy."""

from itertools import count
from typing import IO, Iterable, Iterator, List, NamedTuple, Optional
from zlib import crc32

# Longest line in bytes. It must be held as a whole, and a file of another kind may have no line breaks at all.
MAX_LINE = 2**25


class Line(NamedTuple):
    """A line of the input.

    number (int): Its number, from 1.
    raw (Optional[bytes]): Its bytes, with the line break; None if it is too long.
    size (int): How many they are.
    checksum (int): Checksum of the input from its beginning to the end of this line.
    """

    number: int
    raw: Optional[bytes]
    size: int
    checksum: int


# Before the first line.
BEGIN = Line(0, b"", 0, 0)


def read_lines(file_: IO[bytes], limit: int = MAX_LINE) -> Iterator[Line]:
    """Read a file line by line. Lines are left as bytes, so that a wrong encoding affects one line only.

    file_ (IO[bytes]): The file.
    limit (int): Lines of this many bytes and more are not kept, only counted.
    YIELDS (Line): The lines.
    """
    checksum = 0
    for number in count(1):
        raw: Optional[bytes] = file_.readline(limit)
        part = raw or b""
        size, checksum = len(part), crc32(part, checksum)
        while len(part) == limit and not part.endswith(b"\n"):
            raw, part = None, file_.readline(limit)
            size, checksum = size + len(part), crc32(part, checksum)
        if not size:
            return
        yield Line(number, raw, size, checksum)


def batch_lines(lines: Iterable[Line], n: int, size: int) -> Iterator[List[Line]]:
    """Group lines.

    lines (Iterable[Line]): The lines.
    n (int): Most lines of a batch.
    size (int): A batch also ends with the line that makes it this many bytes.
    YIELDS (List[Line]): The batches.
    """
    batch: List[Line] = []
    total = 0
    for line in lines:
        batch.append(line)
        total += line.size
        if len(batch) == n or total >= size:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch
