"""The pipeline component: knows spaCy, not the network.

spaCy imports this module whenever a pipeline is made, so it must not import torch or transformers itself.
"""

import logging
import math
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, List, Literal, Optional, Sequence, Set, Tuple, Union

import numpy
import srsly
from spacy import util
from spacy.language import Language
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc, Span
from spacy.training import Example, validate_examples, validate_get_examples
from spacy.vocab import Vocab
from thinc.api import Config, Model, Optimizer, set_dropout_rate
from thinc.types import Floats2d

from .alignment import Gold, GoldCounts, align_gold, labels_of
from .decoding import Decoder, best_non_overlapping
from .errors import Errors, Warnings
from .ml.arrays import Given, Ints, Layout, NearMisses, Samples, Scores
from .ml.loss import relation_loss, span_loss
from .relations import DEFAULT_SPANS_KEY, describe_doc, install_extension, set_entities
from .sampling import Sampling, sample_sentences
from .scorer import score_spert
from .sentences import sentence_bounds
from .upstream import encoder_width, find_transformer, sentence_annotators

if TYPE_CHECKING:
    from .ml.model import Training

install_extension()

# Below spaCy's logger, so that its handler prints; `spacy train` would show nothing below a warning otherwise.
logger = logging.getLogger("spacy.spert")
logger.setLevel(logging.INFO)

DEFAULT_CONFIG = Config().from_str(
    """
[spert]
spans_key = "spert"
task = "joint"
entities_key = null
max_span_width = 10
relation_threshold = 0.4
symmetric_labels = []
negative_spans = 100
negative_relations = 100
negative_sampling = "strong"
near_misses = 0
near_miss_none = 0.9
max_relation_distance = 128
entities_per_token = 1.0
relations_per_token = 2.0
overwrite_ents = true
scorer = {"@scorers": "spacy-spert.spert_scorer.v1"}

[spert.model]
@architectures = "spacy-spert.Spert.v1"
width_embedding = 25
dropout = 0.1
context = "localized"
pooling = "max"

[spert.model.span_head]
@architectures = "spacy-spert.SpanHead.v1"
hidden_width = 0
dropout = null
logit_dropout = 0.0
edges = false

[spert.model.relation_head]
@architectures = "spacy-spert.RelationHead.v1"
hidden_width = 0
dropout = null
logit_dropout = 0.0
labels = false
empty_context = false
distance = 0
edges = false

[spert.model.tok2vec]
@architectures = "spacy-spert.WordpieceListener.v1"
upstream = "*"
grad_factor = 1.0
"""
)

DEFAULT_SCORE_WEIGHTS: Dict[str, Optional[float]] = {
    "spans_spert_f": 0.5,
    "spans_spert_p": 0.0,
    "spans_spert_r": 0.0,
    "rels_strict_f": 0.5,
    "rels_strict_p": 0.0,
    "rels_strict_r": 0.0,
    "rels_f": 0.0,
    "spans_spert_macro_f": None,
    "spans_spert_per_type": None,
    "rels_macro_f": None,
    "rels_per_type": None,
    "rels_strict_macro_f": None,
    "rels_strict_per_type": None,
}

TaskT = Literal["joint", "entities", "relations"]
SamplingT = Literal["strong", "weak"]
ScoresT = Tuple[Floats2d, Floats2d, Samples]


@Language.factory(
    "spert",
    assigns=["doc.spans", "doc.ents", "doc._.relations"],
    default_config=DEFAULT_CONFIG["spert"],
    default_score_weights=DEFAULT_SCORE_WEIGHTS,
)
def make_spert(
    nlp: Language,
    name: str,
    model: Model,
    scorer: Optional[Callable],
    spans_key: str,
    task: TaskT,
    entities_key: Optional[str],
    max_span_width: int,
    relation_threshold: float,
    symmetric_labels: List[str],
    negative_spans: int,
    negative_relations: int,
    negative_sampling: SamplingT,
    near_misses: int,
    near_miss_none: float,
    max_relation_distance: int,
    entities_per_token: float,
    relations_per_token: float,
    overwrite_ents: bool,
) -> "Spert":
    """Create a component for joint entity and relation extraction.

    model (Model): The model, see `spacy-spert.Spert.v1`.
    scorer (Optional[Callable]): The scorer.
    spans_key (str): The span group to write entities and relations to, and to read gold annotation from.
    task (str): "joint"; "entities" to leave relations out; "relations" to take the entities as given.
    entities_key (Optional[str]): For task "relations" the span group of the given entities; doc.ents if null.
    max_span_width (int): Widest candidate span, in tokens.
    relation_threshold (float): Lowest probability of a relation.
    symmetric_labels (List[str]): Relation labels without direction.
    negative_spans (int): Non-entities to learn from, for each sentence.
    negative_relations (int): Unrelated pairs to learn from, for each sentence.
    negative_sampling (str): Draw unrelated pairs from gold entities ("strong") or from all sampled spans ("weak").
    near_misses (int): Spans of each sentence that look like entities and are none, to be learned as unrelated to the
        entities beside them.
    near_miss_none (float): They look like entities if their probability of being none is below this.
    max_relation_distance (int): Most tokens between head and tail; 0 for no limit.
    entities_per_token (float): Most entities in a sentence for each of its tokens, the best are kept; 0 for no limit.
    relations_per_token (float): Most relations in a document for each of its tokens, the best are kept; 0 for no limit.
    overwrite_ents (bool): Whether predictions replace the doc.ents of earlier components, or only fill the gaps.
    """
    return Spert(
        nlp.vocab,
        model,
        name,
        scorer=scorer,
        spans_key=spans_key,
        task=task,
        entities_key=entities_key,
        max_span_width=max_span_width,
        relation_threshold=relation_threshold,
        symmetric_labels=symmetric_labels,
        negative_spans=negative_spans,
        negative_relations=negative_relations,
        negative_sampling=negative_sampling,
        near_misses=near_misses,
        near_miss_none=near_miss_none,
        max_relation_distance=max_relation_distance,
        entities_per_token=entities_per_token,
        relations_per_token=relations_per_token,
        overwrite_ents=overwrite_ents,
    )


class Spert(TrainablePipe):
    """Joint entity and relation extraction over spans (Eberts & Ulges, ECAI 2020)."""

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str = "spert",
        *,
        scorer: Optional[Callable] = score_spert,
        spans_key: str = DEFAULT_SPANS_KEY,
        task: TaskT = "joint",
        entities_key: Optional[str] = None,
        max_span_width: int = 10,
        relation_threshold: float = 0.4,
        symmetric_labels: Sequence[str] = (),
        negative_spans: int = 100,
        negative_relations: int = 100,
        negative_sampling: SamplingT = "strong",
        near_misses: int = 0,
        near_miss_none: float = 0.9,
        max_relation_distance: int = 128,
        entities_per_token: float = 1.0,
        relations_per_token: float = 2.0,
        overwrite_ents: bool = True,
    ):
        """Create the component. The settings are those of the factory, and are kept in `cfg`.

        RAISES (ValueError): If a setting is out of range.
        """
        self.vocab = vocab
        self.model = model
        self.name = name
        self.scorer = scorer
        self.cfg: Dict[str, Any] = {
            "spans_key": spans_key,
            "task": task,
            "entities_key": entities_key,
            "max_span_width": max_span_width,
            "relation_threshold": relation_threshold,
            "symmetric_labels": list(symmetric_labels),
            "negative_spans": negative_spans,
            "negative_relations": negative_relations,
            "negative_sampling": negative_sampling,
            "near_misses": near_misses,
            "near_miss_none": near_miss_none,
            "max_relation_distance": max_relation_distance,
            "entities_per_token": entities_per_token,
            "relations_per_token": relations_per_token,
            "overwrite_ents": overwrite_ents,
            "entity_labels": [],
            "relation_labels": [],
            "width": None,
        }
        self._reported: Set[str] = set()
        self._check_settings()

    @property
    def entity_labels(self) -> Tuple[str, ...]:
        """RETURNS (Tuple[str, ...]): The entity labels."""
        return tuple(self.cfg["entity_labels"])

    @property
    def relation_labels(self) -> Tuple[str, ...]:
        """RETURNS (Tuple[str, ...]): The relation labels."""
        return tuple(self.cfg["relation_labels"])

    @property
    def labels(self) -> Tuple[str, ...]:
        """RETURNS (Tuple[str, ...]): Entity labels, then relation labels."""
        return self.entity_labels + self.relation_labels

    @property
    def label_data(self) -> Dict[str, List[str]]:
        """RETURNS (Dict[str, List[str]]): The labels in the form that `initialize` takes."""
        return {"entities": list(self.entity_labels), "relations": list(self.relation_labels)}

    def add_label(self, label: str, kind: Literal["entity", "relation"] = "entity") -> int:
        """Add a label before the component is initialized.

        label (str): The label.
        kind (str): "entity" or "relation".
        RETURNS (int): 1, or 0 if the label was there already.
        RAISES (ValueError): If the component is initialized.
        """
        labels = self.cfg[f"{kind}_labels"]
        if label in labels:
            return 0
        if self.model.has_ref("head"):
            raise ValueError(Errors.S015.format(name=self.name, label=label))
        labels.append(label)
        self.vocab.strings.add(label)
        return 1

    def predict(self, docs: Iterable[Doc]) -> Scores:
        """Find entities and score pairs, without changing the documents.

        docs (Iterable[Doc]): The documents.
        RETURNS (Scores): Entities and pairs in tokens of the batch, with probabilities.
        """
        from .ml.model import Search

        docs = list(docs)
        given = self._given_spans(docs) if self.cfg["task"] == "relations" else None
        return self.model.predict((docs, Search(Decoder.from_config(self.cfg), given)))

    def set_annotations(self, docs: Iterable[Doc], scores: Scores) -> None:
        """Write entities to doc.spans and doc.ents, and relations to doc._.relations.

        docs (Iterable[Doc]): The documents.
        scores (Scores): What predict returned for them.
        """
        docs = list(docs)
        offsets = numpy.cumsum([0, *(len(doc) for doc in docs)])
        self._report_dropped(docs, offsets, scores)
        self._report_cut(docs, offsets, scores)
        decoder = Decoder.from_config(self.cfg)
        n_tokens = numpy.diff(numpy.searchsorted(scores.tokens, offsets)).tolist()
        span_bounds = numpy.searchsorted(scores.spans[:, 0], offsets)
        pair_bounds = numpy.searchsorted(scores.pairs.min(axis=1), span_bounds)
        for i, doc in enumerate(docs):
            low, high = span_bounds[i : i + 2]
            first, last = pair_bounds[i : i + 2]
            pairs, pair_scores = scores.pairs[first:last] - low, scores.pair_scores[first:last]
            rows, n_found = decoder.find_relations(pairs, pair_scores, n_tokens[i])
            self._report_limit(doc, n_tokens[i], n_found)
            if self.cfg["task"] == "relations":
                set_entities(doc, self.cfg["spans_key"], self._given(doc), rows)
                continue
            bounds, span_scores = scores.spans[low:high] - offsets[i], scores.span_scores[low:high]
            labels = scores.span_labels[low:high] - 1
            spans = [
                Span(doc, start, end, label=self.cfg["entity_labels"][label])
                for (start, end), label in zip(bounds.tolist(), labels.tolist())
            ]
            set_entities(doc, self.cfg["spans_key"], spans, rows, span_scores)
            self._set_ents(doc, spans, bounds, span_scores)

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optional[Optimizer] = None,
        losses: Optional[Dict[str, float]] = None,
    ) -> Dict[str, float]:
        """Learn from a batch of documents.

        examples (Iterable[Example]): The batch.
        drop (float): Dropout of the layers in the tok2vec block. The head has its own, see the model's settings.
        sgd (Optional[Optimizer]): The optimizer.
        losses (Optional[Dict[str, float]]): The loss is added under the component's name.
        RETURNS (Dict[str, float]): The losses.
        RAISES (ValueError): If the loss is not finite.
        """
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        examples = list(examples)
        validate_examples(examples, "Spert.update")
        if not any(len(eg.predicted) for eg in examples):
            # A transformer does not even announce such a batch, so nothing waits for a gradient.
            return losses
        set_dropout_rate(self.model, drop)
        docs = [eg.predicted for eg in examples]
        scores, backprop = self.model.begin_update((docs, self._training(examples)))
        loss, d_scores = self.get_loss(examples, scores)
        if not math.isfinite(loss):
            raise ValueError(Errors.S030.format(name=self.name, loss=loss, doc=describe_doc(examples[0].reference)))
        # Also without any sample: the encoder counts on the gradient of each of its listeners.
        backprop(d_scores)
        if sgd not in (None, False):
            self.finish_update(sgd)
        losses[self.name] += loss
        return losses

    def finish_update(self, sgd: Optimizer) -> None:
        """Update the weights, where the optimizer has one with a learning rate of their own.

        sgd (Optimizer): The optimizer.
        """
        if self.model.has_ref("head") and hasattr(sgd, "add_head"):
            sgd.add_head(self.model.get_ref("head"))
        super().finish_update(sgd)

    def get_loss(self, examples: Iterable[Example], scores: ScoresT) -> Tuple[float, Tuple[Floats2d, Floats2d]]:
        """The sum of both losses, and its gradients.

        examples (Iterable[Example]): The batch.
        scores (ScoresT): Logits of spans and pairs, and the samples they belong to.
        RETURNS (Tuple[float, Tuple[Floats2d, Floats2d]]): The loss, and its gradients with respect to the logits.
        """
        span_logits, pair_logits, samples = scores
        ops = self.model.ops
        if samples.given:
            loss, d_span_logits = 0.0, ops.alloc2f(*span_logits.shape)
        else:
            loss, d_span_logits = span_loss(span_logits, ops.asarray1i(samples.span_labels))  # type: ignore[arg-type]
        pair_loss, d_pair_logits = relation_loss(pair_logits, ops.asarray2f(samples.pair_labels))  # type: ignore[arg-type]
        return loss + pair_loss, (d_span_logits, d_pair_logits)

    def get_samples(self, examples: Iterable[Example], layout: Layout) -> Samples:
        """Choose what to learn from: all gold entities and relations, and negatives of each sentence.

        examples (Iterable[Example]): The batch.
        layout (Layout): Which of its tokens the encoder sees.
        RETURNS (Samples): Spans and pairs.
        RAISES (ValueError): If a label is unknown.
        """
        task, n_labels = self.cfg["task"], len(self.relation_labels) if self.cfg["task"] != "entities" else 0
        sampling = Sampling(
            max_width=self.cfg["max_span_width"],
            negative_spans=self.cfg["negative_spans"] if task != "relations" else 0,
            negative_relations=self.cfg["negative_relations"] if n_labels else 0,
            max_distance=self.cfg["max_relation_distance"],
            weak=self.cfg["negative_sampling"] == "weak",
            given=task == "relations",
        )
        parts = [Samples.empty(n_labels, sampling.given)]
        offset = 0
        for example in examples:
            doc = example.predicted
            gold = self._align(example, sentence_bounds([doc]))
            if gold.annotated:
                self._check_labels(example.reference, gold, self.label_data)
                entities, entity_labels, relations = self._to_arrays(gold, offset, layout)
                # Sentences of white space alone are no sentences of the layout.
                bounds = numpy.searchsorted(layout.tokens, [offset, offset + len(doc)])
                low, high = numpy.searchsorted(layout.sentences, bounds)
                sentences = layout.sentences[low : high + 1]
                parts.append(sample_sentences(entities, entity_labels, relations, n_labels, sentences, sampling))
            offset += len(doc)
        return Samples.concatenate(parts)

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Optional[Language] = None,
        labels: Optional[Dict[str, List[str]]] = None,
    ) -> None:
        """Collect the labels, report what can be learned from the data, and make the model.

        get_examples (Callable[[], Iterable[Example]]): Returns the training examples.
        nlp (Optional[Language]): The pipeline.
        labels (Optional[Dict[str, List[str]]]): The labels, as `label_data` gives them. By default those in the data.
        RAISES (ValueError): If there are no entities, if relation labels are expected and no relation was read, if a
            label is not among those given, or if there is no encoder to listen to.
        """
        validate_get_examples(get_examples, "Spert.initialize")
        self._check_settings()
        transformer = find_transformer(self.model, nlp, self, self.name) if nlp is not None else None
        labels = self._expected_labels(labels)
        counts = self._count(get_examples(), nlp, transformer, labels)
        if not any(labels.values()):
            labels = {"entities": labels_of(counts.entities), "relations": labels_of(counts.relations)}
        self._check_counts(counts, labels["relations"])
        sample = list(islice((eg.predicted for eg in get_examples() if len(eg.predicted)), 10))
        width = encoder_width(self.model.get_ref("tok2vec"), sample, transformer, self.name)
        # What an earlier initialization made stays until nothing can be wrong with the new data.
        if self.model.has_ref("head"):
            self.model.attrs["remove_head"](self.model)
        self.cfg.update(entity_labels=[], relation_labels=[], width=width)
        for label in labels["entities"]:
            self.add_label(label, "entity")
        for label in labels["relations"]:
            self.add_label(label, "relation")
        logger.info(counts.table())
        self.make_head()

    def make_head(self) -> None:
        """Make the model's head, with fresh weights, once the labels and the encoder's width (in `cfg`) are set."""
        for name, size in self._sizes(self.cfg).items():
            self.model.set_dim(name, size, force=True)
        init = self.model.init
        if init is not None:
            # Not model.initialize: the encoder is initialized, or loaded, on its own.
            init(self.model, None, None)

    def from_bytes(self, bytes_data: bytes, *, exclude: Iterable[str] = ()) -> "Spert":
        """Load the component from bytes.

        bytes_data (bytes): What to_bytes returned.
        exclude (Iterable[str]): Names of parts to leave out.
        RETURNS (Spert): The component.
        RAISES (ValueError): If the weights don't fit the labels and the width.
        """
        deserialize = {
            "cfg": lambda b: self._load_cfg(srsly.json_loads(b)),
            "vocab": lambda b: self.vocab.from_bytes(b, exclude=exclude),
            "model": lambda b: self._load_model(b),
        }
        util.from_bytes(bytes_data, deserialize, exclude)
        return self

    def from_disk(self, path: Union[str, Path], *, exclude: Iterable[str] = ()) -> "Spert":
        """Load the component from a directory.

        path (Union[str, Path]): The directory.
        exclude (Iterable[str]): Names of parts to leave out.
        RETURNS (Spert): The component.
        RAISES (ValueError): If the weights don't fit the labels and the width.
        """
        deserialize = {
            "cfg": lambda p: self._load_cfg(srsly.read_json(p)),
            "vocab": lambda p: self._load_vocab(p, exclude),
            "model": lambda p: self._load_model(Path(p).read_bytes()),
        }
        util.from_disk(path, deserialize, exclude)
        return self

    def _check_settings(self) -> None:
        cfg = self.cfg
        checks = {
            "task": (cfg["task"] in ("joint", "entities", "relations"), "'joint', 'entities' or 'relations'"),
            "negative_sampling": (cfg["negative_sampling"] in ("strong", "weak"), "'strong' or 'weak'"),
            "max_span_width": (cfg["max_span_width"] >= 1, "at least 1"),
            "relation_threshold": (0.0 <= cfg["relation_threshold"] <= 1.0, "between 0 and 1"),
            "negative_spans": (cfg["negative_spans"] >= 0, "at least 0"),
            "near_misses": (cfg["near_misses"] >= 0, "at least 0"),
            "near_miss_none": (0.0 <= cfg["near_miss_none"] <= 1.0, "between 0 and 1"),
            "negative_relations": (cfg["negative_relations"] >= 0, "at least 0"),
            "max_relation_distance": (cfg["max_relation_distance"] >= 0, "at least 0 (0 for no limit)"),
            "entities_per_token": (cfg["entities_per_token"] >= 0, "at least 0 (0 for no limit)"),
            "relations_per_token": (cfg["relations_per_token"] >= 0, "at least 0 (0 for no limit)"),
        }
        for setting, (holds, expected) in checks.items():
            if not holds:
                raise ValueError(
                    Errors.S031.format(setting=setting, name=self.name, expected=expected, value=cfg[setting])
                )

    def _expected_labels(self, labels: Optional[Dict[str, List[str]]]) -> Dict[str, List[str]]:
        """The labels to initialize with, or none to take those of the data."""
        if labels is None:
            # Those that were added before. An earlier initialization's labels are those of its data.
            return self.label_data if not self.model.has_ref("head") else {"entities": [], "relations": []}
        form = {"entities": ["PERSON", "..."], "relations": ["works_for", "..."]}
        if not isinstance(labels, dict) or set(labels) - set(form):
            raise ValueError(Errors.S016.format(name=self.name, form=form, value=labels))
        return {kind: list(labels.get(kind) or []) for kind in form}

    def _count(
        self,
        examples: Iterable[Example],
        nlp: Optional[Language],
        transformer: Optional[Model],
        labels: Dict[str, List[str]],
    ) -> GoldCounts:
        """Align all gold annotation, with the sentence marks that training will see."""
        counts = GoldCounts()
        annotators = sentence_annotators(nlp, self) if nlp is not None else []
        for example in examples:
            if annotators and not example.predicted.has_annotation("SENT_START"):
                doc = example.predicted.copy()
                for annotate in annotators:
                    doc = annotate(doc)
                example = Example(doc, example.reference)
            covered = None
            if transformer is not None:
                from .ml.encoders.transformer import seen_tokens

                covered = seen_tokens(transformer, example.predicted)
            gold = self._align(example, sentence_bounds([example.predicted]), covered)
            if any(labels.values()):
                self._check_labels(example.reference, gold, labels)
            counts.add(gold)
        return counts

    def _check_counts(self, counts: GoldCounts, relation_labels: List[str]) -> None:
        """Make sure that there is something to learn from."""
        n_entities, n_relations = sum(counts.entities.values()), sum(counts.relations.values())
        if not n_entities:
            raise ValueError(Errors.S010.format(name=self.name, docs=counts.docs, key=self.cfg["spans_key"]))
        if self.cfg["task"] == "entities":
            return
        symmetric = self.cfg["symmetric_labels"]
        if not n_relations and (relation_labels or symmetric or self.cfg["task"] == "relations"):
            raise ValueError(
                Errors.S011.format(name=self.name, labels=relation_labels, docs=counts.docs, ents=n_entities)
            )
        unknown = sorted(set(symmetric) - set(relation_labels))
        if unknown:
            raise ValueError(Errors.S017.format(name=self.name, label=unknown[0], labels=relation_labels))

    def _sizes(self, cfg: Dict[str, Any]) -> Dict[str, int]:
        """The dimensions of the model for these settings."""
        return {
            "nI": cfg["width"],
            "nE": len(cfg["entity_labels"]),
            "nR": len(cfg["relation_labels"]) if cfg["task"] != "entities" else 0,
            "nW": cfg["max_span_width"],
        }

    def _load_cfg(self, cfg: Dict[str, Any]) -> None:
        loaded = {**self.cfg, **cfg}
        sizes = self._sizes(loaded)
        if self.model.has_ref("head") and any(self.model.maybe_get_dim(name) != n for name, n in sizes.items()):
            raise ValueError(self._misfit())
        self.cfg.update(cfg)
        if loaded["width"] is not None and not self.model.has_ref("head"):
            self.make_head()

    def _load_vocab(self, path: Path, exclude: Iterable[str]) -> None:
        self.vocab.from_disk(path, exclude=exclude)

    def _load_model(self, bytes_data: bytes) -> None:
        try:
            self.model.from_bytes(bytes_data)
        except (AttributeError, KeyError, RuntimeError, ValueError) as error:
            raise ValueError(self._misfit()) from error

    def _misfit(self) -> str:
        return Errors.S025.format(
            name=self.name,
            width=self.cfg["width"],
            entities=len(self.entity_labels),
            relations=len(self.relation_labels),
            max_width=self.cfg["max_span_width"],
        )

    def _align(self, example: Example, bounds: Ints, covered: Optional[Any] = None) -> Gold:
        return align_gold(
            example,
            self.cfg["spans_key"],
            numpy.repeat(numpy.arange(len(bounds) - 1), numpy.diff(bounds)),
            max_width=0 if self.cfg["task"] == "relations" else self.cfg["max_span_width"],
            max_distance=self.cfg["max_relation_distance"],
            covered=covered,
        )

    def _check_labels(self, doc: Doc, gold: Gold, labels: Dict[str, List[str]]) -> None:
        """Make sure that all labels of a document are known."""
        for kind, counts, known in (
            ("entity", gold.entity_counts, labels["entities"]),
            ("relation", gold.relation_counts, labels["relations"]),
        ):
            for label in labels_of(counts) if kind == "entity" or self.cfg["task"] != "entities" else ():
                if label not in known:
                    text = Errors.S012.format(
                        name=self.name, kind=kind, label=label, doc=describe_doc(doc), labels=known
                    )
                    raise ValueError(text)

    def _training(self, examples: List[Example]) -> "Training":
        from .ml.model import Training

        cfg = self.cfg
        near_misses = NearMisses(cfg["near_misses"], cfg["near_miss_none"], cfg["max_relation_distance"])
        return Training(partial(self.get_samples, examples), near_misses)

    def _to_arrays(self, gold: Gold, offset: int, layout: Layout) -> Tuple[Ints, Ints, Ints]:
        """Entities in visible tokens of the batch, their columns, and rows of head, tail and column of the relation."""
        entities = layout.visible(
            numpy.asarray([row[:2] for row in gold.entities], dtype="int64").reshape(-1, 2) + offset
        )
        labels = [1 + self.cfg["entity_labels"].index(label) for _, _, label in gold.entities]
        # What the encoder's window cut off was counted when the training began.
        is_seen = entities[:, 0] < entities[:, 1]
        index = numpy.cumsum(is_seen) - 1
        relations = []
        for head, tail, label in gold.relations if self.cfg["task"] != "entities" else ():
            if is_seen[head] and is_seen[tail]:
                if label in self.cfg["symmetric_labels"]:
                    # Entities are sorted, so that this is textual order.
                    head, tail = min(head, tail), max(head, tail)
                relations.append((index[head], index[tail], self.cfg["relation_labels"].index(label)))
        return (
            entities[is_seen],
            numpy.asarray(labels, dtype="int64")[is_seen],
            numpy.asarray(relations, dtype="int64").reshape(-1, 3),
        )

    def _given(self, doc: Doc) -> List[Span]:
        """The entities to relate, for task "relations", sorted."""
        key = self.cfg["entities_key"]
        if key is not None and key not in doc.spans:
            raise ValueError(Errors.S032.format(name=self.name, doc=describe_doc(doc), key=key))
        spans = doc.ents if key is None else doc.spans[key]
        return sorted(spans, key=lambda span: (span.start, span.end))

    def _given_spans(self, docs: Sequence[Doc]) -> Given:
        """The given entities in the batch. What lies beyond the end of a sentence is cut."""
        rows, labels = [], []
        columns = {label: i for i, label in enumerate(self.entity_labels, start=1)}
        offset = 0
        for doc in docs:
            for span in self._given(doc):
                rows.append((span.start + offset, span.end + offset))
                labels.append(columns.get(span.label_, 0))
            offset += len(doc)
        spans = numpy.asarray(rows, dtype="int64").reshape(-1, 2)
        bounds = sentence_bounds(docs)
        ends = bounds[numpy.searchsorted(bounds, spans[:, 0], side="right").clip(max=len(bounds) - 1)]
        spans[:, 1] = numpy.minimum(spans[:, 1], ends)
        return Given(spans, numpy.asarray(labels, dtype="int64"))

    def _set_ents(self, doc: Doc, spans: List[Span], bounds: Ints, scores: Any) -> None:
        kept = [] if self.cfg["overwrite_ents"] else list(doc.ents)
        taken = numpy.zeros(len(doc) + 1, dtype="int64")
        for ent in kept:
            taken[ent.start + 1 : ent.end + 1] = 1
        n_taken = numpy.cumsum(taken)
        free = n_taken[bounds[:, 0]] == n_taken[bounds[:, 1]]
        free[free] = best_non_overlapping(bounds[free], scores[free])
        doc.set_ents([*kept, *(span for span, chosen in zip(spans, free) if chosen)])

    def _report_limit(self, doc: Doc, n_tokens: int, n_found: int) -> None:
        limit = math.ceil(n_tokens * self.cfg["relations_per_token"])
        if limit and n_found > limit:
            self._warn_once("W002", limit=limit, n=n_found, tokens=n_tokens, doc=describe_doc(doc))

    def _report_dropped(self, docs: Sequence[Doc], offsets: Ints, scores: Scores) -> None:
        if len(scores.dropped):
            token, n_tokens, n_dropped = scores.dropped[scores.dropped[:, 2].argmax()].tolist()
            doc = docs[int(numpy.searchsorted(offsets, token, side="right")) - 1]
            limit = math.ceil(n_tokens * self.cfg["entities_per_token"])
            self._warn_once("W001", limit=limit, n=limit + n_dropped, tokens=n_tokens, doc=describe_doc(doc))

    def _report_cut(self, docs: Sequence[Doc], offsets: Ints, scores: Scores) -> None:
        if len(scores.cut):
            counts = numpy.bincount(numpy.searchsorted(offsets, scores.cut, side="right") - 1)
            doc = docs[int(counts.argmax())]
            self._warn_once("W003", n=int(counts.max()), tokens=len(doc), doc=describe_doc(doc))

    def _warn_once(self, code: str, **values: Any) -> None:
        if code not in self._reported:
            self._reported.add(code)
            logger.warning(getattr(Warnings, code).format(name=self.name, **values))
