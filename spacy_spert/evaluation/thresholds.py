"""The best thresholds of labels for what counts: F1, or recall at a given precision. Arrays in, arrays out.

For both it suffices to weigh what is right against what comes out, for every label on its own: `gain * right - price *
n` is highest where F1 or recall over all labels is, if gain and price fit. They follow from the result, and are found
step by step.
"""

from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy
from numpy.typing import ArrayLike

from ..ml.arrays import Bools, Ints
from .calibration import logit, sigmoid
from .scored import Doubles

# As many gold annotations does it take for the threshold of a label to lie half-way between its own and the common one.
SHRINKAGE = 10.0


class Target(NamedTuple):
    """What is to be as high as possible.

    precision (Optional[float]): The precision at which recall counts; None for F1.
    """

    precision: Optional[float] = None

    def value(self, counts: Sequence[int]) -> Tuple[float, ...]:
        """Rate counts. The higher tuple is the better one.

        counts (Sequence[int]): True positives, false positives and false negatives.
        RETURNS (Tuple[float, ...]): F1; or whether the precision is reached, and then recall, else precision.
        """
        right, wrong, missed = (int(n) for n in counts)
        if self.precision is None:
            return (2 * right / (2 * right + wrong + missed) if right else 0.0,)
        # Nothing that comes out is nothing wrong.
        precision = right / (right + wrong) if right + wrong else 1.0
        if precision < self.precision:
            return 0.0, precision
        return 1.0, right / (right + missed) if right else 0.0


class _Ladder(NamedTuple):
    """The thresholds of a label that make a difference: how much comes out at each, from nothing to everything."""

    values: Doubles
    right: Ints
    n: Ints


def best_thresholds(
    scores: Doubles,
    right: Bools,
    columns: Ints,
    gold: Ints,
    target: Target,
    *,
    floor: ArrayLike = 0.0,
    shrinkage: float = SHRINKAGE,
) -> Tuple[float, Doubles]:
    """Find the best threshold for all labels, and for each the best between it and its own.

    scores (Doubles): From 0 to 1, shape (n,).
    right (Bools): Whether each candidate is right, shape (n,).
    columns (Ints): Labels of the candidates, shape (n,).
    gold (Ints): Number of gold annotations of each label, shape (n_labels,).
    target (Target): What is to be high.
    floor (ArrayLike): The lowest threshold, also one for each label. Nothing is known of candidates with lower scores.
    shrinkage (float): How many gold annotations weigh as much as the common threshold; 0 for thresholds of their own.
    RETURNS (Tuple[float, Doubles]): The common threshold, and that of each label, shape (n_labels,).
    """
    total = int(gold.sum())
    floors = numpy.broadcast_to(numpy.asarray(floor, dtype="float64"), gold.shape)
    common = float(_best([_ladder(scores, right, floors.max(initial=0.0))], total, target)[0])
    ladders = [_ladder(scores[columns == i], right[columns == i], floors[i]) for i in range(len(gold))]
    own = _best(ladders, total, target)
    known = numpy.asarray([len(ladder.values) > 1 for ladder in ladders], dtype=bool)
    weights = numpy.where(known, gold / numpy.maximum(gold + shrinkage, 1e-9), 0.0)
    return common, numpy.where(weights > 0.0, sigmoid(weights * logit(own) + (1.0 - weights) * logit(common)), common)


def _ladder(scores: Doubles, right: Bools, floor: float) -> _Ladder:
    """Thresholds in the middle between the scores that occur, the highest first."""
    order = numpy.argsort(-scores, kind="stable")
    ranked, n_right = scores[order], numpy.cumsum(right[order])
    last = numpy.append(ranked[1:] != ranked[:-1], True)[: len(ranked)]
    distinct = ranked[last]
    values = (numpy.append(1.0, distinct) + numpy.append(distinct, floor)) / 2.0
    counts = numpy.flatnonzero(last) + 1
    return _Ladder(numpy.maximum(values, floor), numpy.append(0, n_right[last]), numpy.append(0, counts))


def _best(ladders: Sequence[_Ladder], n_gold: int, target: Target) -> Doubles:
    steps = _for_f1(ladders, n_gold) if target.precision is None else _for_precision(ladders, target.precision)
    return numpy.asarray([ladder.values[step] for ladder, step in zip(ladders, steps)], dtype="float64")


def _for_f1(ladders: Sequence[_Ladder], n_gold: int) -> List[int]:
    """Dinkelbach's method: the price is the best F1 so far, until it grows no more."""
    price, steps = 0.0, _choose(ladders, 2.0, 0.0)
    while True:
        right, n = _totals(ladders, steps)
        score = 2.0 * right / (n + n_gold) if right else 0.0
        if score <= price:
            return steps
        price, steps = score, _choose(ladders, 2.0, score)


def _for_precision(ladders: Sequence[_Ladder], precision: float) -> List[int]:
    """The lowest price for precision at which it is reached, by bisection."""

    def priced(price: float) -> List[int]:
        return _choose(ladders, 1.0 + price, price * precision)

    def reached(steps: List[int]) -> bool:
        right, n = _totals(ladders, steps)
        return right >= precision * n

    best = priced(0.0)
    if reached(best):
        return best
    low, high = -10.0, 20.0
    best = priced(numpy.exp2(high))
    for _ in range(40):
        middle = (low + high) / 2.0
        steps = priced(numpy.exp2(middle))
        if reached(steps):
            high, best = middle, steps
        else:
            low = middle
    return best


def _choose(ladders: Sequence[_Ladder], gain: float, price: float) -> List[int]:
    return [int(numpy.argmax(gain * ladder.right - price * ladder.n)) for ladder in ladders]


def _totals(ladders: Sequence[_Ladder], steps: Sequence[int]) -> Tuple[int, int]:
    return (
        sum(int(ladder.right[step]) for ladder, step in zip(ladders, steps)),
        sum(int(ladder.n[step]) for ladder, step in zip(ladders, steps)),
    )
