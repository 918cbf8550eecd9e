"""From scores to entities and relations: all decisions of the component. Plain arrays in, plain rows out."""

import math
from dataclasses import dataclass, fields
from typing import Any, Collection, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy

from .errors import Errors
from .ml.arrays import Bools, Floats, Found, Ints, Windows, no_rows
from .ml.candidates import best_spans, pairs_within
from .sentences import ScopeT, reach_of

# In place of the rows of relation_types: those of the training data.
LEARN = "learn"

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

    entity_labels (Sequence[str]): The entity labels.
    relation_labels (Sequence[str]): The relation labels.
    relation_threshold (float): Lowest score of a relation.
    relation_thresholds (Sequence[Tuple[str, float]]): Other thresholds for some relation labels.
    entity_thresholds (Sequence[Tuple[str, float]]): Lowest scores of entities, for some labels.
    relation_types (Optional[Sequence[Tuple[str, str, str]]]): The relations that there can be: label, entity label of
        the head and of the tail. By default there can be all of them.
    symmetric_labels (Collection[str]): Relation labels without direction.
    relation_scope (ScopeT): Within what head and tail lie: "sentence", a number of sentences around it, or "document".
    max_relation_distance (int): Most visible tokens between head and tail; 0 for no limit.
    entities_per_token (float): Most entities in a sentence for each of its visible tokens; 0 for no limit.
    relations_per_token (float): Most relations in a document for each of its visible tokens; 0 for no limit.
    relations (bool): Whether entities are paired at all.
    pairing_threshold (Optional[float]): Spans that are no entities by themselves, but at or above this probability of
        being one, are paired as well, and the score of every relation is joined with those of its ends: their product.
        By default only entities are paired, and the score of a relation is its own.
    calibration (Optional[Mapping[str, Any]]): What makes probabilities of the model's logits. Those of spans are
        divided by the temperature "entities"; "relations" has rows of label, slope and offset, which a relation's
        logit is multiplied with and added to. By default all are taken as they are.
    """

    entity_labels: Sequence[str] = ()
    relation_labels: Sequence[str] = ()
    relation_threshold: float = 0.4
    relation_thresholds: Sequence[Tuple[str, float]] = ()
    entity_thresholds: Sequence[Tuple[str, float]] = ()
    relation_types: Optional[Sequence[Tuple[str, str, str]]] = None
    symmetric_labels: Collection[str] = ()
    relation_scope: ScopeT = "sentence"
    max_relation_distance: int = 0
    entities_per_token: float = 0.0
    relations_per_token: float = 0.0
    relations: bool = True
    calibration: Optional[Mapping[str, Any]] = None
    pairing_threshold: Optional[float] = None

    def __post_init__(self) -> None:
        """Bring everything into arrays by column.

        RAISES (ValueError): If there is no such label.
        """
        entities = {label: i for i, label in enumerate(self.entity_labels, start=1)}
        relations = {label: i for i, label in enumerate(self.relation_labels)}
        self._entity_minima = numpy.zeros(1 + len(entities), dtype="float32")
        for label, threshold in self.entity_thresholds:
            self._entity_minima[_column(entities, label, "entity_thresholds")] = threshold
        self._relation_minima = numpy.full(len(relations), self.relation_threshold, dtype="float32")
        for label, threshold in self.relation_thresholds:
            self._relation_minima[_column(relations, label, "relation_thresholds")] = threshold
        calibration = self.calibration or {}
        self.temperature = float(calibration.get("entities", 1.0))
        self._slopes = numpy.ones(len(relations), dtype="float32")
        self._offsets = numpy.zeros(len(relations), dtype="float32")
        for label, slope, offset in calibration.get("relations", ()):
            column = _column(relations, label, "calibration")
            self._slopes[column], self._offsets[column] = slope, offset
        # By column of the relation, of the head's label and of the tail's, of which 0 is no known one.
        self._possible: Optional[Bools] = None
        if self.relation_types is not None:
            self._possible = numpy.zeros((len(relations), 1 + len(entities), 1 + len(entities)), dtype=bool)
            for label, head, tail in self.relation_types:
                columns = [_column(entities, end, "relation_types") for end in (head, tail)]
                column = _column(relations, label, "relation_types")
                self._possible[column, columns[0], columns[1]] = True
                if label in self.symmetric_labels:
                    self._possible[column, columns[1], columns[0]] = True

    @classmethod
    def from_config(cls, cfg: Mapping[str, Any]) -> "Decoder":
        """Make a decoder of the settings of a component.

        cfg (Mapping[str, Any]): The settings.
        RETURNS (Decoder): The decoder.
        RAISES (ValueError): If a setting is for a label that the component does not have.
        """
        names = {field.name for field in fields(cls)} - {"relation_types", "relations"}
        types = cfg["learned_types"] if cfg["relation_types"] == LEARN else cfg["relation_types"]
        return cls(**{name: cfg[name] for name in names}, relation_types=types, relations=cfg["task"] != "entities")

    def find_entities(self, windows: Windows, sentences: Ints) -> Found:
        """A span is an entity if an entity label is its most probable one (section 3.1 of the paper) and its score is
        at or above the label's threshold.

        windows (Windows): All spans and those that leave their sentence.
        sentences (Ints): Bounds of the sentences in visible tokens, shape (n_sentences + 1,).
        RETURNS (Found): The entities, and other spans that are to be paired.
        """
        max_width, n_tokens = windows.labels.shape
        lengths = numpy.diff(sentences)
        limits = numpy.repeat(sentences[1:], lengths) - numpy.arange(n_tokens)
        inside = numpy.arange(1, max_width + 1)[:, None] <= limits
        is_entity = inside & self.are_entities(windows.labels, windows.scores, windows.raw > windows.none)
        chosen = inside & self.are_paired(is_entity, windows.none)
        starts, widths = numpy.nonzero(chosen.T)
        found = Found(
            numpy.stack([starts, starts + widths + 1], axis=1),
            windows.labels[widths, starts],
            windows.scores[widths, starts],
            windows.raw[widths, starts],
            numpy.zeros((0, 3), dtype="int64"),
            is_entity[widths, starts],
        )
        if not self.entities_per_token:
            return found
        owners = numpy.searchsorted(sentences, starts, side="right") - 1
        limits = numpy.ceil(lengths * self.entities_per_token).astype("int64")
        # Entities come first.
        best = best_spans(found.scores + found.is_entity, owners, limits)
        if best.all():
            return found
        counts = numpy.bincount(owners[~best & found.is_entity], minlength=len(lengths))
        over_limit = numpy.stack([sentences[:-1], lengths, counts], axis=1)[counts > 0]
        return found.select(best)._replace(over_limit=over_limit)

    def are_entities(self, labels: Ints, scores: Floats, is_best: Bools) -> Bools:
        """Which spans are entities by themselves.

        labels (Ints): Columns of the most probable entity labels, any shape.
        scores (Floats): Their calibrated probabilities, same shape.
        is_best (Bools): Whether they are more probable than "none", same shape.
        RETURNS (Bools): Same shape.
        """
        return is_best & reach(scores, self._entity_minima[labels]) if self._entity_minima.any() else is_best

    def are_paired(self, is_entity: Bools, none: Floats) -> Bools:
        """Which spans go on to be paired: entities, and with a threshold of pairing others that may be entities.

        is_entity (Bools): Which ones are entities by themselves, any shape.
        none (Floats): Probabilities that they are none, as the model has them, same shape.
        RETURNS (Bools): Same shape.
        """
        if self.pairing_threshold is None or not self.relations:
            return is_entity
        return is_entity | (1.0 - none >= self.pairing_threshold)

    def are_relations(self, columns: Ints, scores: Floats, heads: Ints, tails: Ints) -> Bools:
        """Which pairs have a relation: its score is at or above its threshold, and it is possible.

        columns (Ints): Columns of relation labels.
        scores (Floats): Their calibrated probabilities.
        heads (Ints): Columns of the entity labels of the heads.
        tails (Ints): Those of the tails. All four have one shape, or are brought to one.
        RETURNS (Bools): That shape.
        """
        found: Bools = reach(scores, self._relation_minima[columns])
        return found if self._possible is None else found & self._possible[columns, heads, tails]

    def choose_pairs(self, found: Found, sentences: Ints, documents: Optional[Ints] = None) -> Ints:
        """Which entities are paired: those of a sentence, or within the scope, that are near enough and whose labels
        there can be a relation between. One without wordpieces never is.

        found (Found): The entities.
        sentences (Ints): Bounds of the sentences in visible tokens, shape (n_sentences + 1,).
        documents (Optional[Ints]): First visible token of each document. By default there is one.
        RETURNS (Ints): Pairs of indices, the first before the second, each once, sorted, shape (n_pairs, 2).
        """
        if not self.relations:
            return no_rows()
        owners = numpy.searchsorted(sentences, found.spans[:, 0], side="right") - 1
        of_docs = None if documents is None else numpy.searchsorted(documents, found.spans[:, 0], side="right")
        pairs = pairs_within(found.spans, owners, self.max_relation_distance, reach_of(self.relation_scope), of_docs)
        is_empty = found.spans[:, 0] == found.spans[:, 1]
        if is_empty.any():
            pairs = pairs[~is_empty[pairs].any(axis=1)]
        return pairs[self.are_possible(found.labels[pairs])]

    def are_possible(self, labels: Ints) -> Bools:
        """Between which entities there can be a relation, in any order.

        labels (Ints): Columns of the labels of two entities, shape (n_pairs, 2).
        RETURNS (Bools): Shape (n_pairs,).
        """
        if self._possible is None:
            return numpy.ones(len(labels), dtype=bool)
        either = self._possible.any(axis=0)
        return (either | either.T)[labels[:, 0], labels[:, 1]]

    def relation_scores(self, logits: Floats, ends: Floats) -> Floats:
        """Probabilities of the relation labels.

        logits (Floats): Shape (n_pairs, n_labels).
        ends (Floats): The probabilities of head and tail as the model has them, shape (n_pairs, 2).
        RETURNS (Floats): Shape (n_pairs, n_labels).
        """
        if self.pairing_threshold is not None:
            logits = join_logits(logits, ends)
        if self.calibration:
            logits = logits * self._slopes + self._offsets
        # The logistic function, without overflow.
        return 0.5 * (1.0 + numpy.tanh(0.5 * logits))

    def find_relations(self, pairs: Ints, labels: Ints, scores: Floats, n_tokens: int) -> DecodedRelations:
        """Every label of a pair that is possible and at or above its threshold is a relation (section 3.2 of the
        paper). Symmetric ones are put in textual order, and of two predictions for the same pair the better one stays.

        pairs (Ints): Head and tail as indices of the document's entities in textual order, shape (n_pairs, 2).
        labels (Ints): Columns of the labels of these entities, shape (n_entities,).
        scores (Floats): Probability of each label, shape (n_pairs, n_labels).
        n_tokens (int): Number of visible tokens of the document.
        RETURNS (DecodedRelations): The relations.
        """
        if not len(pairs):
            # Where no relations are looked for, the scores have no columns either.
            return DecodedRelations([], 0)
        best: Dict[Tuple[int, int, str], float] = {}
        columns, (heads, tails) = numpy.arange(scores.shape[1]), labels[pairs.T]
        above = numpy.argwhere(self.are_relations(columns, scores, heads[:, None], tails[:, None]))
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


def leave_unrelated_out(is_entity: Bools, rows: Sequence[RelationRow]) -> Tuple[Bools, List[RelationRow]]:
    """Of the spans that are no entities by themselves only those that are related come out.

    is_entity (Bools): Which spans are entities by themselves, shape (n_spans,).
    rows (Sequence[RelationRow]): The relations between the spans.
    RETURNS (Tuple[Bools, List[RelationRow]]): Which spans come out, shape (n_spans,), and the relations between these.
    """
    if is_entity.all():
        return is_entity, list(rows)
    kept = is_entity.copy()
    kept[[index for head, tail, _, _ in rows for index in (head, tail)]] = True
    index = (numpy.cumsum(kept) - 1).tolist()
    return kept, [(index[head], index[tail], label, score) for head, tail, label, score in rows]


def relation_threshold(cfg: Mapping[str, Any], label: str) -> float:
    """The lowest score with which a relation comes out.

    cfg (Mapping[str, Any]): The component's settings.
    label (str): The label of the relation.
    RETURNS (float): The threshold of the label, or else the common one.
    """
    return dict(cfg.get("relation_thresholds") or ()).get(label, cfg["relation_threshold"])


def reach(scores: Any, thresholds: Any) -> Any:
    """Whether scores are at or above thresholds, as exact as scores are.

    scores (Union[float, Floats]): Scores.
    thresholds (Union[float, Floats]): A threshold, or one for each.
    RETURNS (Union[bool, Bools]): Which of the scores are.
    """
    return numpy.float32(scores) >= numpy.float32(thresholds)


def join_logits(logits: Floats, ends: Floats) -> Floats:
    """Join the probability of a relation between two entities with those of the entities: the logit of their product.

    logits (Floats): Logits of the relation labels, shape (n_pairs, n_labels).
    ends (Floats): Probabilities of head and tail, shape (n_pairs, 2).
    RETURNS (Floats): Shape (n_pairs, n_labels).
    """
    # With s for the relation's probability and p for that of the ends, log(s p / (1 - s p)), where 1 - s p is
    # (1 - s) + s (1 - p): no difference of nearly equal numbers.
    p = ends.prod(axis=1, keepdims=True)
    positive = -numpy.logaddexp(0.0, -logits)
    negative = -numpy.logaddexp(0.0, logits)
    with numpy.errstate(divide="ignore"):
        present, missing = numpy.log(p), numpy.log1p(-p)
    return (positive + present - numpy.logaddexp(negative, positive + missing)).astype(logits.dtype)


def _column(columns: Mapping[str, int], label: str, setting: str) -> int:
    if label not in columns:
        raise ValueError(Errors.S160.format(setting=setting, label=label, labels=list(columns)))
    return columns[label]


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
