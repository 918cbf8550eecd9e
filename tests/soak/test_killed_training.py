"""Training that is killed: what was written loads, and a new run goes on with it, as the guide says."""

import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import spacy
from spacy.cli.train import train
from spacy.tokens import DocBin
from spacy.training import Corpus
from spacy.training.initialize import init_nlp
from spacy.util import load_config
from util import SYMMETRIC, TEXTS, assert_same_predictions, entities_of, make_doc

CONFIGS = Path(__file__).parents[2] / "configs"
# A row of the table that spacy train prints: epoch and step.
ROW = re.compile(r"\s+\d+\s+(\d+)\s+\d")


@pytest.fixture
def config(tmp_path, encoder):
    """The config of the paper for a small corpus and a small encoder. A run with it doesn't end by itself."""
    vocab = spacy.blank("en").vocab
    DocBin(docs=[make_doc(vocab, *text) for text in TEXTS]).to_disk(tmp_path / "data.spacy")
    paths = {name: str(tmp_path / "data.spacy") for name in ("train", "dev")}
    config = load_config(CONFIGS / "spert.cfg")
    config["paths"].update(**paths, encoder=str(encoder))
    config["components"]["spert"]["symmetric_labels"] = SYMMETRIC
    config["components"]["transformer"]["model"]["tokenizer_config"]["model_max_length"] = 128
    config["training"].update(max_steps=10**6, eval_frequency=20)
    config["training"]["optimizer"]["learn_rate"].update(warmup_steps=1, total_steps=10**6, initial_rate=0.003)
    return config


def start(config, folder):
    config.to_disk(folder / "config.cfg")
    arguments = ["-m", "spacy", "train", str(folder / "config.cfg"), "--output", str(folder / "out")]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, env=environment, text=True)


def wait_for_step(process, step):
    """Read the table up to the row of a step, which is printed after the model was saved."""
    for line in process.stdout:
        row = ROW.match(line)
        if row and int(row[1]) >= step:
            return
    raise AssertionError("training has ended")


def kill(process):
    process.kill()
    process.communicate()


def resumed(model):
    """The config of the guide."""
    config = load_config(model / "config.cfg")
    config["components"] = {name: {"source": str(model)} for name in config["components"]}
    return config


def scores_of(nlp, path):
    scores = nlp.evaluate(list(Corpus(path)(nlp)))
    return {name: value for name, value in scores.items() if name.endswith(("_p", "_r", "_f"))}


def test_killed_and_resumed(tmp_path, config):
    process = start(config, tmp_path)
    wait_for_step(process, 40)
    kill(process)
    model = tmp_path / "out" / "model-last"
    last = spacy.load(model)
    texts = [text for text, _, _ in TEXTS]
    docs = list(last.pipe(texts))
    assert any(entities_of(doc) for doc in docs)
    # It is what was evaluated last.
    scores = scores_of(last, tmp_path / "data.spacy")
    saved = last.meta["performance"]
    assert scores["spans_spert_f"] == pytest.approx(saved["spans_spert_f"]) and scores["spans_spert_f"] > 0

    config = resumed(model)
    config["training"].update(max_steps=20, eval_frequency=20)
    again = init_nlp(config)
    assert again.get_pipe("spert").cfg == last.get_pipe("spert").cfg
    assert_same_predictions(docs, again.pipe(texts))
    assert scores_of(again, tmp_path / "data.spacy") == pytest.approx(scores)
    # Both components learn.
    config.to_disk(tmp_path / "resume.cfg")
    train(tmp_path / "resume.cfg", tmp_path / "resumed")
    later = spacy.load(tmp_path / "resumed" / "model-last")
    assert later.get_pipe("spert").cfg == last.get_pipe("spert").cfg
    for name in ("transformer", "spert"):
        assert later.get_pipe(name).to_bytes(exclude=["vocab"]) != last.get_pipe(name).to_bytes(exclude=["vocab"])


def test_half_of_a_model_is_an_error(tmp_path, trained):
    """As a run leaves it that is killed while it saves the model."""
    trained.to_disk(tmp_path / "model")
    for part in ("spert/model", "spert/cfg", "transformer/model", "config.cfg"):
        path = tmp_path / "model" / part
        whole = path.read_bytes()
        for size in (0, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:size])
            if (part, size) == ("config.cfg", len(whole) - 1):
                continue
            with pytest.raises(Exception) as error:  # noqa: B017, PT011 - whatever spaCy's parts raise
                spacy.load(tmp_path / "model")
            assert part != "spert/model" or "were not written to their end" in str(error.value)
        path.write_bytes(whole)
    spacy.load(tmp_path / "model")


@pytest.mark.soak
def test_one_of_two_models_is_whole_whenever_a_run_is_killed(tmp_path, config):
    """It saves the model all the time, so most kills come amid that."""
    config["training"]["eval_frequency"] = 1
    chance = random.Random(0)
    for i in range(8):
        folder = tmp_path / str(i)
        folder.mkdir()
        process = start(config, folder)
        wait_for_step(process, 1)
        time.sleep(chance.uniform(0.0, 1.0))
        kill(process)
        works = []
        for name in ("model-last", "model-best"):
            try:
                nlp = spacy.load(folder / "out" / name)
            except Exception:
                continue
            works.append(name)
            assert len(list(nlp.pipe([text for text, _, _ in TEXTS]))) == len(TEXTS)
        assert works
