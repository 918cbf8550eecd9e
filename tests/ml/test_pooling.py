"""Maxima, sums and means of stretches and windows against the plain formula."""

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_spert.ml import pooling
from spacy_spert.ml.pooling import Indices, Maxima, Sums, pool_windows, to_device, to_host

CPU = torch.device("cpu")
STRETCHES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)).map(sorted), min_size=1, max_size=12)


@pytest.fixture(scope="module", autouse=True, params=["table", "directly"])
def maxima(request):
    """Everything here is so small that it would only ever be done directly."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "table":
            patch.setattr(pooling, "FEW_NUMBERS", -1)
        yield request.param


def make_rows(n_rows, width=3):
    return torch.randn(n_rows, width, generator=torch.Generator().manual_seed(n_rows)) - 2.0


def take_maxima(rows, starts, ends, empty=0.0):
    indices = Indices()
    plan = Maxima(numpy.asarray(starts), numpy.asarray(ends), len(rows), rows.shape[1], CPU, indices)
    indices.upload(CPU)
    return plan.take(rows, empty)


def take_sums(rows, starts, ends, mode):
    indices = Indices()
    plan = Sums(numpy.asarray(starts), numpy.asarray(ends), mode, indices)
    indices.upload(CPU)
    return plan.take(rows)


@given(STRETCHES, st.sampled_from([0.0, -torch.inf]))
@settings(deadline=None, max_examples=40)
def test_maxima_and_their_gradients_equal_naive_ones(stretches, empty):
    starts, ends = numpy.asarray(stretches).T
    rows, naive_rows = make_rows(40).requires_grad_(), make_rows(40).requires_grad_()
    nothing = 0.0 * naive_rows[0] + empty
    naive = torch.stack([naive_rows[start:end].amax(dim=0) if end > start else nothing for start, end in stretches])
    assert torch.equal(take_maxima(rows.detach(), starts, ends, empty), naive)
    maxima = take_maxima(rows, starts, ends, empty)
    assert torch.equal(maxima, naive)
    weights = make_rows(len(stretches))
    (maxima * weights).nansum().backward()
    (naive * weights).nansum().backward()
    torch.testing.assert_close(rows.grad, naive_rows.grad)


@given(STRETCHES, st.sampled_from(["sum", "mean"]))
@settings(deadline=None, max_examples=40)
def test_sums_equal_naive_ones(stretches, mode):
    starts, ends = numpy.asarray(stretches).T
    rows = make_rows(40)
    nothing = torch.zeros_like(rows[0])
    expected = [getattr(rows[start:end], mode)(dim=0) if end > start else nothing for start, end in stretches]
    torch.testing.assert_close(take_sums(rows, starts, ends, mode), torch.stack(expected))


def test_nothing_to_pool():
    nothing = numpy.zeros(0, dtype="int64")
    assert take_maxima(torch.ones(4, 3), nothing, nothing).shape == (0, 3)
    assert take_sums(torch.ones(4, 3), nothing, nothing, "mean").shape == (0, 3)


def test_no_rows():
    zeros = numpy.zeros(2, dtype="int64")
    assert torch.equal(take_maxima(torch.ones(0, 3), zeros, zeros), torch.zeros(2, 3))
    assert torch.equal(take_sums(torch.ones(0, 3), zeros, zeros, "sum"), torch.zeros(2, 3))


def test_few_numbers_need_no_table(monkeypatch):
    monkeypatch.setattr(pooling, "FEW_NUMBERS", 24)
    few = Maxima(numpy.asarray([0]), numpy.asarray([3]), 20, 8, CPU, Indices())
    many = Maxima(numpy.asarray([0, 2]), numpy.asarray([3, 4]), 20, 8, CPU, Indices())
    assert few.direct and not many.direct
    assert many.n_levels == 2


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_what_is_not_finite_spoils_no_other_stretch(mode):
    rows = torch.ones(6, 2)
    rows[1] = torch.nan
    take = take_maxima if mode == "max" else lambda *args: take_sums(*args, mode)
    found = take(rows, [0, 2, 4], [2, 4, 6])
    assert found.isnan().all(dim=1).tolist() == [True, False, False]


@pytest.mark.parametrize("mode", ["mean", "sum"])
def test_sums_stay_exact_behind_large_numbers(mode):
    """A small span must not lose its digits because of what stands before it."""
    rows = torch.cat([torch.full((5000, 2), 1e5), torch.full((4, 2), 0.125)])
    assert take_sums(rows, [5001], [5003], mode).tolist() == [[0.25 if mode == "sum" else 0.125] * 2]


@pytest.mark.parametrize("mode", ["max", "mean", "sum"])
@given(st.lists(st.integers(1, 3), min_size=1, max_size=10), st.integers(1, 8), st.integers(1, 5))
@settings(deadline=None, max_examples=30)
def test_windows_equal_pooled_stretches(mode, counts, max_width, step):
    offsets = numpy.cumsum([0, *counts])
    rows = make_rows(int(offsets[-1])).double()
    single = take_maxima if mode == "max" else lambda *args: take_sums(*args, "sum")
    tokens = single(rows, offsets[:-1], offsets[1:])
    widths = []
    for first, group in pool_windows(tokens, torch.tensor(counts), max_width, mode, step):
        assert group.shape == (min(step, max_width - first), len(counts), 3)
        for width, vectors in enumerate(group, start=first + 1):
            widths.append(width)
            for start in range(len(counts) - width + 1):
                pieces = rows[offsets[start] : offsets[start + width]]
                expected = pieces.amax(dim=0) if mode == "max" else getattr(pieces, mode)(dim=0)
                torch.testing.assert_close(vectors[start], expected)
    assert widths == list(range(1, max_width + 1))


def test_indices_travel_together():
    arrays = [numpy.arange(3), numpy.zeros(0, dtype="int64"), numpy.asarray([7, 5])]
    indices = Indices()
    numbers = [indices.add(array) for array in arrays]
    indices.upload(torch.device("meta"))
    assert [len(indices[number]) for number in numbers] == [3, 0, 2]
    assert [to_host(tensor).tolist() for tensor in to_device(arrays, CPU)] == [[0, 1, 2], [], [7, 5]]
