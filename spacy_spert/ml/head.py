"""The network above the encoder: pooling, span classifier, relation classifier. Knows torch, not spaCy.

Everything reads one flat array of wordpiece embeddings without padding. Nothing has the size spans x tokens x width:
the maximum over any stretch of wordpieces is two look-ups in a table of maxima over power-of-two lengths, and in
prediction a linear layer over a concatenation is taken apart, so that the terms of a sentence, a width, a head or a
tail are computed once and only added for each candidate.
"""

import os
from dataclasses import dataclass, field
from typing import Iterator, List, Literal, NamedTuple, Optional, Tuple, Union

import numpy
import torch
from torch import Tensor, nn

from ..candidates import (
    Bools,
    Floats,
    Ints,
    Samples,
    Scores,
    Search,
    best_spans,
    both_orders,
    no_ints,
    pairs_within,
    ranges,
)

ContextT = Literal["localized", "sentence", "cls"]
PoolingT = Literal["max", "mean", "sum"]

# Sentences are predicted in chunks of at most this many tokens, longer ones in parts of as many; pairs in chunks of
# about this many numbers. Maxima of no more than FEW_NUMBERS are taken without a table, which would take longer.
CHUNK_TOKENS = 1024
CHUNK_NUMBERS = 2**20
FEW_NUMBERS = 2**16

# The workers of `nlp.pipe(n_process=...)` are forked, where they can be. The threads of torch don't survive a fork, and
# a worker that counts on them waits forever; one thread a worker is what several processes ask for anyway.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


@dataclass
class Layout:
    """Where the wordpieces of tokens, and the tokens of sentences, lie in the flat arrays. Index arrays only.

    rows (Ints): For each wordpiece, token by token, its row in the embeddings, shape (n_pieces,).
    offsets (Ints): Token t owns the wordpieces offsets[t] to offsets[t + 1], shape (n_tokens + 1,).
    sentences (Ints): Sentence s holds the tokens sentences[s] to sentences[s + 1], shape (n_sentences + 1,).
    cls_rows (Ints): Rows of the special tokens that stand for a sentence, shape (n_cls,). A sentence that has none is
        represented by the maximum over its wordpieces.
    cls_sentences (Ints): The sentence of each of cls_rows, ascending, shape (n_cls,).
    cut (Ints): Tokens without wordpieces because the encoder's windows cut them off, ascending.
    """

    rows: Ints
    offsets: Ints
    sentences: Ints
    cls_rows: Ints = field(default_factory=no_ints)
    cls_sentences: Ints = field(default_factory=no_ints)
    cut: Ints = field(default_factory=no_ints)

    def sentence_of(self, tokens: Ints) -> Ints:
        """The sentence of each token.

        tokens (Ints): Flat token indices, any shape.
        RETURNS (Ints): Indices of sentences, same shape.
        """
        return numpy.searchsorted(self.sentences, tokens, side="right") - 1

    def covered(self, spans: Ints) -> "numpy.ndarray":
        """Which spans have at least one wordpiece. Blanks and what the encoder's window cut off have none.

        spans (Ints): Flat token boundaries, shape (n_spans, 2).
        RETURNS (Bools): Shape (n_spans,).
        """
        return self.offsets[spans[:, 0]] < self.offsets[spans[:, 1]]


class Encoded(NamedTuple):
    """Embeddings of some whole sentences, with the indices that belong to them.

    pieces (Tensor): Wordpiece embeddings in the order of the tokens, shape (n_pieces, width).
    maxima (MaxTable): The maxima of any stretch of them.
    contexts (Tensor): One vector for each sentence, shape (n_sentences, width).
    offsets (Ints): As in Layout, counted from the first wordpiece of these sentences.
    sentences (Ints): As in Layout, counted from the first token of these sentences.
    """

    pieces: Tensor
    maxima: "MaxTable"
    contexts: Tensor
    offsets: Ints
    sentences: Ints

    def part(self, start: int, end: int) -> "Encoded":
        """A stretch of the only sentence.

        start (int): Its first token.
        end (int): The token after its last.
        RETURNS (Encoded): The stretch as if it was the sentence, with the context of the whole.
        """
        offsets = self.offsets[start : end + 1]
        pieces = self.pieces[offsets[0] : offsets[-1]]
        return Encoded(pieces, MaxTable(pieces), self.contexts, offsets - offsets[0], numpy.asarray([0, end - start]))


class SpertHead(nn.Module):
    """Span and relation classifier (sections 3.1 and 3.2 of the paper).

    width (int): Width of the embeddings.
    n_entity_labels (int): Number of entity labels, without "none".
    n_relation_labels (int): Number of relation labels. With 0 only entities are predicted.
    max_span_width (int): Longest candidate span in tokens.
    width_embedding (int): Width of the learned embedding of a span's width.
    dropout (float): Dropout on the input of both classifiers.
    context (str): What stands between head and tail: the wordpieces between them ("localized"), those of the whole
        sentence ("sentence"), or the special token of the sentence ("cls").
    pooling (str): How the wordpieces of a span become one vector: "max", "mean" or "sum".
    """

    def __init__(
        self,
        width: int,
        n_entity_labels: int,
        n_relation_labels: int,
        max_span_width: int,
        width_embedding: int = 25,
        dropout: float = 0.1,
        context: ContextT = "localized",
        pooling: PoolingT = "max",
    ):
        super().__init__()
        self.width = width
        self.max_span_width = max_span_width
        self.context = context
        self.pooling = pooling
        self.span_classifier = nn.Linear(2 * width + width_embedding, 1 + n_entity_labels)
        self.relation_classifier = (
            nn.Linear(3 * width + 2 * width_embedding, n_relation_labels) if n_relation_labels else None
        )
        # Row w - 1 belongs to spans of w tokens; given spans may be wider than all of them and share the last.
        self.width_embedding = nn.Embedding(max_span_width, width_embedding)
        self.dropout = dropout
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def train(self, mode: bool = True) -> "SpertHead":
        # thinc calls it twice for each prediction, and none of the layers needs to know.
        self.training = mode
        return self

    @property
    def n_relation_labels(self) -> int:
        return self.relation_classifier.out_features if self.relation_classifier is not None else 0

    def forward(
        self, states: List[Tensor], layout: Layout, candidates: Union[Samples, Search]
    ) -> Union[Tuple[Tensor, Tensor], Scores]:
        """Score the samples of a training batch, or find the entities and pairs of new text and score them.

        states (List[Tensor]): Embeddings as the encoder gives them, each (n_rows, width).
        layout (Layout): Indices into the concatenation of states.
        candidates (Union[Samples, Search]): What to score.
        RETURNS: For Samples the logits of the spans (n_spans, 1 + n_entity_labels) and of the pairs
            (n_pairs, n_relation_labels). For a Search the Scores.
        """
        embeddings = torch.cat(states) if len(states) > 1 else states[0]
        if isinstance(candidates, Samples):
            return self.score_samples(self.encode(embeddings, layout), candidates)
        return self.search(embeddings, layout, candidates)

    def encode(self, embeddings: Tensor, layout: Layout, first: int = 0, last: Optional[int] = None) -> Encoded:
        """Gather the wordpieces and the context vectors of some sentences.

        embeddings (Tensor): All embeddings, shape (n_rows, width).
        layout (Layout): Indices into them.
        first (int): First sentence.
        last (Optional[int]): Sentence after the last; by default all.
        RETURNS (Encoded): The sentences first to last.
        """
        last = len(layout.sentences) - 1 if last is None else last
        sentences = layout.sentences[first : last + 1]
        offsets = layout.offsets[sentences[0] : sentences[-1] + 1]
        pieces = _select(embeddings, layout.rows[offsets[0] : offsets[-1]])
        maxima = MaxTable(pieces)
        sentences = sentences - sentences[0]
        offsets = offsets - offsets[0]
        low, high = numpy.searchsorted(layout.cls_sentences, [first, last])
        owners = layout.cls_sentences[low:high] - first
        counts = numpy.bincount(owners, minlength=last - first)
        contexts = _select(embeddings, layout.cls_rows[low:high])
        if (counts != 1).any():
            # A sentence that lies in several windows is represented by the mean of theirs.
            weights = torch.from_numpy(1.0 / counts[owners].astype("float32")).to(contexts)
            starts = numpy.where(counts, 0, offsets[sentences[:-1]])
            ends = numpy.where(counts, 0, offsets[sentences[1:]])
            own_maxima = maxima.query(starts, ends)
            contexts = own_maxima.index_add(0, _to_tensor(owners, contexts.device), contexts * weights[:, None])
        return Encoded(pieces, maxima, contexts, offsets, sentences)

    def score_samples(self, encoded: Encoded, samples: Samples) -> Tuple[Tensor, Tensor]:
        """Logits of given spans and pairs, with dropout while training.

        encoded (Encoded): The sentences.
        samples (Samples): Spans and pairs, in tokens of these sentences.
        RETURNS (Tuple[Tensor, Tensor]): Logits of the spans, shape (n_spans, 1 + n_entity_labels), and of the pairs,
            shape (n_pairs, n_relation_labels).
        """
        spans, pairs = samples.spans, samples.pairs
        vectors = self.pool_spans(encoded, spans)
        widths = self._embed_widths(spans)
        contexts = _select(encoded.contexts, _sentence_of(encoded, spans))
        span_inputs = torch.cat([contexts, vectors, widths], dim=1)
        span_logits = self.span_classifier(self._drop(span_inputs))
        if self.relation_classifier is None or not len(pairs):
            return span_logits, span_logits.new_zeros(len(pairs), self.n_relation_labels)
        head, tail = pairs.T
        pair_inputs = [
            self.pool_contexts(encoded, spans, pairs),
            _select(vectors, head),
            _select(vectors, tail),
            _select(widths, head),
            _select(widths, tail),
        ]
        return span_logits, self.relation_classifier(self._drop(torch.cat(pair_inputs, dim=1)))

    @torch.inference_mode()
    def search(self, embeddings: Tensor, layout: Layout, search: Search) -> Scores:
        """Classify all spans, keep the entities, and score the pairs of entities.

        embeddings (Tensor): All embeddings, shape (n_rows, width).
        layout (Layout): Indices into them.
        search (Search): What to look at.
        RETURNS (Scores): Entities, pairs, and their probabilities.
        """
        found = []
        n_spans = 0
        for first, last in _chunks(layout.sentences, CHUNK_TOKENS):
            encoded = self.encode(embeddings, layout, first, last)
            offset = layout.sentences[first]
            if search.spans is None:
                spans, labels, scores, dropped = self.find_entities(encoded, search.entities_per_token)
            else:
                low, high = numpy.searchsorted(search.spans[:, 0], layout.sentences[[first, last]])
                spans = search.spans[low:high] - offset
                labels = numpy.zeros(len(spans), dtype="int64")
                scores = numpy.ones(len(spans), dtype="float32")
                dropped = numpy.zeros(last - first, dtype="int64")
            pairs = numpy.zeros((0, 2), dtype="int64")
            if search.relations and self.relation_classifier is not None:
                pairs = pairs_within(spans, _sentence_of(encoded, spans), search.max_distance)
                # Given spans may have no wordpiece.
                covered = layout.covered(spans + offset)
                pairs = pairs[covered[pairs].all(axis=1)]
            pair_scores = self.score_pairs(encoded, spans, pairs)
            found.append((spans + offset, labels, scores, both_orders(pairs) + n_spans, pair_scores, dropped))
            n_spans += len(spans)
        return Scores(*(numpy.concatenate(arrays) for arrays in zip(*found)))

    def find_entities(self, encoded: Encoded, entities_per_token: float) -> Tuple[Ints, Ints, Floats, Ints]:
        """Classify every span of up to max_span_width tokens and keep those whose most probable label is an entity.

        encoded (Encoded): The sentences.
        entities_per_token (float): Most entities of a sentence for each of its tokens; 0 for no limit.
        RETURNS (Tuple[Ints, Ints, Floats, Ints]): Spans sorted by start, then end, their labels, the probabilities of
            these labels, and the number of entities left out in each sentence.
        """
        found = []
        n_tokens = len(encoded.offsets) - 1
        for start in range(0, n_tokens, CHUNK_TOKENS):
            end = min(start + CHUNK_TOKENS + self.max_span_width - 1, n_tokens)
            part = encoded.part(start, end) if _is_long(encoded) else encoded
            spans, labels, scores = self._classify(part)
            found.append((spans + start, labels, scores))
        spans, labels, scores = (numpy.concatenate(arrays) for arrays in zip(*found))
        owners = _sentence_of(encoded, spans)
        lengths = numpy.diff(encoded.sentences)
        dropped = numpy.zeros(len(lengths), dtype="int64")
        if entities_per_token:
            best = best_spans(scores, owners, numpy.ceil(lengths * entities_per_token).astype("int64"))
            dropped = numpy.bincount(owners[~best], minlength=len(lengths))
            spans, labels, scores = spans[best], labels[best], scores[best]
        return spans, labels, scores, dropped

    def _classify(self, encoded: Encoded) -> Tuple[Ints, Ints, Floats]:
        """The entities that begin with one of the first CHUNK_TOKENS tokens: spans, labels, probabilities."""
        logits, valid = self.score_all_spans(encoded)
        valid[:, CHUNK_TOKENS:] = False
        # Few spans are entities, so that only theirs are worth a softmax.
        is_entity = logits[1:].amax(dim=0) > logits[0]
        starts, widths = (valid & is_entity.cpu().numpy()).T.nonzero()
        chosen = _select(logits.flatten(1), widths * logits.shape[2] + starts, dim=1)
        spans = numpy.stack([starts, starts + widths + 1], axis=1)
        return spans, chosen.argmax(dim=0).cpu().numpy(), chosen.softmax(dim=0).amax(dim=0).cpu().numpy()

    def score_all_spans(self, encoded: Encoded) -> Tuple[Tensor, Bools]:
        """Logits of all windows of up to max_span_width tokens.

        encoded (Encoded): The sentences.
        RETURNS (Tuple[Tensor, Bools]): The logits by label, width - 1 and first token, shape (1 + n_entity_labels,
            max_width, n_tokens), and which windows are spans: in one sentence and with a wordpiece, shape (max_width,
            n_tokens). The logits of the others mean nothing.
        """
        context_weight, span_weight, width_weight = self.span_classifier.weight.split(
            [self.width, self.width, self.width_embedding.embedding_dim], dim=1
        )
        lengths = numpy.diff(encoded.sentences)
        owners = numpy.repeat(numpy.arange(len(lengths)), lengths)
        max_width = min(self.max_span_width, int(lengths.max(initial=0)))
        context_term = context_weight @ encoded.contexts.T + self.span_classifier.bias[:, None]
        width_term = width_weight @ self.width_embedding.weight[:max_width].T
        logits = _select(context_term, owners, dim=1)[:, None] + width_term[:, :, None]
        for first, vectors in self._windows(encoded, max_width):
            span_term = span_weight @ vectors.flatten(0, 1).T
            logits[:, first : first + len(vectors)] += span_term.view(-1, *vectors.shape[:2])
        ends = numpy.arange(1, max_width + 1)[:, None] + numpy.arange(len(owners))
        inside = ends <= encoded.sentences[owners + 1]
        covered = encoded.offsets[numpy.minimum(ends, len(owners))] > encoded.offsets[:-1]
        return logits, inside & covered

    def score_pairs(self, encoded: Encoded, spans: Ints, pairs: Ints) -> Floats:
        """Probabilities of the relation labels, for both orders of each pair.

        encoded (Encoded): The sentences.
        spans (Ints): The entities, in tokens of these sentences, shape (n_spans, 2).
        pairs (Ints): Indices into spans, shape (n_pairs, 2).
        RETURNS (Floats): Shape (2 * n_pairs, n_relation_labels), in the order of `both_orders(pairs)`.
        """
        if self.relation_classifier is None or not len(pairs):
            return numpy.zeros((2 * len(pairs), self.n_relation_labels), dtype="float32")
        if not _is_long(encoded) or self.context == "sentence":
            return self._score_pairs(encoded, spans, pairs)
        # The pairs of each part of a long sentence, and the spans and tokens they reach to.
        found = []
        blocks = spans[pairs[:, 0], 0] // CHUNK_TOKENS
        for chunk in numpy.split(pairs, numpy.nonzero(numpy.diff(blocks))[0] + 1):
            first, last = chunk.min(), chunk.max() + 1
            start, end = spans[first, 0], spans[first:last, 1].max()
            found.append(self._score_pairs(encoded.part(start, end), spans[first:last] - start, chunk - first))
        return numpy.concatenate(found)

    def _score_pairs(self, encoded: Encoded, spans: Ints, pairs: Ints) -> Floats:
        size = self.width_embedding.embedding_dim
        assert self.relation_classifier is not None
        context_weight, head_weight, tail_weight, head_width_weight, tail_width_weight = (
            self.relation_classifier.weight.split([self.width, self.width, self.width, size, size], dim=1)
        )
        vectors = self.pool_spans(encoded, spans)
        widths = self._embed_widths(spans)
        head_term = vectors @ head_weight.T + widths @ head_width_weight.T + self.relation_classifier.bias
        tail_term = vectors @ tail_weight.T + widths @ tail_width_weight.T
        scores = numpy.empty((len(pairs), 2, self.n_relation_labels), dtype="float32")
        step = max(1, CHUNK_NUMBERS // self.width)
        for start in range(0, len(pairs), step):
            chunk = pairs[start : start + step]
            context_term = self.pool_contexts(encoded, spans, chunk) @ context_weight.T
            both = both_orders(chunk)
            pair_term = _select(head_term, both[:, 0]) + _select(tail_term, both[:, 1])
            logits = context_term[:, None] + pair_term.view(len(chunk), 2, -1)
            scores[start : start + step] = logits.sigmoid().cpu().numpy()
        return scores.reshape(2 * len(pairs), -1)

    def pool_spans(self, encoded: Encoded, spans: Ints) -> Tensor:
        """One vector for each span, from its wordpieces. Zeros for a span without wordpieces.

        encoded (Encoded): The sentences.
        spans (Ints): Token boundaries, shape (n_spans, 2).
        RETURNS (Tensor): Shape (n_spans, width).
        """
        starts, ends = encoded.offsets[spans[:, 0]], encoded.offsets[spans[:, 1]]
        if self.pooling == "max":
            return encoded.maxima.query(starts, ends)
        sums = _prefix_sums(encoded.pieces)
        vectors = (_select(sums, ends) - _select(sums, starts)).to(encoded.pieces)
        return vectors / self._counts(ends - starts) if self.pooling == "mean" else vectors

    def pool_contexts(self, encoded: Encoded, spans: Ints, pairs: Ints) -> Tensor:
        """The context of each pair: by default the maximum over the wordpieces strictly between its spans.

        encoded (Encoded): The sentences.
        spans (Ints): Token boundaries, shape (n_spans, 2).
        pairs (Ints): Indices into spans, shape (n_pairs, 2).
        RETURNS (Tensor): Shape (n_pairs, width). Zeros for adjacent or overlapping spans.
        """
        one, two = spans[pairs[:, 0]], spans[pairs[:, 1]]
        if self.context == "cls":
            return _select(encoded.contexts, _sentence_of(encoded, one))
        if self.context == "sentence":
            owners = _sentence_of(encoded, one)
            starts, ends = encoded.offsets[encoded.sentences[[owners, owners + 1]]]
        else:
            starts = encoded.offsets[numpy.minimum(one[:, 1], two[:, 1])]
            ends = encoded.offsets[numpy.maximum(one[:, 0], two[:, 0])]
        return encoded.maxima.query(starts, numpy.maximum(starts, ends))

    def _windows(self, encoded: Encoded, max_width: int) -> Iterator[Tuple[int, Tensor]]:
        """The vectors of all windows, for as many widths at a time as make about CHUNK_NUMBERS numbers.

        Yields the first of these widths - 1, and vectors by width and first token, shape (n_widths, n_tokens, width).
        Windows that cross a sentence, or have no wordpiece (then not finite), are for the caller to leave out.
        """
        offsets = encoded.offsets
        n_tokens = len(offsets) - 1
        step = max(1, CHUNK_NUMBERS // max(1, n_tokens * self.width))
        if self.pooling == "max":
            tokens = encoded.maxima.query(offsets[:-1], offsets[1:], empty=-torch.inf)
        else:
            tokens = _select(_prefix_sums(encoded.pieces), offsets)
        last = tokens
        for first in range(0, max_width, step):
            vectors = encoded.pieces.new_zeros(min(step, max_width - first), n_tokens, self.width)
            for width, rows in enumerate(vectors, start=first + 1):
                rows = rows[: n_tokens - width + 1]
                if self.pooling == "max":
                    last = torch.maximum(last[: len(rows)], tokens[width - 1 :], out=rows)
                else:
                    rows.copy_(tokens[width:] - tokens[:-width])
                    if self.pooling == "mean":
                        rows /= self._counts(offsets[width:] - offsets[:-width])
            yield first, vectors

    def _drop(self, inputs: Tensor) -> Tensor:
        return nn.functional.dropout(inputs, self.dropout, self.training)

    def _embed_widths(self, spans: Ints) -> Tensor:
        return _select(self.width_embedding.weight, numpy.minimum(spans[:, 1] - spans[:, 0], self.max_span_width) - 1)

    def _counts(self, counts: Ints) -> Tensor:
        return _to_tensor(numpy.maximum(counts, 1), self.width_embedding.weight.device)[:, None]


class MaxTable:
    """Maxima over all stretches of rows whose length is a power of two. Any stretch is then the maximum of two.

    rows (Tensor): Shape (n_rows, width).
    """

    def __init__(self, rows: Tensor):
        self.levels = [rows]

    def level(self, n: int) -> Tensor:
        """Maxima of all stretches of one length, made when they are first asked for.

        n (int): The length is 2 ** n.
        RETURNS (Tensor): Shape (n_rows - 2 ** n + 1, width).
        """
        while len(self.levels) <= n:
            last, step = self.levels[-1], 2 ** (len(self.levels) - 1)
            self.levels.append(torch.maximum(last[:-step], last[step:]))
        return self.levels[n]

    def query(self, starts: Ints, ends: Ints, empty: float = 0.0) -> Tensor:
        """Maxima of given stretches. On the CPU no table is made for few of them.

        starts (Ints): First row of each stretch, shape (n,).
        ends (Ints): Row after the last, not below starts, shape (n,).
        empty (float): The value of an empty stretch.
        RETURNS (Tensor): Shape (n, width).
        """
        rows, lengths = self.levels[0], ends - starts
        # Not all devices can reduce segments.
        if rows.device.type == "cpu" and lengths.sum() * rows.shape[1] <= FEW_NUMBERS:
            stretches = _select(rows, numpy.repeat(starts, lengths) + ranges(lengths))
            maxima = torch.segment_reduce(stretches, "max", lengths=_to_tensor(lengths, rows.device), unsafe=True)
            is_empty = (lengths == 0).nonzero()[0]
            return maxima.index_fill(0, _to_tensor(is_empty, rows.device), empty) if len(is_empty) else maxima
        # The longest power of two within each stretch, -1 for an empty one.
        levels = numpy.frexp(lengths)[1] - 1
        order = numpy.argsort(levels, kind="stable")
        counts = numpy.bincount(levels + 1, minlength=1)
        bounds = numpy.cumsum(counts)
        parts = [rows.new_full((int(counts[0]), rows.shape[1]), empty)]
        for level in numpy.nonzero(counts[1:])[0].tolist():
            chosen = order[bounds[level] : bounds[level + 1]]
            maxima = _select(self.level(level), starts[chosen])
            if level:
                maxima = torch.maximum(maxima, _select(self.level(level), ends[chosen] - 2**level))
            parts.append(maxima)
        if len(parts[-1]) == len(starts):
            return parts[-1]
        return _select(torch.cat(parts), numpy.argsort(order))


def _to_tensor(indices: Ints, device: torch.device) -> Tensor:
    return torch.from_numpy(numpy.ascontiguousarray(indices, dtype="int64")).to(device)


def _select(tensor: Tensor, indices: Ints, dim: int = 0) -> Tensor:
    # Several times faster than tensor[indices].
    return tensor.index_select(dim, _to_tensor(indices, tensor.device))


def _sentence_of(encoded: Encoded, spans: Ints) -> Ints:
    tokens = spans if spans.ndim == 1 else spans[:, 0]
    return numpy.searchsorted(encoded.sentences, tokens, side="right") - 1


def _is_long(encoded: Encoded) -> bool:
    """Whether this is a single sentence that is longer than a chunk."""
    return len(encoded.offsets) - 1 > CHUNK_TOKENS


def _prefix_sums(pieces: Tensor) -> Tensor:
    """Sums of the first n rows, n from 0. Double precision: differences of large sums must stay exact enough."""
    return nn.functional.pad(pieces.double().cumsum(dim=0), (0, 0, 1, 0))


def _chunks(sentences: Ints, size: int) -> Iterator[Tuple[int, int]]:
    """Runs of whole sentences (first, last) with at most size tokens, or one sentence that is longer."""
    first = 0
    while first < len(sentences) - 1:
        last = int(numpy.searchsorted(sentences, sentences[first] + size, side="right")) - 1
        last = max(last, first + 1)
        yield first, last
        first = last
