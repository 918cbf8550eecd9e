"""Formats by name: those of other packages are used like our own, and options go to the functions that know them."""

import json

import catalogue
import pytest
import spacy
from spacy.tokens import Doc, DocBin
from typer.testing import CliRunner

from spacy_spert.cli import app
from spacy_spert.cli._options import parse_options
from spacy_spert.cli.convert import convert
from spacy_spert.formats import format_names, load, readers, writers
from spacy_spert.formats.gold import Gold


@pytest.fixture
def theirs():
    """A reader and a writer of another package: a word a line, with its label after a sign."""

    @readers.register("words")
    def read_words(path, nlp=None, losses=None, sign="/", upper=False):
        for line in path.read_text().splitlines():
            word, label = line.split(sign)
            gold = Gold(Doc(nlp.vocab, words=[word]), losses, str(path))
            gold.entity(0, 0, 1, label.upper() if upper else label)
            yield gold.finish()

    @writers.register("words")
    def write_words(docs, path, losses=None, sign="/"):
        lines = [f"{span.text}{sign}{span.label_}" for doc in docs for span in doc.spans["spert"]]
        path.write_text("\n".join(lines))
        return {"documents": len(lines), "entities": len(lines), "relations": 0}

    yield
    for kind in ("readers", "writers"):
        del catalogue.REGISTRY["spacy_spert", kind, "words"]


def test_formats_of_another_package(tmp_path, theirs):
    assert "words" in format_names(readers) and "words" in format_names(writers)
    source, binary, back = tmp_path / "in.txt", tmp_path / "a.spacy", tmp_path / "back.txt"
    source.write_text("Bonn=loc\nAnn=per")
    args = ["convert", str(source), str(binary), "--from", "words", "-o", "sign==", "-o", "upper=true"]
    assert CliRunner().invoke(app, args).exit_code == 0
    docs = DocBin().from_disk(binary).get_docs(spacy.blank("en").vocab)
    assert [(span.text, span.label_) for doc in docs for span in doc.spans["spert"]] == [
        ("Bonn", "LOC"),
        ("Ann", "PER"),
    ]
    assert convert(binary, back, to_format="words", sign=":") == {"documents": 2, "entities": 2, "relations": 0}
    assert back.read_text() == "Bonn:LOC\nAnn:PER"


def test_an_option_that_the_format_does_not_know(theirs):
    expected = "The format 'jsonl' has no option 'upper'. It has: .*Formats with this option: words."
    with pytest.raises(ValueError, match=expected):
        load(readers, "jsonl", upper=True)


def test_options_fill_in_parameters():
    read = load(readers, "scierc", per_sentence=True)
    assert read.keywords == {"per_sentence": True}


def test_values_of_options_are_json_or_strings():
    values = ["head-roles=Agent,Source", "per-sentence=true", "n=3", "sign==", "empty="]
    assert parse_options(values) == {
        "head_roles": "Agent,Source",
        "per_sentence": True,
        "n": 3,
        "sign": "=",
        "empty": "",
    }
    assert json.dumps(parse_options(['x=[1, "a"]'])) == '{"x": [1, "a"]}'
