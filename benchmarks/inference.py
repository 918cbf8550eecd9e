"""`nlp.pipe` with transformer and spert, and with the transformer alone."""

from typing import Any, Dict, List

from spacy.language import Language
from spacy.tokens import Doc

import spacy_spert.ml.model

from .pipelines import (
    Encoder,
    Setup,
    compare_with_alone,
    encoders,
    fresh,
    places_in_spert,
    profile_pipe,
    read_docs,
    trained_nlp,
)
from .report import Result, add_ratio, bars

TITLE = "Inference: milliseconds for a document"
PROFILE = "Inference: where the time goes, in percent"
BATCH_SIZES = (1, 8, 32, 128)
# Most documents to measure.
N_DOCS = {"small": 256, "base": 128}
TARGETS = {("small", 1): 1.09, ("small", 8): 1.05, ("small", 32): 1.03, ("base", 32): 1.02}


def measure(setup: Setup) -> Result:
    """Measure all batch sizes with all encoders.

    setup (Setup): The setup.
    RETURNS (Result): The result.
    """
    result = Result({TITLE: [], PROFILE: []})
    with encoders(setup) as found:
        for encoder in found:
            nlp = trained_nlp(setup, encoder.path)
            docs = read_docs(nlp, setup.data)[: 8 if setup.quick else N_DOCS[encoder.size]]
            for batch_size in BATCH_SIZES[1:2] if setup.quick else BATCH_SIZES:
                _compare(result, setup, encoder, nlp, docs, batch_size)
                result.tables[PROFILE].append(
                    {"encoder": encoder.name, "batch": batch_size, **_profile(nlp, docs, batch_size)}
                )
    return result


def _compare(result: Result, setup: Setup, encoder: Encoder, nlp: Language, docs: List[Doc], batch_size: int) -> None:
    times = compare_with_alone(nlp, docs, batch_size, setup.repeats)
    predicted = list(nlp.pipe([fresh(doc) for doc in docs], batch_size=batch_size))
    row = {
        "encoder": encoder.name,
        "batch": batch_size,
        "documents": len(docs),
        "entities": sum(len(doc.spans["spert"]) for doc in predicted),
        "relations": sum(len(doc._.relations) for doc in predicted),
    }
    what = f"inference over the transformer alone, {encoder.name}, batch {batch_size}"
    add_ratio(result, TITLE, row, times, len(docs), what, TARGETS.get((encoder.size, batch_size)))


def _profile(nlp: Language, docs: List[Doc], batch_size: int) -> Dict[str, float]:
    transformer, spert = nlp.get_pipe("transformer"), nlp.get_pipe("spert")
    places = [
        ("transformer: tokens to tensors", transformer, "predict"),
        ("transformer: encoder", transformer.model.layers[0].shims[0], "predict"),
        ("transformer: annotations", transformer, "set_annotations"),
        ("spert: order of wordpieces", spacy_spert.ml.model, "get_layout"),
        *places_in_spert(spert, "spert: "),
    ]
    return profile_pipe(nlp, docs, batch_size, places)


def draw(result: Result, figure: Any) -> None:
    """Draw the ratios."""
    rows = result.tables[TITLE]
    axes = figure.subplots()
    labels = [str(size) for size in dict.fromkeys(row["batch"] for row in rows)]
    names = list(dict.fromkeys(row["encoder"] for row in rows))
    for i, name in enumerate(names):
        ratios = [row["ratio"] for row in rows if row["encoder"] == name]
        bars(axes, labels, ratios, name, offset=0.4 * (i - (len(names) - 1) / 2), width=0.35)
    axes.axhline(1.0, color="black", linewidth=1)
    axes.set(xlabel="batch size", ylabel="time / transformer alone", ylim=(0.9, None))
    axes.legend()
