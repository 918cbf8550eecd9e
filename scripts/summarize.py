"""Sum the runs of an experiment up: a table of means and standard deviations in Markdown, and plots."""

import math
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
STRICT = "rels_strict_f"
# Quantiles of Student's t for an interval of 95 %, by degrees of freedom.
T_QUANTILES = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


def main(
    folder: Annotated[Path, typer.Argument(help="Folder with the scores of the runs", exists=True)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Markdown file for the table")],
    plot: Annotated[Optional[Path], typer.Option(help="PNG file for a plot of negatives against F1")] = None,
    pool: Annotated[bool, typer.Option(help="Sum all variants up as one, as for folds")] = False,
    baseline: Annotated[
        Optional[List[str]], typer.Option(help="Variants to compare all others with, over the seeds that both have")
    ] = None,
    bars: Annotated[Optional[Path], typer.Option(help="PNG file for a plot of the strict F1 of all variants")] = None,
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
    # The baselines or the plain model first, the numbers of negatives last and in their order.
    baselines = baseline or []
    first = baselines or ["full"]
    order = {
        name: (
            first.index(name) if name in first else len(first),
            name.startswith("negatives-"),
            _negatives(runs[0]),
            name,
        )
        for name, runs in variants.items()
    }
    variants = {name: variants[name] for name in sorted(variants, key=lambda name: order[name])}
    table = "\n\n".join([markdown(variants), *(compare(variants, name) for name in baselines)])
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(f"{NOTE}\n\n{table}\n", encoding="utf8")
    srsly.write_json(output.with_suffix(".json"), [_short(run) for run in runs])
    print(table)  # noqa: T201
    if plot is not None:
        draw_negatives(variants, plot)
    if bars is not None:
        draw_bars(variants, bars)
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


def compare(variants: Dict[str, List[Dict[str, Any]]], baseline: str) -> str:
    """How much better or worse than one variant the others are, seed by seed.

    variants (Dict[str, List[Dict[str, Any]]]): The runs of each variant.
    baseline (str): The one to compare with.
    RETURNS (str): One line for each other variant, as Markdown: mean difference, and its 95 % interval by Student's t.
        At the end strict F1 with the best threshold of both, and with that of the baseline only.
    """
    if baseline not in variants:
        msg.fail(f"No runs of '{baseline}'. There are: {list(variants)}", exits=1)
    columns = {key: COLUMNS[key] for key in ("spans_spert_f", "rels_f", STRICT)}
    lines = [f"Difference to {baseline}, seed by seed: mean, and 95 % interval.", ""]
    titles = [*columns.values(), "strict, best threshold of both", f"strict, best threshold of {baseline}"]
    lines += ["| | seeds | " + " | ".join(titles) + " |", "| --- " * (len(titles) + 2) + "|"]
    scores = {name: {run["seed"]: _strict_and_others(run) for run in runs} for name, runs in variants.items()}
    for name, by_seed in scores.items():
        seeds = sorted(by_seed.keys() & scores[baseline].keys())
        if name == baseline or not seeds:
            continue
        cells = []
        for key, base in (*((key, key) for key in columns), ("best", "best"), (STRICT, "best")):
            pairs = [(by_seed[seed][key], scores[baseline][seed][base]) for seed in seeds]
            known = [100 * (one - other) for one, other in pairs if one is not None and other is not None]
            cells.append(mean_and_interval(known) if len(known) == len(pairs) else "")
        lines.append(f"| {name} | {len(seeds)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def mean_and_interval(differences: List[float]) -> str:
    """RETURNS (str): The mean of the differences, and its 95 % interval if there are several."""
    mean, n = statistics.mean(differences), len(differences)
    if n < 2:
        return f"{mean:+.2f}"
    half = T_QUANTILES[min(n, len(T_QUANTILES) + 1) - 2] * statistics.stdev(differences) / math.sqrt(n)
    return f"{mean:+.2f} ({mean - half:+.2f} to {mean + half:+.2f})"


def _strict_and_others(run: Dict[str, Any]) -> Dict[str, Optional[float]]:
    return {**run["scores"], "best": run.get("best", {}).get(STRICT)}


def draw_bars(variants: Dict[str, List[Dict[str, Any]]], path: Path) -> None:
    """Draw the strict F1 of all variants, the best one at the top: a bar for the mean, a point for each run.

    variants (Dict[str, List[Dict[str, Any]]]): The runs of each variant.
    path (Path): PNG file to write.
    """
    import matplotlib  # type: ignore[import-not-found, unused-ignore]

    matplotlib.use("agg")
    from matplotlib import pyplot

    scores = {name: [100 * run["scores"][STRICT] for run in runs] for name, runs in variants.items()}
    names = sorted(scores, key=lambda name: statistics.mean(scores[name]))
    values = [scores[name] for name in names]
    figure, axes = pyplot.subplots(figsize=(7, 0.6 + 0.35 * len(names)))
    axes.barh(names, [statistics.mean(each) for each in values], color="#9db7d5")
    for i, each in enumerate(values):
        axes.plot(each, [i] * len(each), "o", color="#1f3a5f", markersize=4)
    axes.set(xlabel=f"{COLUMNS[STRICT]}, F1 in percent", xlim=(min(map(min, values)) - 5, max(map(max, values)) + 2))
    axes.grid(axis="x", alpha=0.3)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


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
