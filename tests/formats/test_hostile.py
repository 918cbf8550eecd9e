"""Files made to break things: each reader names what is wrong, loses only that, and comes to an end."""

import copy
import json
from pathlib import Path

import pytest
import spacy
from spacy.tokens import DocBin

from spacy_spert.formats import READERS, Losses, StrictError, load

NLP = spacy.blank("xx")
TEXT = "Ann lives in Bonn ."
WORDS = TEXT.split()
OFFSETS = [(0, 3), (4, 9), (10, 12), (13, 17), (18, 19)]
# A record of each format that is JSON.
RECORDS = {
    "jsonl": {
        "text": TEXT,
        "token_offsets": [[*pair] for pair in OFFSETS],
        "sent_starts": [0],
        "entities": [
            {"start": 0, "end": 3, "label": "PER", "score": 0.5},
            {"start": 13, "end": 17, "label": "LOC", "score": 1.0},
        ],
        "relations": [{"head": 0, "tail": 1, "label": "LIVES_IN", "score": 0.5}],
        "meta": {"id": 7},
    },
    "spert-json": {
        "tokens": WORDS,
        "spaces": [True] * 5,
        "sent_starts": [0],
        "entities": [{"type": "PER", "start": 0, "end": 1}, {"type": "LOC", "start": 3, "end": 4, "score": 0.5}],
        "relations": [{"type": "LIVES_IN", "head": 0, "tail": 1, "score": 0.5}],
        "orig_id": 7,
        "meta": {"x": 1},
    },
    "scierc": {
        "doc_key": "X1",
        "sentences": [WORDS],
        "ner": [[[0, 0, "PER"], [3, 3, "LOC"]]],
        "relations": [[[0, 0, 3, 3, "LIVES_IN"]]],
    },
    "prodigy": {
        "text": TEXT,
        "tokens": [{"text": TEXT[a:b], "start": a, "end": b, "id": i} for i, (a, b) in enumerate(OFFSETS)],
        "spans": [
            {"start": 0, "end": 3, "token_start": 0, "token_end": 0, "label": "PER"},
            {"start": 13, "end": 17, "token_start": 3, "token_end": 3, "label": "LOC"},
        ],
        "relations": [{"head": 0, "child": 3, "label": "LIVES_IN", "head_span": {"token_start": 0, "token_end": 0}}],
        "answer": "accept",
        "meta": {"id": 7},
    },
    "labelstudio": {
        "id": 1,
        "data": {"text": TEXT},
        "annotations": [
            {
                "result": [
                    {"id": "a", "type": "labels", "value": {"start": 0, "end": 3, "text": "Ann", "labels": ["PER"]}},
                    {"id": "b", "type": "labels", "value": {"start": 13, "end": 17, "labels": ["LOC"]}},
                    {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right", "labels": ["LIVES_IN"]},
                ]
            }
        ],
    },
    "doccano": {
        "id": 1,
        "text": TEXT,
        "entities": [
            {"id": 4, "label": "PER", "start_offset": 0, "end_offset": 3},
            {"id": 5, "label": "LOC", "start_offset": 13, "end_offset": 17},
        ],
        "relations": [{"id": 2, "from_id": 4, "to_id": 5, "type": "LIVES_IN"}],
    },
}
# These are one list; the others are a record a line.
LISTS = ("spert-json", "labelstudio")


def read(name, path):
    """RETURNS (Tuple[List[Doc], Losses]): The documents, after a way through spaCy's format, and what was lost."""
    losses = Losses()
    docs = list(load(READERS[name])(path, NLP, losses))
    stored = DocBin(store_user_data=True, docs=docs).to_bytes()
    return list(DocBin().from_bytes(stored).get_docs(NLP.vocab)), losses


def messages(losses):
    return [message for places in losses.places.values() for message in places]


def write(tmp_path, name, *raw):
    path = tmp_path / f"in.{name}"
    path.write_bytes(b"[" + b",\n".join(raw) + b"]" if name in LISTS else b"\n".join(raw))
    return path


def dump(record):
    return json.dumps(record).encode()


@pytest.mark.parametrize("name", RECORDS)
def test_record(tmp_path, name):
    """What the tests below start from is whole."""
    (doc,), losses = read(name, write(tmp_path, name, dump(RECORDS[name])))
    assert [(r.head.text, r.label, r.tail.text) for r in doc._.relations] == [("Ann", "LIVES_IN", "Bonn")]
    assert messages(losses) == []


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


@pytest.mark.parametrize("case", NO_JSON)
@pytest.mark.parametrize("name", RECORDS)
def test_no_json(tmp_path, name, case):
    """A line is lost and named, and those around it are read. A list can't be read any further."""
    raw, expected = NO_JSON[case]
    good = dump(RECORDS[name])
    path = write(tmp_path, name, good, raw, good)
    docs, losses = read(name, path)
    (message,) = messages(losses)
    # In a list the string ends where the next one begins.
    assert (expected or "Not valid JSON: ") in message and len(message) < 1000
    assert message.startswith(f"{path}: " if name in LISTS else f"{path}:2: ")
    assert len(docs) == (0 if name in LISTS else 2)


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


@pytest.mark.parametrize("name", RECORDS)
def test_any_value_anywhere(tmp_path, name):
    """Nothing but what is counted happens, and what is read can be stored."""
    record = RECORDS[name]
    good = dump(record)
    raws = [dump(value) for value in VALUES] + [b"1e999", b"-1e999", b"1E5"]
    changed = [replaced(record, path, raw) for path in nodes(record) for raw in raws]
    path = write(tmp_path, name, *changed, good)
    docs, losses = read(name, path)
    assert docs[-1].text.split() == WORDS and len(docs[-1]._.relations) == 1
    lost = sum(places != [] for places in losses.places.values())
    assert lost and all(message.startswith(str(path)) and len(message) < 2000 for message in messages(losses))
    assert len(changed) + 1 - len(losses.places["record: broken, skipped"]) - len(docs) in range(
        losses.counts["record: no annotation"] + sum(n for r, n in losses.counts.items() if "answer is" in r) + 1
    )
    # Each is an error where nothing may be lost, and no other kind of error.
    for i, raw in enumerate(changed[::13]):
        one = tmp_path / f"{i}"
        one.write_bytes(b"[" + raw + b"]" if name in LISTS else raw)
        try:
            list(load(READERS[name])(one, NLP))
        except StrictError as err:
            assert str(err).startswith(str(one))


N = 20_000
WORD = "a" * 10**6


def many(name):
    """A record with many entities and relations, which are hard to tell apart for someone who compares each with each."""
    text, ends = "x " * N, [(2 * i, 2 * i + 1) for i in range(N)]
    pairs = [(i, (i + 1) % N) for i in range(N)]
    if name == "scierc":
        ner = [[[i, i, "A"]] for i in range(N)]
        relations = [[[head, head, tail, tail, "R"]] for head, tail in pairs]
        return {"sentences": [["x"]] * N, "ner": ner, "relations": relations}
    if name == "prodigy":
        # All end at the same token.
        spans = [{"token_start": i, "token_end": N - 1, "label": "A"} for i in range(N)]
        relations = [{"head": N - 1, "child": N - 1, "label": "R"}] * N
        tokens = [{"start": start, "end": end} for start, end in ends]
        return {"text": text, "tokens": tokens, "spans": spans, "relations": relations, "answer": "accept"}
    if name == "labelstudio":
        labels = [
            {"id": str(i), "type": "labels", "value": {"start": a, "end": b, "text": "x", "labels": ["A"]}}
            for i, (a, b) in enumerate(ends)
        ]
        relations = [{"type": "relation", "from_id": str(a), "to_id": str(b), "labels": ["R"]} for a, b in pairs]
        return {"data": {"text": text}, "annotations": [{"result": labels + relations}]}
    if name == "doccano":
        entities = [{"id": i, "label": "A", "start_offset": a, "end_offset": b} for i, (a, b) in enumerate(ends)]
        return {"text": text, "entities": entities, "relations": [{"from_id": a, "to_id": b, "type": "R"} for a, b in pairs]}
    label = "label" if name == "jsonl" else "type"
    relations = [{"head": head, "tail": tail, label: "R"} for head, tail in pairs]
    if name == "jsonl":
        return {"text": text, "entities": [{"start": a, "end": b, label: "A"} for a, b in ends], "relations": relations}
    return {"tokens": ["x"] * N, "entities": [{"start": i, "end": i + 1, label: "A"} for i in range(N)], "relations": relations}


@pytest.mark.timeout_of(20)
@pytest.mark.parametrize("name", RECORDS)
def test_many(tmp_path, name):
    (doc,), losses = read(name, write(tmp_path, name, dump(many(name))))
    assert len(doc.spans["spert"]) == N
    assert len(doc._.relations) + len(messages(losses)) == N
