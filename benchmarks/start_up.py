"""What the installed package adds to `spacy.blank("en")`: spaCy imports every factory's module at each start.

Each run is a new process that makes a blank pipeline with this package's entry points hidden, and then imports the
factory's module: the work that the package adds. (The difference of two whole starts drowns in their spread.)

    python benchmarks/start_up.py
"""

import statistics
import subprocess
import sys

from wasabi import msg

RUNS = 7
CODE = """
import importlib.metadata as metadata, sys, time
import catalogue, spacy
points = [point for dist in metadata.distributions() for point in dist.entry_points]
catalogue.AVAILABLE_ENTRY_POINTS = metadata.EntryPoints(p for p in points if not p.value.startswith("spacy_spert"))
spacy.blank("en")
if "spacy_spert" in sys.modules:
    sys.exit("The entry points are not hidden.")
start = time.perf_counter()
import spacy_spert.pipeline
print(time.perf_counter() - start)
"""


def milliseconds() -> float:
    return 1000 * float(subprocess.run([sys.executable, "-c", CODE], check=True, capture_output=True).stdout)


if __name__ == "__main__":
    runs = [milliseconds() for _ in range(RUNS)]
    msg.text(f"{RUNS} runs: median {statistics.median(runs):.0f} ms, from {min(runs):.0f} to {max(runs):.0f} ms")
