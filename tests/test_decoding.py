import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_spert.decoding import Decoder, best_non_overlapping

LABELS = ["KIN", "LIVES", "WORKS"]


def decode(pairs, scores, threshold=0.5, symmetric=(), labels=LABELS, n_tokens=10, **settings):
    decoder = Decoder(labels, relation_threshold=threshold, symmetric_labels=symmetric, **settings)
    pairs = numpy.asarray(pairs, dtype="int64").reshape(-1, 2)
    scores = numpy.asarray(scores, dtype="float32").reshape(-1, len(labels))
    return decoder.find_relations(pairs, scores, n_tokens).rows


def choose(spans, scores):
    spans = numpy.asarray(spans, dtype="int64").reshape(-1, 2)
    return best_non_overlapping(spans, numpy.asarray(scores, dtype="float32")).tolist()


# Relations


@pytest.mark.parametrize("threshold", [0.1, 0.25, 0.3, 0.4, 0.7, 0.9])
def test_threshold_is_inclusive(threshold):
    """Also where the threshold has no exact representation in single precision."""
    ((head, tail, label, score),) = decode([(0, 1)], [[0.0, threshold, 0.0]], threshold)
    assert (head, tail, label) == (0, 1, "LIVES")
    assert score == pytest.approx(threshold)


def test_below_the_threshold_is_nothing():
    just_below = numpy.nextafter(numpy.float32(0.4), numpy.float32(0.0))
    assert decode([(0, 1)], [[just_below] * 3], 0.4) == []


def test_threshold_zero_gives_every_label_of_every_pair():
    found = decode([(0, 1), (1, 0)], [[0.0, 0.0, 0.0], [0.5, 0.0, 0.0]], 0.0)
    assert [row[:3] for row in found] == [(i, 1 - i, label) for i in (0, 1) for label in LABELS]


def test_several_labels_of_a_pair():
    found = decode([(2, 0), (0, 2)], [[0.75, 0.25, 0.5], [0.0, 1.0, 0.0]])
    assert found == [(0, 2, "LIVES", 1.0), (2, 0, "KIN", 0.75), (2, 0, "WORKS", 0.5)]


@pytest.mark.parametrize("forward, back", [(0.75, 0.5), (0.5, 0.75)])
def test_symmetric_label_keeps_the_better_direction_in_textual_order(forward, back):
    found = decode([(0, 1), (1, 0)], [[forward, 0, 0], [back, 0, 0]], symmetric=["KIN"])
    assert found == [(0, 1, "KIN", 0.75)]


def test_symmetric_label_predicted_backwards_only():
    assert decode([(1, 0)], [[0.75, 0, 0]], symmetric=["KIN"]) == [(0, 1, "KIN", 0.75)]


def test_other_labels_keep_their_direction_beside_a_symmetric_one():
    found = decode([(0, 1), (1, 0)], [[0.0, 0.75, 0.0], [1.0, 0.5, 0.0]], symmetric=["KIN"])
    assert found == [(0, 1, "KIN", 1.0), (0, 1, "LIVES", 0.75), (1, 0, "LIVES", 0.5)]


def test_without_symmetric_labels_both_directions_stay():
    found = decode([(0, 1), (1, 0)], [[0.75, 0, 0], [0.5, 0, 0]])
    assert found == [(0, 1, "KIN", 0.75), (1, 0, "KIN", 0.5)]


def test_rows_are_plain_python_values():
    ((head, tail, label, score),) = decode([(0, 1)], [[0.75, 0, 0]])
    assert [type(value) for value in (head, tail, label, score)] == [int, int, str, float]


def test_no_pairs():
    assert decode([], []) == []


def test_no_relation_labels():
    decoder = Decoder([])
    pairs = numpy.asarray([[0, 1], [1, 0]])
    assert decoder.find_relations(pairs, numpy.zeros((2, 0), dtype="float32"), 5).rows == []


# Spans


@pytest.mark.parametrize(
    "spans, scores, expected",
    [
        ([], [], []),
        ([(0, 2), (2, 4)], [0.5, 0.6], [True, True]),
        ([(0, 2), (1, 3)], [0.5, 0.6], [False, True]),
        ([(0, 5), (2, 3)], [0.6, 0.5], [True, False]),
        ([(0, 5), (2, 3)], [0.5, 0.6], [False, True]),
        ([(0, 5), (1, 2), (3, 4)], [0.5, 0.6, 0.1], [False, True, True]),
        ([(0, 2), (0, 2)], [0.5, 0.6], [False, True]),
    ],
    ids=["none", "adjacent", "overlap", "nested-outer", "nested-inner", "inner-frees-another", "identical"],
)
def test_better_span_wins(spans, scores, expected):
    assert choose(spans, scores) == expected


def test_of_equal_scores_the_longer_span_wins():
    assert choose([(0, 1), (0, 3), (2, 3)], [0.5, 0.5, 0.5]) == [False, True, False]


def test_of_equal_scores_and_lengths_the_earlier_span_wins():
    assert choose([(1, 3), (0, 2), (2, 4)], [0.5, 0.5, 0.5]) == [False, True, True]


def test_chain_in_which_a_loser_does_not_block():
    """The second loses to the first, so that the third, which overlaps only the second, is chosen."""
    assert choose([(0, 2), (1, 4), (3, 5), (4, 7)], [0.9, 0.8, 0.7, 0.75]) == [True, False, False, True]
    assert choose([(0, 2), (1, 4), (3, 5)], [0.9, 0.8, 0.1]) == [True, False, True]


@given(
    st.lists(st.tuples(st.integers(0, 10), st.integers(1, 5), st.sampled_from([0.25, 0.5, 0.75])), max_size=10),
)
@settings(deadline=None)
def test_choice_equals_the_obvious_loop(rows):
    spans = [(start, start + width) for start, width, _ in rows]
    scores = [score for _, _, score in rows]
    order = sorted(range(len(rows)), key=lambda i: (-scores[i], spans[i][0] - spans[i][1], spans[i][0]))
    chosen = []
    for i in order:
        if all(spans[i][1] <= spans[j][0] or spans[j][1] <= spans[i][0] for j in chosen):
            chosen.append(i)
    assert choose(spans, scores) == [i in chosen for i in range(len(rows))]


def test_limit_keeps_the_highest_scores():
    scores = [[0.9, 0.5], [0.6, 0.8], [0.7, 0.4]]
    rows = decode([[0, 1], [1, 0], [0, 2]], scores, 0.4, labels=["A", "B"], n_tokens=2, relations_per_token=1.5)
    assert [(head, tail, label) for head, tail, label, _ in rows] == [(0, 1, "A"), (0, 2, "A"), (1, 0, "B")]
