"""The same seed gives the same weights, in any process; and predictions do not depend on the size of batches."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import spacy
import torch
from spacy.cli.init_config import fill_config
from spacy.cli.train import train
from spacy.tokens import DocBin
from thinc.api import Config
from util import CONFIG, TEXTS, assert_same_predictions, make_doc, torch_encoder, torch_head

ROOT = Path(__file__).parent.parent
# Everything that draws numbers: the order of the documents, negatives, dropout in encoder and head, fresh weights.
SETTINGS = {
    "components": {
        "transformer": {
            "model": {"transformer_config": {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}}
        },
        "spert": {"negative_spans": 5, "negative_relations": 2},
    },
    "training": {"max_steps": 30, "dropout": 0.1, "batcher": {"size": 3}, "optimizer": {"learn_rate": 0.005}},
}


@pytest.fixture(scope="module")
def config(encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reproducibility")
    vocab = spacy.blank("xx").vocab
    DocBin(docs=[make_doc(vocab, *row) for row in TEXTS]).to_disk(folder / "train.spacy")
    paths = {"encoder": str(encoder), "train": str(folder / "train.spacy")}
    Config().from_str(CONFIG, interpolate=False).merge({**SETTINGS, "paths": paths}).to_disk(folder / "base.cfg")
    fill_config(folder / "config.cfg", folder / "base.cfg", silent=True)
    return folder / "config.cfg"


@pytest.fixture(scope="module")
def trained_here(config):
    """Trained in this process, whatever else it did before."""
    torch.rand(3)
    return train_here(config, "here", 7)


def train_here(config, name, seed):
    train(config, config.parent / name, overrides={"training.seed": seed})
    return spacy.load(config.parent / name / "model-last")


def weights(nlp):
    modules = {"encoder": torch_encoder(nlp), "head": torch_head(nlp)}
    return {(name, key): value for name, module in modules.items() for key, value in module.state_dict().items()}


def test_same_seed_gives_the_same_weights_to_the_last_bit(config, trained_here):
    """Also in a process that orders its sets in another way."""
    output = config.parent / "there"
    command = [sys.executable, "-m", "spacy", "train", str(config), "--output", str(output), "--training.seed", "7"]
    env = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected, found = weights(trained_here), weights(spacy.load(output / "model-last"))
    assert list(found) == list(expected)
    assert [key for key in found if not torch.equal(found[key], expected[key])] == []


def test_another_seed_gives_other_weights(config, trained_here):
    one, two = weights(trained_here), weights(train_here(config, "other", 8))
    same = {(module, key.split(".")[0]) for module, key in one if torch.equal(one[module, key], two[module, key])}
    # What BERT has on top is not used.
    assert same == {("encoder", "pooler")}


def test_without_a_transformer(config):
    """The layers that are not torch's take their numbers from elsewhere."""
    data = str(config.parent / "train.spacy")
    overrides = {"paths.train": data, "paths.dev": data, "training.max_steps": 8, "training.eval_frequency": 8}
    for name in ("one", "two"):
        train(ROOT / "configs" / "spert_tok2vec.cfg", config.parent / name, overrides=overrides)
    one, two = (config.parent / name / "model-last" / "spert" / "model" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("batch_size", [2, 3, 100])
def test_size_of_batches_changes_no_prediction(trained_here, batch_size):
    texts = [*(text for text, _, _ in TEXTS), "", " ".join(text for text, _, _ in TEXTS)] * 2
    one_by_one = [trained_here(text) for text in texts]
    assert any(doc._.relations for doc in one_by_one)
    assert_same_predictions(one_by_one, trained_here.pipe(texts, batch_size=batch_size))
