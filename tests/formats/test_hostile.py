"""Files made to break things: each reader names what is wrong, loses only that, and comes to an end."""

import pytest
import spacy
from hostile import NO_JSON, bounded_time, changed_anywhere, dump
from spacy.tokens import DocBin
from util import uncoded

from spacy_spert.formats import Losses, StrictError, load, readers
from spacy_spert.formats.spert_json import read_types

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
    docs = list(load(readers, name)(path, NLP, losses))
    stored = DocBin(store_user_data=True, docs=docs).to_bytes()
    return list(DocBin().from_bytes(stored).get_docs(NLP.vocab)), losses


def messages(losses):
    return [uncoded(message) for places in losses.places.values() for message in places]


def write(tmp_path, name, *raw):
    path = tmp_path / f"in.{name}"
    path.write_bytes(b"[" + b",\n".join(raw) + b"]" if name in LISTS else b"\n".join(raw))
    return path


@pytest.mark.parametrize("name", RECORDS)
def test_record(tmp_path, name):
    """What the tests below start from is whole."""
    (doc,), losses = read(name, write(tmp_path, name, dump(RECORDS[name])))
    assert [(r.head.text, r.label, r.tail.text) for r in doc._.relations] == [("Ann", "LIVES_IN", "Bonn")]
    assert messages(losses) == []


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


@pytest.mark.parametrize("name", RECORDS)
def test_any_value_anywhere(tmp_path, name):
    """Nothing but what is counted happens, and what is read can be stored."""
    record = RECORDS[name]
    good = dump(record)
    changed = list(changed_anywhere(record))
    path = write(tmp_path, name, *changed, good)
    docs, losses = read(name, path)
    assert docs[-1].text.split() == WORDS and len(docs[-1]._.relations) == 1
    lost = sum(places != [] for places in uncoded(losses.places).values())
    assert lost and all(message.startswith(str(path)) and len(message) < 2000 for message in messages(losses))
    assert len(changed) + 1 - len(uncoded(losses.places["record: broken, skipped"])) - len(docs) in range(
        losses.counts["record: no annotation"] + sum(n for r, n in losses.counts.items() if "answer is" in r) + 1
    )
    # Each is an error where nothing may be lost, and no other kind of error.
    for i, raw in enumerate(changed[::13]):
        one = tmp_path / f"{i}"
        one.write_bytes(b"[" + raw + b"]" if name in LISTS else raw)
        try:
            list(load(readers, name)(one, NLP))
        except StrictError as err:
            assert str(err).startswith(str(one))


N = 20_000


def many(name):
    """A record with many entities and relations, for which comparing each with each would take long."""
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
        return {
            "text": text,
            "entities": entities,
            "relations": [{"from_id": a, "to_id": b, "type": "R"} for a, b in pairs],
        }
    label = "label" if name == "jsonl" else "type"
    relations = [{"head": head, "tail": tail, label: "R"} for head, tail in pairs]
    if name == "jsonl":
        return {"text": text, "entities": [{"start": a, "end": b, label: "A"} for a, b in ends], "relations": relations}
    return {
        "tokens": ["x"] * N,
        "entities": [{"start": i, "end": i + 1, label: "A"} for i in range(N)],
        "relations": relations,
    }


@pytest.mark.parametrize("name", RECORDS)
def test_many(tmp_path, name):
    path = write(tmp_path, name, dump(many(name)))
    with bounded_time():
        (doc,), losses = read(name, path)
    assert len(doc.spans["spert"]) == N
    assert len(doc._.relations) + len(messages(losses)) == N


def test_many_lines_for_one_sentence(tmp_path):
    """In ADE's file mentions are located by their text, and here it is everywhere."""
    sentence = "ab " * 5000
    path = tmp_path / "in.rel"
    path.write_text("".join(f"1|{sentence}|a|{3 * i}|{3 * i + 1}|b|{3 * i + 1}|{3 * i + 2}\n" for i in range(3)))
    with bounded_time():
        _, losses = read("ade", path)
    assert losses.counts["entity: not on token boundaries"] == 6


@pytest.mark.parametrize("sign", ["a", "(", "a.", "http://a."])
def test_long_word(tmp_path, sign):
    """The tokenizer would need hours for some of these. What is shorter is tokenized as ever."""
    n = 10**6 - 20 if sign == "a" else 10**5
    text = (sign * n)[:n]
    records = [
        {"text": f"Ann likes {word} Bob", "entities": [{"start": 0, "end": 3, "label": "PER"}]}
        for word in (text, "(" * 500)
    ]
    records[0]["entities"].append({"start": len(text) + 11, "end": len(text) + 14, "label": "PER"})
    with bounded_time(20):
        docs, losses = read("jsonl", write(tmp_path, "jsonl", *map(dump, records)))
    assert [doc.text for doc in docs] == [record["text"] for record in records]
    assert [span.text for span in docs[0].spans["spert"]] == ["Ann", "Bob"]
    assert [token.text for token in docs[1]] == [token.text for token in NLP.make_doc(records[1]["text"])]
    # A token that the file gives may be as long as it likes.
    ((doc,), _) = read("spert-json", write(tmp_path, "spert-json", dump({"tokens": [text], "entities": []})))
    assert len(doc) == 1 and not uncoded(losses.places)


def test_text_too_long_for_spacy(tmp_path):
    docs, losses = read("jsonl", write(tmp_path, "jsonl", dump({"text": "a" * (10**6 + 1), "entities": []})))
    assert docs == [] and "Text of length 1000001 exceeds maximum" in messages(losses)[0]


@pytest.mark.parametrize("name", RECORDS)
def test_huge_file(tmp_path, name, monkeypatch):
    """A line or a list that is too long is not even parsed."""
    monkeypatch.setattr("spacy_spert.formats.lines.MAX_LINE", 2000)
    monkeypatch.setattr("spacy_spert.formats.files.MAX_FILE", 2000)
    good = dump(RECORDS[name])
    path = write(tmp_path, name, good, b"[" * 5000, good)
    docs, losses = read(name, path)
    (message,) = messages(losses)
    place, what = (f"{path}", "file") if name in LISTS else (f"{path}:2", "line")
    assert uncoded(message).startswith(f"{place}: The {what} is longer than 2000 bytes. Split it")
    assert len(docs) == (0 if name in LISTS else 2)


@pytest.mark.parametrize("raw", [raw for raw, _ in NO_JSON.values()] + [b" " * (2**24 + 1)], ids=[*NO_JSON, "huge"])
def test_types(tmp_path, raw):
    path = tmp_path / "types.json"
    path.write_bytes(raw)
    with pytest.raises(
        ValueError, match="types.json: .*(Not valid JSON|The file is (longer than 16777216|encoded as UTF-16))"
    ):
        read_types(path)


def test_names_from_the_file_are_not_counted_without_end(tmp_path):
    """Nor do messages repeat long texts."""
    long = "a" * 10_000
    spans = [{"token_start": 0, "token_end": 0, "label": f"{long}{i}"} for i in range(300)]
    records = [{"answer": f"{i} {long}"} for i in range(300)] + [{**RECORDS["prodigy"], "spans": spans}]
    _, losses = read("prodigy", write(tmp_path, "prodigy", *map(dump, records)))
    assert len(losses.counts) < 210 and losses.counts["further reasons, too many to count apart"] > 0
    assert all(len(message) < 1000 for message in messages(losses))


def test_links_out_of_a_folder_are_not_read(tmp_path):
    """brat's folders hold pairs of files; here some lead to files of others."""
    folder, secret = tmp_path / "folder", tmp_path / "secret.txt"
    folder.mkdir()
    secret.write_text(TEXT)
    (folder / "a.ann").symlink_to(secret)
    (folder / "a.txt").write_text(TEXT)
    (folder / "b.ann").write_text("T1\tPER 0 3\tAnn\n")
    (folder / "b.txt").symlink_to(secret)
    (folder / "c.ann").symlink_to(folder / "b.ann")
    (folder / "c.txt").write_text(TEXT)
    (folder / "up").symlink_to(tmp_path)
    docs, losses = read("brat", folder)
    assert [doc.user_data["meta"] for doc in docs] == [{"id": "c"}]
    assert len(messages(losses)) == 2 and all("leads out of the folder" in message for message in messages(losses))
    assert TEXT not in "".join(messages(losses))


ADE = "1|Rash by zinc.|Rash|0|4|zinc|8|12\n"
CONLL04 = "1\tPeop\t0\tO\tNNP\tAnn\tO\tO\tO\n1\tLoc\t1\tO\tNNP\tBonn\tO\tO\tO\n\n0\t1\tLive_In\n\n"
ANN = "T1\tPER 0 3\tAnn\nT2\tLOC 13 17\tBonn\nR1\tLIVES_IN Arg1:T1 Arg2:T2\n"
# A file of each format that is text, with one relation.
TEXTS = {
    **{name: (dump([record]) if name in LISTS else dump(record)).decode() for name, record in RECORDS.items()},
    "ade": ADE,
    "conll04": CONLL04,
    "brat": ANN,
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_encodings(tmp_path, name, encoding):
    """A byte order mark of UTF-8 is no part of the text; another encoding is refused by its name."""
    path = tmp_path / "in.ann"
    (tmp_path / "in.txt").write_text(TEXT)
    path.write_bytes(TEXTS[name].encode(encoding))
    docs, losses = read(name, path)
    if encoding == "utf-8-sig":
        assert [len(doc._.relations) for doc in docs] == [1] and not messages(losses)
        return
    (message,) = messages(losses)
    assert docs == []
    assert message.startswith(f"{path}: The file is encoded as {encoding[:6].upper()}")
    assert message.endswith("but UTF-8 is read. Save it as UTF-8.")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_encoding_of_a_text_of_brat(tmp_path, encoding):
    (tmp_path / "in.txt").write_bytes(TEXT.encode(encoding))
    (tmp_path / "in.ann").write_text(ANN)
    docs, losses = read("brat", tmp_path)
    assert docs == [] and "The file is encoded as UTF-16" in messages(losses)[0]
    assert losses.counts["entity: in a broken record"] == 2


def test_long_lines_of_other_files(tmp_path, monkeypatch):
    """They are not even held, and only their record is lost."""
    monkeypatch.setattr("spacy_spert.formats.lines.MAX_LINE", 200)
    path = tmp_path / "in.rel"
    path.write_text(ADE + "1|" + "a" * 300 + "\n" + ADE.replace("1|", "2|"))
    docs, losses = read("ade", path)
    assert len(docs) == 2
    assert messages(losses) == [
        f"{path}:2: The line is longer than 200 bytes. Split it, or use JSON lines, which are read one by one."
    ]
    path = tmp_path / "in.corp"
    path.write_text(CONLL04 + CONLL04.replace("Bonn", "a" * 300) + CONLL04)
    docs, losses = read("conll04", path)
    assert [len(doc._.relations) for doc in docs] == [1, 1]
    assert len(messages(losses)) == 1 and messages(losses)[0].startswith(f"{path}:6: The line is longer than 200")
    # A sentence of many rows.
    row = CONLL04.split("\n")[0] + "\n"
    path.write_text(row * 20 + "\n\n" + CONLL04)
    docs, losses = read("conll04", path)
    assert [len(doc._.relations) for doc in docs] == [1]
    assert messages(losses)[0].startswith(f"{path}:1: The sentence is longer than 200 bytes")


def test_large_files_of_other_kinds(tmp_path, monkeypatch):
    """Those that must be held as a whole."""
    monkeypatch.setattr("spacy_spert.formats.files.MAX_FILE", 200)
    path = tmp_path / "in.rel"
    path.write_text(ADE * 20)
    docs, losses = read("ade", path)
    assert docs == [] and messages(losses)[0].startswith(f"{path}: The file is longer than 200 bytes")
    for name in "abc":
        (tmp_path / f"{name}.ann").write_text(ANN * (20 if name == "a" else 1))
        (tmp_path / f"{name}.txt").write_text(TEXT * (20 if name == "b" else 1))
    docs, losses = read("brat", tmp_path)
    assert [doc.user_data["meta"]["id"] for doc in docs] == ["c"]
    assert [message.split(": ")[-1] for message in messages(losses)] == [
        "The file is longer than 200 bytes. Split it, or use JSON lines, which are read one by one."
    ] * 2
    assert losses.counts["entity: in a broken record"] == 2
