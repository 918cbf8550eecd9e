import math

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_spert.decoding import Decoder, best_non_overlapping, leave_unrelated_out
from spacy_spert.ml.arrays import Found, Windows
from spacy_spert.settings import DEFAULTS

LABELS = ["KIN", "LIVES", "WORKS"]
ENTITY_LABELS = ["PER", "LOC"]


def decode(pairs, scores, threshold=0.5, symmetric=(), labels=LABELS, columns=(1, 2, 2), n_tokens=10, **settings):
    decoder = Decoder(ENTITY_LABELS, labels, relation_threshold=threshold, symmetric_labels=symmetric, **settings)
    pairs = numpy.asarray(pairs, dtype="int64").reshape(-1, 2)
    scores = numpy.asarray(scores, dtype="float32").reshape(len(pairs), len(labels))
    return decoder.find_relations(pairs, numpy.asarray(columns), scores, n_tokens).rows


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
    assert decode([[0, 1], [1, 0]], numpy.zeros((2, 0)), labels=[]) == []


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


# Thresholds of labels


def test_a_label_may_have_a_threshold_of_its_own():
    scores = [[0.5, 0.5, 0.5]]
    assert [row[2] for row in decode([(0, 1)], scores, 0.4)] == LABELS
    found = decode([(0, 1)], scores, 0.4, relation_thresholds=[("LIVES", 0.6), ("WORKS", 0.5)])
    assert [row[2] for row in found] == ["KIN", "WORKS"]
    assert [row[2] for row in decode([(0, 1)], scores, 0.9, relation_thresholds=[["KIN", 0.1]])] == ["KIN"]


@pytest.mark.parametrize(
    "setting",
    [
        {"relation_thresholds": [("MARRIED", 0.5)]},
        {"entity_thresholds": [("WORKS", 0.5)]},
        {"relation_types": [("KIN", "PER", "MARS")]},
        {"calibration": {"relations": [("MARRIED", 1.0, 0.0)]}},
    ],
)
def test_settings_for_labels_that_there_are_not(setting):
    (name,) = setting
    with pytest.raises(ValueError, match=f"Setting {name} is for the label '(MARRIED|WORKS|MARS)', which"):
        Decoder(ENTITY_LABELS, LABELS, **setting)


# Entities


def windows(labels, scores, none):
    """One token a column, one width a row."""
    scores, none = (numpy.asarray(rows, dtype="float32") for rows in (scores, none))
    return Windows(numpy.asarray(labels), scores, scores, none)


WINDOWS = windows(
    [[1, 2, 1, 2], [1, 1, 2, 1]],
    [[0.9, 0.3, 0.6, 0.45], [0.2, 0.5, 0.8, 0.9]],
    [[0.05, 0.4, 0.2, 0.4], [0.7, 0.4, 0.1, 0.0]],
)


def find(sentences=(0, 4), **settings):
    found = Decoder(ENTITY_LABELS, LABELS, **settings).find_entities(WINDOWS, numpy.asarray(sentences))
    rows = zip(map(tuple, found.spans.tolist()), found.labels.tolist())
    return dict(rows), found.over_limit.tolist()


def test_an_entity_is_what_is_more_probable_than_none():
    # The last window leaves the sentence.
    assert find() == ({(0, 1): 1, (1, 3): 1, (2, 3): 1, (2, 4): 2, (3, 4): 2}, [])


def test_entities_keep_to_their_sentence():
    assert find((0, 2, 4)) == ({(0, 1): 1, (2, 3): 1, (2, 4): 2, (3, 4): 2}, [])


def test_thresholds_of_entities():
    assert find(entity_thresholds=[("PER", 0.6)])[0] == {(0, 1): 1, (2, 3): 1, (2, 4): 2, (3, 4): 2}
    assert find(entity_thresholds=[("PER", 0.95), ("LOC", 0.5)])[0] == {(2, 4): 2}


def test_the_best_entities_of_a_sentence_are_kept():
    assert find(entities_per_token=0.5) == ({(0, 1): 1, (2, 4): 2}, [[0, 4, 3]])
    assert find((0, 2, 4), entities_per_token=0.5) == ({(0, 1): 1, (2, 4): 2}, [[2, 2, 2]])


# Spans that are paired without being entities by themselves


def find_paired(**settings):
    decoder = Decoder(ENTITY_LABELS, LABELS, **settings)
    found = decoder.find_entities(WINDOWS, numpy.asarray([0, 4]))
    return dict(zip(map(tuple, found.spans.tolist()), found.is_entity.tolist())), found.over_limit.tolist()


def test_spans_that_may_be_entities_are_found_as_such():
    entities = {(0, 1): True, (1, 3): True, (2, 3): True, (2, 4): True, (3, 4): True}
    assert find_paired()[0] == find_paired(pairing_threshold=0.7)[0] == entities
    # "None" is the most probable for both, but (1, 2) is an entity with a probability of 0.6, (0, 2) with 0.3.
    assert find_paired(pairing_threshold=0.5)[0] == {**entities, (1, 2): False}
    assert find_paired(pairing_threshold=0.3)[0] == {**entities, (1, 2): False, (0, 2): False}
    assert find_paired(pairing_threshold=0.3, relations=False)[0] == entities
    # An entity below its threshold may be part of a relation.
    assert find_paired(pairing_threshold=0.7, entity_thresholds=[("PER", 0.85)])[0] == {
        (0, 1): True,
        (2, 3): False,
        (2, 4): True,
        (3, 4): True,
    }


def test_entities_come_before_spans_that_may_be_some():
    found, over_limit = find_paired(pairing_threshold=0.3, entities_per_token=1.25)
    assert [place for place, is_entity in found.items() if is_entity] == [(0, 1), (1, 3), (2, 3), (2, 4), (3, 4)]
    assert len(found) == 5 and over_limit == []
    assert find_paired(pairing_threshold=0.3, entities_per_token=0.5)[1] == [[0, 4, 3]]


@pytest.mark.parametrize("logit", [-200.0, -3.0, 0.0, 3.0, 200.0])
@pytest.mark.parametrize("ends", [(1.0, 1.0), (0.5, 0.25), (0.999999, 1.0), (1e-6, 0.1), (0.0, 1.0)])
def test_joined_score_is_the_product(logit, ends):
    logits, ends = numpy.asarray([[logit]], dtype="float32"), numpy.asarray([ends], dtype="float32")
    found = Decoder(ENTITY_LABELS, LABELS[:1], pairing_threshold=0.5).relation_scores(logits, ends)
    assert found.dtype == "float32"
    assert found[0, 0] == pytest.approx(float(ends.prod()) / (1.0 + math.exp(-logit)), rel=1e-4, abs=1e-7)
    alone = Decoder(ENTITY_LABELS, LABELS[:1]).relation_scores(logits, ends)
    assert alone[0, 0] == pytest.approx(1.0 / (1.0 + math.exp(-logit)), rel=1e-4, abs=1e-7)


def test_joined_score_is_calibrated():
    calibration = {"entities": 3.0, "relations": [("KIN", 2.0, 0.5)]}
    decoder = Decoder(ENTITY_LABELS, LABELS[:1], pairing_threshold=0.5, calibration=calibration)
    found = decoder.relation_scores(numpy.zeros((1, 1), dtype="float32"), numpy.asarray([[0.8, 0.5]], dtype="float32"))
    assert found[0, 0] == pytest.approx(1 / (1 + math.exp(-(2 * math.log(0.2 / 0.8) + 0.5))))


def test_only_entities_and_what_is_related_come_out():
    is_entity = numpy.asarray([False, True, False, False])
    rows = [(1, 3, "KIN", 0.7), (3, 1, "LIVES", 0.6)]
    kept, moved = leave_unrelated_out(is_entity, rows)
    assert kept.tolist() == [False, True, False, True]
    assert moved == [(0, 1, "KIN", 0.7), (1, 0, "LIVES", 0.6)]
    kept, moved = leave_unrelated_out(is_entity, [])
    assert kept.tolist() == is_entity.tolist() and moved == []


# Pairs


def pairs_of(labels, sentences=(0, 10), **settings):
    spans = numpy.asarray([[i, i + 1] for i in range(len(labels))])
    decoder = Decoder(ENTITY_LABELS, LABELS, symmetric_labels=["KIN"], **settings)
    return decoder.choose_pairs(Found.given(spans, numpy.asarray(labels)), numpy.asarray(sentences)).tolist()


def test_all_entities_of_a_sentence_are_paired():
    assert pairs_of([1, 2, 1]) == [[0, 1], [0, 2], [1, 2]]
    assert pairs_of([1, 2, 1], (0, 2, 10)) == [[0, 1]]
    assert pairs_of([1, 2, 1], max_relation_distance=0) == [[0, 1], [0, 2], [1, 2]]
    assert pairs_of([1, 1, 1, 1], max_relation_distance=1) == [[0, 1], [0, 2], [1, 2], [1, 3], [2, 3]]
    assert pairs_of([1, 2, 1], relations=False) == []


def test_pairs_that_no_relation_can_be_between_are_left_out():
    assert pairs_of([1, 2, 1, 2], relation_types=[("LIVES", "PER", "LOC")]) == [[0, 1], [0, 3], [1, 2], [2, 3]]
    assert pairs_of([1, 2, 1, 2], relation_types=[("KIN", "PER", "PER")]) == [[0, 2]]
    assert pairs_of([1, 2, 1, 2], relation_types=[]) == []
    # A given entity of an unknown label.
    assert pairs_of([1, 0, 2], relation_types=[("LIVES", "PER", "LOC")]) == [[0, 2]]


def test_impossible_relations_never_come_out():
    pairs, scores = [(0, 1), (1, 0), (1, 2), (2, 1)], [[0.9] * 3] * 4
    types = [("LIVES", "PER", "LOC"), ("KIN", "LOC", "LOC")]
    found = decode(pairs, scores, columns=(1, 2, 2), relation_types=types)
    assert [row[:3] for row in found] == [(0, 1, "LIVES"), (1, 2, "KIN"), (2, 1, "KIN")]


def test_types_of_symmetric_labels_hold_in_both_orders():
    pairs, scores = [(0, 1), (1, 0)], [[0.6, 0, 0], [0.9, 0, 0]]
    for types in ([("KIN", "PER", "LOC")], [("KIN", "LOC", "PER")]):
        found = decode(pairs, scores, symmetric=["KIN"], columns=(1, 2), relation_types=types)
        assert [row[:3] for row in found] == [(0, 1, "KIN")]
        assert found[0][3] == pytest.approx(0.9)
    found = decode(pairs, scores, columns=(1, 2), relation_types=[("KIN", "LOC", "PER")])
    assert [row[:3] for row in found] == [(1, 0, "KIN")]


# Calibration


def test_relation_scores_are_those_of_the_logistic_function():
    logits = numpy.asarray([[0.0, 2.0, -200.0]], dtype="float32")
    found = Decoder(ENTITY_LABELS, LABELS).relation_scores(logits, numpy.ones((1, 2)))
    assert found[0].tolist() == pytest.approx([0.5, 1 / (1 + math.exp(-2)), 0.0])
    assert found.dtype == "float32"


def test_calibrated_scores():
    decoder = Decoder(ENTITY_LABELS, LABELS, calibration={"entities": 2.0, "relations": [("LIVES", 0.5, -1.0)]})
    assert decoder.temperature == 2.0
    found = decoder.relation_scores(numpy.asarray([[2.0, 2.0, 0.0]], dtype="float32"), numpy.full((1, 2), 0.5))
    assert found[0].tolist() == pytest.approx([1 / (1 + math.exp(-2)), 0.5, 0.5])


def test_a_decoder_of_settings():
    cfg = {
        **DEFAULTS,
        "entity_labels": ENTITY_LABELS,
        "relation_labels": LABELS,
        "learned_types": [["KIN", "PER", "PER"]],
    }
    assert Decoder.from_config(cfg).relation_types is None
    assert Decoder.from_config({**cfg, "relation_types": "learn"}).relation_types == [["KIN", "PER", "PER"]]
    assert Decoder.from_config({**cfg, "relation_types": []}).relation_types == []
    assert not Decoder.from_config({**cfg, "task": "entities"}).relations
