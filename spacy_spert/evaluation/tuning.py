"""Thresholds, calibration and type constraints fitted to candidates, part by part. Knows no spaCy.

A part is taken only if it helps where it was not fitted: the documents are dealt into folds, and what is fitted to all
folds but one decides in that one. Thresholds must raise F1 by more than the standard error of the difference: near its
best F1 is flat, so that without evidence they would trade precision for recall, or recall for precision, for nothing.
"""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Callable, Collection, Dict, FrozenSet, List, NamedTuple, Optional, Sequence, Tuple

import numpy

from ..ml.arrays import Bools, Ints
from .calibration import calibration_error, fit_sigmoid, fit_temperature, logit, sigmoid
from .decisions import Decisions, apply_decisions, calibrate_entities, calibrate_relations
from .scored import Candidates, Doubles, RelationType, Scored
from .thresholds import SHRINKAGE, Target, best_thresholds

TYPES, CALIBRATION, ENTITIES, RELATIONS = "types", "calibration", "entities", "relations"
PARTS = (TYPES, CALIBRATION, ENTITIES, RELATIONS)
DEFAULT_PARTS = (CALIBRATION, ENTITIES, RELATIONS)


@dataclass(frozen=True)
class Options:
    """How to fit.

    parts (Collection[str]): What to fit, of PARTS.
    target (Target): What is to be high.
    folds (int): Number of folds, at least 2.
    seed (int): For dealing the documents.
    floor (float): The lowest score of a relation that is among the candidates.
    shrinkage (float): How many gold annotations weigh as much as the common threshold.
    strength (float): How strongly calibration is held at what is known without the label.
    offset (bool): Whether relations get an offset beside the slope.
    min_share (float): Smallest share of a label's relations that makes a type possible.
    margin (float): By how many standard errors thresholds must raise F1 to be taken.
    symmetric_labels (Collection[str]): Relation labels without direction.
    known (Optional[FrozenSet[str]]): The component's labels of entities and relations; by default all that occur.
    """

    parts: Collection[str] = DEFAULT_PARTS
    target: Target = Target()
    folds: int = 5
    seed: int = 0
    floor: float = 0.0
    shrinkage: float = SHRINKAGE
    strength: float = 5.0
    offset: bool = True
    min_share: float = 0.01
    margin: float = 1.0
    symmetric_labels: Collection[str] = ()
    known: Optional[FrozenSet[str]] = None


class Outcome(NamedTuple):
    """What comes out of candidates.

    entities (Ints): True positives, false positives and false negatives, shape (n_documents, n_labels, 3).
    relations (Ints): The same of relations.
    entity_error (float): Expected calibration error of the entities that come out.
    relation_error (float): The same of relations.
    """

    entities: Ints
    relations: Ints
    entity_error: float
    relation_error: float


class Tuning(NamedTuple):
    """What was fitted.

    before (Decisions): The settings before.
    after (Decisions): The settings after.
    measured (Outcome): What comes out before.
    expected (Outcome): What comes out after, cross-validated.
    taken (List[str]): The parts that were taken.
    refused (List[str]): The parts that would not have helped.
    """

    before: Decisions
    after: Decisions
    measured: Outcome
    expected: Outcome
    taken: List[str]
    refused: List[str]


Fit = Callable[[Decisions, Scored, Options], Decisions]
Judge = Callable[[Outcome, Outcome, Options], bool]


class _Stage(NamedTuple):
    """A part of the fit, and when it helps: whether the second outcome is better than the first."""

    part: str
    name: str
    fit: Fit
    helps: Judge


# A part with the options to fit it.
_Step = Tuple[_Stage, Options]


def tune(scored: Scored, before: Decisions, options: Options) -> Tuning:
    """Fit what decides.

    scored (Scored): All candidates with low thresholds, and the scores that the model gives before any calibration.
    before (Decisions): The settings before.
    options (Options): How to fit.
    RETURNS (Tuning): The settings after. The target is not lower than before, neither on the documents nor
        cross-validated.
    """
    everything = numpy.ones(scored.n_documents, dtype=bool)
    folds = deal(scored.n_documents, options.folds, options.seed)
    measured = outcome(scored, [(everything, before)], options)
    taken: List[_Step] = []
    refused: List[str] = []
    expected, after = measured, before
    for stage in _STAGES:
        if stage.part not in options.parts:
            continue
        tried = []
        for step in _steps(stage, options):
            trial = [*taken, step]
            decided = [(fold, _fit(trial, scored.select(~fold), before)) for fold in folds]
            fitted = _fit(trial, scored, before)
            crossed, on_all = outcome(scored, decided, options), outcome(scored, [(everything, fitted)], options)
            if stage.helps(expected, crossed, options) and _is_kept(measured, on_all, options):
                tried.append((_value(crossed, options.target), trial, crossed, fitted))
        if tried:
            _, taken, expected, after = max(tried, key=lambda each: each[0])
        else:
            refused.append(stage.name)
    return Tuning(before, after, measured, expected, [stage.name for stage, _ in taken], refused)


def deal(n_documents: int, folds: int, seed: int) -> List[Bools]:
    """Deal documents into folds of about the same size.

    n_documents (int): Number of documents.
    folds (int): Number of folds.
    seed (int): For the generator.
    RETURNS (List[Bools]): The documents of each fold, shape (n_documents,).
    """
    order = numpy.random.default_rng(seed).permutation(n_documents)
    return [numpy.isin(numpy.arange(n_documents), order[i::folds]) for i in range(min(folds, n_documents))]


def outcome(scored: Scored, decided: Sequence[Tuple[Bools, Decisions]], options: Options) -> Outcome:
    """Apply settings to candidates, each to its documents.

    scored (Scored): The candidates.
    decided (Sequence[Tuple[Bools, Decisions]]): Documents, shape (n_documents,), and what decides in them.
    options (Options): Which labels have no direction.
    RETURNS (Outcome): What comes out of all.
    """
    counts: Dict[str, List[Ints]] = {ENTITIES: [], RELATIONS: []}
    scores: Dict[str, List[Tuple[Doubles, Bools]]] = {ENTITIES: [], RELATIONS: []}
    for documents, decisions in decided:
        part = scored.select(documents)
        applied = apply_decisions(decisions, part, options.symmetric_labels)
        for name, candidates, values, kept in (
            (ENTITIES, part.entities, applied.entity_scores, applied.entities),
            (RELATIONS, part.relations, applied.relation_scores, applied.relations),
        ):
            counts[name].append(candidates.count(kept))
            scores[name].append((values[kept], candidates.right[kept]))
    errors = {}
    for name, parts in scores.items():
        values, right = (numpy.concatenate(arrays) for arrays in zip(*parts))
        errors[name] = calibration_error(values, right)
    entities, relations = (numpy.sum(counts[name], axis=0) for name in (ENTITIES, RELATIONS))
    return Outcome(entities, relations, errors[ENTITIES], errors[RELATIONS])


def fit_types(decisions: Decisions, scored: Scored, options: Options) -> Decisions:
    """Take those relations for possible that the gold data has, if their share of the label is large enough.

    What was not possible before is left out, as are labels that the component does not know: neither was predicted.

    RETURNS (Decisions): The settings with type constraints.
    """

    def ordered(label: str, head: str, tail: str) -> RelationType:
        return (label, *sorted((head, tail))) if label in options.symmetric_labels else (label, head, tail)  # type: ignore[return-value]

    counts: Counter[RelationType] = Counter()
    for row, n in sum(scored.gold_types, Counter()).items():
        counts[ordered(*row)] += n
    totals: Counter[str] = Counter()
    for (label, _, _), n in counts.items():
        totals[label] += n
    types = {row for row, n in counts.items() if n >= options.min_share * totals[row[0]]}
    if decisions.types is not None:
        types &= {ordered(*row) for row in decisions.types}
    if options.known is not None:
        types = {row for row in types if options.known.issuperset(row)}
    return replace(decisions, types=frozenset(types))


def fit_entity_calibration(decisions: Decisions, scored: Scored, options: Options) -> Decisions:
    """Fit the temperature of entities. Thresholds are moved so that no decision changes; if they can't, nothing is.

    RETURNS (Decisions): The settings with the temperature.
    """
    if scored.logits is None or not len(scored.logits):
        return decisions
    known = scored.actual < scored.logits.shape[1] - 1
    temperature = fit_temperature(scored.logits[known], scored.actual[known] + 1, options.strength)
    old, new = (calibrate_entities(scored, each) for each in (decisions.temperature, temperature))
    thresholds = {}
    for label, threshold in decisions.entities.items():
        rows = scored.entities.columns == _column(scored.entities, label)
        kept = old[rows] >= threshold
        above, below = new[rows][kept].min(initial=1.0), new[rows][~kept].max(initial=0.0)
        if below >= above:
            return decisions
        thresholds[label] = float((above + below) / 2.0)
    return replace(decisions, temperature=temperature, entities=thresholds)


def fit_relation_calibration(decisions: Decisions, scored: Scored, options: Options) -> Decisions:
    """Fit slope and offset of each relation label, held at those of all labels.

    Thresholds are moved so that no decision changes.

    RETURNS (Decisions): The settings with slopes and offsets.
    """
    relations = scored.relations
    used = apply_decisions(replace(decisions, relations={}, common=0.0), scored, options.symmetric_labels).relations
    logits = logit(relations.scores)
    common = fit_sigmoid(logits[used], relations.right[used], strength=options.strength, offset=options.offset)
    sigmoids, thresholds = {}, {}
    for column, label in enumerate(relations.labels):
        rows = used & (relations.columns == column)
        if not rows.any():
            continue
        sigmoids[label] = fit_sigmoid(
            logits[rows], relations.right[rows], start=common, strength=options.strength, offset=options.offset
        )
        threshold = decisions.relations.get(label, decisions.common)
        thresholds[label] = move_threshold(threshold, decisions.sigmoids.get(label, (1.0, 0.0)), sigmoids[label])
    return replace(
        decisions,
        sigmoids={**decisions.sigmoids, **sigmoids},
        relations={**decisions.relations, **thresholds},
    )


def move_threshold(threshold: float, old: Tuple[float, float], new: Tuple[float, float]) -> float:
    """Move a threshold with the scores, so that no decision changes.

    threshold (float): The threshold of scores that were made by the old slope and offset.
    old (Tuple[float, float]): Slope and offset before.
    new (Tuple[float, float]): Slope and offset after.
    RETURNS (float): The threshold of scores made by the new ones.
    """
    if not 0.0 < threshold < 1.0:
        return threshold
    raw = (float(logit(threshold)) - old[1]) / old[0]
    return float(sigmoid(new[0] * raw + new[1]))


def fit_entity_thresholds(decisions: Decisions, scored: Scored, options: Options) -> Decisions:
    """Fit the thresholds of entity labels.

    RETURNS (Decisions): The settings with a threshold for every label that has candidates.
    """
    entities, used = scored.entities, scored.is_entity
    scores = calibrate_entities(scored, decisions.temperature)
    _, values = best_thresholds(
        scores[used],
        entities.right[used],
        entities.columns[used],
        entities.gold.sum(axis=0),
        options.target,
        shrinkage=options.shrinkage,
    )
    known = set(entities.columns[used].tolist())
    return replace(
        decisions, entities={label: float(values[i]) for i, label in enumerate(entities.labels) if i in known}
    )


def fit_relation_thresholds(decisions: Decisions, scored: Scored, options: Options) -> Decisions:
    """Fit the common threshold of relations and those of the labels, among the entities that come out.

    RETURNS (Decisions): The settings with these thresholds.
    """
    relations = scored.relations
    scores = calibrate_relations(relations, decisions.sigmoids)
    applied = apply_decisions(replace(decisions, relations={}, common=0.0), scored, options.symmetric_labels)
    used = applied.relations
    floor = [move_threshold(options.floor, (1.0, 0.0), decisions.sigmoids.get(x, (1.0, 0.0))) for x in relations.labels]
    common, values = best_thresholds(
        scores[used],
        relations.right[used],
        relations.columns[used],
        relations.gold.sum(axis=0),
        options.target,
        floor=floor,
        shrinkage=options.shrinkage,
    )
    known = set(relations.columns[used].tolist())
    thresholds = {label: float(values[i]) for i, label in enumerate(relations.labels) if i in known}
    return replace(decisions, common=common, relations=thresholds)


def standard_error(one: Ints, other: Ints) -> float:
    """Say how far a difference of F1 is off by the choice of documents, to first order.

    one (Ints): True positives, false positives and false negatives of each document, shape (n_documents, 3).
    other (Ints): Those of other settings, of the same shape.
    RETURNS (float): The standard error of the difference of the two F1.
    """
    pulls = []
    for counts in (one, other):
        right, all_ = 2.0 * counts[:, 0], 2.0 * counts[:, 0] + counts[:, 1] + counts[:, 2]
        total = max(float(all_.sum()), 1.0)
        pulls.append((right - right.sum() / total * all_) / total)
    return float(numpy.sqrt(((pulls[1] - pulls[0]) ** 2).sum()))


def _steps(stage: _Stage, options: Options) -> List[_Step]:
    """Ways to fit. Where it was not fitted, a precision is often missed by a little, so that higher ones are tried."""
    precision = options.target.precision
    if precision is None or stage.part not in (ENTITIES, RELATIONS):
        return [(stage, options)]
    return [(stage, replace(options, target=Target(min(precision + more, 1.0)))) for more in (0.0, 0.01, 0.02, 0.05)]


def _fit(steps: Sequence[_Step], scored: Scored, before: Decisions) -> Decisions:
    decisions = before
    for stage, options in steps:
        decisions = stage.fit(decisions, scored, options)
    return decisions


def _value(result: Outcome, target: Target) -> Tuple[Tuple[float, ...], Tuple[float, ...]]:
    """Rate relations and entities."""
    return target.value(result.relations.sum(axis=(0, 1))), target.value(result.entities.sum(axis=(0, 1)))


def _is_kept(one: Outcome, other: Outcome, options: Options) -> bool:
    return all(new >= old for old, new in zip(_value(one, options.target), _value(other, options.target)))


def _raises_entities(one: Outcome, other: Outcome, options: Options) -> bool:
    return _is_kept(one, other, options) and _raises(one.entities, other.entities, options)


def _raises_relations(one: Outcome, other: Outcome, options: Options) -> bool:
    return _is_kept(one, other, options) and _raises(one.relations, other.relations, options)


def _raises(one: Ints, other: Ints, options: Options) -> bool:
    one, other = one.sum(axis=1), other.sum(axis=1)
    old, new = (options.target.value(counts.sum(axis=0)) for counts in (one, other))
    if options.target.precision is not None:
        return new > old
    return new[0] - old[0] > options.margin * standard_error(one, other)


def _calibrates_entities(one: Outcome, other: Outcome, options: Options) -> bool:
    return _is_kept(one, other, options) and other.entity_error < one.entity_error


def _calibrates_relations(one: Outcome, other: Outcome, options: Options) -> bool:
    return _is_kept(one, other, options) and other.relation_error < one.relation_error


def _column(candidates: Candidates, label: str) -> int:
    return candidates.labels.index(label) if label in candidates.labels else -1


_STAGES = (
    _Stage(TYPES, "type constraints", fit_types, _is_kept),
    _Stage(CALIBRATION, "calibration of entities", fit_entity_calibration, _calibrates_entities),
    _Stage(CALIBRATION, "calibration of relations", fit_relation_calibration, _calibrates_relations),
    _Stage(ENTITIES, "thresholds of entities", fit_entity_thresholds, _raises_entities),
    _Stage(RELATIONS, "thresholds of relations", fit_relation_thresholds, _raises_relations),
)
