"""The factories: one component class, and for each task the settings, score weights and attributes that fit it.

spaCy imports this module whenever a pipeline is made, so neither it nor what it imports loads torch or transformers.
"""

from typing import Any, Callable, Dict, List, Literal, Optional, Sequence, Union

from spacy.language import Language
from thinc.api import Config, Model

from .pipeline import Spert
from .sentences import ScopeT
from .settings import DEFAULTS, SamplingT, TaskT
from .versions import ReadablePipeline, add_requirement

DEFAULT_MODEL = Config().from_str(
    """
[model]
@architectures = "spacy-spert.Spert.v1"
width_embedding = 25
dropout = 0.1
context = "localized"
pooling = "max"
mixer = null
shapes = false

[model.span_head]
@architectures = "spacy-spert.SpanHead.v1"
hidden_width = 0
dropout = null
logit_dropout = 0.0
edges = false

[model.relation_head]
@architectures = "spacy-spert.RelationHead.v1"
hidden_width = 0
dropout = null
logit_dropout = 0.0
labels = false
empty_context = false
distance = 0
edges = false
inverse = false

[model.tok2vec]
@architectures = "spacy-spert.WordpieceListener.v1"
upstream = "*"
grad_factor = 1.0
"""
)
DEFAULT_CONFIG = {
    **DEFAULTS,
    "scorer": {"@scorers": "spacy-spert.spert_scorer.v1"},
    "model": DEFAULT_MODEL["model"],
}

# Settings of `spert` that have no effect in one of its tasks.
NOT_OF_ENTITIES = {
    "task",
    "entities_key",
    "pairing_threshold",
    "relation_threshold",
    "relation_thresholds",
    "relation_types",
    "relation_types_share",
    "symmetric_labels",
    "negative_relations",
    "negative_sampling",
    "near_misses",
    "near_miss_none",
    "relation_scope",
    "max_relation_distance",
    "relations_per_token",
}
NOT_OF_RELATIONS = {
    "task",
    "entity_thresholds",
    "negative_spans",
    "negative_sampling",
    "pairing_threshold",
    "near_misses",
    "near_miss_none",
    "boundary_smoothing",
    "entities_per_token",
    "overwrite_ents",
}


def _without(names: set) -> Dict[str, Any]:
    return {name: value for name, value in DEFAULT_CONFIG.items() if name not in names}


def _weights(prefix: str, weight: Optional[float]) -> Dict[str, Optional[float]]:
    """Precision and recall are shown beside a score that counts, the others are not."""
    shown = 0.0 if weight else None
    return {
        f"{prefix}_f": weight,
        f"{prefix}_p": shown,
        f"{prefix}_r": shown,
        f"{prefix}_macro_f": None,
        f"{prefix}_per_type": None,
    }


def _relation_weights(weight: float) -> Dict[str, Optional[float]]:
    # Without the entities' labels, F is shown only.
    plain = {"rels_f": 0.0, "rels_macro_f": None, "rels_per_type": None}
    return {**_weights("rels_strict", weight), **plain}


@Language.factory(
    "spert",
    assigns=["doc.spans", "doc.ents", "doc._.relations"],
    default_config=DEFAULT_CONFIG,
    default_score_weights={**_weights("spans_spert", 0.5), **_relation_weights(0.5)},
)
def make_spert(
    nlp: ReadablePipeline,
    name: str,
    model: Model,
    scorer: Optional[Callable],
    spans_key: str,
    task: TaskT,
    entities_key: Optional[str],
    max_span_width: int,
    pairing_threshold: Optional[float],
    relation_threshold: float,
    relation_thresholds: List[Sequence[Union[str, float]]],
    entity_thresholds: List[Sequence[Union[str, float]]],
    relation_types: Optional[Union[Literal["learn"], List[Sequence[str]]]],
    relation_types_share: float,
    calibration: Optional[Dict[str, Any]],
    symmetric_labels: List[str],
    negative_spans: int,
    negative_relations: int,
    negative_sampling: SamplingT,
    near_misses: int,
    near_miss_none: float,
    boundary_smoothing: float,
    consistency: float,
    relation_scope: ScopeT,
    max_relation_distance: int,
    entities_per_token: float,
    relations_per_token: float,
    overwrite_ents: bool,
) -> Spert:
    """Create a component for joint entity and relation extraction.

    nlp (Language): The pipeline.
    name (str): Name of the component.
    model (Model): The model, see `spacy-spert.Spert.v1`.
    scorer (Optional[Callable]): The scorer.
    spans_key (str): The span group to write entities and relations to, and to read gold annotation from.
    task (str): "joint"; "entities" to leave relations out; "relations" to take the entities as given. The factories
        `spert_entities` and `spert_relations` have score weights that fit.
    entities_key (Optional[str]): For task "relations" the span group of the given entities; doc.ents if null.
    max_span_width (int): Widest candidate span, in tokens.
    pairing_threshold (Optional[float]): Spans that are no entities by themselves, but have at least this probability of
        being one, are paired as well, and relations have the product of their probability and those of their ends for
        a score. A relation that reaches its threshold makes its ends entities. By default only entities are paired.
    relation_threshold (float): Lowest score of a relation.
    relation_thresholds (List[Sequence[Union[str, float]]]): Other thresholds for some relation labels.
    entity_thresholds (List[Sequence[Union[str, float]]]): Lowest scores of entities, for some labels.
    relation_types (Optional[Union[str, List[Sequence[str]]]]): The relations that there can be, as label and
        entity labels of head and tail; "learn" for those of the training data; null for any.
    relation_types_share (float): Which share of the relations of a label must have certain entity labels, so that
        "learn" takes them for possible.
    calibration (Optional[Dict[str, Any]]): The temperature of the span scores ("entities"), and slope and offset for
        the logits of relation labels ("relations"), as `spacy spert tune` fits them.
    symmetric_labels (List[str]): Relation labels without direction.
    negative_spans (int): Non-entities to learn from, for each sentence.
    negative_relations (int): Unrelated pairs to learn from, for each sentence.
    negative_sampling (str): Draw unrelated pairs from gold entities ("strong") or from all sampled spans ("weak").
    near_misses (int): Spans of each sentence that look like entities and are none, to be learned as unrelated to the
        entities beside them.
    near_miss_none (float): They look like entities if their probability of being none is below this.
    boundary_smoothing (float): Share of an entity's label that is dealt to the spans that begin or end one token
        earlier or later, so that they don't count as wholly wrong.
    consistency (float): Weight of the difference between two passes with different dropout (R-Drop); 0 for one pass.
    relation_scope (ScopeT): Within what head and tail lie: the "sentence", a number of sentences around it, or the
        "document".
    max_relation_distance (int): Most tokens between head and tail; 0 for no limit.
    entities_per_token (float): Most entities in a sentence for each of its tokens, the best are kept; 0 for no limit.
    relations_per_token (float): Most relations in a document for each of its tokens, the best are kept; 0 for no limit.
    overwrite_ents (bool): Whether predictions replace the doc.ents of earlier components, or only fill the gaps.
    RETURNS (Spert): The component.
    """
    settings = {
        "spans_key": spans_key,
        "task": task,
        "entities_key": entities_key,
        "max_span_width": max_span_width,
        "pairing_threshold": pairing_threshold,
        "relation_threshold": relation_threshold,
        "relation_thresholds": relation_thresholds,
        "entity_thresholds": entity_thresholds,
        "relation_types": relation_types,
        "relation_types_share": relation_types_share,
        "calibration": calibration,
        "symmetric_labels": symmetric_labels,
        "negative_spans": negative_spans,
        "negative_relations": negative_relations,
        "negative_sampling": negative_sampling,
        "near_misses": near_misses,
        "near_miss_none": near_miss_none,
        "boundary_smoothing": boundary_smoothing,
        "consistency": consistency,
        "relation_scope": relation_scope,
        "max_relation_distance": max_relation_distance,
        "entities_per_token": entities_per_token,
        "relations_per_token": relations_per_token,
        "overwrite_ents": overwrite_ents,
    }
    return _make(nlp, name, model, scorer, settings)


@Language.factory(
    "spert_entities",
    assigns=["doc.spans", "doc.ents"],
    default_config=_without(NOT_OF_ENTITIES),
    default_score_weights=_weights("spans_spert", 1.0),
)
def make_spert_entities(
    nlp: ReadablePipeline,
    name: str,
    model: Model,
    scorer: Optional[Callable],
    spans_key: str,
    max_span_width: int,
    entity_thresholds: List[Sequence[Union[str, float]]],
    calibration: Optional[Dict[str, Any]],
    negative_spans: int,
    boundary_smoothing: float,
    consistency: float,
    entities_per_token: float,
    overwrite_ents: bool,
) -> Spert:
    """Create a component that finds entities only: `spert` with task "entities". Its settings are described there."""
    settings = {
        "spans_key": spans_key,
        "max_span_width": max_span_width,
        "entity_thresholds": entity_thresholds,
        "calibration": calibration,
        "negative_spans": negative_spans,
        "boundary_smoothing": boundary_smoothing,
        "consistency": consistency,
        "entities_per_token": entities_per_token,
        "overwrite_ents": overwrite_ents,
    }
    return _make(nlp, name, model, scorer, settings, task="entities")


@Language.factory(
    "spert_relations",
    assigns=["doc.spans", "doc._.relations"],
    default_config=_without(NOT_OF_RELATIONS),
    default_score_weights=_relation_weights(1.0),
)
def make_spert_relations(
    nlp: ReadablePipeline,
    name: str,
    model: Model,
    scorer: Optional[Callable],
    spans_key: str,
    entities_key: Optional[str],
    max_span_width: int,
    relation_threshold: float,
    relation_thresholds: List[Sequence[Union[str, float]]],
    relation_types: Optional[Union[Literal["learn"], List[Sequence[str]]]],
    relation_types_share: float,
    calibration: Optional[Dict[str, Any]],
    symmetric_labels: List[str],
    negative_relations: int,
    consistency: float,
    relation_scope: ScopeT,
    max_relation_distance: int,
    relations_per_token: float,
) -> Spert:
    """Create a component that relates given entities: `spert` with task "relations". Its settings are described
    there."""
    settings = {
        "spans_key": spans_key,
        "entities_key": entities_key,
        "max_span_width": max_span_width,
        "relation_threshold": relation_threshold,
        "relation_thresholds": relation_thresholds,
        "relation_types": relation_types,
        "relation_types_share": relation_types_share,
        "calibration": calibration,
        "symmetric_labels": symmetric_labels,
        "negative_relations": negative_relations,
        "consistency": consistency,
        "relation_scope": relation_scope,
        "max_relation_distance": max_relation_distance,
        "relations_per_token": relations_per_token,
    }
    return _make(nlp, name, model, scorer, settings, task="relations")


def _make(
    nlp: Language, name: str, model: Model, scorer: Optional[Callable], settings: Dict[str, Any], **fixed: Any
) -> Spert:
    pipe = Spert(nlp.vocab, model, name, scorer=scorer, **settings, **fixed)
    pipe.attach(nlp, settings)
    add_requirement(nlp)
    return pipe
