"""spaCy's own commands on a pipeline with the component."""

import sys
from pathlib import Path

import pytest
import spacy
import srsly
from spacy.cli._util import app
from spacy.tokens import DocBin
from spacy.training.initialize import init_nlp
from spacy.util import load_config
from typer.testing import CliRunner

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from util import LABELS, TEXTS, make_doc  # noqa: E402


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The tiny corpus in spaCy's format."""
    nlp = spacy.blank("en")
    path = tmp_path_factory.mktemp("data") / "tiny.spacy"
    DocBin(docs=[make_doc(nlp.vocab, *text) for text in TEXTS]).to_disk(path)
    return path


@pytest.fixture(scope="module")
def overrides(data):
    return {
        "paths.train": str(data),
        "paths.dev": str(data),
        "components.spert.symmetric_labels": ["partner_of"],
        "training.max_steps": 30,
        "training.eval_frequency": 15,
    }


@pytest.fixture(scope="module")
def model(overrides, tmp_path_factory):
    """A pipeline trained by `spacy train` with the config for the CPU."""
    from spacy.cli.train import train

    path = tmp_path_factory.mktemp("training")
    train(ROOT / "configs" / "spert_tok2vec.cfg", path, overrides=overrides)
    return path / "model-last"


def test_train_writes_scores(model):
    performance = srsly.read_json(model / "meta.json")["performance"]
    assert performance["spans_spert_f"] > 0.5
    assert set(performance["rels_strict_per_type"]) == set(LABELS["relations"])


@pytest.mark.parametrize("config", ["spert", "spert_tok2vec", "demo"])
def test_configs_are_complete(config, tmp_path):
    """`spacy init fill-config` finds nothing to add, as `spacy debug config` requires."""
    from spacy.cli.init_config import fill_config

    before, after = fill_config(tmp_path / "filled.cfg", ROOT / "configs" / f"{config}.cfg", silent=True)
    # As data: older versions write settings in another order.
    assert before == after


def test_init_labels(overrides):
    nlp = init_nlp(load_config(ROOT / "configs" / "spert_tok2vec.cfg", overrides=overrides))
    assert nlp.get_pipe("spert").label_data == LABELS


def test_debug_model(overrides, capsys):
    from spacy.cli.debug_model import debug_model
    from spacy.schemas import ConfigSchemaTraining
    from spacy.util import registry

    config = load_config(ROOT / "configs" / "spert_tok2vec.cfg", overrides=overrides)
    nlp = spacy.util.load_model_from_config(config)
    training = registry.resolve(nlp.config.interpolate()["training"], schema=ConfigSchemaTraining)
    settings = {"print_before_training": True, "print_after_training": True, "print_prediction": True}
    config = config.interpolate()
    debug_model(config, training, nlp, nlp.get_pipe("spert"), print_settings=settings)
    assert "ended analysis" in capsys.readouterr().out


def test_find_threshold(model, data):
    from spacy.cli.find_threshold import find_threshold

    best, score, scores = find_threshold(str(model), data, "spert", "relation_threshold", "rels_strict_f", n_trials=3)
    assert set(scores) == {0.0, 0.5, 1.0}
    assert scores[1.0] == 0.0 and score == max(scores.values())


def test_evaluate(model, data):
    from spacy.cli.evaluate import evaluate

    scores = evaluate(str(model), data, silent=True)
    assert {"ents_f", "spans_spert_f", "rels_f", "rels_strict_f"} <= set(scores)


def test_assemble_from_a_source(model, tmp_path):
    config = tmp_path / "config.cfg"
    config.write_text(
        f'[nlp]\nlang = "en"\npipeline = ["spert"]\n[components]\n[components.spert]\nsource = "{model}"\n',
        encoding="utf8",
    )
    app_args = ["assemble", str(config), str(tmp_path / "assembled")]
    result = CliRunner().invoke(app, app_args)
    assert result.exit_code == 0, result.output
    nlp = spacy.load(tmp_path / "assembled")
    text = TEXTS[0][0]
    doc, expected = nlp(text), spacy.load(model)(text)
    assert [str(span) for span in doc.spans["spert"]] == [str(span) for span in expected.spans["spert"]]


# spaCy leaves the files of a package to the garbage collector to close.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_package_names_the_requirement(model, tmp_path):
    from spacy.cli.package import package

    package(model, tmp_path, name="tiny", version="0.0.1", create_sdist=False, silent=True)
    meta = srsly.read_json(tmp_path / "en_tiny-0.0.1" / "meta.json")
    assert any(requirement.startswith("spacy-spert>=") for requirement in meta["requirements"])
