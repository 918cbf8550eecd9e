"""What the installed package adds to `spacy.blank("en")`: spaCy imports every factory's module at each start.

python benchmarks/start_up.py
"""

import statistics
import subprocess
import sys

from wasabi import msg

RUNS = 15
# Without the package: its entry points are hidden from spaCy's registry.
CODE = """
import importlib.metadata as metadata, sys, time
import catalogue, spacy
if sys.argv[1] == "without":
    points = [point for dist in metadata.distributions() for point in dist.entry_points]
    others = [point for point in points if not point.value.startswith("spacy_spert")]
    catalogue.AVAILABLE_ENTRY_POINTS = metadata.EntryPoints(others)
start = time.perf_counter()
spacy.blank("en")
seconds = time.perf_counter() - start
if ("spacy_spert.pipeline" in sys.modules) != (sys.argv[1] == "with"):
    sys.exit("The entry points are not as expected.")
print(seconds)
"""


def seconds(which: str) -> float:
    return float(subprocess.run([sys.executable, "-c", CODE, which], check=True, capture_output=True).stdout)


if __name__ == "__main__":
    runs = [(seconds("with"), seconds("without")) for _ in range(RUNS)]
    added = [1000 * (ours - theirs) for ours, theirs in runs]
    msg.text(f"{RUNS} pairs: median {statistics.median(added):.0f} ms, from {min(added):.0f} to {max(added):.0f} ms")
    ours, theirs = (1000 * statistics.median(column) for column in zip(*runs))
    msg.text(f"medians: {ours:.0f} ms with, {theirs:.0f} ms without the package")
