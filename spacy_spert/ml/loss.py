"""The two losses of SpERT and their gradients (section 3.4 of the paper), and two that can be added to them."""

from typing import Any, Tuple

import numpy
from thinc.api import Ops, get_array_module
from thinc.types import Floats2d, Ints1d

from .arrays import NONE, Floats, Ints, Samples


def joint_loss(
    ops: Ops,
    span_logits: Floats2d,
    pair_logits: Floats2d,
    samples: Samples,
    *,
    boundary_smoothing: float = 0.0,
    consistency: float = 0.0,
) -> Tuple[float, Tuple[Floats2d, Floats2d]]:
    """The sum of both losses.

    ops (Ops): Where the logits are.
    span_logits (Floats2d): Shape (n_spans, 1 + n_entity_labels), or twice as many rows, one pass after the other.
    pair_logits (Floats2d): Shape (n_pairs, n_relation_labels), likewise.
    samples (Samples): What they should be.
    boundary_smoothing (float): See `smooth_boundaries`.
    consistency (float): Weight of what two passes differ by, see `span_consistency`. 0.0 if there is one pass.
    RETURNS (Tuple[float, Tuple[Floats2d, Floats2d]]): The loss, and its gradients with respect to the logits.
    """
    passes = 2 if consistency else 1
    labels = ops.asarray2f(numpy.tile(samples.pair_labels, (passes, 1)))  # type: ignore[arg-type]
    loss, d_pairs = relation_loss(pair_logits, labels)
    d_spans = ops.alloc2f(*span_logits.shape)
    if not samples.given:
        targets = smooth_boundaries(samples.spans, samples.span_labels, span_logits.shape[1], boundary_smoothing)
        span_part, d_spans = soft_span_loss(span_logits, ops.asarray2f(numpy.tile(targets, (passes, 1))))  # type: ignore[arg-type]
        loss += span_part
    if consistency:
        kinds = [(relation_consistency, pair_logits, d_pairs)]
        if not samples.given:
            kinds.append((span_consistency, span_logits, d_spans))
        for divergence, logits, gradient in kinds:
            half = len(logits) // 2
            apart, *gradients = divergence(logits[:half], logits[half:])
            loss += consistency * apart
            for place, part in zip((slice(half), slice(half, None)), gradients):
                gradient[place] += consistency * part
    return loss, (d_spans, d_pairs)


def span_loss(logits: Floats2d, labels: Ints1d) -> Tuple[float, Floats2d]:
    """Cross-entropy of the entity labels, averaged over the samples.

    logits (Floats2d): Shape (n_spans, 1 + n_labels), column 0 for none.
    labels (Ints1d): The right column of each row, or -1 to leave the row out, shape (n_spans,).
    RETURNS (Tuple[float, Floats2d]): The loss and its gradient with respect to the logits. 0.0 without samples.
    """
    xp = get_array_module(logits)
    known = labels >= 0
    targets = xp.zeros_like(logits)
    targets[xp.nonzero(known)[0], labels[known]] = 1.0
    return soft_span_loss(logits, targets)


def soft_span_loss(logits: Floats2d, targets: Floats2d) -> Tuple[float, Floats2d]:
    """Cross-entropy of the entity labels where several of them may be somewhat right.

    logits (Floats2d): Shape (n_spans, 1 + n_labels), column 0 for none.
    targets (Floats2d): What the probabilities should be, same shape. Rows of zeros are left out.
    RETURNS (Tuple[float, Floats2d]): The loss, averaged over the samples, and its gradient with respect to the logits.
        0.0 without samples.
    """
    xp = get_array_module(logits)
    known: Any = targets.any(axis=1)
    count = int(known.sum())
    if not count:
        return 0.0, xp.zeros_like(logits)
    log_probs = _log_softmax(logits)
    gradient = (xp.exp(log_probs) - targets) * known[:, None]
    loss: Any = -(targets * log_probs).sum()  # type: ignore[call-overload]
    return float(loss / count), gradient / count


def smooth_boundaries(spans: Ints, labels: Ints, n_columns: int, share: float) -> Floats:
    """What the probabilities should be if a span that misses an entity by one token is not wholly wrong (Zhu & Li,
    ACL 2022): a share of the entity's label is dealt to the four spans that begin or end one token earlier or later.

    spans (Ints): The samples, no two the same, shape (n_spans, 2).
    labels (Ints): The right column of each, shape (n_spans,).
    n_columns (int): Number of columns, none included.
    share (float): The share, from 0 to 1.
    RETURNS (Floats): Shape (n_spans, n_columns).
    """
    targets = numpy.zeros((len(spans), n_columns), dtype="float32")
    targets[numpy.arange(len(spans)), labels] = 1.0
    entities = numpy.nonzero(labels != NONE)[0]
    if not share or not len(entities):
        return targets
    moved = targets[entities, labels[entities]] * share
    targets[entities, labels[entities]] -= moved
    targets[entities, NONE] += moved
    # Samples by place, so that the neighbours that are among them can be looked up.
    base = int(spans.max()) + 2
    codes = (spans + 1) @ [base + 1, 1]
    order = numpy.argsort(codes)
    for step in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        wanted = (spans[entities] + step + 1) @ [base + 1, 1]
        places = order[numpy.searchsorted(codes, wanted, sorter=order).clip(max=len(spans) - 1)]
        hits = (codes[places] == wanted) & (labels[places] == NONE)
        # A span may lie beside two entities, but not of its whole.
        numpy.add.at(targets, (places[hits], labels[entities[hits]]), share / 4)
        numpy.add.at(targets, (places[hits], NONE), -share / 4)
    return targets


def relation_loss(logits: Floats2d, labels: Floats2d) -> Tuple[float, Floats2d]:
    """Binary cross-entropy of the relation labels, averaged over labels and then over the samples.

    logits (Floats2d): Shape (n_pairs, n_labels).
    labels (Floats2d): 1.0 where the relation holds, else 0.0, same shape.
    RETURNS (Tuple[float, Floats2d]): The loss and its gradient with respect to the logits. 0.0 without samples.
    """
    xp = get_array_module(logits)
    if not logits.size:
        return 0.0, xp.zeros_like(logits)
    # log(1 + e^-|x|) never overflows.
    losses = xp.maximum(logits, 0) - logits * labels + xp.log1p(xp.exp(-xp.abs(logits)))
    gradient = sigmoid(logits) - labels
    return float(losses.mean()), gradient / logits.size


def span_consistency(logits: Floats2d, others: Floats2d) -> Tuple[float, Floats2d, Floats2d]:
    """How far two passes with different dropout are apart on the labels of spans (R-Drop, Liang et al., NeurIPS 2021):
    the mean of the two Kullback-Leibler divergences.

    logits (Floats2d): Shape (n_spans, 1 + n_labels).
    others (Floats2d): Those of the other pass, same shape.
    RETURNS (Tuple[float, Floats2d, Floats2d]): The loss, averaged over the samples, and its gradients with respect to
        both. 0.0 without samples.
    """
    xp = get_array_module(logits)
    if not logits.size:
        return 0.0, xp.zeros_like(logits), xp.zeros_like(others)
    logs = _log_softmax(logits), _log_softmax(others)
    p, q = (xp.exp(each) for each in logs)
    apart = logs[0] - logs[1]
    gradients = [
        (own * (sign * apart - (own * sign * apart).sum(axis=1, keepdims=True)) + sign * (p - q)) / (2 * len(logits))
        for own, sign in ((p, 1.0), (q, -1.0))
    ]
    return float(((p - q) * apart).sum() / (2 * len(logits))), gradients[0], gradients[1]


def relation_consistency(logits: Floats2d, others: Floats2d) -> Tuple[float, Floats2d, Floats2d]:
    """The same for the labels of pairs, each of which holds or does not.

    logits (Floats2d): Shape (n_pairs, n_labels).
    others (Floats2d): Those of the other pass, same shape.
    RETURNS (Tuple[float, Floats2d, Floats2d]): The loss, averaged over labels and samples, and its gradients with
        respect to both. 0.0 without samples.
    """
    xp = get_array_module(logits)
    if not logits.size:
        return 0.0, xp.zeros_like(logits), xp.zeros_like(others)
    p, q = sigmoid(logits), sigmoid(others)
    apart = logits - others
    gradients = [
        (own * (1.0 - own) * sign * apart + sign * (p - q)) / (2 * logits.size) for own, sign in ((p, 1.0), (q, -1.0))
    ]
    return float(((p - q) * apart).mean() / 2), gradients[0], gradients[1]


def _log_softmax(logits: Floats2d) -> Floats2d:
    xp = get_array_module(logits)
    shifted = logits - xp.max(logits, axis=1, keepdims=True)
    return shifted - xp.log(xp.exp(shifted).sum(axis=1, keepdims=True))


def sigmoid(logits: Floats2d) -> Floats2d:
    """Logistic function, without overflow.

    logits (Floats2d): Any shape.
    RETURNS (Floats2d): Values from 0 to 1, same shape.
    """
    xp = get_array_module(logits)
    return 0.5 * (1.0 + xp.tanh(0.5 * logits))
