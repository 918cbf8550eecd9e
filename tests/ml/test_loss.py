import math

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from thinc.api import NumpyOps

from spacy_spert.ml.arrays import Samples
from spacy_spert.ml.loss import (
    joint_loss,
    relation_consistency,
    relation_loss,
    sigmoid,
    smooth_boundaries,
    soft_span_loss,
    span_consistency,
    span_loss,
)


def floats(*rows, dtype="float64"):
    return numpy.asarray(rows, dtype=dtype)


def numeric_gradient(loss, logits, step=1e-6):
    gradient = numpy.zeros_like(logits)
    for i in numpy.ndindex(*logits.shape):
        up, down = logits.copy(), logits.copy()
        up[i] += step
        down[i] -= step
        gradient[i] = (loss(up) - loss(down)) / (2 * step)
    return gradient


def random_logits(seed, *shape):
    return numpy.random.default_rng(seed).normal(scale=3.0, size=shape)


# Spans


def test_span_loss_by_hand():
    # Softmax of (0, log 3) is (1/4, 3/4).
    logits = floats([0.0, math.log(3)], [0.0, math.log(3)])
    loss, gradient = span_loss(logits, numpy.asarray([1, 0]))
    assert loss == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)
    assert gradient == pytest.approx(floats([0.25, -0.25], [-0.75, 0.75]) / 2)


def test_unknown_spans_count_for_nothing():
    logits = floats([0.0, math.log(3)], [5.0, -7.0])
    loss, gradient = span_loss(logits, numpy.asarray([0, -1]))
    assert loss == pytest.approx(math.log(4))
    assert gradient == pytest.approx(floats([-0.75, 0.75], [0.0, 0.0]))


def test_only_unknown_spans():
    loss, gradient = span_loss(floats([1.0, 2.0], [3.0, 4.0]), numpy.asarray([-1, -1]))
    assert loss == 0.0
    assert gradient.tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_no_spans():
    loss, gradient = span_loss(numpy.zeros((0, 3), dtype="float32"), numpy.zeros(0, dtype="int64"))
    assert loss == 0.0
    assert gradient.shape == (0, 3)
    assert gradient.dtype == "float32"


@pytest.mark.parametrize("right, expected", [(0, 0.0), (1, 2e4)])
def test_huge_span_logits_do_not_overflow(right, expected):
    loss, gradient = span_loss(floats([1e4, -1e4], dtype="float32"), numpy.asarray([right]))
    assert loss == expected
    assert gradient.tolist() == [[1.0 - (right == 0), 0.0 - (right == 1)]]


@given(st.integers(0, 10_000), st.lists(st.integers(-1, 3), min_size=1, max_size=6))
@settings(deadline=None, max_examples=30)
def test_span_gradient_equals_finite_differences(seed, labels):
    labels = numpy.asarray(labels)
    logits = random_logits(seed, len(labels), 4)
    _, gradient = span_loss(logits, labels)
    assert gradient == pytest.approx(numeric_gradient(lambda x: span_loss(x, labels)[0], logits), abs=1e-7)


@given(st.integers(0, 10_000), st.lists(st.integers(-1, 3), min_size=1, max_size=6))
@settings(deadline=None, max_examples=30)
def test_span_loss_equals_cross_entropy(seed, labels):
    labels = numpy.asarray([*labels, 0])
    logits = random_logits(seed, len(labels), 4)
    tensor = torch.tensor(logits, requires_grad=True)
    expected = torch.nn.functional.cross_entropy(tensor, torch.tensor(labels), ignore_index=-1)
    expected.backward()
    loss, gradient = span_loss(logits, labels)
    assert loss == pytest.approx(float(expected.detach()))
    assert gradient == pytest.approx(tensor.grad.numpy())


# Relations


def test_relation_loss_by_hand():
    # Sigmoid of log 3 is 3/4, of 0 is 1/2.
    logits = floats([math.log(3), 0.0], [-math.log(3), math.log(3)])
    loss, gradient = relation_loss(logits, floats([1.0, 0.0], [1.0, 0.0]))
    assert loss == pytest.approx((math.log(4 / 3) + math.log(2) + 2 * math.log(4)) / 4)
    assert gradient == pytest.approx(floats([-0.25, 0.5], [-0.75, 0.75]) / 4)


@pytest.mark.parametrize("shape", [(0, 3), (4, 0), (0, 0)])
def test_no_pairs_or_no_labels(shape):
    nothing = numpy.zeros(shape, dtype="float32")
    loss, gradient = relation_loss(nothing, nothing)
    assert loss == 0.0
    assert gradient.shape == shape


@pytest.mark.parametrize(
    "logit, label, expected, slope", [(1e4, 1.0, 0.0, 0.0), (1e4, 0.0, 1e4, 1.0), (-1e4, 1.0, 1e4, -1.0)]
)
def test_huge_relation_logits_do_not_overflow(logit, label, expected, slope):
    loss, gradient = relation_loss(floats([logit], dtype="float32"), floats([label], dtype="float32"))
    assert loss == expected
    assert gradient.tolist() == [[slope]]


@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 3))
@settings(deadline=None, max_examples=30)
def test_relation_gradient_equals_finite_differences(seed, n_pairs, n_labels):
    logits = random_logits(seed, n_pairs, n_labels)
    labels = (random_logits(seed + 1, n_pairs, n_labels) > 0).astype("float64")
    _, gradient = relation_loss(logits, labels)
    assert gradient == pytest.approx(numeric_gradient(lambda x: relation_loss(x, labels)[0], logits), abs=1e-7)


@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 3))
@settings(deadline=None, max_examples=30)
def test_relation_loss_equals_binary_cross_entropy(seed, n_pairs, n_labels):
    logits = random_logits(seed, n_pairs, n_labels)
    labels = (random_logits(seed + 1, n_pairs, n_labels) > 0).astype("float64")
    tensor = torch.tensor(logits, requires_grad=True)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(tensor, torch.tensor(labels))
    expected.backward()
    loss, gradient = relation_loss(logits, labels)
    assert loss == pytest.approx(float(expected.detach()))
    assert gradient == pytest.approx(tensor.grad.numpy())


@pytest.mark.parametrize("loss", [lambda x: span_loss(x, numpy.asarray([1, 0])), lambda x: relation_loss(x, x * 0)])
def test_gradients_keep_single_precision(loss):
    logits = floats([0.5, -1.0], [2.0, 0.0], dtype="float32")
    before = logits.copy()
    value, gradient = loss(logits)
    assert type(value) is float
    assert gradient.dtype == "float32"
    assert (logits == before).all()


@pytest.mark.parametrize("logit, expected", [(-1e5, 0.0), (0.0, 0.5), (math.log(3), 0.75), (1e5, 1.0)])
def test_sigmoid(logit, expected):
    assert sigmoid(floats([logit]))[0, 0] == pytest.approx(expected)


# Boundaries that are missed by a token


def test_neighbours_of_an_entity_get_a_share_of_its_label():
    spans = numpy.asarray([[2, 4], [0, 1], [1, 4], [2, 3], [2, 5], [3, 4], [3, 5], [1, 3]])
    labels = numpy.asarray([2, 0, 0, 0, 0, 0, 0, 0])
    targets = smooth_boundaries(spans, labels, 3, 0.2)
    assert targets[0] == pytest.approx([0.2, 0.0, 0.8])
    for row in (2, 3, 4, 5):
        assert targets[row] == pytest.approx([0.95, 0.0, 0.05])
    for row in (1, 6, 7):
        assert targets[row].tolist() == [1.0, 0.0, 0.0]


def test_entity_beside_an_entity_keeps_its_label_and_a_span_beside_two_gets_both_shares():
    spans = numpy.asarray([[0, 1], [0, 2], [0, 3]])
    targets = smooth_boundaries(spans, numpy.asarray([1, 0, 2]), 3, 0.4)
    assert targets == pytest.approx(floats([0.4, 0.6, 0.0], [0.8, 0.1, 0.1], [0.4, 0.0, 0.6]))
    targets = smooth_boundaries(spans, numpy.asarray([1, 2, 0]), 3, 0.4)
    assert targets == pytest.approx(floats([0.4, 0.6, 0.0], [0.4, 0.0, 0.6], [0.9, 0.0, 0.1]))


@pytest.mark.parametrize("labels", [[1, 0, 2], [0, 0, 0]])
def test_no_share_is_one_label_each(labels):
    spans = numpy.asarray([[0, 1], [0, 2], [4, 5]])
    assert smooth_boundaries(spans, numpy.asarray(labels), 3, 0.0).tolist() == numpy.eye(3)[labels].tolist()


def test_no_samples_to_smooth():
    assert smooth_boundaries(numpy.zeros((0, 2), dtype="int64"), numpy.zeros(0, dtype="int64"), 3, 0.3).shape == (0, 3)


def test_gradient_of_soft_span_loss():
    logits = random_logits(4, 5, 3)
    targets = numpy.random.default_rng(0).dirichlet([1.0, 1.0, 1.0], size=5)
    targets[2] = 0.0
    _, gradient = soft_span_loss(logits, targets)
    assert gradient == pytest.approx(numeric_gradient(lambda x: soft_span_loss(x, targets)[0], logits), abs=1e-7)
    assert not gradient[2].any()


# Two passes


def test_consistency_by_hand():
    # (1/4, 3/4) and (3/4, 1/4): both divergences are (1/2) log 3.
    a, b = floats([0.0, math.log(3)]), floats([math.log(3), 0.0])
    assert span_consistency(a, b)[0] == pytest.approx(math.log(3) / 2)
    assert span_consistency(a, a)[0] == 0.0
    # 1/4 and 3/4 as a label that holds or not: the same.
    assert relation_consistency(floats([-math.log(3)]), floats([math.log(3)]))[0] == pytest.approx(math.log(3) / 2)


@pytest.mark.parametrize("consistency", [span_consistency, relation_consistency])
def test_gradients_of_consistency(consistency):
    a, b = random_logits(1, 4, 3), random_logits(2, 4, 3)
    _, d_a, d_b = consistency(a, b)
    assert d_a == pytest.approx(numeric_gradient(lambda x: consistency(x, b)[0], a), abs=1e-7)
    assert d_b == pytest.approx(numeric_gradient(lambda x: consistency(a, x)[0], b), abs=1e-7)


@pytest.mark.parametrize("consistency", [span_consistency, relation_consistency])
def test_consistency_of_nothing(consistency):
    nothing = numpy.zeros((0, 3), dtype="float32")
    loss, *gradients = consistency(nothing, nothing)
    assert loss == 0.0
    assert [gradient.shape for gradient in gradients] == [(0, 3), (0, 3)]


# All of it


@pytest.mark.parametrize("given_labels", [False, True])
@pytest.mark.parametrize("smoothing, consistency", [(0.0, 0.0), (0.2, 0.0), (0.0, 0.7), (0.2, 0.7)])
def test_gradients_of_the_joint_loss(given_labels, smoothing, consistency):
    passes = 2 if consistency else 1
    spans = numpy.asarray([[0, 1], [0, 2], [1, 3], [4, 5]])
    pairs, pair_labels = numpy.asarray([[0, 2], [2, 0]]), floats([1.0, 0.0], [0.0, 0.0])
    samples = Samples(spans, numpy.asarray([2, 0, 1, 0]), numpy.ones(4, dtype=bool), pairs, pair_labels, given_labels)
    logits = random_logits(0, passes * len(spans), 3), random_logits(1, passes * len(pairs), 2)

    def loss(*logits):
        options = {"boundary_smoothing": smoothing, "consistency": consistency}
        return joint_loss(NumpyOps(), *logits, samples, **options)

    _, (d_spans, d_pairs) = loss(*logits)
    assert d_spans == pytest.approx(numeric_gradient(lambda x: loss(x, logits[1])[0], logits[0]), abs=1e-7)
    assert d_pairs == pytest.approx(numeric_gradient(lambda x: loss(logits[0], x)[0], logits[1]), abs=1e-7)
    assert d_pairs.any() and bool(d_spans.any()) != given_labels
