import math

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_spert.ml.loss import relation_loss, sigmoid, span_loss


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
