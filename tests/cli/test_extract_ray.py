"""Extraction on a cluster of two nodes or three, in processes of their own, with one core each."""

import gzip
import json
import logging
import os
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_extract import WORDS, printed, read, run, write

from spacy_spert.cli.extract import extract
from spacy_spert.extraction import ray as module
from spacy_spert.extraction.folder import JOB
from spacy_spert.extraction.ray import extract_dataset, extract_files

# Workers are nice to other programs, and then wait for those of the tests.
os.environ.update(RAY_worker_niceness="0", RAY_USAGE_STATS_ENABLED="0", RAY_DATA_DISABLE_PROGRESS_BARS="1")
ray = pytest.importorskip("ray")
from ray.cluster_utils import Cluster  # noqa: E402

# Of files and sockets that Ray leaves to the garbage collector, and of its own use of its functions.
pytestmark = pytest.mark.filterwarnings("default")
N = 400


@pytest.fixture(scope="module")
def cluster():
    cluster = Cluster()
    for _ in range(2):
        cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)
    ray.init(address=cluster.address, logging_level=logging.ERROR, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture
def texts(tmp_path):
    """Files of all kinds. Those of the first have an id that tells each from the others."""
    path = tmp_path / "texts"
    path.mkdir()
    write(path / "a.jsonl", [{"text": WORDS[i % 8], "id": i, "meta": {"n": [i]}} for i in range(N)])
    with gzip.open(path / "b.txt.gz", "wt") as file_:
        file_.write("Ann met Bob .\n\n")
    pq.write_table(pa.table({"text": [WORDS[0], ""], "id": [10, 11]}), path / "c.parquet")
    (path / "d.jsonl").write_text('{"text": 7, "id": "x", "meta": {"n": 1}}\n{"bro\n\n{"tokens": ["Ann", "slept"]}\n')
    return path


@pytest.fixture
def expected(model, texts, tmp_path):
    """What one process finds in the texts of the first file."""
    extract(model, texts / "a.jsonl", tmp_path / "expected.jsonl")
    return read(tmp_path / "expected.jsonl")


def children(pid):
    """The processes below one, by number and name."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid:
                name = (path / "cmdline").read_bytes().decode(errors="replace")
                found += [(int(path.name), name), *children(int(path.name))]
        except (OSError, ValueError):
            continue
    return found


def kill_some(cluster, node, output, killed):
    """End an actor and a node with another suddenly, once the first file is written."""
    there = node.all_processes["raylet"][0].process.pid
    while not list(output.glob("part-*")):
        time.sleep(0.02)
    actors = {pid for pid, name in children(os.getpid()) if "PieceActor" in name}
    lost = actors & {pid for pid, _ in children(there)}
    os.kill(min(actors - lost), signal.SIGKILL)
    cluster.remove_node(node, allow_graceful=False)
    killed += [len(lost), len(list(output.glob("part-*")))]


def rows_of(output, expected):
    """All rows, in the order of the texts. The first file gave what one process finds in it."""
    rows = sorted(pq.read_table(output).to_pylist(), key=lambda row: (row["source"], row["line"]))
    fields = ("text", "entities", "relations")
    assert [{name: row[name] for name in fields} for row in rows[:N]] == [
        {name: record[name] for name in fields} for record in expected
    ]
    return rows


def test_files_with_an_actor_and_a_node_that_are_killed(cluster, model, texts, expected, tmp_path):
    output, killed = tmp_path / "out", []
    node = cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)
    cluster.wait_for_nodes()
    killer = threading.Thread(target=kill_some, args=(cluster, node, output, killed), daemon=True)
    killer.start()
    counts = extract_files(model, str(texts), output, max_lines=8)
    killer.join(timeout=60)
    n_lost, n_written = killed
    assert n_lost and n_written < N / 8
    rows = rows_of(output, expected)
    places = Counter((Path(row["source"]).name, row["line"]) for row in rows)
    assert set(places.values()) == {1}
    assert sorted(places)[N:] == [
        *(("b.txt.gz", n) for n in (1, 2)),
        *(("c.parquet", n) for n in (1, 2)),
        *(("d.jsonl", n) for n in (1, 2, 4)),
    ]
    assert [(row["id"], row["meta"]) for row in rows[:N]] == [(str(i), json.dumps({"n": [i]})) for i in range(N)]
    assert [row["meta"] for row in rows[N : N + 2]] == ['{"line": 1}', '{"line": 2}']
    wrong, broken, tokens = rows[N + 4 :]
    assert (wrong["id"], wrong["meta"], wrong["text"]) == ("x", '{"n": 1}', None) and "[F002]" in wrong["error"]
    assert "[F001]" in broken["error"] and broken["entities"] is None
    assert tokens["tokens"] == ["Ann", "slept"] and tokens["error"] is None
    n = {kind: sum(len(row[kind] or ()) for row in rows) for kind in ("entities", "relations")}
    # What an actor counted that ended before it could tell is counted when it is done again.
    assert counts == {"texts": N + 5, "bad": 2, **n}
    assert not (output / JOB).exists()


def test_interrupted_and_resumed(cluster, model, texts, expected, tmp_path, monkeypatch, caplog):
    output, counts_of = tmp_path / "out", module._counts

    def stops(*args):
        for i, row in enumerate(counts_of(*args)):
            if i == 3:
                raise KeyboardInterrupt
            yield row

    monkeypatch.setattr(module, "_counts", stops)
    settings = {"to_format": "jsonl", "max_lines": 50, "size": 1}
    with pytest.raises(KeyboardInterrupt):
        extract_files(model, str(texts / "a.jsonl"), output, **settings)
    monkeypatch.undo()
    # The workers go on until they are told: whatever they did in between, this is what an earlier interruption leaves.
    for path in sorted(output.glob("part-*"))[5:]:
        path.unlink()
    before = {path: path.stat().st_mtime_ns for path in output.glob("part-*")}
    assert 3 <= len(before) <= 5
    with pytest.raises(ValueError, match=r"\[S062\].*'threshold'"):
        extract_files(model, str(texts / "a.jsonl"), output, resume=True, threshold=0.9, **settings)
    counts = extract_files(model, str(texts / "a.jsonl"), output, resume=True, **settings)
    assert counts["texts"] == N - 50 * len(before)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    records = sorted((record for path in output.iterdir() for record in read(path)), key=lambda record: record["line"])
    source = str(texts / "a.jsonl")
    assert records == [{**record, "source": source, "line": i} for i, record in enumerate(expected, start=1)]
    assert not extract_files(model, str(texts / "a.jsonl"), output, resume=True, **settings)
    assert "no interrupted run, nothing to do" in caplog.text


def test_dataset(cluster, model, nlp, tmp_path):
    """Columns are kept, and those that are added have the same types where nothing was found."""
    rows = [{"text": text, "url": f"u{i}", "n": i} for i, text in enumerate(["", *WORDS[:2], None])]
    found = extract_dataset(ray.data.from_items(rows, override_num_blocks=4), model, batch_size=2, size=1)
    found.write_parquet(str(tmp_path / "out"))
    table = pq.read_table(tmp_path / "out").sort_by("n")
    assert table.column_names == ["text", "url", "n", "entities", "relations", "error"]
    assert table["url"].to_pylist() == ["u0", "u1", "u2", "u3"]
    docs = [nlp(text) for text in WORDS[:2]]
    entities = [[(ent.start_char, ent.end_char) for ent in doc.spans["spert"]] for doc in docs]
    places = [[(ent["start"], ent["end"]) for ent in row or ()] for row in table["entities"].to_pylist()]
    assert places == [[], *entities, []]
    first, *_, last = table["error"].to_pylist()
    assert first is None and "[F005]" in last


def test_command(cluster, model, texts, tmp_path):
    result = run(model, f"{texts}/[bd].*", tmp_path / "out", "--engine", "ray", "--to", "jsonl", "--n-process", 1)
    assert result.exit_code == 0, result.output
    assert "2 texts with an error" in printed(result) and "3 texts" in printed(result)
    result = run(model, texts, tmp_path / "out", "--engine", "ray")
    assert result.exit_code == 1 and "[S061]" in printed(result)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--engine", "ray", "--strict"), "[S066] Can't use --strict with --engine ray."),
        (("--engine", "ray", "--option", "a=b"), "[S066] Can't use --option with --engine ray."),
        (("--engine", "ray", "--to", "csv"), "[S066] Can't use --to csv with Ray."),
        (("--address", "auto"), "[S066] Can't use --address with one process. Add --engine ray."),
    ],
)
def test_arguments_that_do_not_fit(model, texts, tmp_path, arguments, message):
    result = run(model, texts, tmp_path / "out.jsonl", *arguments)
    assert result.exit_code == 1 and message in printed(result)


def test_cluster_without_a_gpu(cluster, model, texts, tmp_path):
    with pytest.raises(ValueError, match=r"\[S181\] The cluster has no GPU"):
        extract_files(model, str(texts), tmp_path / "out", gpu=True)


def test_ray_is_missing(monkeypatch, texts, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"\[S182\].*spacy-spert\[ray\]"):
        extract_files("model", str(texts), tmp_path / "out")
