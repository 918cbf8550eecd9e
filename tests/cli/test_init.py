"""`spacy spert init`."""

from pathlib import Path

import pytest
import spacy
from spacy.cli._util import app
from spacy.tokens import DocBin
from spacy.util import load_config, load_model_from_config
from typer.testing import CliRunner
from util import TEXTS, make_doc

from spacy_spert.cli.init import init
from spacy_spert.recipes.choices import choose_settings
from spacy_spert.recipes.config import make_config
from spacy_spert.recipes.encoder import Encoder
from spacy_spert.recipes.survey import Survey

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
# What depends on the data, and where it is.
CHOSEN = ("paths", "initialize.components", "components.spert.max_span_width", "components.spert.symmetric_labels")


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data.spacy"
    vocab = spacy.blank("xx").vocab
    DocBin(docs=[make_doc(vocab, *text) for text in TEXTS]).to_disk(path)
    return path


def run(*arguments):
    return CliRunner().invoke(app, ["spert", "init", *map(str, arguments)])


@pytest.mark.parametrize("with_encoder", [True, False])
def test_spacy_train_takes_the_config(data, encoder, tmp_path, with_encoder):
    from spacy.cli.train import train

    options = ["--encoder", encoder] if with_encoder else []
    output = tmp_path / "out.cfg"
    result = run(data, data, output, "--lang", "xx", "--symmetric", "partner_of", *options)
    assert result.exit_code == 0, result.output
    assert 'components.spert.symmetric_labels = ["partner_of"]\n    as asked for\n' in result.output
    lines = output.read_text(encoding="utf8").splitlines()
    assert lines[0] == (
        "# Made by `spacy spert init` for 8 documents with 19 entities and 10 relations, scored on 8 documents."
    )
    assert "# components.spert.symmetric_labels: as asked for" in lines
    # Nothing is changed but how long it takes.
    train(output, tmp_path / "training", overrides={"training.max_steps": 2, "training.eval_frequency": 2})
    nlp = spacy.load(tmp_path / "training" / "model-last")
    assert nlp.get_pipe("spert").cfg["symmetric_labels"] == ["partner_of"]
    assert nlp.get_pipe("spert").relation_labels == ("based_in", "partner_of", "works_for")


@pytest.mark.parametrize("name, size", [("spert_plus", "base"), ("spert_plus_small", "small"), ("spert_tok2vec", None)])
def test_the_rest_is_as_in_our_configs(name, size):
    """The recipe of the package and the files in configs/ don't drift apart."""
    survey = Survey(lengths=[29] * 922)
    survey.entities.update(PER=9)
    survey.relations.update(knows=9)
    survey.widths.update({10: 9})
    choices = choose_settings(survey, survey, Encoder("bert-base-cased", size, "") if size else None)
    made = flat(make_config(choices, "en", "", ""))
    expected = flat(load_model_from_config(load_config(CONFIGS / f"{name}.cfg"), auto_fill=True).config)
    # The configs round a step down.
    numbers = ("max_steps", "total_steps", "warmup_steps", "eval_frequency", "patience", "batcher.size")
    for values in (made, expected):
        for setting in [key for key in values if key.startswith(CHOSEN) or key.endswith(numbers)]:
            del values[setting]
    assert made == expected


def flat(config):
    from spacy.util import dict_to_dot

    return {key: value for key, value in dict_to_dot(config).items() if value != {}}


def test_fill_config_finds_nothing_to_add(data, encoder, tmp_path):
    from spacy.cli.init_config import fill_config

    init(data, data, tmp_path / "out.cfg", encoder=str(encoder))
    before, after = fill_config(tmp_path / "filled.cfg", tmp_path / "out.cfg", silent=True)
    assert before == after


def test_stdout(data):
    result = CliRunner().invoke(app, ["spert", "init", str(data), str(data), "-"])
    assert result.exit_code == 0
    assert result.stdout.startswith("# Made by") and "\n[components.spert]\n" in result.stdout
    assert "Wrote" in result.stderr and "Wrote" not in result.stdout


def test_a_config_is_not_overwritten(data, tmp_path):
    output = tmp_path / "out.cfg"
    output.write_text("mine")
    result = run(data, data, output)
    assert result.exit_code == 1 and "[S201]" in result.output
    assert output.read_text() == "mine"
    assert run(data, data, output, "--force").exit_code == 0
    assert output.read_text(encoding="utf8").startswith("# Made by")


def test_nothing_to_learn(tmp_path):
    path = tmp_path / "empty.spacy"
    DocBin(docs=[spacy.blank("xx").make_doc("Ann")]).to_disk(path)
    result = run(path, path, tmp_path / "out.cfg")
    assert result.exit_code == 1 and "S010" in result.output
    assert not (tmp_path / "out.cfg").exists()
