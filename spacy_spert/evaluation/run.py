"""Run a pipeline over annotated documents and gather what there is to know of its component's predictions."""

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple

from spacy.language import Language
from spacy.scorer import PRFScore, get_ner_prf
from spacy.training import Example

from ..alignment import gold_relations
from ..checks import count_foreign, foreign_notes
from ..components import find_component
from ..corpus import give_sentences
from ..decoding import reach, relation_threshold
from ..errors import Errors
from ..ml.arrays import Bools
from ..relations import Relation
from ..scorer import SYMMETRIC, CountsT, count_spert, macro, scores_of, symmetric_of
from ..sentences import reach_of
from .analysis import Analysed, count_errors, find_errors
from .calibration import calibration_error
from .constraints import count_removed_pairs
from .decisions import apply_decisions, read_decisions
from .negatives import FalseRelations, count_false_relations, related_types, without_relation
from .prediction import FLOOR, entities_given, find_annotated, predict
from .scored import Candidates, Scored, gather

# How far below the threshold a score is "just under" it.
DEFAULT_MARGIN = 0.1
TITLES = {"spans": "Entities", "rels": "Relations by boundaries", "rels_strict": "Relations, strict"}
HEADER = ("", "P", "R", "F", "support")
ALL, WITHOUT_RELATION, HARD_NEGATIVES = "all", "without_relation", "hard_negatives"
FALSE_HEADER = ("", "false", "sentences", "per 100")
FALSE_TITLES = {
    ALL: "all sentences",
    WITHOUT_RELATION: "fitting entities, no relation in the gold data",
    HARD_NEGATIVES: "hard negatives",
}

# A title, and rows of which the first is the header.
Table = Tuple[str, List[Tuple]]


@dataclass
class Evaluation:
    """All about the predictions of a component.

    component (str): Its name.
    cfg (Dict[str, Any]): Its settings.
    symmetric (str): How relations of symmetric labels were counted.
    gold_entities (bool): Whether the gold entities were given, so that only relations were predicted.
    counts (CountsT): For "spans", "rels" and "rels_strict" the counts of each label.
    scores (Dict[str, Any]): The scores, as `score_spert` names them. Those of entities are None if they were given.
    documents (List[Analysed]): The documents with their errors.
    margin (float): How far below the threshold a score is "just under" it.
    unannotated (int): How many further documents were left out, as their entities are not annotated.
    unrelated (int): How many documents were left out for relations, as theirs are not annotated.
    unmapped (int): How many gold entities could not be given, as they are not on predicted tokens.
    false_relations (Dict[str, FalseRelations]): False relations in all sentences, in those without any relation, and in
        the hard negatives, if there are any.
    scored (Optional[Scored]): All that had a score, also below the thresholds.
    removed_pairs (Dict[Tuple[str, str], int]): Pairs that type constraints removed, by labels of head and tail.
    given_sentences (Optional[int]): How many of the documents have sentence marks that were used; None if the
        pipeline's own counted.
    foreign (Dict[str, int]): How many of the unrelated documents have relations of another tool, by format.
    """

    component: str
    cfg: Dict[str, Any]
    symmetric: str
    gold_entities: bool
    counts: CountsT
    scores: Dict[str, Any]
    documents: List[Analysed]
    margin: float = DEFAULT_MARGIN
    unannotated: int = 0
    unrelated: int = 0
    unmapped: int = 0
    false_relations: Dict[str, FalseRelations] = field(default_factory=dict)
    scored: Optional[Scored] = None
    removed_pairs: Dict[Tuple[str, str], int] = field(default_factory=dict)
    given_sentences: Optional[int] = None
    foreign: Dict[str, int] = field(default_factory=dict)

    @property
    def spans_key(self) -> str:
        """RETURNS (str): The span group that was evaluated."""
        return self.cfg["spans_key"]

    @property
    def undirected(self) -> List[str]:
        """RETURNS (List[str]): The relation labels whose direction did not count."""
        return [] if self.symmetric == "directed" else list(self.cfg["symmetric_labels"])

    @property
    def tables(self) -> List[Table]:
        """RETURNS (List[Table]): The scores of each label, micro and macro, as tables for people."""
        shown = {name: types for name, types in self.counts.items() if name != "spans" or not self.gold_entities}
        return [(TITLES[name], _rows(types)) for name, types in shown.items()]

    @property
    def errors(self) -> Dict[str, int]:
        """RETURNS (Dict[str, int]): The number of errors of each kind."""
        return count_errors(self.documents)

    @property
    def false_relation_table(self) -> Table:
        """RETURNS (Table): False relations per 100 sentences as a table for people."""
        rows: List[Tuple] = [FALSE_HEADER]
        for name, counts in self.false_relations.items():
            rate = "" if counts.rate is None else f"{counts.rate:.1f}"
            rows.append((FALSE_TITLES[name], counts.found, counts.sentences, rate))
        return "False relations", rows

    @property
    def coming_out(self) -> Dict[str, Tuple[Candidates, Bools]]:
        """RETURNS (Dict[str, Tuple[Candidates, Bools]]): The candidates of "entities", unless they were given, and of
        "relations", and which of them come out."""
        if self.scored is None:
            return {}
        # The scores are calibrated already.
        decisions = replace(read_decisions(self.cfg), temperature=1.0, sigmoids={})
        applied = apply_decisions(decisions, self.scored, self.cfg["symmetric_labels"])
        chosen = {"entities": (self.scored.entities, applied.entities)} if not self.scored.given else {}
        return {**chosen, "relations": (self.scored.relations, applied.relations)}

    @property
    def calibration_errors(self) -> Dict[str, float]:
        """RETURNS (Dict[str, float]): The expected calibration error of what comes out, by "entities", "relations"."""
        return {
            name: calibration_error(candidates.scores[kept], candidates.right[kept])
            for name, (candidates, kept) in self.coming_out.items()
        }

    @property
    def quality_tables(self) -> List[Table]:
        """RETURNS (List[Table]): What there is beside the scores: false relations, calibration, removed pairs."""
        tables = [self.false_relation_table]
        if self.scored is not None:
            rows: List[Tuple] = [(name, f"{error:.4f}") for name, error in self.calibration_errors.items()]
            tables.append(("Expected calibration error", [("", "error"), *rows]))
        if self.removed_pairs:
            rows = [(f"{one} and {other}", n) for (one, other), n in self.removed_pairs.items()]
            tables.append(("Pairs that can't be related by their types", [("", "removed"), *rows]))
        return tables

    @property
    def notes(self) -> List[str]:
        """RETURNS (List[str]): What must be known to read the scores, in sentences."""
        notes = []
        if self.unannotated:
            notes.append(
                f"{self.unannotated} of {self.unannotated + len(self.documents)} documents are left out, as their "
                "entities are not annotated."
            )
        if self.unrelated:
            notes.append(
                f"{self.unrelated} of {len(self.documents)} documents are left out of the scores of relations, as "
                "theirs are not annotated."
            )
        notes.extend(foreign_notes(self.foreign))
        if self.gold_entities:
            notes.append(
                "The gold entities were given and only relations predicted. There is no table of entities, as it "
                "would be perfect, and strict scores differ from those by boundaries only where a span has two labels."
            )
        if self.unmapped:
            notes.append(
                f"{self.unmapped} gold entities could not be given, as they do not begin and end with predicted "
                "tokens. Their relations count as missed."
            )
        if self.given_sentences is not None:
            notes.append(note_on_marks(self.given_sentences, len(self.documents)))
        if self.cfg["symmetric_labels"]:
            ways = {"once": "once, whatever their order", "directed": "as directed ones", "twice": "in both orders"}
            labels = ", ".join(self.cfg["symmetric_labels"])
            notes.append(f"Relations without direction ({labels}) are counted {ways[self.symmetric]}.")
        return notes

    def to_json(self) -> Dict[str, Any]:
        """RETURNS (Dict[str, Any]): Scores, counts, errors by kind and settings, all plain values."""
        counts = {
            name: {
                label: {"tp": score.tp, "fp": score.fp, "fn": score.fn, "support": score.tp + score.fn}
                for label, score in types.items()
            }
            for name, types in self.counts.items()
        }
        return {
            **self.scores,
            "counts": counts,
            "errors": self.errors,
            "false_relations": {name: counts.to_json() for name, counts in self.false_relations.items()},
            "calibration_error": self.calibration_errors,
            "removed_pairs": [[*labels, n] for labels, n in self.removed_pairs.items()],
            "documents": len(self.documents),
            "unannotated_documents": self.unannotated,
            "documents_without_annotated_relations": self.unrelated,
            "unmapped_entities": self.unmapped,
            "settings": {
                "component": self.component,
                "spans_key": self.spans_key,
                "relation_threshold": self.cfg["relation_threshold"],
                "margin": self.margin,
                "symmetric_labels": list(self.cfg["symmetric_labels"]),
                "symmetric": self.symmetric,
                "gold_entities": self.gold_entities,
                "given_sentences": self.given_sentences is not None,
            },
        }


def evaluate_pipeline(
    nlp: Language,
    examples: Iterable[Example],
    *,
    component: Optional[str] = None,
    symmetric: Optional[str] = None,
    gold_entities: bool = False,
    margin: float = DEFAULT_MARGIN,
    hard_negatives: Optional[Iterable[Example]] = None,
    given_sentences: bool = False,
    batch_size: Optional[int] = None,
    progress: bool = False,
) -> Evaluation:
    """Run a pipeline over annotated documents, and compare.

    nlp (Language): The pipeline. Its settings are afterwards as they were.
    examples (Iterable[Example]): The documents, not predicted yet.
    component (Optional[str]): The name of the component, needed only if there are several.
    symmetric (Optional[str]): How relations without direction count: "once", "directed" or "twice". By default as the
        component's scorer counts them.
    gold_entities (bool): Give the component the gold entities and let it predict relations only. All gold relations
        count, also those of entities that can't be given.
    margin (float): How far below the threshold the score of a missed relation is "just under" it.
    hard_negatives (Optional[Iterable[Example]]): Further documents, on which only false relations are counted.
    given_sentences (bool): Use the sentence marks of the data. By default the pipeline's own marks count.
    batch_size (Optional[int]): Documents at a time; by default the pipeline's batch_size.
    progress (bool): Show a progress bar, if there is a terminal.
    RETURNS (Evaluation): The scores, and the documents with their errors.
    RAISES (ValueError): If the component is not there or can't do this, a setting is out of range, or no document is
        annotated.
    """
    if not 0.0 <= margin <= 1.0:
        raise ValueError(Errors.S045.format(value=margin))
    name, spert = find_component(nlp, component)
    symmetric = symmetric_of(spert.scorer) if symmetric is None else symmetric
    if symmetric not in SYMMETRIC:
        raise ValueError(Errors.S033.format(value=symmetric, options=SYMMETRIC))
    cfg, key = spert.cfg, spert.cfg["spans_key"]
    if gold_entities and (cfg["task"] == "entities" or not spert.relation_labels):
        raise ValueError(Errors.S044.format(name=name))
    chosen, unannotated = find_annotated(examples, key)
    marked = sum(map(give_sentences, chosen.values())) if given_sentences else None
    nearly: List[List[Relation]] = []
    rows = []
    given = entities_given(cfg, chosen.values()) if gold_entities else nullcontext(0)
    with given as unmapped:
        floor = max(0.0, min([FLOOR, *(relation_threshold(cfg, label) - margin for label in spert.relation_labels)]))
        for predicted in predict(
            nlp,
            name,
            chosen.values(),
            symmetric=symmetric,
            floor=floor,
            batch_size=batch_size,
            progress=progress,
        ):
            rows.append(predicted.rows)
            nearly.append([relation for relation in predicted.relations if _is_near(relation, cfg, margin)])
        scored = gather(rows, spert.entity_labels, spert.relation_labels, given=cfg["task"] == "relations")
    negatives = None
    if hard_negatives is not None:
        negatives = evaluate_pipeline(
            nlp,
            hard_negatives,
            component=name,
            symmetric=symmetric,
            gold_entities=gold_entities,
            given_sentences=given_sentences,
            batch_size=batch_size,
            progress=progress,
        ).false_relations[ALL]
    return compare(
        chosen,
        nearly,
        component=name,
        cfg=dict(cfg),
        symmetric=symmetric,
        gold_entities=gold_entities,
        margin=margin,
        unannotated=unannotated,
        unmapped=unmapped,
        scored=scored,
        removed_pairs=count_removed_pairs((example.predicted for example in chosen.values()), cfg),
        hard_negatives=negatives,
        given_sentences=marked,
    )


def note_on_marks(n_marked: int, n_docs: int) -> str:
    """RETURNS (str): In how many of the documents sentence marks of the data were used."""
    return f"{n_marked} of {n_docs} documents have sentence marks, which were used."


def compare(
    examples: Mapping[int, Example],
    nearly: Iterable[Iterable[Relation]],
    *,
    component: str,
    cfg: Dict[str, Any],
    symmetric: str = "once",
    gold_entities: bool = False,
    hard_negatives: Optional[FalseRelations] = None,
    **facts: Any,
) -> Evaluation:
    """Compare predictions with the gold annotation.

    examples (Mapping[int, Example]): Predicted and annotated documents by their number in the data.
    nearly (Iterable[Iterable[Relation]]): For each of them the relations just under the threshold.
    component (str): The name of the component.
    cfg (Dict[str, Any]): Its settings.
    symmetric (str): How relations without direction count: "once", "directed" or "twice".
    gold_entities (bool): Whether the gold entities were given.
    hard_negatives (Optional[FalseRelations]): The false relations on a set of hard negatives, if there is one.
    facts: What else is known, see Evaluation.
    RETURNS (Evaluation): All about them.
    """
    key, symmetric_labels = cfg["spans_key"], cfg["symmetric_labels"]
    counts = count_spert(examples.values(), spans_key=key, symmetric_labels=symmetric_labels, symmetric=symmetric)
    undirected = [] if symmetric == "directed" else symmetric_labels
    documents = []
    for (number, example), near in zip(examples.items(), nearly):
        errors = find_errors(example, near, spans_key=key, symmetric_labels=undirected)
        documents.append(Analysed(number, example.reference, example.predicted, errors))
    scores = {**scores_of(counts, key), **get_ner_prf(examples.values())}
    if gold_entities:
        scores = {name: None if name.startswith(("spans_", "ents_")) else value for name, value in scores.items()}
    reach = reach_of(cfg.get("relation_scope", "sentence"))
    negatives = without_relation(examples.values(), related_types(examples.values(), key), key, reach)
    chosen = {ALL: list(examples.values()), WITHOUT_RELATION: negatives}
    false_relations = {
        name: count_false_relations(each, spans_key=key, symmetric_labels=symmetric_labels, symmetric=symmetric)
        for name, each in chosen.items()
    }
    if hard_negatives is not None:
        false_relations[HARD_NEGATIVES] = hard_negatives
    unrelated = [example.reference for example in examples.values() if gold_relations(example.reference, key) is None]
    return Evaluation(
        component,
        cfg,
        symmetric,
        gold_entities,
        counts,
        scores,
        documents,
        false_relations=false_relations,
        unrelated=len(unrelated),
        foreign=count_foreign(unrelated),
        **facts,
    )


def _is_near(relation: Relation, cfg: Mapping[str, Any], margin: float) -> bool:
    """Whether its score is just under the threshold."""
    threshold = relation_threshold(cfg, relation.label)
    return bool(reach(relation.score, max(0.0, threshold - margin)) and not reach(relation.score, threshold))


def _rows(types: Dict[str, PRFScore]) -> List[Tuple]:
    def row(name: str, support: int, values: Iterable[float]) -> Tuple:
        return (name, *(f"{value:.4f}" for value in values), support)

    columns = list(zip(*(_values(score) for score in types.values()))) or [(), (), ()]
    total = sum(types.values(), PRFScore())
    support = total.tp + total.fn
    return [
        HEADER,
        *(row(label, score.tp + score.fn, _values(score)) for label, score in types.items()),
        row("micro", support, _values(total)),
        row("macro", support, map(macro, columns)),
    ]


def _values(score: PRFScore) -> Tuple[float, float, float]:
    return score.precision, score.recall, score.fscore
