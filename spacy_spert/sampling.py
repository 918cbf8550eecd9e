"""What to learn from: spans, pairs, and negatives of both (section 3.4 of the paper). Index arrays only.

Spans are chosen before the model sees them; pairs are chosen of these when they are classified, as in prediction.
"""

from dataclasses import dataclass
from typing import List, Optional

import numpy

from .ml.arrays import NONE, Bools, Floats, Ints, Layout, Samples, no_rows
from .ml.candidates import all_spans, best_spans, both_orders, pairs_by_sentence, ranges


@dataclass(frozen=True)
class Sampling:
    """How spans are drawn.

    max_width (int): Longest span, in visible tokens.
    negative_spans (int): How many spans that are not entities to draw from each sentence.
    given (bool): Whether the entities are given, with their labels.
    relations_known (bool): Whether the relations are annotated. If not, no spans are paired.
    """

    max_width: int = 10
    negative_spans: int = 100
    given: bool = False
    relations_known: bool = True


@dataclass(frozen=True)
class Pairing:
    """Chooses the pairs to learn from: all that are related, and negatives.

    negatives (int): How many pairs of entities that are not related to draw from each sentence, and as many again of
        those that begin in it and end in another, if the reach allows any.
    weak (bool): Draw them from all spans instead of the entities.
    near_misses (int): Most spans of each sentence, of those that look like entities and are none, to pair with the
        entities as well.
    max_none (float): They look like entities if the probability of "none" is below this.
    max_distance (int): Most visible tokens between the spans of a negative pair; 0 for no limit.
    reach (int): Largest difference between the sentences of the two; 0 for the same sentence.
    """

    negatives: int = 100
    weak: bool = False
    near_misses: int = 0
    max_none: float = 0.9
    max_distance: int = 0
    reach: int = 0

    @property
    def uses_scores(self) -> bool:
        """Whether it asks what the classifier thinks of the spans."""
        return self.near_misses > 0

    def choose_pairs(self, samples: Samples, none: Optional[Floats], layout: Layout) -> Samples:
        """Add negative pairs to the related ones.

        samples (Samples): Spans, and those pairs that are related.
        none (Optional[Floats]): What the classifier takes for the probability that each span is not an entity, shape
            (n_spans,); not needed without near misses.
        layout (Layout): In which sentences and documents the spans lie.
        RETURNS (Samples): The samples with all pairs. Negatives are drawn with numpy's global generator, which spaCy
            seeds.
        """
        starts = samples.spans[:, 0]
        owners = layout.sentence_of(starts), layout.document_of(starts)
        pairs = self._unrelated(samples, *owners)
        if none is not None:
            pairs = numpy.concatenate([pairs, self._near_misses(samples, none, *owners)])
        return samples.add_unrelated(pairs)

    def _unrelated(self, samples: Samples, sentences: Ints, documents: Ints) -> Ints:
        """Draw from each sentence ordered pairs that are not related. Over gold entities these are the paper's strong
        negatives.

        The reverse of a related pair is a negative, also for a symmetric label: its gold is in textual order, and so
        the model learns to predict it in that order only.
        """
        pool = numpy.nonzero(samples.can_pair & (self.weak | (samples.span_labels != NONE)))[0]
        pool = pool[numpy.lexsort((samples.spans[pool, 1], samples.spans[pool, 0]))]
        n_spans = len(samples.spans)
        related = numpy.sort(_code(samples.pairs, n_spans))
        drawn = [no_rows()]
        for reach in sorted({0, self.reach}):
            for found in pairs_by_sentence(
                samples.spans[pool], sentences[pool], self.max_distance, reach, documents[pool]
            ):
                pairs = both_orders(pool[found])
                drawn.append(_draw(pairs[~_contains(related, _code(pairs, n_spans))], self.negatives))
        return numpy.concatenate(drawn)

    def _near_misses(self, samples: Samples, none: Floats, sentences: Ints, documents: Ints) -> Ints:
        """Pair entities with spans that look like entities and are none, in both orders: what a classifier of relations
        meets when the spans are those that it is given by a classifier of spans. Of pairs across sentences at most as
        many are drawn for each sentence as there are negatives.
        """
        n_sentences = int(sentences.max(initial=-1)) + 1
        near = numpy.nonzero((samples.span_labels == NONE) & (none < self.max_none))[0]
        near = near[best_spans(-none[near], sentences[near], numpy.full(n_sentences, self.near_misses))]
        entities = numpy.nonzero((samples.span_labels != NONE) & samples.can_pair)[0]
        entities = entities[numpy.argsort(sentences[entities], kind="stable")]
        first = numpy.searchsorted(sentences[entities], sentences[near] - self.reach)
        last = numpy.searchsorted(sentences[entities], sentences[near] + self.reach, side="right")
        first = numpy.maximum(first, numpy.searchsorted(documents[entities], documents[near]))
        last = numpy.minimum(last, numpy.searchsorted(documents[entities], documents[near], side="right"))
        counts = numpy.maximum(last - first, 0)
        one = entities[numpy.repeat(first, counts) + ranges(counts)]
        two = numpy.repeat(near, counts)
        if self.max_distance:
            spans = samples.spans
            gaps = numpy.maximum(spans[one, 0], spans[two, 0]) - numpy.minimum(spans[one, 1], spans[two, 1])
            one, two = one[gaps <= self.max_distance], two[gaps <= self.max_distance]
        across = numpy.nonzero(sentences[one] != sentences[two])[0]
        if len(across):
            limits = numpy.full(n_sentences, self.negatives // 2)
            scores = numpy.random.random_sample(len(across)).astype("float32")
            left_out = across[~best_spans(scores, sentences[two[across]], limits)]
            one, two = numpy.delete(one, left_out), numpy.delete(two, left_out)
        return both_orders(numpy.stack([one, two], axis=1))


def sample_spans(
    entities: Ints,
    entity_labels: Ints,
    relations: Ints,
    n_relation_labels: int,
    sentences: Ints,
    unknown: Bools,
    sampling: Sampling,
) -> Samples:
    """What to learn from a document: all entities, the pairs of them that are related, and negative spans.

    entities (Ints): The gold entities in visible tokens, sorted by start, then end, shape (n_entities, 2).
    entity_labels (Ints): Their columns, shape (n_entities,).
    relations (Ints): Head and tail as indices into entities, and the column of the label, shape (n_relations, 3).
    n_relation_labels (int): Number of relation labels.
    sentences (Ints): Bounds of the sentences in visible tokens, the first of them 0, shape (n_sentences + 1,).
    unknown (Bools): Which tokens are not annotated, so that no negative may touch them, shape (n_tokens,).
    sampling (Sampling): How to draw.
    RETURNS (Samples): Entities, then the negatives of each sentence; related pairs only, in the order of the entities.
    """
    spans: List[Ints] = [entities]
    firsts = numpy.searchsorted(entities[:, 0], sentences)
    for i, (start, end) in enumerate(zip(sentences[:-1].tolist(), sentences[1:].tolist())):
        gold = entities[firsts[i] : firsts[i + 1]] - start
        drawn = sample_negative_spans(unknown[start:end], sampling.max_width, gold, sampling.negative_spans)
        spans.append(drawn + start)
    pairs, rows = numpy.unique(relations[:, :2], axis=0, return_inverse=True)
    pair_labels = numpy.zeros((len(pairs), n_relation_labels), dtype="float32")
    pair_labels[rows.reshape(-1), relations[:, 2]] = 1.0
    n_spans = sum(map(len, spans))
    span_labels = numpy.full(n_spans, NONE)
    span_labels[: len(entities)] = entity_labels
    can_pair = numpy.full(n_spans, sampling.relations_known)
    return Samples(numpy.concatenate(spans), span_labels, can_pair, pairs, pair_labels, sampling.given)


def sample_negative_spans(unknown: Bools, max_width: int, gold: Ints, count: int) -> Ints:
    """Draw spans of a sentence that are not entities (section 3.4 of the paper).

    unknown (Bools): Which tokens are not annotated; no span that touches one is drawn. Shape (n_tokens,).
    max_width (int): Longest span.
    gold (Ints): The entities, shape (n_gold, 2), in tokens of the sentence.
    count (int): How many to draw; all of them if there are fewer.
    RETURNS (Ints): Distinct spans, shape (at most count, 2), drawn with numpy's global generator, which spaCy seeds.
    """
    n_tokens = len(unknown)
    spans = all_spans(n_tokens, max_width)
    n_unknown = numpy.concatenate([[0], numpy.cumsum(unknown)])
    is_known = n_unknown[spans[:, 0]] == n_unknown[spans[:, 1]]
    is_gold = _contains(numpy.sort(_code(gold, n_tokens + 1)), _code(spans, n_tokens + 1))
    return _draw(spans[is_known & ~is_gold], count)


def _draw(rows: Ints, count: int) -> Ints:
    if len(rows) <= count:
        return rows
    return rows[numpy.random.choice(len(rows), count, replace=False)]


def _code(pairs: Ints, base: int) -> Ints:
    """One number for each pair of numbers below base."""
    return pairs[:, 0] * base + pairs[:, 1]


def _contains(codes: Ints, others: Ints) -> Bools:
    """Which of the others are among codes, which are sorted."""
    return numpy.searchsorted(codes, others) < numpy.searchsorted(codes, others, side="right")
