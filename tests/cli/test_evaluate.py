import click
import forked
import pytest
import spacy
import srsly
from spacy.cli._util import app
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from typer.testing import CliRunner

from spacy_spert.cli.evaluate import evaluate
from spacy_spert.relations import set_entities

TEXT = "Ann works for Acme ."
TOK2VEC = {
    "@architectures": "spacy.HashEmbedCNN.v2",
    "width": 16,
    "depth": 1,
    "embed_size": 100,
    "window_size": 1,
    "maxout_pieces": 2,
    "subword_features": True,
    "pretrained_vectors": None,
}


def run(*args):
    return CliRunner().invoke(app, ["spert", "evaluate", *map(str, args)])


def printed(result):
    """The output without colours and line breaks."""
    return " ".join(click.unstyle(result.output).split())


def make_model(path, doc, *names):
    nlp = spacy.blank("en")
    for name in names:
        nlp.add_pipe("spert", name=name, config={"model": {"tok2vec": TOK2VEC}})
    if names:
        nlp.initialize(lambda: [Example(nlp.make_doc(TEXT), doc)])
    nlp.to_disk(path)
    return path


@pytest.fixture
def doc():
    doc = spacy.blank("en")(TEXT)
    spans = [doc.char_span(0, 3, "PER"), doc.char_span(14, 18, "ORG")]
    set_entities(doc, "spert", spans, [(0, 1, "works_for", 1.0)])
    doc.set_ents(spans)
    return doc


@pytest.fixture
def paths(tmp_path, doc):
    """A pipeline that knows nothing, and two documents to score it on."""
    DocBin(docs=[doc, doc]).to_disk(tmp_path / "data.spacy")
    return make_model(tmp_path / "model", doc, "spert"), tmp_path / "data.spacy"


def test_tables_count_all_gold(paths):
    evaluation = evaluate(str(paths[0]), paths[1])
    names, supports = zip(*((name, {row[0]: row[-1] for row in rows[1:]}) for name, rows in evaluation.tables))
    assert names == ("Entities", "Relations by boundaries", "Relations, strict")
    assert supports[0]["PER"] == 2 and supports[0]["micro"] == 4
    assert supports[1]["works_for"] == supports[2]["works_for"] == 2
    assert {"spans_spert_f", "rels_f", "rels_strict_f", "ents_f"} <= set(evaluation.scores)


def test_component_without_relation_labels(tmp_path, paths):
    """It was trained on data that has none; those of this data are missed."""
    doc = spacy.blank("en")(TEXT)
    doc.spans["spert"] = [doc.char_span(0, 3, "PER"), doc.char_span(14, 18, "ORG")]
    model = make_model(tmp_path / "plain", doc, "spert")
    report = tmp_path / "r.html"
    evaluation = evaluate(str(model), paths[1], report=report)
    assert evaluation.counts["rels"]["works_for"].fn == 2 and report.exists()


def test_command_writes_scores_and_report(paths, tmp_path):
    output, report = tmp_path / "new" / "m.json", tmp_path / "new" / "r.html"
    result = run(*paths, "--output", output, "--report", report)
    assert result.exit_code == 0, result.output
    for title in ("Entities", "Relations by boundaries", "Relations, strict", "Errors by kind", "spurious pair"):
        assert title in printed(result)
    data = srsly.read_json(output)
    assert 0.0 <= data["rels_strict_f"] <= 1.0 and 0.0 <= data["rels_macro_p"] <= 1.0
    assert data["counts"]["rels"]["works_for"]["support"] == 2
    assert set(data["errors"]) >= {"missed entity", "missed pair"}
    page = report.read_text(encoding="utf8")
    assert page.count("<article") == 2 and "<title>model on data.spacy</title>" in page
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["m.json", "r.html"]


def test_limit_shortens_the_report(paths, tmp_path):
    assert run(*paths, "--report", tmp_path / "r.html", "--limit", 1).exit_code == 0
    assert (tmp_path / "r.html").read_text(encoding="utf8").count("<article") == 1


def test_gold_entities(paths, tmp_path):
    result = run(*paths, "--gold-entities", "--output", tmp_path / "m.json")
    assert result.exit_code == 0, result.output
    assert "The gold entities were given" in printed(result) and "= Entities =" not in printed(result)
    data = srsly.read_json(tmp_path / "m.json")
    assert data["spans_spert_f"] is None and data["rels_f"] is not None
    assert data["settings"]["gold_entities"] is True


def test_command_counts_false_relations_on_hard_negatives(paths, tmp_path, doc):
    set_entities(doc, "spert", doc.spans["spert"], [])
    DocBin(docs=[doc]).to_disk(tmp_path / "negatives.spacy")
    output = tmp_path / "m.json"
    result = run(*paths, "--hard-negatives", tmp_path / "negatives.spacy", "--output", output)
    assert "False relations" in printed(result) and "hard negatives" in printed(result)
    counts = srsly.read_json(output)["false_relations"]
    assert {name: n["sentences"] for name, n in counts.items()} == {
        "all": 2,
        "without_relation": 0,
        "hard_negatives": 1,
    }
    assert "hard_negatives" not in evaluate(str(paths[0]), paths[1]).false_relations


def test_unannotated_documents_are_named(paths, doc):
    DocBin(docs=[doc, spacy.blank("en")(TEXT)]).to_disk(paths[1])
    result = run(*paths, "--batch-size", 1)
    assert "1 of 2 documents are left out" in printed(result)


def test_settings_reach_the_evaluation(tmp_path, paths, doc):
    model = make_model(tmp_path / "two", doc, "one", "two")
    output = tmp_path / "m.json"
    options = ["--component", "two", "--symmetric", "twice", "--margin", "0.2"]
    assert run(model, paths[1], "--output", output, *options).exit_code == 0
    settings = srsly.read_json(output)["settings"]
    assert (settings["component"], settings["symmetric"], settings["margin"]) == ("two", "twice", 0.2)


@pytest.mark.parametrize("option", ["--output", "--report"])
def test_to_stdout(paths, option):
    """Nothing but the output is on stdout."""
    result = run(*paths, option, "-")
    assert result.exit_code == 0, result.output
    assert "Errors by kind" in result.stderr and "Wrote the" in result.stderr
    if option == "--output":
        assert srsly.json_loads(result.stdout)["counts"]["rels"]["works_for"]["support"] == 2
    else:
        assert result.stdout.startswith("<!DOCTYPE html>") and result.stdout.rstrip().endswith("</html>")
    result = run("no_such_model", paths[1], option, "-")
    assert result.exit_code == 1 and not result.stdout and "Can't evaluate" in result.stderr


def test_to_stdout_by_its_name(paths):
    """What /dev/stdout leads to gets the output alone, too."""
    done = forked.run(["-m", "spacy", "spert", "evaluate", *paths, "--output", "/dev/stdout"], check=True)
    assert srsly.json_loads(done.stdout)["counts"]["rels"]["works_for"]["support"] == 2
    assert b"Errors by kind" in done.stderr


def test_sentence_marks_of_the_data(tmp_path, paths, doc):
    """The pipeline's own marks count, unless those of the data are asked for."""
    marked = doc.copy()
    for token in marked:
        token.is_sent_start = token.i in (0, 3)
    # Not all of the tokens are those of the tokenizer.
    other = Doc(doc.vocab, words=["Ann", "works.", "Ok"], sent_starts=[1, 0, 1])
    other.spans["spert"] = []
    DocBin(docs=[marked, doc, other]).to_disk(paths[1])
    plain, given = (evaluate(str(paths[0]), paths[1], given_sentences=given) for given in (False, True))

    def starts(evaluation):
        docs = [document.predicted for document in evaluation.documents]
        return [
            [token.text for token in doc if token.is_sent_start] for doc in docs if doc.has_annotation("SENT_START")
        ]

    assert starts(plain) == [] and starts(given) == [["Ann", "Acme"], ["Ann", "Ok"]]
    assert "2 of 3 documents have sentence marks, which were used." in given.notes
    assert given.to_json()["settings"]["given_sentences"] is True
    assert plain.to_json()["settings"]["given_sentences"] is False


@pytest.mark.parametrize(
    "change, message",
    [
        ({"symmetric": "never"}, "Can't score with symmetric = 'never'"),
        ({"data_path": "empty.spacy"}, "No documents in"),
        ({"data_path": "text.json"}, "No documents in .* ends in '.spacy'"),
        ({"data_path": "broken.spacy"}, r"Can't read .*broken.spacy as spaCy's binary format"),
        ({"data_path": "unannotated.spacy"}, r"None of the 1 documents is annotated.*doc.spans\['spert'\]"),
        ({"model": "blank"}, "has no 'spert' component"),
        ({"component": "other"}, r"'other' is not a 'spert' component of the pipeline. Choose one of \['spert'\]"),
        ({"margin": 3.0}, "Got: 3.0"),
        ({"report": "."}, "Can't write .*: it is a folder"),
        ({"output": "data.spacy"}, "Can't write .*data.spacy: it is the data"),
        ({"output": "-", "report": "-"}, "Can't write -: it is the other output as well"),
        ({"output": "same", "report": "same"}, "Can't write .*same: it is the other output as well"),
    ],
)
def test_errors(paths, tmp_path, change, message):
    DocBin().to_disk(tmp_path / "empty.spacy")
    DocBin(docs=[spacy.blank("en")(TEXT)]).to_disk(tmp_path / "unannotated.spacy")
    for name in ("text.json", "broken.spacy"):
        (tmp_path / name).write_text("{}", encoding="utf8")
    make_model(tmp_path / "blank", None)
    arguments = {"model": paths[0], "data_path": paths[1]}
    for name, value in change.items():
        plain = name in ("symmetric", "component", "margin") or value == "-"
        arguments[name] = value if plain else tmp_path / value
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ValueError, match=message):
        evaluate(str(arguments.pop("model")), arguments.pop("data_path"), **arguments)
    assert sorted(tmp_path.iterdir()) == before


def test_command_says_what_is_wrong(paths, tmp_path):
    result = run("no_such_model", paths[1])
    assert result.exit_code == 1 and "Can't evaluate" in printed(result) and "no_such_model" in printed(result)
    assert run(paths[0], tmp_path / "missing.spacy").exit_code == 2
