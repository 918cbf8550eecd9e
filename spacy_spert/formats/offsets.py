"""What files count offsets in: characters, UTF-16 units (JavaScript, Java) or bytes, line breaks as they are or not.

Which of them a file uses is often written nowhere, but many files repeat the text of each mention, and that tells.
"""

import re
from bisect import bisect_left
from itertools import accumulate, product
from typing import Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from .errors import Errors, Reasons
from .losses import Losses

CHARACTERS, UTF16, BYTES = "characters", "utf16", "bytes"
# How wide a character is.
WIDTHS: Dict[str, Callable[[str], int]] = {
    CHARACTERS: lambda char: 1,
    UTF16: lambda char: 2 if char > "\uffff" else 1,
    BYTES: lambda char: len(char.encode("utf-8", "surrogatepass")),
}
CRLF_AS_ONE, LF_AS_TWO = "each CR LF as one", "each line break as two"


class Mention(NamedTuple):
    """What a file says about an entity.

    parts (Sequence[Tuple[int, int]]): Start and end of each part, in the file's offsets.
    text (Optional[str]): Its text, if the file has it.
    """

    parts: Sequence[Tuple[int, int]]
    text: Optional[str] = None


class Offsets(NamedTuple):
    """How a file counts in a text.

    name (str): How to call it.
    starts (Sequence[int]): Where each character begins, and where the text ends.
    """

    name: str
    starts: Sequence[int]

    def to_char(self, offset: int) -> Optional[int]:
        """RETURNS (Optional[int]): The index of the character that begins at an offset, if one does."""
        index = bisect_left(self.starts, offset)
        return index if index < len(self.starts) and self.starts[index] == offset else None

    def from_char(self, index: int) -> int:
        """RETURNS (int): Where a character begins; for the length of the text, where that ends."""
        return self.starts[index]


def check_unit(unit: Optional[str]) -> None:
    """Make sure that a unit is known.

    unit (Optional[str]): The unit; None where it is to be found.
    RAISES (ValueError): If it is not.
    """
    if unit is not None and unit not in WIDTHS:
        raise ValueError(Errors.F051.format(value=unit, units=", ".join(WIDTHS)))


def count_offsets(text: str, unit: str = CHARACTERS, breaks: str = "", first: int = 0) -> Offsets:
    """Count offsets in a text.

    text (str): The text.
    unit (str): "characters", "utf16" or "bytes".
    breaks (str): CRLF_AS_ONE, LF_AS_TWO, or nothing for line breaks as they are.
    first (int): The offset of the first character.
    RETURNS (Offsets): The offsets.
    RAISES (ValueError): If the unit is another.
    """
    check_unit(unit)
    if not breaks and (unit == CHARACTERS or text.isascii()):
        return Offsets(unit, range(first, first + len(text) + 1))
    widths = list(map(WIDTHS[unit], text))
    for match in re.finditer("\r\n" if breaks == CRLF_AS_ONE else "(?<!\r)\n", text if breaks else ""):
        widths[match.start()] += -1 if breaks == CRLF_AS_ONE else 1
    return Offsets(", ".join(filter(None, [unit, breaks])), list(accumulate(widths, initial=first)))


def find_offsets(
    text: str,
    mentions: Sequence[Mention],
    unit: Optional[str],
    losses: Losses,
    default: str = CHARACTERS,
    line_breaks: bool = False,
    mark: bool = False,
) -> Offsets:
    """Find out how a file counts, by the mentions whose text it gives. What is not clear from the format is counted.

    text (str): The text.
    mentions (Sequence[Mention]): The mentions.
    unit (Optional[str]): The unit, if it is known.
    losses (Losses): Where to count.
    default (str): The unit if the mentions don't tell.
    line_breaks (bool): Whether line breaks may count otherwise than the text has them.
    mark (bool): Whether a byte order mark stood before the text, which may count or not.
    RETURNS (Offsets): The offsets.
    RAISES (ValueError): If the unit is unknown.
    """
    usual = count_offsets(text, default if unit is None else unit)
    told = [mention for mention in mentions if mention.text is not None]
    agreeing = _agreeing(usual, text, told)
    best, units, clear = usual, [usual.name], bool(told)
    # With the mark no text is all ASCII.
    if unit is None and (mark or not text.isascii()):
        units += [other for other in WIDTHS if other != default]
    if agreeing < len(told):
        breaks = ("", CRLF_AS_ONE, LF_AS_TWO) if line_breaks and "\n" in text else ("",)
        for first, name, kind in product((0, 1) if mark else (0,), units, breaks):
            width = first * WIDTHS[name]("\ufeff")
            reading = count_offsets(text, name, kind, width)
            found = _agreeing(reading, text, told)
            if found > agreeing:
                agreeing, best = found, reading._replace(name=reading.name + ", with the byte order mark" * first)
        clear = agreeing > 0
    others = [count_offsets(text, name) for name in units if name != usual.name]
    if best != usual or (not clear and any(_differ(usual, other, mentions) for other in others)):
        losses.note(Reasons.OFFSETS.format(name=best.name))
    return best


def same_text(found: str, expected: str) -> bool:
    """RETURNS (bool): Whether two texts of a mention are the same but for blanks, line breaks and escapes of them."""
    return found.replace("\\n", " ").split() == expected.replace("\\n", " ").split()


def _agreeing(offsets: Offsets, text: str, mentions: Iterable[Mention]) -> int:
    return sum(_text(offsets, text, mention) for mention in mentions)


def _text(offsets: Offsets, text: str, mention: Mention) -> bool:
    parts: List[str] = []
    for ends in mention.parts:
        start, end = map(offsets.to_char, ends)
        if start is None or end is None:
            return False
        parts.append(text[start:end])
    return same_text(" ".join(parts), mention.text or "")


def _differ(one: Offsets, other: Offsets, mentions: Iterable[Mention]) -> bool:
    ends = (end for mention in mentions for part in mention.parts for end in part)
    return any(one.to_char(end) != other.to_char(end) for end in ends)
