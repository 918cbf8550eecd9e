"""What is to be pooled from a stretch of wordpieces, worked out in index arrays before anything is computed.

So the indices of all blocks of a batch can go to the device in one copy.
"""

from typing import List, Literal, NamedTuple, Optional, Tuple

import numpy
import torch
from torch import Tensor

from .arrays import Ints, Layout
from .heads import Sizes, SpanFeatures
from .pooling import Indices, Maxima, PoolingT, Sums
from .relation_head import distance_buckets

ContextT = Literal["localized", "sentence", "cls"]


class Stretch(NamedTuple):
    """The wordpieces of some tokens.

    layout (Layout): Where they are.
    start (int): The first token.
    end (int): The token after the last.
    """

    layout: Layout
    start: int
    end: int

    @property
    def bounds(self) -> Tuple[int, int]:
        """RETURNS (Tuple[int, int]): The first wordpiece, and the one after the last."""
        return int(self.layout.offsets[self.start]), int(self.layout.offsets[self.end])

    def __len__(self) -> int:
        first, last = self.bounds
        return last - first

    def pieces_before(self, tokens: Ints) -> Ints:
        """RETURNS (Ints): The first wordpiece of tokens of the stretch, counted from the stretch's first."""
        return self.layout.offsets[tokens] - self.bounds[0]


class SpanPlan:
    """Pools the wordpieces of spans, and finds what else is known of them."""

    def __init__(
        self,
        stretch: Stretch,
        spans: Ints,
        sizes: Sizes,
        pooling: PoolingT,
        edges: bool,
        device: torch.device,
        indices: Indices,
    ):
        """Make the plan.

        stretch (Stretch): The wordpieces that will be there.
        spans (Ints): Boundaries in visible tokens, in the stretch, shape (n_spans, 2).
        sizes (Sizes): Width of the embeddings, and the widest span.
        pooling (str): "max", "mean" or "sum".
        edges (bool): Whether the first and the last wordpiece are asked for.
        device (torch.device): Where the wordpieces are.
        indices (Indices): Where to put index arrays.
        """
        starts, ends = stretch.pieces_before(spans[:, 0]), stretch.pieces_before(spans[:, 1])
        self._pool = (
            Maxima(starts, ends, len(stretch), sizes.width, device, indices)
            if pooling == "max"
            else Sums(starts, ends, pooling, indices)
        )
        self._indices = indices
        self._widths = indices.add(numpy.clip(spans[:, 1] - spans[:, 0], 1, sizes.max_span_width) - 1)
        self._owners = indices.add(stretch.layout.sentence_of(spans[:, 0]))
        # A given span may have no wordpiece. It is never paired, and may point anywhere.
        limit = max(len(stretch) - 1, 0)
        self._edges = [indices.add(numpy.clip(rows, 0, limit)) for rows in (starts, ends - 1)] if edges else []

    @property
    def owners(self) -> Tensor:
        """RETURNS (Tensor): The sentence of each span, shape (n_spans,)."""
        return self._indices[self._owners]

    def take(self, pieces: Tensor, width_embedding: Tensor) -> SpanFeatures:
        """Carry it out.

        pieces (Tensor): The wordpieces of the stretch, shape (n_pieces, width).
        width_embedding (Tensor): The embeddings of widths, shape (max_span_width, width_embedding).
        RETURNS (SpanFeatures): What is known of the spans, without their labels.
        """
        pooled = self._pool.take(pieces)
        widths = width_embedding.index_select(0, self._indices[self._widths])
        first, last = [pieces.index_select(0, self._indices[rows]) for rows in self._edges] or (None, None)
        return SpanFeatures(pooled, widths, first, last)


class ContextPlan:
    """Finds the context of pairs of spans: by default the maximum over the wordpieces strictly between them.

    Spans of different sentences have all sentences from the one to the other for a "sentence", and the mean of both
    special tokens for the "cls".
    """

    def __init__(
        self,
        stretch: Stretch,
        spans: Ints,
        pairs: Ints,
        width: int,
        context: ContextT,
        device: torch.device,
        indices: Indices,
    ):
        """Make the plan.

        stretch (Stretch): The wordpieces that will be there: what `needed_tokens` says.
        spans (Ints): Boundaries in visible tokens, shape (n_spans, 2).
        pairs (Ints): Indices into spans, shape (n_pairs, 2).
        width (int): Width of the embeddings.
        context (str): "localized", "sentence" or "cls".
        device (torch.device): Where the wordpieces are.
        indices (Indices): Where to put index arrays.
        """
        one, two = spans[pairs[:, 0]], spans[pairs[:, 1]]
        gap_start, gap_end = numpy.minimum(one[:, 1], two[:, 1]), numpy.maximum(one[:, 0], two[:, 0])
        self._indices = indices
        self._distances = indices.add(distance_buckets(numpy.maximum(gap_end - gap_start, 0)))
        self._pool: Optional[Maxima] = None
        self._empty: Optional[int] = None
        self._owners: List[int] = []
        owners, others = (stretch.layout.sentence_of(side[:, 0]) for side in (one, two))
        if context == "cls":
            sides = (owners, others) if (owners != others).any() else (owners,)
            self._owners = [indices.add(side) for side in sides]
            return
        if context == "sentence":
            bounds = numpy.minimum(owners, others), numpy.maximum(owners, others) + 1
            gap_start, gap_end = stretch.layout.sentences[numpy.stack(bounds)]
        starts = stretch.pieces_before(gap_start)
        ends = stretch.pieces_before(numpy.maximum(gap_start, gap_end))
        self._pool = Maxima(starts, ends, len(stretch), width, device, indices)
        is_empty = numpy.nonzero(starts == ends)[0]
        if len(is_empty):
            self._empty = indices.add(is_empty)

    @property
    def distances(self) -> Tensor:
        """RETURNS (Tensor): How far apart the spans of each pair are, see `distance_buckets`, shape (n_pairs,)."""
        return self._indices[self._distances]

    def take(self, pieces: Tensor, contexts: Tensor, empty: Optional[Tensor]) -> Tensor:
        """Carry it out.

        pieces (Tensor): The wordpieces of the stretch, shape (n_pieces, width).
        contexts (Tensor): One vector for each sentence of the batch, shape (n_sentences, width).
        empty (Optional[Tensor]): What stands for an empty context, shape (width,); zeros by default.
        RETURNS (Tensor): Shape (n_pairs, width).
        """
        if self._pool is None:
            sides = [contexts.index_select(0, self._indices[owners]) for owners in self._owners]
            return sides[0] if len(sides) == 1 else (sides[0] + sides[1]) / 2
        pooled = self._pool.take(pieces)
        if empty is not None and self._empty is not None:
            rows = self._indices[self._empty]
            pooled = pooled.index_copy(0, rows, empty.to(pooled).expand(len(rows), -1))
        return pooled
