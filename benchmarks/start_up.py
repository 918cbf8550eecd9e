"""What it takes to start: each figure is that of new processes, which take turns.

spaCy imports the module of every installed factory whenever it makes a pipeline. What this package adds to that is
measured by making a blank pipeline with the package's entry points hidden, and then importing its module. (The
difference of two whole starts drowns in their spread.)
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Dict, List

from .measure import Spread
from .pipelines import Setup, trained_nlp
from .report import Result, bars

TITLE = "Start-up: milliseconds"
TIMED = """
import time
{before}
start = time.perf_counter()
{timed}
print(time.perf_counter() - start)
"""
HIDE = """
import importlib.metadata as metadata
import catalogue, spacy
points = [point for dist in metadata.distributions() for point in dist.entry_points]
catalogue.AVAILABLE_ENTRY_POINTS = metadata.EntryPoints(p for p in points if not p.value.startswith("spacy_spert"))
spacy.blank("en")
import sys
if "spacy_spert" in sys.modules:
    sys.exit("The entry points are not hidden.")
"""


def measure(setup: Setup) -> Result:
    """Measure starts from new processes.

    setup (Setup): The setup.
    RETURNS (Result): The result.
    """
    with TemporaryDirectory() as folder:
        trained_nlp(setup, setup.encoder).to_disk(folder)
        codes = _codes(Path(folder), setup.gpu_id)
        values: Dict[str, List[float]] = {name: [] for name in codes}
        for _ in range(1 if setup.quick else setup.repeats + 1):
            for name, code in codes.items():
                values[name].append(_milliseconds(code))
    if not setup.quick:
        # The first round fills the caches of the file system.
        values = {name: runs[1:] for name, runs in values.items()}
    return Result({TITLE: [{"what": name, "ms": Spread(runs)} for name, runs in values.items()]})


def _codes(pipeline: Path, gpu_id: int = -1) -> Dict[str, str]:
    before = "import spacy" + (f"; spacy.require_gpu({gpu_id})" if gpu_id >= 0 else "")
    load = f"spacy.load({str(pipeline)!r}"
    return {
        "import spacy": _code("", "import spacy"),
        "import spacy_spert": _code("", "import spacy_spert"),
        'spacy.blank("en")': _code("import spacy", 'spacy.blank("en")'),
        "of that this package": _code(HIDE, "import spacy_spert.pipeline"),
        "spacy.load, transformer alone": _code(before, f'{load}, exclude=["spert"])'),
        "spacy.load, transformer and spert": _code(before, f"{load})"),
    }


def _code(before: str, timed: str) -> str:
    return TIMED.format(before=before, timed=timed)


def _milliseconds(code: str) -> float:
    return 1000 * float(subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE).stdout)


def draw(result: Result, figure: Any) -> None:
    """Draw the times."""
    rows = result.tables[TITLE]
    axes = figure.subplots()
    bars(axes, [row["what"].replace(" ", "\n", 1) for row in rows], [row["ms"] for row in rows])
    axes.set(ylabel="ms")
    axes.tick_params(axis="x", labelsize="small")
