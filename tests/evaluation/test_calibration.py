"""The mathematics of calibration, against values worked out by hand."""

import math

import numpy
import pytest

from spacy_spert.evaluation.calibration import (
    CLOSEST,
    STEEPEST,
    Bin,
    calibration_error,
    fit_sigmoid,
    fit_temperature,
    logit,
    precision_recall,
    reliability,
    sigmoid,
    softmax,
)


def array(*values):
    return numpy.asarray(values, dtype="float64")


def test_bins_hold_means():
    bins = reliability([0.25, 0.0, 0.5, 0.75, 1.0, 1.0], [1, 0, 1, 0, 1, 0], n_bins=4)
    assert bins == [
        Bin(0.0, 0.25, 1, 0.0, 0.0),
        # The lower edge belongs to the bin.
        Bin(0.25, 0.5, 1, 0.25, 1.0),
        Bin(0.5, 0.75, 1, 0.5, 1.0),
        Bin(0.75, 1.0, 3, pytest.approx(2.75 / 3), pytest.approx(1 / 3)),
    ]
    # (0 + 0.75 + 0.5 + 1.75) / 6
    assert calibration_error([0.25, 0.0, 0.5, 0.75, 1.0, 1.0], [1, 0, 1, 0, 1, 0], n_bins=4) == pytest.approx(0.5)


def test_calibration_error_of_15_bins():
    # 0.61 and 0.65 share the bin from 0.6 to 0.667; 0.7 is in another one.
    scores, right = [0.61, 0.65, 0.7], [True, False, True]
    assert len(reliability(scores, right)) == 15
    assert calibration_error(scores, right) == pytest.approx((2 * abs(0.63 - 0.5) + 0.3) / 3)


def test_nothing_has_no_error():
    assert calibration_error([], []) == 0.0
    assert {each.n for each in reliability([], [])} == {0}


def test_precision_and_recall_at_every_score():
    curve = precision_recall([0.5, 0.9, 0.5, 0.2], [True, True, False, True], n_gold=4)
    assert curve.thresholds.tolist() == [0.9, 0.5, 0.2]
    assert curve.precision.tolist() == [1.0, pytest.approx(2 / 3), 0.75]
    assert curve.recall.tolist() == [0.25, 0.5, 0.75]


def test_precision_and_recall_of_nothing():
    assert [len(part) for part in precision_recall([], [], n_gold=3)] == [0, 0, 0]
    assert precision_recall([0.5], [False], n_gold=0).recall.tolist() == [0.0]


def test_logits_of_certain_scores_are_finite():
    limit = math.log((1 - CLOSEST) / CLOSEST)
    numpy.testing.assert_allclose(logit([0.0, 0.5, 0.75, 1.0]), [-limit, 0.0, math.log(3), limit], atol=1e-6)
    numpy.testing.assert_allclose(sigmoid([-1000.0, 0.0, math.log(3), 1000.0]), [0.0, 0.5, 0.75, 1.0])
    numpy.testing.assert_allclose(softmax(array([0.0, math.log(3)], [1000.0, 0.0])), [[0.25, 0.75], [1.0, 0.0]])


def test_temperature_makes_the_mean_probability_right():
    # Two columns; the score is 0.9, but three in four are right: log(9) / T = log(3), so T is 2.
    logits = numpy.tile([0.0, math.log(9)], (4, 1))
    columns = numpy.asarray([1, 1, 1, 0])
    assert fit_temperature(logits, columns, strength=0.0) == pytest.approx(2.0, abs=1e-6)
    # Logs of probabilities are logits, too.
    assert fit_temperature(numpy.log(softmax(logits)), columns, strength=0.0) == pytest.approx(2.0, abs=1e-6)
    # Three columns: 3 of 5 right and one each of the others. exp(log(81) / T) = 3, so T is 4.
    logits = numpy.tile([0.0, math.log(81), 0.0], (5, 1))
    assert fit_temperature(logits, numpy.asarray([1, 1, 1, 0, 2]), strength=0.0) == pytest.approx(4.0, abs=1e-6)


def test_temperature_is_held_where_everything_is_right():
    logits, columns = array([0.0, 2.0]), numpy.asarray([1])
    assert fit_temperature(logits, columns, strength=0.0) == pytest.approx(1 / STEEPEST)
    assert 0.5 < fit_temperature(logits, columns) < 1.0
    assert fit_temperature(numpy.zeros((0, 3)), columns[:0]) == 1.0


def test_slope_and_offset_of_two_groups():
    # Half of those at logit 0 are right, three in four of those at logit 4: offset 0, slope log(3) / 4.
    logits = numpy.repeat([0.0, 4.0], 4)
    right = numpy.asarray([1, 1, 0, 0, 1, 1, 1, 0], dtype=bool)
    slope, offset = fit_sigmoid(logits, right, strength=0.0)
    assert (slope, offset) == (pytest.approx(math.log(3) / 4), pytest.approx(0.0, abs=1e-9))
    # Moved by 1: the offset makes up for it.
    slope, offset = fit_sigmoid(logits + 1.0, right, strength=0.0)
    assert (slope, offset) == (pytest.approx(math.log(3) / 4), pytest.approx(-math.log(3) / 4))


def test_temperature_alone_has_no_offset():
    logits = numpy.full(4, 2.0)
    right = numpy.asarray([True, True, True, False])
    assert fit_sigmoid(logits, right, strength=0.0, offset=False) == (pytest.approx(math.log(3) / 2), 0.0)


def test_fit_is_held_by_what_is_known_before():
    right = numpy.asarray([True, True, False])
    assert fit_sigmoid(array(), right[:0], start=(0.5, -1.0)) == (0.5, -1.0)
    slopes = [fit_sigmoid(array(1.0, 2.0, -1.0), right, start=(1.0, 0.0), strength=s)[0] for s in (0.1, 1.0, 1e9)]
    # Separable, so that nothing else holds it.
    assert slopes[0] > slopes[1] > slopes[2] == pytest.approx(1.0)


def test_separable_data_ends_at_the_limit():
    slope, offset = fit_sigmoid(array(1.0, -1.0), numpy.asarray([True, False]), strength=0.0)
    assert slope == STEEPEST and math.isfinite(offset)


def test_order_never_changes():
    # The higher, the less often right.
    logits = array(-1.0, -1.0, -1.0, 1.0, 1.0, 1.0)
    slope, offset = fit_sigmoid(logits, numpy.asarray([1, 1, 0, 0, 0, 1], dtype=bool), strength=0.0)
    assert slope == 1 / STEEPEST
    # The best offset for that slope is one of even chances.
    assert offset == pytest.approx(0.0, abs=1e-9)
