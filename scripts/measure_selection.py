"""Measure what `spacy spert select` saves: F1 for numbers of annotated texts, against texts drawn at random.

Both ways begin with the same texts, drawn at random. Then the model of the last size selects further texts from the
rest, or they are drawn; a new model is trained on all of them. A run is one line in a file, with the texts that its
model selects next. What is done already is passed over, so that the runs can be made one by one.
"""

import random
import shutil
import time
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Dict, List, Tuple

import numpy
import spacy
import srsly
import typer
from run_experiment import schedule, train_and_score
from spacy.cli._util import parse_config_overrides
from spacy.tokens import Doc, DocBin
from spacy.util import load_model
from wasabi import msg

from spacy_spert.extraction.selection import select
from spacy_spert.relations import get_relations

WAYS = ("selected", "random")
SCORES = ("spans_spert_f", "rels_f", "rels_strict_f")
# Part of the F1 with all texts that is to be reached.
GOAL = 0.95

app = typer.Typer()


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def main(
    ctx: typer.Context,
    config: Annotated[Path, typer.Argument(help="Config to train with", exists=True)],
    train: Annotated[Path, typer.Argument(help="The pool, annotated (.spacy)", exists=True)],
    dev: Annotated[Path, typer.Argument(help="The data to score on (.spacy)", exists=True)],
    sizes: Annotated[str, typer.Option(help="Numbers of texts, separated by blanks or commas")] = "100 200 400 700",
    seeds: Annotated[str, typer.Option(help="Seeds, separated by blanks or commas")] = "1 2",
    epochs: Annotated[int, typer.Option(help="How often a training goes through its texts")] = 20,
    gpu_id: Annotated[int, typer.Option(help="GPU ID, or -1 for CPU")] = -1,
    most: Annotated[int, typer.Option(help="Most trainings now, the others later; 0 for all")] = 0,
    results: Annotated[Path, typer.Option(help="File for the runs (.jsonl)")] = Path("metrics/selection.jsonl"),
    training: Annotated[Path, typer.Option(help="Folder for the models")] = Path("training/selection"),
) -> None:
    """
    Measure the selection. Further options are settings of the trainings, as in
    `spacy train`: --paths.encoder encoder.
    """
    settings = {**parse_config_overrides(ctx.args), "paths.dev": str(dev)}
    docs = list(DocBin().from_disk(train).get_docs(spacy.blank("en").vocab))
    steps = [*(int(size) for size in sizes.replace(",", " ").split()), len(docs)]
    done = {run["name"]: run for run in srsly.read_jsonl(results)} if results.exists() else {}
    runs, n = [], 0
    for seed, way in product(map(int, seeds.replace(",", " ").split()), WAYS):
        order = list(range(len(docs)))
        random.Random(seed).shuffle(order)
        texts = order[: steps[0]]
        for size, following in zip(steps, [*steps[1:], None]):
            # The first texts and all texts are the same, however chosen.
            name = f"{way if steps[0] < size < len(docs) else 'both'}_{size}_{seed}"
            if name not in done:
                if n == most > 0:
                    msg.info(f"{len(done)} runs are done; the next is {name}")
                    return
                begin = time.monotonic()
                run = measure(config, settings, docs, texts, seed, epochs, training / name, gpu_id)
                if way == "selected" and following is not None:
                    run["next"] = select_further(training / name / "model-last", docs, order, texts, following)
                run = {"name": name, "seed": seed, "size": size, "seconds": round(time.monotonic() - begin), **run}
                results.parent.mkdir(parents=True, exist_ok=True)
                srsly.write_jsonl(results, [run], append=True, append_new_line=False)
                shutil.rmtree(training / name)
                done[name], n = run, n + 1
            run = done[name]
            runs.append({**run, "way": way})
            if following is not None:
                left = [i for i in order if i not in set(texts)]
                texts = [*texts, *(run["next"] if way == "selected" else left[: following - size])]
    report(runs)


def select_further(model: Path, docs: List[Doc], order: List[int], texts: List[int], size: int) -> List[int]:
    """Select the texts to annotate next.

    model (Path): The model that was trained on those that are annotated.
    docs (List[Doc]): All texts.
    order (List[int]): Their numbers in a random order.
    texts (List[int]): The numbers of those that are annotated.
    size (int): How many are to be annotated.
    RETURNS (List[int]): The numbers of the further ones.
    """
    left = [i for i in order if i not in set(texts)]
    n = size - len(texts)
    if n >= len(left):
        return left
    pool = ((i, {"tokens": [token.text for token in docs[i]]}) for i in left)
    return select(load_model(model), pool, n, lambda i, error: msg.warn(f"Text {i}: {error}"))


def measure(
    config: Path,
    settings: Dict[str, Any],
    docs: List[Doc],
    texts: List[int],
    seed: int,
    epochs: int,
    model: Path,
    gpu_id: int,
) -> Dict[str, Any]:
    """Train on some texts and score.

    config (Path): The config.
    settings (Dict[str, Any]): Settings that replace those of the config.
    docs (List[Doc]): All texts, annotated.
    texts (List[int]): The numbers of those to train on.
    seed (int): The seed.
    epochs (int): How often to go through them.
    model (Path): Folder for the model.
    gpu_id (int): GPU ID, or -1 for CPU.
    RETURNS (Dict[str, Any]): The "texts", the number of "labels" on them (entities and relations), and the scores.
    """
    model.mkdir(parents=True, exist_ok=True)
    data = model / "train.spacy"
    DocBin(docs=[docs[i] for i in texts], store_user_data=True).to_disk(data)
    settings = {**settings, "paths.train": str(data)}
    settings = {**schedule(str(config), settings, epochs), **settings}
    scores = train_and_score(str(config), settings, seed, model, gpu_id)
    labels = sum(len(docs[i].spans["spert"]) + len(get_relations(docs[i])) for i in texts)
    return {"texts": texts, "labels": labels, "scores": {name: scores[name] for name in SCORES}}


def needed(points: List[Tuple[float, float]], goal: float) -> float:
    """How much is needed for a score, in a straight line between what was measured.

    points (List[Tuple[float, float]]): Amounts, ascending, and their scores.
    goal (float): The score.
    RETURNS (float): The amount. The first one if its score is enough.
    """
    for (before, low), (after, high) in zip(points, points[1:]):
        if low >= goal:
            return before
        if high >= goal:
            return before + (goal - low) / (high - low) * (after - before)
    return points[-1][0]


def report(runs: List[Dict[str, Any]]) -> None:
    """Print the scores of each size, and what is needed for 95 % of the full one, as means over the seeds."""
    sizes = sorted({run["size"] for run in runs})
    rows = []
    for size in sizes:
        for way in WAYS:
            same = [run for run in runs if (run["size"], run["way"]) == (size, way)]
            means = [numpy.mean([run["scores"][name] for run in same]) for name in SCORES]
            rows.append((size, way, round(numpy.mean([run["labels"] for run in same])), *(f"{m:.4f}" for m in means)))
    msg.table(rows, header=("texts", "chosen", "labels", *SCORES))
    amounts: Dict[Tuple[str, str], List[float]] = {}
    for seed in {run["seed"] for run in runs}:
        for way in WAYS:
            own = sorted((r for r in runs if (r["seed"], r["way"]) == (seed, way)), key=lambda run: run["size"])
            goal = GOAL * own[-1]["scores"]["rels_strict_f"]
            for kind in ("size", "labels"):
                points = [(run[kind], run["scores"]["rels_strict_f"]) for run in own]
                amounts.setdefault((kind, way), []).append(needed(points, goal))
    for kind, name in (("size", "texts"), ("labels", "labels")):
        selected, drawn = (float(numpy.mean(amounts[kind, way])) for way in WAYS)
        msg.text(f"{name} for {GOAL:.0%}: {selected:.0f} selected, {drawn:.0f} at random: {selected / drawn:.0%}")


if __name__ == "__main__":
    app()
