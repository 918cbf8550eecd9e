"""What can't go well, found before a training begins, or of what an evaluation would be silent."""

from collections import Counter
from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple, cast
from typing import Counter as CounterT

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

from .alignment import GoldCounts, gold_entities, gold_relations
from .errors import Errors, Warnings
from .upstream import components_before

# Where a Doc keeps `doc._.rel`.
REL_KEY = ("._.", "rel", None, None)


def foreign_relations(doc: Doc) -> Optional[str]:
    """Find relations that other tools left in `doc._.rel`, which is not read.

    doc (Doc): The document.
    RETURNS (Optional[str]): The format they are in, as `spacy spert convert` calls it; None if there are none.
    """
    value = cast(Dict[Any, Any], doc.user_data).get(REL_KEY)
    if not value:
        return None
    return "rel-component" if isinstance(value, dict) else "spacy-llm"


def count_foreign(docs: Iterable[Doc]) -> CounterT[str]:
    """RETURNS (Counter[str]): How many documents have relations of another tool, by format."""
    return Counter(form for form in map(foreign_relations, docs) if form is not None)


def foreign_notes(counts: Mapping[str, int]) -> List[str]:
    """RETURNS (List[str]): What to do about documents with relations of other tools alone, counted by format."""
    return [Warnings.W030.format(n=n, format=form) for form, n in counts.items()]


def check_counts(counts: GoldCounts, labels: Dict[str, List[str]], cfg: Dict[str, Any], name: str) -> List[str]:
    """Make sure that there is something to learn from.

    counts (GoldCounts): What the training data holds.
    labels (Dict[str, List[str]]): The labels of the component, given or found in the data.
    cfg (Dict[str, Any]): Its settings.
    name (str): Its name, for messages.
    RETURNS (List[str]): Warnings.
    RAISES (ValueError): If there are neither labels nor entities, if relations are expected and there are none, or if
        a symmetric label is none of the relation labels.
    """
    n_entities, n_relations = sum(counts.entities.values()), sum(counts.relations.values())
    facts = {"name": name, "docs": counts.docs, "ents": n_entities, "key": cfg["spans_key"]}
    relation_labels, symmetric = labels["relations"], cfg["symmetric_labels"]
    if not n_entities and not labels["entities"] and not (cfg["task"] == "relations" and relation_labels):
        raise ValueError(Errors.S010.format(**facts))
    warnings = [] if n_entities else [Warnings.W004.format(**facts)]
    if cfg["task"] == "entities":
        return warnings
    if n_entities and not n_relations:
        if relation_labels or symmetric or cfg["task"] == "relations":
            raise ValueError(Errors.S011.format(labels=relation_labels, **facts))
        warnings.append(Warnings.W006.format(**facts))
    unknown = sorted(set(symmetric) - set(relation_labels))
    if unknown:
        raise ValueError(Errors.S017.format(name=name, label=unknown[0], labels=relation_labels))
    return warnings


def check_pipeline(nlp: Language, pipe: Any) -> List[str]:
    """Make sure that the component gets what it needs from the pipeline, and that its scores count.

    nlp (Language): The pipeline.
    pipe (Spert): The component.
    RETURNS (List[str]): Warnings.
    """
    warnings = []
    cfg = pipe.cfg
    if cfg["task"] == "relations":
        needed = "doc.ents" if cfg["entities_key"] is None else "doc.spans"
        metas = [nlp.get_pipe_meta(other) for other in components_before(nlp, pipe)]
        if not any(needed in meta.assigns for meta in metas):
            place = needed if cfg["entities_key"] is None else f"{needed}[{cfg['entities_key']!r}]"
            warnings.append(Warnings.W007.format(name=pipe.name, place=place))
    missing = _missing_scores(nlp, pipe)
    if missing:
        given = [score for score in pipe.score([]) if score.endswith("_f") and "_macro_" not in score]
        warnings.append(
            Warnings.W005.format(
                name=pipe.name, key=cfg["spans_key"], missing=", ".join(missing), given=", ".join(given)
            )
        )
    return warnings


def _missing_scores(nlp: Language, pipe: Any) -> List[str]:
    """Scores of the component's factory that count in training, but which no such component of the pipeline gives."""
    if pipe.scorer is None:
        return []
    weights = nlp.config["training"]["score_weights"]
    # A component of the same kind may give them, with other settings.
    alike = [other for _, other in nlp.pipeline if isinstance(other, type(pipe)) and other.scorer is not None]
    given = {score for other in alike for score in other.score([])}
    defaults = next(nlp.get_pipe_meta(name).default_score_weights for name, other in nlp.components if other is pipe)
    return [score for score in defaults or () if weights.get(score) and score not in given]


def unknown_labels(examples: Iterable[Example], cfg: Dict[str, Any]) -> CounterT[Tuple[str, str]]:
    """Gold annotation that a component can't find, as it doesn't have the label.

    examples (Iterable[Example]): The documents.
    cfg (Dict[str, Any]): Settings and labels of the component.
    RETURNS (Counter[Tuple[str, str]]): Numbers by kind ("entity" or "relation") and label.
    """
    counts: CounterT[Tuple[str, str]] = Counter()
    for example in examples:
        if cfg["task"] != "relations":
            counts.update(("entity", span.label_) for span in gold_entities(example.reference, cfg["spans_key"]) or ())
        if cfg["task"] != "entities":
            relations = gold_relations(example.reference, cfg["spans_key"]) or ()
            counts.update(("relation", relation.label) for relation in relations)
    known = {"entity": set(cfg["entity_labels"]), "relation": set(cfg["relation_labels"])}
    return Counter({(kind, label): n for (kind, label), n in counts.items() if label not in known[kind]})


def show_counts(counts: CounterT[Tuple[str, str]]) -> str:
    """RETURNS (str): Counted labels as a text, the most frequent first."""
    return ", ".join(f"{kind} '{label}' ({n})" for (kind, label), n in counts.most_common())
