"""The network above the encoder, in stages: encode -> classify spans -> choose pairs -> score pairs. Torch, no spaCy.

Everything reads one flat array of wordpiece embeddings without padding. The terms of a sentence, a token, a window, a
head or a tail are computed once and only added for each candidate. Spans are looked for in blocks of tokens and pairs
scored in blocks of heads, so that their memory does not grow with a document; what goes to the device or comes back
does so in few copies, whatever the number of blocks.
"""

from dataclasses import replace
from typing import Iterator, List, Optional, Protocol, Tuple

import numpy
import torch
from torch import Tensor, nn

from ..sampling import Pairing
from .arrays import N_SHAPES, Floats, Found, Given, Ints, Layout, Samples, Scores, Windows, no_rows
from .candidates import both_orders
from .encoded import Encoded, bring_together
from .heads import Sizes, SpanFeatures
from .mixer import MixerBuilder
from .plans import ContextPlan, ContextT, SpanPlan, Stretch
from .pooling import Indices, PoolingT, pool_windows, to_host
from .relation_head import RelationHeadBuilder
from .span_head import SpanHeadBuilder

# Spans are looked for from this many tokens at a time, and pairs from heads among as many; windows and contexts make
# about this many numbers at a time.
BLOCK_TOKENS = 1024
BLOCK_NUMBERS = 2**20


class Decisions(Protocol):
    """What the network asks of the decoder."""

    temperature: float

    def find_entities(self, windows: Windows, sentences: Ints) -> Found: ...

    def choose_pairs(self, found: Found, sentences: Ints, documents: Optional[Ints] = None) -> Ints: ...

    def relation_scores(self, logits: Floats, ends: Floats) -> Floats: ...


class SpertNetwork(nn.Module):
    """Span and relation classifier (sections 3.1 and 3.2 of the paper).

    sizes (Sizes): Widths and numbers of labels. Without relation labels only entities are predicted.
    span_head (SpanHeadBuilder): Makes the classifier of spans.
    relation_head (RelationHeadBuilder): Makes that of pairs.
    context (str): What stands between head and tail: the wordpieces between them ("localized"), those of the whole
        sentence ("sentence"), or the special token of the sentence ("cls").
    pooling (str): How the wordpieces of a span become one vector: "max", "mean" or "sum".
    mixer (Optional[MixerBuilder]): Makes a layer between the encoder and the heads; by default there is none.
    shapes (bool): Whether a learned embedding of the shape of each token is added to its wordpieces.
    """

    def __init__(
        self,
        sizes: Sizes,
        span_head: SpanHeadBuilder,
        relation_head: RelationHeadBuilder,
        context: ContextT = "localized",
        pooling: PoolingT = "max",
        mixer: Optional[MixerBuilder] = None,
        shapes: bool = False,
    ):
        super().__init__()
        self.sizes = sizes
        self.context = context
        self.pooling = pooling
        self.span_head = span_head(sizes)
        self.relation_head = relation_head(sizes) if sizes.n_relation_labels else None
        self.mixer = None if mixer is None else mixer(sizes)
        self.shape_embedding = nn.Embedding(N_SHAPES, sizes.width) if shapes else None
        # Row w - 1 belongs to spans of w tokens; given spans may be wider than all of them and share the last.
        self.width_embedding = nn.Embedding(sizes.max_span_width, sizes.width_embedding)
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    # The stages

    def encode(self, states: List[Tensor], layout: Layout, *, is_train: bool = False) -> Encoded:
        """Bring the embeddings together, represent each sentence, and mix the wordpieces if there is a mixer.

        states (List[Tensor]): Embeddings as the encoder gives them, each (n_rows, width).
        layout (Layout): Indices into the concatenation of states.
        is_train (bool): Whether to drop out.
        RETURNS (Encoded): What all other stages read.
        """
        # The encoder may work in half precision.
        shapes = None if self.shape_embedding is None else self.shape_embedding.weight
        encoded = bring_together(states, layout, self.width_embedding.weight.dtype, shapes)
        if self.mixer is None or not len(layout.rows):
            return encoded
        lengths = numpy.diff(layout.offsets[layout.sentences])
        return replace(encoded, wordpieces=self.mixer(encoded.wordpieces, lengths, is_train))

    def classify(
        self, encoded: Encoded, spans: Ints, labels: Optional[Ints] = None, *, is_train: bool
    ) -> Tuple[SpanFeatures, Tensor]:
        """Score given spans.

        encoded (Encoded): The encoder's output.
        spans (Ints): Boundaries in visible tokens, none of them empty, shape (n_spans, 2).
        labels (Optional[Ints]): Columns of their labels, if these are given, shape (n_spans,).
        is_train (bool): Whether to drop out.
        RETURNS (Tuple[SpanFeatures, Tensor]): Their features, for the stages to come, and the logits, "none" first,
            shape (n_spans, 1 + n_entity_labels).
        """
        indices = Indices()
        plan = self._span_plan(encoded.whole, spans, encoded.device, indices)
        given = None if labels is None else indices.add(labels)
        indices.upload(encoded.device)
        features = plan.take(encoded.wordpieces, self.width_embedding.weight)
        logits = self.span_head(encoded.contexts.index_select(0, plan.owners), features, is_train)
        return self._labelled(features, logits, None if given is None else indices[given]), logits

    def score_pairs(
        self, encoded: Encoded, spans: Ints, features: SpanFeatures, pairs: Ints, *, is_train: bool
    ) -> Tensor:
        """Score given pairs of given spans.

        encoded (Encoded): The encoder's output.
        spans (Ints): Boundaries in visible tokens, shape (n_spans, 2).
        features (SpanFeatures): Their features.
        pairs (Ints): Head and tail as indices into spans, shape (n_pairs, 2).
        is_train (bool): Whether to drop out.
        RETURNS (Tensor): Logits, shape (n_pairs, n_relation_labels).
        """
        if self.relation_head is None or not len(pairs):
            return encoded.wordpieces.new_zeros(len(pairs), self.sizes.n_relation_labels)
        indices = Indices()
        plan = self._context_plan(encoded.whole, spans, pairs, encoded.device, indices)
        head, tail = (indices.add(side) for side in pairs.T)
        indices.upload(encoded.device)
        return self.relation_head(
            plan.take(encoded.wordpieces, encoded.contexts, self.relation_head.empty_context),
            features.select(indices[head]),
            features.select(indices[tail]),
            plan.distances,
            is_train,
        )

    def classify_all(self, encoded: Encoded, temperature: float = 1.0) -> Windows:
        """Score every span of up to max_span_width tokens, from the terms of sentences, tokens and windows.

        encoded (Encoded): The encoder's output.
        temperature (float): For calibrated probabilities the logits are divided by it.
        RETURNS (Windows): Label and probability of each.
        """
        layout = encoded.layout
        n_tokens, lengths = len(layout.tokens), numpy.diff(layout.sentences)
        max_width = min(self.sizes.max_span_width, int(lengths.max(initial=0)))
        indices = Indices()
        owners = indices.add(numpy.repeat(numpy.arange(len(lengths)), lengths))
        blocks = []
        for start in range(0, n_tokens, BLOCK_TOKENS):
            stretch = Stretch(layout, start, min(start + BLOCK_TOKENS + max_width - 1, n_tokens))
            tokens = numpy.arange(stretch.start, stretch.end)
            singles = numpy.stack([tokens, tokens + 1], axis=1)
            # A mean over tokens is not that over their wordpieces.
            pooling: PoolingT = "max" if self.pooling == "max" else "sum"
            plan = self._span_plan(stretch, singles, encoded.device, indices, pooling, self.span_head.uses_edges)
            blocks.append((stretch, plan, indices.add(numpy.diff(layout.offsets[start : stretch.end + 1]))))
        indices.upload(encoded.device)
        context_terms = self.span_head.context_terms(encoded.contexts).index_select(0, indices[owners])
        # Side by side, so that they come back in one copy.
        found = encoded.wordpieces.new_empty(4 if temperature != 1.0 else 3, max_width, n_tokens)
        for stretch, plan, counts in blocks:
            features = plan.take(encoded.pieces(stretch), self.width_embedding.weight)
            terms = context_terms[stretch.start : stretch.end]
            end = min(stretch.start + BLOCK_TOKENS, n_tokens)
            for first, logits in self._window_logits(features, indices[counts], terms, max_width):
                place = found[:, first : first + len(logits), stretch.start : end]
                place.copy_(_summarize(logits[:, : end - stretch.start], temperature))
        labels, raw, none, *calibrated = to_host(found)
        scores = calibrated[0] if calibrated else raw
        return Windows(labels.astype("int64"), *(array.astype("float32") for array in (scores, raw, none)))

    def score_both_orders(self, encoded: Encoded, found: Found, pairs: Ints, *, given: bool = False) -> Floats:
        """Score pairs of found spans in both orders, from the terms of contexts, heads and tails.

        encoded (Encoded): The encoder's output.
        found (Found): The spans.
        pairs (Ints): Indices of spans, the first before the second, sorted, shape (n_pairs, 2).
        given (bool): Whether the labels of the spans are given rather than found.
        RETURNS (Floats): Logits, shape (n_pairs, 2, n_relation_labels).
        """
        n_labels = self.sizes.n_relation_labels
        if self.relation_head is None or not len(pairs):
            return numpy.zeros((len(pairs), 2, n_labels), dtype="float32")
        indices = Indices()
        step = max(1, BLOCK_NUMBERS // self.sizes.width)
        blocks = []
        borders = numpy.nonzero(numpy.diff(found.spans[pairs[:, 0], 0] // BLOCK_TOKENS))[0] + 1
        for chunk in numpy.split(pairs, borders):
            first, last = int(chunk.min()), int(chunk.max()) + 1
            spans = found.spans[first:last]
            stretch = self._reach(encoded.layout, spans)
            plan = self._span_plan(stretch, spans, encoded.device, indices)
            labels = indices.add(found.labels[first:last]) if given else None
            parts = []
            for at in range(0, len(chunk), step):
                part = chunk[at : at + step] - first
                pool = self._context_plan(stretch, spans, part, encoded.device, indices)
                # In the given order, then in the other.
                parts.append((pool, indices.add(part.T.ravel()), indices.add(part.T[::-1].ravel())))
            blocks.append((stretch, plan, labels, parts))
        indices.upload(encoded.device)
        both: List[Tensor] = []
        for stretch, plan, labels, parts in blocks:
            pieces = encoded.pieces(stretch)
            features = plan.take(pieces, self.width_embedding.weight)
            if self.relation_head.uses_labels:
                # As in training, whatever the temperature of the scores that come out.
                owners = encoded.contexts.index_select(0, plan.owners)
                span_logits = self.span_head(owners, features, False)
                features = self._labelled(features, span_logits, None if labels is None else indices[labels])
            as_head, as_tail = (self.relation_head.side_terms(side, features) for side in ("head", "tail"))
            for pool, heads, tails in parts:
                pooled = pool.take(pieces, encoded.contexts, self.relation_head.empty_context)
                terms = self.relation_head.context_terms(pooled, pool.distances)
                sides = as_head.index_select(0, indices[heads]) + as_tail.index_select(0, indices[tails])
                both.append(self.relation_head.score_both(terms + sides.view(2, *terms.shape)))
        return to_host(torch.cat(both, dim=1).transpose(0, 1)).astype("float32")

    # All of them

    def forward(
        self,
        states: List[Tensor],
        layout: Layout,
        samples: Samples,
        pairing: Optional[Pairing] = None,
        passes: int = 1,
    ) -> Tuple[Tensor, Tensor, Samples]:
        """Score the samples of a training batch.

        states (List[Tensor]): Embeddings as the encoder gives them, each (n_rows, width).
        layout (Layout): Indices into the concatenation of states.
        samples (Samples): Spans and pairs.
        pairing (Optional[Pairing]): Chooses further pairs of these spans; by default there are none.
        passes (int): How often to score them, each time with a dropout of its own.
        RETURNS (Tuple[Tensor, Tensor, Samples]): Logits of the spans, shape (passes * n_spans, 1 + n_entity_labels),
            and of the pairs, shape (passes * n_pairs, n_relation_labels), one pass after the other, and the samples
            with the further pairs.
        """
        encoded = self.encode(states, layout, is_train=True)
        given = samples.span_labels if samples.given else None
        features, span_logits = self.classify(encoded, samples.spans, given, is_train=True)
        if pairing is not None and self.relation_head is not None:
            none = to_host(span_logits.detach().softmax(dim=1)[:, 0]) if pairing.uses_scores else None
            samples = pairing.choose_pairs(samples, none, layout)
        pair_logits = self.score_pairs(encoded, samples.spans, features, samples.pairs, is_train=True)
        for _ in range(passes - 1):
            if self.mixer is not None:
                # It drops out, too.
                encoded = self.encode(states, layout, is_train=True)
            features, more_spans = self.classify(encoded, samples.spans, given, is_train=True)
            more_pairs = self.score_pairs(encoded, samples.spans, features, samples.pairs, is_train=True)
            span_logits, pair_logits = torch.cat([span_logits, more_spans]), torch.cat([pair_logits, more_pairs])
        return span_logits, pair_logits, samples

    @torch.inference_mode()
    def search(
        self,
        states: List[Tensor],
        layout: Layout,
        decisions: Decisions,
        given: Optional[Given] = None,
    ) -> Scores:
        """Find the entities of new text and score pairs of them.

        states (List[Tensor]): Embeddings as the encoder gives them, each (n_rows, width).
        layout (Layout): Indices into the concatenation of states.
        decisions (Decisions): The decoder, which says what is an entity and what is paired.
        given (Optional[Given]): Entities to relate; by default they are found.
        RETURNS (Scores): Entities, pairs and their probabilities.
        """
        encoded = self.encode(states, layout)
        if given is None:
            windows = self.classify_all(encoded, decisions.temperature)
            found = decisions.find_entities(windows, layout.sentences)
        else:
            found = Found.given(layout.visible(given.spans), given.labels)
        pairs = no_rows()
        if self.relation_head is not None:
            pairs = decisions.choose_pairs(found, layout.sentences, layout.documents)
        pair_logits = self.score_both_orders(encoded, found, pairs, given=given is not None)
        orders = both_orders(pairs)
        over_limit = found.over_limit.copy()
        over_limit[:, 0] = layout.tokens[over_limit[:, 0]]
        return Scores(
            spans=layout.flat(found.spans) if given is None else given.spans,
            span_labels=found.labels,
            span_scores=found.scores,
            pairs=orders,
            pair_scores=decisions.relation_scores(
                pair_logits.reshape(len(orders), self.sizes.n_relation_labels), found.raw[orders]
            ),
            is_entity=found.is_entity,
            tokens=layout.tokens,
            over_limit=over_limit,
            cut=layout.cut,
        )

    # Their parts

    def _span_plan(
        self,
        stretch: Stretch,
        spans: Ints,
        device: torch.device,
        indices: Indices,
        pooling: Optional[PoolingT] = None,
        edges: Optional[bool] = None,
    ) -> SpanPlan:
        if edges is None:
            edges = self.span_head.uses_edges or (self.relation_head is not None and self.relation_head.uses_edges)
        return SpanPlan(stretch, spans, self.sizes, pooling or self.pooling, edges, device, indices)

    def _context_plan(
        self, stretch: Stretch, spans: Ints, pairs: Ints, device: torch.device, indices: Indices
    ) -> ContextPlan:
        return ContextPlan(stretch, spans, pairs, self.sizes.width, self.context, device, indices)

    def _window_logits(
        self, tokens: SpanFeatures, counts: Tensor, context_terms: Tensor, max_width: int
    ) -> Iterator[Tuple[int, Tensor]]:
        """Logits of windows, for as many widths at a time as make about BLOCK_NUMBERS numbers.

        Yields the first of these widths - 1, and the logits by width and first token.
        """
        edges = [
            self.span_head.edge_terms(side, pieces)
            for side, pieces in (("first", tokens.first), ("last", tokens.last))
            if pieces is not None
        ]
        starts = context_terms + edges[0] if edges else context_terms
        n_tokens = len(counts)
        step = max(1, BLOCK_NUMBERS // max(1, n_tokens * self.sizes.width))
        for first, vectors in pool_windows(tokens.vectors, counts.to(tokens.vectors), max_width, self.pooling, step):
            widths = self.width_embedding.weight[first : first + len(vectors), None]
            terms = starts + self.span_head.span_terms(vectors, widths)
            if edges:
                for width, part in enumerate(terms, start=first + 1):
                    part[: max(n_tokens - width + 1, 0)] += edges[1][width - 1 :]
            yield first, self.span_head.score(terms, False)

    def _labelled(self, features: SpanFeatures, logits: Tensor, given: Optional[Tensor]) -> SpanFeatures:
        """What the span classifier thinks of the spans, or the given labels, for a relation head that asks for it."""
        if self.relation_head is None or not self.relation_head.uses_labels:
            return features
        if given is None:
            labels = logits.detach().softmax(dim=1)
        else:
            labels = nn.functional.one_hot(given, 1 + self.sizes.n_entity_labels).to(logits)
        return features._replace(labels=labels[:, 1:])

    def _reach(self, layout: Layout, spans: Ints) -> Stretch:
        """The tokens that pairs of these spans, which are sorted, need."""
        start, end = int(spans[0, 0]), int(spans[:, 1].max())
        if self.context == "sentence":
            first, last = layout.sentence_of(numpy.asarray([start, end - 1]))
            start, end = (int(layout.sentences[i]) for i in (first, last + 1))
        return Stretch(layout, start, end)


def _summarize(logits: Tensor, temperature: float) -> Tensor:
    """The label of each span, its probability and that of "none", and its probability at a temperature other than 1,
    shape (3 or 4, ...)."""
    raw = logits.softmax(dim=-1)
    best, labels = raw[..., 1:].max(dim=-1)
    rows = [labels + 1.0, best, raw[..., 0]]
    if temperature != 1.0:
        rows.append((logits / temperature).softmax(dim=-1)[..., 1:].amax(dim=-1))
    return torch.stack(rows)
