import json

import click
import pytest
import spacy
from spacy.cli import app as spacy_app
from spacy.tokens import DocBin
from typer.testing import CliRunner
from util import TEXTS, uncoded

from spacy_spert.cli.extract import extract
from spacy_spert.cli.select import select
from spacy_spert.formats.brat import read_brat
from spacy_spert.formats.labelstudio import read_labelstudio

WORDS = [text for text, _, _ in TEXTS]


def run(*args):
    return CliRunner().invoke(spacy_app, ["spert", *map(str, args)])


def printed(result):
    return " ".join(click.unstyle(result.output).split())


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf8").splitlines()]


@pytest.fixture(scope="module")
def model(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model"
    trained.to_disk(path)
    return path


@pytest.fixture
def pool(tmp_path):
    path = tmp_path / "pool.jsonl"
    records = [{"text": text, "id": i, "meta": {"page": i}} for i, text in enumerate(WORDS)]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_records_are_those_of_extract(tmp_path, model, pool):
    """With a text whose id is no string and one without, and one made of tokens."""
    with pool.open("a") as file_:
        file_.write('{"tokens": ["Ann", "Lee"], "id": {"x": [1]}}\n{"text": "Bob Ross ."}\n')
    result = run("select", model, pool, tmp_path / "new" / "out.jsonl", "--n", 99, "-b", 3)
    assert result.exit_code == 0, result.output
    assert "The pool has only 10 texts that can be used" in printed(result)
    assert printed(result).endswith("out.jsonl: 10 of 10 texts")
    extract(str(model), pool, tmp_path / "expected.jsonl")
    selected, expected = read(tmp_path / "new" / "out.jsonl"), read(tmp_path / "expected.jsonl")
    assert len(selected) == len(expected)
    for record in expected:
        (same,) = (one for one in selected if one.get("text") == record.get("text"))
        assert list(same) == list(record)
        assert json.dumps(strip(same)) == json.dumps(strip(record))


def strip(record):
    """Scores depend on what else is in the batch."""
    scored = {
        key: [{**one, "score": round(one["score"], 3)} for one in record[key]] for key in ("entities", "relations")
    }
    return {**record, **scored}


@pytest.mark.parametrize("name", ["jsonl", "labelstudio", "prodigy"])
@pytest.mark.parametrize("settings", [{"pairing_threshold": 0.0}, {"relations_per_token": 0.05}])
def test_relations_that_are_not_written_change_nothing(tmp_path, model, pool, settings, name):
    """Neither which spans they make entities, nor which relations are the best of so many."""
    nlp = spacy.load(model)
    nlp.get_pipe("spert").cfg.update(settings)
    nlp.to_disk(tmp_path / "other")
    select(str(tmp_path / "other"), pool, tmp_path / "out", n=3, to_format=name, report=pytest.fail)
    extract(str(tmp_path / "other"), pool, tmp_path / "expected", to_format=name)
    selected, expected = (found_in(tmp_path / each) for each in ("out", "expected"))
    assert len(selected) == 3
    for text, found in selected.items():
        assert found == expected[text]


def found_in(path):
    """What is found in each text, but for scores, which depend on what else is in the batch."""
    text = path.read_text()
    records = json.loads(text) if text.startswith("[") else map(json.loads, text.splitlines())
    return {
        json.dumps(without_scores(record.get("text") or record["data"])): without_scores(record) for record in records
    }


def without_scores(value):
    if isinstance(value, list):
        return [without_scores(each) for each in value]
    if isinstance(value, dict):
        return {key: without_scores(each) for key, each in value.items() if key != "score"}
    return value


def test_as_many_as_asked_for_in_the_same_order_each_time(tmp_path, model, pool):
    for n, name in ((5, "a"), (5, "b"), (2, "c")):
        select(str(model), pool, tmp_path / name, n=n, report=pytest.fail)
    five, again, two = (read(tmp_path / name) for name in "abc")
    assert five == again
    assert two == five[:2]


def test_straight_to_an_annotation_tool(tmp_path, model, pool):
    out = tmp_path / "out.json"
    assert run("select", model, pool, out, "-n", 3, "--to", "labelstudio", "-o", "model_version=v1").exit_code == 0
    tasks = json.loads(out.read_text())
    assert [task["predictions"][0]["model_version"] for task in tasks] == ["v1"] * 3
    assert all(task["meta"]["id"] == task["meta"]["page"] for task in tasks)
    assert len(list(read_labelstudio(out, predictions=True))) == 3


def test_lines_that_cannot_be_used_are_named(tmp_path, model, pool):
    with pool.open("a") as file_:
        file_.write('{"text": 3}\n\n{"text"\n{"text": "x", "id": "\\ud800"}\n{"text": "y", "meta": 3}\n')
    result = run("select", model, pool, tmp_path / "out.jsonl", "--n", 3)
    assert result.exit_code == 0
    text = uncoded(printed(result))
    for line, reason in (
        (9, "Expected 'text'"),
        (11, "Not valid JSON"),
        (12, "'utf-8' codec"),
        (13, "Expected 'meta'"),
    ):
        assert f"{pool}:{line}: {reason}" in text
    assert "4 lines skipped" in printed(result)
    assert len(read(tmp_path / "out.jsonl")) == 3


def test_text_a_line_and_stdout(tmp_path, model):
    path = tmp_path / "pool.txt"
    path.write_text("\n".join(WORDS) + "\n")
    result = run("select", model, path, "-", "-n", 2)
    assert result.exit_code == 0
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert all(WORDS[record["meta"]["line"] - 1] == record["text"] for record in records)


@pytest.mark.parametrize(
    "args,expected",
    [
        (["--to", "brat"], "Unknown format 'brat'. Choose one of: doccano, jsonl, labelstudio"),
        (["--to", "prodigy", "-o", "model_version=2"], "The format 'prodigy' has no option 'model-version'"),
        (["--to", "jsonl", "-o", "offsets=bytes"], "The format 'jsonl' has no options, got: offsets"),
        (["--to", "csv"], "Unknown format 'csv'. Choose one of: doccano, jsonl, labelstudio"),
        (["--from", "csv"], "Unknown format 'csv'. Choose one of: jsonl, txt"),
        (["--component", "other"], "'other' is not a 'spert' component"),
    ],
)
def test_wrong_arguments(tmp_path, model, pool, args, expected):
    result = run("select", model, pool, tmp_path / "out", *args)
    assert result.exit_code == 1
    assert expected in printed(result)
    assert not (tmp_path / "out").exists()


def test_output_is_not_written_over(tmp_path, model, pool):
    out = tmp_path / "out.jsonl"
    out.write_text("before")
    result = run("select", model, pool, out)
    assert result.exit_code == 1
    assert uncoded(printed(result)).endswith(f"{out} exists. Use --force to write it anew, or another name.")
    assert out.read_text() == "before"
    assert run("select", model, pool, out, "--force").exit_code == 0
    assert len(read(out)) == 8
    assert "is the input as well" in printed(run("select", model, pool, pool, "--force"))
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n")
    assert "There is nothing to select" in printed(run("select", model, empty, out, "--force"))
    with pytest.raises(ValueError, match="must be above 0, got 0"):
        select(str(model), pool, out, n=0, report=print)


def test_output_that_cannot_be_written_is_known_before_all_work(tmp_path, model, pool):
    pool.write_text('{"text": 3}\n' + pool.read_text())
    (tmp_path / "link").symlink_to(tmp_path / "nothing" / "there")
    for out, expected in ((tmp_path, "is a folder"), (tmp_path / "link", "is neither a file nor a pipe")):
        result = run("select", model, pool, out)
        assert result.exit_code == 1
        assert expected in printed(result)
        assert f"{pool}:1" not in printed(result)


def test_what_a_format_has_no_room_for_is_counted(tmp_path, model, pool):
    records = read(pool)
    pool.write_text("".join(json.dumps({**record, "meta": {"page": 3, "id": 99}}) + "\n" for record in records))
    outputs = []
    for command in ("extract", "select"):
        result = run(command, model, pool, tmp_path / f"{command}.out", "--to", "doccano")
        assert result.exit_code == 0, result.output
        outputs.append(
            {line for line in click.unstyle(result.output).splitlines() if line.startswith("⚠") and "kept" in line}
        )
    assert "⚠ 8 meta data: field 'page' not kept" in outputs[0]
    assert outputs[1] == outputs[0]


@pytest.mark.parametrize("name", ["brat", "doccano", "labelstudio", "prodigy", "scierc"])
def test_convert_to_a_tool(tmp_path, trained, name):
    DocBin(docs=trained.pipe(WORDS), store_user_data=True).to_disk(tmp_path / "in.spacy")
    result = run("convert", tmp_path / "in.spacy", tmp_path / "out", "--to", name)
    assert result.exit_code == 0, result.output
    assert "out: 8 documents, 1" in printed(result)


def test_brat_is_a_folder(tmp_path, trained):
    DocBin(docs=trained.pipe(WORDS[:2]), store_user_data=True).to_disk(tmp_path / "in.spacy")
    result = run("convert", tmp_path / "in.spacy", "-", "--to", "brat")
    assert result.exit_code == 1
    assert "a folder of files, which stdout can't be" in printed(result)
    (tmp_path / "empty").mkdir()
    assert run("convert", tmp_path / "in.spacy", tmp_path / "empty", "--to", "brat").exit_code == 0
    assert [doc.text for doc in read_brat(tmp_path / "empty", spacy.blank("xx"))] == WORDS[:2]
    result = run("convert", tmp_path / "in.spacy", tmp_path / "empty", "--to", "brat")
    assert result.exit_code == 1
    assert "is there already. This format is a folder of files" in printed(result)
