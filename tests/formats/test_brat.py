"""brat files as other tools leave them: line ends, marks, roles, parts and events."""

import pytest
import spacy
from util import uncoded

from spacy_spert.formats import Losses
from spacy_spert.formats.brat import read_brat

NLP = spacy.blank("en")
TEXT = "Ann lives in Bonn."
ENTITIES = "T1\tPER 0 3\tAnn\nT2\tLOC 13 17\tBonn\n"


def read(tmp_path, text, ann, **options):
    """RETURNS (Tuple[Doc, Losses]): The document of a text and its annotation, and what was counted."""
    for ending, content in (("txt", text), ("ann", ann)):
        (tmp_path / f"a.{ending}").write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    losses = Losses()
    (doc,) = read_brat(tmp_path, NLP, losses, **options)
    return doc, losses


def texts(doc):
    return [span.text for span in doc.spans["spert"]]


def triples(doc):
    return [(relation.head.text, relation.label, relation.tail.text) for relation in doc._.relations]


# Line ends

LINES = ["Ann", "Bob", "Eve"]
AS_IT_IS = "T1\tPER 0 3\tAnn\nT2\tPER {} {}\tBob\nT3\tPER {} {}\tEve\n"
ONE = AS_IT_IS.format(4, 7, 8, 11)
TWO = AS_IT_IS.format(5, 8, 10, 13)


@pytest.mark.parametrize(
    "ends,ann,said",
    [
        ("\n", ONE, None),
        ("\r\n", TWO, None),
        ("\r\n", ONE, "characters, each CR LF as one"),
        ("\n", TWO, "characters, each line break as two"),
    ],
)
def test_line_ends(tmp_path, ends, ann, said):
    """The reading is taken in which the texts of mentions agree, and said if it is not the text as it is."""
    doc, losses = read(tmp_path, ends.join(LINES), ann)
    assert texts(doc) == LINES
    assert losses.counts == ({f"document: offsets taken as {said}": 1} if said else {})


def test_a_mention_over_a_line_end_that_counts_as_one(tmp_path):
    doc, _ = read(tmp_path, "Ann\r\nLee\r\nsings", "T1\tPER 0 7\tAnn Lee\nT2\tX 8 13\tsings\n")
    assert texts(doc) == ["Ann\r\nLee", "sings"]


def test_most_mentions_decide(tmp_path):
    doc, losses = read(tmp_path, "\r\n".join(LINES), ONE + "T4\tPER 5 8\tBob\n")
    assert texts(doc) == LINES
    assert losses.counts == {
        "document: offsets taken as characters, each CR LF as one": 1,
        "entity: text differs from the file's": 1,
    }


# Marks and units

MARK = "\ufeff".encode()


@pytest.mark.parametrize("ann", [b"", MARK, MARK + b"\r\n", b"\n\n"])
def test_an_empty_annotation_file(tmp_path, ann):
    """Nothing is annotated, which says that there are neither entities nor relations."""
    doc, losses = read(tmp_path, TEXT, ann)
    assert texts(doc) == [] and doc.spans["spert"].attrs["relations"] == []
    assert losses.counts == {}


@pytest.mark.parametrize("shift,said", [(0, None), (1, "characters, with the byte order mark")])
def test_a_mark_in_the_text_counts_or_not(tmp_path, shift, said):
    ann = f"T1\tPER {shift} {3 + shift}\tAnn\nT2\tLOC {13 + shift} {17 + shift}\tBonn\nR1\tIN Arg1:T1 Arg2:T2\n"
    doc, losses = read(tmp_path, MARK + TEXT.encode(), MARK + ann.encode())
    assert doc.text == TEXT
    assert triples(doc) == [("Ann", "IN", "Bonn")]
    assert losses.counts == ({f"document: offsets taken as {said}": 1} if said else {})


@pytest.mark.parametrize("unit,start", [("characters", 3), ("utf16", 5), ("bytes", 9)])
def test_units_are_found_by_the_texts_of_mentions(tmp_path, unit, start):
    text, said = "🚢🚢 Bonn", f"document: offsets taken as {unit}"
    ann = f"T1\tLOC {start} {start + 4}\tBonn\n"
    doc, losses = read(tmp_path, text, ann)
    assert texts(doc) == ["Bonn"]
    assert losses.counts == ({} if unit == "characters" else {said: 1})
    doc, losses = read(tmp_path, text, ann, offsets=unit)
    assert texts(doc) == ["Bonn"] and losses.counts == {}


def test_without_texts_of_mentions_the_unit_is_said_where_it_matters(tmp_path):
    _, losses = read(tmp_path, "Bonn 🚢", "T1\tLOC 0 4\n")
    assert losses.counts == {}
    doc, losses = read(tmp_path, "🚢 Bonn", "T1\tLOC 2 6\n")
    assert texts(doc) == ["Bonn"]
    assert losses.counts == {"document: offsets taken as characters": 1}


# Roles


@pytest.mark.parametrize(
    "line,options,expected",
    [
        ("R1\tIN From:T1 To:T2", {}, ("Ann", "Bonn")),
        ("R1\tIN Anaphora:T2 Antecedent:T1", {}, ("Bonn", "Ann")),
        ("R1\tIN Arg2:T2 Arg1:T1", {}, ("Ann", "Bonn")),
        ("R1\tIN Arg1:T1 Arg2:T2\t", {}, ("Ann", "Bonn")),
        ("R1\tIN Theme:T2 Arg1:T1", {}, ("Ann", "Bonn")),
        ("R1\tIN From:T1 To:T2", {"head_roles": "To"}, ("Bonn", "Ann")),
        ("R1\tIN From:T1 To:T2", {"tail_roles": ["From"]}, ("Bonn", "Ann")),
        ("R1\tIN From:T1 To:T2", {"head_roles": "Cause, From", "tail_roles": "Effect,To"}, ("Ann", "Bonn")),
        ("R1\tIN Arg1:T1 Arg2:T2", {"head_roles": "To"}, ("Ann", "Bonn")),
        ("R1\tIN Arg1:T1 Arg2:T2", {"head_roles": "Arg2"}, ("Bonn", "Ann")),
    ],
)
def test_roles(tmp_path, line, options, expected):
    doc, losses = read(tmp_path, TEXT, ENTITIES + line + "\n", **options)
    assert [(head, tail) for head, _, tail in triples(doc)] == [expected]
    assert [reason for reason in losses.counts if "no relation has the role" not in reason] == []


# Parts


@pytest.mark.parametrize(
    "text,ends", [("Ann Lee sings", "0 3;4 7"), ("Ann\nLee", "0 3;4 7"), ("Ann \r\n Lee", "0 3;7 10")]
)
def test_parts_that_only_blanks_divide_are_one_mention(tmp_path, text, ends):
    doc, losses = read(tmp_path, text, f"T1\tPER {ends}\tAnn Lee\n")
    assert [span.text.split() for span in doc.spans["spert"]] == [["Ann", "Lee"]]
    assert losses.counts == {}


def test_parts_that_words_divide_are_no_span(tmp_path):
    doc, losses = read(tmp_path, TEXT, "T1\tX 0 3;13 17\tAnn Bonn\nT2\tX 13 17;0 3\tBonn Ann\n")
    assert texts(doc) == []
    assert losses.counts == {"entity: discontinuous": 2}
    assert "Entity T1 (0 3;13 17, 'X') consists of several parts" in uncoded(losses.places["entity: discontinuous"][0])


def test_parts_decide_about_line_ends_as_well(tmp_path):
    doc, losses = read(tmp_path, "Ann\r\nLee\r\nBonn", "T1\tPER 0 3;4 7\tAnn Lee\nT2\tLOC 8 12\tBonn\n")
    assert texts(doc) == ["Ann\r\nLee", "Bonn"]
    assert losses.counts == {"document: offsets taken as characters, each CR LF as one": 1}


# Events


def test_a_relation_to_an_event_means_its_trigger(tmp_path):
    ann = "R1\tBY Arg1:E1 Arg2:T1\nE1\tLive:T3 Who:T1\n" + ENTITIES + "T3\tLive 4 9\tlives\nR2\tX Arg1:T2 Arg2:E7\n"
    doc, losses = read(tmp_path, TEXT, ann)
    assert triples(doc) == [("lives", "BY", "Ann")]
    assert losses.counts == {
        "brat: event not kept": 1,
        "relation: to an event, kept to its trigger": 1,
        "relation: head or tail is not an entity": 1,
    }
