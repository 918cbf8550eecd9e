"""The settings by which scores become decisions, apart from the component: read from its `cfg`, applied to candidates,
written back.
"""

from dataclasses import dataclass, field
from typing import Any, Collection, Dict, FrozenSet, Mapping, NamedTuple, Optional, Tuple

import numpy

from ..decoding import LEARN, reach
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
    entities = numpy.ones(len(entity_scores), dtype=bool)
    if not scored.given:
        entities = scored.is_entity & _reach(entity_scores, scored.entities, decisions.entities, 0.0)
    relations = _reach(relation_scores, scored.relations, decisions.relations, decisions.common)
    relations &= (entities | _is_paired(scored, decisions))[scored.pairs].all(axis=1)
    if decisions.types is not None:
        relations &= possible(scored, decisions.types, symmetric_labels)
    if decisions.pairing is not None:
        entities[scored.pairs[relations]] = True
    return Applied(entity_scores, relation_scores, entities, relations)


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


def possible(scored: Scored, types: Collection[RelationType], symmetric_labels: Collection[str] = ()) -> Bools:
    """Which relations are possible by the types of their entities.

    scored (Scored): The candidates.
    types (Collection[RelationType]): What is possible. Labels without direction are, too, with head and tail swapped.
    symmetric_labels (Collection[str]): Relation labels without direction.
    RETURNS (Bools): Shape (n_relations,).
    """
    allowed = {*types, *((label, tail, head) for label, head, tail in types if label in symmetric_labels)}
    return numpy.asarray([row in allowed for row in scored.types()], dtype=bool)


def _is_paired(scored: Scored, decisions: Decisions) -> Bools:
    """Which spans are paired without being entities by themselves."""
    if decisions.pairing is None or scored.logits is None:
        return numpy.zeros(len(scored.actual), dtype=bool)
    return 1.0 - softmax(scored.logits)[:, 0] >= decisions.pairing


def _reach(scores: Doubles, candidates: Candidates, thresholds: Mapping[str, float], common: float) -> Bools:
    limits = numpy.asarray([thresholds.get(label, common) for label in candidates.labels])
    found: Bools = reach(scores, limits[candidates.columns])
    return found


def _types(cfg: Mapping[str, Any]) -> Optional[FrozenSet[RelationType]]:
    rows = cfg["relation_types"]
    rows = cfg["learned_types"] if rows == LEARN else rows
    return None if rows is None else frozenset((label, head, tail) for label, head, tail in rows)
