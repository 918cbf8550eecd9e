"""The command of the suite.

python scripts/fetch_encoder.py encoder
python -m benchmarks
python -m benchmarks inference training --data dev.spacy --encoder encoder --threads 2
"""

import os
from importlib import import_module
from pathlib import Path
from typing import Annotated, List, Optional

import typer
from wasabi import msg

from . import ROOT

PARTS = ("inference", "training", "memory", "length", "start_up", "tok2vec", "decisions", "optimize", "serving", "ray")


def main(
    parts: Annotated[
        Optional[List[str]], typer.Argument(help=f"What to measure: {', '.join(PARTS)}. By default all")
    ] = None,
    data: Annotated[
        Path, typer.Option("--data", help="Documents with entities and relations: .spacy, .jsonl or SpERT's .json")
    ] = ROOT / "assets" / "dev.jsonl",
    encoder: Annotated[
        Path, typer.Option("--encoder", help="Folder of the small encoder, see scripts/fetch_encoder.py")
    ] = ROOT / "encoder",
    output: Annotated[Path, typer.Option("--output", help="Folder for the JSON and PNG files")] = (
        ROOT / "metrics" / "benchmarks"
    ),
    threads: Annotated[int, typer.Option("--threads", help="Number of threads", min=1)] = 2,
    repeats: Annotated[int, typer.Option("--repeats", help="How many times to measure", min=1)] = 5,
    gpu_id: Annotated[int, typer.Option("--gpu-id", "-g", help="GPU ID, or -1 for CPU")] = -1,
    base: Annotated[bool, typer.Option(help="Measure an encoder of base size too")] = True,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only see that everything works. The figures are then worth nothing")
    ] = False,
) -> None:
    """
    Measure what the component costs beside its encoder, in time and memory.
    """
    for part in parts or ():
        if part not in PARTS:
            msg.fail(f"No part is called '{part}'. Choose from: {', '.join(PARTS)}", exits=1)
    for path in (data, encoder):
        if not path.exists():
            msg.fail(f"{path} is missing", "The encoder comes with: python scripts/fetch_encoder.py encoder", exits=1)
    # Before numpy and torch are imported, and for the processes that will be started.
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(threads)
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    import torch

    from spacy_spert.devices import choose_device

    from .pipelines import Setup
    from .report import Target, machine_load, save, save_plot, show, show_targets

    choose_device(gpu_id)
    torch.set_num_threads(threads)
    if machine_load() > 0.5:
        msg.warn(f"Other programs are running (load {machine_load():.1f}), which makes the figures doubtful")
    setup = Setup(data, encoder, threads, 1 if quick else repeats, quick, base, gpu_id)
    output.mkdir(parents=True, exist_ok=True)
    targets: List[Target] = []
    for part in parts or PARTS:
        msg.divider(part)
        module = import_module(f".{part}", __package__)
        result = module.measure(setup)
        show(result)
        save(result, output / f"{part}.json", setup)
        save_plot(module.draw, result, output / f"{part}.png")
        targets += result.targets
    msg.divider("targets")
    show_targets(targets)
    msg.good(f"Wrote {output}")


if __name__ == "__main__":
    typer.run(main)
