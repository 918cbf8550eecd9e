"""`spacy spert evaluate`: all scores of a pipeline, per label."""

from pathlib import Path
from typing import Annotated, Any, Dict, List, Optional, Tuple

import srsly
import typer
from wasabi import msg

from . import app

TITLES = {"spans": "Entities", "rels": "Relations by boundaries", "rels_strict": "Relations, strict"}
HEADER = ("", "P", "R", "F", "support")


@app.command("evaluate")
def evaluate_cli(
    model: Annotated[str, typer.Argument(help="Name or path of the pipeline")],
    data_path: Annotated[Path, typer.Argument(help="Annotated data in spaCy's binary format", exists=True)],
    output: Annotated[Optional[Path], typer.Option("--output", "-o", help="JSON file for the scores")] = None,
    report: Annotated[Optional[Path], typer.Option("--report", "-r", help="HTML file with scores and drawings")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="Documents to draw in the report")] = 3,
    symmetric: Annotated[
        str, typer.Option("--symmetric", help="How relations without direction count: once, directed or twice")
    ] = "once",
    gpu_id: Annotated[int, typer.Option("--gpu-id", "-g", help="GPU ID, or -1 for CPU")] = -1,
) -> None:
    """
    Evaluate a pipeline with a 'spert' component: entities, relations by
    boundaries, and strict relations, whose entity labels must be right too.
    """
    from spacy.cli._util import setup_gpu

    setup_gpu(gpu_id, silent=False)
    try:
        scores, tables = evaluate(model, data_path, symmetric=symmetric, report=report, limit=limit)
    except (ValueError, OSError) as err:
        msg.fail("Can't evaluate", str(err), exits=1)
    for name, rows in tables:
        msg.divider(name)
        msg.table(rows[1:], header=rows[0], aligns=("l", "r", "r", "r", "r"))
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        srsly.write_json(output, scores)
        msg.good(f"Wrote the scores to {output}")
    if report is not None:
        msg.good(f"Wrote the report to {report}")


def evaluate(
    model: str,
    data_path: Path,
    *,
    symmetric: str = "once",
    report: Optional[Path] = None,
    limit: int = 3,
) -> Tuple[Dict[str, Any], List[Tuple[str, List[Tuple]]]]:
    """Score a pipeline's component on annotated data.

    model (str): Name or path of the pipeline.
    data_path (Path): Annotated data in spaCy's binary format.
    symmetric (str): How relations without direction count: "once", "directed" or "twice".
    report (Optional[Path]): Where to write a page with the tables and with drawings of documents.
    limit (int): How many documents to draw, those with the most predicted relations.
    RETURNS (Tuple[Dict[str, Any], List[Tuple[str, List[Tuple]]]]): The scores, and tables of them for people.
    RAISES (ValueError): If the pipeline has no such component, or the data no documents.
    """
    from spacy import util
    from spacy.training import Corpus

    from ..errors import Errors
    from ..pipeline import Spert
    from ..report import densest, render_report
    from ..scorer import SYMMETRIC, count_spert, score_spert

    if symmetric not in SYMMETRIC:
        raise ValueError(Errors.S033.format(value=symmetric, options=SYMMETRIC))
    nlp = util.load_model(model)
    component = next((pipe for _, pipe in nlp.pipeline if isinstance(pipe, Spert)), None)
    if component is None:
        raise ValueError(Errors.S040.format(model=model, names=nlp.pipe_names))
    examples = list(Corpus(data_path)(nlp))
    if not examples:
        raise ValueError(Errors.S041.format(path=data_path))
    for example, doc in zip(examples, nlp.pipe([example.predicted for example in examples])):
        example.predicted = doc
    settings = {
        "spans_key": component.cfg["spans_key"],
        "symmetric_labels": component.cfg["symmetric_labels"],
        "symmetric": symmetric,
    }
    scores = score_spert(examples, **settings)
    tables = [(TITLES[name], _rows(types)) for name, types in count_spert(examples, **settings).items()]
    if report is not None:
        report.parent.mkdir(parents=True, exist_ok=True)
        drawn = densest((example.predicted for example in examples), limit, settings["spans_key"])
        title = f"{Path(model).name} on {data_path.name}"
        report.write_text(render_report(title, drawn, tables, settings["spans_key"]), encoding="utf8")
    return scores, tables


def _rows(types: Dict[str, Any]) -> List[Tuple]:
    from spacy.scorer import PRFScore

    from ..scorer import macro

    def row(name: str, *values: float) -> Tuple:
        return (name, *(f"{value:.4f}" for value in values))

    rows = [(*row(label, *_values(score)), score.tp + score.fn) for label, score in types.items()]
    total = sum(types.values(), PRFScore())
    support = total.tp + total.fn
    columns = zip(*(_values(score) for score in types.values())) if types else [(), (), ()]
    rows.append((*row("micro", *_values(total)), support))
    rows.append((*row("macro", *(macro(column) for column in columns)), support))
    return [HEADER, *rows]


def _values(score: Any) -> Tuple[float, float, float]:
    return score.precision, score.recall, score.fscore
