"""The settings by which scores become decisions, apart from the component: read from its `cfg`, applied to candidates,
written back.
"""

from dataclasses import dataclass, field
from typing import Any, Collection, Dict, FrozenSet, Mapping, NamedTuple, Optional, Tuple

import numpy

from ..decoding import LEARN, Decoder
from ..ml.arrays import Bools
from .calibration import logit, sigmoid, softmax
from .scored import Candidates, Doubles, RelationType, Scored


@dataclass(frozen=True)
class Decisions:
    """Calibration, thresholds and type constraints of a component.

    common (float): The lowest score of a relation whose label has no threshold of its own.
    relations (Dict[str, float]): Thresholds of relation labels.
    entities (Dict[str, float]): Thresholds of entity labels. Without one, an entity needs no score.
    temperature (float): What the logits of entities are divided by.
    sigmoids (Dict[str, Tuple[float, float]]): Slope and offset of the logits of relation labels.
    types (Optional[FrozenSet[RelationType]]): The relations that are possible; None for all.
    pairing (Optional[float]): The probability of being an entity from which on spans are paired, and the scores of
        relations joined with those of their ends; None if only entities are paired.
    """

    common: float
    relations: Dict[str, float] = field(default_factory=dict)
    entities: Dict[str, float] = field(default_factory=dict)
    temperature: float = 1.0
    sigmoids: Dict[str, Tuple[float, float]] = field(default_factory=dict)
    types: Optional[FrozenSet[RelationType]] = None
    pairing: Optional[float] = None


class Applied(NamedTuple):
    """What candidates become.

    entity_scores (Doubles): Calibrated scores, shape (n_entities,).
    relation_scores (Doubles): Calibrated scores, shape (n_relations,).
    entities (Bools): Which entities come out, shape (n_entities,).
    relations (Bools): Which relations come out, shape (n_relations,).
    """

    entity_scores: Doubles
    relation_scores: Doubles
    entities: Bools
    relations: Bools


def read_decisions(cfg: Mapping[str, Any]) -> Decisions:
    """Read the settings of a component.

    cfg (Mapping[str, Any]): Its settings.
    RETURNS (Decisions): Those that decide.
    """
    calibration = cfg["calibration"] or {}
    return Decisions(
        common=cfg["relation_threshold"],
        relations={label: value for label, value in cfg["relation_thresholds"]},
        entities={label: value for label, value in cfg["entity_thresholds"]},
        temperature=calibration.get("entities", 1.0),
        sigmoids={label: (slope, offset) for label, slope, offset in calibration.get("relations", ())},
        types=_types(cfg),
        pairing=cfg.get("pairing_threshold"),
    )


def write_decisions(decisions: Decisions, cfg: Dict[str, Any]) -> None:
    """Write the settings of a component, as plain values.

    decisions (Decisions): What decides.
    cfg (Dict[str, Any]): The settings to change. Types that are possible already are left as they are said.
    """
    cfg["relation_threshold"] = float(decisions.common)
    cfg["relation_thresholds"] = [[label, float(value)] for label, value in sorted(decisions.relations.items())]
    cfg["entity_thresholds"] = [[label, float(value)] for label, value in sorted(decisions.entities.items())]
    rows = [[label, float(slope), float(offset)] for label, (slope, offset) in sorted(decisions.sigmoids.items())]
    calibrated = decisions.temperature != 1.0 or decisions.sigmoids
    cfg["calibration"] = {"entities": float(decisions.temperature), "relations": rows} if calibrated else None
    if decisions.types != _types(cfg):
        cfg["relation_types"] = None if decisions.types is None else [list(row) for row in sorted(decisions.types)]


def apply_decisions(decisions: Decisions, scored: Scored, symmetric_labels: Collection[str] = ()) -> Applied:
    """Decide what comes out. The limits of a document's number of entities and relations are left out of account.

    decisions (Decisions): What decides.
    scored (Scored): Candidates with the scores that the model gives, before any calibration.
    symmetric_labels (Collection[str]): Relation labels without direction.
    RETURNS (Applied): Calibrated scores, and what comes out.
    """
    entity_scores = calibrate_entities(scored, decisions.temperature)
    relation_scores = calibrate_relations(scored.relations, decisions.sigmoids)
    decoder = make_decoder(decisions, scored, symmetric_labels)
    # Column 0 is that of no known label.
    labels = 1 + scored.entities.columns
    entities = paired = numpy.ones(len(entity_scores), dtype=bool)
    if not scored.given:
        entities = paired = decoder.are_entities(labels, entity_scores.astype("float32"), scored.is_entity)
        if decisions.pairing is not None and scored.logits is not None:
            paired = decoder.are_paired(entities, softmax(scored.logits)[:, 0].astype("float32"))
    heads, tails = labels[scored.pairs.T]
    relations = decoder.are_relations(scored.relations.columns, relation_scores.astype("float32"), heads, tails)
    relations &= paired[scored.pairs].all(axis=1)
    if decisions.pairing is not None:
        entities[scored.pairs[relations]] = True
    return Applied(entity_scores, relation_scores, entities, relations)


def make_decoder(decisions: Decisions, scored: Scored, symmetric_labels: Collection[str] = ()) -> Decoder:
    """The decoder of a component that decides so.

    decisions (Decisions): What decides.
    scored (Scored): Candidates, whose labels are to be decided about.
    symmetric_labels (Collection[str]): Relation labels without direction.
    RETURNS (Decoder): The decoder. What is said of other labels is left out.
    """
    entities, relations = scored.entities.labels, scored.relations.labels
    types = None
    if decisions.types is not None:
        types = [row for row in decisions.types if row[0] in relations and {*row[1:]} <= {*entities}]
    return Decoder(
        entity_labels=entities,
        relation_labels=relations,
        relation_threshold=decisions.common,
        relation_thresholds=[(label, value) for label, value in decisions.relations.items() if label in relations],
        entity_thresholds=[(label, value) for label, value in decisions.entities.items() if label in entities],
        relation_types=types,
        symmetric_labels=symmetric_labels,
        pairing_threshold=decisions.pairing,
    )


def calibrate_entities(scored: Scored, temperature: float) -> Doubles:
    """The scores of entities for a temperature.

    scored (Scored): The candidates, with logits unless the temperature is 1.
    temperature (float): What the logits are divided by.
    RETURNS (Doubles): Shape (n_entities,).
    """
    if temperature == 1.0 or scored.logits is None:
        return scored.entities.scores
    rows = numpy.arange(len(scored.logits))
    return softmax(scored.logits / temperature)[rows, scored.entities.columns + 1]


def calibrate_relations(relations: Candidates, sigmoids: Mapping[str, Tuple[float, float]]) -> Doubles:
    """The scores of relations for a slope and an offset of each label.

    relations (Candidates): The relations.
    sigmoids (Mapping[str, Tuple[float, float]]): Slope and offset by label; others stay as they are.
    RETURNS (Doubles): Shape (n_relations,).
    """
    scores = relations.scores.copy()
    for column, label in enumerate(relations.labels):
        if label in sigmoids:
            slope, offset = sigmoids[label]
            rows = relations.columns == column
            scores[rows] = sigmoid(slope * logit(scores[rows]) + offset)
    return scores


def _types(cfg: Mapping[str, Any]) -> Optional[FrozenSet[RelationType]]:
    rows = cfg["relation_types"]
    rows = cfg["learned_types"] if rows == LEARN else rows
    return None if rows is None else frozenset((label, head, tail) for label, head, tail in rows)
