"""Records as rows of Parquet: what is read, what is written, and that both are the same as lines of JSON."""

import datetime
import json
import sys
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_extract import WORDS, printed, read, run, write

from spacy_spert.cli.extract import extract
from spacy_spert.extraction import parquet
from spacy_spert.extraction.parquet import from_row, kept_types, make_schema, open_parquet, read_rows, to_row
from spacy_spert.formats.losses import MAX_REASONS

ENTITY = {"start": 0, "end": 3, "label": "PER", "score": 0.5}
ENTITIES = "list<element: struct<start: int32, end: int32, label: string, score: double>>"


def records_of(path):
    """The rows of a file as records, as JSON lines have them."""
    with open_parquet(path) as file_:
        return [json.loads(line.raw) for line in read_rows(file_, 2)]


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "in.parquet"
    ids = pa.array(range(len(WORDS)), pa.int64())
    meta = pa.array([{"page": i, "of": {"book": "b"}} for i in range(len(WORDS))])
    pq.write_table(pa.table({"text": WORDS, "id": ids, "meta": meta, "other": ids}), path, row_group_size=3)
    return path


class TestRows:
    def test_fields_that_are_not_there_are_null(self):
        record = {"id": "a", "text": "Ann", "entities": [ENTITY], "relations": [], "meta": {"n": 1}}
        row = to_row(record, make_schema())
        assert row == {**record, "meta": '{"n": 1}'}
        assert from_row({**row, "tokens": None}) == record

    @pytest.mark.parametrize("value, text", [(7, "7"), ("7", "7"), ("ä", "ä"), (["a", 1], '["a", 1]'), (0, "0")])
    def test_id_without_a_type_is_text(self, value, text):
        assert to_row({"id": value}, make_schema()) == {"id": text}

    def test_id_with_a_type_keeps_it(self):
        kept = {"id": pa.int8(), "meta": pa.struct({"n": pa.int64()})}
        assert to_row({"id": 7, "meta": {"n": 1}}, make_schema(kept)) == {"id": 7, "meta": {"n": 1}}

    def test_meta_that_is_no_json(self):
        assert from_row({"meta": "page 3"}) == {"meta": "page 3"}

    @pytest.mark.parametrize(
        "kind",
        [pa.int64(), pa.string(), pa.large_string(), pa.float32(), pa.list_(pa.bool_()), pa.struct({"a": pa.string()})],
    )
    def test_types_that_are_kept(self, kind):
        assert kept_types(pa.schema({"id": kind, "text": pa.string()})) == {"id": kind}

    @pytest.mark.parametrize(
        "kind", [pa.timestamp("s"), pa.date32(), pa.decimal128(4, 2), pa.map_(pa.string(), pa.string()), pa.null()]
    )
    def test_types_that_are_not(self, kind):
        assert kept_types(pa.schema({"id": pa.list_(kind), "meta": kind})) == {}

    def test_values_that_json_does_not_have(self, tmp_path):
        stamp = datetime.datetime(2020, 1, 2, 3, 4, 5)
        meta = pa.array([[("at", "noon")], None], pa.map_(pa.string(), pa.string()))
        path = tmp_path / "in.parquet"
        pq.write_table(pa.table({"text": ["a", "b"], "id": [stamp, None], "meta": meta}), path)
        assert records_of(path) == [
            {"text": "a", "id": "2020-01-02T03:04:05", "meta": {"at": "noon"}},
            {"text": "b"},
        ]
        pq.write_table(pa.table({"text": ["a"], "id": [Decimal("1.50")]}), path)
        assert records_of(path) == [{"text": "a", "id": "1.50"}]

    def test_lines_of_rows(self, table):
        with open_parquet(table) as file_:
            lines = list(read_rows(file_, 3))
        assert [line.number for line in lines] == list(range(1, 9))
        assert all(line.size == len(line.raw) for line in lines)
        assert len({line.checksum for line in lines}) == 8
        assert json.loads(lines[7].raw) == {"text": WORDS[7], "id": 7, "meta": {"page": 7, "of": {"book": "b"}}}


class TestExtract:
    def test_same_as_json_lines(self, tmp_path, model, table):
        records = [{"id": i, "text": text, "meta": {"page": i, "of": {"book": "b"}}} for i, text in enumerate(WORDS)]
        extract(model, write(tmp_path / "in.jsonl", records), tmp_path / "out.jsonl")
        expected = read(tmp_path / "out.jsonl")
        reports = []
        counts = extract(model, table, tmp_path / "out.parquet", batch_size=3, report=reports.append)
        assert reports == [f"{table}: column 'other' is not read"]
        n = {kind: sum(len(record[kind]) for record in expected) for kind in ("entities", "relations")}
        assert n["relations"] and counts == {"texts": 8, **n}
        assert records_of(tmp_path / "out.parquet") == expected
        # Either end can be of another kind, and the types of the columns are those of the input.
        extract(model, table, tmp_path / "mixed.jsonl", report=reports.append)
        assert read(tmp_path / "mixed.jsonl") == expected
        schema = pq.read_schema(tmp_path / "out.parquet")
        assert [field.name for field in schema] == ["id", "text", "tokens", "entities", "relations", "meta"]
        assert str(schema.field("entities").type) == ENTITIES
        assert schema.field("id").type == "int64" and schema.field("meta").type.field("page").type == "int64"
        extract(model, tmp_path / "in.jsonl", tmp_path / "text.parquet")
        schema = pq.read_schema(tmp_path / "text.parquet")
        assert schema.field("id").type == schema.field("meta").type == "string"
        assert records_of(tmp_path / "text.parquet") == [{**record, "id": str(record["id"])} for record in expected]

    def test_output_as_input(self, tmp_path, model, table):
        """A file that was written can be read."""
        extract(model, table, tmp_path / "out.parquet", report=str)
        extract(model, tmp_path / "out.parquet", tmp_path / "again.parquet", report=str)
        assert records_of(tmp_path / "again.parquet") == records_of(tmp_path / "out.parquet")

    def test_tokens(self, tmp_path, model):
        words = [["Ann", "Lee", "sued", "Zeta"], None]
        pq.write_table(pa.table({"tokens": words, "text": [None, "Ann"]}), tmp_path / "in.parquet")
        extract(model, tmp_path / "in.parquet", tmp_path / "out.parquet")
        first, second = pq.read_table(tmp_path / "out.parquet").to_pylist()
        assert (first["tokens"], first["text"]) == (words[0], None)
        assert (second["tokens"], second["text"]) == (None, "Ann")

    def test_only_empty_lists(self, tmp_path, model, monkeypatch):
        """Groups of rows in which nothing was found have the same columns as the others."""
        monkeypatch.setattr(parquet, "MAX_ROWS", 2)
        records = [{"text": text} for text in ("", "", "", *WORDS[:2], "")]
        extract(model, write(tmp_path / "in.jsonl", records), tmp_path / "out.parquet", batch_size=1)
        assert pq.ParquetFile(tmp_path / "out.parquet").num_row_groups == 4
        table = pq.read_table(tmp_path / "out.parquet")
        assert str(table.schema.field("entities").type) == ENTITIES
        assert [len(entities) for entities in table["entities"].to_pylist()] == [0, 0, 0, 3, 2, 0]

    def test_nothing_at_all(self, tmp_path, model):
        (tmp_path / "in.jsonl").write_text("")
        extract(model, tmp_path / "in.jsonl", tmp_path / "out.parquet")
        assert pq.read_table(tmp_path / "out.parquet").num_rows == 0

    def test_rows_that_cant_be_used(self, tmp_path, model):
        nan = pa.array([{"x": float("nan")}, None, None], pa.struct({"x": pa.float64()}))
        pq.write_table(pa.table({"text": ["Ann", None, "Bob"], "meta": nan}), tmp_path / "in.parquet")
        result = run(model, tmp_path / "in.parquet", tmp_path / "out.parquet")
        assert result.exit_code == 0
        assert "in.parquet:1: [F001] Not valid JSON" in printed(result)
        assert "in.parquet:2: [F005] Exactly one of 'text' and 'tokens' is needed, got neither" in printed(result)
        assert "2 lines skipped" in printed(result)
        assert pq.read_table(tmp_path / "out.parquet")["text"].to_pylist() == ["Bob"]

    def test_stopped_in_the_midst(self, tmp_path, model):
        """There is no half of a file, and what was there before stays."""
        source = write(tmp_path / "in.jsonl", [{"text": "Ann"}, {"text": None}])
        output = tmp_path / "out.parquet"
        assert run(model, source, output, "--strict").exit_code == 1
        assert not output.exists()
        output.write_text("before")
        assert run(model, source, output, "--strict", "--force").exit_code == 1
        assert output.read_text() == "before"
        assert [path.name for path in tmp_path.iterdir() if "part" in path.name or "progress" in path.name] == []

    def test_interrupted_and_resumed(self, tmp_path, model, table):
        """From Parquet to lines, a run can be continued; to Parquet none can."""
        extract(model, table, tmp_path / "expected.jsonl", report=str)
        bad = pq.read_table(table).slice(0, 5).to_pylist() + [{"text": None}]
        pq.write_table(pa.Table.from_pylist(bad, pq.read_schema(table)), tmp_path / "bad.parquet")
        with pytest.raises(ValueError, match="bad.parquet:6"):
            extract(model, tmp_path / "bad.parquet", tmp_path / "out.jsonl", batch_size=1, strict=True, report=str)
        assert len(read(tmp_path / "out.jsonl")) == 5
        extract(model, table, tmp_path / "out.jsonl", resume=True, report=str)
        assert read(tmp_path / "out.jsonl") == read(tmp_path / "expected.jsonl")
        result = run(model, table, tmp_path / "out.parquet", "--resume")
        assert result.exit_code == 1 and "[S066] Can't use --resume with a Parquet output" in printed(result)

    def test_many_fields_of_records(self, tmp_path, model):
        source = write(tmp_path / "in.jsonl", [{"text": "Ann", f"field{i}": 1} for i in range(MAX_REASONS + 2)])
        counts = extract(model, source, tmp_path / "out.parquet")
        assert counts["record: field 'field0' not kept"] == 1


class TestErrors:
    def test_no_parquet(self, tmp_path):
        path = write(tmp_path / "in.parquet", [{"text": "Ann"}])
        result = run("model", path, tmp_path / "out.jsonl")
        assert result.exit_code == 1

    @pytest.mark.parametrize(
        "columns, message",
        [
            ({"body": ["a"], "id": [1]}, r"\[S176\].*'text' nor one 'tokens'. Its columns are: body, id"),
            ({"text": [b"a"]}, r"\[S177\] Column 'text' of .* is of type binary"),
            ({"text": ["a"], "meta": [{"a": b"b"}]}, r"\[S177\] Column 'meta' of .* is of type struct<a: binary>"),
        ],
    )
    def test_columns(self, tmp_path, model, columns, message):
        path = tmp_path / "in.parquet"
        pq.write_table(pa.table(columns), path)
        with pytest.raises(ValueError, match=message):
            extract(model, path, tmp_path / "out.jsonl")
        assert not (tmp_path / "out.jsonl").exists()

    def test_broken_file(self, tmp_path, model):
        path = write(tmp_path / "in.parquet", [{"text": "Ann"}])
        with pytest.raises(ValueError, match=r"\[S175\] Can't read .*in.parquet as Parquet"):
            extract(model, path, tmp_path / "out.jsonl")

    def test_pipes(self, model, table, tmp_path):
        result = run(model, "-", tmp_path / "out.jsonl", "--from", "parquet")
        assert result.exit_code == 1 and "Can't use Parquet with the input -. It must be a file." in printed(result)
        result = run(model, table, "-", "--to", "parquet")
        assert result.exit_code == 1 and "Can't use Parquet with this output. It must be a file." in printed(result)

    def test_pyarrow_is_missing(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(ImportError, match=r"\[S174\].*spacy-spert\[parquet\]"):
            make_schema()
