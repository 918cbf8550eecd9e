"""Time and memory of pieces of code.

Time is compared in one process: the tasks take turns on the same small inputs, so that whatever else the machine does
falls on all of them. Memory is what torch's allocator and Python report, not the size of the process, which depends on
what ran before.
"""

import gc
import statistics
import time
import tracemalloc
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Sequence, Tuple

import torch
from torch.profiler import ProfilerActivity, profile


@dataclass(frozen=True)
class Spread:
    """A figure that was measured several times.

    values (List[float]): One for each time.
    """

    values: List[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def __str__(self) -> str:
        return f"{number(self.median)} ({number(min(self.values))} - {number(max(self.values))})"

    def __truediv__(self, other: "Spread") -> "Spread":
        return Spread([one / two for one, two in zip(self.values, other.values)])

    def scale(self, factor: float) -> "Spread":
        return Spread([value * factor for value in self.values])


def number(value: float) -> str:
    """RETURNS (str): Three digits, or more before the point."""
    return f"{value:.0f}" if abs(value) >= 1000 or isinstance(value, int) else f"{value:#.3g}"


class Times(NamedTuple):
    """Seconds that a task took for all inputs, once for each repetition.

    wall (Spread): By the clock.
    cpu (Spread): Of the processor, in all threads. Less exact, but hardly disturbed by other programs.
    """

    wall: Spread
    cpu: Spread


def now() -> float:
    """RETURNS (float): The time in seconds, when everything that a GPU was asked to do is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def compare(
    tasks: Dict[str, Callable[[Any], Any]],
    inputs: Sequence[Any],
    repeats: int,
    prepare: Callable[[Any], Any] = lambda item: item,
) -> Dict[str, Times]:
    """Let tasks take turns, input by input.

    tasks (Dict[str, Callable[[Any], Any]]): Functions of one input.
    inputs (Sequence[Any]): Each is small, so that the tasks alternate often.
    repeats (int): How many times to go through all inputs, after the first one was done to warm up.
    prepare (Callable[[Any], Any]): Makes a fresh input for each call, outside of the measured time.
    RETURNS (Dict[str, Times]): The times of each task.
    """
    order = list(tasks)
    wall: Dict[str, List[float]] = {name: [] for name in tasks}
    cpu: Dict[str, List[float]] = {name: [] for name in tasks}
    for task in tasks.values():
        task(prepare(inputs[0]))
    for _ in range(repeats):
        gc.collect()
        for name in tasks:
            wall[name].append(0.0)
            cpu[name].append(0.0)
        for item in inputs:
            for name in order:
                fresh = prepare(item)
                start, cpu_start = now(), time.process_time()
                tasks[name](fresh)
                wall[name][-1] += now() - start
                cpu[name][-1] += time.process_time() - cpu_start
            order.append(order.pop(0))
    return {name: Times(Spread(wall[name]), Spread(cpu[name])) for name in tasks}


class Stopwatch:
    """Adds up the time of the parts of a program. A part that runs within another is not counted in that one."""

    def __init__(self) -> None:
        self.seconds: Dict[str, float] = Counter()
        self._inner: List[float] = []

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what is done within under a name.

        name (str): The name.
        """
        start = now()
        self._inner.append(0.0)
        yield
        elapsed = now() - start
        self.seconds[name] += elapsed - self._inner.pop()
        if self._inner:
            self._inner[-1] += elapsed

    def wrap(self, name: str, function: Callable) -> Callable:
        """RETURNS (Callable): The function, and whenever it is called its time is counted under the name."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.part(name):
                return function(*args, **kwargs)

        return timed

    @contextmanager
    def watch(self, places: Sequence[Tuple[str, Any, str]]) -> Iterator[None]:
        """Count what some methods do, as long as the context is open.

        places (Sequence[Tuple[str, Any, str]]): Name of the part, object (or module) and name of its method.
        """
        before = [(owner, method, vars(owner).get(method)) for _, owner, method in places]
        for name, owner, method in places:
            setattr(owner, method, self.wrap(name, getattr(owner, method)))
        yield
        for owner, method, own in before:
            if own is None:
                delattr(owner, method)
            else:
                setattr(owner, method, own)

    def shares(self, whole: str) -> Dict[str, float]:
        """RETURNS (Dict[str, float]): Percentages of the time of all parts; `whole` is called "other"."""
        total = sum(self.seconds.values())
        shares = {name: 100 * seconds / total for name, seconds in self.seconds.items() if name != whole}
        return {**shares, "other": 100 * self.seconds[whole] / total}


def peak_memory(function: Callable[[], Any]) -> float:
    """The most memory that a function holds at a time, above what was held before.

    Every allocation of torch is recorded, temporary ones inside of its functions too (on a GPU by its allocator), and
    those of Python and numpy by tracemalloc. The peaks are added, as if they came at the same time: an upper bound.

    function (Callable[[], Any]): The function.
    RETURNS (float): Bytes.
    """
    gc.collect()
    tracemalloc.start()
    uses_gpu = torch.cuda.is_available()
    held = torch.cuda.memory_allocated() if uses_gpu else 0
    if uses_gpu:
        torch.cuda.reset_peak_memory_stats()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        function()
        _, python_peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    events = recorded.profiler.kineto_results.events()
    changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
    live = peak = 0
    for _, n_bytes in changes:
        live += n_bytes
        peak = max(peak, live)
    gpu_peak = torch.cuda.max_memory_allocated() - held if uses_gpu else 0
    return peak + gpu_peak + python_peak - before
