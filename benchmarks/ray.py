"""Extraction on a Ray cluster: what an actor does for a second of the processor beside plain `nlp.pipe`, and whether it
grows with the number of texts.

One actor on a cluster of this machine. Its time and its memory are read from the system, as it writes its files.
"""

import os
import threading
import time
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Iterable, List, NamedTuple, Optional

import spacy
import srsly
import torch

from spacy_spert.extraction.ray import extract_files

from .measure import Spread
from .pipelines import Setup, read_docs, trained_nlp
from .report import Result, Target, bars
from .serving import distinct_texts

RATE = "Ray: milliseconds of the processor for a text"
MEMORY = "Ray: memory of an actor by the number of texts, in MB"
N_TEXTS = 4_000
# The first fill caches.
N_DISTINCT = 50_000
PIECE = 1_000
BATCH_SIZE = 64
# At least 0.95 as many texts in the same time, and 50 MB more at most.
TARGET_RATE, TARGET_MEMORY = 1 / 0.95, 50.0


class Sample(NamedTuple):
    """An actor when a file was complete.

    files (int): How many were.
    seconds (float): Of the processor, since it was started.
    memory (float): What it holds, in MB.
    """

    files: int
    seconds: float
    memory: float


def measure(setup: Setup) -> Result:
    """Have an actor extract.

    setup (Setup): The setup.
    RETURNS (Result): The result.
    """
    result = Result({RATE: [], MEMORY: []})
    with TemporaryDirectory() as folder:
        small, tok2vec = Path(folder) / "small", Path(folder) / "tok2vec"
        trained_nlp(setup, setup.encoder).to_disk(small)
        trained_nlp(setup).to_disk(tok2vec)
        _measure_rate(result, setup, small)
        _measure_memory(result, setup, tok2vec)
    return result


def _measure_rate(result: Result, setup: Setup, model: Path) -> None:
    docs = read_docs(spacy.blank("en"), setup.data)
    piece = 16 if setup.quick else N_TEXTS // 8
    texts = list(islice(cycle(doc.text for doc in docs), 4 * piece if setup.quick else N_TEXTS))
    threads = torch.get_num_threads()
    values: List[List[float]] = [[], []]
    for _ in range(setup.repeats):
        # As many as an actor has.
        torch.set_num_threads(1)
        nlp = spacy.load(model)
        list(nlp.pipe(texts[:piece], batch_size=BATCH_SIZE))
        start = time.process_time()
        with nlp.memory_zone():
            for _ in nlp.pipe(texts[piece:], batch_size=BATCH_SIZE):
                pass
        values[0].append(1000 * (time.process_time() - start) / len(texts[piece:]))
        torch.set_num_threads(threads)
        first, last = _watch(model, texts, piece, setup.gpu_id)
        values[1].append(1000 * (last.seconds - first.seconds) / (piece * (last.files - first.files)))
    plain, actor = (Spread(each) for each in values)
    result.tables[RATE].append({"nlp.pipe": plain, "actor": actor, "ratio": actor / plain})
    what = "time of the processor for a text: an actor of Ray over nlp.pipe"
    result.targets.append(Target(what, actor / plain, TARGET_RATE))


def _measure_memory(result: Result, setup: Setup, model: Path) -> None:
    piece = 32 if setup.quick else PIECE
    n = 4 * piece if setup.quick else N_DISTINCT
    first, last = _watch(model, islice(distinct_texts(), n), piece, setup.gpu_id)
    for sample in (first, last):
        result.tables[MEMORY].append({"texts": sample.files * piece, "MB": sample.memory})
    what = f"memory of an actor of Ray after {last.files * piece} texts, MB above that after {first.files * piece}"
    result.targets.append(Target(what, Spread([last.memory - first.memory]), TARGET_MEMORY))


def _watch(model: Path, texts: Iterable[str], piece: int, gpu_id: int) -> List[Sample]:
    """What the actor had used when the first file was complete, and in the end."""
    with TemporaryDirectory() as folder:
        source, output = Path(folder) / "in.jsonl", Path(folder) / "out"
        srsly.write_jsonl(source, ({"text": text} for text in texts))
        settings: Any = {
            "batch_size": BATCH_SIZE,
            "size": 1,
            "max_lines": piece,
            "address": "local",
            "gpu": gpu_id >= 0,
        }
        thread = threading.Thread(target=extract_files, args=(str(model), str(source), output), kwargs=settings)
        thread.start()
        first = last = None
        while thread.is_alive():
            n_files, pid = len(list(output.glob("part-*"))), _actor()
            if n_files and pid and (last is None or n_files > last.files):
                last = _sample(n_files, pid) or last
                first = first or last
            time.sleep(0.02)
    if first is None or last is None:
        raise RuntimeError("No actor has written anything, see above")
    return [first, last]


def _actor() -> Optional[int]:
    """The number of the actor's process, a descendant of this one."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"PieceActor" in path.read_bytes() and _is_below(int(path.parent.name)):
                return int(path.parent.name)
        except OSError:
            # It has just ended.
            continue
    return None


def _is_below(pid: int) -> bool:
    while pid > 1 and pid != os.getpid():
        pid = int(_stat(pid)[1])
    return pid == os.getpid()


def _stat(pid: int) -> List[str]:
    """What the system knows of a process, from its state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _sample(n_files: int, pid: int) -> Optional[Sample]:
    try:
        fields, memory = _stat(pid), Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return Sample(n_files, seconds, int(memory.split("VmRSS:")[1].split()[0]) / 1000)


def draw(result: Result, figure: Any) -> None:
    """Draw the times."""
    axes = figure.subplots()
    (row,) = result.tables[RATE]
    bars(axes, ["nlp.pipe", "actor"], [row["nlp.pipe"], row["actor"]])
    axes.set(ylabel="ms of the processor for a text", ylim=(0, None))
