"""extract --to the formats of annotation tools: what is written, what readers make of it, and what is counted."""

import json
from contextlib import suppress
from io import BytesIO

import click
import pytest
import spacy
from spacy.cli import app as spacy_app
from typer.testing import CliRunner
from util import TEXTS

from spacy_spert.cli import extract as extract_module
from spacy_spert.cli.extract import extract
from spacy_spert.extraction.stream import Output, ResumableOutput, progress_path
from spacy_spert.formats import Losses, load, readers

WORDS = [text for text, _, _ in TEXTS]
N_ENTITIES = sum(len(entities) for _, entities, _ in TEXTS)
N_RELATIONS = sum(len(relations) for _, _, relations in TEXTS)
KEPT = {"texts": len(WORDS), "entities": N_ENTITIES, "relations": N_RELATIONS}
NO_SCORES = {"entity: score not kept": N_ENTITIES, "relation: score not kept": N_RELATIONS}
# Field `n` of the meta data, beside the id.
NO_META = {"meta data: field 'n' not kept": len(WORDS)}
# What each can't hold, whether it holds scores, and how to read it.
FORMATS = {
    "brat": ({**NO_SCORES, **NO_META}, False, {}),
    "doccano": ({**NO_SCORES, **NO_META}, False, {}),
    "labelstudio": ({}, True, {"predictions": True}),
    "prodigy": ({}, True, {}),
    "scierc": (
        {**NO_SCORES, **NO_META, "document: blanks between tokens not kept": len(WORDS)},
        False,
        {},
    ),
    "spert-json": ({}, True, {}),
}
OPTIONS = {"prodigy": {"answer": "accept"}}
LISTS = ["labelstudio", "spert-json"]


@pytest.fixture(scope="module")
def nlp(cnn_model):
    return spacy.load(cnn_model)


@pytest.fixture
def source(tmp_path):
    return write(
        tmp_path / "in.jsonl", [{"id": f"x{i}", "text": text, "meta": {"n": i}} for i, text in enumerate(WORDS)]
    )


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def run(*args):
    return CliRunner().invoke(spacy_app, ["spert", "extract", *map(str, args)])


def printed(result):
    return " ".join(click.unstyle(result.output).split())


def rows(relations):
    return sorted((relation.head.text, relation.label, relation.tail.text) for relation in relations)


def content(path):
    if path.is_dir():
        return {each.name: each.read_bytes() for each in path.iterdir()}
    return path.read_bytes()


@pytest.mark.parametrize("name", FORMATS)
def test_readers_get_back_what_was_found(tmp_path, cnn_model, nlp, source, name):
    losses, has_scores, reading = FORMATS[name]
    output = tmp_path / "out"
    counts = extract(cnn_model, source, output, to_format=name, batch_size=3, **OPTIONS.get(name, {}))
    assert counts == {**KEPT, **losses}
    assert not progress_path(output).exists()
    back = list(load(readers, name, **reading)(output, nlp, Losses(strict=True)))
    # brat's reader sorts by name, as these ids are.
    for i, (doc, found) in enumerate(zip(nlp.pipe(WORDS), back, strict=True)):
        assert [token.text for token in found] == [token.text for token in doc]
        assert found.user_data["meta"]["doc_key" if name == "scierc" else "id"] == f"x{i}"
        one, other = doc.spans["spert"], found.spans["spert"]
        assert [(s.start, s.end, s.label_) for s in other] == [(s.start, s.end, s.label_) for s in one]
        assert rows(found._.relations) == rows(doc._.relations)
        assert ("scores" in other.attrs) == (has_scores and len(one) > 0)
        if "scores" in other.attrs:
            assert found.user_data["meta"]["n"] == i
            assert list(other.attrs["scores"]) == pytest.approx(list(one.attrs["scores"]), abs=1e-5)
            scores = [[relation.score for relation in each._.relations] for each in (found, doc)]
            assert scores[0] == pytest.approx(scores[1], abs=1e-5)


@pytest.mark.parametrize("name", ["brat", "labelstudio", "prodigy"])
def test_several_processes_write_the_same(tmp_path, cnn_model, source, name):
    counts = [
        extract(cnn_model, source, tmp_path / f"out{n}", to_format=name, batch_size=3, n_process=n) for n in (1, 2)
    ]
    assert counts[0] == counts[1] and content(tmp_path / "out1") == content(tmp_path / "out2")


def test_predictions_for_label_studio(tmp_path, cnn_model, source):
    result = run(cnn_model, source, tmp_path / "out.json", "--to", "labelstudio", "-o", "model_version=cnn-2")
    assert result.exit_code == 0, result.output
    assert f"{len(WORDS)} texts, {N_ENTITIES} entities, {N_RELATIONS} relations" in printed(result)
    tasks = json.loads((tmp_path / "out.json").read_text())
    assert [task["data"]["text"] for task in tasks] == WORDS
    assert [task["meta"] for task in tasks] == [{"id": f"x{i}", "n": i} for i in range(len(WORDS))]
    for task in tasks:
        (prediction,) = task["predictions"]
        assert prediction["model_version"] == "cnn-2"
        scores = [each["score"] for each in prediction["result"]]
        # Without a result there is none.
        assert prediction.get("score") == (pytest.approx(sum(scores) / len(scores)) if scores else None)
        # As in our own records.
        assert all(score == round(score, 6) for score in scores)


def test_files_of_brat(tmp_path, cnn_model, source):
    extract(cnn_model, source, tmp_path / "out", to_format="brat")
    assert len(content(tmp_path / "out")) == 2 * len(WORDS) + 1
    assert (tmp_path / "out" / "x0.txt").read_text() == WORDS[0]
    labels = (tmp_path / "out" / "annotation.conf").read_text()
    assert "[entities]\nPER\nORG\nLOC\n" in labels and "works_for\tArg1:<ENTITY>, Arg2:<ENTITY>" in labels


def test_tokens_without_a_text_are_counted(tmp_path, cnn_model):
    source = write(tmp_path / "in.jsonl", [{"tokens": WORDS[0].split()}])
    counts = {name: extract(cnn_model, source, tmp_path / name, to_format=name) for name in ("prodigy", "spert-json")}
    joined = "document: tokens without a text, joined by blanks"
    assert counts["prodigy"][joined] == 1 and joined not in counts["spert-json"]


def test_id_that_meta_data_hide_is_counted(tmp_path, cnn_model):
    records = [{"id": 1, "text": WORDS[0], "meta": {"id": 2}}, {"id": 3, "text": WORDS[0], "meta": {"id": 3}}]
    source = write(tmp_path / "in.jsonl", records)
    counts = extract(cnn_model, source, tmp_path / "out", to_format="prodigy")
    assert counts["record: id not kept, as its meta data have another"] == 1
    assert [json.loads(line)["meta"]["id"] for line in (tmp_path / "out").read_text().splitlines()] == [2, 3]


def test_unknown_fields_are_counted(tmp_path, cnn_model):
    source = write(tmp_path / "in.jsonl", [{"text": WORDS[0], "topic": 1}])
    assert extract(cnn_model, source, tmp_path / "out", to_format="doccano")["record: field 'topic' not kept"] == 1


def test_lines_that_cannot_be_used_leave_no_gap(tmp_path, cnn_model):
    """Also at the beginning and the end, and where what was found can't be written."""
    source = tmp_path / "in.jsonl"
    good, half = json.dumps({"text": WORDS[0]}), json.dumps({"text": WORDS[0], "meta": {"x": "\ud800"}})
    source.write_text("\n".join(["{", good, "", half, good, "[]"]) + "\n")
    messages = []
    for batch_size in (1, 2, 9):
        counts = extract(
            cnn_model,
            source,
            tmp_path / "out",
            to_format="labelstudio",
            batch_size=batch_size,
            force=True,
            report=messages.append,
        )
        assert (counts["texts"], counts["bad"]) == (2, 3)
        assert [task["data"]["text"] for task in json.loads((tmp_path / "out").read_text())] == [WORDS[0]] * 2
    assert len(messages) == 9 and "in.jsonl:4: " in messages[1]


@pytest.mark.parametrize("name, expected", [("labelstudio", "[]\n"), ("spert-json", "[]\n"), ("prodigy", "")])
def test_nothing_to_write(tmp_path, cnn_model, name, expected):
    source = write(tmp_path / "in.jsonl", [])
    assert extract(cnn_model, source, tmp_path / "out", to_format=name) == {"texts": 0, "entities": 0, "relations": 0}
    assert (tmp_path / "out").read_text() == expected


def test_brat_writes_all_or_nothing(tmp_path, cnn_model, source):
    empty = write(tmp_path / "empty.jsonl", [])
    result = run(cnn_model, empty, tmp_path / "out", "--to", "brat")
    assert result.exit_code == 1 and "There is no document to write" in printed(result)
    source.write_text(source.read_text() + "{\n")
    result = run(cnn_model, source, tmp_path / "out", "--to", "brat", "--strict")
    assert result.exit_code == 1 and f"in.jsonl:{len(WORDS) + 1}: " in printed(result)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty.jsonl", "in.jsonl"]
    (tmp_path / "out").mkdir()
    result = run(cnn_model, source, tmp_path / "out", "--to", "brat")
    assert result.exit_code == 0 and "1 lines skipped" in printed(result)
    assert len(content(tmp_path / "out")) == 2 * len(WORDS) + 1


@pytest.mark.parametrize("name", LISTS)
def test_lists_are_gone_on_with(tmp_path, cnn_model, source, monkeypatch, name):
    """Stopped after any number of batches; a list has one beginning, one end, and commas between."""
    extract(cnn_model, source, tmp_path / "expected", to_format=name, batch_size=2)
    expected = (tmp_path / "expected").read_bytes()
    write_batch = extract_module._write
    output = tmp_path / "out"
    for stop in range(3):
        done = []

        def stopping(*args, stop=stop, done=done):
            if len(done) == stop:
                raise KeyboardInterrupt
            done.append(1)
            write_batch(*args)

        monkeypatch.setattr(extract_module, "_write", stopping)
        with pytest.raises(KeyboardInterrupt):
            extract(cnn_model, source, output, to_format=name, batch_size=2, force=True)
        monkeypatch.undo()
        assert expected.startswith(output.read_bytes()) and output.read_bytes().count(b"\n") == max(0, 2 * stop - 1)
        extract(cnn_model, source, output, to_format=name, batch_size=2, resume=True)
        assert output.read_bytes() == expected and not progress_path(output).exists()


def test_run_that_ended_after_its_end_was_written(tmp_path, cnn_model, source, monkeypatch):
    output = tmp_path / "out"
    extract(cnn_model, source, output, to_format="labelstudio")
    expected = output.read_bytes()

    def leave(self, *error):
        self._commit()
        self.file.write(self.end)
        self.file.close()

    monkeypatch.setattr(ResumableOutput, "__exit__", leave)
    extract(cnn_model, source, output, to_format="labelstudio", force=True)
    monkeypatch.undo()
    assert output.read_bytes() == expected and progress_path(output).exists()
    extract(cnn_model, source, output, to_format="labelstudio", resume=True)
    assert output.read_bytes() == expected


def test_other_options_are_not_gone_on_with(tmp_path, cnn_model, source, monkeypatch):
    monkeypatch.setattr(extract_module, "_write", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        extract(cnn_model, source, tmp_path / "out", to_format="labelstudio", model_version="a")
    monkeypatch.undo()
    with pytest.raises(ValueError, match="'options' was"):
        extract(cnn_model, source, tmp_path / "out", to_format="labelstudio", model_version="b", resume=True)


def test_end_on_stdout():
    for error, expected in ((None, b"[]\n"), (ValueError, b"[")):
        file_ = BytesIO()
        with suppress(ValueError), Output(file_, close=False, end=b"]\n") as output:
            output.write(b"[", extract_module.BEGIN, {})
            if error is not None:
                raise error
        assert file_.getvalue() == expected
