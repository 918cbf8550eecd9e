"""Which spans and which pairs of spans there are: index arithmetic only."""

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


def pairs_within(spans: Ints, sentences: Ints, max_distance: int) -> Ints:
    """All pairs of spans that share a sentence and are near enough.

    spans (Ints): Flat token boundaries, sorted by start, shape (n_spans, 2).
    sentences (Ints): Sentence of each span, ascending, shape (n_spans,).
    max_distance (int): Most tokens between the two spans; 0 for no limit.
    RETURNS (Ints): Pairs (first, second) in the order of the spans, each once, shape (n_pairs, 2). Pairs of spans with
        the same boundaries are left out.
    """
    if not len(spans):
        return numpy.zeros((0, 2), dtype="int64")
    last = numpy.searchsorted(sentences, sentences, side="right")
    if max_distance:
        near = numpy.searchsorted(spans[:, 0], spans[:, 1] + max_distance, side="right")
        last = numpy.minimum(last, near)
    first = numpy.arange(len(spans))
    counts = numpy.maximum(last - first - 1, 0)
    left = numpy.repeat(first, counts)
    right = left + 1 + ranges(counts)
    differ = (spans[left] != spans[right]).any(axis=1)
    return numpy.stack([left[differ], right[differ]], axis=1)


def near_miss_pairs(
    spans: Ints, is_entity: Bools, none: Floats, sentences: Ints, *, number: int, max_none: float, max_distance: int
) -> Ints:
    """Pairs of entities with spans that look like entities and are none: what a classifier of relations meets when the
    spans are those that it is given by a classifier of spans.

    spans (Ints): The spans, shape (n_spans, 2).
    is_entity (Bools): Which of them are entities, shape (n_spans,).
    none (Floats): What the classifier of spans takes for the probability that they are not entities, shape (n_spans,).
    sentences (Ints): Sentence of each span, shape (n_spans,).
    number (int): Most near misses of each sentence, those with the lowest probability.
    max_none (float): They must be below this probability.
    max_distance (int): Most tokens between the two spans; 0 for no limit.
    RETURNS (Ints): Pairs of an entity and a near miss in both orders, shape (n_pairs, 2).
    """
    near = numpy.nonzero(~is_entity & (none < max_none))[0]
    near = near[best_spans(-none[near], sentences[near], numpy.full(int(sentences.max(initial=-1)) + 1, number))]
    entities = numpy.nonzero(is_entity)[0]
    entities = entities[numpy.argsort(sentences[entities], kind="stable")]
    first = numpy.searchsorted(sentences[entities], sentences[near])
    counts = numpy.searchsorted(sentences[entities], sentences[near], side="right") - first
    one = entities[numpy.repeat(first, counts) + ranges(counts)]
    two = numpy.repeat(near, counts)
    if max_distance:
        gaps = numpy.maximum(spans[one, 0], spans[two, 0]) - numpy.minimum(spans[one, 1], spans[two, 1])
        one, two = one[gaps <= max_distance], two[gaps <= max_distance]
    return both_orders(numpy.stack([one, two], axis=1))
