"""From gold annotation to what is learned from it, for the settings of a component."""

from dataclasses import replace
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

import numpy
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Model

from .alignment import Gold, GoldCounts, align_gold, labels_of
from .checks import foreign_relations
from .decoding import LEARN
from .errors import Errors
from .ml.arrays import Bools, Ints, Layout, Samples
from .relations import describe_doc
from .sampling import Pairing, Sampling, sample_spans
from .sentences import reach_of, sentence_bounds

CfgT = Dict[str, Any]
LabelsT = Dict[str, List[str]]


def count_gold(
    examples: Iterable[Example],
    cfg: CfgT,
    name: str,
    *,
    annotators: Iterable[Callable[[Doc], Doc]] = (),
    transformer: Optional[Model] = None,
    labels: Optional[LabelsT] = None,
) -> GoldCounts:
    """Align all gold annotation, with the sentence marks that training will see.

    examples (Iterable[Example]): The training data.
    cfg (Dict[str, Any]): The settings.
    name (str): Name of the component, for messages.
    annotators (Iterable[Callable[[Doc], Doc]]): What marks sentences in training, for documents that have no marks.
    transformer (Optional[Model]): The transformer, which may not see all of a document.
    labels (Optional[Dict[str, List[str]]]): The labels there may be, "entities" and "relations"; by default any.
    RETURNS (GoldCounts): What there is, and what can't be learned.
    RAISES (ValueError): If a label is not among those given.
    """
    counts = GoldCounts()
    annotators = list(annotators)
    for example in examples:
        if annotators and not example.predicted.has_annotation("SENT_START"):
            doc = example.predicted.copy()
            for annotate in annotators:
                doc = annotate(doc)
            example = Example(doc, example.reference)
        visible = None
        if transformer is not None:
            from .ml.encoders import seen_tokens

            visible = seen_tokens(transformer, example.predicted)
        gold = _align(example, cfg, visible)
        if labels is not None and any(labels.values()):
            _check_labels(example.reference, gold, labels, cfg["task"], name)
        counts.add(gold)
        form = foreign_relations(example.reference)
        if form is not None and gold.annotated and not gold.relations_known:
            counts.foreign[form] += 1
    return counts


def make_samples(examples: Iterable[Example], layout: Layout, cfg: CfgT, name: str) -> Samples:
    """Choose what to learn from: all gold entities and relations, and negative spans of each sentence.

    examples (Iterable[Example]): The batch.
    layout (Layout): Which of its tokens the encoder sees.
    cfg (Dict[str, Any]): Settings and labels.
    name (str): Name of the component, for messages.
    RETURNS (Samples): Spans, and the pairs of them that are related.
    RAISES (ValueError): If a label is unknown.
    """
    task = cfg["task"]
    labels = {"entities": cfg["entity_labels"], "relations": cfg["relation_labels"]}
    n_labels = len(labels["relations"]) if task != "entities" else 0
    sampling = Sampling(
        max_width=cfg["max_span_width"],
        negative_spans=cfg["negative_spans"] if task != "relations" else 0,
        given=task == "relations",
    )
    parts = [Samples.empty(n_labels, sampling.given)]
    offset = 0
    for example in examples:
        doc = example.predicted
        first, last = numpy.searchsorted(layout.tokens, [offset, offset + len(doc)])
        tokens = layout.tokens[first:last] - offset
        visible = numpy.zeros(len(doc), dtype=bool)
        visible[tokens] = True
        gold = _align(example, cfg, visible)
        if gold.annotated:
            _check_labels(example.reference, gold, labels, task, name)
            entities, entity_labels, relations = _to_arrays(gold, offset, layout, cfg)
            # Sentences of white space alone are no sentences of the layout.
            low, high = numpy.searchsorted(layout.sentences, [first, last])
            part = sample_spans(
                entities - first,
                entity_labels,
                relations,
                n_labels,
                layout.sentences[low : high + 1] - first,
                gold.unknown[tokens],
                replace(sampling, relations_known=n_labels > 0 and gold.relations_known),
            )
            part.spans += first
            parts.append(part)
        offset += len(doc)
    return Samples.concatenate(parts)


def make_pairing(cfg: CfgT) -> Pairing:
    """What chooses the pairs to learn from.

    cfg (Dict[str, Any]): The settings.
    RETURNS (Pairing): For spans that are samples of theirs.
    """
    return Pairing(
        negatives=cfg["negative_relations"],
        weak=cfg["negative_sampling"] == "weak",
        # Given entities are never mistaken.
        near_misses=cfg["near_misses"] if cfg["task"] != "relations" else 0,
        max_none=cfg["near_miss_none"],
        max_distance=cfg["max_relation_distance"],
        reach=reach_of(cfg["relation_scope"]),
    )


def _align(example: Example, cfg: CfgT, visible: Optional[Bools] = None) -> Gold:
    bounds = sentence_bounds([example.predicted])
    return align_gold(
        example,
        cfg["spans_key"],
        numpy.repeat(numpy.arange(len(bounds) - 1), numpy.diff(bounds)),
        max_width=0 if cfg["task"] == "relations" else cfg["max_span_width"],
        max_distance=cfg["max_relation_distance"],
        reach=reach_of(cfg["relation_scope"]),
        visible=visible,
        possible=_possible_types(cfg),
    )


def _possible_types(cfg: CfgT) -> Optional[Callable[[str, str, str], bool]]:
    """Which relations there can be by the config. What was learned rules nothing out that is annotated."""
    types = cfg["relation_types"]
    if types is None or types == LEARN:
        return None
    possible = {tuple(row) for row in types}
    possible |= {(label, tail, head) for label, head, tail in possible if label in cfg["symmetric_labels"]}
    return lambda *row: row in possible


def _check_labels(doc: Doc, gold: Gold, labels: LabelsT, task: str, name: str) -> None:
    """Make sure that all labels of a document are known."""
    for kind, counts, known in (
        ("entity", gold.entity_counts, labels["entities"]),
        ("relation", gold.relation_counts, labels["relations"]),
    ):
        for label in labels_of(counts) if kind == "entity" or task != "entities" else ():
            if label not in known:
                text = Errors.S012.format(name=name, kind=kind, label=label, doc=describe_doc(doc), labels=known)
                raise ValueError(text)


def _to_arrays(gold: Gold, offset: int, layout: Layout, cfg: CfgT) -> Tuple[Ints, Ints, Ints]:
    """Entities in visible tokens of the batch, their columns, and rows of head, tail and column of the relation."""
    entities = layout.visible(numpy.asarray([row[:2] for row in gold.entities], dtype="int64").reshape(-1, 2) + offset)
    labels = [1 + cfg["entity_labels"].index(label) for _, _, label in gold.entities]
    relations = []
    for head, tail, label in gold.relations if cfg["task"] != "entities" else ():
        if label in cfg["symmetric_labels"]:
            # Entities are sorted, so that this is textual order.
            head, tail = min(head, tail), max(head, tail)
        relations.append((head, tail, cfg["relation_labels"].index(label)))
    return entities, numpy.asarray(labels, dtype="int64"), numpy.asarray(relations, dtype="int64").reshape(-1, 3)
