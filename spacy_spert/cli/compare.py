"""`spacy spert compare`: the scores of two pipelines, their difference, and the documents on which they differ."""

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer
from wasabi import msg

from . import app
from ._data import check_outputs, name_of, open_data, read_examples, to_stdout, write_text
from ._options import BatchSizeOption, DataArg, GoldEntitiesOption, GpuOption, MarksOption, SymmetricOption

if TYPE_CHECKING:
    from ..evaluation.comparison import Comparison
    from ..evaluation.run import Evaluation


@app.command("compare")
def compare_cli(
    model_a: Annotated[str, typer.Argument(metavar="A", help="Name or path of the first pipeline")],
    model_b: Annotated[str, typer.Argument(metavar="B", help="Name or path of the second pipeline")],
    data_path: DataArg,
    output: Annotated[
        Optional[Path], typer.Option("--output", "-o", help="JSON file for all scores and differences. - is stdout")
    ] = None,
    report: Annotated[
        Optional[Path],
        typer.Option("--report", "-r", help="HTML page: scores, and documents on which they differ. - is stdout"),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", help="Most documents in the report; 0 for all that differ", min=0)
    ] = 0,
    component_a: Annotated[
        Optional[str], typer.Option("--component-a", help="Name of the component of A, if there are several")
    ] = None,
    component_b: Annotated[
        Optional[str], typer.Option("--component-b", help="Name of the component of B, if there are several")
    ] = None,
    symmetric: SymmetricOption = None,
    gold_entities: GoldEntitiesOption = False,
    given_sentences: MarksOption = False,
    samples: Annotated[int, typer.Option("--samples", help="Draws for the intervals", min=1)] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="For the draws", min=0)] = 0,
    batch_size: BatchSizeOption = None,
    gpu_id: GpuOption = -1,
) -> None:
    """
    Compare two pipelines on the same documents: each score, its difference,
    and a 95 % interval of it (paired bootstrap over documents).
    """
    from ..devices import choose_device

    piped = to_stdout(output, report)
    choose_device(gpu_id)
    try:
        comparison = compare(
            model_a,
            model_b,
            data_path,
            output=output,
            report=report,
            limit=limit,
            component_a=component_a,
            component_b=component_b,
            symmetric=symmetric,
            gold_entities=gold_entities,
            given_sentences=given_sentences,
            samples=samples,
            seed=seed,
            batch_size=batch_size,
            progress=True,
        )
    except (ValueError, OSError) as err:
        with redirect_stdout(sys.stderr if piped else sys.stdout):
            msg.fail("Can't compare", str(err), exits=1)
    with redirect_stdout(sys.stderr if piped else sys.stdout):
        for note in dict.fromkeys([*comparison.one.notes, *comparison.other.notes]):
            msg.info(note)
        for title, (header, *rows) in comparison.tables:
            msg.divider(title)
            msg.table(rows, header=header, aligns=("l", *("r" for _ in header[1:])))
        msg.divider("Differences by kind")
        msg.table(comparison.kinds, aligns=("l", "r"))
        msg.info(f"They differ on {comparison.n_differing} of {len(comparison.deviations)} documents.")
        if output is not None:
            msg.good(f"Wrote the scores to {output}")
        if report is not None:
            msg.good(f"Wrote the report to {report}")


def compare(
    model_a: str,
    model_b: str,
    data_path: Path,
    *,
    output: Optional[Path] = None,
    report: Optional[Path] = None,
    limit: int = 0,
    component_a: Optional[str] = None,
    component_b: Optional[str] = None,
    symmetric: Optional[str] = None,
    gold_entities: bool = False,
    given_sentences: bool = False,
    samples: int = 1000,
    seed: int = 0,
    batch_size: Optional[int] = None,
    progress: bool = False,
) -> "Comparison":
    """Compare two pipelines on annotated data. They are loaded and run one after the other.

    model_a (str): Name or path of the first pipeline.
    model_b (str): Name or path of the second.
    data_path (Path): Annotated data in spaCy's binary format; "-" for stdin.
    output (Optional[Path]): Where to write scores and differences as JSON; "-" for stdout.
    report (Optional[Path]): Where to write a page with them and the documents on which the pipelines differ; "-" for
        stdout.
    limit (int): Most documents in the report, those with the most differences; 0 for all.
    component_a (Optional[str]): The name of the first pipeline's component, needed only if there are several.
    component_b (Optional[str]): The same of the second.
    symmetric (Optional[str]): How relations without direction count: "once", "directed" or "twice". By default as the
        scorers of the components count them, which must be the same way.
    gold_entities (bool): Give the components the gold entities and score their relations alone.
    given_sentences (bool): Use the sentence marks of the data instead of the pipelines' own.
    samples (int): How often to draw documents for the intervals.
    seed (int): For the draws.
    batch_size (Optional[int]): Documents at a time; by default the pipeline's batch_size.
    progress (bool): Show a progress bar, if there is a terminal.
    RETURNS (Comparison): The scores, their differences, and what only one of them predicts.
    RAISES (ValueError): If a component is not there or can't do this, a setting is out of range, the data has no
        annotated documents, or an output can't be written.
    """
    import srsly

    from ..devices import load_pipeline
    from ..evaluation.comparison import compare_evaluations
    from ..evaluation.comparison_report import render_comparison
    from ..evaluation.run import evaluate_pipeline

    data_path = Path(data_path)
    check_outputs([data_path], [Path(path) for path in (output, report) if path is not None])
    data = open_data(data_path)

    def evaluate(model: str, component: Optional[str]) -> "Evaluation":
        nlp = load_pipeline(model)
        return evaluate_pipeline(
            nlp,
            read_examples(data, nlp),
            component=component,
            symmetric=symmetric,
            gold_entities=gold_entities,
            given_sentences=given_sentences,
            batch_size=batch_size,
            progress=progress,
        )

    one, other = evaluate(model_a, component_a), evaluate(model_b, component_b)
    comparison = compare_evaluations(one, other, samples=samples, seed=seed)
    if output is not None:
        write_text(output, srsly.json_dumps(comparison.to_json(), indent=2) + "\n")
    if report is not None:
        names = Path(model_a).name, Path(model_b).name
        write_text(report, render_comparison(comparison, *names, name_of(data_path), limit))
    return comparison
