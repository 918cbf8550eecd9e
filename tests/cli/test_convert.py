import importlib
import json
import os
import stat

import click
import pytest
import spacy
from spacy.cli import app as spacy_app
from spacy.tokens import Doc, DocBin
from spacy.training import Corpus
from typer.testing import CliRunner

import spacy_spert.cli
from spacy_spert.cli.convert import convert
from spacy_spert.formats import Losses

TEXT = {
    "text": "Ann lives in Bonn.",
    "entities": [{"start": 0, "end": 3, "label": "PER"}, {"start": 13, "end": 17, "label": "LOC"}],
    "relations": [{"head": 0, "tail": 1, "label": "LIVES_IN"}],
    "meta": {"id": [1, {"x": None}]},
}
TOKENS = {
    "tokens": ["Bonn", "is", "n't", "big"],
    "entities": [{"start": 0, "end": 1, "label": "LOC"}],
    "relations": [],
}


def run(*args):
    return CliRunner().invoke(spacy_app, ["spert", "convert", *map(str, args)])


def printed(result):
    """The output without colours, and without line breaks, which depend on the length of paths."""
    return " ".join(click.unstyle(result.output).split())


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text(json.dumps(TEXT) + "\n" + json.dumps(TOKENS) + "\n")
    return path


def test_there_and_back(tmp_path, source):
    binary = tmp_path / "new" / "folder" / "out.spacy"
    result = run(source, binary, "--from", "jsonl")
    assert result.exit_code == 0, result.output
    assert printed(result).endswith(": 2 documents, 3 entities, 1 relations")
    docs = list(DocBin().from_disk(binary).get_docs(spacy.blank("en").vocab))
    assert [(r.head.text, r.tail.text, r.label) for r in docs[0]._.relations] == [("Ann", "Bonn", "LIVES_IN")]
    back = tmp_path / "back.jsonl"
    assert run(binary, back, "--to", "jsonl").exit_code == 0
    first, second = (json.loads(line) for line in back.read_text().splitlines())
    assert first.pop("token_offsets") == [[0, 3], [4, 9], [10, 12], [13, 17], [17, 18]]
    assert first == TEXT
    assert second == TOKENS
    assert run(binary, tmp_path / "back.json", "--to", "spert-json").exit_code == 0
    records = json.loads((tmp_path / "back.json").read_text())
    assert records[0]["relations"] == [{"head": 0, "tail": 1, "type": "LIVES_IN"}]
    assert records[1]["tokens"] == TOKENS["tokens"]
    again = tmp_path / "again.spacy"
    assert run(tmp_path / "back.json", again, "--from", "spert-json").exit_code == 0
    assert again.read_bytes() == binary.read_bytes()


def test_corpus_reader_keeps_given_tokens(tmp_path, source):
    convert(source, tmp_path / "out.spacy", from_format="jsonl")
    examples = list(Corpus(tmp_path / "out.spacy")(spacy.blank("en")))
    assert [token.text for token in examples[1].predicted] == TOKENS["tokens"]


def test_losses_are_printed_once_by_reason_with_their_places(tmp_path, source):
    bad = {**TEXT, "entities": [{"start": 1, "end": 3, "label": "PER"}] * 7, "relations": []}
    with source.open("a") as file_:
        file_.write(json.dumps(bad) + '\n{"tokens": ["a"')
    result = run(source, tmp_path / "out.spacy", "--from", "jsonl")
    assert result.exit_code == 0
    text = printed(result)
    assert text.count("7 entity: not on token boundaries") == 1
    assert text.count("1 record: broken, skipped") == 1
    assert text.count("is not on token boundaries ('nn')") == 5
    assert "... and 2 more" in text
    assert f"{source}:4: [F001] Not valid JSON" in text
    assert text.endswith(": 3 documents, 3 entities, 1 relations")
    assert printed(run(source, tmp_path / "out.spacy", "-f", "jsonl", "--verbose")).count("('nn')") == 7


def test_strict_leaves_the_old_output(tmp_path, source):
    output = tmp_path / "out.spacy"
    output.write_bytes(b"before")
    with source.open("a") as file_:
        file_.write("{\n")
    result = run(source, output, "--from", "jsonl", "--strict")
    assert result.exit_code == 1
    assert f"{source}:3: [F001] Not valid JSON" in printed(result)
    assert output.read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.spacy"]


def test_old_output_is_replaced_and_not_written_over(tmp_path, source):
    output, link = tmp_path / "out.spacy", tmp_path / "link"
    output.write_bytes(b"before")
    os.link(output, link)
    assert run(source, output, "--from", "jsonl").exit_code == 0
    assert link.read_bytes() == b"before"
    assert len(DocBin().from_disk(output)) == 2


def test_nothing_to_convert(tmp_path):
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    result = run(empty, tmp_path / "new" / "out.spacy", "--from", "jsonl")
    assert result.exit_code == 1
    assert f"{empty}: [F004] No records." in printed(result)
    assert "There is no document to write." in printed(result)
    assert [path.name for path in tmp_path.iterdir()] == ["empty.jsonl"]


def test_input_is_never_overwritten(tmp_path, source):
    binary = tmp_path / "a.spacy"
    assert run(source, binary, "--from", "jsonl").exit_code == 0
    content = binary.read_bytes()
    link = tmp_path / "link.spacy"
    os.symlink(binary, link)
    for output in (binary, link, tmp_path / "." / "a.spacy"):
        result = run(binary, output, "--to", "jsonl")
        assert result.exit_code == 1
        assert "is the input as well" in printed(result)
    assert binary.read_bytes() == content


@pytest.mark.parametrize(
    "output,args,expected",
    [
        ("out.spacy", [], "Give either a format to read (--from) or a format to write (--to)"),
        ("out.spacy", ["--from", "jsonl", "--to", "jsonl"], "Give either a format to read"),
        ("out.spacy", ["--from", "conll"], "Unknown format 'conll'. Choose one of: ade, brat, conll04, doccano, jsonl"),
        ("out.jsonl", ["--to", "conll04"], "Unknown format 'conll04'. Choose one of: brat, doccano, jsonl, "),
        ("out.bin", ["--from", "jsonl"], "must end in '.spacy'"),
        (".", ["--from", "jsonl"], "is a folder"),
        ("out.spacy", ["--from", "jsonl", "--per-sentence"], "The format 'jsonl' has no option 'per-sentence'."),
        ("out.spacy", ["--from", "jsonl", "--per-sentence"], "Formats with this option: scierc."),
        ("out.spacy", ["--from", "conll04", "-o", "x=1"], "It has: none. Formats with this option: none."),
        ("out.spacy", ["--from", "jsonl", "-o", "x"], "An option is given as NAME=VALUE, got: x"),
        ("out.spacy", ["--from", "jsonl", "--lang", "zzz"], "zzz"),
        ("out.jsonl", ["--to", "jsonl"], "in.jsonl as spaCy's binary format"),
    ],
)
def test_wrong_arguments(tmp_path, source, output, args, expected):
    result = run(source, tmp_path / output, *args)
    assert result.exit_code == 1
    assert expected in printed(result)
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_missing_input(tmp_path):
    assert run(tmp_path / "none.jsonl", tmp_path / "out.spacy", "--from", "jsonl").exit_code == 2


def test_types_are_checked_and_symmetric_labels_shown(tmp_path):
    types = tmp_path / "types.json"
    types.write_text(json.dumps({"entities": {"LOC": {}}, "relations": {"NEAR": {"symmetric": True}}}))
    source = tmp_path / "a.json"
    good = {"tokens": ["Bonn"], "entities": [{"type": "LOC", "start": 0, "end": 1}], "relations": []}
    source.write_text(json.dumps([good, {**good, "entities": [{"type": "ORG", "start": 0, "end": 1}]}]))
    result = run(source, tmp_path / "a.spacy", "--from", "spert-json", "--types", types)
    assert result.exit_code == 0
    assert "record 2: [F018] Entity 0 (0-1, 'ORG'): its label is not in the types file" in printed(result)
    assert ": 2 documents, 1 entities, 0 relations" in printed(result)
    assert "Symmetric labels, for the component's settings: ['NEAR']" in printed(result)


def test_python_function_counts_or_raises(tmp_path, source):
    losses = Losses()
    kept = convert(source, tmp_path / "a.spacy", from_format="jsonl", losses=losses)
    assert kept == {"documents": 2, "entities": 3, "relations": 1}
    assert losses.counts == {}
    source.write_text("{")
    with pytest.raises(ValueError, match=r"in.jsonl:1: \[F001\] Not valid JSON"):
        convert(source, tmp_path / "a.spacy", from_format="jsonl")


def test_importing_again_registers_nothing_twice():
    app = spacy_spert.cli.app
    importlib.reload(spacy_spert.cli)
    spacy_spert.cli.app = app
    assert [group.name for group in spacy_app.registered_groups].count("spert") == 1
    assert "convert" in CliRunner().invoke(spacy_app, ["spert", "--help"]).output


def test_output_to_stdout(tmp_path, source):
    """Messages go to stderr then."""
    binary = tmp_path / "a.spacy"
    convert(source, binary, from_format="jsonl")
    result = run(binary, "-", "--to", "jsonl")
    assert result.exit_code == 0
    assert [json.loads(line)["relations"] for line in result.stdout.splitlines()] == [TEXT["relations"], []]
    assert "Wrote -: 2 documents" in click.unstyle(result.stderr)
    result = run(source, "-", "--from", "jsonl")
    assert len(DocBin().from_bytes(result.stdout_bytes)) == 2
    source.write_text("{")
    result = run(source, "-", "--from", "jsonl")
    assert result.exit_code == 1 and result.stdout == "" and "Nothing was written" in click.unstyle(result.stderr)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.spacy", "in.jsonl"]


def test_devices_are_written_to(tmp_path, source):
    assert run(source, "/dev/null", "--from", "jsonl").exit_code == 0
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_options_of_brat_and_offsets(tmp_path):
    (tmp_path / "a.txt").write_text("🚢 Ann Bonn")
    (tmp_path / "a.ann").write_text("T1\tPER 3 6\nT2\tLOC 7 11\nR1\tIN From:T1 To:T2\n")
    output = tmp_path / "a.spacy"
    result = run(tmp_path, output, "--from", "brat", "--offsets", "utf16", "--head-roles", "X,To")
    assert result.exit_code == 0, result.output
    (doc,) = DocBin().from_disk(output).get_docs(spacy.blank("en").vocab)
    assert [(r.head.text, r.tail.text) for r in doc._.relations] == [("Bonn", "Ann")]
    result = run(tmp_path, output, "--from", "brat", "--offsets", "miles")
    assert result.exit_code == 1 and "Unknown unit of offsets 'miles'" in printed(result)


def test_relations_in_another_attribute_are_said(tmp_path):
    """As spaCy's tutorial leaves them: they are read by a format of their own."""
    doc = Doc(spacy.blank("en").vocab, words=["Ann", "in", "Bonn"], ents=["B-PER", "O", "B-LOC"])
    doc.user_data["._.", "rel", None, None] = {(0, 2): {"IN": 1.0}}
    source, output = tmp_path / "rel.spacy", tmp_path / "a.spacy"
    DocBin(docs=[doc], store_user_data=True).to_disk(source)
    text = printed(run(source, tmp_path / "a.jsonl", "--to", "jsonl"))
    assert "1 document: relations in doc._.rel not read, see '--from rel-component' and '--from spacy-llm'" in text
    assert printed(run(source, output, "--from", "rel-component")).endswith(": 1 documents, 2 entities, 1 relations")
    with pytest.raises(ValueError, match="is the input as well"):
        convert(source, source, from_format="rel-component")


def test_relations_that_are_not_known_stay_so(tmp_path, source):
    source.write_text(json.dumps({key: value for key, value in TEXT.items() if key != "relations"}))
    result = run(source, tmp_path / "a.spacy", "--from", "jsonl")
    assert "1 record: no 'relations', taken as not annotated" in printed(result)
    assert printed(result).endswith(": 1 documents, 2 entities, 0 relations")
    convert(tmp_path / "a.spacy", tmp_path / "b.jsonl", to_format="jsonl")
    assert "relations" not in json.loads((tmp_path / "b.jsonl").read_text())
