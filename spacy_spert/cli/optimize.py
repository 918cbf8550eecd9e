"""`spacy spert optimize`: a pipeline whose transformer runs on ONNX Runtime."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Dict, List, Optional

import typer
from wasabi import msg

from . import app
from ._folders import check_folder, save_pipeline
from ._options import BatchSizeOption, ComponentOption, MarksOption, ModelArg

if TYPE_CHECKING:
    from ..optimization import Measured

HEADER = ("", "Entities F", "Relations F", "documents/s")


@app.command("optimize")
def optimize_cli(
    model: ModelArg,
    output_dir: Annotated[Path, typer.Argument(help="Folder for the new pipeline. Folders on the way to it are made")],
    int8: Annotated[bool, typer.Option("--int8", help="Compute matrix products in int8, not in float32")] = False,
    check: Annotated[
        Optional[Path],
        typer.Option("--check", help="Annotated data (.spacy) to compare both pipelines on", exists=True),
    ] = None,
    limit: Annotated[
        float, typer.Option("--limit", "-l", help="Most points of F1 that may be lost in the data of --check", min=0.0)
    ] = 1.0,
    component: ComponentOption = None,
    given_sentences: MarksOption = False,
    batch_size: BatchSizeOption = None,
    force: Annotated[bool, typer.Option("--force", "-F", help="Replace a pipeline in the output folder")] = False,
) -> None:
    """
    Make a pipeline that is faster on a CPU: its transformer runs on ONNX
    Runtime, with the same results, or with --int8 nearly the same. With --check
    both are scored and timed.
    """
    try:
        measured = optimize(
            model,
            output_dir,
            int8=int8,
            check=check,
            limit=limit,
            component=component,
            given_sentences=given_sentences,
            batch_size=batch_size,
            force=force,
        )
    except (ValueError, OSError, ImportError) as err:
        msg.fail("Nothing was written", str(err), exits=1)
    if measured:
        msg.table(_rows(measured), header=HEADER, divider=True, aligns=("l", "r", "r", "r"))
    msg.good(f"Wrote {output_dir}")
    if not check:
        msg.info("With --check DEV.spacy both pipelines are scored and timed")


def optimize(
    model: str,
    output_dir: Path,
    *,
    int8: bool = False,
    check: Optional[Path] = None,
    limit: float = 1.0,
    component: Optional[str] = None,
    given_sentences: bool = False,
    batch_size: Optional[int] = None,
    force: bool = False,
) -> Dict[str, "Measured"]:
    """Make a pipeline whose transformer runs on ONNX Runtime, and save it. The output appears only when it is complete.

    model (str): Name or path of the pipeline.
    output_dir (Path): The folder to write.
    int8 (bool): Compute matrix products in int8, not in float32.
    check (Optional[Path]): Annotated data in spaCy's binary format, to compare both pipelines on.
    limit (float): Most points of F1 that may be lost there, of entities as well as of strict relations.
    component (Optional[str]): The name of the component to score, needed only if there are several.
    given_sentences (bool): Use the sentence marks of the data. By default the pipeline's own marks count.
    batch_size (Optional[int]): Documents at a time; by default the pipeline's batch_size.
    force (bool): Replace a pipeline that is in the output folder.
    RETURNS (Dict[str, Measured]): What was measured, for "before" and "after". Nothing without data.
    RAISES (ValueError): If the pipeline can't be optimized or loses more than the limit, or there is something in the
        output folder.
    """
    from spacy import util

    from ..devices import fitted_to_device
    from ..optimization import check_losses, measure_pipelines, optimize_pipeline
    from ._data import read_examples

    output = check_folder(output_dir, force, Path(model))
    nlp = util.load_model(model)
    optimized = optimize_pipeline(nlp, int8=int8)
    measured = {}
    if check is not None:
        pipelines = {"before": nlp, "after": optimized}
        # Both as other commands run them, and saved as the first was.
        with fitted_to_device(nlp, optimized):
            measured = measure_pipelines(
                pipelines, lambda nlp: read_examples(check, nlp, given_sentences), component, batch_size
            )
        check_losses(measured["before"], measured["after"], limit)
    save_pipeline(optimized, output)
    return measured


def _rows(measured: Dict[str, "Measured"]) -> List[List[str]]:
    def points(value: Optional[float]) -> str:
        return "-" if value is None else f"{100 * value:.2f}"

    return [
        [name, points(each.entities), points(each.relations), f"{each.speed:.1f}"] for name, each in measured.items()
    ]
