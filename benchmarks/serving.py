"""`spacy spert serve` under the requests of many clients: batches over one by one, and its memory in the long run.

Server and clients share the processor, as on one machine.
"""

import json
import random
import socket
import string
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.client import HTTPConnection
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Iterable, Iterator, List

import spacy

from .measure import Spread
from .pipelines import Setup, read_docs, trained_nlp
from .report import Result, Target, bars

RATE = "Service: requests a second, one text a request"
MEMORY = "Service: memory by the number of requests, in MB"
CLIENTS = 16
# One by one, and as many as the command takes by default.
BATCH_SIZES = (1, 32)
N_REQUESTS = 480
# All of them with texts of their own. What comes first fills caches, and is left out.
N_DISTINCT = (5_000, 100_000)
# The long run ends here, however far it is.
MAX_SECONDS = 1200.0
# At least 2.5 times as many.
TARGET_RATE, TARGET_MEMORY = 0.4, 1.02


def measure(setup: Setup) -> Result:
    """Ask servers.

    setup (Setup): The setup.
    RETURNS (Result): The result.
    """
    result = Result({RATE: [], MEMORY: []})
    with TemporaryDirectory() as folder:
        trained_nlp(setup, setup.encoder).to_disk(f"{folder}/small")
        # Its memory is that of any pipeline, and it has more texts behind it sooner.
        trained_nlp(setup).to_disk(f"{folder}/tok2vec")
        _measure_rate(result, setup, Path(folder) / "small")
        _measure_memory(result, setup, Path(folder) / "tok2vec")
    return result


def _measure_rate(result: Result, setup: Setup, model: Path) -> None:
    texts = [doc.text for doc in read_docs(spacy.blank("en"), setup.data)]
    n = 2 * CLIENTS if setup.quick else N_REQUESTS
    with (
        serving(model, BATCH_SIZES[0], setup.gpu_id) as single,
        serving(model, BATCH_SIZES[1], setup.gpu_id) as batching,
    ):
        values: List[List[float]] = [[], []]
        for server in (single, batching):
            ask(server, islice(cycle(texts), CLIENTS))
        for _ in range(setup.repeats):
            for server, rates in zip((single, batching), values):
                start = time.perf_counter()
                ask(server, islice(cycle(texts), n))
                rates.append(n / (time.perf_counter() - start))
    rates = [Spread(each) for each in values]
    ratio = rates[0] / rates[1]
    for size, rate in zip(BATCH_SIZES, rates):
        result.tables[RATE].append({"texts of a batch at most": size, "clients": CLIENTS, "requests a second": rate})
    what = f"requests a second of the service with {CLIENTS} clients: one by one over batches"
    result.targets.append(Target(what, ratio, TARGET_RATE))


def _measure_memory(result: Result, setup: Setup, model: Path) -> None:
    steps = (CLIENTS, 2 * CLIENTS) if setup.quick else N_DISTINCT
    texts = distinct_texts()
    deadline = time.monotonic() + MAX_SECONDS
    done = 0
    with serving(model, BATCH_SIZES[1], setup.gpu_id) as server:
        for step in steps:
            # In parts, to end in time.
            while done < step and time.monotonic() < deadline:
                part = min(1000, step - done)
                ask(server, islice(texts, part))
                done += part
            result.tables[MEMORY].append({"requests": done, "MB": server.memory()})
    first, last = (row["MB"] for row in result.tables[MEMORY])
    what = f"memory of the service after {done} requests over that after {steps[0]}"
    result.targets.append(Target(what, Spread([last / first]), TARGET_MEMORY))


class Server:
    """A running service.

    port (int): Where it listens.
    process (Popen): Its process.
    """

    def __init__(self, model: Path, batch_size: int, gpu_id: int) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [sys.executable, "-m", "spacy", "spert", "serve", model, "--port", self.port, "--gpu-id", gpu_id]
        options = ["--batch-size", batch_size, "--max-waiting", 4 * CLIENTS]
        self.process = subprocess.Popen(
            [*map(str, [*command, *options])], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"The service ended with {self.process.returncode}")
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def memory(self) -> float:
        """RETURNS (float): What the process holds, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1000


@contextmanager
def serving(model: Path, batch_size: int, gpu_id: int) -> Iterator[Server]:
    """Run the service.

    model (Path): The pipeline.
    batch_size (int): Most texts of a batch.
    gpu_id (int): The GPU, or -1 for the CPU.
    YIELDS (Server): The service, as long as the context is open.
    """
    server = Server(model, batch_size, gpu_id)
    try:
        while not server.is_ready():
            time.sleep(0.1)
        yield server
    finally:
        server.process.terminate()
        server.process.wait()


def ask(server: Server, texts: Iterable[str]) -> None:
    """Let all clients ask until there are no more texts, each one after its last answer.

    server (Server): The service.
    texts (Iterable[str]): The texts, one for each request.
    """
    lock, source = threading.Lock(), iter(texts)
    errors: List[Exception] = []

    def client() -> None:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=120)
        try:
            while True:
                with lock:
                    text = next(source, None)
                if text is None:
                    return
                connection.request("POST", "/extract", json.dumps({"texts": [text]}))
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != 200:
                    raise RuntimeError(f"{answer.status}: {body!r}")
        except Exception as err:
            errors.append(err)
        finally:
            connection.close()

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def distinct_texts() -> Iterator[str]:
    """YIELDS (str): Short texts without end, of words that hardly occur twice."""
    rng = random.Random(0)

    def word() -> str:
        return "".join(rng.choices(string.ascii_lowercase, k=rng.randint(4, 10)))

    while True:
        names = [word().title() for _ in range(4)]
        yield "{} {} works for {} in {}".format(*names) + "".join(f" {word()}" for _ in range(8)) + "."


def draw(result: Result, figure: Any) -> None:
    """Draw the rates."""
    axes = figure.subplots()
    rows = result.tables[RATE]
    bars(axes, ["one by one", "batches"], [row["requests a second"] for row in rows])
    axes.set(ylabel="requests a second", ylim=(0, None))
