import io
import json
from zlib import crc32

import pytest

from spacy_spert.extraction import stream
from spacy_spert.extraction.stream import START, Done, ResumableOutput, progress_path
from spacy_spert.formats.lines import BEGIN, batch_lines, read_lines

# Lines that give output of different length, or none, also at the end.
INPUT = b"a\nbb\n\n\nccc\n\nd\n\n"
OUTPUT = b"head\n1:a\n2:bb\n5:ccc\n7:d\n"


class Interrupted(Exception):
    pass


def run(path, source=INPUT, *, resume=False, stop=None, n=1, settings=None):
    """Number the lines that are not empty. Stop after some batches."""
    with ResumableOutput(path, settings or {"n": "x"}, resume=resume) as output:
        lines = read_lines(io.BytesIO(source))
        output.skip(lines, "in")
        if output.done == START:
            output.write(b"head\n", BEGIN, {})
        for i, batch in enumerate(batch_lines(lines, n, 100)):
            if i == stop:
                raise Interrupted
            data = b"".join(b"%d:%s" % (line.number, line.raw) for line in batch if line.raw.strip())
            output.write(data, batch[-1], {"lines": len(batch)})
    return output.done


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch):
    """No test takes the disk away, so none has to wait for it."""
    monkeypatch.setattr("os.fsync", lambda number: None)


@pytest.fixture(params=[0.0, 1e9], ids=["commit always", "commit at the end"])
def commit_seconds(request, monkeypatch):
    monkeypatch.setattr(stream, "COMMIT_SECONDS", request.param)


def test_lines():
    lines = list(read_lines(io.BytesIO(b"ab\n\r\nlong one\nx"), limit=8))
    assert [(line.number, line.raw, line.size) for line in lines] == [
        (1, b"ab\n", 3),
        (2, b"\r\n", 2),
        (3, None, 9),
        (4, b"x", 1),
    ]
    assert [line.checksum for line in lines] == [crc32(b"ab\n\r\nlong one\nx"[:n]) for n in (3, 5, 14, 15)]
    assert list(read_lines(io.BytesIO(b""))) == []
    assert [line.raw for line in read_lines(io.BytesIO(b"1234567\n12345678"), limit=8)] == [b"1234567\n", None]


def test_batches_end_by_number_and_by_size():
    lines = list(read_lines(io.BytesIO(b"a\nb\nc\n1234567\nd\ne\n")))
    assert [[line.number for line in batch] for batch in batch_lines(lines, 3, 8)] == [[1, 2, 3], [4], [5, 6]]
    assert [[line.number for line in batch] for batch in batch_lines(lines, 9, 4)] == [[1, 2], [3, 4], [5, 6]]


def test_batch_does_not_wait_for_the_next_line():
    def lines():
        yield from read_lines(io.BytesIO(b"a\nb\n"))
        raise AssertionError("read too far")

    assert [line.raw for line in next(batch_lines(lines(), 2, 100))] == [b"a\n", b"b\n"]


def test_finished(tmp_path):
    path = tmp_path / "new" / "out"
    assert run(path) == Done(8, crc32(INPUT), len(OUTPUT), {"lines": 8})
    assert path.read_bytes() == OUTPUT
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_interrupted_anywhere(tmp_path, commit_seconds, n):
    path = tmp_path / "out"
    for stop in range(8 // n):
        with pytest.raises(Interrupted):
            run(path, stop=stop, n=n)
        assert OUTPUT.startswith(path.read_bytes())
        assert run(path, resume=True, n=n) == Done(8, crc32(INPUT), len(OUTPUT), {"lines": 8})
        assert path.read_bytes() == OUTPUT
        assert not progress_path(path).exists()


def test_interrupted_after_each_batch(tmp_path, commit_seconds):
    path = tmp_path / "out"
    with pytest.raises(Interrupted):
        run(path, stop=0)
    for _ in range(7):
        with pytest.raises(Interrupted):
            run(path, resume=True, stop=1)
    assert run(path, resume=True).counts == {"lines": 8}
    assert path.read_bytes() == OUTPUT


def test_killed_at_any_byte(tmp_path, monkeypatch):
    """Every state of both files that a killed run can leave: any progress, and any number of bytes more."""
    path, states = tmp_path / "out", []
    commit = ResumableOutput._commit
    monkeypatch.setattr(stream, "COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(
        ResumableOutput, "_commit", lambda self: (commit(self), states.append(self.progress.read_bytes()))
    )
    run(path)
    states = list(states)
    sizes = [json.loads(state)["done"]["size"] for state in states]
    assert sizes[0] == 0 and sizes[-1] == len(OUTPUT) and len(states) == 11
    for state, size in zip(states, sizes):
        for cut in range(size, len(OUTPUT) + 1):
            path.write_bytes(OUTPUT[:cut])
            progress_path(path).write_bytes(state)
            # Left by a run that was killed while it wrote its progress.
            (tmp_path / "out.progress.part").write_bytes(state[: len(state) // 2])
            assert run(path, resume=True).counts == {"lines": 8}
            assert path.read_bytes() == OUTPUT
            assert list(tmp_path.iterdir()) == [path]


def test_output_that_was_there_is_no_part_of_it(tmp_path, monkeypatch):
    path = tmp_path / "out"
    path.write_bytes(b"something else, and longer than what comes\n")
    run(path)
    assert path.read_bytes() == OUTPUT
    # Killed after progress was written, and before the file was emptied.
    path.write_bytes(b"something else, and longer than what comes\n")
    progress_path(path).write_text(json.dumps({"settings": {"n": "x"}, "done": START._asdict()}))
    run(path, resume=True)
    assert path.read_bytes() == OUTPUT


def test_input_may_have_grown(tmp_path):
    path = tmp_path / "out"
    with pytest.raises(Interrupted):
        run(path, stop=5)
    run(path, INPUT + b"e\n", resume=True)
    assert path.read_bytes() == OUTPUT + b"9:e\n"


@pytest.mark.parametrize("source", [b"b" + INPUT[1:], b"a\nb", b"", INPUT.replace(b"ccc\n", b"ccc ")])
def test_other_input(tmp_path, source):
    path = tmp_path / "out"
    with pytest.raises(Interrupted):
        run(path, stop=5)
    before = path.read_bytes(), progress_path(path).read_bytes()
    with pytest.raises(ValueError, match="its 5 lines of input that are done are not the first lines of in"):
        run(path, source, resume=True)
    assert (path.read_bytes(), progress_path(path).read_bytes()) == before


def test_other_settings(tmp_path):
    path = tmp_path / "out"
    with pytest.raises(Interrupted):
        run(path, stop=5)
    with pytest.raises(ValueError, match="'n' was 'x' in the interrupted run and is 'y' now"):
        run(path, resume=True, settings={"n": "y"})


def test_files_that_do_not_fit(tmp_path):
    path = tmp_path / "out"
    with pytest.raises(Interrupted):
        run(path, stop=2)
    progress = progress_path(path).read_bytes()
    path.write_bytes(OUTPUT[:13])
    with pytest.raises(ValueError, match="doesn't fit .*out.progress \\(13 bytes of 14\\)"):
        run(path, resume=True)
    path.unlink()
    with pytest.raises(ValueError, match="doesn't fit"):
        run(path, resume=True)
    path.write_bytes(OUTPUT)
    for broken in (progress[:-1], b"", b"[]", b"{}", b'{"settings": {}, "done": {"x": 1}}'):
        progress_path(path).write_bytes(broken)
        with pytest.raises(ValueError, match="doesn't fit"):
            run(path, resume=True)
    assert path.read_bytes() == OUTPUT
