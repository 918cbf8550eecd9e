"""Entities from and to documents: those that are given to be related, and doc.ents, where none overlap."""

from typing import Dict, List, Optional, Sequence, Tuple

import numpy
from spacy.tokens import Doc, Span

from .alignment import trim, visible_tokens
from .decoding import best_non_overlapping
from .errors import Errors
from .ml.arrays import Floats, Given, Ints
from .relations import blocked_tokens, describe_doc
from .sentences import sentence_bounds


def given_entities(doc: Doc, key: Optional[str], name: str) -> List[Span]:
    """The entities to relate, for task "relations".

    Some may be the same but for white space at their edges, and would be related twice: of these the one with least.

    doc (Doc): The document.
    key (Optional[str]): The span group they are in; None for doc.ents.
    name (str): Name of the component, for messages.
    RETURNS (List[Span]): The entities, sorted.
    RAISES (ValueError): If there is no such group.
    """
    if key is not None and key not in doc.spans:
        raise ValueError(Errors.S032.format(name=name, doc=describe_doc(doc), key=key))
    spans = doc.ents if key is None else doc.spans[key]
    visible = visible_tokens(doc)
    least: Dict[Tuple[int, ...], Span] = {}
    for span in sorted(spans, key=len):
        start, end = trim(span.start, span.end, visible)
        place = (start, end) if start < end else (span.start, span.end)
        least.setdefault((*place, span.label, span.kb_id, span.id), span)
    return sorted(least.values(), key=lambda span: (span.start, span.end))


def given_spans(docs: Sequence[Doc], labels: Sequence[str], key: Optional[str], name: str) -> Given:
    """The given entities of a batch. What lies beyond the end of a sentence is cut.

    docs (Sequence[Doc]): The batch.
    labels (Sequence[str]): The entity labels of the component.
    key (Optional[str]): The span group the entities are in; None for doc.ents.
    name (str): Name of the component, for messages.
    RETURNS (Given): The entities in tokens of the batch, with the columns of their labels, 0 for unknown ones.
    RAISES (ValueError): If a document has no such group.
    """
    rows, columns = [], []
    index = {label: i for i, label in enumerate(labels, start=1)}
    offset = 0
    for doc in docs:
        for span in given_entities(doc, key, name):
            rows.append((span.start + offset, span.end + offset))
            columns.append(index.get(span.label_, 0))
        offset += len(doc)
    spans = numpy.asarray(rows, dtype="int64").reshape(-1, 2)
    bounds = sentence_bounds(docs)
    ends = bounds[numpy.searchsorted(bounds, spans[:, 0], side="right").clip(max=len(bounds) - 1)]
    spans[:, 1] = numpy.minimum(spans[:, 1], ends)
    return Given(spans, numpy.asarray(columns, dtype="int64"))


def set_ents(doc: Doc, spans: Sequence[Span], bounds: Ints, scores: Floats, overwrite: bool) -> None:
    """Write entities to doc.ents; of those that overlap, the best.

    doc (Doc): The document.
    spans (Sequence[Span]): The entities.
    bounds (Ints): Their first tokens and ends, shape (n_spans, 2).
    scores (Floats): Their probabilities, shape (n_spans,).
    overwrite (bool): Whether entities and blocked tokens of before are replaced. If not, nothing overlaps them.
    """
    kept = [] if overwrite else list(doc.ents)
    blocked = [] if overwrite else blocked_tokens(doc)
    taken = numpy.zeros(len(doc) + 1, dtype="int64")
    for ent in [*kept, *blocked]:
        taken[ent.start + 1 : ent.end + 1] = 1
    n_taken = numpy.cumsum(taken)
    free = n_taken[bounds[:, 0]] == n_taken[bounds[:, 1]]
    free[free] = best_non_overlapping(bounds[free], scores[free])
    doc.set_ents([*kept, *(span for span, chosen in zip(spans, free) if chosen)], blocked=blocked)
