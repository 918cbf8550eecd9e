"""The encoder's output on the device, and the representation of each sentence. Torch, no spaCy."""

from dataclasses import dataclass
from typing import List, Optional

import numpy
import torch
from torch import Tensor

from .arrays import Layout
from .plans import Stretch
from .pooling import Indices


@dataclass
class Encoded:
    """The encoder's output, ready to be pooled.

    wordpieces (Tensor): Those of all visible tokens in their order, mixed or as they come, shape (n_pieces, width).
    layout (Layout): Which of them are whose.
    contexts (Tensor): One vector for each sentence, shape (n_sentences, width).
    """

    wordpieces: Tensor
    layout: Layout
    contexts: Tensor

    @property
    def device(self) -> torch.device:
        """RETURNS (torch.device): Where they are."""
        return self.wordpieces.device

    @property
    def whole(self) -> Stretch:
        """RETURNS (Stretch): All tokens."""
        return Stretch(self.layout, 0, len(self.layout.tokens))

    def pieces(self, stretch: Stretch) -> Tensor:
        """The wordpieces of some tokens.

        stretch (Stretch): The tokens.
        RETURNS (Tensor): Shape (n_pieces, width).
        """
        first, last = stretch.bounds
        return self.wordpieces[first:last]


def bring_together(
    states: List[Tensor], layout: Layout, dtype: torch.dtype, shapes: Optional[Tensor] = None
) -> Encoded:
    """Bring the embeddings together, and represent each sentence.

    states (List[Tensor]): Embeddings as the encoder gives them, each (n_rows, width).
    layout (Layout): Indices into the concatenation of states.
    dtype (torch.dtype): The type of the network's numbers.
    shapes (Optional[Tensor]): What is added to the wordpieces of tokens of each shape, shape (N_SHAPES, width).
    RETURNS (Encoded): What all other stages read.
    """
    embeddings = (torch.cat(states) if len(states) > 1 else states[0]).to(dtype)
    n_sentences = len(layout.sentences) - 1
    counts = numpy.bincount(layout.cls_sentences, minlength=n_sentences)
    bounds = layout.offsets[layout.sentences]
    # Without a special token a sentence is represented by the maximum over its wordpieces.
    without = numpy.nonzero(counts == 0)[0]
    lengths = numpy.diff(bounds)
    indices = Indices()
    of_shapes = None if shapes is None else indices.add(numpy.repeat(layout.shapes, numpy.diff(layout.offsets)))
    rows, cls_rows, cls_sentences, n_windows, owners, own_rows = (
        indices.add(array)
        for array in (
            layout.rows,
            layout.cls_rows,
            layout.cls_sentences,
            counts[layout.cls_sentences],
            numpy.repeat(without, lengths[without]),
            layout.rows[numpy.repeat(counts == 0, lengths)],
        )
    )
    indices.upload(embeddings.device)
    contexts = embeddings.index_select(0, indices[cls_rows])
    if (counts != 1).any():
        # One that lies in several windows is represented by the mean of theirs.
        shares = contexts / indices[n_windows][:, None].to(contexts)
        zeros = embeddings.new_zeros(n_sentences, embeddings.shape[1])
        contexts = zeros.index_add(0, indices[cls_sentences], shares)
    if len(without):
        targets = indices[owners][:, None].expand(-1, embeddings.shape[1])
        pieces = embeddings.index_select(0, indices[own_rows])
        contexts = contexts.scatter_reduce(0, targets, pieces, "amax", include_self=False)
    wordpieces = embeddings.index_select(0, indices[rows])
    if shapes is not None and of_shapes is not None:
        wordpieces = wordpieces + shapes.index_select(0, indices[of_shapes])
    return Encoded(wordpieces, layout, contexts)
