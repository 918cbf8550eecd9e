"""What the heads of the plus recipe take beside the transformer, and what type constraints save."""

from typing import Any, List

from spacy.language import Language
from spacy.tokens import Doc

from spacy_spert.components import changed

from .measure import compare
from .pipelines import Setup, compare_with_alone, fresh, read_docs, trained_nlp
from .report import Result, Target, add_ratio, bars

TITLE = "Heads of the plus recipe: milliseconds for a document"
CONSTRAINTS = "Type constraints: milliseconds of the component for a document"
CONFIG = "spert_plus_small.cfg"
BATCH_SIZES = (1, 8, 32)
N_DOCS = 256
AT_MOST = {32: 1.08}


def measure(setup: Setup) -> Result:
    """Measure all batch sizes with the small encoder.

    setup (Setup): The setup.
    RETURNS (Result): The result.
    """
    result = Result({TITLE: [], CONSTRAINTS: []})
    nlp = trained_nlp(setup, setup.encoder, CONFIG)
    docs = read_docs(nlp, setup.data)[: 8 if setup.quick else N_DOCS]
    for batch_size in BATCH_SIZES[1:2] if setup.quick else BATCH_SIZES:
        _compare_heads(result, setup, nlp, docs, batch_size)
        _compare_constraints(result, setup, nlp, docs, batch_size)
    return result


def _compare_heads(result: Result, setup: Setup, nlp: Language, docs: List[Doc], batch_size: int) -> None:
    times = compare_with_alone(nlp, docs, batch_size, setup.repeats)
    what = f"heads of the plus recipe over the transformer alone, batch {batch_size}"
    add_ratio(result, TITLE, {"batch": batch_size}, times, len(docs), what, AT_MOST.get(batch_size))


def _compare_constraints(result: Result, setup: Setup, nlp: Language, docs: List[Doc], batch_size: int) -> None:
    spert: Any = nlp.get_pipe("spert")
    transformer = nlp.get_pipe("transformer")

    def run(batch: List[Doc]) -> None:
        spert.set_annotations(batch, spert.predict(batch))

    def run_constrained(batch: List[Doc]) -> None:
        with changed(spert.cfg, relation_types="learn"):
            run(batch)

    batches = [
        list(transformer.pipe([fresh(doc) for doc in docs[i : i + batch_size]]))
        for i in range(0, len(docs), batch_size)
    ]
    times = compare({"all": run, "possible": run_constrained}, batches, setup.repeats)
    ratio = times["possible"].wall / times["all"].wall
    scale = 1000 / len(docs)
    result.tables[CONSTRAINTS].append(
        {
            "batch": batch_size,
            "all pairs": times["all"].wall.scale(scale),
            "possible pairs": times["possible"].wall.scale(scale),
            "ratio": ratio,
        }
    )
    result.targets.append(Target(f"time with type constraints over that without, batch {batch_size}", ratio, 1.0))


def draw(result: Result, figure: Any) -> None:
    """Draw the ratios."""
    axes = figure.subplots()
    labels = [str(row["batch"]) for row in result.tables[TITLE]]
    bars(axes, labels, [row["ratio"] for row in result.tables[TITLE]], "over the transformer alone", width=0.5)
    axes.axhline(1.0, color="black", linewidth=1)
    axes.set(xlabel="batch size", ylabel="time / transformer alone", ylim=(0.9, None))
    axes.legend()
