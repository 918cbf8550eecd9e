"""The pipeline component: knows spaCy, not the network.

The factories import it whenever a pipeline is made, so it must not import torch or transformers itself.
"""

import json
import logging
import math
from dataclasses import replace
from functools import partial
from itertools import islice, product
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterable,
    List,
    Literal,
    Optional,
    Sequence,
    Set,
    Tuple,
    Union,
    get_args,
)

import numpy
import srsly
from spacy import util
from spacy.language import Language
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc, Span
from spacy.training import Example, validate_examples, validate_get_examples
from spacy.vocab import Vocab
from thinc.api import Model, Optimizer, set_dropout_rate
from thinc.types import Floats2d

from .alignment import Gold, GoldCounts, align_gold, labels_of
from .checks import check_counts, check_pipeline, show_counts, unknown_labels
from .decoding import LEARN, Decoder, best_non_overlapping
from .errors import Errors, Warnings
from .ml.arrays import Bools, Given, Ints, Layout, NearMisses, Samples, Scores
from .ml.loss import relation_loss, span_loss
from .relations import blocked_tokens, describe_doc, install_extension, set_entities
from .sampling import Sampling, sample_sentences
from .scorer import score_spert
from .sentences import sentence_bounds
from .settings import (
    CONFIG_KEY,
    DEFAULTS,
    Owner,
    SaidT,
    Settings,
    check_settings,
    edits,
    plain,
    said_beside,
    same,
)
from .upstream import encoder_width, find_transformer, sentence_annotators
from .workers import one_thread_in_workers

if TYPE_CHECKING:
    from .ml.model import Training

# Below spaCy's logger, so that its handler prints.
logger = logging.getLogger("spacy.spert")

# Reported once for each state of the model: an untrained one says nothing of the trained.
OF_THE_MODEL = {"W001", "W002", "W003"}

LabelKindT = Literal["entity", "relation"]
LabelsT = Dict[str, List[str]]
ScoresT = Tuple[Floats2d, Floats2d, Samples]


class Spert(TrainablePipe):
    """Joint entity and relation extraction over spans (Eberts & Ulges, ECAI 2020)."""

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str = "spert",
        *,
        scorer: Optional[Callable] = score_spert,
        **settings: Any,
    ):
        """Create the component.

        vocab (Vocab): The vocabulary.
        model (Model): The model, see `spacy-spert.Spert.v1`.
        name (str): Name of the component.
        scorer (Optional[Callable]): The scorer.
        settings (Any): The settings of the factory, which are kept in `cfg`; those left out have their defaults.
        RAISES (ValueError): If a setting is unknown or out of range.
        """
        self.vocab = vocab
        self.model = model
        self.scorer = scorer
        self._owner = Owner()
        self._said: SaidT = {}
        self._is_new = True
        self._reported: Set[str] = set()
        self.name = name
        unknown = sorted(set(settings) - set(DEFAULTS))
        if unknown:
            raise ValueError(Errors.S037.format(setting=unknown[0], name=name, known=", ".join(DEFAULTS)))
        values = {setting: plain(value) for setting, value in {**DEFAULTS, **settings}.items()}
        self.cfg = {**values, "entity_labels": [], "relation_labels": [], "learned_types": None, "width": None}
        self.check_settings()
        install_extension()
        one_thread_in_workers(self)

    @property
    def cfg(self) -> Settings:
        """RETURNS (Settings): The settings, the labels, and the width of the embeddings."""
        return TrainablePipe.cfg.__get__(self)

    @cfg.setter
    def cfg(self, cfg: Dict[str, Any]) -> None:
        TrainablePipe.cfg.__set__(self, Settings(cfg, self._keep_in_step))
        for name, value in self.cfg.items():
            self._keep_in_step(name, value)

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

    def add_label(self, label: str, kind: LabelKindT = "entity") -> int:
        """Add a label. The classifiers of a trained component grow: it decides as before until it is trained on.

        label (str): The label.
        kind (str): "entity" or "relation".
        RETURNS (int): 1, or 0 if the label was there already.
        RAISES (ValueError): If label or kind is of the wrong form.
        """
        if not isinstance(label, str) or not label or kind not in get_args(LabelKindT):
            raise ValueError(Errors.S015.format(name=self.name, label=repr(label), kind=repr(kind)))
        if label in self.cfg[f"{kind}_labels"]:
            return 0
        self.cfg[f"{kind}_labels"].append(label)
        self.vocab.strings.add(label)
        if self.model.has_ref("head"):
            # Imports torch.
            from .ml.growth import grow

            sizes = self._sizes(self.cfg)
            grow(self.model, sizes["nE"], sizes["nR"])
            self._allow_types(label, kind)
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
        # Again, as another package may have taken the name since.
        install_extension()
        offsets = numpy.cumsum([0, *(len(doc) for doc in docs)])
        self._report_over_limit(docs, offsets, scores)
        self._report_cut(docs, offsets, scores)
        decoder = Decoder.from_config(self.cfg)
        n_tokens = numpy.diff(numpy.searchsorted(scores.tokens, offsets)).tolist()
        span_bounds = numpy.searchsorted(scores.spans[:, 0], offsets)
        pair_bounds = numpy.searchsorted(scores.pairs.min(axis=1), span_bounds)
        for i, doc in enumerate(docs):
            low, high = span_bounds[i : i + 2]
            first, last = pair_bounds[i : i + 2]
            pairs, pair_scores = scores.pairs[first:last] - low, scores.pair_scores[first:last]
            columns = scores.span_labels[low:high]
            rows, n_found = decoder.find_relations(pairs, columns, pair_scores, n_tokens[i])
            self._report_limit(doc, n_tokens[i], n_found)
            if self.cfg["task"] == "relations":
                set_entities(doc, self.cfg["spans_key"], self._given(doc), rows)
                continue
            bounds, span_scores = scores.spans[low:high] - offsets[i], scores.span_scores[low:high]
            spans = [
                Span(doc, start, end, label=self.cfg["entity_labels"][column - 1])
                for (start, end), column in zip(bounds.tolist(), columns.tolist())
            ]
            # Without relations nothing is said of them: not that there are none.
            known = rows if self.cfg["task"] == "joint" else None
            set_entities(doc, self.cfg["spans_key"], spans, known, span_scores)
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
            first, last = numpy.searchsorted(layout.tokens, [offset, offset + len(doc)])
            tokens = layout.tokens[first:last] - offset
            visible = numpy.zeros(len(doc), dtype=bool)
            visible[tokens] = True
            gold = self._align(example, sentence_bounds([doc]), visible)
            if gold.annotated:
                self._check_labels(example.reference, gold, self.label_data)
                entities, entity_labels, relations = self._to_arrays(gold, offset, layout)
                # Sentences of white space alone are no sentences of the layout.
                low, high = numpy.searchsorted(layout.sentences, [first, last])
                part = sample_sentences(
                    entities - first,
                    entity_labels,
                    relations,
                    n_labels,
                    layout.sentences[low : high + 1] - first,
                    gold.unknown[tokens],
                    replace(sampling, relations_known=gold.relations_known),
                )
                part.spans += first
                parts.append(part)
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
        self.check_settings()
        if nlp is not None:
            self._attach_again(nlp)
        transformer = find_transformer(self.model, nlp, self, self.name) if nlp is not None else None
        # Those that were added before. An earlier initialization's labels are those of its data.
        known = self.label_data if labels is None and not self.model.has_ref("head") else self._given_labels(labels)
        counts = self._count(get_examples(), nlp, transformer, known if labels is not None else None)
        if labels is None or not any(known.values()):
            known = counts.union(known)
        warnings = check_counts(counts, known, self.cfg, self.name)
        if counts.relations_unknown and self.cfg["task"] != "entities":
            self._warn_once("W010", n=counts.relations_unknown, docs=counts.docs)
        sample = list(islice((eg.predicted for eg in get_examples() if len(eg.predicted)), 10))
        width = encoder_width(self.model.get_ref("tok2vec"), sample, transformer, self.name)
        # What an earlier initialization made stays until nothing can be wrong with the new data.
        if self.model.has_ref("head"):
            self.model.attrs["remove_head"](self.model)
        self.cfg.update(entity_labels=[], relation_labels=[], width=width)
        self._reported.clear()
        self._add_labels(known)
        self.cfg["learned_types"] = [list(row) for row in counts.common_types(self.cfg["relation_types_share"])]
        # The settings may be for labels that there are not.
        Decoder.from_config(self.cfg)
        self._report(warnings, counts, nlp)
        self.make_head()

    def add_labels(self, get_examples: Callable[[], Iterable[Example]], nlp: Language) -> None:
        """Add the labels of new training data to a trained component, and report what can be learned from the data.

        get_examples (Callable[[], Iterable[Example]]): Returns the training examples.
        nlp (Language): The pipeline.
        RAISES (ValueError): If nothing can be learned from the data.
        """
        validate_get_examples(get_examples, "Spert.add_labels")
        self._attach_again(nlp)
        transformer = find_transformer(self.model, nlp, self, self.name)
        counts = self._count(get_examples(), nlp, transformer, None)
        known = counts.union(self.label_data)
        warnings = check_counts(counts, known, self.cfg, self.name)
        learned = {tuple(row) for row in self.cfg["learned_types"] or ()}
        self._add_labels(known)
        learned.update(counts.common_types(self.cfg["relation_types_share"]))
        self.cfg["learned_types"] = [list(row) for row in sorted(learned)]
        self._report(warnings, counts, nlp)

    def score(self, examples: Iterable[Example], **kwargs: Any) -> Dict[str, Any]:
        """Score predictions. Gold annotation with labels that the component doesn't have is reported.

        examples (Iterable[Example]): Predicted documents with their references.
        RETURNS (Dict[str, Any]): The scores, see `score_spert`.
        """
        examples = list(examples)
        unknown = unknown_labels(examples, self.cfg)
        if unknown and any(self.label_data.values()):
            self._warn_once("W008", n=sum(unknown.values()), labels=show_counts(unknown))
        return super().score(examples, **kwargs)

    def finish_update(self, sgd: Optimizer) -> None:
        """Change the weights.

        sgd (Optimizer): The optimizer.
        """
        # What was reported of the model before is not true of this one.
        self._reported -= OF_THE_MODEL
        if self.model.has_ref("head") and hasattr(sgd, "add_head"):
            # The optimizer may have a learning rate for the component's own layers.
            sgd.add_head(self.model.get_ref("head"))
        super().finish_update(sgd)

    def make_head(self) -> None:
        """Make the model's head, with fresh weights, once the labels and the encoder's width (in `cfg`) are set."""
        for name, size in self._sizes(self.cfg).items():
            self.model.set_dim(name, size, force=True)
        init = self.model.init
        if init is not None:
            # Not model.initialize: the encoder is initialized, or loaded, on its own.
            init(self.model, None, None)

    def attach(self, nlp: Language, said: Dict[str, Any]) -> None:
        """Keep the config of a pipeline in step with `cfg`.

        nlp (Language): The pipeline that the component is in, or will be.
        said (Dict[str, Any]): The settings in its config.
        """
        self._owner = Owner(nlp)
        self._said = {name: [plain(value)] for name, value in said.items()}

    def check_settings(self) -> None:
        """Make sure that `cfg` holds nothing that makes no sense.

        RAISES (ValueError): If a setting is of the wrong kind or out of range.
        """
        check_settings(self.cfg, self.name)

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """Save the component to bytes.

        exclude (Iterable[str]): Names of parts to leave out.
        RETURNS (bytes): The component.
        """
        serialize = {
            "cfg": lambda: srsly.json_dumps(self._cfg_to_save()),
            "vocab": lambda: self.vocab.to_bytes(exclude=exclude),
            "model": lambda: self.model.to_bytes(),
        }
        return util.to_bytes(serialize, exclude)

    def to_disk(self, path: Union[str, Path], *, exclude: Iterable[str] = ()) -> None:
        """Save the component to a directory.

        path (Union[str, Path]): The directory.
        exclude (Iterable[str]): Names of parts to leave out.
        """
        serialize = {
            "cfg": lambda p: srsly.write_json(p, self._cfg_to_save(said_beside(Path(path)))),
            "vocab": lambda p: self.vocab.to_disk(p, exclude=exclude),
            "model": lambda p: self.model.to_disk(p),
        }
        util.to_disk(path, serialize, exclude)

    def from_bytes(self, bytes_data: bytes, *, exclude: Iterable[str] = ()) -> "Spert":
        """Load the component from bytes.

        bytes_data (bytes): What to_bytes returned.
        exclude (Iterable[str]): Names of parts to leave out.
        RETURNS (Spert): The component.
        RAISES (ValueError): If the weights don't fit the labels and the width.
        """
        deserialize = {
            # Not srsly: it reads numbers without their last digit.
            "cfg": lambda b: self._load_cfg(json.loads(b), exclude),
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
            "cfg": lambda p: self._load_cfg(json.loads(Path(p).read_text("utf8")), exclude),
            "vocab": lambda p: self._load_vocab(p, exclude),
            "model": lambda p: self._load_model(Path(p).read_bytes()),
        }
        util.from_disk(path, deserialize, exclude)
        return self

    def _given_labels(self, labels: Optional[LabelsT]) -> LabelsT:
        """The labels of the config in their full form; none if there are none."""
        form = {"entities": ["PERSON", "..."], "relations": ["works_for", "..."]}
        labels = {} if labels is None else labels
        if not isinstance(labels, dict) or set(labels) - set(form):
            raise ValueError(Errors.S016.format(name=self.name, form=form, value=labels))
        return {kind: list(labels.get(kind) or []) for kind in form}

    def _add_labels(self, labels: LabelsT) -> None:
        for label in labels["entities"]:
            self.add_label(label, "entity")
        for label in labels["relations"]:
            self.add_label(label, "relation")

    def _allow_types(self, label: str, kind: LabelKindT) -> None:
        """What was learned of the types of relations says nothing of a new label, so that it rules nothing out."""
        rows = product(self.relation_labels, self.entity_labels, self.entity_labels)
        new = [list(row) for row in rows if label in (row[:1] if kind == "relation" else row[1:])]
        if self.cfg["learned_types"] is not None:
            self.cfg["learned_types"] = [*self.cfg["learned_types"], *new]

    def _count(
        self,
        examples: Iterable[Example],
        nlp: Optional[Language],
        transformer: Optional[Model],
        labels: Optional[LabelsT],
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
            visible = None
            if transformer is not None:
                from .ml.encoders import seen_tokens

                visible = seen_tokens(transformer, example.predicted)
            gold = self._align(example, sentence_bounds([example.predicted]), visible)
            if labels is not None and any(labels.values()):
                self._check_labels(example.reference, gold, labels)
            counts.add(gold)
        return counts

    def _report(self, warnings: List[str], counts: GoldCounts, nlp: Optional[Language]) -> None:
        """Tell what was found in the training data, and what can't go well."""
        if nlp is not None:
            warnings = [*warnings, *check_pipeline(nlp, self)]
        logger.info(counts.table())
        for warning in warnings:
            logger.warning(warning)

    def _sizes(self, cfg: Dict[str, Any]) -> Dict[str, int]:
        """The dimensions of the model for these settings."""
        return {
            "nI": cfg["width"],
            "nE": len(cfg["entity_labels"]),
            "nR": len(cfg["relation_labels"]) if cfg["task"] != "entities" else 0,
            "nW": cfg["max_span_width"],
        }

    def _attach_again(self, nlp: Language) -> None:
        """Keep the config of a pipeline in step that took the component as its source, or is a copy."""
        if self._owner.is_of(nlp):
            return
        self._owner = Owner(nlp)
        block = self._owner.block(self)
        if block is not None:
            block.update({name: plain(self.cfg[name]) for name in self._said})
            self._said = {name: [plain(self.cfg[name])] for name in self._said}

    def _keep_in_step(self, name: str, value: Any) -> None:
        """Change the pipeline's config as `cfg` was changed."""
        if name in self._said and not same(value, self._said[name][-1]):
            block = self._owner.block(self)
            if block is not None:
                block[name] = plain(value)
                self._said[name].append(plain(value))

    def _cfg_to_save(self, said: Optional[SaidT] = None) -> Dict[str, Any]:
        return {**self.cfg, CONFIG_KEY: said or self._said}

    def _load_cfg(self, cfg: Dict[str, Any], exclude: Iterable[str]) -> None:
        saved = cfg.pop(CONFIG_KEY, {})
        loaded = {**self.cfg, **cfg}
        # The config may have been edited where a whole pipeline is loaded, which reads its vocabulary itself, into
        # components that were made for this. A component that is loaded alone was made with any config.
        edited = edits(loaded, self._said, saved) if self._is_new and "vocab" in exclude else {}
        sizes = self._sizes(loaded)
        for name, value in edited.items():
            if loaded["width"] is not None and self._sizes({**loaded, name: value}) != sizes:
                text = Errors.S034.format(name=self.name, setting=name, value=repr(value), trained=repr(loaded[name]))
                raise ValueError(text)
        loaded.update(edited)
        check_settings(loaded, self.name)
        if self.model.has_ref("head") and any(self.model.maybe_get_dim(name) != n for name, n in sizes.items()):
            raise ValueError(self._misfit())
        self._is_new = False
        self._reported.clear()
        self.cfg = loaded
        self._said = {name: values[-1:] for name, values in self._said.items()}
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

    def _align(self, example: Example, bounds: Ints, visible: Optional[Bools] = None) -> Gold:
        return align_gold(
            example,
            self.cfg["spans_key"],
            numpy.repeat(numpy.arange(len(bounds) - 1), numpy.diff(bounds)),
            max_width=0 if self.cfg["task"] == "relations" else self.cfg["max_span_width"],
            max_distance=self.cfg["max_relation_distance"],
            visible=visible,
            possible=self._possible_types(),
        )

    def _possible_types(self) -> Optional[Callable[[str, str, str], bool]]:
        """Which relations there can be by the config. What was learned rules nothing out that is annotated."""
        types = self.cfg["relation_types"]
        if types is None or types == LEARN:
            return None
        possible = {tuple(row) for row in types}
        possible |= {(label, tail, head) for label, head, tail in possible if label in self.cfg["symmetric_labels"]}
        return lambda *row: row in possible

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
        relations = []
        for head, tail, label in gold.relations if self.cfg["task"] != "entities" else ():
            if label in self.cfg["symmetric_labels"]:
                # Entities are sorted, so that this is textual order.
                head, tail = min(head, tail), max(head, tail)
            relations.append((head, tail, self.cfg["relation_labels"].index(label)))
        return entities, numpy.asarray(labels, dtype="int64"), numpy.asarray(relations, dtype="int64").reshape(-1, 3)

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
        blocked = [] if self.cfg["overwrite_ents"] else blocked_tokens(doc)
        taken = numpy.zeros(len(doc) + 1, dtype="int64")
        for ent in [*kept, *blocked]:
            taken[ent.start + 1 : ent.end + 1] = 1
        n_taken = numpy.cumsum(taken)
        free = n_taken[bounds[:, 0]] == n_taken[bounds[:, 1]]
        free[free] = best_non_overlapping(bounds[free], scores[free])
        doc.set_ents([*kept, *(span for span, chosen in zip(spans, free) if chosen)], blocked=blocked)

    def _report_limit(self, doc: Doc, n_tokens: int, n_found: int) -> None:
        limit = math.ceil(n_tokens * self.cfg["relations_per_token"])
        if limit and n_found > limit:
            self._warn_once("W002", limit=limit, n=n_found, tokens=n_tokens, doc=describe_doc(doc))

    def _report_over_limit(self, docs: Sequence[Doc], offsets: Ints, scores: Scores) -> None:
        if len(scores.over_limit):
            token, n_tokens, n_over = scores.over_limit[scores.over_limit[:, 2].argmax()].tolist()
            doc = docs[int(numpy.searchsorted(offsets, token, side="right")) - 1]
            limit = math.ceil(n_tokens * self.cfg["entities_per_token"])
            self._warn_once("W001", limit=limit, n=limit + n_over, tokens=n_tokens, doc=describe_doc(doc))

    def _report_cut(self, docs: Sequence[Doc], offsets: Ints, scores: Scores) -> None:
        if len(scores.cut):
            counts = numpy.bincount(numpy.searchsorted(offsets, scores.cut, side="right") - 1)
            doc = docs[int(counts.argmax())]
            self._warn_once("W003", n=int(counts.max()), tokens=len(doc), doc=describe_doc(doc))

    def _warn_once(self, code: str, **values: Any) -> None:
        if code not in self._reported:
            self._reported.add(code)
            logger.warning(getattr(Warnings, code).format(name=self.name, **values))
