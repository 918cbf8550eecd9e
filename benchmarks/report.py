"""Results as tables, JSON and plots."""

import os
import platform
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import srsly
from wasabi import msg

from . import ROOT
from .measure import Spread, Times, number

Row = Dict[str, Any]

PACKAGES = ("spacy", "spacy-transformers", "thinc", "torch", "transformers", "numpy")


@dataclass
class Target:
    """What is to be reached.

    what (str): What was measured.
    value (Spread): The figures.
    at_most (float): The most that their median may be.
    """

    what: str
    value: Spread
    at_most: float

    @property
    def met(self) -> bool:
        return self.value.median <= self.at_most


@dataclass
class Result:
    """What a part of the suite has measured.

    tables (Dict[str, List[Row]]): Tables by title, as rows of named values.
    targets (List[Target]): Those figures that have a target.
    """

    tables: Dict[str, List[Row]] = field(default_factory=dict)
    targets: List[Target] = field(default_factory=list)


def add_ratio(
    result: Result, title: str, row: Row, times: Dict[str, Times], n: int, what: str, at_most: Optional[float]
) -> None:
    """Add what was measured "with spert" and "alone", and the ratio of the two.

    result (Result): Where to add it.
    title (str): The table.
    row (Row): What the row begins with.
    times (Dict[str, Times]): The times by these names.
    n (int): How many documents or updates they are for.
    what (str): How to call the ratio.
    at_most (Optional[float]): Its target, if it has one.
    """
    alone, both = times["alone"], times["with spert"]
    ratio = both.wall / alone.wall
    result.tables[title].append(
        {
            **row,
            "alone": alone.wall.scale(1000 / n),
            "with spert": both.wall.scale(1000 / n),
            "ratio": ratio,
            "ratio of CPU time": both.cpu / alone.cpu,
        }
    )
    if at_most is not None:
        result.targets.append(Target(what, ratio, at_most))


def show(result: Result) -> None:
    """Print the tables.

    result (Result): The result.
    """
    for title, rows in result.tables.items():
        msg.text(title)
        header = list(dict.fromkeys(name for row in rows for name in row))
        cells = [[_cell(row.get(name, "")) for name in header] for row in rows]
        is_text = [any(isinstance(row.get(name), str) for row in rows) for name in header]
        msg.table(cells, header=header, divider=True, aligns=["l" if text else "r" for text in is_text])


def show_targets(targets: List[Target]) -> None:
    """Print what was to be reached, and what was.

    targets (List[Target]): The targets.
    """
    rows = [(t.what, str(t.value), f"{t.at_most:g}", "yes" if t.met else "NO") for t in targets]
    if rows:
        header = ("target", "measured", "at most", "met")
        msg.table(rows, header=header, divider=True, aligns=("l", "r", "r", "l"), max_col=100)


def machine_load() -> float:
    """RETURNS (float): How many programs were running in the last minute; 0.0 where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def save(result: Result, path: Path, setup: Any) -> None:
    """Write a result as JSON, with what one needs to know to judge it.

    result (Result): The result.
    path (Path): The file.
    setup (Setup): How it was measured.
    """
    srsly.write_json(
        path,
        {
            "setup": {name: _shown(value) for name, value in vars(setup).items()},
            "machine": {"processor": platform.machine(), "cpus": os.cpu_count(), "load": machine_load()},
            "versions": {name: version(name) for name in PACKAGES},
            "targets": [
                {"what": t.what, "measured": _plain(t.value), "at_most": t.at_most, "met": t.met}
                for t in result.targets
            ],
            "tables": {
                title: [{name: _plain(value) for name, value in row.items()} for row in rows]
                for title, rows in result.tables.items()
            },
        },
    )


def _shown(value: Any) -> Any:
    """A setting. Where the folder of the project lies on this machine is nobody's concern."""
    if not isinstance(value, Path):
        return value
    return str(value.relative_to(ROOT) if value.is_relative_to(ROOT) else value)


def save_plot(draw: Callable[[Result, Any], None], result: Result, path: Path) -> None:
    """Draw a result.

    draw (Callable[[Result, Any], None]): Draws it on a figure.
    result (Result): The result.
    path (Path): The PNG file.
    """
    import matplotlib  # type: ignore[import-not-found, unused-ignore]

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(9, 4), layout="constrained")
    draw(result, figure)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def bars(
    axes: Any, labels: List[str], values: List[Spread], name: str = "", offset: float = 0.0, **options: Any
) -> None:
    """Draw bars with their spread.

    axes (Axes): Where to draw.
    labels (List[str]): One for each bar.
    values (List[Spread]): The figures.
    name (str): Of these bars, in the legend.
    offset (float): To the side, for several bars at one label.
    options: Of `Axes.bar`.
    """
    medians = [value.median for value in values]
    errors = [
        [value.median - min(value.values) for value in values],
        [max(value.values) - value.median for value in values],
    ]
    places = range(len(labels))
    axes.bar([place + offset for place in places], medians, yerr=errors, capsize=3, label=name, **options)
    axes.set_xticks(list(places), labels)
    axes.grid(axis="y", alpha=0.3)


def _cell(value: Any) -> str:
    return number(value) if isinstance(value, (int, float)) else str(value)


def _plain(value: Any) -> Any:
    if not isinstance(value, Spread):
        return value
    return {"median": value.median, "low": min(value.values), "high": max(value.values), "values": value.values}
