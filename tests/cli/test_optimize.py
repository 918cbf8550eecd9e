"""`spacy spert optimize`."""

import pytest
import spacy
from spacy.cli._util import app
from spacy.tokens import DocBin
from typer.testing import CliRunner
from util import TEXTS, assert_same_predictions, make_doc, torch_encoder

from spacy_spert.cli.optimize import optimize
from spacy_spert.ml.onnx import OnnxEncoder


@pytest.fixture(scope="module")
def model(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("optimize") / "model"
    trained.to_disk(path)
    return path


@pytest.fixture(scope="module")
def dev(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("optimize") / "dev.spacy"
    DocBin(store_user_data=True, docs=[make_doc(trained.vocab, *text) for text in TEXTS]).to_disk(path)
    return path


def run(*arguments):
    return CliRunner().invoke(app, ["spert", "optimize", *map(str, arguments)])


def words(result):
    return " ".join(result.output.split())


def test_float32(model, trained, tmp_path):
    result = run(model, tmp_path / "new" / "out")
    assert result.exit_code == 0, result.output
    assert "With --check DEV.spacy both pipelines are scored and timed" in words(result)
    nlp = spacy.load(tmp_path / "new" / "out")
    assert isinstance(torch_encoder(nlp), OnnxEncoder)
    texts = [text for text, _, _ in TEXTS]
    assert_same_predictions(trained.pipe(texts), nlp.pipe(texts))


def test_int8_with_check(model, dev, tmp_path):
    result = run(model, tmp_path / "out", "--int8", "--check", dev)
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.output.splitlines() if line.startswith(("before", "after"))]
    assert [row[:3] for row in rows] == [["before", "100.00", "100.00"], ["after", "100.00", "100.00"]]
    assert all(float(row[3]) > 0 for row in rows)
    ops = torch_encoder(spacy.load(tmp_path / "out")).graph
    assert b"MatMulInteger" in ops


def test_check_with_the_sentence_marks_of_the_data(model, trained, tmp_path):
    """Where each token is a sentence, nothing is related."""
    docs = [make_doc(trained.vocab, *text) for text in TEXTS]
    for token in (token for doc in docs for token in doc):
        token.is_sent_start = True
    DocBin(store_user_data=True, docs=docs).to_disk(tmp_path / "dev.spacy")
    measured = optimize(model, tmp_path / "out", check=tmp_path / "dev.spacy", given_sentences=True)
    assert [each.relations for each in measured.values()] == [0.0, 0.0]


def test_batches_stay_as_they_were(model, dev, tmp_path, monkeypatch):
    """Also where both are timed, which is done in batches that suit the device."""
    import spacy_spert.optimization

    sizes = []
    measure = spacy_spert.optimization.measure_pipelines

    def measured(pipelines, *args):
        sizes.extend(nlp.get_pipe("transformer").cfg["max_batch_items"] for nlp in pipelines.values())
        return measure(pipelines, *args)

    monkeypatch.setattr(spacy_spert.optimization, "measure_pipelines", measured)
    optimize(model, tmp_path / "out", check=dev)
    assert sizes == [512, 512]
    nlp = spacy.load(tmp_path / "out")
    assert nlp.get_pipe("transformer").cfg["max_batch_items"] == 4096
    # The model as it was.
    assert spacy.load(model).get_pipe("transformer").cfg["max_batch_items"] == 4096


def test_too_much_is_lost(model, dev, tmp_path, monkeypatch):
    """With weights of which nothing but their sign is left."""
    import spacy_spert.optimization

    def ruin(graph):
        import onnx

        model = onnx.load_from_string(graph)
        for each in model.graph.initializer:
            values = onnx.numpy_helper.to_array(each)
            if values.ndim == 2:
                each.CopyFrom(onnx.numpy_helper.from_array((values > 0).astype(values.dtype), each.name))
        return model.SerializeToString()

    monkeypatch.setattr(spacy_spert.optimization, "quantize", ruin)
    result = run(model, tmp_path / "out", "--int8", "--check", dev)
    assert result.exit_code == 1
    assert "Nothing was written" in result.output and "loses too much" in words(result)
    assert list(tmp_path.iterdir()) == []
    assert run(model, tmp_path / "out", "--int8", "--check", dev, "--limit", 100).exit_code == 0


def test_existing_folders(model, tmp_path):
    with pytest.raises(ValueError, match="is not an empty folder"):
        optimize(model, model)
    with pytest.raises(ValueError, match="is not an empty folder"):
        optimize(model, model, force=True)
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(ValueError, match="is not an empty folder"):
        optimize(model, tmp_path, force=True)
    assert (tmp_path / "note.txt").read_text() == "mine"
    optimize(model, tmp_path / "out")
    before = (tmp_path / "out" / "meta.json").stat().st_ino
    with pytest.raises(ValueError, match="is not an empty folder"):
        optimize(model, tmp_path / "out")
    optimize(model, tmp_path / "out", force=True)
    assert (tmp_path / "out" / "meta.json").stat().st_ino != before


def test_a_pipeline_without_transformer(tmp_path):
    nlp = spacy.blank("xx")
    nlp.to_disk(tmp_path / "blank")
    result = run(tmp_path / "blank", tmp_path / "out")
    assert result.exit_code == 1
    assert "no 'transformer' component" in words(result)
    assert not (tmp_path / "out").exists()
