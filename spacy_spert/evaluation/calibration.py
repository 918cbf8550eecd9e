"""Whether scores mean what they say, and what makes them: arrays in, plain values out.

A score is calibrated if of all predictions with a score around 0.8 about 80 % are right.
"""

from typing import Callable, List, NamedTuple, Tuple

import numpy
from numpy.typing import ArrayLike

from ..ml.arrays import Bools, Ints
from .scored import Doubles

N_BINS = 15
# Scores come in single precision, which knows nothing nearer to 0 or 1.
CLOSEST = 1e-7
# What a fit may make of the logits at most, either way.
STEEPEST = 20.0


class Bin(NamedTuple):
    """The predictions whose scores lie in a range.

    low (float): The lowest score.
    high (float): The end of the range, which belongs to the next bin; 1.0 belongs to the last.
    n (int): Number of predictions.
    score (float): Their mean score; 0.0 without any.
    right (float): The share of those that are right; 0.0 without any.
    """

    low: float
    high: float
    n: int
    score: float
    right: float


class Curve(NamedTuple):
    """Precision and recall for every threshold that makes a difference, the highest first.

    thresholds (Doubles): The scores that occur, shape (n,).
    precision (Doubles): If all with at least this score come out, shape (n,).
    recall (Doubles): The same, shape (n,).
    """

    thresholds: Doubles
    precision: Doubles
    recall: Doubles


def reliability(scores: ArrayLike, right: ArrayLike, n_bins: int = N_BINS) -> List[Bin]:
    """Compare scores with how often predictions are right, in bins of equal width.

    scores (ArrayLike): From 0 to 1, shape (n,).
    right (ArrayLike): Whether each prediction is right, shape (n,).
    n_bins (int): Number of bins.
    RETURNS (List[Bin]): The bins from 0 to 1.
    """
    scores, right = numpy.asarray(scores, dtype="float64"), numpy.asarray(right, dtype="float64")
    edges = numpy.linspace(0.0, 1.0, n_bins + 1)
    places = numpy.searchsorted(edges[1:-1], scores, side="right")
    counts = numpy.bincount(places, minlength=n_bins)
    means = [numpy.bincount(places, values, n_bins) / numpy.maximum(counts, 1) for values in (scores, right)]
    return [Bin(*row) for row in zip(edges.tolist(), edges[1:].tolist(), counts.tolist(), *(m.tolist() for m in means))]


def calibration_error(scores: ArrayLike, right: ArrayLike, n_bins: int = N_BINS) -> float:
    """The expected calibration error: how far score and share of right ones are apart, on average over predictions.

    scores (ArrayLike): From 0 to 1, shape (n,).
    right (ArrayLike): Whether each prediction is right, shape (n,).
    n_bins (int): Number of bins of equal width.
    RETURNS (float): From 0 to 1; 0.0 without predictions.
    """
    bins = reliability(scores, right, n_bins)
    total = sum(each.n for each in bins)
    return sum(each.n * abs(each.score - each.right) for each in bins) / total if total else 0.0


def precision_recall(scores: ArrayLike, right: ArrayLike, n_gold: int) -> Curve:
    """The precision-recall curve of a label.

    scores (ArrayLike): From 0 to 1, shape (n,).
    right (ArrayLike): Whether each prediction is right, shape (n,).
    n_gold (int): Number of gold annotations, also of those without any score.
    RETURNS (Curve): The curve.
    """
    order = numpy.argsort(numpy.negative(scores), kind="stable")
    ranked = numpy.asarray(scores, dtype="float64")[order]
    # Equal scores come out together.
    last = numpy.append(ranked[1:] != ranked[:-1], True)[: len(ranked)]
    n_right = numpy.cumsum(numpy.asarray(right, dtype=bool)[order])[last]
    n = numpy.arange(1, len(ranked) + 1)[last]
    return Curve(ranked[last], n_right / n, n_right / max(n_gold, 1))


def logit(probabilities: ArrayLike) -> Doubles:
    """The logits of probabilities.

    probabilities (ArrayLike): From 0 to 1. Those next to 0 or 1 are taken for CLOSEST to it.
    RETURNS (Doubles): Finite numbers, of the same shape.
    """
    inside = numpy.clip(numpy.asarray(probabilities, dtype="float64"), CLOSEST, 1.0 - CLOSEST)
    return numpy.log(inside) - numpy.log1p(-inside)


def sigmoid(logits: ArrayLike) -> Doubles:
    """The probabilities of logits.

    logits (ArrayLike): Any numbers.
    RETURNS (Doubles): From 0 to 1, of the same shape.
    """
    return 0.5 * (1.0 + numpy.tanh(0.5 * numpy.asarray(logits, dtype="float64")))


def softmax(logits: Doubles) -> Doubles:
    """The probabilities of the columns.

    logits (Doubles): Shape (n, n_columns).
    RETURNS (Doubles): The same shape; every row adds up to 1.
    """
    exponentials = numpy.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def fit_temperature(logits: Doubles, columns: Ints, strength: float = 1.0) -> float:
    """The temperature by which logits are best divided: the likelihood of the right columns is then highest.

    logits (Doubles): Shape (n, n_columns). Logs of probabilities do as well.
    columns (Ints): The right columns, shape (n,).
    strength (float): How strongly the temperature is held at 1, which keeps it finite where everything is right.
    RETURNS (float): The temperature, from 1 / STEEPEST to STEEPEST; 1.0 without rows.
    """
    rows = numpy.arange(len(logits))

    def loss(log_temperature: float) -> float:
        scaled = logits * numpy.exp(-log_temperature)
        highest = scaled.max(axis=1, initial=-numpy.inf)
        log_sums = highest + numpy.log(numpy.exp(scaled - highest[:, None]).sum(axis=1))
        return float((log_sums - scaled[rows, columns]).sum() + 0.5 * strength * log_temperature**2)

    return float(numpy.exp(_minimize(loss, numpy.log(STEEPEST)))) if len(logits) else 1.0


def fit_sigmoid(
    logits: Doubles,
    right: Bools,
    *,
    start: Tuple[float, float] = (1.0, 0.0),
    strength: float = 1.0,
    offset: bool = True,
) -> Tuple[float, float]:
    """The slope and the offset with which sigmoid(slope * logit + offset) is the best probability (Platt scaling).

    logits (Doubles): Shape (n,).
    right (Bools): What came true, shape (n,).
    start (Tuple[float, float]): The slope and offset without evidence.
    strength (float): How strongly the fit is held there, in the unit of the loss: few examples then change little.
    offset (bool): Fit the offset, too. Without it, the slope is 1 / temperature.
    RETURNS (Tuple[float, float]): Slope, from 1 / STEEPEST to STEEPEST so that no order changes, and offset.
    """
    features = numpy.stack([logits, numpy.ones(len(logits))], axis=1)
    free = numpy.asarray([True, offset])
    weights = _newton(features, right, numpy.asarray(start, dtype="float64"), strength, free)
    slope = float(numpy.clip(weights[0], 1.0 / STEEPEST, STEEPEST))
    if slope != weights[0] and offset:
        weights = _newton(features, right, numpy.asarray([slope, start[1]]), strength, numpy.asarray([False, True]))
    return slope, float(weights[1])


def _newton(features: Doubles, right: Bools, start: Doubles, strength: float, free: Bools) -> Doubles:
    """Minimize the logistic loss by Newton's method, with steps halved until they help."""
    signs = numpy.where(right, 1.0, -1.0)
    used = features[:, free]

    def loss(weights: Doubles) -> float:
        margins = signs * (features @ weights)
        return float(numpy.logaddexp(0.0, -margins).sum() + 0.5 * strength * ((weights - start) ** 2).sum())

    weights, best = start.copy(), loss(start)
    for _ in range(100):
        probabilities = sigmoid(features @ weights)
        gradient = used.T @ (probabilities - right) + strength * (weights - start)[free]
        curvature = (used.T * (probabilities * (1.0 - probabilities))) @ used
        curvature += max(strength, 1e-9) * numpy.eye(len(gradient))
        step = numpy.zeros_like(weights)
        step[free] = numpy.linalg.solve(curvature, gradient)
        while loss(weights - step) > best and numpy.abs(step).max() > 1e-12:
            step /= 2.0
        weights = weights - step
        best = loss(weights)
        if numpy.abs(step).max() < 1e-9:
            break
    return weights


def _minimize(loss: Callable[[float], float], limit: float) -> float:
    """The lowest place of a function with one valley, between -limit and limit: golden section."""
    ratio = (numpy.sqrt(5.0) - 1.0) / 2.0
    low, high = -limit, limit
    one, other = high - ratio * (high - low), low + ratio * (high - low)
    losses = loss(one), loss(other)
    while high - low > 1e-9:
        if losses[0] <= losses[1]:
            high, other = other, one
            one = high - ratio * (high - low)
            losses = loss(one), losses[0]
        else:
            low, one = one, other
            other = low + ratio * (high - low)
            losses = losses[1], loss(other)
    return (low + high) / 2.0
