"""Files line by line, with a limit, and left as bytes. Knows no spaCy."""

import codecs
from itertools import count
from typing import IO, Iterable, Iterator, List, NamedTuple, Optional
from zlib import crc32

from .errors import Errors

# Longest line in bytes. It must be held as a whole, and a file of another kind may have no line breaks at all.
MAX_LINE = 2**25
# Byte order marks of other encodings than UTF-8; the longer ones first, as they begin with shorter ones.
MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


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


def check_encoding(head: bytes) -> None:
    """Make sure that a file can be UTF-8.

    head (bytes): Its first four bytes, or what there is of them.
    RAISES (ValueError): If it begins with another byte order mark, or as UTF-16 does without one.
    """
    encoding = next((name for mark, name in MARKS.items() if head.startswith(mark)), None)
    if encoding is None and b"\0" in head:
        encoding = "UTF-16 or not as text at all"
    if encoding is not None:
        raise ValueError(Errors.F053.format(encoding=encoding))


def read_lines(file_: IO[bytes], limit: int = MAX_LINE) -> Iterator[Line]:
    """Read a file line by line. Lines are left as bytes, so that a wrong encoding affects one line only.

    file_ (IO[bytes]): The file.
    limit (int): Lines of this many bytes and more are not kept, only counted.
    YIELDS (Line): The lines.
    RAISES (ValueError): If the file is not UTF-8 by its beginning.
    """
    checksum = 0
    for number in count(1):
        raw: Optional[bytes] = file_.readline(limit)
        part = raw or b""
        if number == 1:
            check_encoding(part[:4])
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
