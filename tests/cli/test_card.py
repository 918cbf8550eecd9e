"""`spacy spert card`."""

import contextlib
import hashlib
import io
import json
import re

import pytest
import spacy
import srsly
from spacy.cli._util import app
from spacy.tokens import DocBin
from typer.testing import CliRunner
from util import LABELS, TEXTS, assert_same_predictions, initialize, make_doc, make_examples, make_nlp, train

from spacy_spert.cli.card import card
from spacy_spert.cli.evaluate import evaluate
from spacy_spert.evaluation.publish import with_scores

# Errors, so that not all figures are the same.
TESTED = [*TEXTS[:5], ("Ann hired Bob .", [(0, 1, "ORG"), (2, 3, "PER")], [(1, 0, "works_for")])]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Training and test data."""
    path = tmp_path_factory.mktemp("data")
    vocab = spacy.blank("xx").vocab
    for name, texts in (("train", TEXTS), ("test", TESTED)):
        DocBin(docs=[make_doc(vocab, *text) for text in texts]).to_disk(path / f"{name}.spacy")
    return path


def save(nlp, path, data):
    """Save a pipeline as `spacy train` does: with paths, and losses among its scores."""
    nlp.to_disk(path)
    config = spacy.util.load_config(path / "config.cfg")
    config["paths"].update(train=str(data / "train.spacy"), dev=str(data / "test.spacy"))
    config["initialize"]["vocab_data"] = str(data)
    config.to_disk(path / "config.cfg")
    meta = srsly.read_json(path / "meta.json")
    performance = {"spans_spert_f": 0.25, "spans_spert_p": 0.5, "spans_spert_r": 0.125, "spert_loss": 7.5}
    srsly.write_json(path / "meta.json", {**meta, "performance": performance})
    return path


@pytest.fixture
def model(trained, data, tmp_path):
    return save(trained, tmp_path / "model", data)


@pytest.fixture(scope="module")
def published(trained, data, tmp_path_factory):
    """A pipeline with its card. Not to be changed."""
    path = save(trained, tmp_path_factory.mktemp("published") / "model", data)
    evaluate(str(path), data / "test.spacy", output=data / "metrics.json")
    options = {"dataset": "tiny", "license": "CC BY 4.0", "base_model": "some/bert"}
    card(path, metrics=data / "metrics.json", train=data / "train.spacy", **options)
    return path


@pytest.fixture(scope="module")
def metrics(published, data):
    return srsly.read_json(data / "metrics.json")


@pytest.fixture(scope="module")
def written(published):
    return (published / "README.md").read_text(encoding="utf8")


def front_matter_of(text):
    return srsly.yaml_loads(text.split("---\n")[1])


def table_of(text, title):
    """The rows of a table, without its header."""
    table = re.search(rf"^#+ {re.escape(title)}\n.*?^\| ---[^\n]*\n((?:\|[^\n]*\n)+)", text, re.M | re.S)[1]
    return [[cell.strip(" `") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table.splitlines()]


class TestFigures:
    def test_results_are_those_of_the_metrics(self, written, metrics):
        scores = metrics
        results = front_matter_of(written)["model-index"][0]["results"]
        assert [result["task"]["name"] for result in results] == [
            "Entities",
            "Relations by boundaries",
            "Relations, strict",
        ]
        for result, prefix in zip(results, ("spans_spert", "rels", "rels_strict")):
            values = [(metric["type"], metric["value"]) for metric in result["metrics"]]
            expected = [("precision", "p"), ("recall", "r"), ("f1", "f")]
            assert values == [(name, pytest.approx(scores[f"{prefix}_{key}"], abs=1e-12)) for name, key in expected]
            assert result["dataset"] == {"type": "tiny", "name": "tiny", "split": "test"}

    @pytest.mark.parametrize(
        "title, kind, prefix",
        [
            ("Entities", "spans", "spans_spert"),
            ("Relations by boundaries", "rels", "rels"),
            ("Relations, strict", "rels_strict", "rels_strict"),
        ],
    )
    def test_tables_are_those_of_the_metrics(self, written, metrics, title, kind, prefix):
        scores = metrics
        expected = [
            [label, *(f"{values[key]:.4f}" for key in "prf"), str(scores["counts"][kind][label]["support"])]
            for label, values in scores[f"{prefix}_per_type"].items()
        ]
        total = str(sum(count["support"] for count in scores["counts"][kind].values()))
        for name, infix in (("micro", ""), ("macro", "macro_")):
            expected.append([name, *(f"{scores[f'{prefix}_{infix}{key}']:.4f}" for key in "prf"), total])
        assert table_of(written, title) == expected
        assert len(expected) > 4

    def test_meta_has_the_scores_and_no_losses(self, written, published, metrics):
        scores, performance = metrics, srsly.read_json(published / "meta.json")["performance"]
        for name in ("spans_spert_f", "rels_strict_f", "rels_strict_per_type"):
            assert performance[name] == scores[name]
        # The data has no doc.ents.
        for name in ("p", "r", "f", "per_type"):
            assert performance[f"ents_{name}"] == scores[f"spans_spert_{name}"]
        assert not [name for name in performance if "loss" in name]
        assert "7.5" not in written

    def test_scores_of_doc_ents(self):
        scores = {"ents_p": 1.0, "ents_r": 0.5, "ents_f": 0.75, "spans_x_f": 0.1, "documents": 3}
        meta = with_scores({"name": "n", "performance": {"a_loss": 1.0, "speed": 9.0}}, scores, "x")
        assert meta == {
            "name": "n",
            "performance": {"speed": 9.0, "ents_p": 1.0, "ents_r": 0.5, "ents_f": 0.75, "spans_x_f": 0.1},
        }

    def test_without_metrics_the_scores_are_those_of_the_training(self, model):
        card(model)
        results = front_matter_of((model / "README.md").read_text(encoding="utf8"))["model-index"][0]["results"]
        assert [(metric["type"], metric["value"]) for metric in results[0]["metrics"]] == [
            ("precision", 0.5),
            ("recall", 0.125),
            ("f1", 0.25),
        ]
        assert [result["dataset"]["split"] for result in results] == ["development"]


class TestContents:
    def test_front_matter(self, written):
        matter = front_matter_of(written)
        assert (matter["language"], matter["license"]) == (["multilingual"], "cc-by-4.0")
        assert matter["base_model"] == "some/bert"
        assert {"spacy", "token-classification", "relation-extraction"} <= set(matter["tags"])
        assert matter["model-index"][0]["name"] == "xx_pipeline"

    def test_labels_with_counts(self, written):
        assert table_of(written, "Labels") == [
            ["entities", "LOC", "6", "2"],
            ["entities", "ORG", "7", "4"],
            ["entities", "PER", "6", "7"],
            ["relations", "based_in", "4", "2"],
            ["relations", "partner_of", "3", "2"],
            ["relations", "works_for", "3", "4"],
        ]

    def test_convention_thresholds_and_limits(self, written):
        assert "Relations without direction (`partner_of`) are counted once, whatever their order." in written
        rows = dict(table_of(written, "Thresholds and limits"))
        assert (rows["relation_threshold"], rows["max_span_width"]) == ("0.4", "4")
        assert json.loads(rows["symmetric_labels"]) == ["partner_of"]

    def test_example_prints_what_it_shows(self, written, published):
        code, shown = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", written, re.S).groups()
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code.replace('"xx_pipeline"', repr(str(published))), {})
        assert printed.getvalue() == shown
        assert "works_for" in shown

    def test_training_and_versions(self, written):
        facts = dict(table_of(written, "Training"))
        assert (facts["data"], facts["documents"], facts["seed"]) == ('"tiny"', "8", "0")
        assert dict(table_of(written, "Versions"))["spacy"] == spacy.__version__

    def test_checksums(self, written, published):
        rows = dict(table_of(written, "Checksums"))
        files = {path.relative_to(published).as_posix(): path for path in published.rglob("*") if path.is_file()}
        del files["README.md"]
        assert rows == {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}

    def test_labels_with_a_bar(self, encoder, tmp_path):
        nlp = initialize(make_nlp(encoder), [("Ann", [(0, 1, "A|B")], []), ("Ann met Bob", [(0, 1, "A|B")], [])])
        nlp.to_disk(tmp_path)
        card(tmp_path)
        assert table_of((tmp_path / "README.md").read_text(encoding="utf8"), "Labels") == [["entities", "A\\|B"]]


class TestPublished:
    def test_no_path_of_this_machine(self, written, published, data, encoder):
        for file in ("README.md", "config.cfg", "meta.json"):
            text = (published / file).read_text(encoding="utf8")
            for path in (data, published, encoder):
                assert str(path) not in text, file
        config = spacy.util.load_config(published / "config.cfg")
        assert config["components"]["transformer"]["model"]["name"] == "some/bert"
        assert not any(config["paths"].values()) and config["initialize"]["vocab_data"] is None

    def test_the_name_of_a_transformer_is_that_of_its_folder(self, model, encoder):
        assert card(model).base_model is None
        assert spacy.util.load_config(model / "config.cfg")["components"]["transformer"]["model"]["name"] == "tiny"

    def test_predictions_stay(self, trained, written, published):
        texts = [text for text, _, _ in TEXTS]
        assert_same_predictions([trained(text) for text in texts], spacy.load(published).pipe(texts))

    # spaCy leaves the files of a package to the garbage collector to close.
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_is_the_card_of_the_package(self, written, published, tmp_path):
        from spacy.cli.package import package

        (tmp_path / "packages").mkdir()
        package(published, tmp_path / "packages", create_sdist=False)
        assert (tmp_path / "packages" / "xx_pipeline-0.0.0" / "README.md").read_text(encoding="utf8") == written

    def test_name_and_version(self, model):
        made = card(model, name="relations", version="1.2.3", text="Ann Lee works for Acme Labs in Bonn .")
        assert made.name == "xx_relations"
        assert 'spacy.load("xx_relations")' in (model / "README.md").read_text(encoding="utf8")
        assert srsly.read_json(model / "meta.json")["version"] == "1.2.3"


class TestCommand:
    def test_says_what_is_missing(self, model):
        result = CliRunner().invoke(app, ["spert", "card", str(model)])
        assert result.exit_code == 0, result.output
        output = " ".join(result.output.split())
        assert "Wrote" in output and "--base-model" in output and "--license" in output

    @pytest.mark.parametrize(
        "settings, error", [({"component": "other"}, "S207"), ({"component": "spert", "gold_entities": True}, "S208")]
    )
    def test_other_metrics(self, model, tmp_path, settings, error):
        srsly.write_json(tmp_path / "other.json", {"settings": settings})
        before = {path: path.read_bytes() for path in model.rglob("*") if path.is_file()}
        result = CliRunner().invoke(app, ["spert", "card", str(model), "--metrics", str(tmp_path / "other.json")])
        assert result.exit_code == 1 and error in result.output
        assert {path: path.read_bytes() for path in model.rglob("*") if path.is_file()} == before

    def test_entities_alone(self, encoder, tmp_path):
        nlp = make_nlp(encoder, task="entities")
        initialize(nlp)
        train(nlp, 1)
        nlp.to_disk(tmp_path / "model")
        DocBin(docs=[example.reference for example in make_examples(nlp)]).to_disk(tmp_path / "data.spacy")
        evaluate(str(tmp_path / "model"), tmp_path / "data.spacy", output=tmp_path / "metrics.json")
        made = card(tmp_path / "model", metrics=tmp_path / "metrics.json")
        assert "finds entities with" in made.markdown()
        assert LABELS["entities"] == list(made.cfg["entity_labels"])
