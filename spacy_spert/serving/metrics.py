"""What the service counts, for Prometheus."""

from functools import partial
from typing import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
RECORDS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters of one service. Names begin with `spert_`, but for those of the process."""

    def __init__(self, waiting: Callable[[], int]) -> None:
        """Make them.

        waiting (Callable[[], int]): Returns how many requests wait.
        """
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        counter, histogram = partial(Counter, registry=self.registry), partial(Histogram, registry=self.registry)
        self.requests = counter("spert_requests", "Requests by path and status", ["path", "status"])
        self.seconds = histogram("spert_request_seconds", "Time to answer a request", ["path"], buckets=SECONDS)
        self.texts = counter("spert_texts", "Texts by what became of them", ["outcome"])
        self.batches = histogram("spert_batch_texts", "Texts of a batch", buckets=RECORDS)
        self.batch_seconds = histogram("spert_batch_seconds", "Time of a batch", buckets=SECONDS)
        gauge = Gauge("spert_waiting_requests", "Requests that wait or are under way", registry=self.registry)
        gauge.set_function(waiting)

    def observe_batch(self, n: int, seconds: float) -> None:
        """Count a batch.

        n (int): Its number of texts.
        seconds (float): How long it took.
        """
        self.batches.observe(n)
        self.batch_seconds.observe(seconds)

    def text(self) -> bytes:
        """RETURNS (bytes): All of them, in the text format of Prometheus."""
        return generate_latest(self.registry)
