"""Units in which tools count the offsets of a text."""

from itertools import accumulate
from typing import Callable, Dict, List

from .errors import Errors

CHARACTERS, UTF16, BYTES = "characters", "utf16", "bytes"
# How many units a character takes.
SIZES: Dict[str, Callable[[str], int]] = {
    CHARACTERS: len,
    UTF16: lambda char: 2 if char > "\uffff" else 1,
    BYTES: lambda char: len(char.encode("utf-8")),
}


def check_unit(unit: str) -> None:
    """Make sure that a unit is known.

    unit (str): The unit.
    RAISES (ValueError): If it is not.
    """
    if unit not in SIZES:
        raise ValueError(Errors.F080.format(value=unit, units=", ".join(SIZES)))


def positions(text: str, unit: str) -> List[int]:
    """Count the places of a text in another unit.

    text (str): The text.
    unit (str): "characters", "utf16" (units of 16 bits, as JavaScript counts) or "bytes" (of UTF-8).
    RETURNS (List[int]): For each character the number of units before it, and the number of all.
    """
    return list(accumulate(map(SIZES[unit], text), initial=0))
