"""Pairs of entities that type constraints keep from being scored."""

from collections import Counter
from dataclasses import replace
from typing import Any, Dict, Iterable, Mapping, Tuple

import numpy
from spacy.tokens import Doc

from ..alignment import visible_tokens
from ..decoding import Decoder
from ..ml.arrays import Found
from ..sentences import sentence_bounds


def count_removed_pairs(docs: Iterable[Doc], cfg: Mapping[str, Any]) -> Dict[Tuple[str, str], int]:
    """Count pairs of predicted entities that are near enough to be related, but by their types can't be.

    docs (Iterable[Doc]): Predicted documents.
    cfg (Mapping[str, Any]): The component's settings.
    RETURNS (Dict[Tuple[str, str], int]): Number of pairs by the labels of both, in alphabetical order; the most
        frequent first. There are none without constraints.
    """
    decoder = Decoder.from_config(cfg)
    if decoder.relation_types is None or not decoder.relations:
        return {}
    free = replace(decoder, relation_types=None)
    columns = {label: i for i, label in enumerate(decoder.entity_labels, start=1)}
    counts: Counter[Tuple[str, str]] = Counter()
    for doc in docs:
        entities = list(doc.spans.get(cfg["spans_key"], ()))
        if not entities:
            continue
        # White space counts in no distance, and sentences of nothing else in no scope.
        n_before = numpy.concatenate([[0], numpy.cumsum(visible_tokens(doc))])
        spans = n_before[numpy.asarray([(span.start, span.end) for span in entities])]
        labels = numpy.asarray([columns.get(span.label_, 0) for span in entities], dtype="int64")
        pairs = free.choose_pairs(Found.given(spans, labels), numpy.unique(n_before[sentence_bounds([doc])]))
        for one, other in pairs[~decoder.are_possible(labels[pairs])].tolist():
            first, second = sorted((entities[one].label_, entities[other].label_))
            counts[first, second] += 1
    return dict(counts.most_common())
