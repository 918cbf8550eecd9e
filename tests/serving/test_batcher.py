"""The queue before the pipeline, without the web."""

import threading

import pytest

from spacy_spert.serving import batcher as module
from spacy_spert.serving.batcher import Batcher, Busy, Stopped, count_characters


class Doubles:
    """Stands for an extractor: what matters here is who calls it, and with what."""

    def __init__(self):
        self.batches = []
        self.threads = set()
        self.started = threading.Event()
        self.go_on = threading.Event()

    def batch(self, records):
        self.batches.append(list(records))
        self.threads.add(threading.get_ident())
        self.started.set()
        assert self.go_on.wait(60)
        if "fail" in records:
            raise RuntimeError("no such batch")
        return [2 * record for record in records]


@pytest.fixture
def extractor():
    return Doubles()


@pytest.fixture
def make(extractor):
    made = []

    def make(**settings):
        made.append(Batcher(lambda: extractor, **{"batch_size": 4, "max_waiting": 100, **settings}))
        assert made[-1].start() is extractor
        return made[-1]

    yield make
    extractor.go_on.set()
    for batcher in made:
        batcher.stop(60)


def hold(batcher, extractor):
    """Let a first batch begin, so that what follows has to wait."""
    first = batcher.submit([1])
    assert extractor.started.wait(60)
    return first


def test_what_has_arrived_meanwhile_is_one_batch(make, extractor):
    seen = []
    batcher = make(observe=lambda n, seconds: seen.append(n))
    futures = [hold(batcher, extractor), *(batcher.submit(records) for records in ([2, 3], [4], [], [5, 6, 7, 8]))]
    assert batcher.waiting == 4
    extractor.go_on.set()
    assert [future.result(60) for future in futures] == [[2], [4, 6], [8], [], [10, 12, 14, 16]]
    # A request that does not fit is divided.
    assert extractor.batches == [[1], [2, 3, 4, 5], [6, 7, 8]] and seen == [1, 4, 3]
    assert len(extractor.threads) == 1 and threading.get_ident() not in extractor.threads
    assert batcher.waiting == 0


def test_long_texts_make_small_batches(make, extractor, monkeypatch):
    monkeypatch.setattr(module, "count_characters", lambda record: record)
    monkeypatch.setattr(module, "MAX_BATCH", 100)
    batcher = make()
    futures = [hold(batcher, extractor), batcher.submit([50, 49, 1, 1000, 3])]
    extractor.go_on.set()
    assert futures[1].result(60) == [100, 98, 2, 2000, 6]
    assert extractor.batches == [[1], [50, 49, 1], [1000], [3]]


def test_no_more_than_may_wait(make, extractor):
    batcher = make(max_waiting=2)
    first = hold(batcher, extractor)
    second = batcher.submit([2])
    with pytest.raises(Busy):
        batcher.submit([3])
    extractor.go_on.set()
    assert first.result(60) == [2] and second.result(60) == [4]
    assert batcher.submit([3]).result(60) == [6]


def test_what_nobody_waits_for_is_passed_over(make, extractor):
    batcher = make(max_waiting=2)
    first = hold(batcher, extractor)
    assert batcher.submit([2, 3]).cancel()
    assert batcher.waiting == 1
    third = batcher.submit([4])
    # The one that is under way is finished for nothing.
    assert first.cancel()
    extractor.go_on.set()
    assert third.result(60) == [8]
    assert extractor.batches == [[1], [4]]


def test_a_batch_that_fails_does_not_stop_the_others(make, extractor, caplog):
    batcher = make(batch_size=2)
    hold(batcher, extractor)
    futures = [batcher.submit(["fail", 2, 3]), batcher.submit([4])]
    extractor.go_on.set()
    with pytest.raises(RuntimeError, match="no such batch"):
        futures[0].result(60)
    assert futures[1].result(60) == [8]
    assert "A batch of 2 texts failed" in caplog.text


def test_stopping_finishes_what_waits(make, extractor):
    batcher = make()
    futures = [hold(batcher, extractor), batcher.submit([2] * 9)]
    stopping = threading.Thread(target=batcher.stop)
    stopping.start()
    while batcher.running:
        pass
    with pytest.raises(Stopped):
        batcher.submit([3])
    extractor.go_on.set()
    stopping.join(60)
    assert not stopping.is_alive() and [len(future.result(0)) for future in futures] == [1, 9]


def test_pipeline_that_can_not_be_loaded():
    def load():
        raise ValueError("no such pipeline")

    batcher = Batcher(load, batch_size=1, max_waiting=1)
    with pytest.raises(Stopped):
        batcher.submit([1])
    for _ in range(2):
        with pytest.raises(ValueError, match="no such pipeline"):
            batcher.start()
    assert not batcher.running
    batcher.stop()


def test_characters():
    values = [{"text": "abc"}, {"tokens": ["ab", 1, "c"]}, {"text": None}, {"tokens": 7}, {}, [], "abcd"]
    assert [count_characters(value) for value in values] == [3, 3, 0, 0, 0, 0, 0]
