"""Which spans and which pairs of spans are looked at: index arrays only.

Tokens are numbered over the whole batch ("flat" tokens), sentences lie one after the other. A span is a row (start,
end) of flat token indices, end exclusive; a pair is a row (head, tail) of indices into an array of spans.
"""

from dataclasses import dataclass, field
from typing import Optional, Sequence

import numpy
from numpy.typing import NDArray

Ints = NDArray[numpy.int64]
Floats = NDArray[numpy.float32]
Bools = NDArray[numpy.bool_]

NONE = 0  # Column of the span scores that stands for "no entity".
UNKNOWN = -1  # In place of a column: nothing is to be learned about the label of this span.


def no_ints() -> Ints:
    """RETURNS (Ints): An empty array."""
    return numpy.zeros(0, dtype="int64")


@dataclass
class Samples:
    """Spans and pairs to train on, with what they are.

    spans (Ints): Flat token boundaries, shape (n_spans, 2).
    span_labels (Ints): Column of the gold label, NONE or UNKNOWN, shape (n_spans,).
    pairs (Ints): Head and tail as indices into spans, shape (n_pairs, 2).
    pair_labels (Floats): 1.0 for each relation that holds, shape (n_pairs, n_relation_labels).
    """

    spans: Ints
    span_labels: Ints
    pairs: Ints
    pair_labels: Floats

    @classmethod
    def empty(cls, n_relation_labels: int) -> "Samples":
        """Samples of nothing.

        n_relation_labels (int): Number of relation labels.
        RETURNS (Samples): No spans and no pairs.
        """
        no_rows = numpy.zeros((0, 2), dtype="int64")
        return cls(no_rows, no_rows[:, 0], no_rows, numpy.zeros((0, n_relation_labels), dtype="float32"))

    @classmethod
    def concatenate(cls, parts: Sequence["Samples"]) -> "Samples":
        """Put samples together whose indices fit each other already.

        parts (Sequence[Samples]): At least one.
        RETURNS (Samples): All of them.
        """
        return cls(
            numpy.concatenate([part.spans for part in parts]),
            numpy.concatenate([part.span_labels for part in parts]),
            numpy.concatenate([part.pairs for part in parts]),
            numpy.concatenate([part.pair_labels for part in parts]),
        )

    def shift(self, tokens: int, spans: int) -> "Samples":
        """The same samples with other numbers.

        tokens (int): To add to the tokens.
        spans (int): To add to the indices of spans.
        RETURNS (Samples): The renumbered samples.
        """
        return Samples(self.spans + tokens, self.span_labels, self.pairs + spans, self.pair_labels)

    def select(self, keep: Bools) -> "Samples":
        """Leave out spans, and with them the pairs they are part of.

        keep (Bools): Which spans stay, shape (n_spans,).
        RETURNS (Samples): The remaining spans and pairs, renumbered.
        """
        if keep.all():
            return self
        index = numpy.cumsum(keep) - 1
        keep_pairs = keep[self.pairs].all(axis=1)
        return Samples(
            self.spans[keep], self.span_labels[keep], index[self.pairs[keep_pairs]], self.pair_labels[keep_pairs]
        )


@dataclass
class Search:
    """What to look at when predicting.

    spans (Optional[Ints]): Flat token boundaries of entities that are given, sorted by start, shape (n_spans, 2). By
        default all spans are classified, and those that come out as entities are paired.
    relations (bool): Whether to score pairs.
    max_distance (int): Most tokens between head and tail; 0 for no limit.
    entities_per_token (float): Most entities in a sentence for each of its tokens, which bounds the number of pairs
        when an untrained model takes most spans for entities; 0 for no limit.
    """

    spans: Optional[Ints] = None
    relations: bool = True
    max_distance: int = 0
    entities_per_token: float = 1.0


@dataclass
class Scores:
    """What the model makes of the candidates.

    spans (Ints): Flat token boundaries of the entities, sorted by start, then end, shape (n_spans, 2).
    span_labels (Ints): Column of the most probable label, shape (n_spans,). 0 where the entity was given.
    span_scores (Floats): Probability of that label, shape (n_spans,).
    pairs (Ints): Head and tail as indices into spans, shape (n_pairs, 2).
    pair_scores (Floats): Probability of each relation label, shape (n_pairs, n_relation_labels).
    dropped (Ints): For each sentence, how many entities were left out by entities_per_token, shape (n_sentences,).
    cut (Ints): Flat tokens that the encoder did not see, as its windows cut them off, ascending.
    """

    spans: Ints
    span_labels: Ints
    span_scores: Floats
    pairs: Ints
    pair_scores: Floats
    dropped: Ints
    cut: Ints = field(default_factory=no_ints)


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


def ranges(counts: Ints) -> Ints:
    """0..n-1 for every n in counts, one after the other."""
    total = int(counts.sum())
    return numpy.arange(total) - numpy.repeat(numpy.cumsum(counts) - counts, counts)


def sample_sentence(
    n_tokens: int,
    entities: Ints,
    entity_labels: Ints,
    related: Ints,
    relation_labels: Floats,
    *,
    max_width: int,
    negative_spans: int,
    negative_relations: int,
    max_distance: int = 0,
    weak: bool = False,
) -> Samples:
    """What to learn from a sentence: all entities and relations, and negatives of both (section 3.4 of the paper).

    n_tokens (int): Length of the sentence.
    entities (Ints): The gold entities, in tokens of the sentence, sorted by start, then end, shape (n_entities, 2).
    entity_labels (Ints): Their columns, shape (n_entities,).
    related (Ints): The related pairs, as indices into entities, shape (n_related, 2).
    relation_labels (Floats): 1.0 for each relation that holds, shape (n_related, n_relation_labels).
    max_width (int): Longest span.
    negative_spans (int): How many spans that are no entities to draw.
    negative_relations (int): How many pairs that are not related to draw.
    max_distance (int): Most tokens between the two spans of a negative pair; 0 for no limit.
    weak (bool): Draw negative pairs from all spans of the sample instead of the entities.
    RETURNS (Samples): The samples, entities first and related pairs first.
    """
    negatives = sample_negative_spans(n_tokens, max_width, entities, negative_spans)
    spans = numpy.concatenate([entities, negatives])
    span_labels = numpy.concatenate([entity_labels, numpy.full(len(negatives), NONE)])
    pool = spans if weak else entities
    order = numpy.lexsort((pool[:, 1], pool[:, 0]))
    candidates = order[pairs_within(pool[order], numpy.zeros_like(order), max_distance)]
    unrelated = sample_negative_pairs(both_orders(candidates), related, negative_relations)
    zeros = numpy.zeros((len(unrelated), relation_labels.shape[1]), dtype="float32")
    pair_labels = numpy.concatenate([relation_labels, zeros])
    return Samples(spans, span_labels, numpy.concatenate([related, unrelated]), pair_labels)


def sample_negative_spans(n_tokens: int, max_width: int, gold: Ints, count: int) -> Ints:
    """Draw spans of a sentence that are no entities (section 3.4 of the paper).

    n_tokens (int): Length of the sentence.
    max_width (int): Longest span.
    gold (Ints): The entities, shape (n_gold, 2), in tokens of the sentence.
    count (int): How many to draw; all of them if there are fewer.
    RETURNS (Ints): Distinct spans, shape (at most count, 2), drawn with numpy's global generator, which spaCy seeds.
    """
    spans = all_spans(n_tokens, max_width)
    is_gold = numpy.isin(_code(spans, n_tokens + 1), _code(gold, n_tokens + 1))
    return _draw(spans[~is_gold], count)


def sample_negative_pairs(pairs: Ints, related: Ints, count: int) -> Ints:
    """Draw ordered pairs of spans that are not related. Over gold entities these are the paper's strong negatives.

    The reverse of a related pair is a negative, also for a symmetric label: its gold is in textual order, and so the
    model learns to predict it in that order only.

    pairs (Ints): The pairs to draw from, each in both orders, shape (n_pairs, 2).
    related (Ints): The related pairs, shape (n_related, 2).
    count (int): How many to draw; all of them if there are fewer.
    RETURNS (Ints): Distinct pairs, shape (at most count, 2).
    """
    base = int(max(pairs.max(initial=0), related.max(initial=0))) + 1
    return _draw(pairs[~numpy.isin(_code(pairs, base), _code(related, base))], count)


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


def _draw(rows: Ints, count: int) -> Ints:
    if len(rows) <= count:
        return rows
    return rows[numpy.random.choice(len(rows), count, replace=False)]


def _code(pairs: Ints, base: int) -> Ints:
    """One number for each pair of numbers below base."""
    return pairs[:, 0] * base + pairs[:, 1]
