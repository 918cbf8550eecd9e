"""`spacy spert tune`: thresholds, calibration and type constraints of a pipeline, fitted to annotated data."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, List, Optional, Sequence

import typer
from wasabi import msg

from . import app
from ._options import BatchSizeOption, ComponentOption, GpuOption, MarksOption, ModelArg, SymmetricOption, check_data

if TYPE_CHECKING:
    from ..evaluation.tuned import Tuned

DEFAULT_FIT = ["calibration", "entities", "relations"]


@app.command("tune")
def tune_cli(
    model: ModelArg,
    data_path: Annotated[
        Path,
        typer.Argument(
            help="Annotated data in spaCy's binary format, none of it from the training. - is stdin",
            callback=check_data,
        ),
    ],
    output_dir: Annotated[Path, typer.Argument(help="Folder for the tuned pipeline")],
    fit: Annotated[
        List[str],
        typer.Option(
            "--fit",
            "-f",
            help="What to fit: calibration, entities (their thresholds), relations (their thresholds), types (which "
            "entities can be related). Can be given several times; by default all but types",
        ),
    ] = DEFAULT_FIT,
    precision: Annotated[
        Optional[float],
        typer.Option("--precision", "-p", help="Aim at the highest recall at this precision, instead of F1"),
    ] = None,
    folds: Annotated[int, typer.Option("--folds", help="Folds of the cross-validation")] = 5,
    shrinkage: Annotated[
        float,
        typer.Option(
            "--shrinkage", help="With so many examples a threshold lies half-way between its own and the common"
        ),
    ] = 10.0,
    temperature_only: Annotated[
        bool, typer.Option("--temperature-only", help="Calibrate relations by a temperature, without an offset")
    ] = False,
    min_share: Annotated[
        float, typer.Option("--min-share", help="Smallest share of a label's relations that makes a type possible")
    ] = 0.01,
    output: Annotated[
        Optional[Path], typer.Option("--output", "-o", help="JSON file for settings and scores. - is stdout")
    ] = None,
    component: ComponentOption = None,
    symmetric: SymmetricOption = None,
    given_sentences: MarksOption = False,
    seed: Annotated[int, typer.Option("--seed", help="For dealing the documents into folds", min=0)] = 0,
    force: Annotated[bool, typer.Option("--force", "-F", help="Replace a pipeline that is in the folder")] = False,
    batch_size: BatchSizeOption = None,
    gpu_id: GpuOption = -1,
) -> None:
    """
    Fit the thresholds of all labels and calibrate the scores. The pipeline that
    is written is not lower by the target than the one before.
    """
    import sys
    from contextlib import redirect_stdout

    from ..devices import choose_device
    from ._data import to_stdout

    piped = to_stdout(output)
    choose_device(gpu_id)
    with redirect_stdout(sys.stderr if piped else sys.stdout):
        try:
            tuned = tune(
                model,
                data_path,
                output_dir,
                fit=fit,
                output=None if piped else output,
                precision=precision,
                folds=folds,
                shrinkage=shrinkage,
                temperature_only=temperature_only,
                min_share=min_share,
                component=component,
                symmetric=symmetric,
                given_sentences=given_sentences,
                seed=seed,
                force=force,
                batch_size=batch_size,
                progress=True,
            )
        except (ValueError, OSError) as err:
            msg.fail("Nothing was written", str(err), exits=1)
        for title, (header, *rows) in tuned.tables:
            msg.divider(title)
            msg.table(rows, header=header, aligns=("l", *("r" for _ in header[1:])))
        for note in tuned.notes:
            msg.info(note)
        msg.good(f"Wrote {output_dir}")
    if piped:
        sys.stdout.write(_as_json(tuned))


def tune(
    model: str,
    data_path: Path,
    output_dir: Path,
    *,
    fit: Sequence[str] = DEFAULT_FIT,
    output: Optional[Path] = None,
    precision: Optional[float] = None,
    folds: int = 5,
    shrinkage: float = 10.0,
    temperature_only: bool = False,
    min_share: float = 0.01,
    component: Optional[str] = None,
    symmetric: Optional[str] = None,
    given_sentences: bool = False,
    seed: int = 0,
    force: bool = False,
    batch_size: Optional[int] = None,
    progress: bool = False,
) -> "Tuned":
    """Tune a pipeline on annotated data and save it. The output appears only when it is complete.

    model (str): Name or path of the pipeline.
    data_path (Path): Annotated data in spaCy's binary format, none of which the pipeline was trained on.
    output_dir (Path): The folder to write.
    fit (Sequence[str]): What to fit, of "calibration", "entities", "relations" and "types".
    output (Optional[Path]): Where to write settings and scores as JSON.
    precision (Optional[float]): The precision at which recall is to be high; by default F1 is to be.
    folds (int): Number of folds of the cross-validation.
    shrinkage (float): With so many gold annotations the threshold of a label lies half-way between its own best one and
        that of all.
    temperature_only (bool): Calibrate relations without an offset.
    min_share (float): Smallest share of a label's relations that makes a type possible.
    component (Optional[str]): The name of the component, needed only if there are several.
    symmetric (Optional[str]): How relations without direction count: "once", "directed" or "twice". By default as the
        component's scorer counts them.
    given_sentences (bool): Use the sentence marks of the data. By default the pipeline's own marks count.
    seed (int): For dealing the documents into folds.
    force (bool): Replace a pipeline that is in the output folder.
    batch_size (Optional[int]): Documents at a time; by default the pipeline's batch_size.
    progress (bool): Show a progress bar, if there is a terminal.
    RETURNS (Tuned): What was fitted, with tables.
    RAISES (ValueError): If there is something in the output folder, an option is out of range, or the data can't be
        used.
    """
    from spacy import util

    from ..evaluation.thresholds import Target
    from ..evaluation.tuned import tune_pipeline
    from ..evaluation.tuning import Options
    from ._data import check_outputs, open_data, read_examples, write_text
    from ._folders import check_folder, save_pipeline

    data_path = Path(data_path)
    check_outputs([data_path], [] if output is None else [Path(output)])
    data = open_data(data_path)
    folder = check_folder(output_dir, force, data_path, Path(model))
    options = Options(
        parts=tuple(fit),
        target=Target(precision),
        folds=folds,
        seed=seed,
        shrinkage=shrinkage,
        offset=not temperature_only,
        min_share=min_share,
    )
    nlp = util.load_model(model)
    tuned = tune_pipeline(
        nlp,
        read_examples(data, nlp),
        options,
        component=component,
        symmetric=symmetric,
        given_sentences=given_sentences,
        batch_size=batch_size,
        progress=progress,
    )
    save_pipeline(nlp, folder)
    if output is not None:
        write_text(output, _as_json(tuned))
    return tuned


def _as_json(tuned: "Tuned") -> str:
    import srsly

    return srsly.json_dumps(tuned.to_json(), indent=2) + "\n"
