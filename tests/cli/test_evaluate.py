import pytest
import spacy
import srsly
from spacy.cli._util import app
from spacy.tokens import DocBin
from typer.testing import CliRunner

from spacy_spert.cli.evaluate import evaluate
from spacy_spert.relations import set_entities

TEXT = "Ann works for Acme ."


@pytest.fixture
def paths(tmp_path):
    """A pipeline that knows nothing, and two documents to score it on."""
    nlp = spacy.blank("en")
    doc = nlp(TEXT)
    spans = [doc.char_span(0, 3, "PER"), doc.char_span(14, 18, "ORG")]
    set_entities(doc, "spert", spans, [(0, 1, "works_for", 1.0)])
    doc.set_ents(spans)
    DocBin(docs=[doc, doc]).to_disk(tmp_path / "data.spacy")
    example = spacy.training.Example(nlp.make_doc(TEXT), doc)
    tok2vec = {"@architectures": "spacy.HashEmbedCNN.v2", "width": 16, "depth": 1, "embed_size": 100}
    tok2vec.update(window_size=1, maxout_pieces=2, subword_features=True, pretrained_vectors=None)
    nlp.add_pipe("spert", config={"model": {"tok2vec": tok2vec}})
    nlp.initialize(lambda: [example])
    nlp.to_disk(tmp_path / "model")
    return tmp_path / "model", tmp_path / "data.spacy"


def test_tables_count_all_gold(paths):
    scores, tables = evaluate(str(paths[0]), paths[1])
    names, supports = zip(*((name, {row[0]: row[-1] for row in rows[1:]}) for name, rows in tables))
    assert names == ("Entities", "Relations by boundaries", "Relations, strict")
    assert supports[0]["PER"] == 2 and supports[0]["micro"] == 4
    assert supports[1]["works_for"] == supports[2]["works_for"] == 2
    assert {"spans_spert_f", "rels_f", "rels_strict_f", "ents_f"} <= set(scores)


def test_command_writes_scores_and_report(paths, tmp_path):
    output, report = tmp_path / "new" / "m.json", tmp_path / "new" / "r.html"
    arguments = ["spert", "evaluate", *map(str, paths), "--output", str(output), "--report", str(report)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "Relations, strict" in result.output
    assert 0.0 <= srsly.read_json(output)["rels_strict_f"] <= 1.0
    page = report.read_text(encoding="utf8")
    assert page.count("<figure>") == 2 and "Entities" in page


@pytest.mark.parametrize(
    "change, message",
    [
        ({"symmetric": "never"}, "Can't score with symmetric = 'never'"),
        ({"data_path": "empty.spacy"}, "No documents in"),
        ({"model": "blank"}, "has no 'spert' component"),
    ],
)
def test_errors(paths, tmp_path, change, message):
    DocBin().to_disk(tmp_path / "empty.spacy")
    spacy.blank("en").to_disk(tmp_path / "blank")
    arguments = {"model": paths[0], "data_path": paths[1], "symmetric": "once"}
    for name, value in change.items():
        arguments[name] = value if name == "symmetric" else tmp_path / value
    with pytest.raises(ValueError, match=message):
        evaluate(str(arguments.pop("model")), arguments.pop("data_path"), **arguments)
