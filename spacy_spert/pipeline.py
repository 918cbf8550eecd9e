"""The pipeline component: knows spaCy, not the network.

The factories import it whenever a pipeline is made, so it must not import torch or transformers itself.
"""

import logging
import math
from functools import partial
from itertools import islice, product
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
    get_args,
)

import numpy
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example, validate_examples, validate_get_examples
from spacy.vocab import Vocab
from thinc.api import Model, Optimizer, set_dropout_rate
from thinc.types import Floats2d

from .alignment import GoldCounts
from .checks import check_counts, check_pipeline, foreign_notes, show_counts, unknown_labels
from .decoding import Decoder, leave_unrelated_out
from .entities import given_entities, given_spans, set_ents
from .errors import Errors, Warnings
from .ml.arrays import Ints, Layout, Samples, Scores
from .ml.loss import joint_loss
from .relations import describe_doc, install_extension, set_entities
from .scorer import score_spert
from .serialize import SavedPipe
from .training import LabelsT, count_gold, make_pairing, make_samples
from .upstream import encoder_width, find_transformer, keep_words_apart, sentence_annotators
from .workers import one_thread_in_workers

if TYPE_CHECKING:
    from .ml.model import Training

# Below spaCy's logger, so that its handler prints.
logger = logging.getLogger("spacy.spert")

# Reported once for each state of the model: an untrained one says nothing of the trained.
OF_THE_MODEL = {"W001", "W002", "W003"}

LabelKindT = Literal["entity", "relation"]
ScoresT = Tuple[Floats2d, Floats2d, Samples]


class Spert(SavedPipe):
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
        **settings (Any): The settings of the factory, which are kept in `cfg`; those left out have their defaults.
        RAISES (ValueError): If a setting is unknown or out of range.
        """
        super().__init__(vocab, model, name, **settings)
        self.scorer = scorer
        self._reported: Set[str] = set()
        # The labels that were added before the first initialization.
        self._added: LabelsT = {"entities": [], "relations": []}
        install_extension()
        one_thread_in_workers(self)

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
        given = None
        if self.cfg["task"] == "relations":
            given = given_spans(docs, self.entity_labels, self.cfg["entities_key"], self.name)
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
                entities = given_entities(doc, self.cfg["entities_key"], self.name)
                set_entities(doc, self.cfg["spans_key"], entities, rows)
                continue
            kept, rows = leave_unrelated_out(scores.is_entity[low:high], rows)
            bounds, span_scores = scores.spans[low:high][kept] - offsets[i], scores.span_scores[low:high][kept]
            spans = [
                Span(doc, start, end, label=self.cfg["entity_labels"][column - 1])
                for (start, end), column in zip(bounds.tolist(), columns[kept].tolist())
            ]
            # Without relations nothing is said of them: not that there are none.
            known = rows if self.cfg["task"] == "joint" else None
            set_entities(doc, self.cfg["spans_key"], spans, known, span_scores)
            set_ents(doc, spans, bounds, span_scores, self.cfg["overwrite_ents"])

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
        smoothing, consistency = self.cfg["boundary_smoothing"], self.cfg["consistency"]
        return joint_loss(self.model.ops, *scores, boundary_smoothing=smoothing, consistency=consistency)

    def get_samples(self, examples: Iterable[Example], layout: Layout) -> Samples:
        """Choose what to learn from: all gold entities and relations, and negative spans of each sentence.

        examples (Iterable[Example]): The batch.
        layout (Layout): Which of its tokens the encoder sees.
        RETURNS (Samples): Spans, and the pairs of them that are related.
        RAISES (ValueError): If a label is unknown.
        """
        return make_samples(examples, layout, self.cfg, self.name)

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
        if transformer is not None:
            keep_words_apart(transformer)
        if not self.model.has_ref("head"):
            # Later on there are also those of the data, which other data need not have.
            self._added = self.label_data
        known = self._added if labels is None else self._given_labels(labels)
        counts = count_gold(
            get_examples(),
            self.cfg,
            self.name,
            annotators=sentence_annotators(nlp, self) if nlp is not None else (),
            transformer=transformer,
            labels=known if labels is not None else None,
        )
        if labels is None or not any(known.values()):
            known = counts.union(known)
        self._report_unknown(counts)
        warnings = check_counts(counts, known, self.cfg, self.name)
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
        annotators = sentence_annotators(nlp, self)
        counts = count_gold(get_examples(), self.cfg, self.name, annotators=annotators, transformer=transformer)
        known = counts.union(self.label_data)
        self._report_unknown(counts)
        warnings = check_counts(counts, known, self.cfg, self.name)
        learned = {tuple(row) for row in self.cfg["learned_types"] or ()}
        self._add_labels(known)
        learned.update(counts.common_types(self.cfg["relation_types_share"]))
        self.cfg["learned_types"] = [list(row) for row in sorted(learned)]
        self._report(warnings, counts, nlp)

    def score(self, examples: Iterable[Example], **kwargs: Any) -> Dict[str, Any]:
        """Score predictions. Gold annotation with labels that the component doesn't have is reported.

        examples (Iterable[Example]): Predicted documents with their references.
        **kwargs (Any): Passed on to the scorer.
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
            if getattr(sgd, "averages_decay", 0.0) and hasattr(sgd, "add_models"):
                sgd.add_models([self.model, *self._owner.models()])
        super().finish_update(sgd)

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

    def _report(self, warnings: List[str], counts: GoldCounts, nlp: Optional[Language]) -> None:
        """Tell what was found in the training data, and what can't go well."""
        if nlp is not None:
            warnings = [*warnings, *check_pipeline(nlp, self)]
        logger.info(counts.table())
        for warning in warnings:
            logger.warning(warning)

    def _load_cfg(self, cfg: Dict[str, Any], exclude: Iterable[str]) -> None:
        super()._load_cfg(cfg, exclude)
        self._reported.clear()

    def _training(self, examples: List[Example]) -> "Training":
        from .ml.model import Training

        passes = 2 if self.cfg["consistency"] else 1
        return Training(partial(self.get_samples, examples), make_pairing(self.cfg), passes)

    def _report_unknown(self, counts: GoldCounts) -> None:
        if self.cfg["task"] == "entities":
            return
        for note in foreign_notes(counts.foreign):
            logger.warning(note)
        n = counts.relations_unknown - sum(counts.foreign.values())
        if n:
            self._warn_once("W010", n=n, docs=counts.docs)

    def _report_limit(self, doc: Doc, n_tokens: int, n_found: int) -> None:
        limit = math.ceil(n_tokens * self.cfg["relations_per_token"])
        if limit and n_found > limit:
            self._warn_once("W002", limit=limit, n=n_found, tokens=n_tokens, doc=doc)

    def _report_over_limit(self, docs: Sequence[Doc], offsets: Ints, scores: Scores) -> None:
        if len(scores.over_limit):
            token, n_tokens, n_over = scores.over_limit[scores.over_limit[:, 2].argmax()].tolist()
            doc = docs[int(numpy.searchsorted(offsets, token, side="right")) - 1]
            limit = math.ceil(n_tokens * self.cfg["entities_per_token"])
            self._warn_once("W001", limit=limit, n=limit + n_over, tokens=n_tokens, doc=doc)

    def _report_cut(self, docs: Sequence[Doc], offsets: Ints, scores: Scores) -> None:
        if len(scores.cut):
            counts = numpy.bincount(numpy.searchsorted(offsets, scores.cut, side="right") - 1)
            doc = docs[int(counts.argmax())]
            self._warn_once("W003", n=int(counts.max()), tokens=len(doc), doc=doc)

    def _warn_once(self, code: str, doc: Optional[Doc] = None, **values: Any) -> None:
        if code not in self._reported:
            self._reported.add(code)
            if doc is not None:
                values["doc"] = describe_doc(doc)
            logger.warning(getattr(Warnings, code).format(name=self.name, **values))
