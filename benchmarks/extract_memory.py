"""Does the memory of `spacy spert extract` grow with the number of texts?

For each number of texts one run of the command, on short texts full of words that occur only once. Prints the largest
amount of memory that the run, or one of its processes, held at any time.

    python benchmarks/extract_memory.py MODEL 1000 10000 100000 [--n-process 2]
"""

import argparse
import json
import os
import random
import string
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from wasabi import msg


def word(rng: random.Random) -> str:
    return "".join(rng.choices(string.ascii_lowercase, k=rng.randint(4, 10)))


def write_texts(path: Path, n: int) -> None:
    rng = random.Random(0)
    with path.open("w", encoding="utf8") as file_:
        for i in range(n):
            names = [word(rng).title() for _ in range(4)]
            text = "{} {} works for {} in {}".format(*names) + "".join(f" {word(rng)}" for _ in range(8)) + "."
            file_.write(json.dumps({"text": text, "meta": {"n": i}}) + "\n")


def run(model: str, folder: Path, n: int, n_process: int) -> None:
    write_texts(folder / "in.jsonl", n)
    command = [sys.executable, "-m", "spacy", "spert", "extract", model, folder / "in.jsonl", folder / "out.jsonl"]
    start = time.perf_counter()
    process = subprocess.Popen([*map(str, command), "--force", "--n-process", str(n_process)])
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    with (folder / "out.jsonl").open() as file_:
        assert sum(1 for _ in file_) == n
    # Linux counts in KiB.
    msg.text(f"{n} texts: at most {usage.ru_maxrss / 1024:.0f} MiB, {seconds:.0f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("numbers", nargs="+", type=int)
    parser.add_argument("--n-process", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for n in arguments.numbers:
            run(arguments.model, Path(folder), n, arguments.n_process)
