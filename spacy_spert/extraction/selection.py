"""Which texts of a pool are most worth annotating: those that the pipeline is unsure of, spread over the pool.

A text counts by the entropy of what was found in it, in bits: of its entities, and of its relations, those below the
threshold included. From the most uncertain texts one after the other is chosen that has most of this and is farthest
from those chosen already (as k-means++ does, but without drawing). Farness is that of the encoder's output.
"""

import heapq
from typing import Any, Callable, Iterable, List, NamedTuple, Optional, Tuple

import numpy
from numpy.typing import NDArray
from spacy.language import Language
from spacy.tokens import Doc, SpanGroup
from spacy.util import minibatch

from ..components import changed, find_component
from ..decoding import relation_threshold
from ..relations import RELATIONS_ATTR, SCORES_ATTR
from .extractor import BATCH_SIZE, Extractor

Floats = NDArray[numpy.floating[Any]]

# Relations of less than this probability say little: less than 0.3 bits.
LOWEST = 0.05
# So many texts as will be selected are kept at a time, those of most uncertainty: the size of a pool doesn't matter.
CANDIDATES = 10
# Part of the mean uncertainty that each text has anyhow: where nothing was found, much may have been missed.
FLOOR = 0.1


class Candidate(NamedTuple):
    """A text that may be selected.

    uncertainty (float): The entropy of what was found in it, in bits.
    number (int): Its number in the pool, from 0, as a negative number: of equal ones the first is the better.
    vector (Floats): What it is about, shape (width,).
    key (Any): What stands for it.
    """

    uncertainty: float
    number: int
    vector: Floats
    key: Any


def select(
    nlp: Language,
    pool: Iterable[Tuple[Any, Any]],
    n: int,
    refuse: Callable[[Any, str], Any],
    *,
    component: Optional[str] = None,
    batch_size: int = BATCH_SIZE,
) -> List[Any]:
    """Select the texts most worth annotating.

    What is found in them here is not what the pipeline finds otherwise, as relations below the threshold count, and
    with them the entities and limits that depend on relations.

    nlp (Language): The pipeline.
    pool (Iterable[Tuple[Any, Any]]): What stands for each record, and the record, as `Extractor` takes it.
    n (int): How many.
    refuse (Callable[[Any, str], Any]): Called with what stands for a record that can't be used, and the reason.
    component (Optional[str]): The name of the component, needed only if there are several.
    batch_size (int): How many texts are processed at a time.
    RETURNS (List[Any]): What stands for the records selected, the one most worth first.
    """
    _, spert = find_component(nlp, component)
    cfg = spert.cfg
    minima = [[label, min(relation_threshold(cfg, label), LOWEST)] for label in spert.relation_labels]

    def appraise(doc: Doc) -> Tuple[float, Floats]:
        return entropy(_scores(doc.spans[cfg["spans_key"]])), embed(doc)

    extractor = Extractor(nlp, component=component, to_record=appraise)
    best: List[Candidate] = []
    number = 0
    with changed(cfg, relation_thresholds=minima):
        for batch in minibatch(pool, batch_size):
            for (key, _), found in zip(batch, extractor.batch([record for _, record in batch])):
                number += 1
                if isinstance(found, dict):
                    refuse(key, found["error"])
                    continue
                uncertainty, vector = found
                push = heapq.heappush if len(best) < CANDIDATES * n else heapq.heappushpop
                push(best, Candidate(uncertainty, -number, vector, key))
    best.sort(reverse=True)
    if not best:
        return []
    weights = numpy.asarray([candidate.uncertainty for candidate in best])
    # Where nothing at all was found the distances alone decide.
    weights += FLOOR * (weights.mean() or 1.0)
    chosen = spread(weights, _stack([each.vector for each in best]), n)
    return [best[i].key for i in chosen]


def entropy(probabilities: Floats) -> float:
    """How uncertain some independent decisions are.

    probabilities (Floats): The probability of each, shape (n,).
    RETURNS (float): The entropy of all, in bits.
    """
    p = numpy.clip(probabilities.astype("float64"), 1e-9, 1 - 1e-9)
    return float(-(p * numpy.log2(p) + (1 - p) * numpy.log2(1 - p)).sum())


def spread(weights: Floats, vectors: Floats, n: int) -> List[int]:
    """Choose rows of much weight that are far from each other.

    weights (Floats): The weights, shape (n_rows,).
    vectors (Floats): Their places, shape (n_rows, width). Their directions from the mean count.
    n (int): How many to choose.
    RETURNS (List[int]): The rows in the order in which they were chosen.
    """
    directions = vectors - vectors.mean(axis=0)
    directions /= numpy.maximum(numpy.linalg.norm(directions, axis=1, keepdims=True), 1e-9)
    # Squared distance to the nearest one that is chosen, and a trifle: of equal texts the weight decides.
    nearest = numpy.full(len(weights), 4.0)
    left = numpy.ones(len(weights), dtype=bool)
    chosen: List[int] = []
    for _ in range(min(n, len(weights))):
        row = int(numpy.argmax(numpy.where(left, weights * (nearest + 1e-6), -1.0)))
        chosen.append(row)
        left[row] = False
        numpy.minimum(nearest, numpy.maximum(2.0 - 2.0 * directions @ directions[row], 0.0), out=nearest)
    return chosen


def embed(doc: Doc) -> Floats:
    """What a document is about, as far as the pipeline says.

    doc (Doc): The processed document.
    RETURNS (Floats): The mean of the transformer's last hidden state over its wordpieces, else of `doc.tensor` over its
        tokens, else `doc.vector`, shape (width,); without all of these shape (0,).
    """
    data: Any = doc._.trf_data if Doc.has_extension("trf_data") else None
    if hasattr(data, "last_hidden_layer_state"):
        hidden = data.last_hidden_layer_state.dataXd
        return _mean(hidden, numpy.ones(len(hidden))) if hidden.size else numpy.zeros(0, dtype="float32")
    hidden = data and data.model_output.get("last_hidden_state")
    if hidden is not None and hidden.size:
        return _mean(hidden, data.wordpieces.attention_mask)
    if doc.tensor.ndim == 2 and doc.tensor.size:
        return _mean(doc.tensor, numpy.ones(len(doc.tensor)))
    return _to_numpy(doc.vector) if doc.vector.size else numpy.zeros(0, dtype="float32")


def _scores(group: SpanGroup) -> Floats:
    entities = numpy.asarray(group.attrs.get(SCORES_ATTR, ()), dtype="float32")
    relations = [row[3] for row in group.attrs.get(RELATIONS_ATTR, ())]
    return numpy.concatenate([entities, numpy.asarray(relations, dtype="float32")])


def _mean(rows: Any, mask: Any) -> Floats:
    """The mean over all dimensions but the last, of what the mask says."""
    rows, mask = _to_numpy(rows), _to_numpy(mask)
    return numpy.asarray(rows[mask > 0].mean(axis=0), dtype="float32")


def _to_numpy(array: Any) -> Any:
    return array.get() if hasattr(array, "get") else numpy.asarray(array)


def _stack(vectors: List[Floats]) -> Floats:
    """Vectors as rows. Those of empty documents are shorter, and zero."""
    rows = numpy.zeros((len(vectors), max(map(len, vectors))), dtype="float32")
    for row, vector in zip(rows, vectors):
        row[: len(vector)] = vector
    return rows
