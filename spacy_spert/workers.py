"""Threads in worker processes."""

import sys
from multiprocessing.util import register_after_fork
from typing import Any


def one_thread_in_workers(pipe: Any) -> None:
    """Give the workers that multiprocessing forks one thread of torch each, such as those of `nlp.pipe(n_process=2)`.

    The threads of torch don't survive a fork, and a worker that counts on them waits forever; one thread a worker is
    what several processes ask for anyway. Other children of the process keep theirs.

    pipe (Any): A component. When it is gone, workers are left alone.
    """
    # multiprocessing runs its own hooks in its own children only, unlike those of the os module.
    register_after_fork(pipe, _limit_threads)


def _limit_threads(pipe: Any) -> None:
    # A process that has not used torch so far has no threads of it either.
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
