"""Sum the runs of an experiment up: a table of means and standard deviations in Markdown, and a plot."""

import statistics
from pathlib import Path
from typing import Annotated, Any, Dict, List, Optional

import srsly
import typer
from wasabi import msg

COLUMNS = {
    "spans_spert_f": "entities",
    "spans_spert_macro_f": "entities, macro",
    "rels_f": "relations",
    "rels_strict_f": "relations, strict",
    "rels_strict_macro_f": "relations, strict, macro",
}
NEGATIVES = "components.spert.negative_relations"
NEGATIVES_DEFAULT = 100
NOTE = "F1 in percent, mean ± standard deviation over the runs."


def main(
    folder: Annotated[Path, typer.Argument(help="Folder with the scores of the runs", exists=True)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Markdown file for the table")],
    plot: Annotated[Optional[Path], typer.Option(help="PNG file for a plot of negatives against F1")] = None,
    pool: Annotated[bool, typer.Option(help="Sum all variants up as one, as for folds")] = False,
) -> None:
    """
    Write a table of the runs of an experiment.
    """
    runs = [srsly.read_json(path) for path in sorted(folder.glob("*.json"))]
    if not runs:
        msg.fail(f"No scores in {folder}", exits=1)
    variants: Dict[str, List[Dict[str, Any]]] = {}
    for run in runs:
        variants.setdefault(folder.name if pool else run["variant"], []).append(run)
    # The plain model first, the numbers of negatives last and in their order.
    order = {
        name: (name != "full", name.startswith("negatives-"), _negatives(runs[0]), name)
        for name, runs in variants.items()
    }
    table = markdown({name: variants[name] for name in sorted(variants, key=lambda name: order[name])})
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(f"{NOTE}\n\n{table}\n", encoding="utf8")
    srsly.write_json(output.with_suffix(".json"), [_short(run) for run in runs])
    print(table)  # noqa: T201
    if plot is not None:
        draw_negatives(variants, plot)
    msg.good(f"Wrote {output}")


def markdown(variants: Dict[str, List[Dict[str, Any]]]) -> str:
    """The table.

    variants (Dict[str, List[Dict[str, Any]]]): The runs of each variant.
    RETURNS (str): One line for each variant, as Markdown.
    """
    lines = ["| | runs | " + " | ".join(COLUMNS.values()) + " |", "| --- " * (len(COLUMNS) + 2) + "|"]
    for name, runs in variants.items():
        cells = [mean_and_deviation([100 * run["scores"][key] for run in runs]) for key in COLUMNS]
        lines.append(f"| {name} | {len(runs)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def mean_and_deviation(values: List[float]) -> str:
    """RETURNS (str): The mean of the values, and their standard deviation if there are several."""
    mean = f"{statistics.mean(values):.2f}"
    return f"{mean} ± {statistics.stdev(values):.2f}" if len(values) > 1 else mean


def draw_negatives(variants: Dict[str, List[Dict[str, Any]]], path: Path) -> None:
    """Draw the number of negatives against F1, for the variants that differ from the plain model in nothing else.

    variants (Dict[str, List[Dict[str, Any]]]): The runs of each variant.
    path (Path): PNG file to write.
    """
    import matplotlib  # type: ignore[import-not-found, unused-ignore]

    matplotlib.use("agg")
    from matplotlib import pyplot

    points = {
        _negatives(runs[0]): runs for name, runs in variants.items() if name == "full" or name.startswith("negatives-")
    }
    figure, axes = pyplot.subplots(figsize=(6, 4))
    for key in ("spans_spert_f", "rels_f", "rels_strict_f"):
        xs = sorted(points)
        values = [[100 * run["scores"][key] for run in points[x]] for x in xs]
        deviations = [statistics.stdev(v) if len(v) > 1 else 0.0 for v in values]
        axes.errorbar(xs, [statistics.mean(v) for v in values], deviations, marker="o", capsize=3, label=COLUMNS[key])
    axes.set(xlabel="negative spans and negative relations for each sentence", ylabel="F1 in percent", ylim=(0, 100))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def _negatives(run: Dict[str, Any]) -> int:
    return int(run["settings"].get(NEGATIVES, NEGATIVES_DEFAULT))


def _short(run: Dict[str, Any]) -> Dict[str, Any]:
    return {**run, "scores": {key: run["scores"][key] for key in COLUMNS}}


if __name__ == "__main__":
    typer.run(main)
