"""From scores to entities and relations: all decisions of the component. Plain arrays in, plain rows out."""

import math
from dataclasses import dataclass
from typing import Any, Collection, Dict, List, Mapping, NamedTuple, Sequence, Tuple

import numpy

from .ml.arrays import Bools, Floats, Found, Ints, Windows, no_rows
from .ml.candidates import best_spans, pairs_within

# Head and tail as indices of entities, label and score.
RelationRow = Tuple[int, int, str, float]


class DecodedRelations(NamedTuple):
    """The relations of a document.

    rows (List[RelationRow]): Head and tail as indices of the entities, label and score; sorted.
    n_found (int): How many there were before the limit.
    """

    rows: List[RelationRow]
    n_found: int


@dataclass
class Decoder:
    """Decides what is an entity, which entities are paired, and which of the pairs are relations.

    relation_labels (Sequence[str]): The relation labels.
    relation_threshold (float): Lowest probability of a relation.
    symmetric_labels (Collection[str]): Relation labels without direction.
    max_relation_distance (int): Most visible tokens between head and tail; 0 for no limit.
    entities_per_token (float): Most entities in a sentence for each of its visible tokens; 0 for no limit.
    relations_per_token (float): Most relations in a document for each of its visible tokens; 0 for no limit.
    relations (bool): Whether entities are paired at all.
    temperature (float): The logits of spans are divided by it.
    """

    relation_labels: Sequence[str] = ()
    relation_threshold: float = 0.4
    symmetric_labels: Collection[str] = ()
    max_relation_distance: int = 0
    entities_per_token: float = 0.0
    relations_per_token: float = 0.0
    relations: bool = True
    temperature: float = 1.0

    @classmethod
    def from_config(cls, cfg: Mapping[str, Any]) -> "Decoder":
        """Make a decoder of the settings of a component.

        cfg (Mapping[str, Any]): The settings.
        RETURNS (Decoder): The decoder.
        """
        return cls(
            relation_labels=cfg["relation_labels"],
            relation_threshold=cfg["relation_threshold"],
            symmetric_labels=cfg["symmetric_labels"],
            max_relation_distance=cfg["max_relation_distance"],
            entities_per_token=cfg["entities_per_token"],
            relations_per_token=cfg["relations_per_token"],
            relations=cfg["task"] != "entities",
        )

    def find_entities(self, windows: Windows, sentences: Ints) -> Found:
        """A span is an entity if an entity label is its most probable one (section 3.1 of the paper).

        windows (Windows): All spans and those that leave their sentence.
        sentences (Ints): Bounds of the sentences in visible tokens, shape (n_sentences + 1,).
        RETURNS (Found): The entities.
        """
        max_width, n_tokens = windows.labels.shape
        lengths = numpy.diff(sentences)
        limits = numpy.repeat(sentences[1:], lengths) - numpy.arange(n_tokens)
        inside = numpy.arange(1, max_width + 1)[:, None] <= limits
        starts, widths = numpy.nonzero((inside & (windows.scores > windows.none)).T)
        spans = numpy.stack([starts, starts + widths + 1], axis=1)
        labels, scores = windows.labels[widths, starts], windows.scores[widths, starts]
        dropped = numpy.zeros((0, 3), dtype="int64")
        if self.entities_per_token:
            owners = numpy.searchsorted(sentences, starts, side="right") - 1
            best = best_spans(scores, owners, numpy.ceil(lengths * self.entities_per_token).astype("int64"))
            if not best.all():
                counts = numpy.bincount(owners[~best], minlength=len(lengths))
                dropped = numpy.stack([sentences[:-1], lengths, counts], axis=1)[counts > 0]
                spans, labels, scores = spans[best], labels[best], scores[best]
        return Found(spans, labels, scores, dropped)

    def choose_pairs(self, found: Found, sentences: Ints) -> Ints:
        """Which entities are paired: those of a sentence that are near enough. One without wordpieces never is.

        found (Found): The entities.
        sentences (Ints): Bounds of the sentences in visible tokens, shape (n_sentences + 1,).
        RETURNS (Ints): Pairs of indices, the first before the second, each once, sorted, shape (n_pairs, 2).
        """
        if not self.relations:
            return no_rows()
        owners = numpy.searchsorted(sentences, found.spans[:, 0], side="right") - 1
        pairs = pairs_within(found.spans, owners, self.max_relation_distance)
        is_empty = found.spans[:, 0] == found.spans[:, 1]
        return pairs[~is_empty[pairs].any(axis=1)] if is_empty.any() else pairs

    def relation_scores(self, logits: Floats) -> Floats:
        """Probabilities of the relation labels.

        logits (Floats): Shape (n_pairs, n_labels).
        RETURNS (Floats): Same shape.
        """
        # The logistic function, without overflow.
        return 0.5 * (1.0 + numpy.tanh(0.5 * logits))

    def find_relations(self, pairs: Ints, scores: Floats, n_tokens: int) -> DecodedRelations:
        """Every label of a pair at or above the threshold is a relation (section 3.2 of the paper). Symmetric ones are
        put in textual order, and of two predictions for the same pair the better one stays.

        pairs (Ints): Head and tail as indices of the document's entities in textual order, shape (n_pairs, 2).
        scores (Floats): Probability of each label, shape (n_pairs, n_labels).
        n_tokens (int): Number of visible tokens of the document.
        RETURNS (DecodedRelations): The relations.
        """
        best: Dict[Tuple[int, int, str], float] = {}
        above = numpy.argwhere(scores >= self.relation_threshold)
        n_found = len(above)
        limit = math.ceil(n_tokens * self.relations_per_token)
        if limit and n_found > limit:
            above = above[numpy.argsort(-scores[tuple(above.T)], kind="stable")[:limit]]
        for i, j in above.tolist():
            label = self.relation_labels[j]
            head, tail = (int(index) for index in pairs[i])
            if label in self.symmetric_labels and head > tail:
                head, tail = tail, head
            score = float(scores[i, j])
            best[head, tail, label] = max(score, best.get((head, tail, label), 0.0))
        rows = [(head, tail, label, score) for (head, tail, label), score in sorted(best.items())]
        return DecodedRelations(rows, n_found)


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
