"""Where files are written: what is no regular file is never replaced."""

import os
import stat
import threading

import forked
import pytest

from spacy_spert.formats.files import open_whole


def test_a_device_stays_a_device(tmp_path):
    """Replacing it needs root, or a folder of our own: here a device that a link leads to."""
    link = tmp_path / "null"
    link.symlink_to("/dev/null")
    for path in ("/dev/null", link):
        with open_whole(path) as file_:
            file_.write("x")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode) and link.is_symlink()
    assert [path.name for path in tmp_path.iterdir()] == ["null"]


@pytest.mark.parametrize("mode,data", [("w", "Ä\n"), ("wb", b"\xc3\x84\n")])
def test_a_pipe_is_written_to(tmp_path, mode, data):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    thread = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    thread.start()
    with open_whole(pipe, mode) as file_:
        file_.write(data)
    thread.join(timeout=10)
    assert read == [b"\xc3\x84\n"] and pipe.is_fifo()


@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
def test_stdout(name):
    """Nothing of it is written if not all could be made."""
    code = f"""
from spacy_spert.formats.files import open_whole
with open_whole({name!r}) as file_:
    file_.write("Ä")
try:
    with open_whole({name!r}) as file_:
        file_.write("half")
        raise KeyError
except KeyError:
    pass
"""
    assert forked.run(["-c", code], check=True).stdout == "Ä".encode()


def test_closed_stdout():
    code = "from spacy_spert.formats.files import open_whole\nwith open_whole('-') as f: f.write('x')"
    assert b"[S083] stdout is closed" in forked.run(["-c", code], stdout=forked.CLOSED).stderr


def test_stdout_in_a_file_stays_that_file(tmp_path):
    """A shell opened it, and goes on writing to it."""
    path = tmp_path / "out"
    code = "from spacy_spert.formats.files import open_whole\nwith open_whole('/dev/stdout') as f: f.write('x')"
    with path.open("wb") as file_:
        before = os.fstat(file_.fileno()).st_ino
        forked.run(["-c", code], stdout=file_, check=True)
    assert path.read_bytes() == b"x" and path.stat().st_ino == before


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is a folder. Give the name of a file."), open_whole(tmp_path):
        pass


def test_a_link_to_nothing_is_refused(tmp_path):
    """/dev/stdout is one where stdout is closed; a file would take its place."""
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nothing")
    with pytest.raises(ValueError, match="neither a file nor a pipe"), open_whole(link):
        pass
    assert link.is_symlink() and list(tmp_path.iterdir()) == [link]
