import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_spert.ml.arrays import Layout, Samples
from spacy_spert.ml.candidates import (
    all_spans,
    best_spans,
    both_orders,
    pairs_by_sentence,
    pairs_within,
    ranges,
)
from spacy_spert.sampling import Pairing, Sampling, sample_negative_spans, sample_spans


def rows(*pairs):
    return numpy.asarray(pairs, dtype="int64").reshape(-1, 2)


def tuples(array):
    return [tuple(row) for row in array.tolist()]


def distance(one, two):
    """Tokens strictly between two spans."""
    return max(0, max(one[0], two[0]) - min(one[1], two[1]))


def samples():
    """Three spans and three pairs over them."""
    return Samples(
        rows((0, 1), (2, 4), (5, 6)),
        numpy.asarray([1, 0, 2]),
        numpy.ones(3, dtype=bool),
        rows((0, 1), (2, 0), (1, 2)),
        numpy.asarray([[1.0], [0.0], [1.0]], dtype="float32"),
    )


def divided(*bounds, documents=()):
    """Sentences, and where documents begin, of tokens with a wordpiece each."""
    n_tokens = numpy.arange(bounds[-1] + 1)
    starts = numpy.asarray(documents, dtype="int64")
    return Layout(n_tokens[:-1], n_tokens[:-1], n_tokens, numpy.asarray(bounds), documents=starts)


@pytest.fixture(autouse=True)
def seed():
    numpy.random.seed(0)


# Enumeration


@given(st.integers(0, 12), st.integers(1, 15))
@settings(deadline=None)
def test_all_spans_equals_a_comprehension(n_tokens, max_width):
    expected = [(i, i + w) for w in range(1, max_width + 1) for i in range(n_tokens - w + 1)]
    assert tuples(all_spans(n_tokens, max_width)) == expected


def test_all_spans_of_no_tokens_has_two_columns():
    assert all_spans(0, 3).shape == (0, 2)


@pytest.mark.parametrize(
    "counts, expected",
    [([], []), ([0], []), ([3], [0, 1, 2]), ([2, 0, 3], [0, 1, 0, 1, 2]), ([0, 1, 0], [0])],
)
def test_ranges(counts, expected):
    assert ranges(numpy.asarray(counts, dtype="int64")).tolist() == expected


def test_both_orders_puts_the_reverse_after_each_pair():
    assert tuples(both_orders(rows((0, 1), (4, 2)))) == [(0, 1), (1, 0), (4, 2), (2, 4)]


def test_both_orders_of_nothing():
    assert both_orders(rows()).shape == (0, 2)


# Pairs


def test_pairs_stay_in_their_sentence():
    spans = rows((0, 1), (2, 3), (4, 5), (6, 7))
    assert tuples(pairs_within(spans, numpy.asarray([0, 0, 1, 1]), 0)) == [(0, 1), (2, 3)]


@pytest.mark.parametrize(
    "max_distance, expected", [(0, [(0, 1)]), (2, []), (3, [(0, 1)]), (4, [(0, 1)])], ids=["none", "2", "3", "4"]
)
def test_max_distance_is_inclusive(max_distance, expected):
    """Three tokens lie between the spans."""
    spans = rows((0, 2), (5, 6))
    assert tuples(pairs_within(spans, numpy.zeros(2, dtype="int64"), max_distance)) == expected


def test_pairs_of_identical_boundaries_are_left_out():
    spans = rows((0, 1), (0, 1), (2, 3))
    assert tuples(pairs_within(spans, numpy.zeros(3, dtype="int64"), 0)) == [(0, 2), (1, 2)]


def test_nested_and_overlapping_spans_are_paired():
    spans = rows((0, 2), (0, 5), (1, 2), (4, 7))
    found = tuples(pairs_within(spans, numpy.zeros(4, dtype="int64"), 1))
    # Two tokens lie between (0, 2) and (4, 7), and between (1, 2) and (4, 7).
    assert found == [(0, 1), (0, 2), (1, 2), (1, 3)]


def test_pairs_of_no_spans():
    assert pairs_within(rows(), numpy.zeros(0, dtype="int64"), 3).shape == (0, 2)


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 6)), max_size=10),
    st.integers(0, 6),
    st.lists(st.integers(1, 21), max_size=4),
    st.sampled_from([0, 0, 1, 2, 2**31]),
    st.integers(0, 4),
)
@settings(deadline=None)
def test_pairs_equal_a_double_loop(starts_widths, max_distance, borders, reach, new_document):
    """Sentences begin at the borders, and at one of them another document."""
    spans = sorted({(start, start + width) for start, width in starts_widths} | {(30, 31)})
    sentences = [sum(start >= border for border in borders) for start, _ in spans]
    documents = [int(sentence >= new_document) for sentence in sentences]
    expected = [
        (i, j)
        for i in range(len(spans))
        for j in range(i + 1, len(spans))
        if sentences[j] - sentences[i] <= reach and documents[i] == documents[j]
        if not max_distance or distance(spans[i], spans[j]) <= max_distance
    ]
    arrays = rows(*spans), numpy.asarray(sentences), max_distance, reach
    of_docs = [numpy.asarray(documents)] if any(documents) else [numpy.asarray(documents), None]
    for documents in of_docs:
        assert tuples(pairs_within(*arrays, documents)) == expected
        parts = [tuples(part) for part in pairs_by_sentence(*arrays, documents)]
        assert len(parts) == len(set(sentences))
        assert sum(parts, []) == [(i, j) for i, j in expected if not reach or sentences[i] != sentences[j]]
        assert all(len({sentences[i] for i, _ in part}) <= 1 for part in parts)


def test_pairs_by_sentence_of_no_spans():
    assert [tuples(part) for part in pairs_by_sentence(rows(), numpy.zeros(0, dtype="int64"), 3, 1)] == [[]]


# Negatives


GOLD = rows((0, 2), (3, 4), (3, 6))


def test_negative_spans_are_all_spans_but_gold_when_there_are_few():
    found = tuples(sample_negative_spans(KNOWN[:6], 3, GOLD, 100))
    assert sorted(found) == sorted(set(tuples(all_spans(6, 3))) - set(tuples(GOLD)))


@pytest.mark.parametrize("seed", range(5))
def test_negative_spans_are_distinct_and_never_gold(seed):
    numpy.random.seed(seed)
    found = tuples(sample_negative_spans(KNOWN[:6], 3, GOLD, 11))
    assert len(found) == len(set(found)) == 11
    assert set(found) <= set(tuples(all_spans(6, 3))) - set(tuples(GOLD))


def test_gold_spans_wider_than_the_limit_hide_no_candidate():
    """(0, 5) of a sentence of six tokens must not be taken for another span with the same code."""
    found = tuples(sample_negative_spans(KNOWN[:6], 2, rows((0, 5)), 100))
    assert found == tuples(all_spans(6, 2))


def test_no_negative_spans_on_request():
    assert sample_negative_spans(KNOWN[:6], 3, GOLD, 0).shape == (0, 2)


def test_negative_spans_follow_the_seed():
    draws = []
    for seed in (7, 7, 8):
        numpy.random.seed(seed)
        draws.append(tuples(sample_negative_spans(KNOWN[:30], 5, GOLD, 10)))
    assert draws[0] == draws[1] != draws[2]


def test_every_negative_span_can_be_drawn():
    seen = set()
    for _ in range(60):
        seen.update(tuples(sample_negative_spans(KNOWN[:4], 2, rows((0, 1)), 3)))
    assert seen == set(tuples(all_spans(4, 2))) - {(0, 1)}


def entities_in_a_row(n, related):
    """Samples of n entities of a token each."""
    spans = numpy.stack([numpy.arange(n), numpy.arange(n) + 1], axis=1)
    labels = numpy.ones((len(related), 1), dtype="float32")
    return Samples(spans, numpy.ones(n, dtype="int64"), numpy.ones(n, dtype=bool), related, labels)


def test_negative_pairs_are_all_unrelated_pairs_when_there_are_few():
    found = Pairing().choose_pairs(entities_in_a_row(3, rows((0, 1), (2, 1))), None, divided(0, 3))
    assert tuples(found.pairs) == [(0, 1), (2, 1), (1, 0), (0, 2), (2, 0), (1, 2)]
    assert found.pair_labels[:, 0].tolist() == [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("seed", range(5))
def test_negative_pairs_are_distinct_and_never_related(seed):
    numpy.random.seed(seed)
    related = rows((0, 1), (5, 4))
    found = tuples(Pairing(20).choose_pairs(entities_in_a_row(6, related), None, divided(0, 6)).pairs)
    assert len(found) == len(set(found)) == 22
    assert found[:2] == tuples(related)


def test_negative_pairs_of_nothing():
    assert Pairing().choose_pairs(Samples.empty(2), None, divided(0)).pairs.shape == (0, 2)


# Samples of a sentence


# Every token is annotated.
KNOWN = numpy.zeros(50, dtype=bool)
ENTITIES = rows((0, 1), (2, 4), (2, 5), (7, 8))
ENTITY_LABELS = numpy.asarray([1, 2, 1, 3])
RELATED = rows((0, 1), (3, 0))
RELATION_LABELS = numpy.asarray([[1.0, 1.0], [1.0, 0.0]], dtype="float32")


# Head, tail and column of the label.
RELATIONS = numpy.asarray([(3, 0, 0), (0, 1, 0), (0, 1, 1)])


def draw(negative_spans=100, negatives=100, weak=False, max_distance=0, **settings):
    sampling = Sampling(3, negative_spans, **settings)
    sentences = numpy.asarray([0, 8])
    spans = sample_spans(ENTITIES, ENTITY_LABELS, RELATIONS, 2, sentences, KNOWN[:8], sampling)
    return Pairing(negatives, weak, max_distance=max_distance).choose_pairs(spans, None, divided(*sentences))


def test_entities_come_first_with_their_labels_and_negatives_are_none():
    drawn = draw(negative_spans=5)
    assert tuples(drawn.spans[:4]) == tuples(ENTITIES)
    assert drawn.span_labels.tolist() == [1, 2, 1, 3, 0, 0, 0, 0, 0]
    assert not set(tuples(drawn.spans[4:])) & set(tuples(ENTITIES))


def test_related_pairs_come_first_with_their_labels():
    drawn = draw()
    assert tuples(drawn.pairs[:2]) == tuples(RELATED)
    assert drawn.pair_labels[:2].tolist() == RELATION_LABELS.tolist()
    assert not drawn.pair_labels[2:].any()


def test_strong_negatives_are_all_other_ordered_pairs_of_entities():
    found = tuples(draw().pairs[2:])
    expected = {(i, j) for i in range(4) for j in range(4) if i != j} - set(tuples(RELATED))
    assert len(found) == len(expected)
    assert set(found) == expected


def test_strong_negatives_keep_to_the_distance():
    found = set(tuples(draw(max_distance=2).pairs[2:]))
    # Between entity 3 and entities 0, 1, 2 lie 6, 3 and 2 tokens.
    assert found == {(1, 0), (0, 2), (2, 0), (1, 2), (2, 1), (2, 3), (3, 2)}


def test_weak_negatives_are_pairs_of_any_spans_of_the_sample():
    drawn = draw(negative_spans=3, weak=True)
    found = tuples(drawn.pairs[2:])
    expected = {(i, j) for i in range(7) for j in range(7) if i != j} - set(tuples(RELATED))
    assert len(found) == len(expected)
    assert set(found) == expected


def test_weak_negatives_keep_to_the_distance():
    """The sampled spans lie in any order between the entities."""
    drawn = draw(negative_spans=6, weak=True, max_distance=1)
    spans = tuples(drawn.spans)
    expected = {(i, j) for i in range(10) for j in range(10) if i != j and distance(spans[i], spans[j]) <= 1}
    assert set(tuples(drawn.pairs[2:])) == expected - set(tuples(RELATED))


@pytest.mark.parametrize("weak", [False, True])
def test_count_bounds_negative_pairs(weak):
    drawn = draw(negatives=3, weak=weak)
    assert len(drawn.pairs) == len(set(tuples(drawn.pairs))) == 5
    assert drawn.pair_labels.shape == (5, 2)


@pytest.mark.parametrize("weak", [False, True])
def test_samples_follow_the_seed(weak):
    draws = []
    for seed in (3, 3, 4):
        numpy.random.seed(seed)
        drawn = draw(negative_spans=6, negatives=4, weak=weak)
        draws.append((tuples(drawn.spans), tuples(drawn.pairs)))
    assert draws[0] == draws[1] != draws[2]


def test_sentence_without_entities_has_negative_spans_only():
    nothing, sentences = numpy.zeros(0, dtype="int64"), numpy.asarray([0, 3])
    drawn = sample_spans(rows(), nothing, nothing.reshape(0, 3), 2, sentences, KNOWN[:3], Sampling(2))
    drawn = Pairing().choose_pairs(drawn, None, divided(*sentences))
    assert tuples(drawn.spans) == [(0, 1), (1, 2), (2, 3), (0, 2), (1, 3)]
    assert drawn.span_labels.tolist() == [0] * 5
    assert drawn.pairs.shape == (0, 2)
    assert drawn.pair_labels.shape == (0, 2)


# Limits


def test_best_spans_keeps_the_best_of_each_sentence():
    scores = numpy.asarray([0.1, 0.9, 0.5, 0.3, 0.2], dtype="float32")
    kept = best_spans(scores, numpy.asarray([0, 0, 0, 1, 1]), numpy.asarray([2, 1]))
    assert kept.tolist() == [False, True, True, True, False]


def test_best_spans_keeps_all_within_the_limits():
    scores = numpy.asarray([0.1, 0.9], dtype="float32")
    assert best_spans(scores, numpy.asarray([0, 2]), numpy.asarray([1, 0, 1])).tolist() == [True, True]


def test_best_spans_limits_only_the_sentence_that_has_too_many():
    scores = numpy.asarray([0.4, 0.1, 0.2, 0.3], dtype="float32")
    kept = best_spans(scores, numpy.asarray([0, 2, 2, 2]), numpy.asarray([5, 5, 2]))
    assert kept.tolist() == [True, False, True, True]


def test_best_spans_of_equal_scores_keeps_the_first():
    scores = numpy.full(3, 0.5, dtype="float32")
    assert best_spans(scores, numpy.zeros(3, dtype="int64"), numpy.asarray([2])).tolist() == [True, True, False]


# Renumbering


def test_concatenated_samples_point_at_their_own_spans():
    joined = Samples.concatenate([Samples.empty(1), samples(), samples()])
    assert len(joined.spans) == len(joined.span_labels) == 6
    ends = [tuple(map(tuple, ends)) for ends in joined.spans[joined.pairs].tolist()]
    assert ends == [((0, 1), (2, 4)), ((5, 6), (0, 1)), ((2, 4), (5, 6))] * 2
    assert tuples(joined.pairs) == [(0, 1), (2, 0), (1, 2), (3, 4), (5, 3), (4, 5)]
    assert joined.pair_labels[:, 0].tolist() == [1.0, 0.0, 1.0] * 2


def test_empty_samples_have_a_column_for_each_relation_label():
    empty = Samples.empty(3)
    assert empty.spans.shape == empty.pairs.shape == (0, 2)
    assert empty.span_labels.shape == (0,)
    assert empty.pair_labels.shape == (0, 3)


def test_further_unrelated_pairs():
    more = samples().add_unrelated(rows((2, 1), (1, 0)))
    assert tuples(more.pairs) == [(0, 1), (2, 0), (1, 2), (2, 1), (1, 0)]
    assert more.pair_labels[:, 0].tolist() == [1.0, 0.0, 1.0, 0.0, 0.0]
    assert len(samples().pairs) == 3


# Samples of some sentences


def test_sentences_have_samples_of_their_own():
    """Three sentences of 3, 2 and 4 tokens, the second without entities."""
    entities = rows((0, 1), (1, 3), (5, 7), (8, 9))
    relations = numpy.asarray([(1, 0, 1), (2, 3, 0), (1, 0, 0)])
    sentences = numpy.asarray([0, 3, 5, 9])
    drawn = sample_spans(entities, numpy.asarray([1, 2, 1, 3]), relations, 2, sentences, KNOWN[:9], Sampling(2))
    spans = tuples(drawn.spans)
    assert spans[:4] == tuples(entities)
    assert spans[4:7] == [(1, 2), (2, 3), (0, 2)]
    assert spans[7:10] == [(3, 4), (4, 5), (3, 5)]
    assert all(5 <= start < end <= 9 for start, end in spans[10:])
    assert len(spans) == len(set(spans)) == 5 + 3 + 7
    assert drawn.span_labels.tolist() == [1, 2, 1, 3, *[0] * 11]
    assert tuples(drawn.pairs) == [(1, 0), (2, 3)]
    assert drawn.pair_labels.tolist() == [[1.0, 1.0], [1.0, 0.0]]
    paired = Pairing().choose_pairs(drawn, None, divided(*sentences))
    assert tuples(paired.pairs) == [(1, 0), (2, 3), (0, 1), (3, 2)]
    assert paired.pair_labels.tolist() == [[1.0, 1.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]


def test_no_sentences():
    nothing = numpy.zeros(0, dtype="int64")
    sentences = numpy.asarray([4])
    drawn = sample_spans(rows(), nothing, nothing.reshape(0, 3), 2, sentences, KNOWN[:0], Sampling())
    assert drawn.spans.shape == drawn.pairs.shape == (0, 2)
    assert Pairing().choose_pairs(drawn, None, divided(*sentences)).pairs.shape == (0, 2)


# Two entities in each of three sentences of 4 tokens. Related: in the first, and across to the second and the third.
ACROSS = rows((0, 1), (2, 4), (4, 5), (6, 7), (8, 9), (11, 12))
ACROSS_RELATIONS = numpy.asarray([(1, 0, 1), (2, 1, 0), (2, 1, 1), (0, 5, 1)])
ACROSS_BOUNDS = numpy.asarray([0, 4, 8, 12])


def draw_across(relations=ACROSS_RELATIONS, negative_spans=0, relations_known=True, **pairing):
    sampling = Sampling(2, negative_spans, relations_known=relations_known)
    labels = numpy.asarray([1, 2, 3, 1, 2, 3])
    drawn = sample_spans(ACROSS, labels, relations, 2, ACROSS_BOUNDS, KNOWN[:12], sampling)
    drawn = Pairing(**pairing).choose_pairs(drawn, None, divided(*ACROSS_BOUNDS))
    spans = tuples(drawn.spans)
    pairs = [(spans[head], spans[tail]) for head, tail in drawn.pairs.tolist()]
    assert len(set(pairs)) == len(pairs)
    return drawn, pairs, dict(zip(pairs, drawn.pair_labels.tolist()))


def sentence(span):
    return span[0] // 4


@pytest.mark.parametrize("reach", [2, 2**31])
def test_pairs_across_sentences_within_reach(reach):
    _, pairs, labels = draw_across(reach=reach)
    entities = tuples(ACROSS)
    assert set(pairs) == {(one, two) for one in entities for two in entities if one != two}
    related = {pair: row for pair, row in labels.items() if any(row)}
    assert related == {
        ((2, 4), (0, 1)): [0.0, 1.0],
        ((4, 5), (2, 4)): [1.0, 1.0],
        ((0, 1), (11, 12)): [0.0, 1.0],
    }


def test_pairs_of_neighbouring_sentences():
    _, pairs, _ = draw_across(ACROSS_RELATIONS[:3], reach=1)
    apart = {abs(sentence(one) - sentence(two)) for one, two in pairs}
    assert apart == {0, 1}
    assert len(pairs) == 3 * 2 + 2 * 2 * 2 * 2


def test_distance_of_pairs_across_sentences():
    _, pairs, _ = draw_across(ACROSS_RELATIONS[:3], reach=2, max_distance=1)
    across = {(one, two) for one, two in pairs if sentence(one) < sentence(two)}
    assert across == {((2, 4), (4, 5)), ((6, 7), (8, 9))}


def test_as_many_negative_pairs_across_as_within_for_each_sentence():
    drawn, pairs, labels = draw_across(negatives=1, reach=2)
    negatives = [pair for pair in pairs if not any(labels[pair])]
    within = [sentence(one) for one, two in negatives if sentence(one) == sentence(two)]
    across = [min(sentence(one), sentence(two)) for one, two in negatives if sentence(one) != sentence(two)]
    assert (sorted(within), sorted(across)) == ([0, 1, 2], [0, 1])
    assert len(drawn.pairs) == 3 + 5


def test_weak_pairs_across_sentences_are_of_any_spans():
    drawn, pairs, _ = draw_across(negative_spans=100, negatives=10**6, reach=1, weak=True)
    spans = tuples(drawn.spans)
    assert len(spans) > len(ACROSS)
    near = {(one, two) for one in spans for two in spans if one != two and abs(sentence(one) - sentence(two)) <= 1}
    assert set(pairs) - {((0, 1), (11, 12))} == near


def test_a_wider_reach_changes_nothing_within_sentences():
    results = []
    for reach in (0, 2):
        numpy.random.seed(3)
        drawn, pairs, _ = draw_across(ACROSS_RELATIONS[:1], negative_spans=3, negatives=1, reach=reach)
        results.append((tuples(drawn.spans), [pair for pair in pairs if sentence(pair[0]) == sentence(pair[1])]))
    assert results[0] == results[1]


def test_unknown_relations_give_no_pairs_across():
    drawn, _, _ = draw_across(ACROSS_RELATIONS[:0], reach=2, relations_known=False)
    assert drawn.pairs.shape == (0, 2)


def test_no_negative_touches_what_is_not_annotated():
    unknown = numpy.asarray([False, False, True, False, False])
    found = tuples(sample_negative_spans(unknown, 3, rows((0, 1)), 100))
    assert set(found) == {(1, 2), (0, 2), (3, 4), (4, 5), (3, 5)}


def test_unknown_relations_give_no_pairs():
    drawn = draw(relations_known=False)
    assert tuples(drawn.pairs) == tuples(RELATED)
    assert not drawn.can_pair.any()
    assert draw().can_pair.all()


# Near misses


SPANS = rows((0, 1), (0, 2), (4, 5), (6, 7), (12, 13), (7, 8))
NONES = numpy.asarray([0.1, 0.5, 0.95, 0.2, 0.3, 0.7], dtype="float32")


def near(near_misses=20, documents=(), known=True, **pairing):
    """An entity, a span that looks like one, one that does not; then two entities and one that looks like one."""
    labels = numpy.asarray([1, 0, 0, 2, 1, 0])
    can_pair = numpy.full(6, known)
    samples = Samples(SPANS, labels, can_pair, rows(), numpy.zeros((0, 1), dtype="float32"))
    layout = divided(0, 6, 14, documents=documents)
    chosen = Pairing(near_misses=near_misses, **pairing).choose_pairs(samples, NONES, layout)
    assert not chosen.pair_labels.any()
    negatives = Pairing(near_misses=0, **pairing).choose_pairs(samples, None, layout)
    return tuples(chosen.pairs[len(negatives.pairs) :])


def test_near_misses_are_paired_with_the_entities_of_their_sentence():
    assert near() == [(0, 1), (1, 0), (3, 5), (5, 3), (4, 5), (5, 4)]


def test_what_does_not_look_like_an_entity_is_not_paired():
    assert near(max_none=0.6) == [(0, 1), (1, 0)]
    assert near(max_none=0.96)[:4] == [(0, 1), (1, 0), (0, 2), (2, 0)]


def test_the_nearest_misses_of_each_sentence():
    assert near(near_misses=1, max_none=0.96) == near()


def test_near_misses_keep_to_the_distance():
    assert near(max_distance=3) == [(0, 1), (1, 0), (3, 5), (5, 3)]


def test_no_near_misses():
    assert near(max_none=0.0) == near(near_misses=0) == near(known=False) == []
    assert Pairing(near_misses=5).uses_scores and not Pairing().uses_scores
    nothing = numpy.zeros(0, dtype="float32")
    found = Pairing(near_misses=5).choose_pairs(Samples.empty(1), nothing, divided(0))
    assert found.pairs.shape == (0, 2)


def test_near_misses_within_reach():
    within = near()
    found = near(reach=1)
    assert set(within) < set(found) and len(set(found)) == len(found)
    assert set(found) - set(within) == {(1, 3), (3, 1), (1, 4), (4, 1), (0, 5), (5, 0)}
    # Four tokens lie between the first miss and the entity that follows in the next sentence.
    assert set(near(reach=1, max_distance=4)) - set(within) == {(1, 3), (3, 1)}


def test_near_misses_of_other_documents_are_not_paired():
    assert near(reach=1, documents=[0, 6]) == near()


@pytest.mark.parametrize("negatives, n_pairs", [(0, 0), (1, 0), (2, 2 + 2), (4, 4 + 2), (100, 4 + 2)])
def test_pairs_of_near_misses_across_sentences_are_drawn(negatives, n_pairs):
    """Those of each sentence, in both orders."""
    within, found = near(), near(reach=1, negatives=negatives)
    assert set(within) < set(found) or not n_pairs
    assert len(found) == len(within) + n_pairs
    assert set(found) == {(two, one) for one, two in found}


def test_each_sentence_gets_its_own_entities(monkeypatch):
    """Walking all of them for each sentence would take the square of a document's length."""
    given_to = []

    def spy(unknown, max_width, entities, count):
        given_to.append(tuples(entities))
        return sample_negative_spans(unknown, max_width, entities, count)

    monkeypatch.setattr("spacy_spert.sampling.sample_negative_spans", spy)
    entities = rows(*((5 * i, 5 * i + 2) for i in range(40)))
    sampled = sample_spans(
        entities,
        numpy.ones(40, dtype="int64"),
        numpy.zeros((0, 3), dtype="int64"),
        1,
        numpy.arange(0, 201, 5),
        numpy.zeros(200, dtype=bool),
        Sampling(max_width=2),
    )
    assert given_to == [[(0, 2)]] * 40
    assert tuples(sampled.spans[sampled.span_labels == 1]) == tuples(entities)
