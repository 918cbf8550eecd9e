"""Words a second of the pipeline without a transformer."""

from typing import Any, List

from spacy.tokens import Doc

import spacy_spert.ml.model

from .measure import Spread, compare
from .pipelines import Setup, fresh, places_in_spert, profile_pipe, read_docs, trained_nlp
from .report import Result, bars

TITLE = "tok2vec: words a second"
PROFILE = "tok2vec: where the time goes, in percent"
BATCH_SIZES = (1, 32, 128)


def measure(setup: Setup) -> Result:
    """Measure `nlp.pipe` with the components of `configs/spert_tok2vec.cfg`.

    setup (Setup): The setup.
    RETURNS (Result): The result.
    """
    nlp = trained_nlp(setup)
    docs = read_docs(nlp, setup.data)[: 16 if setup.quick else 512]
    n_words = sum(len(doc) for doc in docs)
    result = Result({TITLE: [], PROFILE: []})
    for batch_size in BATCH_SIZES[1:2] if setup.quick else BATCH_SIZES:

        def run(batch: List[Doc], batch_size: int = batch_size) -> List[Doc]:
            return list(nlp.pipe(batch, batch_size=batch_size))

        times = compare({"spert": run}, [docs], setup.repeats, lambda batch: [fresh(doc) for doc in batch])["spert"]
        predicted = run([fresh(doc) for doc in docs])
        result.tables[TITLE].append(
            {
                "batch": batch_size,
                "words": n_words,
                "entities": sum(len(doc.spans["spert"]) for doc in predicted),
                "relations": sum(len(doc._.relations) for doc in predicted),
                "words a second": Spread([n_words / seconds for seconds in times.wall.values]),
            }
        )
        places = [("embeddings", spacy_spert.ml.model, "predict_in_batches"), *places_in_spert(nlp.get_pipe("spert"))]
        result.tables[PROFILE].append({"batch": batch_size, **profile_pipe(nlp, docs, batch_size, places)})
    return result


def draw(result: Result, figure: Any) -> None:
    """Draw words a second by batch size."""
    rows = result.tables[TITLE]
    axes = figure.subplots()
    bars(axes, [str(row["batch"]) for row in rows], [row["words a second"] for row in rows])
    axes.set(xlabel="batch size", ylabel="words a second")
