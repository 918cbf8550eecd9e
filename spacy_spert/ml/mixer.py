"""Layers between the encoder and the heads, in which the wordpieces of a sentence see their neighbours once more."""

import warnings
from functools import partial
from typing import Callable, Optional, Protocol, cast

import numpy
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from .arrays import Ints
from .candidates import ranges
from .heads import Sizes, check_dropout, check_size
from .pooling import Indices

# cuDNN makes one piece of an LSTM's weights at each call, after a first update. They can't be moved into one, as the
# optimizer steps the arrays that it was given; and they are small.
warnings.filterwarnings("ignore", message="RNN module weights are not part of single contiguous chunk of memory")


class Mixer(Protocol):
    """A torch module that mixes the wordpieces of sentences."""

    def __call__(self, pieces: Tensor, lengths: Ints, is_train: bool) -> Tensor:
        """Mix.

        pieces (Tensor): The wordpieces, sentence after sentence, shape (n_pieces, width).
        lengths (Ints): How many of them each sentence has, at least one, shape (n_sentences,).
        is_train (bool): Whether to drop out.
        RETURNS (Tensor): What stands for the pieces, same shape. It must depend on pieces of the same sentence only.
        """


MixerBuilder = Callable[[Sizes], Mixer]


def build_bilstm(hidden_width: int = 256, dropout: Optional[float] = None) -> MixerBuilder:
    """A bidirectional LSTM, whose output is added to the wordpieces. Register name: "spacy-spert.BiLSTM.v1".

    hidden_width (int): Width of each direction.
    dropout (Optional[float]): Dropout of its input and of its output; by default the model's.
    RETURNS (Callable[[Sizes], Mixer]): Makes the mixer, when the sizes are known.
    RAISES (ValueError): If a setting is out of range.
    """
    check_size("mixer.hidden_width", hidden_width)
    check_dropout("mixer.dropout", dropout)
    # No closure: a pipeline must be picklable, for workers that are not forked.
    return partial(BiLstm, hidden_width=hidden_width, dropout=dropout)


def build_convolutions(hidden_width: int = 256, window: int = 1, dropout: Optional[float] = None) -> MixerBuilder:
    """Two convolutions, whose output is added to the wordpieces. Register name: "spacy-spert.Convolutions.v1".

    hidden_width (int): Width between the two.
    window (int): How many wordpieces on either side each of them sees.
    dropout (Optional[float]): Dropout of the input and between the two; by default the model's.
    RETURNS (Callable[[Sizes], Mixer]): Makes the mixer, when the sizes are known.
    RAISES (ValueError): If a setting is out of range.
    """
    check_size("mixer.hidden_width", hidden_width)
    check_size("mixer.window", window)
    check_dropout("mixer.dropout", dropout)
    return partial(Convolutions, hidden_width=hidden_width, window=window, dropout=dropout)


class BiLstm(nn.Module):
    """See `build_bilstm` and `Mixer`."""

    def __init__(self, sizes: Sizes, hidden_width: int, dropout: Optional[float]):
        super().__init__()
        self.dropout = sizes.dropout if dropout is None else dropout
        self.lstm = nn.LSTM(sizes.width, hidden_width, bidirectional=True)
        self.output = nn.Linear(2 * hidden_width, sizes.width)

    def forward(self, pieces: Tensor, lengths: Ints, is_train: bool) -> Tensor:
        # Step by step, at each of them the sentences that are that long, the longest first: as torch packs sequences,
        # but without padding all of them to the length of the longest.
        steps = ranges(lengths)
        ranks = numpy.argsort(numpy.argsort(-lengths, kind="stable"))
        order = numpy.lexsort((numpy.repeat(ranks, lengths), steps))
        indices = Indices()
        packed_rows, rows = indices.add(order), indices.add(numpy.argsort(order))
        indices.upload(pieces.device)
        inputs = nn.functional.dropout(pieces, self.dropout, is_train).index_select(0, indices[packed_rows])
        states, _ = self.lstm(PackedSequence(inputs, torch.from_numpy(numpy.bincount(steps))))
        mixed = self.output(nn.functional.dropout(states.data, self.dropout, is_train))
        return pieces + mixed.index_select(0, indices[rows])


class Convolutions(nn.Module):
    """See `build_convolutions` and `Mixer`."""

    def __init__(self, sizes: Sizes, hidden_width: int, window: int, dropout: Optional[float]):
        super().__init__()
        self.dropout = sizes.dropout if dropout is None else dropout
        self.window = window
        seen = 2 * window + 1
        self.layer = nn.Linear(seen * sizes.width, hidden_width)
        self.output = nn.Linear(seen * hidden_width, sizes.width)

    def forward(self, pieces: Tensor, lengths: Ints, is_train: bool) -> Tensor:
        # Rows of each piece's neighbours. What lies beyond the sentence is a row of zeros, behind all others.
        places, ends = ranges(lengths), numpy.repeat(lengths, lengths)
        steps = numpy.arange(-self.window, self.window + 1)[:, None]
        inside = (places + steps >= 0) & (places + steps < ends)
        neighbours = numpy.where(inside, numpy.arange(len(places)) + steps, len(places))
        indices = Indices()
        rows = indices.add(neighbours.T.reshape(-1))
        indices.upload(pieces.device)
        hidden = nn.functional.dropout(pieces, self.dropout, is_train)
        hidden = nn.functional.gelu(self.layer(self._gather(hidden, indices[rows])))
        hidden = nn.functional.dropout(hidden, self.dropout, is_train)
        return pieces + cast(Tensor, self.output(self._gather(hidden, indices[rows])))

    def _gather(self, rows: Tensor, neighbours: Tensor) -> Tensor:
        """Each row with its neighbours side by side."""
        padded = torch.cat([rows, rows.new_zeros(1, rows.shape[1])])
        return padded.index_select(0, neighbours).reshape(len(rows), -1)
