"""Checking values that come from files."""

import json
from collections import Counter
from typing import Any, Container, Dict, Hashable, List, Optional, Tuple

import srsly

from .errors import Errors, Reasons
from .losses import Losses, shorten

# Numbers beyond 64 bits have no place in spaCy's format, and can be chosen so that dictionaries of them get very slow.
MAX_NUMBER = 2.0**63


def expect(value: Any, kind: Any, where: str) -> Any:
    """Check the type of a value from a file.

    value (Any): The value.
    kind (Any): A type or a tuple of types. A boolean is not a number here, nor is one beyond 64 bits.
    where (str): How to call it in a message.
    RETURNS (Any): The value.
    RAISES (ValueError): If it has another type.
    """
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool)):
        if isinstance(value, (int, float)) and abs(value) >= MAX_NUMBER:
            raise ValueError(Errors.F041.format(where=where, value=shorten(repr(value))))
        return value
    names = {
        dict: "an object",
        list: "a list",
        str: "a string",
        int: "a whole number",
        float: "a number",
        bool: "a boolean",
        tuple: "a tuple",
    }
    expected = " or ".join(names[k] for k in kinds)
    raise ValueError(Errors.F002.format(where=where, expected=expected, value=shorten(repr(value))))


def take(record: Dict[str, Any], key: str, kind: Any, where: str = "the record") -> Any:
    """Read a required value of a JSON object.

    record (Dict[str, Any]): The object.
    key (str): The name of the value.
    kind (Any): Its type or types.
    where (str): How to call the object in a message.
    RETURNS (Any): The value.
    RAISES (ValueError): If it is missing or has another type, or the object is none.
    """
    if key not in expect(record, dict, where):
        raise ValueError(Errors.F003.format(key=key, where=where))
    return expect(record[key], kind, f"'{key}' of {where}")


def entries(record: Dict[str, Any], key: str, required: bool = True) -> List[Tuple[str, Any]]:
    """Read a list.

    record (Dict[str, Any]): The object that holds the list.
    key (str): The name of the list.
    required (bool): Whether it must be there. If not, null stands for an empty list as well.
    RETURNS (List[Tuple[str, Any]]): How to call each entry in a message, and the entry.
    RAISES (ValueError): If it is not a list.
    """
    values = take(record, key, list) if required or record.get(key) is not None else []
    return [(f"'{key}'[{i}]", value) for i, value in enumerate(values)]


def id_of(entry: Any, key: str) -> Optional[Hashable]:
    """RETURNS (Optional[Hashable]): What an entry is called, if it is an object with a number or a string for that."""
    value = entry.get(key) if isinstance(entry, dict) else None
    return value if isinstance(value, (int, str)) else None


def count_entries(record: Any, *keys: str) -> List[int]:
    """RETURNS (List[int]): How many entries some lists of a record have, whatever the record is."""
    lists = [record.get(key) if isinstance(record, dict) else None for key in keys]
    return [len(value) if isinstance(value, list) else 0 for value in lists]


def read_score(record: Dict[str, Any], where: str, default: Any = None) -> Any:
    """Read the optional score of an entity or a relation.

    record (Dict[str, Any]): The entry.
    where (str): How to call it in a message.
    default (Any): What to return where there is none.
    RETURNS (Any): The value of "score".
    RAISES (ValueError): If it is not a number.
    """
    return take(record, "score", (int, float), where) if record.get("score") is not None else default


def ints(value: Any, n: int, where: str) -> List[int]:
    """Check a list of whole numbers.

    value (Any): The list.
    n (int): Its length.
    where (str): How to call it in a message.
    RETURNS (List[int]): The list.
    RAISES (ValueError): If it is something else.
    """
    if not isinstance(value, list) or len(value) != n:
        raise ValueError(Errors.F002.format(where=where, expected=f"{n} whole numbers", value=shorten(repr(value))))
    return [expect(number, int, where) for number in value]


def note_fields(record: Dict[str, Any], known: Container[str], kind: str, losses: Losses) -> None:
    """Count the fields of a record that are not read.

    record (Dict[str, Any]): The record.
    known (Container[str]): The fields that are.
    kind (str): What the record is.
    losses (Losses): Where to count.
    """
    for key in record:
        if key not in known:
            losses.note(Reasons.FIELD.format(kind=kind, key=shorten(key)))


def is_label(value: Any) -> bool:
    """RETURNS (bool): Whether a value can be a label: a string that is not blank."""
    return isinstance(value, str) and bool(value.strip())


def check_meta(meta: Dict[str, Any]) -> None:
    """Make sure that spaCy's format can store the meta data of a record.

    meta (Dict[str, Any]): The meta data.
    RAISES (ValueError): If it can't.
    """
    try:
        srsly.msgpack_dumps({"meta": meta})
    except (ValueError, OverflowError, TypeError) as err:
        raise ValueError(Errors.F021.format(error=err)) from err


def read_meta(record: Dict[str, Any], losses: Losses, place: str) -> Optional[Dict[str, Any]]:
    """Read the meta data of a record. Such that can't be stored are counted and left out.

    record (Dict[str, Any]): The JSON object.
    losses (Losses): Where to count.
    place (str): The record's file and line.
    RETURNS (Optional[Dict[str, Any]]): The meta data, if there are any.
    """
    if record.get("meta") is not None:
        with losses.entry("meta data", place):
            meta: Dict[str, Any] = take(record, "meta", dict)
            check_meta(meta)
            return meta
    return None


def parse_json(raw: bytes) -> Any:
    """Parse JSON. Unlike srsly's, the standard parser names the place of a mistake and reads floats exactly.

    raw (bytes): UTF-8, with or without a byte order mark.
    RETURNS (Any): The value.
    RAISES (ValueError): If it is not JSON; NaN and Infinity are not, nor is a key that is there twice.
    """
    try:
        text = raw.decode("utf-8-sig").strip()
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_to_dict)
    except json.JSONDecodeError as err:
        line = f"line {err.lineno}, " if b"\n" in raw.strip() else ""
        raise ValueError(Errors.F001.format(error=f"{err.msg} ({line}column {err.colno})")) from err
    except (ValueError, RecursionError) as err:
        raise ValueError(Errors.F001.format(error=err)) from err


def _to_dict(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        ((key, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {shorten(repr(key))} is there twice")
    return found


def _refuse_constant(value: str) -> None:
    raise ValueError(f"{value} is no JSON number")
