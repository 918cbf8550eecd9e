"""Train and score the variants of an experiment over several seeds.

An experiment is a file in experiments/: a config, the number of epochs, settings for all variants (`set`), and the
variants, each with settings of its own; a variant may also have its own `config` and `epochs`, and a `warmup`: the
share of the steps in which the rates rise, by default a tenth. A file that `extends` another one beside it has all that
is there, with what it says itself. What is done already is passed over, so that an experiment can be interrupted, and
runs with different seeds can go side by side.
"""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Dict, List, Optional

import spacy
import srsly
import typer
from spacy.cli._util import parse_config_overrides, setup_gpu
from spacy.tokens import DocBin
from spacy.util import resolve_dot_names
from wasabi import msg

from spacy_spert.evaluation.decisions import apply_decisions, read_decisions
from spacy_spert.evaluation.prediction import collect
from spacy_spert.evaluation.thresholds import Target

# Gives the pipeline the sentence marks of the data.
MARKS_READER = "spacy-spert.Corpus.v1"

app = typer.Typer()


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def main(
    ctx: typer.Context,
    experiment: Annotated[Path, typer.Argument(help="File that describes the experiment", exists=True)],
    seeds: Annotated[str, typer.Option(help="Seeds, separated by blanks or commas")] = "1",
    only: Annotated[str, typer.Option(help="Names of the variants to run. By default all")] = "",
    epochs: Annotated[Optional[int], typer.Option(help="Number of epochs, instead of that in the file")] = None,
    gpu_id: Annotated[int, typer.Option(help="GPU ID, or -1 for CPU")] = -1,
    metrics: Annotated[Path, typer.Option(help="Folder for the scores")] = Path("metrics"),
    training: Annotated[Path, typer.Option(help="Folder for the models")] = Path("training"),
    keep_models: Annotated[bool, typer.Option(help="Keep the trained models")] = False,
    thresholds: Annotated[bool, typer.Option(help="Look for the relation threshold with the best strict F1")] = False,
) -> None:
    """
    Run an experiment. Further options are settings for all variants, as in
    `spacy train`: --paths.encoder encoder.
    """
    plan = read_experiment(experiment)
    common = {**plan["set"], **parse_config_overrides(ctx.args)}
    chosen = _split(only) or list(plan["variants"])
    if unknown := sorted(set(chosen) - set(plan["variants"])):
        msg.fail(f"No variant '{unknown[0]}' in {experiment}", f"There are: {list(plan['variants'])}", exits=1)
    for name in chosen:
        settings = {**common, **plan["variants"][name]}
        config = settings.pop("config", plan["config"])
        n_epochs, warmup = settings.pop("epochs", plan["epochs"]), settings.pop("warmup", 0.1)
        settings.update(schedule(config, settings, epochs or n_epochs, warmup))
        for seed in _split(seeds):
            run_name = f"{name}_{seed}"
            scores = metrics / experiment.stem / f"{run_name}.json"
            if scores.exists():
                msg.info(f"{scores} is there already")
                continue
            model = training / experiment.stem / run_name
            run = {"variant": name, "seed": int(seed), "config": config, "settings": settings}
            run["scores"] = train_and_score(config, settings, int(seed), model, gpu_id)
            if thresholds:
                run["best"] = best_threshold(model / "model-last", gpu_id)
            scores.parent.mkdir(parents=True, exist_ok=True)
            srsly.write_json(scores, run)
            if not keep_models:
                shutil.rmtree(model)


def read_experiment(path: Path) -> Dict[str, Any]:
    """Read the file of an experiment, and the one that it extends.

    path (Path): The file.
    RETURNS (Dict[str, Any]): Its config, epochs, settings for all (`set`) and variants.
    """
    plan: Dict[str, Any] = {"set": {}, "variants": {}, **srsly.read_yaml(path)}
    if "extends" not in plan:
        return plan
    extended = read_experiment(path.parent / plan.pop("extends"))
    return {**extended, **plan, **{part: {**extended[part], **plan[part]} for part in ("set", "variants")}}


def schedule(config: str, settings: Dict[str, Any], epochs: int, warmup: float = 0.1) -> Dict[str, int]:
    """The settings that depend on the size of the corpus: steps, warm-up over the first of them, scores at the end.

    config (str): Path of the config.
    settings (Dict[str, Any]): Settings that replace those of the config.
    epochs (int): How often to go through the corpus.
    warmup (float): Share of the steps in which the rates rise.
    RETURNS (Dict[str, int]): The settings.
    """
    training = spacy.util.load_config(config, overrides=settings)["training"]
    batcher = spacy.registry.resolve({"batcher": training["batcher"]})["batcher"]
    docs = DocBin().from_disk(settings["paths.train"]).get_docs(spacy.blank("xx").vocab)
    steps = sum(1 for _ in batcher(docs)) * epochs
    found = {"training.max_steps": steps, "training.eval_frequency": steps}
    for rate in ("learn_rate", "head_learn_rate"):
        if training["optimizer"].get(rate) is not None:
            found[f"training.optimizer.{rate}.total_steps"] = steps
            found[f"training.optimizer.{rate}.warmup_steps"] = int(steps * warmup)
    return found


def train_and_score(config: str, settings: Dict[str, Any], seed: int, model: Path, gpu_id: int) -> Dict[str, Any]:
    """Train one model and score the last state of it. The best one would be chosen on the data it is scored on.

    config (str): Path of the config.
    settings (Dict[str, Any]): Settings that replace those of the config.
    seed (int): The seed.
    model (Path): Folder to write the model to.
    gpu_id (int): GPU ID, or -1 for CPU.
    RETURNS (Dict[str, Any]): The scores.
    """
    output = model / "scores.json"
    common = ["--gpu-id", str(gpu_id)]
    train = ["train", config, "--output", str(model), "--system.seed", str(seed), *common]
    for key, value in settings.items():
        train += [f"--{key}", value if isinstance(value, str) else srsly.json_dumps(value)]
    _spacy(train)
    evaluate = ["spert", "evaluate", str(model / "model-last"), settings["paths.dev"], "--output", str(output), *common]
    trained = spacy.util.load_config(model / "model-last" / "config.cfg")
    if trained["corpora"]["dev"]["@readers"] == MARKS_READER:
        evaluate.append("--given-sentences")
    _spacy(evaluate)
    scores: Dict[str, Any] = srsly.read_json(output)
    return scores


def best_threshold(model: Path, gpu_id: int) -> Dict[str, float]:
    """The common threshold of relations with the best strict F1, of 0.0, 0.1 and so on.

    The data are read as in training, with their sentence marks if the reader gives these, which `spacy find-threshold`
    can't. It is chosen on the data that it is scored on: a bound for what another threshold could give.

    model (Path): Folder of the model.
    gpu_id (int): GPU ID, or -1 for CPU.
    RETURNS (Dict[str, float]): The threshold and its score.
    """
    setup_gpu(gpu_id)
    nlp = spacy.load(model)
    config = nlp.config.interpolate()
    (read_dev,) = resolve_dot_names(config, [config["training"]["dev_corpus"]])
    cfg = nlp.get_pipe("spert").cfg  # type: ignore[attr-defined]
    scored = collect(nlp, "spert", read_dev(nlp), floor=0.0)
    decisions = read_decisions(cfg)
    scores = {}
    for tenths in range(11):
        applied = apply_decisions(replace(decisions, common=tenths / 10), scored, cfg["symmetric_labels"])
        (scores[tenths / 10],) = Target().value(scored.relations.count(applied.relations).sum(axis=(0, 1)))
    threshold = max(scores, key=lambda each: scores[each])
    return {"threshold": threshold, "rels_strict_f": scores[threshold]}


def _spacy(arguments: List[str]) -> None:
    msg.divider(" ".join(["spacy", *arguments]), char=" ")
    status = subprocess.run([sys.executable, "-m", "spacy", *arguments]).returncode
    if status:
        msg.fail("This run failed, see above", exits=status)


def _split(names: str) -> List[str]:
    return names.replace(",", " ").split()


if __name__ == "__main__":
    app()
