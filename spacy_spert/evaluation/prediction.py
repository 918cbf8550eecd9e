"""A pipeline's component run over annotated documents, also with thresholds so low that nearly everything comes out."""

from contextlib import contextmanager
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy
from spacy.language import Language
from spacy.pipeline.functions import DocCleaner
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import minibatch
from tqdm import tqdm  # type: ignore[import-untyped]

from ..alignment import TokenMap, gold_entities
from ..components import changed
from ..errors import Errors
from ..pipeline import Spert
from ..relations import Relation, get_relations
from .scored import DocumentRows, Doubles, Scored, gather, read_document

# The lowest score of a relation that is looked at beside those that come out.
FLOOR = 0.01
# Where given entities lie while the component runs.
GIVEN_KEY = "spacy_spert_given_entities"


class Predicted(NamedTuple):
    """A document with what came out, and what had a score.

    doc (Doc): The document as the pipeline leaves it, without the encoder's output.
    rows (DocumentRows): The candidates.
    relations (Sequence[Relation]): The candidate relations, on spans of the document.
    """

    doc: Doc
    rows: DocumentRows
    relations: Sequence[Relation]


def find_annotated(examples: Iterable[Example], key: str) -> Tuple[Dict[int, Example], int]:
    """Choose the documents whose entities are annotated.

    examples (Iterable[Example]): The documents.
    key (str): The span group of the annotation.
    RETURNS (Tuple[Dict[int, Example], int]): The annotated documents by their number from 1, and how many others
        there are.
    RAISES (ValueError): If none is annotated.
    """
    numbered = dict(enumerate(examples, start=1))
    chosen = {i: example for i, example in numbered.items() if gold_entities(example.reference, key) is not None}
    if not chosen:
        raise ValueError(Errors.S046.format(n=len(numbered), key=key))
    return chosen, len(numbered) - len(chosen)


@contextmanager
def entities_given(cfg: Dict[str, Any], examples: Iterable[Example]) -> Iterator[int]:
    """Let the component take the gold entities for a while.

    cfg (Dict[str, Any]): The component's settings.
    examples (Iterable[Example]): The documents, not predicted yet.
    YIELDS (int): How many gold entities can't be given, as they are not on predicted tokens.
    """
    unmapped = sum(_give_entities(example, cfg["spans_key"]) for example in examples)
    with changed(cfg, task="relations", entities_key=GIVEN_KEY):
        yield unmapped


def lowered(cfg: Mapping[str, Any], floor: float = FLOOR, *, raw: bool = False) -> Dict[str, Any]:
    """The settings with which nearly everything that has a score comes out.

    cfg (Mapping[str, Any]): The component's settings.
    floor (float): The lowest score of a relation.
    raw (bool): Give the scores as they are before any calibration.
    RETURNS (Dict[str, Any]): What to change, see `changed`.
    """
    values = {"relation_threshold": floor, "relation_thresholds": [], "entity_thresholds": [], "relations_per_token": 0}
    if raw:
        values["calibration"] = None
    return {name: value for name, value in values.items() if name in cfg}


def predict(
    nlp: Language,
    name: str,
    examples: Iterable[Example],
    *,
    symmetric: str = "once",
    floor: float = FLOOR,
    batch_size: Optional[int] = None,
    progress: bool = False,
) -> Iterator[Predicted]:
    """Run a pipeline over documents. The component runs twice on each: with low thresholds, and with its own.

    nlp (Language): The pipeline. Its settings are afterwards as they were.
    name (str): The name of the component.
    examples (Iterable[Example]): The documents. They get what is predicted.
    symmetric (str): How relations without direction count: "once", "directed" or "twice".
    floor (float): The lowest score of a relation that is a candidate.
    batch_size (Optional[int]): Documents at a time; by default the pipeline's batch_size.
    progress (bool): Show a progress bar, if there is a terminal.
    YIELDS (Predicted): For each document what was predicted.
    """
    spert: Spert = nlp.get_pipe(name)  # type: ignore[assignment]
    cfg, size = spert.cfg, batch_size or nlp.batch_size
    rest = nlp.pipe_names[nlp.pipe_names.index(name) :]
    clean = DocCleaner({"tensor": None, "_.trf_data": None}, silent=True)
    for batch, docs in _upstream(nlp, name, list(examples), size, progress):
        ents = [list(doc.ents) for doc in docs]
        with changed(cfg, **lowered(cfg, floor)):
            spert.set_annotations(docs, spert.predict(docs))
        found = [
            (_read(example, cfg, symmetric), get_relations(example.predicted, cfg["spans_key"])) for example in batch
        ]
        if cfg["task"] != "relations":
            for doc, before in zip(docs, ents):
                doc.set_ents(before)
        with nlp.select_pipes(enable=rest):
            docs = list(nlp.pipe(docs, batch_size=size))
        for example, doc, (rows, relations) in zip(batch, docs, found):
            doc.spans.pop(GIVEN_KEY, None)
            # The encoder's output of a whole corpus would need a lot of memory.
            example.predicted = clean(doc)
            yield Predicted(example.predicted, rows, relations)


def collect(
    nlp: Language,
    name: str,
    examples: Iterable[Example],
    *,
    symmetric: str = "once",
    floor: float = FLOOR,
    batch_size: Optional[int] = None,
    progress: bool = False,
) -> Scored:
    """Run a pipeline over documents and keep all candidates, with scores as they are before any calibration.

    nlp (Language): The pipeline. Its settings are afterwards as they were.
    name (str): The name of the component.
    examples (Iterable[Example]): The documents.
    symmetric (str): How relations without direction count: "once", "directed" or "twice".
    floor (float): The lowest score of a relation that is a candidate.
    batch_size (Optional[int]): Documents at a time; by default the pipeline's batch_size.
    progress (bool): Show a progress bar, if there is a terminal.
    RETURNS (Scored): The candidates, with logits of the entities unless they are given.
    """
    spert: Spert = nlp.get_pipe(name)  # type: ignore[assignment]
    cfg, given = spert.cfg, spert.cfg["task"] == "relations"
    rows: List[DocumentRows] = []
    logits = [numpy.zeros((0, 1 + len(spert.entity_labels)))]
    for batch, docs in _upstream(nlp, name, list(examples), batch_size or nlp.batch_size, progress):
        with changed(cfg, **lowered(cfg, floor, raw=True)):
            spert.set_annotations(docs, spert.predict(docs))
        read = [_read(example, cfg, symmetric) for example in batch]
        rows.extend(read)
        if not given:
            logits.append(_entity_logits(spert, docs, [each.chosen for each in read]))
        for example in batch:
            # Nothing more is needed of it.
            example.predicted = nlp.make_doc("")
    return gather(
        rows,
        spert.entity_labels,
        spert.relation_labels,
        logits=None if given else numpy.concatenate(logits),
        given=given,
    )


def _upstream(
    nlp: Language, name: str, examples: List[Example], size: int, progress: bool
) -> Iterator[Tuple[List[Example], List[Doc]]]:
    """Run what comes before the component, batch by batch."""
    first = nlp.pipe_names[: nlp.pipe_names.index(name)]
    with tqdm(total=len(examples), unit=" docs", leave=False, disable=None if progress else True) as bar:
        for batch in minibatch(examples, size):
            with nlp.select_pipes(enable=first):
                docs = list(nlp.pipe([example.predicted for example in batch], batch_size=size))
            for example, doc in zip(batch, docs):
                example.predicted = doc
            yield batch, docs
            bar.update(len(batch))


def _read(example: Example, cfg: Mapping[str, Any], symmetric: str) -> DocumentRows:
    return read_document(example, cfg["spans_key"], cfg["symmetric_labels"], symmetric)


def _entity_logits(spert: Spert, docs: List[Doc], chosen: List[List[int]]) -> Doubles:
    """The logits of some entities of each document, column 0 for none."""
    import torch
    from thinc.api import xp2torch

    from ..ml.encoders import predict_in_batches
    from ..ml.encoders.transformer import is_listener
    from ..ml.model import get_network, read_outputs

    offsets = numpy.cumsum([0, *(len(doc) for doc in docs)]).tolist()
    groups = [list(doc.spans[spert.cfg["spans_key"]]) for doc in docs]
    spans = [
        (group[i].start + offset, group[i].end + offset)
        for group, numbers, offset in zip(groups, chosen, offsets)
        for i in numbers
    ]
    if not spans:
        return numpy.zeros((0, 1 + len(spert.entity_labels)))
    encoder, network = spert.model.get_ref("tok2vec"), get_network(spert.model)
    outputs = encoder.predict(docs) if is_listener(encoder) else predict_in_batches(encoder, docs)
    states, layout = read_outputs(spert.model, docs, outputs)
    with torch.inference_mode():
        encoded = network.encode([xp2torch(state) for state in states], layout)
        places = layout.visible(numpy.asarray(spans, dtype="int64"))
        _, logits = network.classify(encoded, places, is_train=False)
    return logits.cpu().numpy().astype("float64")


def _give_entities(example: Example, key: str) -> int:
    """Write the gold entities on the predicted document, and count those that are not on its tokens."""
    to_predicted = TokenMap(example.reference, example.predicted, example)
    spans = gold_entities(example.reference, key) or []
    places = [(to_predicted.place(span), span.label_) for span in spans]
    mapped = sorted({(place.start, place.end, label) for place, label in places if not place.off})
    example.predicted.spans[GIVEN_KEY] = [Span(example.predicted, *place) for place in mapped]
    return sum(bool(place.off) for place, _ in places)
