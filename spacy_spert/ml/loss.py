"""The two losses of SpERT and their gradients (section 3.4 of the paper)."""

from typing import Tuple

from thinc.api import get_array_module
from thinc.types import Floats2d, Ints1d


def span_loss(logits: Floats2d, labels: Ints1d) -> Tuple[float, Floats2d]:
    """Cross-entropy of the entity labels, averaged over the samples.

    logits (Floats2d): Shape (n_spans, 1 + n_labels), column 0 for none.
    labels (Ints1d): The right column of each row, or -1 to leave the row out, shape (n_spans,).
    RETURNS (Tuple[float, Floats2d]): The loss and its gradient with respect to the logits. 0.0 without samples.
    """
    xp = get_array_module(logits)
    known = labels >= 0
    count = int(known.sum())
    if not count:
        return 0.0, xp.zeros_like(logits)
    shifted = logits - xp.max(logits, axis=1, keepdims=True)
    log_probs = shifted - xp.log(xp.exp(shifted).sum(axis=1, keepdims=True))
    rows = xp.arange(len(labels))
    gradient = xp.exp(log_probs)
    gradient[rows, labels] -= 1.0
    gradient[~known] = 0.0
    loss = -log_probs[rows, labels][known].sum() / count
    return float(loss), gradient / count


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


def sigmoid(logits: Floats2d) -> Floats2d:
    """Logistic function, without overflow.

    logits (Floats2d): Any shape.
    RETURNS (Floats2d): Values from 0 to 1, same shape.
    """
    xp = get_array_module(logits)
    return 0.5 * (1.0 + xp.tanh(0.5 * logits))
