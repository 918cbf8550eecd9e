"""`spacy spert compare` with pipelines and data on disk."""

import click
import pytest
import spacy
import srsly
from spacy.cli._util import app
from spacy.tokens import DocBin
from typer.testing import CliRunner
from util import CNN, SYMMETRIC, TEXTS, make_examples

from spacy_spert.cli.compare import compare


def run(*args):
    return CliRunner().invoke(app, ["spert", "compare", *map(str, args)])


def printed(result):
    """The output without colours and line breaks."""
    return " ".join(click.unstyle(result.output).split())


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Two pipelines, of which one predicts no relation, and data."""
    folder = tmp_path_factory.mktemp("compare")
    for name, threshold in (("a", 0.0), ("b", 1.0)):
        nlp = spacy.blank("xx")
        nlp.add_pipe(
            "spert",
            config={
                "model": {"tok2vec": CNN},
                "relation_threshold": threshold,
                "symmetric_labels": SYMMETRIC,
                "entities_per_token": 0,
                "max_span_width": 3,
                "relations_per_token": 0,
            },
        )
        spacy.util.fix_random_seed(0)
        nlp.initialize(lambda nlp=nlp: make_examples(nlp))
        nlp.to_disk(folder / name)
    DocBin(docs=[example.reference for example in make_examples(nlp)]).to_disk(folder / "data.spacy")
    return folder / "a", folder / "b", folder / "data.spacy"


def test_command_writes_scores_and_report(paths, tmp_path):
    output, report = tmp_path / "new" / "m.json", tmp_path / "new" / "r.html"
    result = run(*paths, "--output", output, "--report", report, "--samples", 20)
    assert result.exit_code == 0, result.output
    for title in ("Entities", "Relations, strict", "B - A", "95 % interval", "Differences by kind", "They differ on"):
        assert title in printed(result)
    data = srsly.read_json(output)
    assert data["documents"] == len(TEXTS) and data["samples"] == 20
    assert data["scores"]["spans"]["F"]["difference"] == 0.0
    recall = data["scores"]["rels"]["R"]
    assert recall["a"] >= recall["b"] == 0.0 and recall["low"] <= recall["difference"] <= recall["high"]
    assert "<h1>a and b on data.spacy</h1>" in report.read_text(encoding="utf8")


def test_a_pipeline_compared_with_itself(paths):
    comparison = compare(str(paths[0]), str(paths[0]), paths[2], samples=10)
    assert comparison.n_differing == 0
    differences = [each for scores in comparison.differences.values() for each in scores.values()]
    assert {(each.difference, each.low, each.high) for each in differences} == {(0.0, 0.0, 0.0)}


def test_data_on_stdin(paths):
    data = paths[2].read_bytes()
    result = CliRunner().invoke(app, ["spert", "compare", *map(str, paths[:2]), "-", "--samples", "5"], input=data)
    assert result.exit_code == 0 and f"of {len(TEXTS)} documents" in printed(result)
    result = CliRunner().invoke(app, ["spert", "compare", *map(str, paths[:2]), "-"], input=b"other")
    assert result.exit_code == 1 and "Can't read stdin as spaCy's binary format" in printed(result)


def test_sentence_marks_of_the_data(paths, tmp_path):
    nlp = spacy.load(paths[0])
    docs = [example.reference for example in make_examples(nlp)]
    for doc in docs:
        for token in doc:
            token.is_sent_start = True
    DocBin(docs=docs).to_disk(tmp_path / "marked.spacy")
    result = run(*paths[:2], tmp_path / "marked.spacy", "--given-sentences", "--samples", 5)
    assert f"{len(TEXTS)} of {len(TEXTS)} documents have sentence marks, which were used" in printed(result)
    # No relation fits into a sentence of one token.
    comparison = compare(*map(str, paths[:2]), tmp_path / "marked.spacy", given_sentences=True, samples=5)
    assert [document.predicted._.relations for document in comparison.one.documents] == [()] * len(TEXTS)


def test_symmetric_relations_count_as_the_configs_say(paths, tmp_path):
    for name, symmetric in (("c", "directed"), ("d", "directed"), ("e", "twice")):
        nlp = spacy.load(paths[0], config={"components.spert.scorer.symmetric": symmetric})
        nlp.to_disk(tmp_path / name)
    settings = {"data_path": paths[2], "samples": 5}
    comparison = compare(str(tmp_path / "c"), str(tmp_path / "d"), **settings)
    assert comparison.one.symmetric == comparison.other.symmetric == "directed"
    with pytest.raises(ValueError, match=r"in different ways \('directed' and 'twice'\).*--symmetric"):
        compare(str(tmp_path / "c"), str(tmp_path / "e"), **settings)
    assert compare(str(tmp_path / "c"), str(tmp_path / "e"), symmetric="once", **settings).other.symmetric == "once"


def test_gold_entities_are_given_to_both(paths):
    comparison = compare(*map(str, paths[:2]), paths[2], gold_entities=True, samples=10)
    assert list(comparison.differences) == ["rels", "rels_strict"]
    # With a threshold of 0 every relation comes out.
    assert comparison.differences["rels_strict"]["R"].one == 1.0


@pytest.mark.parametrize(
    "change, message",
    [
        ({"component_b": "other"}, "'other' is not a 'spert' component"),
        ({"symmetric": "never"}, "Can't score with symmetric = 'never'"),
        ({"report": "."}, "Can't write .*: it is a folder"),
        ({"output": "same", "report": "same"}, "it is the other output as well"),
    ],
)
def test_errors(paths, tmp_path, change, message):
    files = {name: tmp_path / value for name, value in change.items() if name in ("output", "report")}
    with pytest.raises(ValueError, match=message):
        compare(*map(str, paths[:2]), paths[2], **{**change, **files})
    assert list(tmp_path.iterdir()) == []


def test_command_says_what_is_wrong(paths):
    result = run(paths[0], "no_such_model", paths[2])
    assert result.exit_code == 1 and "Can't compare" in printed(result) and "no_such_model" in printed(result)


def test_to_stdout(paths):
    """Nothing but the output is on stdout."""
    result = run(*paths, "--output", "-", "--samples", 20)
    assert result.exit_code == 0, result.output
    assert srsly.json_loads(result.stdout)["documents"] == len(TEXTS)
    assert "Differences by kind" in result.stderr
