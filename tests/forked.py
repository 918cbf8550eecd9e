"""Programs that start at once: forked from a process that has imported what takes seconds, but not this package."""

import multiprocessing
import os
import resource
import runpy
import signal
import subprocess
import sys
import tempfile
from multiprocessing.connection import Connection
from typing import IO, Any, List, Optional, Sequence, Union

CLOSED = "closed"
# What a file descriptor becomes: that of a file, that of `subprocess.DEVNULL`, none at all, or (None) the server's.
Stream = Union[IO[Any], int, str, None]

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["spacy.cli", "spacy_transformers"])


def start(
    arguments: Sequence[Any],
    stdin: Stream = None,
    stdout: Stream = None,
    stderr: Stream = None,
    max_file_size: Optional[int] = None,
) -> Any:
    """Run `python ARGUMENTS` in a session of its own: `-m MODULE ...` or `-c CODE ...`.

    RETURNS (Process): The process, with `pid`, `exitcode`, `join(timeout)` and `kill()`.
    """
    streams: List[Any] = [stdin, stdout, stderr]
    for i, stream in enumerate(streams):
        # A connection can be sent to another process, and is closed with this list.
        if stream == subprocess.DEVNULL:
            streams[i] = Connection(os.open(os.devnull, os.O_RDWR))
        elif stream is not None and stream != CLOSED:
            streams[i] = Connection(os.dup(stream if isinstance(stream, int) else stream.fileno()))
    process = _CONTEXT.Process(target=_enter, args=([*map(str, arguments)], streams, max_file_size))
    process.start()
    return process


def run(
    arguments: Sequence[Any],
    *,
    input: bytes = b"",
    stdin: Stream = None,
    stdout: Stream = None,
    check: bool = False,
    **settings: Any,
) -> "subprocess.CompletedProcess[bytes]":
    """Like `subprocess.run` with `capture_output`. Input, output and messages go through files, if not given."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as written, tempfile.TemporaryFile() as messages:
        given.write(input)
        given.seek(0)
        process = start(arguments, stdin or given, stdout or written, settings.pop("stderr", messages), **settings)
        process.join(300)
        assert process.exitcode is not None, "it has not ended"
        found: List[bytes] = []
        for file_ in (written, messages):
            file_.seek(0)
            found.append(file_.read())
        done = subprocess.CompletedProcess(arguments, process.exitcode, *found)
        if check:
            done.check_returncode()
        return done


def popen(command: Sequence[Any], **streams: Stream) -> Any:
    """Like `subprocess.Popen`, of what other code starts with it."""
    assert command[0] == sys.executable
    process = start(command[1:], **streams)
    process.poll = lambda: process.exitcode
    process.wait = process.join
    return process


def _enter(arguments: List[str], streams: List[Any], max_file_size: Optional[int]) -> None:
    os.setsid()
    # Its own children are made as elsewhere.
    multiprocessing.set_start_method(None, force=True)  # type: ignore[arg-type]
    for number, stream in enumerate(streams):
        if stream == CLOSED:
            os.close(number)
        elif stream is not None:
            os.dup2(stream.fileno(), number)
            stream.close()
    sys.stdin, sys.stdout, sys.stderr = (
        None if stream == CLOSED else open(number, mode, closefd=False)  # noqa: SIM115
        for number, (stream, mode) in enumerate(zip(streams, "rww"))
    )
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if max_file_size is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_size, max_file_size))
    option, program, *others = arguments
    sys.argv = [option if option == "-c" else program, *others]
    if option == "-m":
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})
