"""What breaks a careless reader of JSON."""

import copy
import json
import time
from contextlib import contextmanager

# Raw JSON, and what is said about it.
NO_JSON = {
    "deep list": (b"[" * 100_000, "maximum recursion depth"),
    "deep and closed": (b"[" * 100_000 + b"]" * 100_000, "maximum recursion depth"),
    "deep object": (b'{"a":' * 100_000, "maximum recursion depth"),
    "long number": (b'{"text": ' + b"9" * 1_000_000 + b"}", "1000000 digits"),
    "NaN": (b'{"text": NaN}', "NaN is no JSON number"),
    "Infinity": (b'{"text": -Infinity}', "-Infinity is no JSON number"),
    "key twice": (b'{"text": "a", "text": "b"}', "the key 'text' is there twice"),
    "invalid UTF-8": (b'{"text": "\xff"}', "can't decode byte 0xff"),
    "UTF-16": ('{"text": "a"}'.encode("utf-16"), "can't decode byte 0xff"),
    "UTF-16 without mark": ('{"text": "a"}'.encode("utf-16-le"), "Expecting property name"),
    "null bytes": (b"\x00" * 1000, "Expecting value"),
    "open string": (b'"' + b"a" * 5_000_000, None),
}

# In place of any value of a record.
DEEP = 5
for _ in range(480):
    DEEP = [DEEP]
VALUES = [
    None,
    True,
    False,
    -1,
    2,
    10**6,
    2**63,
    -(10**400),
    0.5,
    1e300,
    "",
    "0",
    " ",
    "\ud800",
    "\x00",
    "a" * 5000,
    "(" * 1100,
    [],
    [None],
    {},
    {"a": 1},
    DEEP,
]
# And such that Python can't write.
RAW_VALUES = [b"1e999", b"-1e999", b"1E5"]


def nodes(value, path=()):
    """The ways to all values inside a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from nodes(inner, (*path, key))


def replaced(record, path, raw):
    """RETURNS (bytes): The record as JSON, with another value in a place."""
    record = copy.deepcopy(record)
    inner = record
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = "@@"
    return dump(record).replace(b'"@@"', raw)


def changed_anywhere(record):
    """The record as JSON, with each of the values in each place."""
    for path in nodes(record):
        for raw in [*map(dump, VALUES), *RAW_VALUES]:
            yield replaced(record, path, raw)


def dump(record):
    return json.dumps(record).encode()


@contextmanager
def bounded_time(seconds=6.0):
    """Of the processor. What takes time squared in N takes a multiple of this, what is right a small part."""
    start = time.process_time()
    yield
    assert time.process_time() - start < seconds
