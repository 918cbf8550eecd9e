"""One vector for each stretch of wordpieces, without ever holding spans x wordpieces x width.

The maximum over any stretch is that of two stretches whose length is a power of two, of which there is a table. Where
what lies in the stretches together is little, it is gathered and reduced without one.
"""

from typing import Iterator, List, Literal, Optional, Sequence, Tuple

import numpy
import torch
from torch import Tensor, nn

from .arrays import Ints
from .candidates import ranges

PoolingT = Literal["max", "mean", "sum"]

# Maxima of no more than this many numbers are taken without a table, which would take longer.
FEW_NUMBERS = 2**16


class Indices:
    """Index arrays that go to the device together: one copy, however many they are."""

    def __init__(self) -> None:
        self._arrays: List[Ints] = []
        self._tensors: List[Tensor] = []

    def add(self, array: Ints) -> int:
        """Take an array along.

        array (Ints): The indices, one axis.
        RETURNS (int): Its number, by which it is found on the device.
        """
        self._arrays.append(array)
        return len(self._arrays) - 1

    def upload(self, device: torch.device) -> "Indices":
        """Copy all of them.

        device (torch.device): Where to.
        RETURNS (Indices): This object, whose arrays can now be asked for.
        """
        self._tensors = to_device(self._arrays, device)
        return self

    def __getitem__(self, number: int) -> Tensor:
        return self._tensors[number]


def to_device(arrays: Sequence[Ints], device: torch.device) -> List[Tensor]:
    """Copy index arrays to the device, all in one go. All copies in this direction pass through here.

    arrays (Sequence[Ints]): The arrays, one axis each.
    device (torch.device): Where to.
    RETURNS (List[Tensor]): The same, int64. On the CPU they share their memory.
    """
    if device.type == "cpu":
        return [torch.from_numpy(numpy.ascontiguousarray(array, dtype="int64")) for array in arrays]
    sizes = [len(array) for array in arrays]
    return list(torch.from_numpy(numpy.concatenate(arrays)).to(device).split(sizes))


def to_host(tensor: Tensor) -> "numpy.ndarray":
    """Copy numbers from the device. All copies in this direction pass through here.

    tensor (Tensor): The numbers.
    RETURNS (ndarray): The same. On the CPU it shares the memory.
    """
    return tensor.cpu().numpy()


class Maxima:
    """A plan for the maxima over stretches of rows, made before the rows are there.

    The arrays that it needs go to the device with those of others.
    """

    def __init__(self, starts: Ints, ends: Ints, n_rows: int, width: int, device: torch.device, indices: Indices):
        """Make the plan.

        starts (Ints): First row of each stretch, shape (n,).
        ends (Ints): Row after the last, not below starts, shape (n,).
        n_rows (int): Number of rows.
        width (int): Numbers in a row.
        device (torch.device): Where the rows are.
        indices (Indices): Where to put index arrays.
        """
        lengths = ends - starts
        empty = numpy.nonzero(lengths == 0)[0]
        self._empty: Optional[int] = indices.add(empty) if len(empty) else None
        self._indices = indices
        # Not all devices can reduce segments.
        self.direct = device.type == "cpu" and int(lengths.sum()) * width <= FEW_NUMBERS
        if self.direct:
            self._lengths = indices.add(lengths)
            self._rows = indices.add(numpy.repeat(starts, lengths) + ranges(lengths))
            return
        # The longest power of two within each stretch. An empty one may point anywhere.
        levels = numpy.maximum(numpy.frexp(lengths)[1] - 1, 0)
        self.n_levels = int(levels.max(initial=0)) + 1
        # All levels lie one after the other; level n has one row for each stretch of 2 ** n rows.
        self._sizes = [n_rows - 2**level + 1 for level in range(self.n_levels)]
        firsts = numpy.cumsum([0, *self._sizes])[levels]
        limit = max(n_rows - 1, 0)
        self._first = indices.add(firsts + numpy.minimum(starts, limit))
        self._second = indices.add(firsts + numpy.clip(ends - 2**levels, 0, limit))

    def take(self, rows: Tensor, empty: float = 0.0) -> Tensor:
        """Carry it out.

        rows (Tensor): Shape (n_rows, width).
        empty (float): The value of an empty stretch.
        RETURNS (Tensor): The maxima, shape (n, width).
        """
        if self.direct:
            stretches = rows.index_select(0, self._indices[self._rows])
            lengths = self._indices[self._lengths]
            maxima = torch.segment_reduce(stretches, "max", lengths=lengths, unsafe=True)
        elif not len(rows):
            return rows.new_full((len(self._indices[self._first]), rows.shape[1]), empty)
        else:
            table = self._table(rows)
            maxima = table.index_select(0, self._indices[self._first])
            if self.n_levels > 1:
                maxima = torch.maximum(maxima, table.index_select(0, self._indices[self._second]))
        return maxima if self._empty is None else maxima.index_fill(0, self._indices[self._empty], empty)

    def _table(self, rows: Tensor) -> Tensor:
        if self.n_levels == 1:
            return rows
        steps = [2**level for level in range(self.n_levels - 1)]
        if rows.requires_grad:
            levels = [rows]
            for step in steps:
                levels.append(torch.maximum(levels[-1][:-step], levels[-1][step:]))
            return torch.cat(levels)
        # Without gradients each level goes where it belongs, which takes half the time.
        table = rows.new_empty(sum(self._sizes), rows.shape[1])
        first, *others = table.split(self._sizes)
        first.copy_(rows)
        for step, last, level in zip(steps, (first, *others), others):
            torch.maximum(last[:-step], last[step:], out=level)
        return table


class Sums:
    """A plan for the sums or means over stretches of rows, in the manner of `Maxima`."""

    def __init__(self, starts: Ints, ends: Ints, mode: Literal["mean", "sum"], indices: Indices):
        """Make the plan.

        starts (Ints): First row of each stretch, shape (n,).
        ends (Ints): Row after the last, not below starts, shape (n,).
        mode (str): "sum" or "mean".
        indices (Indices): Where to put index arrays.
        """
        lengths = ends - starts
        self._mode = mode
        self._indices = indices
        self._rows = indices.add(numpy.repeat(starts, lengths) + ranges(lengths))
        self._offsets = indices.add(numpy.cumsum(lengths) - lengths)

    def take(self, rows: Tensor) -> Tensor:
        """Carry it out.

        rows (Tensor): Shape (n_rows, width).
        RETURNS (Tensor): The sums or means, zeros for an empty stretch, shape (n, width).
        """
        # Stretch by stretch: with running sums one that is not finite would spoil all that come after it.
        return nn.functional.embedding_bag(
            self._indices[self._rows], rows, self._indices[self._offsets], mode=self._mode
        )


def pool_windows(
    tokens: Tensor, counts: Optional[Tensor], max_width: int, pooling: PoolingT, step: int
) -> Iterator[Tuple[int, Tensor]]:
    """Pool all windows of tokens, those of each width from those of the width below.

    tokens (Tensor): The maximum over the wordpieces of each token, or their sum, shape (n_tokens, width).
    counts (Optional[Tensor]): How many they are, which only the mean asks for, shape (n_tokens,).
    max_width (int): Widest window.
    pooling (str): "max", "mean" or "sum".
    step (int): How many widths to pool at a time.
    YIELDS (Tuple[int, Tensor]): The first of these widths - 1, and the vectors by width and first token, shape
        (n_widths, n_tokens, width). Those of windows that reach beyond the last token mean nothing.
    """
    last, totals = tokens, counts
    for first in range(0, max_width, step):
        vectors = tokens.new_empty(min(step, max_width - first), *tokens.shape)
        for width, rows in enumerate(vectors, start=first + 1):
            n = max(len(tokens) - width + 1, 0)
            rows[n:].zero_()
            others, rows = tokens[width - 1 :], rows[:n]
            if pooling == "max":
                last = torch.maximum(last[:n], others, out=rows)
                continue
            last = last[:n] + others if width > 1 else last
            if totals is not None and counts is not None and pooling == "mean":
                totals = totals[:n] + counts[width - 1 :] if width > 1 else totals
                torch.div(last, totals[:, None], out=rows)
            else:
                rows.copy_(last)
        yield first, vectors
