"""What travels between the parts of the model: index arrays and scores. Numpy only.

Tokens are numbered over the whole batch ("flat" tokens), sentences lie one after the other. Within the model only the
tokens that have wordpieces count ("visible" tokens): white space, and what an encoder's window cut off, can neither
begin nor end a span and adds to no width, distance or limit. `Layout.visible` and `Layout.flat` translate.

A span is a row (start, end) of token indices, end exclusive; a pair is a row (head, tail) of indices into an array of
spans.
"""

from dataclasses import dataclass, field, replace
from typing import NamedTuple, Sequence

import numpy
from numpy.typing import NDArray

Ints = NDArray[numpy.int64]
Floats = NDArray[numpy.float32]
Bools = NDArray[numpy.bool_]

N_SHAPES = 1024  # Shapes are told apart by their hashes; some hundred are frequent.
NONE = 0  # Column of the span scores that stands for "no entity".


def no_ints() -> Ints:
    """RETURNS (Ints): An empty array."""
    return numpy.zeros(0, dtype="int64")


def no_rows() -> Ints:
    """RETURNS (Ints): No spans, or no pairs, shape (0, 2)."""
    return numpy.zeros((0, 2), dtype="int64")


@dataclass
class Layout:
    """Where the wordpieces of tokens, and the tokens of sentences, lie in the encoder's output. Index arrays only.

    tokens (Ints): The flat tokens that have wordpieces, ascending, shape (n_tokens,). All below count these only.
    rows (Ints): For each wordpiece, token by token, its row in the embeddings, shape (n_pieces,).
    offsets (Ints): Token t owns the wordpieces offsets[t] to offsets[t + 1], at least one, shape (n_tokens + 1,).
    sentences (Ints): Sentence s holds the tokens sentences[s] to sentences[s + 1], at least one, shape
        (n_sentences + 1,).
    cls_rows (Ints): Rows of the special tokens that stand for a sentence, shape (n_cls,). A sentence that has none is
        represented by the maximum over its wordpieces.
    cls_sentences (Ints): The sentence of each of cls_rows, ascending, shape (n_cls,).
    cut (Ints): Flat tokens without wordpieces because the encoder's windows cut them off, ascending.
    documents (Ints): The first token of each document; one that has none shares it with the next. Shape (n_docs,).
    shapes (Ints): The shape of each token, such as that of "Xxxxx", below N_SHAPES, shape (n_tokens,); none
        unless they are asked for.
    """

    tokens: Ints
    rows: Ints
    offsets: Ints
    sentences: Ints
    cls_rows: Ints = field(default_factory=no_ints)
    cls_sentences: Ints = field(default_factory=no_ints)
    cut: Ints = field(default_factory=no_ints)
    documents: Ints = field(default_factory=no_ints)
    shapes: Ints = field(default_factory=no_ints)

    def sentence_of(self, tokens: Ints) -> Ints:
        """The sentence of each token.

        tokens (Ints): Visible tokens, any shape.
        RETURNS (Ints): Indices of sentences, same shape.
        """
        return numpy.searchsorted(self.sentences, tokens, side="right") - 1

    def document_of(self, tokens: Ints) -> Ints:
        """A number for each token that only tokens of the same document share.

        tokens (Ints): Visible tokens, any shape.
        RETURNS (Ints): Ascending with the documents, same shape.
        """
        return numpy.searchsorted(self.documents, tokens, side="right")

    def visible(self, spans: Ints) -> Ints:
        """Trim spans to the visible tokens, and count in these.

        spans (Ints): Boundaries in flat tokens, shape (n_spans, 2).
        RETURNS (Ints): Boundaries in visible tokens, shape (n_spans, 2). Start and end are equal where there are none.
        """
        return numpy.searchsorted(self.tokens, spans)

    def flat(self, spans: Ints) -> Ints:
        """The inverse of `visible`.

        spans (Ints): Boundaries in visible tokens, none of them empty, shape (n_spans, 2).
        RETURNS (Ints): Boundaries in flat tokens, shape (n_spans, 2).
        """
        return numpy.stack([self.tokens[spans[:, 0]], self.tokens[spans[:, 1] - 1] + 1], axis=1)


@dataclass
class Samples:
    """Spans and pairs to train on, with what they are.

    spans (Ints): Boundaries in visible tokens, shape (n_spans, 2).
    span_labels (Ints): Column of the gold label, or NONE, shape (n_spans,).
    can_pair (Bools): Whether the span may be paired further, as all its relations are known, shape (n_spans,).
    pairs (Ints): Head and tail as indices into spans, shape (n_pairs, 2).
    pair_labels (Floats): 1.0 for each relation that holds, shape (n_pairs, n_relation_labels).
    given (bool): Whether the labels of the spans are known beforehand, so that there is nothing to learn about them.
    """

    spans: Ints
    span_labels: Ints
    can_pair: Bools
    pairs: Ints
    pair_labels: Floats
    given: bool = False

    @classmethod
    def empty(cls, n_relation_labels: int, given: bool = False) -> "Samples":
        """Samples of nothing.

        n_relation_labels (int): Number of relation labels.
        given (bool): See the class.
        RETURNS (Samples): No spans and no pairs.
        """
        labels = numpy.zeros((0, n_relation_labels), dtype="float32")
        return cls(no_rows(), no_ints(), no_ints().astype(bool), no_rows(), labels, given)

    def add_pairs(self, pairs: Ints, labels: Floats) -> "Samples":
        """The same samples and further pairs.

        pairs (Ints): Head and tail as indices into spans, shape (n_pairs, 2).
        labels (Floats): 1.0 for each relation that holds, shape (n_pairs, n_relation_labels).
        RETURNS (Samples): All of them.
        """
        return replace(
            self,
            pairs=numpy.concatenate([self.pairs, pairs]),
            pair_labels=numpy.concatenate([self.pair_labels, labels]),
        )

    def add_unrelated(self, pairs: Ints) -> "Samples":
        """The same samples and further pairs.

        pairs (Ints): Pairs that are not related, shape (n_pairs, 2).
        RETURNS (Samples): All of them.
        """
        return self.add_pairs(pairs, numpy.zeros((len(pairs), self.pair_labels.shape[1]), dtype="float32"))

    @classmethod
    def concatenate(cls, parts: Sequence["Samples"]) -> "Samples":
        """Put samples together, those of each part pointing at its own spans.

        parts (Sequence[Samples]): At least one.
        RETURNS (Samples): All of them.
        """
        firsts = numpy.cumsum([0, *(len(part.spans) for part in parts[:-1])])
        return cls(
            numpy.concatenate([part.spans for part in parts]),
            numpy.concatenate([part.span_labels for part in parts]),
            numpy.concatenate([part.can_pair for part in parts]),
            numpy.concatenate([part.pairs + first for part, first in zip(parts, firsts)]),
            numpy.concatenate([part.pair_labels for part in parts]),
            parts[0].given,
        )


class Windows(NamedTuple):
    """All spans of up to some width, by width - 1 and first token. Those that leave their sentence mean nothing.

    labels (Ints): Column of the most probable entity label, shape (max_width, n_tokens).
    scores (Floats): Its probability, calibrated, same shape.
    raw (Floats): Its probability as the model has it, same shape.
    none (Floats): Probability that it is not an entity, likewise, same shape.
    """

    labels: Ints
    scores: Floats
    raw: Floats
    none: Floats


class Found(NamedTuple):
    """Spans that go on to be paired.

    spans (Ints): Boundaries in visible tokens, sorted by start, then end, shape (n_spans, 2).
    labels (Ints): Column of the label, 0 if it is not known, shape (n_spans,).
    scores (Floats): Probability of the label, calibrated, shape (n_spans,).
    raw (Floats): The same as the model has it, shape (n_spans,).
    over_limit (Ints): See Scores, but for the first token, which is a visible one.
    is_entity (Bools): Whether it is an entity by itself, or only if it has a relation, shape (n_spans,).
    """

    spans: Ints
    labels: Ints
    scores: Floats
    raw: Floats
    over_limit: Ints
    is_entity: Bools

    def select(self, chosen: Bools) -> "Found":
        """Some of the spans.

        chosen (Bools): Which, shape (n_spans,).
        RETURNS (Found): These, with `over_limit` as it was.
        """
        arrays = {name: array[chosen] for name, array in self._asdict().items() if name != "over_limit"}
        return self._replace(**arrays)

    @classmethod
    def given(cls, spans: Ints, labels: Ints) -> "Found":
        """Entities that are given.

        spans (Ints): Boundaries in visible tokens, sorted by start, then end, shape (n_spans, 2).
        labels (Ints): Columns of their labels, shape (n_spans,).
        RETURNS (Found): The same, all of them certain.
        """
        certain = numpy.ones(len(spans), dtype="float32")
        return cls(spans, labels, certain, certain, numpy.zeros((0, 3), dtype="int64"), certain.astype(bool))


class Given(NamedTuple):
    """Entities that are given.

    spans (Ints): Boundaries in flat tokens, sorted by start, then end, shape (n_spans, 2).
    labels (Ints): Column of the label of each; 0 if the model does not know it, shape (n_spans,).
    """

    spans: Ints
    labels: Ints


@dataclass
class Scores:
    """What the model makes of a batch.

    spans (Ints): Boundaries of entities, and of other spans that were paired, in flat tokens, sorted by start, then
        end, shape (n_spans, 2).
    span_labels (Ints): Column of the most probable label, or of the given one, shape (n_spans,).
    span_scores (Floats): Probability of that label, shape (n_spans,).
    pairs (Ints): Head and tail as indices into spans, shape (n_pairs, 2).
    pair_scores (Floats): Probability of each relation label, shape (n_pairs, n_relation_labels).
    is_entity (Bools): Whether each span is an entity by itself, or only if it has a relation, shape (n_spans,).
    tokens (Ints): The flat tokens that the encoder sees, ascending.
    over_limit (Ints): Sentences in which entities were left out, as there were too many: their first flat token, their
        number of visible tokens, and the number of entities left out, shape (n_sentences, 3).
    cut (Ints): Flat tokens that the encoder did not see, as its windows cut them off, ascending.
    """

    spans: Ints
    span_labels: Ints
    span_scores: Floats
    pairs: Ints
    pair_scores: Floats
    is_entity: Bools = field(default_factory=lambda: no_ints().astype(bool))
    tokens: Ints = field(default_factory=no_ints)
    over_limit: Ints = field(default_factory=lambda: numpy.zeros((0, 3), dtype="int64"))
    cut: Ints = field(default_factory=no_ints)
