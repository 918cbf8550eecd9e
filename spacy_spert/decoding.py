"""From scores to relations: threshold, symmetry, overlap. Plain arrays in, plain rows out."""

from typing import Collection, Dict, List, Sequence, Tuple

import numpy

from .candidates import Bools, Floats, Ints


def decode_relations(
    pairs: Ints,
    scores: Floats,
    labels: Sequence[str],
    threshold: float,
    symmetric: Collection[str] = (),
    limit: int = 0,
) -> List[Tuple[int, int, str, float]]:
    """Every label of a pair at or above the threshold is a relation (section 3.2 of the paper).

    pairs (Ints): Head and tail as indices of entities in textual order, shape (n_pairs, 2).
    scores (Floats): Probability of each label, shape (n_pairs, n_labels).
    labels (Sequence[str]): The relation labels.
    threshold (float): Lowest probability of a relation.
    symmetric (Collection[str]): Labels without direction: head and tail are put in textual order, and of two
        predictions for the same pair the better one stays.
    limit (int): Most predictions to keep, those with the highest scores; 0 for no limit.
    RETURNS (List[Tuple[int, int, str, float]]): Rows (head, tail, label, score), sorted by head, tail and label.
    """
    best: Dict[Tuple[int, int, str], float] = {}
    above = numpy.argwhere(scores >= threshold)
    if limit and len(above) > limit:
        above = above[numpy.argsort(-scores[tuple(above.T)], kind="stable")[:limit]]
    for i, j in above:
        label = labels[j]
        head, tail = (int(index) for index in pairs[i])
        if label in symmetric and head > tail:
            head, tail = tail, head
        score = float(scores[i, j])
        best[head, tail, label] = max(score, best.get((head, tail, label), 0.0))
    return [(head, tail, label, score) for (head, tail, label), score in sorted(best.items())]


def best_non_overlapping(spans: Ints, scores: Floats) -> Bools:
    """Choose spans greedily by score, leaving out those that overlap a better one.

    Of equal scores the longer span wins, then the earlier.

    spans (Ints): Token boundaries, shape (n_spans, 2).
    scores (Floats): Shape (n_spans,).
    RETURNS (Bools): Which spans are chosen, shape (n_spans,).
    """
    chosen = numpy.zeros(len(spans), dtype=bool)
    # Spans are short, and bytes are then faster to look at than arrays.
    taken = bytearray(int(spans[:, 1].max(initial=0)))
    bounds = spans.tolist()
    for i in numpy.lexsort((spans[:, 0], spans[:, 0] - spans[:, 1], -scores)).tolist():
        start, end = bounds[i]
        if not any(taken[start:end]):
            taken[start:end] = bytes([1]) * (end - start)
            chosen[i] = True
    return chosen
