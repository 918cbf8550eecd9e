import csv
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import click
import forked
import pytest
import spacy
from hostile import NO_JSON, changed_anywhere, dump
from spacy.cli import app as spacy_app
from spacy.language import Language
from typer.testing import CliRunner
from util import RELATION_LABELS, TEXTS, initialize, make_nlp

from spacy_spert import to_triples
from spacy_spert.cli import extract as extract_module
from spacy_spert.cli.extract import extract
from spacy_spert.extraction import extractor as extraction
from spacy_spert.extraction import workers
from spacy_spert.extraction.codec import csv_lines
from spacy_spert.extraction.stream import progress_path
from spacy_spert.extraction.workers import Settings, extract_batch, load
from spacy_spert.formats.jsonl import read_jsonl
from spacy_spert.formats.lines import MAX_LINE, Line
from spacy_spert.formats.losses import MAX_REASONS

COLUMNS = "line,head,head_label,relation,tail,tail_label,score,head_start,head_end,tail_start,tail_end"
WORDS = [text for text, _, _ in TEXTS]


def run(*args):
    return CliRunner().invoke(spacy_app, ["spert", "extract", *map(str, args)])


def printed(result):
    return " ".join(click.unstyle(result.output).split())


def command(*args):
    return ["-m", "spacy", "spert", "extract", *map(str, args)]


@contextmanager
def pipe():
    reader, writer = os.pipe()
    with open(reader, "rb") as reads, open(writer, "wb") as writes:
        yield reads, writes


def wait_for_lines(path, n, process):
    """Until so many are written. The process must be running."""
    deadline = time.monotonic() + 300
    while not (path.exists() and path.read_bytes().count(b"\n") >= n):
        assert process.exitcode is None and time.monotonic() < deadline
        time.sleep(0.05)


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf8").splitlines()]


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.fixture
def source(tmp_path):
    return write(tmp_path / "in.jsonl", [{"text": text, "meta": {"n": i}} for i, text in enumerate(WORDS)])


@pytest.fixture
def expected(model, source, tmp_path):
    """What an uninterrupted run writes."""
    extract(model, source, tmp_path / "expected.jsonl", batch_size=2)
    return (tmp_path / "expected.jsonl").read_bytes()


def add_component(model, path, name):
    nlp = spacy.load(model)
    nlp.add_pipe(name, last=True)
    nlp.to_disk(path)
    return path


@Language.component("test_fails_on_bob")
def fails_on_bob(doc):
    if doc.text.startswith("Bob"):
        raise RuntimeError("no Bob here")
    return doc


@Language.component("test_ends_process")
def ends_process(doc):
    os._exit(1)


class Forgets:
    def __init__(self, nlp, name):
        pass

    def __call__(self, doc):
        return doc

    def pipe(self, docs, batch_size=None):
        return (doc for doc in docs if not doc.text.startswith("Bob"))


Language.factory("test_forgets_bob", func=Forgets)


def test_records(tmp_path, model, nlp):
    records = [
        {"text": text, "id": f"x{i}", "meta": {"deep": [i, {"y": None}], "z": 1.5}} for i, text in enumerate(WORDS)
    ]
    source = write(tmp_path / "in.jsonl", records)
    output = tmp_path / "new" / "folder" / "out.jsonl"
    result = run(model, source, output)
    assert result.exit_code == 0, result.output
    # The model knows these texts, so this is their annotation as well.
    n = sum(len(entities) for _, entities, _ in TEXTS), sum(len(relations) for _, _, relations in TEXTS)
    assert printed(result).endswith(f": {len(WORDS)} texts, {n[0]} entities, {n[1]} relations")
    assert [path.name for path in output.parent.iterdir()] == ["out.jsonl"]
    for record, doc, written in zip(records, nlp.pipe(WORDS), read(output)):
        group = doc.spans["spert"]
        entities = written.pop("entities")
        assert [(e["start"], e["end"], e["label"]) for e in entities] == [
            (span.start_char, span.end_char, span.label_) for span in group
        ]
        assert [e["score"] for e in entities] == pytest.approx(list(group.attrs["scores"]), abs=1e-5)
        relations = written.pop("relations")
        assert [(group[r["head"]], group[r["tail"]], r["label"]) for r in relations] == [
            (rel.head, rel.tail, rel.label) for rel in doc._.relations
        ]
        assert [r["score"] for r in relations] == pytest.approx([rel.score for rel in doc._.relations], abs=1e-5)
        assert written == record
    docs = list(read_jsonl(output, nlp))
    assert [[(r.head.text, r.label, r.tail.text) for r in doc._.relations] for doc in docs] == [
        [(r.head.text, r.label, r.tail.text) for r in doc._.relations] for doc in nlp.pipe(WORDS)
    ]
    assert docs[3].user_data["meta"] == records[3]["meta"]


def test_tokens_keep_their_offsets(tmp_path, model):
    tokens = ["Ann", "Lee", "works", "for", "Acme", "Labs", "in", "Bonn", "."]
    source = write(tmp_path / "in.jsonl", [{"tokens": tokens, "sent_starts": [0]}])
    extract(model, source, tmp_path / "out.jsonl")
    (record,) = read(tmp_path / "out.jsonl")
    assert record["tokens"] == tokens and "text" not in record
    assert [(e["start"], e["end"], e["label"]) for e in record["entities"]] == [
        (0, 2, "PER"),
        (4, 6, "ORG"),
        (7, 8, "LOC"),
    ]
    assert [(r["head"], r["tail"], r["label"]) for r in record["relations"]] == [
        (0, 1, "works_for"),
        (1, 2, "based_in"),
    ]
    extract(model, source, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as file_:
        row = next(csv.DictReader(file_))
    # Characters of the tokens with a blank between.
    assert (row["tail"], row["tail_start"], row["tail_end"]) == ("Acme Labs", "18", "27")


def test_plain_text(tmp_path, model):
    source = tmp_path / "in.txt"
    source.write_bytes(b"\xef\xbb\xbf" + WORDS[0].encode() + b"\r\n\n \xc3\xa9\xe2\x80\xa8x\n" + WORDS[1].encode())
    counts = extract(model, source, tmp_path / "out.jsonl")
    records = read_lines_of(tmp_path / "out.jsonl")
    assert [record["text"] for record in records] == [WORDS[0], "", " \xe9\u2028x", WORDS[1]]
    assert [record["meta"] for record in records] == [{"line": n} for n in (1, 2, 3, 4)]
    assert records[1]["entities"] == records[1]["relations"] == []
    assert counts["texts"] == 4
    assert len(list(read_jsonl(tmp_path / "out.jsonl"))) == 4


def read_lines_of(path):
    return [json.loads(line) for line in path.read_bytes().decode().strip().split("\n")]


def test_triples(tmp_path, model, nlp, source):
    extract(model, source, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as file_:
        assert file_.readline() == COLUMNS + "\n"
        rows = list(csv.reader(file_))
    triples = to_triples(nlp.pipe(WORDS))
    assert len(triples) == sum(len(relations) for _, _, relations in TEXTS)
    assert [(int(row[0]) - 1, *row[1:6]) for row in rows] == [(t.doc, *t[:5]) for t in triples]
    assert [float(row[6]) for row in rows] == pytest.approx([t.score for t in triples], abs=1e-5)
    assert [tuple(map(int, row[7:])) for row in rows] == [t[6:10] for t in triples]


def test_text_with_quotes_and_line_breaks_in_csv():
    row = ["1", 'Ann "Lee"', "", "two\nlines", "a,b", "é"]
    lines = csv_lines([row, row]).decode("utf8")
    assert list(csv.reader(io.StringIO(lines, newline=""))) == [row, row]


def test_several_processes_give_the_same(tmp_path, model):
    source = write(tmp_path / "in.jsonl", [{"text": WORDS[i % len(WORDS)], "id": i} for i in range(60)] + ["bad"])
    outputs, messages = [], []
    for n in (1, 2):
        output = tmp_path / f"{n}.jsonl"
        extract(model, source, output, n_process=n, batch_size=3, report=messages.append)
        outputs.append(output.read_bytes())
    assert outputs[0] == outputs[1]
    assert [record["id"] for record in read(output)] == list(range(60))
    assert messages == [f"{source}:61: [F002] Expected the record to be an object, got: 'bad'"] * 2


def test_threshold(tmp_path, model, source):
    counts = [
        extract(model, source, tmp_path / f"{value}.jsonl", threshold=value)["relations"] for value in (0.0, None, 1.0)
    ]
    assert counts[0] > counts[1] > counts[2] == 0
    result = run(model, source, tmp_path / "out.jsonl", "--threshold", 2)
    assert result.exit_code == 1
    assert "relation_threshold" in printed(result) and "between 0 and 1" in printed(result)
    assert not (tmp_path / "out.jsonl").exists()


BAD = [
    (b"{", "Not valid JSON: Expecting property name"),
    (b"[1]", "Expected the record to be an object, got: [1]"),
    (b"{}", "Exactly one of 'text' and 'tokens' is needed, got neither"),
    (b'{"text": "a", "tokens": ["a"]}', "Exactly one of 'text' and 'tokens' is needed, got both"),
    (b'{"text": null}', "Expected 'text' to be a string, got: None"),
    (b'{"tokens": "a b"}', "Expected 'tokens' to be a list, got: 'a b'"),
    (b'{"tokens": ["a", 1]}', "Token 1 is 1, but a token is a string"),
    (b'{"text": "a", "meta": [1]}', "Expected 'meta' of the record to be an object, got: [1]"),
    (b'{"text": "\xff"}', "Not valid JSON: 'utf-8' codec can't decode byte 0xff"),
    (b'{"text": "\\ud800"}', "can't encode character"),
    (b'{"text": "a", "meta": {"x": "\\ud800"}}', "can't encode character"),
    (b'{"text": "a", "meta": {"x": NaN}}', "NaN is no JSON number"),
    (b'{"text": "' + b"a" * 1000001 + b'"}', "Text of length 1000001 exceeds maximum of 1000000"),
]


def test_bad_lines_are_named_and_passed_over(tmp_path, model, expected):
    good = [json.dumps({"text": text, "meta": {"n": i}}).encode() for i, text in enumerate(WORDS)]
    lines = [line for pair in zip(good, [bad for bad, _ in BAD]) for line in pair] + [
        bad for bad, _ in BAD[len(good) :]
    ]
    source, output = tmp_path / "bad.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(b"\n".join(lines))
    messages = []
    counts = extract(model, source, output, batch_size=4, report=messages.append)
    assert len(messages) == len(BAD) == counts["bad"]
    for message, (bad, text) in zip(messages, BAD):
        assert message.startswith(f"{source}:{lines.index(bad) + 1}: {text}") or text in message
    assert [record["meta"]["n"] for record in read(output)] == list(range(len(WORDS)))
    result = run(model, source, output, "--force")
    assert result.exit_code == 0
    assert f"{source}:2: [F001] Not valid JSON" in result.stderr.replace("\n", "")
    assert f"{len(BAD)} lines skipped" in printed(result)


def test_strict_stops_and_goes_on(tmp_path, model, source, expected):
    lines = source.read_bytes().splitlines(keepends=True)
    output = tmp_path / "out.jsonl"
    source.write_bytes(b"".join([*lines[:3], b"{\n", *lines[4:]]))
    result = run(model, source, output, "--strict", "--batch-size", 2)
    assert result.exit_code == 1
    assert f"{source}:4: [F001] Not valid JSON" in printed(result) and "--resume continues" in printed(result)
    assert output.read_bytes() == b"".join(expected.splitlines(keepends=True)[:3])
    assert run(model, source, output, "--strict", "--resume").exit_code == 1
    source.write_bytes(b"".join(lines))
    result = run(model, source, output, "--strict", "--resume")
    assert result.exit_code == 0
    assert f"Wrote {output}: {len(WORDS)} texts" in printed(result)
    assert [record["meta"]["n"] for record in read(output)] == list(range(len(WORDS)))


def test_nothing_usable(tmp_path, model):
    source = tmp_path / "in.jsonl"
    source.write_text("a\nb\n")
    result = run(model, source, tmp_path / "out.jsonl")
    assert result.exit_code == 1
    assert "2 lines skipped" in printed(result)
    source.write_text("")
    assert run(model, source, tmp_path / "empty.csv").exit_code == 0
    assert (tmp_path / "empty.csv").read_text() == COLUMNS + "\n"


@pytest.mark.parametrize("component", ["test_fails_on_bob", "test_forgets_bob"])
def test_text_that_a_component_fails_on(tmp_path, model, source, component):
    add_component(model, tmp_path / "model", component)
    messages = []
    counts = extract(tmp_path / "model", source, tmp_path / "out.jsonl", report=messages.append)
    assert (counts["texts"], counts["bad"]) == (len(WORDS) - 1, 1)
    assert [record["meta"]["n"] for record in read(tmp_path / "out.jsonl")] == [0, *range(2, len(WORDS))]
    reason = {
        "test_fails_on_bob": "RuntimeError: no Bob here",
        "test_forgets_bob": "[S068] The pipeline ['spert', 'test_forgets_bob'] returned 0 documents for 1 texts.",
    }
    assert messages == [f"{source}:2: {reason[component]}"]


def test_fields_that_are_not_kept_are_counted(tmp_path, model):
    record = {"text": WORDS[0], "lang": "en", "entities": [], "id": 1}
    result = run(model, write(tmp_path / "in.jsonl", [record] * 3), tmp_path / "out.jsonl")
    assert "3 record: field 'lang' not kept" in printed(result)
    assert list(read(tmp_path / "out.jsonl")[0]) == ["id", "text", "entities", "relations"]


def test_names_of_fields_from_a_hostile_file(tmp_path, model):
    """They are neither collected without end nor printed as they are."""
    names = [f"x{i}" for i in range(300)] + ["y" * 10**6, "\ud800", "\x1b[31m"]
    source = write(tmp_path / "in.jsonl", [{"text": WORDS[0], name: 1} for name in names])
    counts = extract(model, source, tmp_path / "out.jsonl", batch_size=7)
    fields = Counter({reason: n for reason, n in counts.items() if reason not in ("texts", "entities", "relations")})
    assert fields.total() == len(names) and counts["texts"] == len(names)
    assert len(fields) <= MAX_REASONS + 1 and max(map(len, fields)) < 200
    source = write(tmp_path / "in.jsonl", [{"text": WORDS[0], name: 1} for name in names[-3:]])
    result = run(model, source, tmp_path / "few.jsonl")
    assert result.exit_code == 0, result.output
    assert result.output.count("not kept") == 3 and "\x1b[31m' not kept" not in result.output


@pytest.fixture(scope="module")
def relates_given(tmp_path_factory, encoder):
    """A pipeline that relates the entities of the records."""
    nlp = make_nlp(encoder, task="relations")
    initialize(nlp)
    path = tmp_path_factory.mktemp("relations") / "model"
    nlp.to_disk(path)
    return path


@pytest.mark.parametrize("to_format", ["jsonl", "csv"])
@pytest.mark.parametrize("task", ["joint", "relations"])
def test_any_value_anywhere(tmp_path, model, relates_given, task, to_format):
    """A line is either written or named, and what is written can be read."""
    record = {
        "text": WORDS[0],
        "entities": [{"start": 0, "end": 3, "label": "PER", "score": 0.5}],
        "relations": [{"head": 0, "tail": 0, "label": "LIVES_IN"}],
        "meta": {"n": 7, "m": [1]},
        "id": "a",
    }
    lines = [*changed_anywhere(record), *changed_anywhere({"tokens": ["Ann", "lives"], "spaces": [True, False]})]
    (tmp_path / "in.jsonl").write_bytes(b"\n".join([*lines, dump(record)]))
    output, messages = tmp_path / f"out.{to_format}", []
    counts = extract(
        relates_given if task == "relations" else model, tmp_path / "in.jsonl", output, report=messages.append
    )
    assert counts["texts"] + counts["bad"] == len(lines) + 1 and len(messages) == counts["bad"] > 0
    assert all(message.startswith(f"{tmp_path / 'in.jsonl'}:") and len(message) < 2000 for message in messages)
    if to_format == "csv":
        with output.open(encoding="utf8", newline="") as file_:
            assert len(list(csv.reader(file_))) == 1 + counts["relations"]
    else:
        docs = list(read_jsonl(output, spacy.blank("xx")))
        assert len(docs) == counts["texts"] and docs[-1].text == WORDS[0]


@pytest.mark.parametrize("case", NO_JSON)
def test_no_json(tmp_path, model, case):
    raw, expected = NO_JSON[case]
    good = dump({"text": WORDS[0]})
    (tmp_path / "in.jsonl").write_bytes(b"\n".join([good, raw, good]))
    messages = []
    counts = extract(model, tmp_path / "in.jsonl", tmp_path / "out.jsonl", report=messages.append)
    (message,) = messages
    assert (expected or "Not valid JSON") in message and message.startswith(f"{tmp_path / 'in.jsonl'}:2: ")
    assert counts["texts"] == 2 and len(message) < 1000


def test_given_entities_are_related(tmp_path, encoder):
    """Task "relations" takes the entities of the record."""
    for key in (None, "mine"):
        nlp = make_nlp(encoder, task="relations", entities_key=key)
        initialize(nlp)
        nlp.to_disk(tmp_path / "model")
        text, entities, _ = TEXTS[0]
        doc = nlp.make_doc(text)
        given = [
            {"start": doc[start].idx, "end": doc[start:end].end_char, "label": label} for start, end, label in entities
        ]
        records = [
            {"text": text, "entities": given},
            {"text": text, "entities": [{"start": 1, "end": 3, "label": "A"}]},
        ]
        messages = []
        source = write(tmp_path / "in.jsonl", records)
        extract(tmp_path / "model", source, tmp_path / "out.jsonl", threshold=0.0, force=True, report=messages.append)
        (record,) = read(tmp_path / "out.jsonl")
        assert record["entities"] == given
        assert len(record["relations"]) == 3 * 2 * len(RELATION_LABELS)
        assert len(messages) == 1 and "in.jsonl:2: " in messages[0] and "is not on token boundaries" in messages[0]


@pytest.mark.parametrize("n_process", [1, 2])
def test_interrupted_and_resumed(tmp_path, model, source, expected, monkeypatch, n_process):
    """Stopped by an error after any number of batches."""
    write_batch = extract_module._write
    output = tmp_path / "out.jsonl"
    # Several processes take a while to start.
    for stop in range(4) if n_process == 1 else [2]:
        batches = Counter()

        def stopping(*args, stop=stop, batches=batches):
            if batches["n"] == stop:
                raise KeyboardInterrupt
            batches["n"] += 1
            write_batch(*args)

        monkeypatch.setattr(extract_module, "_write", stopping)
        result = run(model, source, output, "--batch-size", 2, "--n-process", n_process, "--force")
        assert result.exit_code == 130
        assert "Stopped What was written stays; --resume continues" in printed(result)
        assert output.read_bytes() == b"".join(expected.splitlines(keepends=True)[: 2 * stop])
        monkeypatch.undo()
        result = run(model, source, output, "--batch-size", 2, "--n-process", n_process, "--resume")
        assert result.exit_code == 0, result.output
        assert output.read_bytes() == expected
        assert not progress_path(output).exists()


def test_resumed_triples(tmp_path, model, source, monkeypatch):
    """The last lines before the stop give no triples; they are not done again, nor is the header."""
    extract(model, source, tmp_path / "expected.csv", batch_size=1)
    output = tmp_path / "out.csv"
    calls = []

    def outcomes(settings, batch):
        if batch[0].number == 7:
            raise KeyboardInterrupt
        calls.append(batch[0].number)
        return extract_batch(settings, batch)

    monkeypatch.setattr(workers, "extract_batch", outcomes)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            extract(model, source, output, batch_size=1, resume=True)
    assert calls == [1, 2, 3, 4, 5, 6]
    monkeypatch.undo()
    extract(model, source, output, batch_size=1, resume=True)
    assert output.read_bytes() == (tmp_path / "expected.csv").read_bytes()


def test_resume_with_nothing_to_do(tmp_path, model, source, expected):
    output = tmp_path / "out.jsonl"
    assert run(model, source, output, "--resume", "--batch-size", 2).exit_code == 0
    assert output.read_bytes() == expected
    result = run(model, source, output, "--resume")
    assert result.exit_code == 0
    assert printed(result) == f"{output}: no interrupted run, nothing to do"
    assert output.read_bytes() == expected


def test_resume_with_other_settings(tmp_path, model, source, monkeypatch):
    output = tmp_path / "out.jsonl"
    monkeypatch.setattr(extract_module, "_write", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        extract(model, source, output)
    monkeypatch.undo()
    result = run(model, source, output, "--resume", "--threshold", "0.5")
    assert result.exit_code == 1
    assert "'threshold' was None in the interrupted run and is 0.5 now" in printed(result)
    result = run(model, source, output)
    assert result.exit_code == 1
    assert "exists. Use --resume to go on" in printed(result)


def test_resume_with_another_model_of_the_same_name(tmp_path, model, source, monkeypatch):
    """Trained again, or with other settings: the output would be that of two models."""
    output = tmp_path / "out.jsonl"
    shutil.copytree(model, tmp_path / "model")
    for name, change in {
        "meta.json": lambda meta: {**meta, "performance": {"rels_f": 0.5}},
        "spert/cfg": lambda cfg: {**cfg, "relation_threshold": 0.5},
    }.items():
        with monkeypatch.context() as patched:
            patched.setattr(extract_module, "_write", lambda *args: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                extract(tmp_path / "model", source, output, force=True)
        path = tmp_path / "model" / name
        before = path.read_text(encoding="utf8")
        path.write_text(json.dumps(change(json.loads(before))), encoding="utf8")
        result = run(tmp_path / "model", source, output, "--resume")
        assert result.exit_code == 1
        assert f"the model {tmp_path / 'model'} has changed since the interrupted run" in printed(result)
        path.write_text(before, encoding="utf8")
        assert run(tmp_path / "model", source, output, "--resume").exit_code == 0


def test_two_runs_on_one_output(tmp_path, model, source):
    """The second stops and leaves what is there, the first goes on."""
    locked = "is being written by another run"
    messages = {"--force": locked, "--resume": locked, None: "exists. Use --resume"}
    output = tmp_path / "out.jsonl"
    with pipe() as (reader, writer):
        process = forked.start(command(model, "-", output, "--from", "jsonl", "--batch-size", 1), stdin=reader)
        writer.write(source.read_bytes())
        writer.flush()
        wait_for_lines(output, len(WORDS) - 1, process)
        for option, message in messages.items():
            result = run(model, source, output, *filter(None, [option]))
            assert result.exit_code == 1 and message in printed(result)
    process.join(200)
    assert process.exitcode == 0
    assert [record["meta"]["n"] for record in read(output)] == list(range(len(WORDS)))


def test_output_that_appears_meanwhile(tmp_path, model, source, monkeypatch):
    """Another run was faster, and has ended: its output stays."""
    output = tmp_path / "out.jsonl"

    def slow(settings):
        output.write_text("of another run")
        return load(settings)

    slow.cache_clear = load.cache_clear
    monkeypatch.setattr(workers, "load", slow)
    with pytest.raises(ValueError, match="out.jsonl exists. Use --resume"):
        extract(model, source, output)
    assert output.read_text() == "of another run"


def test_several_components(tmp_path, model, source, expected):
    nlp = spacy.load(model)
    nlp.add_pipe("spert", name="last", source=spacy.load(model))
    nlp.to_disk(tmp_path / "two")
    result = run(tmp_path / "two", source, tmp_path / "out.jsonl")
    assert result.exit_code == 1
    assert "several 'spert' components: ['spert', 'last']. Choose one of them (--component)" in printed(result)
    assert not (tmp_path / "out.jsonl").exists()
    extract(tmp_path / "two", source, tmp_path / "out.jsonl", batch_size=2, component="last")
    assert (tmp_path / "out.jsonl").read_bytes() == expected


def test_sentence_marks(tmp_path, model):
    """Not used unless asked for, and that is said."""
    text = "Ann Lee works for Acme Labs in Bonn ."
    source = write(tmp_path / "in.jsonl", [{"text": text, "sent_starts": [0, 28]}, {"text": text}])
    result = run(model, source, tmp_path / "plain.jsonl")
    assert "1 record: sentence marks not used (--given-sentences uses them)" in printed(result)
    result = run(model, source, tmp_path / "given.jsonl", "--given-sentences")
    assert result.exit_code == 0 and "not used" not in printed(result)
    plain, given = read(tmp_path / "plain.jsonl"), read(tmp_path / "given.jsonl")
    assert plain[0] == plain[1] == given[1]
    # The second sentence begins before "in Bonn", so that nothing reaches from one to the other.
    labels = [{relation["label"] for relation in record["relations"]} for record in given]
    assert "based_in" in labels[1] and "based_in" not in labels[0]


@pytest.mark.parametrize(
    "closed, arguments, message",
    [("stdin", "- OUT", "stdin is closed"), ("stdout", "IN -", "stdout is closed")],
)
def test_closed_pipes(tmp_path, model, source, closed, arguments, message):
    names = {"IN": source, "OUT": tmp_path / "out.jsonl"}
    paths = [names.get(name, name) for name in arguments.split()]
    done = forked.run(command(model, *paths, "--from", "jsonl", "--to", "jsonl"), **{closed: forked.CLOSED})
    assert message in done.stderr.decode() and b"Traceback" not in done.stderr
    assert done.returncode == 1


def test_closed_stderr(model, source):
    """Of a new interpreter: others have opened it for their messages before."""
    line = shlex.join([sys.executable, *command(model, source, "-", "--to", "jsonl")])
    done = subprocess.run(["sh", "-c", f"{line} 2>&-"], capture_output=True, check=True)
    assert [json.loads(each)["meta"]["n"] for each in done.stdout.splitlines()] == list(range(len(WORDS)))


def test_full_disk(tmp_path, model, expected):
    """It is said how to go on, and going on works."""
    source = write(tmp_path / "in.jsonl", [{"text": text, "meta": {"n": i}} for i, text in enumerate(WORDS)])
    output = tmp_path / "out.jsonl"
    limit = len(b"".join(expected.splitlines(keepends=True)[:5]))
    done = forked.run(command(model, source, output, "--batch-size", 2), max_file_size=limit)
    messages = done.stderr.decode()
    assert done.returncode == 1 and "Traceback" not in messages
    assert "File too large" in messages and "--resume continues it" in messages
    assert run(model, source, output, "--resume", "--batch-size", 2).exit_code == 0
    assert output.read_bytes() == expected


@pytest.mark.parametrize(
    "args, message",
    [
        (["in.jsonl", "old.jsonl"], "old.jsonl exists. Use --resume"),
        (["in.jsonl", "in.jsonl", "--force"], "is the input as well"),
        (["in.jsonl", "folder", "--to", "csv"], "is a folder"),
        (["in.json", "out.jsonl"], "Can't tell the format of {path}/in.json by its name. Give it with '--from'"),
        (["in.jsonl", "out.tsv"], "Give it with '--to'. Formats are: jsonl, csv, parquet"),
        (["in.jsonl", "out.brat"], "Give it with '--to'. Formats are: jsonl, csv, parquet, brat, doccano"),
        (["in.jsonl", "out.jsonl", "--to", "spacy"], "Unknown format 'spacy'. Choose one of: jsonl, csv"),
        (["in.jsonl", "old.jsonl", "--resume", "--force"], "Can't use --resume with --force"),
        (["in.jsonl", "-", "--resume"], "Can't use --resume with the output -"),
        (["in.jsonl", "-", "--to", "brat"], "This format is a folder of files, which stdout can't be"),
        (["in.jsonl", "new", "--to", "brat", "--resume"], "Can't use --resume with --to brat. The folder appears only"),
        (["in.jsonl", "new", "--to", "brat", "--force"], "Can't use --force with --to brat. The folder appears only"),
        (["in.jsonl", "full", "--to", "brat"], "full is there already. This format is a folder of files"),
        (["in.jsonl", "new", "--to", "csv", "-o", "offsets=utf16"], "'csv' has no options, got: offsets"),
        (["in.jsonl", "new", "--to", "prodigy", "-o", "color=red"], "'prodigy' has no option 'color'"),
        (["in.jsonl", "new", "--to", "doccano", "-o", "offsets=x"], "Unknown unit of offsets 'x'"),
        (["in.jsonl", "/dev/null", "--to", "csv", "--resume"], "Can't use --resume with the output /dev/null"),
    ],
)
def test_wrong_arguments(tmp_path, source, args, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes").touch()
    (tmp_path / "in.json").write_text("{}")
    (tmp_path / "old.jsonl").write_text("before")
    files = sorted(tmp_path.iterdir())
    paths = [arg if arg == "-" else tmp_path / arg for arg in args[:2]]
    result = run(tmp_path / "model", *paths, *args[2:])
    assert result.exit_code == 1
    assert message.format(path=tmp_path) in printed(result)
    assert sorted(tmp_path.iterdir()) == files
    assert (tmp_path / "old.jsonl").read_text() == "before" and source.read_text()


def test_model_is_checked_before_the_output_is_touched(tmp_path, source):
    spacy.blank("xx").to_disk(tmp_path / "blank")
    (tmp_path / "out.jsonl").write_text("before")
    for model, message in ((tmp_path / "blank", "has no 'spert' component"), (tmp_path / "none", "Can't find model")):
        result = run(model, source, tmp_path / "out.jsonl", "--force")
        assert result.exit_code == 1
        assert message in printed(result)
        assert (tmp_path / "out.jsonl").read_text() == "before"


def test_gpu_and_several_processes(tmp_path, source, monkeypatch):
    monkeypatch.setattr("thinc.api.get_current_ops", lambda: object())
    with pytest.raises(ValueError, match="Can't use --n-process with a GPU"):
        extract("model", source, tmp_path / "out.jsonl", n_process=2)


def test_device_as_output(tmp_path, model, source):
    assert run(model, source, "/dev/null", "--to", "jsonl").exit_code == 0


def test_worker_that_ends(tmp_path, model, source):
    add_component(model, tmp_path / "model", "test_ends_process")
    result = run(tmp_path / "model", source, tmp_path / "out.jsonl", "--n-process", 2)
    assert result.exit_code == 1
    assert "A worker process ended suddenly" in printed(result)
    assert "--resume continues" in printed(result)


def test_vocabulary_does_not_grow(model, monkeypatch):
    """Words are forgotten, and now and then the tables that held them; neither changes what is found."""
    settings = Settings(str(model), None, "txt", "jsonl")
    batches = [
        [Line(n, f"{WORDS[n % len(WORDS)]} Word{n}x{i} met Other{n}x{i} .".encode(), 0, 0) for n in range(20)]
        for i in range(3)
    ]
    outcomes = []
    for limit in (extraction.MAX_TOKENS, 1):
        monkeypatch.setattr(extraction, "MAX_TOKENS", limit)
        load.cache_clear()
        vocab = load(settings).nlp.vocab
        strings, getters = set(vocab.strings), dict(vocab.lex_attr_getters)
        outcomes.append([extract_batch(settings, batch) for batch in batches])
        assert set(vocab.strings) == strings
        assert vocab.lex_attr_getters == getters
    load.cache_clear()
    # The tables are new after the last batch, and count from zero.
    assert len(vocab) == 0
    assert outcomes[0] == outcomes[1]
    assert sum(outcome.counts["texts"] for batch in outcomes[0] for outcome in batch) == 60


def test_line_that_is_too_long(model):
    (outcome,) = extract_batch(Settings(str(model), None, "txt", "jsonl"), [Line(1, None, 0, 0)])
    assert outcome.error == f"[S065] The line is longer than {MAX_LINE} bytes."


def test_pipeline_is_let_go(tmp_path, model, source):
    extract(model, source, tmp_path / "out.jsonl")
    assert load.cache_info().currsize == 0


def test_pipes(model, source, expected):
    """Nothing but the output is on stdout."""
    texts = "".join(text + "\n" for text in WORDS).encode() + b"\xff\n"
    done = forked.run(command(model, "-", "-", "--from", "txt"), input=texts, check=True)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["text"] for record in records] == WORDS
    messages = done.stderr.decode()
    assert f"stdin:{len(WORDS) + 1}: 'utf-8' codec" in messages and "Wrote -:" in messages


def test_stdout_by_its_name_in_a_file(tmp_path, model, source, expected):
    """The shell opened the file, so it is written to and is no output to resume."""
    with (tmp_path / "out").open("wb") as file_:
        file_.write(b"before\n")
        file_.flush()
        forked.run(command(model, source, "/dev/stdout", "--to", "jsonl"), stdout=file_, check=True)
    assert (tmp_path / "out").read_bytes() == b"before\n" + expected
    assert not progress_path(Path("/dev/stdout")).exists()


def test_reader_that_stops(tmp_path, model):
    source = write(tmp_path / "in.jsonl", [{"text": WORDS[0]}] * 2000)
    with (tmp_path / "messages").open("w+b") as messages:
        with pipe() as (reader, writer):
            process = forked.start(command(model, source, "-", "--batch-size", 1), stdout=writer, stderr=messages)
            writer.close()
            assert json.loads(reader.readline())["text"] == WORDS[0]
        process.join(200)
        assert process.exitcode == 1
    assert (tmp_path / "messages").read_bytes() == b""


@pytest.mark.parametrize(
    "n_process, sent",
    [
        pytest.param(1, signal.SIGKILL, marks=pytest.mark.soak),
        (2, signal.SIGKILL),
        (2, signal.SIGINT),
    ],
)
def test_killed(tmp_path, model, n_process, sent):
    """What was written loads, the workers end, and a second run completes the output."""
    texts = [f"{WORDS[i % len(WORDS)]} {i}" for i in range(40)]
    source = tmp_path / "in.txt"
    source.write_text("".join(text + "\n" for text in texts))
    extract(model, source, tmp_path / "expected.jsonl", batch_size=2)
    output = tmp_path / "out.jsonl"
    options = ["--from", "txt", "--batch-size", "2", "--n-process", str(n_process)]
    with pipe() as (reader, writer), pipe() as (messages, written):
        process = forked.start(command(model, "-", output, *options), stdin=reader, stderr=written)
        written.close()
        # The run waits for more when it is killed.
        writer.write("".join(text + "\n" for text in texts[:30]).encode())
        writer.flush()
        wait_for_lines(output, 20, process)
        # Ctrl-C reaches all processes of the group.
        (os.killpg if sent == signal.SIGINT else os.kill)(process.pid, sent)
        # It is closed when the last worker has ended.
        assert b"Traceback" not in messages.read()
    process.join(200)
    assert process.exitcode == (130 if sent == signal.SIGINT else -signal.SIGKILL)
    docs = list(read_jsonl(output))
    assert [doc.text for doc in docs] == texts[: len(docs)]
    result = CliRunner().invoke(
        spacy_app, ["spert", "extract", str(model), "-", str(output), *options, "--resume"], input=source.read_bytes()
    )
    assert result.exit_code == 0, result.output
    assert output.read_bytes() == (tmp_path / "expected.jsonl").read_bytes()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_another_encoding_is_refused(tmp_path, model, encoding):
    source, output = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_bytes("\n".join(WORDS).encode(encoding))
    result = run(model, source, output)
    assert result.exit_code == 1 and "The file is encoded as UTF-16" in printed(result)
    assert not output.exists()
