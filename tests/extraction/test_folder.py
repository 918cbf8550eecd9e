"""Many files in, a folder of files out: which files are read, in which pieces, and when a run can be gone on with."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spacy_spert.extraction.folder import (
    JOB,
    OutputFolder,
    Source,
    common_types,
    find_sources,
    is_unfinished,
    read_pieces,
    write_records,
)
from spacy_spert.extraction.parquet import make_schema

SETTINGS = {"model": "m", "checksum": "1"}


@pytest.fixture
def texts(tmp_path):
    """A folder of files, in which some are not to be read."""
    path = tmp_path / "texts"
    (path / "below" / "_hidden").mkdir(parents=True)
    (path / "b.txt").write_text("Ann\nBob\n")
    (path / "below" / "a.jsonl").write_text('{"text": "Ann"}\n')
    with gzip.open(path / "c.jsonl.gz", "wt") as file_:
        file_.write('{"text": "Eve"}\n')
    for name in ("notes.md", "_SUCCESS", ".x.txt", "below/_hidden/d.txt", "txt"):
        (path / name).write_text("no")
    return path


def names(sources, path):
    return [(source.path.removeprefix(f"{path}/"), source.format) for source in sources]


class TestSources:
    def test_folder(self, texts):
        expected = [("b.txt", "txt"), ("below/a.jsonl", "jsonl"), ("c.jsonl.gz", "jsonl")]
        assert names(find_sources(str(texts)), texts) == expected

    def test_pattern_and_file(self, texts):
        assert names(find_sources(f"{texts}/*.jsonl.gz"), texts) == [("c.jsonl.gz", "jsonl")]
        assert find_sources(f"{texts}/b.txt") == [Source(f"{texts}/b.txt", "txt", 8)]
        assert names(find_sources(f"{texts}/**/*.md", "txt"), texts) == [("notes.md", "txt")]

    def test_nothing_to_read(self, texts):
        with pytest.raises(ValueError, match=r"\[S178\] There is no file to read at .*\*\.csv"):
            find_sources(f"{texts}/*.csv")
        with pytest.raises(FileNotFoundError):
            find_sources(f"{texts}/nothing.txt")
        with pytest.raises(ValueError, match=r"\[S060\].*notes.md"):
            find_sources(f"{texts}/notes.md")

    def test_types_that_all_files_have(self, tmp_path):
        for name, kind in (("a", pa.int64()), ("b", pa.int64()), ("c", pa.string())):
            meta = pa.array([{"n": 1}])
            pq.write_table(
                pa.table({"text": ["x"], "id": pa.array([None], kind), "meta": meta}), tmp_path / f"{name}.parquet"
            )
        sources = find_sources(str(tmp_path))
        assert common_types(sources[:2]) == {"id": pa.int64(), "meta": pa.struct({"n": pa.int64()})}
        assert common_types(sources) == {"meta": pa.struct({"n": pa.int64()})}
        (tmp_path / "d.jsonl").write_text("")
        assert common_types(find_sources(str(tmp_path))) == {}


class TestPieces:
    def test_lines(self, texts):
        source = Source(str(texts / "b.txt"), "txt", 0)
        (texts / "b.txt").write_text("a\nb\nc\n")
        first, second = read_pieces(7, source, max_lines=2)
        assert first == ("part-00007-000000000001", source.path, "txt", [1, 2], [b"a\n", b"b\n"], None)
        assert second == ("part-00007-000000000003", source.path, "txt", [3], [b"c\n"], None)
        assert list(read_pieces(7, source, {first.name}, 2)) == [second]

    def test_gzip_and_parquet(self, texts, tmp_path):
        (piece,) = read_pieces(0, Source(str(texts / "c.jsonl.gz"), "jsonl", 0))
        assert piece.lines == [b'{"text": "Eve"}\n']
        pq.write_table(pa.table({"text": ["Ann", "Bob"], "id": [1, 2]}), tmp_path / "in.parquet")
        (piece,) = read_pieces(0, Source(str(tmp_path / "in.parquet"), "parquet", 0))
        assert [json.loads(line) for line in piece.lines] == [{"id": 1, "text": "Ann"}, {"id": 2, "text": "Bob"}]

    def test_file_that_breaks_off(self, texts):
        """What could be read is kept, and the piece after it says why there is no more."""
        path = texts / "c.jsonl.gz"
        with gzip.open(path, "wb") as file_:
            file_.write(b'{"text": "Eve"}\n' * 20000)
        path.write_bytes(path.read_bytes()[:-20])
        *whole, last = read_pieces(0, Source(str(path), "jsonl", 0), max_lines=1)
        assert [piece.numbers for piece in whole] == [[i] for i in range(1, len(whole) + 1)]
        assert last.numbers == [len(whole) + 1] and not last.lines and "end-of-stream" in last.error

    def test_other_encoding(self, texts):
        (texts / "b.txt").write_bytes("Ann".encode("utf-16"))
        (piece,) = read_pieces(0, Source(str(texts / "b.txt"), "txt", 0))
        assert "UTF-16" in piece.error


class TestFolder:
    def test_run_that_ends(self, tmp_path):
        path = tmp_path / "new" / "out"
        with OutputFolder(path, SETTINGS, []) as folder:
            assert is_unfinished(path) and folder.done == set()
            write_records(
                [{"text": "Ann", "entities": [], "relations": [], "id": 7}], path, "part-00000-000000000001", None
            )
        assert not is_unfinished(path)
        (file_,) = path.iterdir()
        assert file_.name == "part-00000-000000000001.jsonl"
        assert json.loads(file_.read_text()) == {"text": "Ann", "entities": [], "relations": [], "id": 7}
        with pytest.raises(ValueError, match=r"\[S061\]"), OutputFolder(path, SETTINGS, []):
            pass

    def test_interrupted_run(self, tmp_path):
        path, sources = tmp_path / "out", [Source("a.txt", "txt", 3)]
        with pytest.raises(KeyboardInterrupt), OutputFolder(path, SETTINGS, sources):
            write_records([{"text": "Ann"}], path, "part-00000-000000000001", make_schema())
            (path / ".part-00000-000000000002-ab.tmp").write_text("half")
            raise KeyboardInterrupt
        with OutputFolder(path, SETTINGS, sources, resume=True) as folder:
            assert folder.done == {"part-00000-000000000001"}
            assert sorted(file_.name for file_ in path.iterdir()) == [JOB, "part-00000-000000000001.parquet"]
        with OutputFolder(path, SETTINGS, sources, replace=True) as folder:
            assert folder.done == set() and [file_.name for file_ in path.iterdir()] == [JOB]

    @pytest.mark.parametrize(
        "settings, sources, message",
        [
            ({**SETTINGS, "model": "other"}, [Source("a.txt", "txt", 3)], r"\[S062\].*'model' was 'm'.*'other'"),
            ({**SETTINGS, "checksum": "2"}, [Source("a.txt", "txt", 3)], r"\[S082\].*the model m has changed"),
            (SETTINGS, [Source("a.txt", "txt", 4)], r"\[S180\].*a.txt"),
            (SETTINGS, [Source("a.txt", "txt", 3), Source("b.txt", "txt", 1)], r"\[S180\].*b.txt"),
            (SETTINGS, [], r"\[S180\].*a.txt"),
        ],
    )
    def test_another_run_than_the_interrupted_one(self, tmp_path, settings, sources, message):
        path = tmp_path / "out"
        with pytest.raises(KeyboardInterrupt), OutputFolder(path, SETTINGS, [Source("a.txt", "txt", 3)]):
            raise KeyboardInterrupt
        before = (path / JOB).read_bytes()
        with pytest.raises(ValueError, match=message), OutputFolder(path, settings, sources, resume=True):
            pass
        assert (path / JOB).read_bytes() == before

    def test_other_files(self, tmp_path):
        """Nothing of somebody else is removed."""
        (tmp_path / "thesis.txt").write_text("mine")
        with pytest.raises(ValueError, match=r"\[S179\].*thesis.txt"), OutputFolder(tmp_path, {}, [], replace=True):
            pass
        assert [file_.name for file_ in tmp_path.iterdir()] == ["thesis.txt"]

    def test_two_runs(self, tmp_path):
        with OutputFolder(tmp_path / "out", {}, []), pytest.raises(ValueError, match=r"\[S081\]"):
            OutputFolder(tmp_path / "out", {}, [], replace=True)

    def test_damaged_job(self, tmp_path):
        (tmp_path / JOB).write_text("{")
        with pytest.raises(ValueError, match=r"\[S064\]"), OutputFolder(tmp_path, {}, [], resume=True):
            pass

    def test_record_written_twice_is_there_once(self, tmp_path):
        for _ in range(2):
            write_records([{"text": "Ann"}], tmp_path, "part-00000-000000000001", make_schema())
        assert pq.read_table(tmp_path).num_rows == 1
