"""The suite of benchmarks: that it measures what it says, and that each part runs."""

import subprocess
from pathlib import Path
from types import SimpleNamespace

import forked
import numpy
import pytest
import srsly
import torch
import typer
from typer.testing import CliRunner
from util import make_encoder, make_examples

from benchmarks import decisions, inference, length, measure, memory, optimize, serving, start_up, tok2vec, training
from benchmarks.__main__ import PARTS, main
from benchmarks.measure import Spread, Stopwatch, compare, number, peak_memory
from benchmarks.pipelines import Setup, encoders, fresh, make_nlp, read_docs, set_entity_count, trained_nlp
from benchmarks.report import Result, Target, save, save_plot, show, show_targets

ROOT = Path(__file__).parents[1]
MODULES = {
    "inference": inference,
    "training": training,
    "memory": memory,
    "length": length,
    "tok2vec": tok2vec,
    "decisions": decisions,
    "optimize": optimize,
    "serving": serving,
}


class Clock:
    """A clock that only moves when it is told to."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        for name in ("perf_counter", "process_time"):
            monkeypatch.setattr(measure.time, name, lambda: self.now)

    def wait(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.fixture(scope="module")
def setup(tmp_path_factory):
    data = tmp_path_factory.mktemp("benchmarks") / "dev.jsonl"
    lines = (ROOT / "assets" / "dev.jsonl").read_text(encoding="utf8").splitlines()[:6]
    data.write_text("\n".join(lines), encoding="utf8")
    make_encoder(data.parent / "tiny", "".join(lines).split())
    return Setup(data, data.parent / "tiny", threads=1, repeats=1, quick=True, base=False)


@pytest.fixture(scope="module")
def nlp(setup):
    return trained_nlp(setup, setup.encoder)


def test_spread():
    spread = Spread([3.0, 1.0, 2.0])
    assert spread.median == 2.0
    assert str(spread) == "2.00 (1.00 - 3.00)"
    assert (spread / Spread([1.0, 2.0, 4.0])).values == [3.0, 0.5, 0.5]
    assert spread.scale(10).values == [30.0, 10.0, 20.0]


@pytest.mark.parametrize("value, text", [(0.12345, "0.123"), (12.345, "12.3"), (1234.5, "1234"), (7, "7")])
def test_numbers_have_three_digits(value, text):
    assert number(value) == text


def test_tasks_take_turns_on_fresh_inputs(clock):
    calls = []

    def task(name, seconds):
        def run(item):
            calls.append((name, item))
            clock.wait(seconds * item)

        return run

    def prepare(item):
        clock.wait(100)
        return item * 10

    times = compare({"one": task("one", 1), "two": task("two", 3)}, [1, 2], repeats=2, prepare=prepare)
    assert times["one"].wall.values == times["one"].cpu.values == [30, 30]
    assert times["two"].wall.values == [90, 90]
    warm_up, rest = calls[:2], calls[2:]
    assert warm_up == [("one", 10), ("two", 10)]
    assert rest == [("one", 10), ("two", 10), ("two", 20), ("one", 20)] * 2


def test_stopwatch_counts_inner_parts_once(clock):
    class Worker:
        def work(self):
            clock.wait(2)
            self.rest()

        def rest(self):
            clock.wait(5)

    worker, stopwatch = Worker(), Stopwatch()
    with stopwatch.watch([("work", worker, "work"), ("rest", worker, "rest")]), stopwatch.part("all"):
        clock.wait(1)
        worker.work()
        worker.work()
    assert stopwatch.seconds == {"all": 1, "work": 4, "rest": 10}
    shares = stopwatch.shares("all")
    assert {name: round(share, 1) for name, share in shares.items()} == {"work": 26.7, "rest": 66.7, "other": 6.7}
    assert vars(worker) == {}, "The methods are as before"


@pytest.mark.parametrize("make", [lambda n: torch.zeros(n), lambda n: numpy.zeros(n, "float32")])
def test_peak_memory(make):
    million = 1_000_000

    def one_after_the_other():
        for _ in range(3):
            make(million)

    def together():
        return [make(million) for _ in range(3)]

    held = make(10 * million)
    assert peak_memory(one_after_the_other) == pytest.approx(4e6, rel=0.05)
    assert peak_memory(together) == pytest.approx(12e6, rel=0.05)
    assert len(held) == 10 * million


def test_peak_memory_of_what_torch_needs_inside():
    one = torch.ones(1000, 1000)
    assert peak_memory(lambda: (one + one).exp().sum()) == pytest.approx(8e6, rel=0.05)


def test_targets(capsys):
    show_targets([Target("fast", Spread([1.0, 1.1, 9.0]), 1.1), Target("slow", Spread([1.3]), 1.2)])
    fast, slow = capsys.readouterr().out.strip().splitlines()[-2:]
    assert fast.split() == ["fast", "1.10", "(1.00", "-", "9.00)", "1.1", "yes"]
    assert slow.split() == ["slow", "1.30", "(1.30", "-", "1.30)", "1.2", "NO"]


def test_documents_are_those_of_the_file(setup, nlp):
    docs = read_docs(nlp, setup.data)
    assert sorted(doc.text for doc in docs) == sorted(record["text"] for record in srsly.read_jsonl(setup.data))
    assert all(len(doc.spans["spert"]) for doc in docs)
    bare = fresh(docs[0])
    assert bare.text == docs[0].text
    assert [token.text for token in bare] == [token.text for token in docs[0]]
    assert not bare.spans
    assert not bare.ents


def test_spacy_files_are_read(setup, nlp, tmp_path):
    from spacy.tokens import DocBin

    path = tmp_path / "dev.spacy"
    docs = [example.reference for example in make_examples(nlp)]
    DocBin(docs=docs).to_disk(path)
    assert sorted(doc.text for doc in read_docs(nlp, path)) == sorted(doc.text for doc in docs)


@pytest.mark.parametrize("count", [0, 1, 7, 15])
def test_the_component_finds_as_many_entities_as_are_wanted(setup, nlp, count):
    docs = [fresh(doc) for doc in read_docs(nlp, setup.data)]
    nlp.get_pipe("transformer")(docs[0])
    spert = nlp.get_pipe("spert")
    set_entity_count(spert, docs[:1], count)
    assert len(spert(docs[0]).spans["spert"]) == count


def test_both_pipelines_have_the_settings_of_the_configs(setup, nlp):
    spert = nlp.get_pipe("spert")
    assert (spert.cfg["max_span_width"], spert.cfg["negative_spans"]) == (10, 100)
    assert make_nlp(setup.encoder, "constant_gradient").pipe_names == ["transformer", "constant_gradient"]


def test_encoders(setup):
    with encoders(Setup(setup.data, setup.encoder, quick=True)) as found:
        assert [encoder.name for encoder in found] == ["small (2 x 32)", "base, untrained (2 x 48)"]
        assert all((encoder.path / "config.json").exists() for encoder in found)


@pytest.mark.parametrize("part", MODULES)
def test_each_part_runs(part, setup, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(serving, "subprocess", SimpleNamespace(Popen=forked.popen, DEVNULL=subprocess.DEVNULL))
    result = MODULES[part].measure(setup)
    show(result)
    printed = capsys.readouterr().out
    save(result, tmp_path / "part.json", setup)
    save_plot(MODULES[part].draw, result, tmp_path / "part.png")
    saved = srsly.read_json(tmp_path / "part.json")
    assert set(saved["tables"]) == set(result.tables)
    for title, rows in saved["tables"].items():
        assert title in printed
        assert rows
        for row in rows:
            assert all(value["median"] > 0 for value in row.values() if isinstance(value, dict)), row
            if "other" in row:
                assert sum(v for k, v in row.items() if k not in ("encoder", "batch")) == pytest.approx(100)
    assert saved["setup"]["threads"] == 1
    assert "spacy" in saved["versions"]
    assert (tmp_path / "part.png").read_bytes().startswith(b"\x89PNG")


def test_start_up_hides_this_package(tmp_path):
    codes = start_up._codes(tmp_path)
    assert start_up._milliseconds(codes["of that this package"]) > 0
    result = Result({start_up.TITLE: [{"what": name, "ms": Spread([1.0])} for name in codes]})
    save_plot(start_up.draw, result, tmp_path / "start_up.png")
    assert (tmp_path / "start_up.png").stat().st_size


@pytest.fixture
def command(monkeypatch):
    """The command. It sets variables of the environment, and the number of threads."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "KINETO_LOG_LEVEL"):
        monkeypatch.setenv(name, "1")
    app = typer.Typer()
    app.command()(main)
    threads = torch.get_num_threads()
    yield lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))
    torch.set_num_threads(threads)


def test_command(setup, command, tmp_path):
    options = ["--data", setup.data, "--encoder", setup.encoder, "--output", tmp_path / "out"]
    done = command("memory", "--quick", "--no-base", "--threads", 1, *options)
    assert done.exit_code == 0, done.output
    assert "at most" in done.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["memory.json", "memory.png"]
    # A cluster takes long to start, and what it is for is tested elsewhere.
    assert set(PARTS) == {*MODULES, "start_up", "ray"}


@pytest.mark.parametrize(
    "options, message",
    [(["speed"], "No part is called 'speed'"), (["memory", "--encoder", "nowhere"], "nowhere is missing")],
)
def test_wrong_command(options, message, command):
    done = command(*options)
    assert done.exit_code == 1
    assert message in done.output
