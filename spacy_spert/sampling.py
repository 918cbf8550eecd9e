"""What to learn from: spans, pairs and negatives of both (section 3.4 of the paper). Index arrays only."""

from dataclasses import dataclass
from typing import List

import numpy

from .ml.arrays import NONE, Bools, Floats, Ints, Samples, no_rows
from .ml.candidates import all_spans, both_orders, pairs_across, pairs_within


@dataclass(frozen=True)
class Sampling:
    """How samples are drawn.

    max_width (int): Longest span, in visible tokens.
    negative_spans (int): How many spans that are not entities to draw from each sentence.
    negative_relations (int): How many pairs that are not related to draw from each sentence, and as many again of those
        that begin in it and end in another, if the reach allows any.
    max_distance (int): Most visible tokens between the two spans of a negative pair; 0 for no limit.
    reach (int): Largest difference between the sentences of the two; 0 for the same sentence.
    weak (bool): Draw negative pairs from all spans of the sample instead of the entities.
    given (bool): Whether the entities are given, with their labels.
    relations_known (bool): Whether the relations are annotated. If not, no pairs are learned from.
    """

    max_width: int = 10
    negative_spans: int = 100
    negative_relations: int = 100
    max_distance: int = 0
    reach: int = 0
    weak: bool = False
    given: bool = False
    relations_known: bool = True


def sample_sentences(
    entities: Ints,
    entity_labels: Ints,
    relations: Ints,
    n_relation_labels: int,
    sentences: Ints,
    unknown: Bools,
    sampling: Sampling,
) -> Samples:
    """What to learn from the sentences of a document.

    entities (Ints): The gold entities in visible tokens, sorted by start, then end, shape (n_entities, 2).
    entity_labels (Ints): Their columns, shape (n_entities,).
    relations (Ints): Head and tail as indices into entities, and the column of the label, shape (n_relations, 3).
    n_relation_labels (int): Number of relation labels.
    sentences (Ints): Bounds of the sentences in visible tokens, the first of them 0, shape (n_sentences + 1,).
    unknown (Bools): Which tokens are not annotated, so that no negative may touch them, shape (n_tokens,).
    sampling (Sampling): How to draw.
    RETURNS (Samples): The samples of all sentences, then the pairs across them.
    """
    parts: List[Samples] = [Samples.empty(n_relation_labels, sampling.given)]
    firsts = numpy.searchsorted(entities[:, 0], sentences)
    pairs, inverse = numpy.unique(relations[:, :2], axis=0, return_inverse=True)
    labels = numpy.zeros((len(pairs), n_relation_labels), dtype="float32")
    labels[inverse.reshape(-1), relations[:, 2]] = 1.0
    owners = numpy.searchsorted(sentences, entities[:, 0], side="right") - 1
    inside = owners[pairs[:, 0]] == owners[pairs[:, 1]]
    across, across_labels = pairs[~inside], labels[~inside]
    pairs, labels = pairs[inside], labels[inside]
    # They are sorted by head.
    bounds = numpy.searchsorted(pairs[:, 0], firsts)
    for i, (start, end) in enumerate(zip(sentences[:-1].tolist(), sentences[1:].tolist())):
        chosen, related = slice(firsts[i], firsts[i + 1]), slice(bounds[i], bounds[i + 1])
        part = sample_sentence(
            entities[chosen] - start,
            entity_labels[chosen],
            pairs[related] - firsts[i],
            labels[related],
            unknown[start:end],
            sampling,
        )
        part.spans += start
        parts.append(part)
    samples = Samples.concatenate(parts)
    if not sampling.reach:
        return samples
    # The entities come first in each sentence.
    n_before = numpy.cumsum([len(part.spans) for part in parts])
    rows = n_before[owners] + numpy.arange(len(entities)) - firsts[owners]
    samples = samples.add_pairs(rows[across], across_labels)
    return samples.add_unrelated(sample_across(samples.spans, rows, rows[across], sentences, sampling))


def sample_across(spans: Ints, entities: Ints, related: Ints, sentences: Ints, sampling: Sampling) -> Ints:
    """Draw ordered pairs of spans of different sentences that are not related.

    spans (Ints): The spans of all sentences of a document, shape (n_spans, 2).
    entities (Ints): Which of them are entities, shape (n_entities,).
    related (Ints): The related pairs, as indices into spans, shape (n_related, 2).
    sentences (Ints): Bounds of the sentences, in tokens as the spans, shape (n_sentences + 1,).
    sampling (Sampling): How to draw.
    RETURNS (Ints): Distinct pairs, as indices into spans, shape (n_pairs, 2).
    """
    pool = numpy.arange(len(spans)) if sampling.weak else entities
    pool = pool[numpy.lexsort((spans[pool, 1], spans[pool, 0]))]
    owners = numpy.searchsorted(sentences, spans[pool, 0], side="right") - 1
    count = sampling.negative_relations if sampling.relations_known else 0
    candidates = pairs_across(spans[pool], owners, sampling.max_distance, sampling.reach)
    drawn = [sample_negative_pairs(both_orders(pool[pairs]), related, count) for pairs in candidates]
    return numpy.concatenate([no_rows(), *drawn])


def sample_sentence(
    entities: Ints,
    entity_labels: Ints,
    related: Ints,
    relation_labels: Floats,
    unknown: Bools,
    sampling: Sampling,
) -> Samples:
    """What to learn from a sentence: all entities and relations, and negatives of both.

    entities (Ints): The gold entities, in tokens of the sentence, sorted by start, then end, shape (n_entities, 2).
    entity_labels (Ints): Their columns, shape (n_entities,).
    related (Ints): The related pairs, as indices into entities, shape (n_related, 2).
    relation_labels (Floats): 1.0 for each relation that holds, shape (n_related, n_relation_labels).
    unknown (Bools): Which tokens are not annotated, shape (n_tokens,).
    sampling (Sampling): How to draw.
    RETURNS (Samples): The samples, entities first and related pairs first.
    """
    negatives = sample_negative_spans(unknown, sampling.max_width, entities, sampling.negative_spans)
    spans = numpy.concatenate([entities, negatives])
    span_labels = numpy.concatenate([entity_labels, numpy.full(len(negatives), NONE)])
    pool = spans if sampling.weak else entities
    order = numpy.lexsort((pool[:, 1], pool[:, 0]))
    candidates = order[pairs_within(pool[order], numpy.zeros_like(order), sampling.max_distance)]
    count = sampling.negative_relations if sampling.relations_known else 0
    unrelated = sample_negative_pairs(both_orders(candidates), related, count)
    zeros = numpy.zeros((len(unrelated), relation_labels.shape[1]), dtype="float32")
    pair_labels = numpy.concatenate([relation_labels, zeros])
    can_pair = numpy.full(len(spans), sampling.relations_known)
    return Samples(spans, span_labels, can_pair, numpy.concatenate([related, unrelated]), pair_labels, sampling.given)


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
    is_gold = numpy.isin(_code(spans, n_tokens + 1), _code(gold, n_tokens + 1))
    return _draw(spans[is_known & ~is_gold], count)


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


def _draw(rows: Ints, count: int) -> Ints:
    if len(rows) <= count:
        return rows
    return rows[numpy.random.choice(len(rows), count, replace=False)]


def _code(pairs: Ints, base: int) -> Ints:
    """One number for each pair of numbers below base."""
    return pairs[:, 0] * base + pairs[:, 1]
