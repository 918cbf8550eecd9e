"""A pipeline whose thresholds, calibration and type constraints are fitted to annotated documents."""

from dataclasses import dataclass, field, replace
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

from spacy.language import Language
from spacy.training import Example

from ..alignment import gold_relations
from ..checks import count_foreign, foreign_notes
from ..components import find_component
from ..corpus import give_sentences
from ..errors import Errors
from ..ml.arrays import Ints
from ..scorer import SYMMETRIC, symmetric_of
from .comparison import HEADER as DIFFERENCE_HEADER
from .comparison import Difference, bootstrap, prf
from .decisions import read_decisions, write_decisions
from .prediction import FLOOR, collect, find_annotated
from .run import TITLES, Table, note_on_marks
from .tuning import PARTS, Options, Tuning, tune

HEADER = ("", "threshold", "P", "R", "F", "new threshold", "P", "R", "F", "support")


@dataclass
class Tuned:
    """What was fitted, and how sure it is.

    tuning (Tuning): The settings before and after, and what comes out.
    entity_labels (List[str]): Labels of the entities that were counted.
    relation_labels (List[str]): Labels of the relations.
    differences (Dict[str, Dict[str, Difference]]): For "spans" and "rels_strict" the scores before, after
        (cross-validated), and the interval of the difference.
    folds (int): Number of folds.
    documents (int): Number of documents.
    given_sentences (Optional[int]): How many of them have sentence marks that were used; None if the pipeline's own
        counted.
    unannotated (int): How many further documents were left out, as their entities are not annotated.
    foreign (Dict[str, int]): How many have relations of another tool and none that are read, by format.
    """

    tuning: Tuning
    entity_labels: List[str]
    relation_labels: List[str]
    differences: Dict[str, Dict[str, Difference]]
    folds: int
    documents: int
    given_sentences: Optional[int] = None
    unannotated: int = 0
    foreign: Dict[str, int] = field(default_factory=dict)

    @property
    def tables(self) -> List[Table]:
        """RETURNS (List[Table]): Thresholds and scores of each label before and after, and how sure they are."""
        before, after = self.tuning.before, self.tuning.after
        measured, expected = self.tuning.measured, self.tuning.expected
        entity_limits = [
            [_limit(each.entities, label, 0.0) for label in self.entity_labels] for each in (before, after)
        ]
        relation_limits = [
            [_limit(each.relations, label, each.common) for label in self.relation_labels] for each in (before, after)
        ]
        sure = [
            (f"{title}, {score}", *difference.cells())
            for name, title in (("spans", TITLES["spans"]), ("rels_strict", TITLES["rels_strict"]))
            for score, difference in self.differences[name].items()
        ]
        errors = [
            ("entities", f"{measured.entity_error:.4f}", f"{expected.entity_error:.4f}"),
            ("relations", f"{measured.relation_error:.4f}", f"{expected.relation_error:.4f}"),
        ]
        header = ("", "before", "after", "difference", DIFFERENCE_HEADER[-1])
        return [
            (TITLES["spans"], _rows(self.entity_labels, entity_limits, measured.entities, expected.entities)),
            (
                TITLES["rels_strict"],
                _rows(self.relation_labels, relation_limits, measured.relations, expected.relations),
            ),
            ("Cross-validated", [header, *sure]),
            ("Expected calibration error", [("", "before", "after"), *errors]),
        ]

    @property
    def notes(self) -> List[str]:
        """RETURNS (List[str]): What must be known to read the tables, in sentences."""
        notes = [
            f"All figures after tuning are cross-validated: what decides in one of {self.folds} folds was fitted to "
            "the others."
        ]
        if self.unannotated:
            notes.append(f"{self.unannotated} documents are left out, as their entities are not annotated.")
        if self.given_sentences is not None:
            notes.append(note_on_marks(self.given_sentences, self.documents))
        notes.extend(foreign_notes(self.foreign))
        if self.tuning.taken:
            notes.append(f"Fitted: {', '.join(self.tuning.taken)}.")
        if self.tuning.refused:
            notes.append(f"Left as they were, as a fit would not help: {', '.join(self.tuning.refused)}.")
        return notes

    def to_json(self) -> Dict[str, Any]:
        """RETURNS (Dict[str, Any]): Settings and scores, all plain values."""
        settings: List[Dict[str, Any]] = [{"relation_types": None} for _ in range(2)]
        for cfg, decisions in zip(settings, (self.tuning.before, self.tuning.after)):
            write_decisions(decisions, cfg)
        outcomes = {"before": self.tuning.measured, "after": self.tuning.expected}
        return {
            "settings": dict(zip(outcomes, settings)),
            "scores": {
                name: {score: difference.to_json() for score, difference in scores.items()}
                for name, scores in self.differences.items()
            },
            "calibration_error": {
                name: {"entities": each.entity_error, "relations": each.relation_error}
                for name, each in outcomes.items()
            },
            "fitted": self.tuning.taken,
            "left": self.tuning.refused,
            "folds": self.folds,
            "documents": self.documents,
            "given_sentences": self.given_sentences is not None,
            "unannotated_documents": self.unannotated,
        }


def tune_pipeline(
    nlp: Language,
    examples: Iterable[Example],
    options: Options,
    *,
    component: Optional[str] = None,
    symmetric: Optional[str] = None,
    given_sentences: bool = False,
    batch_size: Optional[int] = None,
    progress: bool = False,
) -> Tuned:
    """Fit what decides to annotated documents, and write it into the settings of a pipeline's component.

    nlp (Language): The pipeline.
    examples (Iterable[Example]): The documents, none of which the pipeline was trained on, not predicted yet.
    options (Options): How to fit. Floor and symmetric labels are those of the component.
    component (Optional[str]): The name of the component, needed only if there are several.
    symmetric (Optional[str]): How relations without direction count: "once", "directed" or "twice". By default as the
        component's scorer counts them.
    given_sentences (bool): Use the sentence marks of the data. By default the pipeline's own marks count.
    batch_size (Optional[int]): Documents at a time; by default the pipeline's batch_size.
    progress (bool): Show a progress bar, if there is a terminal.
    RETURNS (Tuned): What was fitted.
    RAISES (ValueError): If the component is not there, an option is out of range, or there are too few documents.
    """
    name, spert = find_component(nlp, component)
    symmetric = symmetric_of(spert.scorer) if symmetric is None else symmetric
    _check(options, symmetric)
    cfg = spert.cfg
    chosen, unannotated = find_annotated(examples, cfg["spans_key"])
    if len(chosen) < options.folds:
        raise ValueError(Errors.S122.format(n=len(chosen), folds=options.folds))
    marked = sum(map(give_sentences, chosen.values())) if given_sentences else None
    before = read_decisions(cfg)
    scored = collect(
        nlp, name, chosen.values(), symmetric=symmetric, floor=FLOOR, batch_size=batch_size, progress=progress
    )
    undirected = () if symmetric == "directed" else tuple(cfg["symmetric_labels"])
    options = replace(options, floor=FLOOR, symmetric_labels=undirected, known=frozenset(spert.labels))
    tuning = tune(scored, before, options)
    if tuning.taken:
        write_decisions(tuning.after, cfg)
    pairs = {"spans": (tuning.measured.entities, tuning.expected.entities)}
    pairs["rels_strict"] = (tuning.measured.relations, tuning.expected.relations)
    differences = {name: bootstrap(*counts, seed=options.seed) for name, counts in pairs.items()}
    references = [example.reference for example in chosen.values()]
    return Tuned(
        tuning,
        scored.entities.labels,
        scored.relations.labels,
        differences,
        options.folds,
        len(chosen),
        marked,
        unannotated,
        count_foreign(doc for doc in references if gold_relations(doc, cfg["spans_key"]) is None),
    )


def _check(options: Options, symmetric: str) -> None:
    if symmetric not in SYMMETRIC:
        raise ValueError(Errors.S033.format(value=symmetric, options=SYMMETRIC))
    precision = options.target.precision
    checks: List[Tuple[str, bool, str, Any]] = [
        ("What to fit", bool(options.parts) and set(options.parts) <= set(PARTS), f"some of {PARTS}", options.parts),
        ("The precision", precision is None or 0.0 < precision <= 1.0, "above 0 and at most 1", precision),
        ("The number of folds", options.folds >= 2, "at least 2", options.folds),
        ("The shrinkage", options.shrinkage >= 0.0, "at least 0", options.shrinkage),
        ("The smallest share of a type", 0.0 <= options.min_share <= 1.0, "between 0 and 1", options.min_share),
    ]
    for what, holds, expected, value in checks:
        if not holds:
            raise ValueError(Errors.S121.format(what=what, expected=expected, value=value))


def _limit(thresholds: Dict[str, float], label: str, common: float) -> str:
    return f"{thresholds.get(label, common):.3f}"


def _rows(labels: Sequence[str], limits: Sequence[Sequence[str]], one: Ints, other: Ints) -> List[Tuple]:
    """A row for each label, and one for all."""
    groups = [[i] for i in range(len(labels))] + [list(range(len(labels)))]
    rows: List[Tuple] = [HEADER]
    for name, group in zip([*labels, "micro"], groups):
        cells: List[Any] = [name]
        for thresholds, counts in zip(limits, (one, other)):
            scores = prf(counts[:, group].sum(axis=0, keepdims=True))
            threshold = "" if name == "micro" and group == groups[-1] else thresholds[group[0]]
            cells.extend([threshold, *(f"{scores[score][0]:.4f}" for score in ("P", "R", "F"))])
        right, _, missed = one[:, group].sum(axis=(0, 1)).tolist()
        rows.append((*cells, right + missed))
    return rows
