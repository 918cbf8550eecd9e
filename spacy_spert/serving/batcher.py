"""One thread that owns the pipeline, and takes what has arrived as one batch. Knows nothing of the web.

Several threads in one pipeline would give wrong scores, and one text after the other would leave the processor waiting:
while a batch is under way, the texts of other requests gather for the next.
"""

import logging
import threading
import time
from collections import deque
from concurrent.futures import Future
from typing import Any, Callable, Deque, List, Optional, Tuple

from ..extraction.extractor import Extractor

# A batch ends with the record that makes it this many characters, so that long texts take no more memory than short.
MAX_BATCH = 2**17
logger = logging.getLogger("spacy.spert")


class Busy(Exception):
    """As many requests wait as may."""


class Stopped(Exception):
    """The thread has ended, or takes no more requests."""


class _Job:
    """The records of one request, and what was found in them so far."""

    def __init__(self, records: List[Any]) -> None:
        self.records = records
        self.future: Future[List[Any]] = Future()
        self.found: List[Any] = [None] * len(records)
        self.missing = len(records)

    def set(self, i: int, found: Any) -> None:
        self.found[i] = found
        self.missing -= 1
        if not self.missing:
            self.finish()

    def finish(self, error: Optional[Exception] = None) -> None:
        """Hand the result over, unless nobody waits for it any more or it has failed before."""
        if self.future.done() or not self.future.set_running_or_notify_cancel():
            return
        if error is None:
            self.future.set_result(self.found)
        else:
            self.future.set_exception(error)


class Batcher:
    """A queue of requests before one thread that owns the pipeline."""

    def __init__(
        self,
        load: Callable[[], Extractor],
        *,
        batch_size: int,
        max_waiting: int,
        observe: Callable[[int, float], Any] = lambda n, seconds: None,
    ) -> None:
        """Prepare; nothing runs before `start`.

        load (Callable[[], Extractor]): Loads the pipeline; called in the thread, as some settings of thinc and torch
            belong to a thread.
        batch_size (int): Most records of a batch.
        max_waiting (int): Most requests that wait or are under way.
        observe (Callable[[int, float], Any]): Called after each batch with its number of records and its seconds.
        """
        self.batch_size = batch_size
        self.max_waiting = max_waiting
        self._load = load
        self._observe = observe
        self._loaded: Future[Extractor] = Future()
        self._queue: Deque[Tuple[_Job, int]] = deque()
        self._changed = threading.Condition()
        self._waiting = 0
        self._stopping = False
        # A batch that hangs does not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="spert", daemon=True)

    @property
    def waiting(self) -> int:
        """RETURNS (int): How many requests wait or are under way."""
        return self._waiting

    @property
    def running(self) -> bool:
        """RETURNS (bool): Whether the pipeline is loaded and the thread takes requests."""
        return self._loaded.done() and self._thread.is_alive() and not self._stopping

    def start(self) -> Extractor:
        """Start the thread, if it does not run yet, and wait until the pipeline is loaded.

        RETURNS (Extractor): What extracts. Only its settings are to be read outside the thread.
        RAISES (Exception): What loading raised.
        """
        if self._thread.ident is None:
            self._thread.start()
        return self._loaded.result()

    def submit(self, records: List[Any]) -> "Future[List[Any]]":
        """Queue the records of a request. If the future is cancelled, those that are not under way are passed over.

        records (List[Any]): The records.
        RETURNS (Future[List[Any]]): What `Extractor.batch` returns for them.
        RAISES (Busy): If too many requests wait.
        RAISES (Stopped): If the thread takes no more.
        """
        job = _Job(records)
        if not records:
            job.finish()
            return job.future
        with self._changed:
            if not self.running:
                raise Stopped
            if self._waiting >= self.max_waiting:
                raise Busy
            self._waiting += 1
            self._queue.extend((job, i) for i in range(len(records)))
            self._changed.notify()
        job.future.add_done_callback(self._leave)
        return job.future

    def stop(self, timeout: Optional[float] = None) -> None:
        """Take no more requests, finish those that wait, and end the thread.

        timeout (Optional[float]): Most seconds to wait for that.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout)

    def _leave(self, future: "Future[List[Any]]") -> None:
        with self._changed:
            self._waiting -= 1

    def _run(self) -> None:
        try:
            extractor = self._load()
        except BaseException as err:
            self._loaded.set_exception(err)
            return
        self._loaded.set_result(extractor)
        while batch := self._take():
            start = time.perf_counter()
            try:
                found = extractor.batch([job.records[i] for job, i in batch])
            except Exception as err:
                # Errors of texts are results. This one is ours, and must not keep others from being served.
                logger.exception("A batch of %d texts failed", len(batch))
                for job, _ in batch:
                    job.finish(err)
                continue
            # First, so that who has an answer finds it counted.
            self._observe(len(batch), time.perf_counter() - start)
            for (job, i), each in zip(batch, found):
                job.set(i, each)

    def _take(self) -> List[Tuple[_Job, int]]:
        """Wait for records, and take as many as a batch may have; none at the end."""
        batch: List[Tuple[_Job, int]] = []
        size = 0
        with self._changed:
            while not batch:
                self._changed.wait_for(lambda: self._queue or self._stopping)
                if not self._queue:
                    break
                while self._queue and len(batch) < self.batch_size and size < MAX_BATCH:
                    job, i = self._queue.popleft()
                    if not job.future.done():
                        batch.append((job, i))
                        size += count_characters(job.records[i])
        return batch


def count_characters(record: Any) -> int:
    """RETURNS (int): How many characters the text or the tokens of a record have; 0 if there are none."""
    if not isinstance(record, dict):
        return 0
    tokens = record.get("tokens")
    texts = [record.get("text"), *(tokens if isinstance(tokens, list) else ())]
    return sum(len(text) for text in texts if isinstance(text, str))
