"""`spacy spert import`, and what can be done with the pipeline it makes."""

import shutil
from pathlib import Path

import pytest
import spacy
import srsly
from original import (
    DATA,
    ORIGINAL,
    SENTENCES,
    check_entities,
    check_pair_probabilities,
    check_relations,
    check_span_probabilities,
    load_expected,
    load_weights,
    predict_all,
    write_checkpoint,
)
from spacy.cli._util import app
from spacy.tokens import Doc, DocBin
from typer.testing import CliRunner
from util import make_doc

from spacy_spert.cli.import_ import import_

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("original") / "checkpoint", load_weights())


@pytest.fixture(scope="module")
def types(checkpoint):
    return checkpoint.parent / "types.json"


@pytest.fixture(scope="module")
def model(checkpoint, types, tmp_path_factory):
    path = tmp_path_factory.mktemp("imported") / "new" / "model"
    result = run(checkpoint, path, "--types", types, "--max-span-width", DATA["max_span_width"])
    assert result.exit_code == 0, result.output
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The six sentences with their gold annotation."""
    vocab = spacy.blank("en").vocab
    path = tmp_path_factory.mktemp("data") / "sentences.spacy"
    rows = [(" ".join(row["tokens"]), row["entities"], row["relations"]) for row in SENTENCES]
    DocBin(docs=[make_doc(vocab, *row) for row in rows]).to_disk(path)
    return path


def run(*arguments):
    return CliRunner().invoke(app, ["spert", "import", *map(str, arguments)])


def assert_parity(nlp):
    expected = load_expected()
    for i, prediction in enumerate(predict_all(nlp, len(SENTENCES))):
        check_span_probabilities(prediction, expected, i)
        check_pair_probabilities(prediction, expected, i)
    docs = nlp.pipe([Doc(nlp.vocab, words=row["tokens"]) for row in SENTENCES])
    for i, doc in enumerate(docs):
        check_entities(doc, i)
        check_relations(doc, i)


class TestParity:
    @pytest.mark.parametrize("weights_file", ["pytorch_model.bin", "model.safetensors"])
    def test_copy(self, tmp_path, weights_file):
        """The pipeline needs nothing but its own folder."""
        checkpoint = write_checkpoint(tmp_path / "checkpoint", load_weights(), weights_file)
        types = tmp_path / "types.json"
        result = run(checkpoint, tmp_path / "out", "--types", types, "--max-span-width", 5, "--lang", "xx")
        assert result.exit_code == 0, result.output
        shutil.rmtree(checkpoint)
        types.unlink()
        shutil.move(tmp_path / "out", tmp_path / "moved")
        nlp = spacy.load(tmp_path / "moved")
        assert nlp.lang == "xx"
        assert_parity(nlp)

    @pytest.mark.skipif(not ORIGINAL.is_dir(), reason="the original figures are not beside the repository")
    def test_original(self, tmp_path):
        types = ORIGINAL / "types.json"
        result = run(ORIGINAL / "checkpoint", tmp_path / "out", "--types", types, "--max-span-width", 5)
        assert result.exit_code == 0, result.output
        assert_parity(spacy.load(tmp_path / "out"))

    def test_no_place_of_the_checkpoint_is_kept(self, model, checkpoint):
        for path in model.rglob("*"):
            assert path.is_dir() or str(checkpoint.parent).encode() not in path.read_bytes()


class TestOptions:
    def test_all(self, checkpoint, types, tmp_path):
        options = ["-w", 7, "-r", 0.25, "-l", "de", "--lowercase", "--sentences"]
        result = run(checkpoint, tmp_path / "out", "-t", types, *options)
        assert result.exit_code == 0, result.output
        assert "4 entity labels, 4 relation labels (symmetric: Partner_Of)" in " ".join(result.output.split())
        assert "Texts are lower-cased" in result.output
        nlp = spacy.load(tmp_path / "out")
        assert nlp.lang == "de" and nlp.pipe_names == ["sentencizer", "transformer", "spert"]
        assert nlp.config["training"]["annotating_components"] == ["sentencizer"]
        cfg = nlp.get_pipe("spert").cfg
        assert (cfg["max_span_width"], cfg["relation_threshold"]) == (7, 0.25)
        assert nlp.get_pipe("transformer").model.tokenizer.do_lower_case

    def test_cased(self, checkpoint, types, tmp_path):
        assert "Texts are not lower-cased" in run(checkpoint, tmp_path / "out", "-t", types, "--cased").output

    def test_labels_are_needed(self, checkpoint, tmp_path):
        result = run(checkpoint, tmp_path / "out")
        assert result.exit_code == 2 and "--types" in result.output


class TestOutput:
    def test_errors_leave_nothing_behind(self, checkpoint, types, tmp_path):
        result = run(checkpoint, tmp_path / "new" / "out", "--types", types, "--max-span-width", 100)
        assert result.exit_code == 1
        assert "Nothing was written" in result.output and "can't be 100" in " ".join(result.output.split())
        assert list(tmp_path.iterdir()) == []

    def test_unknown_language(self, checkpoint, types, tmp_path):
        result = run(checkpoint, tmp_path / "out", "--types", types, "--lang", "qqq")
        assert result.exit_code == 1 and "E048" in result.output

    def test_what_fails_while_writing_leaves_nothing_behind(self, checkpoint, types, tmp_path, monkeypatch):
        def fail(self, path):
            path.mkdir()
            (path / "config.cfg").write_text("half", encoding="utf8")
            raise OSError("No space left on device")

        monkeypatch.setattr("spacy.language.Language.to_disk", fail)
        result = run(checkpoint, tmp_path / "out", "--types", types)
        assert result.exit_code == 1 and "No space left" in result.output
        assert list(tmp_path.iterdir()) == []

    def test_empty_folder(self, checkpoint, types, tmp_path):
        (tmp_path / "out").mkdir()
        import_(checkpoint, tmp_path / "out", types, lang="xx")
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
        assert (tmp_path / "out" / "config.cfg").is_file()

    def test_force_replaces_a_pipeline(self, checkpoint, types, tmp_path):
        spacy.blank("de").to_disk(tmp_path / "out")
        (tmp_path / "out" / "old").touch()
        with pytest.raises(ValueError, match="out is not an empty folder. .* --force"):
            import_(checkpoint, tmp_path / "out", types, lang="xx")
        assert (tmp_path / "out" / "old").exists()
        import_(checkpoint, tmp_path / "out", types, lang="xx", force=True)
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
        assert srsly.read_json(tmp_path / "out" / "meta.json")["lang"] == "xx"
        assert not (tmp_path / "out" / "old").exists()

    def test_force_keeps_the_pipeline_if_the_checkpoint_is_wrong(self, checkpoint, types, tmp_path):
        spacy.blank("de").to_disk(tmp_path / "out")
        with pytest.raises(ValueError, match="max_span_width"):
            import_(checkpoint, tmp_path / "out", types, max_span_width=0, force=True)
        assert srsly.read_json(tmp_path / "out" / "meta.json")["lang"] == "de"

    @pytest.mark.parametrize("kind", ["file", "folder of other things", "the checkpoint", "around the checkpoint"])
    def test_force_replaces_nothing_else(self, tmp_path, kind):
        checkpoint = write_checkpoint(tmp_path / "checkpoint", load_weights())
        output = tmp_path / "out"
        if kind == "file":
            output.touch()
        elif kind == "folder of other things":
            output.mkdir()
            (output / "config.cfg").touch()
        elif kind == "the checkpoint":
            output = checkpoint
        else:
            spacy.blank("xx").to_disk(tmp_path)
            output = tmp_path
        before = sorted(tmp_path.rglob("*"))
        result = run(checkpoint, output, "--types", tmp_path / "types.json", "--force")
        assert result.exit_code == 1 and "is not an empty folder" in " ".join(result.output.split())
        assert sorted(tmp_path.rglob("*")) == before


class TestUse:
    def test_evaluate(self, model, tmp_path):
        """Against the predictions of the original it is right in everything."""
        docs = []
        for row in SENTENCES:
            entities = [(start, end, label) for start, end, label, _ in row["predicted_entities"]]
            index = {(start, end): i for i, (start, end, _) in enumerate(entities)}
            relations = [(index[a, b], index[c, d], label) for a, b, c, d, label, _ in row["predicted_relations"]]
            docs.append(make_doc(spacy.blank("en").vocab, " ".join(row["tokens"]), entities, relations))
        DocBin(docs=docs).to_disk(tmp_path / "data.spacy")
        output = tmp_path / "scores.json"
        arguments = ["spert", "evaluate", str(model), str(tmp_path / "data.spacy"), "--output", str(output)]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        scores = srsly.read_json(output)
        assert (scores["spans_spert_f"], scores["rels_f"], scores["rels_strict_f"]) == (1.0, 1.0, 1.0)

    # spaCy leaves the files of a package to the garbage collector to close.
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_package(self, model, tmp_path):
        from spacy.cli.package import package

        package(model, tmp_path, name="imported", version="0.0.1", create_sdist=False, silent=True)
        folder = tmp_path / "en_imported-0.0.1"
        required = srsly.read_json(folder / "meta.json")["requirements"]
        assert {requirement.split(">")[0] for requirement in required} >= {"spacy-spert", "spacy-transformers"}
        assert_parity(spacy.load(folder / "en_imported" / "en_imported-0.0.1"))

    def test_train_on_with_source(self, model, data, tmp_path):
        """Both components come with their weights into a training of their own."""
        from spacy.cli.train import train
        from spacy.training.initialize import init_nlp
        from spacy.util import load_config

        config = load_config(ROOT / "configs" / "spert.cfg")
        config["components"] = {name: {"source": str(model)} for name in ("transformer", "spert")}
        config["paths"].update(train=str(data), dev=str(data))
        config["training"].update(max_steps=40, eval_frequency=40)
        config["training"]["optimizer"]["learn_rate"] = 0.003
        config.to_disk(tmp_path / "config.cfg")
        assert_parity(init_nlp(config))
        train(tmp_path / "config.cfg", tmp_path / "out")
        nlp = spacy.load(tmp_path / "out" / "model-last")
        assert nlp.get_pipe("spert").label_data["entities"] == DATA["entity_labels"]
        assert srsly.read_json(tmp_path / "out" / "model-last" / "meta.json")["performance"]["spans_spert_f"] > 0.3

    def test_the_encoder_is_not_taken_from_elsewhere(self, model, data, tmp_path):
        """Training the config anew says what is missing, and asks no server for another encoder."""
        from spacy.training.initialize import init_nlp
        from spacy.util import load_config

        config = load_config(model / "config.cfg", overrides={"paths.train": str(data), "paths.dev": str(data)})
        with pytest.raises(ValueError, match="train it on with source"):
            init_nlp(config)
