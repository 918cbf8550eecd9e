"""The experiments and the scripts that run them."""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import forked
import pytest
import spacy
import srsly
from spacy.tokens import DocBin
from spacy.util import load_config, load_model_from_config
from typer.testing import CliRunner
from util import initialize, make_doc, make_examples, make_nlp

ROOT = Path(__file__).parents[1]
EXPERIMENTS = sorted((ROOT / "experiments").glob("*.yml"))
SCORES = ("spans_spert_f", "spans_spert_macro_f", "rels_f", "rels_strict_f", "rels_strict_macro_f")


def script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def runner():
    """The script that runs experiments. It starts spaCy's commands."""
    module = script("run_experiment")
    module.subprocess = SimpleNamespace(run=lambda command: forked.run(command[1:]))
    return module


@pytest.fixture
def corpus(tmp_path):
    nlp = spacy.blank("xx")
    path = tmp_path / "corpus.spacy"
    DocBin(docs=[example.reference for example in make_examples(nlp)]).to_disk(path)
    return path


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_settings_of_experiments_are_known(path, encoder):
    plan = runner().read_experiment(path)
    for variant in plan["variants"].values():
        settings = {"paths.encoder": str(encoder), **plan["set"], **variant}
        assert {"paths.train", "paths.dev"} <= set(settings)
        config = settings.pop("config", plan["config"])
        assert settings.pop("epochs", plan["epochs"]) >= 1 and 0.0 <= settings.pop("warmup", 0.1) < 1.0
        settings["paths.encoder"] = str(encoder)
        nlp = load_model_from_config(load_config(ROOT / config, overrides=settings, interpolate=True), validate=True)
        for name, value in settings.items():
            section = nlp.config
            for part in name.split("."):
                section = section[part]
            if isinstance(value, dict):
                # Its defaults are filled in.
                section = {key: section[key] for key in value}
            # Older versions of srsly read numbers to their last digit but one.
            assert section == pytest.approx(value), name


def test_experiment_has_what_it_extends(tmp_path):
    plan = {"config": "a.cfg", "epochs": 3, "set": {"a": 1, "b": 1}, "variants": {"one": {"c": 1}, "two": {"c": 2}}}
    srsly.write_yaml(tmp_path / "first.yml", plan)
    changed = {"extends": "first.yml", "epochs": 2, "set": {"b": 2, "d": 2}, "variants": {"two": {}, "three": {}}}
    srsly.write_yaml(tmp_path / "second.yml", changed)
    srsly.write_yaml(tmp_path / "third.yml", {"extends": "second.yml"})
    assert runner().read_experiment(tmp_path / "third.yml") == {
        "config": "a.cfg",
        "epochs": 2,
        "set": {"a": 1, "b": 2, "d": 2},
        "variants": {"one": {"c": 1}, "two": {}, "three": {}},
    }


@pytest.mark.parametrize("warmup, warmup_steps", [([], 6), ([0.25], 15), ([0.0], 0)])
def test_schedule_follows_from_the_size_of_the_corpus(corpus, warmup, warmup_steps):
    settings = {"paths.train": str(corpus), "training.batcher.size": 3}
    assert script("run_experiment").schedule(str(ROOT / "configs" / "spert.cfg"), settings, 20, *warmup) == {
        "training.max_steps": 60,
        "training.eval_frequency": 60,
        "training.optimizer.learn_rate.total_steps": 60,
        "training.optimizer.learn_rate.warmup_steps": warmup_steps,
    }


def test_variant_has_a_config_of_its_own_and_its_threshold_is_looked_for(corpus, encoder, tmp_path, monkeypatch):
    plan = {
        "config": str(ROOT / "configs" / "spert.cfg"),
        "epochs": 9,
        "set": {"paths.train": str(corpus), "paths.dev": str(corpus), "corpora.dev.@readers": "spacy-spert.Corpus.v1"},
        "variants": {"plus": {"config": str(ROOT / "configs" / "spert_plus_small.cfg"), "epochs": 1, "warmup": 0.5}},
    }
    srsly.write_yaml(tmp_path / "tiny.yml", plan)
    options = ["tiny.yml", "--thresholds", "--paths.encoder", encoder]
    options += ["--components.transformer.model.tokenizer_config.model_max_length", "128"]
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(runner().app, list(map(str, options)))
    assert result.exit_code == 0, result.output
    run = json.loads((tmp_path / "metrics" / "tiny" / "plus_1.json").read_text(encoding="utf8"))
    steps = run["settings"]["training.max_steps"]
    assert run["settings"]["training.optimizer.head_learn_rate.total_steps"] == steps < 9
    assert run["settings"]["training.optimizer.head_learn_rate.warmup_steps"] == steps // 2
    assert run["config"].endswith("spert_plus_small.cfg")
    # As the reader gives the pipeline the marks.
    assert run["scores"]["settings"]["given_sentences"] is True
    assert set(run["best"]) == {"threshold", "rels_strict_f"} and 0 <= run["best"]["threshold"] <= 1


def test_experiment_runs_and_is_not_run_twice(corpus, encoder, tmp_path, monkeypatch):
    plan = {
        "config": str(ROOT / "configs" / "spert.cfg"),
        "epochs": 1,
        "set": {"paths.train": str(corpus), "paths.dev": str(corpus)},
        "variants": {"a": {}, "b": {"components.spert.negative_spans": 5}},
    }
    srsly.write_yaml(tmp_path / "tiny.yml", plan)
    options = ["tiny.yml", "--only", "b", "--seeds", "3", "--paths.encoder", encoder]
    options += ["--components.transformer.model.tokenizer_config.model_max_length", "128"]
    monkeypatch.chdir(tmp_path)
    app = runner().app
    first, second = (CliRunner().invoke(app, list(map(str, options))) for _ in range(2))
    assert first.exit_code == second.exit_code == 0, first.output
    run = json.loads((tmp_path / "metrics" / "tiny" / "b_3.json").read_text(encoding="utf8"))
    assert run["variant"] == "b" and run["seed"] == 3
    assert run["settings"]["components.spert.negative_spans"] == 5
    assert set(SCORES) <= set(run["scores"])
    assert not (tmp_path / "training" / "tiny" / "b_3").exists()
    assert "is there already" in second.output and "is there already" not in first.output


def test_summary(tmp_path):
    runs = tmp_path / "metrics"
    runs.mkdir()
    for name, n, values in (("negatives-10", 10, (0.5, 0.6)), ("full", 100, (0.7, 0.9)), ("cls", 100, (0.25,))):
        for seed, value in enumerate(values, 1):
            settings = {} if n == 100 else {"components.spert.negative_relations": n}
            run = {"variant": name, "seed": seed, "settings": settings, "scores": dict.fromkeys(SCORES, value)}
            srsly.write_json(runs / f"{name}_{seed}.json", run)
    summarize = script("summarize")
    summarize.main(runs, output=tmp_path / "out" / "table.md", plot=tmp_path / "out" / "plot.png")
    lines = (tmp_path / "out" / "table.md").read_text(encoding="utf8").splitlines()
    assert [line.split(" | ")[:3] for line in lines[4:]] == [
        ["| full", "2", "80.00 ± 14.14"],
        ["| cls", "1", "25.00"],
        ["| negatives-10", "2", "55.00 ± 7.07"],
    ]
    assert (tmp_path / "out" / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert len(srsly.read_json(tmp_path / "out" / "table.json")) == 5
    summarize.main(runs, output=tmp_path / "pooled.md", pool=True)
    assert "| metrics | 5 | 59.00 ±" in (tmp_path / "pooled.md").read_text(encoding="utf8")


def test_variants_are_compared_seed_by_seed(tmp_path):
    runs = tmp_path / "metrics"
    runs.mkdir()
    for name, values in (("paper", (0.5, 0.6, 0.7)), ("plus", (0.6, 0.72, 0.78)), ("once", (0.55,))):
        for seed, value in enumerate(values, 1):
            scores = dict.fromkeys(SCORES, value)
            run = {"variant": name, "seed": seed, "settings": {}, "scores": scores}
            if name != "once":
                run["best"] = {"threshold": 0.5, "rels_strict_f": value + {"paper": 0.01, "plus": 0.03}[name]}
            srsly.write_json(runs / f"{name}_{seed}.json", run)
    out = tmp_path / "out"
    script("summarize").main(runs, output=out / "table.md", baseline=["paper", "once"], bars=out / "bars.png")
    text = (out / "table.md").read_text(encoding="utf8")
    # 10, 12 and 8: the deviation is 2, and the quantile for two degrees of freedom 4.303.
    assert "| plus | 3 | +10.00 (+5.03 to +14.97) |" in text
    # Both at their best threshold, then only the paper.
    assert "| +12.00 (+7.03 to +16.97) | +9.00 (+4.03 to +13.97) |" in text
    assert "| once | 1 | +5.00 | +5.00 | +5.00 |  | +4.00 |" in text
    assert "| paper | 1 | -5.00 | -5.00 | -5.00 |  |  |" in text
    assert text.index("| paper | 3 |") < text.index("| once | 1 |") < text.index("| plus | 3 |")
    assert (out / "bars.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SystemExit):
        script("summarize").main(runs, output=out / "table.md", baseline=["nothing"])


def test_folds_hold_every_document_once(tmp_path):
    vocab = spacy.blank("xx").vocab
    texts = [f"text {i}" for i in range(23)]
    DocBin(docs=[make_doc(vocab, text) for text in texts]).to_disk(tmp_path / "all.spacy")
    script("make_folds").main(tmp_path / "all.spacy", tmp_path, folds=5, seed=0)
    tested = []
    for fold in range(5):
        parts = [
            [doc.text.strip() for doc in DocBin().from_disk(tmp_path / f"fold_{fold}_{part}.spacy").get_docs(vocab)]
            for part in ("train", "test")
        ]
        assert sorted(parts[0] + parts[1]) == sorted(texts) and 4 <= len(parts[1]) <= 5
        tested += parts[1]
    assert sorted(tested) == sorted(texts)


def test_random_encoder_keeps_shapes_and_tokenizer_only(encoder, tmp_path):
    from transformers import AutoModel, AutoTokenizer

    for _ in range(2):
        script("random_encoder").main(str(encoder), tmp_path / "random", seed=1)
    old, new = (dict(AutoModel.from_pretrained(path).named_parameters()) for path in (encoder, tmp_path / "random"))
    assert {name: weight.shape for name, weight in old.items()} == {name: weight.shape for name, weight in new.items()}
    name = "embeddings.word_embeddings.weight"
    assert not old[name].equal(new[name])
    pieces = [AutoTokenizer.from_pretrained(path).tokenize("Ann Lee works") for path in (encoder, tmp_path / "random")]
    assert pieces[0] == pieces[1]


def test_measuring_the_selection(monkeypatch, tmp_path, corpus, encoder):
    """From the same first texts, by both ways to as many; the whole corpus is trained on once."""
    monkeypatch.syspath_prepend(ROOT / "scripts")
    module = script("measure_selection")
    asked = []

    def train_and_score(config, settings, seed, model, gpu_id):
        asked.append(len(DocBin().from_disk(settings["paths.train"])))
        return dict.fromkeys(module.SCORES, asked[-1] / 10)

    monkeypatch.setattr(module, "train_and_score", train_and_score)
    nlp = initialize(make_nlp(encoder))
    monkeypatch.setattr(module, "load_model", lambda path: nlp)
    results = tmp_path / "m" / "runs.jsonl"
    options = ["--sizes", "2 4", "--seeds", "1", "--results", results, "--training", tmp_path / "t"]
    arguments = [ROOT / "configs" / "spert.cfg", corpus, corpus, *options, "--paths.encoder", encoder]

    def run(*more):
        result = CliRunner().invoke(module.app, list(map(str, [*arguments, *more])), catch_exceptions=False)
        assert result.exit_code == 0 and not list((tmp_path / "t").glob("*"))
        return result

    # Gone on with, whether the models are still there or not.
    assert "2 runs are done; the next is both_8_1" in run("--most", 2).output
    assert asked == [2, 4]
    result = run()
    assert asked == [2, 4, 8, 4]
    assert run().output == result.output and len(asked) == 4
    runs = {each["name"]: each for each in map(json.loads, results.read_text().splitlines())}
    assert list(runs) == ["both_2_1", "selected_4_1", "both_8_1", "random_4_1"]
    first = runs["both_2_1"]["texts"]
    assert runs["random_4_1"]["texts"][:2] == runs["selected_4_1"]["texts"][:2] == first
    assert sorted(runs["both_8_1"]["texts"]) == list(range(8))
    # 0.95 of 0.8, between 0.4 for 4 and 0.8 for 8.
    assert "texts for 95%: 8 selected, 8 at random: 100%" in result.output
    assert module.needed([(4, 0.4), (8, 0.8)], 0.76) == pytest.approx(7.6)
    assert module.needed([(4, 0.8), (8, 0.9)], 0.76) == 4
    assert module.needed([(4, 0.2), (8, 0.3)], 0.76) == 8
