"""`spacy spert evaluate`: all scores of a pipeline, per label, and its errors by kind."""

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer
from wasabi import msg

from . import app
from ._data import check_outputs, name_of, open_data, read_examples, to_stdout, write_text
from ._options import (
    BatchSizeOption,
    ComponentOption,
    DataArg,
    GoldEntitiesOption,
    GpuOption,
    MarksOption,
    ModelArg,
    SymmetricOption,
)

if TYPE_CHECKING:
    from ..evaluation.run import Evaluation


@app.command("evaluate")
def evaluate_cli(
    model: ModelArg,
    data_path: DataArg,
    output: Annotated[
        Optional[Path], typer.Option("--output", "-o", help="JSON file for all scores and counts. - is stdout")
    ] = None,
    report: Annotated[
        Optional[Path], typer.Option("--report", "-r", help="HTML page: scores, drawings, errors. - is stdout")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", help="Most documents in the report, the worst; 0 for all", min=0)
    ] = 0,
    component: ComponentOption = None,
    symmetric: SymmetricOption = None,
    gold_entities: GoldEntitiesOption = False,
    margin: Annotated[
        float, typer.Option("--margin", "-m", help="How far below the threshold a score is 'just under' it")
    ] = 0.1,
    hard_negatives: Annotated[
        Optional[Path],
        typer.Option("--hard-negatives", "-H", help="Annotated data to count false relations on", exists=True),
    ] = None,
    given_sentences: MarksOption = False,
    batch_size: BatchSizeOption = None,
    gpu_id: GpuOption = -1,
) -> None:
    """
    Evaluate a pipeline with a 'spert' component: entities, relations by
    boundaries, and strict relations, whose entity labels must be right too;
    then its errors by kind.
    """
    from ..devices import choose_device

    piped = to_stdout(output, report)
    choose_device(gpu_id)
    try:
        evaluation = evaluate(
            model,
            data_path,
            output=output,
            report=report,
            limit=limit,
            component=component,
            symmetric=symmetric,
            gold_entities=gold_entities,
            margin=margin,
            hard_negatives=hard_negatives,
            given_sentences=given_sentences,
            batch_size=batch_size,
            progress=True,
        )
    except (ValueError, OSError) as err:
        with redirect_stdout(sys.stderr if piped else sys.stdout):
            msg.fail("Can't evaluate", str(err), exits=1)
    with redirect_stdout(sys.stderr if piped else sys.stdout):
        _print(evaluation)
        if output is not None:
            msg.good(f"Wrote the scores to {output}")
        if report is not None:
            msg.good(f"Wrote the report to {report}")


def evaluate(
    model: str,
    data_path: Path,
    *,
    output: Optional[Path] = None,
    report: Optional[Path] = None,
    limit: int = 0,
    component: Optional[str] = None,
    symmetric: Optional[str] = None,
    gold_entities: bool = False,
    margin: float = 0.1,
    hard_negatives: Optional[Path] = None,
    given_sentences: bool = False,
    batch_size: Optional[int] = None,
    progress: bool = False,
) -> "Evaluation":
    """Score a pipeline's component on annotated data.

    model (str): Name or path of the pipeline.
    data_path (Path): Annotated data in spaCy's binary format; "-" for stdin.
    output (Optional[Path]): Where to write scores and counts as JSON; "-" for stdout.
    report (Optional[Path]): Where to write a page with scores, drawings of the documents, and their errors by kind;
        "-" for stdout.
    limit (int): Most documents in the report, those with the most errors; 0 for all.
    component (Optional[str]): The name of the component, needed only if there are several.
    symmetric (Optional[str]): How relations without direction count: "once", "directed" or "twice". By default as the
        component's scorer counts them.
    gold_entities (bool): Give the component the gold entities and score its relations alone.
    given_sentences (bool): Use the sentence marks of the data instead of the pipeline's own.
    margin (float): How far below the threshold the score of a missed relation is "just under" it.
    hard_negatives (Optional[Path]): Annotated data to count false relations on, in the same format.
    batch_size (Optional[int]): Documents at a time; by default the pipeline's batch_size.
    progress (bool): Show a progress bar, if there is a terminal.
    RETURNS (Evaluation): The scores, and the documents with their errors.
    RAISES (ValueError): If the component is not there or can't do this, a setting is out of range, the data has no
        annotated documents, or an output can't be written.
    """
    import srsly

    from ..devices import load_pipeline
    from ..evaluation.report import render_report
    from ..evaluation.run import evaluate_pipeline

    data_path = Path(data_path)
    check_outputs([data_path], [Path(path) for path in (output, report) if path is not None])
    data = open_data(data_path)
    nlp = load_pipeline(model)
    evaluation = evaluate_pipeline(
        nlp,
        read_examples(data, nlp),
        component=component,
        symmetric=symmetric,
        gold_entities=gold_entities,
        margin=margin,
        hard_negatives=None if hard_negatives is None else read_examples(Path(hard_negatives), nlp),
        given_sentences=given_sentences,
        batch_size=batch_size,
        progress=progress,
    )
    if output is not None:
        write_text(output, srsly.json_dumps(evaluation.to_json(), indent=2) + "\n")
    if report is not None:
        write_text(report, render_report(evaluation, Path(model).name, name_of(data_path), limit))
    return evaluation


def _print(evaluation: "Evaluation") -> None:
    for note in evaluation.notes:
        msg.info(note)
    for title, (header, *rows) in [*evaluation.tables, *evaluation.quality_tables]:
        msg.divider(title)
        msg.table(rows, header=header, aligns=("l", *("r" for _ in header[1:])))
    msg.divider("Errors by kind")
    msg.table(evaluation.errors, aligns=("l", "r"))
