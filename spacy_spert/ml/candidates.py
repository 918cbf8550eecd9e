"""Which spans and which pairs of spans there are: index arithmetic only."""

from typing import Iterator, Optional

import numpy

from .arrays import Bools, Floats, Ints


def ranges(counts: Ints) -> Ints:
    """0..n-1 for every n in counts, one after the other."""
    total = int(counts.sum())
    return numpy.arange(total) - numpy.repeat(numpy.cumsum(counts) - counts, counts)


def all_spans(n_tokens: int, max_width: int) -> Ints:
    """Every span of 1 to max_width tokens of a sentence, shorter ones first.

    n_tokens (int): Length of the sentence.
    max_width (int): Longest span.
    RETURNS (Ints): Start and end, shape (n_spans, 2).
    """
    widths = numpy.arange(1, min(max_width, n_tokens) + 1)
    counts = n_tokens - widths + 1
    starts = ranges(counts)
    return numpy.stack([starts, starts + numpy.repeat(widths, counts)], axis=1)


def both_orders(pairs: Ints) -> Ints:
    """Every pair, followed by its reverse.

    pairs (Ints): Shape (n_pairs, 2).
    RETURNS (Ints): Shape (2 * n_pairs, 2).
    """
    return numpy.stack([pairs, pairs[:, ::-1]], axis=1).reshape(-1, 2)


def best_spans(scores: Floats, sentences: Ints, limits: Ints) -> Bools:
    """Keep at most a given number of spans a sentence, those with the highest scores.

    scores (Floats): Score of each span, shape (n_spans,).
    sentences (Ints): Sentence of each span, shape (n_spans,).
    limits (Ints): Most spans to keep in each sentence, shape (n_sentences,).
    RETURNS (Bools): Which spans are kept, shape (n_spans,).
    """
    counts = numpy.bincount(sentences, minlength=len(limits))
    if (counts <= limits).all():
        return numpy.ones(len(scores), dtype=bool)
    order = numpy.lexsort((-scores, sentences))
    keep = numpy.empty(len(scores), dtype=bool)
    keep[order] = ranges(counts) < limits[sentences[order]]
    return keep


def pairs_within(
    spans: Ints, sentences: Ints, max_distance: int, reach: int = 0, documents: Optional[Ints] = None
) -> Ints:
    """All pairs of spans that share a sentence, or lie in sentences that are near enough, and are near enough
    themselves.

    spans (Ints): Flat token boundaries, sorted by start, shape (n_spans, 2).
    sentences (Ints): Sentence of each span, ascending, shape (n_spans,).
    max_distance (int): Most tokens between the two spans; 0 for no limit.
    reach (int): Largest difference between the sentences of the two; 0 for the same sentence.
    documents (Optional[Ints]): Document of each span, ascending, shape (n_spans,). By default there is one.
    RETURNS (Ints): Pairs (first, second) in the order of the spans, each once, shape (n_pairs, 2). Pairs of spans with
        the same boundaries are left out.
    """
    first = numpy.arange(len(spans))
    return _pair_up(spans, first, first + 1, _last_partners(spans, sentences, max_distance, reach, documents))


def pairs_by_sentence(
    spans: Ints, sentences: Ints, max_distance: int, reach: int = 0, documents: Optional[Ints] = None
) -> Iterator[Ints]:
    """All pairs of spans of a sentence, or all of different sentences, that are near enough, sentence by sentence, so
    that those of a long document need not be held at once.

    spans (Ints): Token boundaries, sorted by start, shape (n_spans, 2).
    sentences (Ints): Sentence of each span, ascending, shape (n_spans,).
    max_distance (int): Most tokens between the two spans; 0 for no limit.
    reach (int): 0 for the pairs within each sentence; else the largest difference between the sentences of the two, and
        only pairs of different ones.
    documents (Optional[Ints]): Document of each span, ascending, shape (n_spans,). By default there is one.
    YIELDS (Ints): For each sentence with spans the pairs that begin in it, the first span before the second, shape
        (n_pairs, 2). Pairs of spans with the same boundaries are left out.
    """
    rows = numpy.arange(len(spans))
    begin = numpy.searchsorted(sentences, sentences, side="right") if reach else rows + 1
    end = _last_partners(spans, sentences, max_distance, reach, documents)
    for part in numpy.split(rows, numpy.nonzero(numpy.diff(sentences))[0] + 1):
        yield _pair_up(spans, part, begin[part], end[part])


def _last_partners(spans: Ints, sentences: Ints, max_distance: int, reach: int, documents: Optional[Ints]) -> Ints:
    """For each span the one after the last that it may be paired with."""
    last = numpy.searchsorted(sentences, sentences + reach, side="right")
    if documents is not None:
        last = numpy.minimum(last, numpy.searchsorted(documents, documents, side="right"))
    if max_distance:
        last = numpy.minimum(last, numpy.searchsorted(spans[:, 0], spans[:, 1] + max_distance, side="right"))
    return last


def _pair_up(spans: Ints, rows: Ints, begin: Ints, end: Ints) -> Ints:
    """Pair each of the rows with the spans from `begin` to `end`, unless they have the same boundaries."""
    counts = numpy.maximum(end - begin, 0)
    left = numpy.repeat(rows, counts)
    right = numpy.repeat(begin, counts) + ranges(counts)
    differ = (spans[left] != spans[right]).any(axis=1)
    return numpy.stack([left[differ], right[differ]], axis=1)
