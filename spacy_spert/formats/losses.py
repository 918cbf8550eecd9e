"""What a conversion could not keep, counted by reason."""

from collections import Counter
from contextlib import contextmanager
from typing import Collection, Dict, Iterator, List

from .errors import Reasons

# Most reasons that are counted apart: they hold names from the file.
MAX_REASONS = 200


class StrictError(ValueError):
    """Something would be lost, and the caller asked that nothing be."""


class Losses:
    """Counts what a conversion could not keep, by reason.

    strict (bool): Raise an error instead of losing a record, an entity or a relation.
    counts (Counter): How often each reason occurred.
    places (Dict[str, List[str]]): For each reason of a loss, messages that begin with the place in the file.
    """

    def __init__(self, strict: bool = False) -> None:
        self.strict = strict
        self.counts: Counter[str] = Counter()
        self.places: Dict[str, List[str]] = {}

    def drop(self, reason: str, message: str) -> None:
        """Count a lost record, entity or relation.

        reason (str): What it is counted under.
        message (str): The place and what is wrong there.
        RAISES (StrictError): If nothing may be lost.
        """
        if self.strict:
            raise StrictError(message)
        self.note(reason)
        self.places.setdefault(reason, []).append(message)

    @contextmanager
    def entry(self, kind: str, place: str) -> Iterator[None]:
        """Read a part of a record. If that fails with a ValueError, the part is counted and left out.

        kind (str): What it is.
        place (str): The record's file and line.
        RAISES (StrictError): If nothing may be lost.
        """
        try:
            yield
        except StrictError:
            raise
        except ValueError as err:
            self.drop(Reasons.UNREADABLE.format(kind=kind), f"{place}: {err}")

    def note(self, reason: str, n: int = 1) -> None:
        """Count what is passed over by design and is no error: duplicates, other kinds of annotation.

        reason (str): What it is counted under.
        n (int): How many.
        """
        if n:
            tally(self.counts, reason, n)


def tally(counts: Counter[str], reason: str, n: int, before: Collection[str] = ()) -> None:
    """Count under a reason, or with all others if there are too many.

    counts (Counter[str]): Where to count.
    reason (str): What it is counted under.
    n (int): How many.
    before (Collection[str]): Reasons that were counted elsewhere, to which the counts will be added.
    """
    if reason not in counts and reason not in before and len(counts) + len(before) >= MAX_REASONS:
        reason = Reasons.OTHER
    counts[reason] += n


def shorten(text: str, limit: int = 80) -> str:
    """RETURNS (str): The text, cut if it is longer than the limit, with escapes for what a terminal would obey."""
    text = text if len(text) <= limit else text[: limit - 3] + "..."
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
