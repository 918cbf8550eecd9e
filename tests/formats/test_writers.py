"""Writers of the formats of annotation tools: what they write, what they count, and that readers get it back."""

import json

import numpy
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, Span
from spacy.util import filter_spans
from strategies import documents, examples
from util import make_doc, uncoded

import spacy_spert
from spacy_spert.formats import Losses, StrictError, load, load_records, readers, records, writers
from spacy_spert.formats.brat_writer import write_brat
from spacy_spert.formats.doccano import write_doccano
from spacy_spert.formats.errors import Reasons
from spacy_spert.formats.labelstudio import read_labelstudio, write_labelstudio
from spacy_spert.formats.prodigy import read_prodigy, write_prodigy
from spacy_spert.formats.scierc import write_scierc
from spacy_spert.formats.writing import gold_of
from spacy_spert.relations import set_entities

NLP = spacy.blank("en")
TEXT = "Ann met Bob in Bonn ."
TOKENS_LOST = "document: tokens not kept"
BLANKS_LOST = "document: blanks between tokens not kept"


def predicted(words=None, spaces=None, meta=None):
    """Nested entities with scores, and relations: one each way between two, and one with another label."""
    words = words or TEXT.split()
    doc = Doc(NLP.vocab, words=words, spaces=spaces or [True] * (len(words) - 2) + [False, False])
    spans = [Span(doc, 0, 1, "PER"), Span(doc, 2, 3, "PER"), Span(doc, 2, 5, "GROUP"), Span(doc, 4, 5, "LOC")]
    rows = [(0, 1, "met", 0.75), (1, 0, "met", 0.5), (0, 3, "in place", 1.0)]
    set_entities(doc, "spert", spans, rows, [0.5, 0.75, 1.0, 0.25])
    doc.set_ents(filter_spans(spans))
    if meta is not None:
        doc.user_data["meta"] = meta
    return doc


def spans(doc):
    return [(span.start_char, span.end_char, span.label_) for span in doc.spans["spert"]]


def rows(doc):
    return [tuple(row) for row in doc.spans["spert"].attrs["relations"]]


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# What each looks like


def test_prodigy(tmp_path):
    path, losses = tmp_path / "out.jsonl", Losses(strict=True)
    assert write_prodigy([predicted(meta={"id": 7})], path, losses) == {"documents": 1, "entities": 4, "relations": 3}
    (task,) = lines(path)
    ann = {"start": 0, "end": 3, "token_start": 0, "token_end": 0, "label": "PER"}
    group = {"start": 8, "end": 19, "token_start": 2, "token_end": 4, "label": "GROUP"}
    bonn = {"start": 15, "end": 19, "token_start": 4, "token_end": 4, "label": "LOC"}
    assert task["text"] == TEXT.replace(" .", ".")
    assert task["tokens"][4:] == [
        {"text": "Bonn", "start": 15, "end": 19, "id": 4, "ws": False},
        {"text": ".", "start": 19, "end": 20, "id": 5, "ws": False},
    ]
    assert [task["spans"][i] for i in (0, 2)] == [{**ann, "score": 0.5}, {**group, "score": 1.0}]
    relation = {"head": 0, "child": 4, "label": "in place", "head_span": ann, "child_span": bonn}
    assert task["relations"][2] == relation
    assert task["relations"][1]["score"] == 0.5
    assert task["meta"] == {"id": 7}
    assert "answer" not in task
    assert losses.counts == {}
    write_prodigy([predicted()], path, answer="accept")
    (doc,) = read_prodigy(path)
    assert (spans(doc), rows(doc)) == (spans(predicted()), rows(predicted()))
    assert doc.spans["spert"].attrs["scores"].tolist() == [0.5, 0.75, 1.0, 0.25]


def test_labelstudio(tmp_path):
    path, losses = tmp_path / "out.json", Losses(strict=True)
    write_labelstudio([predicted(meta={"id": 7}), predicted()], path, losses, model_version="v2", to_name="txt")
    first, second = json.loads(path.read_text())
    assert first["data"] == {"text": "Ann met Bob in Bonn."}
    assert first["meta"] == {"id": 7}
    (prediction,) = first["predictions"]
    assert prediction["model_version"] == "v2"
    # 0.5, 0.75, 1.0 and 0.25, and those of two relations.
    assert prediction["score"] == pytest.approx((2.5 + 1.25) / 6)
    assert prediction["result"][3] == {
        "id": "entity-3",
        "from_name": "label",
        "to_name": "txt",
        "type": "labels",
        "value": {"start": 15, "end": 19, "text": "Bonn", "labels": ["LOC"]},
        "score": 0.25,
    }
    assert prediction["result"][4] == {
        "type": "relation",
        "from_id": "entity-0",
        "to_id": "entity-1",
        "direction": "right",
        "labels": ["met"],
        "score": 0.75,
    }
    assert "meta" not in second
    assert losses.counts == {TOKENS_LOST: 2}


def test_labelstudio_reads_predictions_only_if_asked(tmp_path):
    path = tmp_path / "out.json"
    write_labelstudio([predicted(meta={"id": "a", "page": 3})], path)
    losses = Losses()
    assert list(read_labelstudio(path, NLP, losses, predictions=False)) == []
    (doc,) = read_labelstudio(path, NLP, predictions=True)
    assert (spans(doc), rows(doc)) == (spans(predicted()), rows(predicted()))
    assert doc.user_data["meta"] == {"id": "a", "page": 3}
    # Label Studio gives each task an id of its own.
    task = {**json.loads(path.read_text())[0], "id": 901, "meta": {"page": 3}}
    task["annotations"] = [{"result": task["predictions"][0]["result"][:2]}]
    path.write_text(json.dumps([task]))
    for predictions in (False, True):
        (doc,) = read_labelstudio(path, NLP, predictions=predictions)
        assert len(spans(doc)) == 2
        assert doc.user_data["meta"] == {"id": 901, "page": 3}


def test_labelstudio_annotations(tmp_path):
    doc = make_doc(NLP.vocab, TEXT, [(0, 1, "PER"), (2, 3, "PER")], [(0, 1, "met")])
    write_labelstudio([doc], tmp_path / "out.json", Losses(), annotations=True)
    (task,) = json.loads((tmp_path / "out.json").read_text())
    assert list(task) == ["data", "annotations"]
    assert list(task["annotations"][0]) == ["result"]
    assert all("score" not in result for result in task["annotations"][0]["result"])


def test_doccano(tmp_path):
    path, losses = tmp_path / "out.jsonl", Losses(strict=True)
    words = ["\U0001f6a2\U0001f6a2", "k", "and", "l"]
    doc = Doc(NLP.vocab, words=words, spaces=[True, True, True, False])
    set_entities(doc, "spert", [Span(doc, 1, 2, "X"), Span(doc, 3, 4, "X")], [(0, 1, "r", 0.5)])
    doc.set_ents(doc.spans["spert"])
    doc.user_data["meta"] = {"id": 4, "page": 3}
    write_doccano([doc], path, losses)
    assert lines(path) == [
        {
            "id": 4,
            "text": "\U0001f6a2\U0001f6a2 k and l",
            "entities": [
                {"id": 0, "label": "X", "start_offset": 5, "end_offset": 6},
                {"id": 1, "label": "X", "start_offset": 11, "end_offset": 12},
            ],
            "relations": [{"id": 0, "from_id": 0, "to_id": 1, "type": "r"}],
        }
    ]
    assert losses.counts == {
        TOKENS_LOST: 1,
        "relation: score not kept": 1,
        "meta data: field 'page' not kept": 1,
    }
    for unit, start in (("characters", 3), ("bytes", 9)):
        write_doccano([doc], path, losses, offsets=unit)
        assert lines(path)[0]["entities"][0]["start_offset"] == start


def test_scierc(tmp_path):
    words = ["Ann", "Lee", "sings", ".", "She", "left", "Bonn", "."]
    doc = Doc(NLP.vocab, words=words, sent_starts=[True, False, False, False, True, False, False, False])
    entities = [Span(doc, 6, 7, "LOC"), Span(doc, 0, 2, "PER"), Span(doc, 0, 1, "NAME")]
    set_entities(doc, "spert", entities, [(1, 0, "left", 1.0), (0, 2, "x", 0.5)])
    doc.set_ents(filter_spans(entities))
    doc.user_data["meta"] = {"doc_key": "X1", "sentence": 3}
    path, losses = tmp_path / "out.jsonl", Losses(strict=True)
    write_scierc([doc], path, losses)
    assert lines(path) == [
        {
            "doc_key": "X1",
            "sentences": [["Ann", "Lee", "sings", "."], ["She", "left", "Bonn", "."]],
            "ner": [[[0, 1, "PER"], [0, 0, "NAME"]], [[6, 6, "LOC"]]],
            "relations": [[[0, 1, 6, 6, "left"]], [[6, 6, 0, 0, "x"]]],
        }
    ]
    assert losses.counts == {"relation: score not kept": 1, "meta data: field 'sentence' not kept": 1}


def test_brat(tmp_path):
    folder, losses = tmp_path / "new" / "out", Losses(strict=True)
    assert write_brat([predicted(meta={"id": "a.b"}), predicted()], folder, losses)["documents"] == 2
    assert sorted(path.name for path in folder.iterdir()) == [
        "a.b.ann",
        "a.b.txt",
        "annotation.conf",
        "document-2.ann",
        "document-2.txt",
    ]
    assert (folder / "a.b.txt").read_text() == "Ann met Bob in Bonn."
    assert (folder / "a.b.ann").read_text().splitlines() == [
        "T1\tPER 0 3\tAnn",
        "T2\tPER 8 11\tBob",
        "T3\tGROUP 8 19\tBob in Bonn",
        "T4\tLOC 15 19\tBonn",
        "R1\tmet Arg1:T1 Arg2:T2",
        "R2\tmet Arg1:T2 Arg2:T1",
        "R3\tin_place Arg1:T1 Arg2:T4",
    ]
    assert (folder / "annotation.conf").read_text() == (
        "[entities]\nPER\nGROUP\nLOC\n\n[relations]\nmet\tArg1:<ENTITY>, Arg2:<ENTITY>\n"
        "in_place\tArg1:<ENTITY>, Arg2:<ENTITY>\n\n[events]\n\n[attributes]\n"
    )
    assert losses.counts == {
        TOKENS_LOST: 2,
        "entity: score not kept": 8,
        "relation: score not kept": 4,
        "relation: blanks in the label made underscores": 2,
    }


def test_brat_mention_over_lines_is_written_in_fragments(tmp_path):
    doc = Doc(NLP.vocab, words=["\r\n", "Ann", "\n\n", "Lee", "\u2028"], spaces=[False, True, False, False, False])
    entities = [Span(doc, 1, 4, "PER"), Span(doc, 0, 2, "X"), Span(doc, 2, 3, "Y"), Span(doc, 3, 4, "Z")]
    set_entities(doc, "spert", entities, [(0, 3, "r", 1.0), (2, 3, "s", 1.0), (3, 2, "t", 1.0)])
    losses = Losses()
    assert write_brat([doc], tmp_path / "out", losses) == {"documents": 1, "entities": 3, "relations": 1}
    assert (tmp_path / "out" / "document-1.txt").read_bytes() == "\r\nAnn \n\nLee\u2028".encode()
    assert (tmp_path / "out" / "document-1.ann").read_text().splitlines() == [
        "T1\tPER 2 6;8 11\tAnn  Lee",
        "T2\tX 2 5\tAnn",
        "T3\tZ 8 11\tLee",
        "R1\tr Arg1:T1 Arg2:T3",
    ]
    assert (losses.counts[Reasons.OUTSIDE], losses.counts[Reasons.ENTITY_LOST]) == (1, 2)
    (message,) = losses.places[Reasons.OUTSIDE]
    assert message.startswith("document 1, '")
    assert "Nothing of the text of Entity 2 (2-3, 'Y') can be written" in message


def test_brat_names(tmp_path):
    """An id that is no safe name, or is there twice, even in another case, makes room for a number."""
    ids = ["a", "A", "../b", ".c", "CON ", "", 7, {"x": 1}, "document-9", "d" * 101, None]
    losses = Losses()
    write_brat([predicted(meta={"id": i}) for i in ids], tmp_path / "out", losses)
    names = sorted(path.stem for path in (tmp_path / "out").glob("*.txt"))
    assert names == sorted(["a", "7", "document-9", *(f"document-{i}" for i in (2, 3, 4, 5, 6, 8, 10, 11))])
    assert losses.counts["meta data: field 'id' not kept"] == 7
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_brat_writes_a_new_folder_or_nothing(tmp_path):
    folder = tmp_path / "out"
    with pytest.raises(ValueError, match="no document to write"):
        write_brat([], folder)
    assert not folder.exists()
    with pytest.raises(ValueError, match="which stdout can't be"):
        write_brat([predicted()], "-")
    folder.mkdir()
    write_brat([predicted()], folder, Losses())
    before = sorted(folder.iterdir())
    with pytest.raises(ValueError, match="is there already. This format is a folder of files"):
        write_brat([predicted()], folder, Losses())
    broken = predicted(meta={"id": "b"})
    broken.spans["spert"].attrs["relations"].append([0, 9, "r", 1.0])
    with pytest.raises(StrictError, match=r"document 2, .*: its tail is not an entity"):
        write_brat([predicted(), broken], tmp_path / "other")
    assert sorted(folder.iterdir()) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


# All of them

NAMES = ["brat", "doccano", "jsonl", "labelstudio", "prodigy", "scierc", "spert-json"]
# What each needs to be read as gold.
WRITE = {"prodigy": {"answer": "accept"}, "labelstudio": {"annotations": True}}
SCORED = ("jsonl", "spert-json", "prodigy", "labelstudio")
TOKENIZED = ("jsonl", "spert-json", "prodigy", "scierc")


@pytest.mark.parametrize("name", NAMES)
def test_empty_documents_and_odd_ones(tmp_path, name):
    nothing = Doc(NLP.vocab)
    without = Doc(NLP.vocab, words=["a", "b"], spaces=[True, False])
    doubled = make_doc(NLP.vocab, "a b", [(0, 1, "X"), (0, 1, "X"), (1, 2, "X")], [(0, 2, "r"), (1, 2, "r")])
    loop = make_doc(NLP.vocab, "a b", [(0, 1, "X"), (1, 2, "X")])
    loop.spans["spert"].attrs["relations"] = [[0, 0, "r", 1.0], [0, 1, "r", 1.0], [1, 7, "r", 1.0]]
    losses = Losses()
    counts = load(writers, name)([nothing, without, doubled, loop], tmp_path / "out", losses)
    assert counts == {"documents": 4, "entities": 4, "relations": 2}
    assert losses.counts["entity: given twice, merged"] == 1
    assert losses.counts["relation: given twice, merged"] == 1
    assert losses.counts[Reasons.SELF] == 1
    assert losses.counts[Reasons.NO_ENTITY] == 1
    (message,) = losses.places[Reasons.SELF]
    assert uncoded(message).startswith("document 4, 'a b ': Relation 0 -> 0 ('r') relates an entity to itself.")


@pytest.mark.parametrize("name", NAMES)
def test_relations_that_are_not_known(tmp_path, name):
    doc = make_doc(NLP.vocab, TEXT, [(0, 1, "PER"), (2, 3, "PER")], [(0, 1, "met")])
    del doc.spans["spert"].attrs["relations"]
    losses = Losses()
    load(writers, name)([doc], tmp_path / "out", losses)
    holds = name in ("jsonl", "spert-json", "scierc", "prodigy")
    assert losses.counts["document: relations not known, written as none"] == int(not holds)
    if holds:
        load(writers, name, **WRITE.get(name, {}))([doc], tmp_path / "out", losses)
        (read,) = load(readers, name)(tmp_path / "out", NLP, losses)
        assert "relations" not in read.spans["spert"].attrs


@pytest.mark.parametrize("name", ["jsonl", "prodigy", "scierc"])
def test_tokens_that_are_not_annotated(tmp_path, name):
    """No format says of a token that nothing is known of it: what is read later has no entity there."""
    doc = Doc(NLP.vocab, words=TEXT.split())
    doc.set_ents([Span(doc, 0, 1, "PER")], default="missing")
    losses = Losses()
    load(writers, name)([doc, predicted()], tmp_path / "out", losses)
    assert losses.counts["document: tokens without annotation, written as no part of an entity"] == 1


@pytest.mark.parametrize("name", NAMES)
def test_text_of_tokens_is_counted(tmp_path, name):
    losses = Losses()
    load(writers, name)([Doc(NLP.vocab, words=["a", "b"])], tmp_path / "out", losses)
    joined = losses.counts["document: tokens without a text, joined by blanks"]
    assert joined == int(name in ("prodigy", "labelstudio", "doccano", "brat"))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "brat"])
def test_record_of_one_document(tmp_path, name):
    """What extract needs: the record of a document alone, of any span group, is the line that the writer writes."""
    load(writers, name)([predicted()], tmp_path / "out", Losses())
    doc = predicted()
    doc.spans["other"] = doc.spans.pop("spert")
    writer = load_records(name)
    line = writer.encode(gold_of(doc, Losses(), "line 1", "other"))
    assert (tmp_path / "out").read_bytes() == writer.before.encode() + line + writer.after.encode()


def test_records_by_name():
    assert sorted(records.get_all()) == [name for name in NAMES if name != "brat"]
    record = load_records("prodigy", answer="accept").to_record(gold_of(predicted(), Losses(), "line 1"))
    assert record["answer"] == "accept"
    with pytest.raises(ValueError, match="Unknown format 'brat'. Choose one of: doccano, jsonl, "):
        load_records("brat")
    with pytest.raises(ValueError, match="The format 'scierc' has no option 'offsets'"):
        load_records("scierc", offsets="bytes")


@pytest.mark.parametrize("write", [write_brat, write_doccano, write_labelstudio])
def test_unknown_unit(tmp_path, write):
    with pytest.raises(ValueError, match="Unknown unit of offsets 'letters'. Choose one of: characters, utf16, bytes"):
        write([predicted()], tmp_path / "out", offsets="letters")
    assert list(tmp_path.iterdir()) == []


def test_half_a_character_in_meta_data_is_one_broken_record(tmp_path):
    losses = Losses()
    counts = write_prodigy([predicted(meta={"x": "\ud800"}), predicted()], tmp_path / "out", losses)
    assert counts["documents"] == 1
    assert "surrogates not allowed" in losses.places[Reasons.BROKEN][0]


@pytest.mark.parametrize("name", NAMES)
@examples(40)
@given(row=documents(), data=st.data())
def test_round_trip(tmp_path_factory, name, row, data):
    """Text, entities and relations come back; scores and tokens where the format has room for them; and what doesn't
    come back is counted by the writer or by the reader."""
    doc = row.gold(NLP.vocab)
    group = doc.spans["spert"]
    if data.draw(st.booleans()):
        group.attrs["scores"] = numpy.asarray([data.draw(st.floats(0, 1, width=32)) for _ in group], dtype="float32")
        group.attrs["relations"] = [[*r[:3], data.draw(st.floats(0, 1))] for r in group.attrs["relations"]]
    doc.set_ents(filter_spans(list(group)))
    path = tmp_path_factory.mktemp("round") / "trip"
    out, back = Losses(), Losses()
    expected = gold_of(doc, Losses(), "")
    assert load(writers, name, **WRITE.get(name, {}))([doc], path, out)["documents"] == 1
    (read,) = load(readers, name)(path, NLP, back)
    if name == "scierc":
        assert [token.text for token in read] == [token.text for token in doc]
        assert out.counts[BLANKS_LOST] == int(len(doc) > 0)
    elif name == "brat":
        assert read.text == doc.text.removeprefix("\ufeff")
        assert (read.text != doc.text) == out.counts["document: its first character is read as a byte order mark"]
    else:
        assert read.text == doc.text
    found = gold_of(read, Losses(), "")
    assert len(found.spans) + lost("entity", out, back) == len(expected.spans)
    assert len(found.rows) + lost("relation", out, back) == len(expected.rows)
    if name in TOKENIZED:
        assert lost("entity", out, back) == 0
        assert [token.text for token in read] == [token.text for token in doc]
    if name in TOKENIZED and name != "scierc":
        assert {span_key(span): score for span, score in zip(found.spans, found.scores)} == {
            span_key(span): score for span, score in zip(expected.spans, expected.scores)
        }
    scores = {row_key(expected, row): row[3] if name in SCORED else 1.0 for row in expected.rows}
    assert {row_key(found, row): row[3] for row in found.rows}.items() <= scores.items()


def lost(kind, out, back):
    """How many entities or relations the writer and the reader say are lost, or merged as they read the same."""
    written = out.counts[Reasons.OUTSIDE if kind == "entity" else Reasons.ENTITY_LOST]
    return written + sum(
        n for reason, n in back.counts.items() if reason.startswith(kind + ":") and reason != Reasons.TRIMMED
    )


def span_key(span):
    """An entity by its words, as white space at its ends may be lost, blanks between tokens, and brat's mark."""
    return "".join(span.text.replace("\ufeff", "").split()), span.label_


def row_key(gold, row):
    return span_key(gold.spans[row[0]]), span_key(gold.spans[row[1]]), row[2]


@pytest.mark.parametrize("unit,shift", [("characters", 0), ("utf16", 1), ("bytes", 3)])
@pytest.mark.parametrize("name", ["jsonl", "prodigy"])
def test_units_of_offsets(tmp_path, name, unit, shift):
    words = ["🚢", "Ann", "sings"]
    doc = Doc(NLP.vocab, words=words, spaces=[True, True, False], sent_starts=[True, True, False])
    set_entities(doc, "spert", [Span(doc, 1, 2, "PER"), Span(doc, 2, 3, "ACT")], [(0, 1, "does", 1.0)])
    path, losses = tmp_path / "out", Losses()
    load(writers, name, offsets=unit)([doc], path, losses)
    (record,) = lines(path)
    places = [(span["start"], span["end"]) for span in record["entities" if name == "jsonl" else "spans"]]
    assert places == [(2 + shift, 5 + shift), (6 + shift, 11 + shift)]
    if name == "jsonl":
        assert record["token_offsets"][1] == [2 + shift, 5 + shift]
        assert record["sent_starts"] == [0, 2 + shift]
    else:
        assert record["tokens"][1]["start"] == record["relations"][0]["head_span"]["start"] == 2 + shift
        record["answer"] = "accept"
        path.write_text(json.dumps(record))
    (again,) = load(readers, name, offsets=unit)(path, NLP, Losses())
    assert spans(again) == spans(doc) and rows(again) == rows(doc)
    with pytest.raises(ValueError, match="Unknown unit of offsets 'miles'"):
        load(writers, name, offsets="miles")([doc], path, losses)


def test_scierc_has_room_for_one_id(tmp_path):
    losses = Losses()
    docs = [predicted(meta={"doc_key": "a", "id": 3}), predicted(meta={"id": 4})]
    write_scierc(docs, tmp_path / "out", losses)
    assert [record["doc_key"] for record in lines(tmp_path / "out")] == ["a", 4]
    assert losses.counts["meta data: field 'id' not kept"] == 1


def test_brat_line_break_at_the_end_of_an_entity_is_counted(tmp_path):
    doc = Doc(NLP.vocab, words=["Ann", "\n", "Lee", "\n"], spaces=[False] * 4)
    set_entities(doc, "spert", [Span(doc, 0, 3, "PER"), Span(doc, 2, 4, "NAME"), Span(doc, 1, 3, "X")], [])
    losses = Losses()
    write_brat([doc], tmp_path / "out", losses)
    (again,) = load(readers, "brat")(tmp_path / "out", NLP, Losses())
    assert [span.text for span in again.spans["spert"]] == ["Ann\nLee", "Lee"]
    assert losses.counts[Reasons.TRIMMED] == 2


def test_nothing_is_lost_of_an_empty_document(tmp_path):
    for name in ("doccano", "prodigy", "jsonl"):
        losses = Losses()
        load(writers, name)([NLP("")], tmp_path / "out", losses)
        assert losses.counts == {}


# to_json


def test_to_json():
    assert json.loads(json.dumps(spacy_spert.to_json(predicted(meta={"id": 7})))) == {
        "text": "Ann met Bob in Bonn.",
        "entities": [
            {"start": 0, "end": 3, "label": "PER", "score": 0.5},
            {"start": 8, "end": 11, "label": "PER", "score": 0.75},
            {"start": 8, "end": 19, "label": "GROUP", "score": 1.0},
            {"start": 15, "end": 19, "label": "LOC", "score": 0.25},
        ],
        "relations": [
            {"head": 0, "tail": 1, "label": "met", "score": 0.75},
            {"head": 1, "tail": 0, "label": "met", "score": 0.5},
            {"head": 0, "tail": 3, "label": "in place", "score": 1.0},
        ],
        "meta": {"id": 7},
    }


def test_to_json_of_tokens_and_of_what_is_not_known():
    doc = make_doc(NLP.vocab, "Ann sings", [(1, 2, "ACT")], key="other")
    expected = {"tokens": ["Ann", "sings"], "entities": [{"start": 1, "end": 2, "label": "ACT"}], "relations": []}
    assert spacy_spert.to_json(doc, "other") == expected
    assert spacy_spert.to_json(doc, "other", in_text=True)["entities"] == [{"start": 4, "end": 9, "label": "ACT"}]
    # The only group with relations.
    assert spacy_spert.to_json(doc) == expected
    # Without the group: doc.ents, and nothing is known of relations.
    assert spacy_spert.to_json(doc, "spert") == {"tokens": ["Ann", "sings"], "entities": []}


def test_to_json_finds_the_group_of_the_component():
    doc = predicted()
    expected = spacy_spert.to_json(doc)
    group = doc.spans.pop("spert")
    set_entities(doc, "mine", list(group), group.attrs["relations"], group.attrs["scores"])
    assert spacy_spert.to_json(doc) == expected
    # Without relations those with scores.
    set_entities(doc, "mine", list(group), None, group.attrs["scores"])
    del expected["relations"]
    assert spacy_spert.to_json(doc) == expected


def test_to_json_of_several_groups_with_relations():
    """What `doc._.relations` shows, and each entity once."""
    doc = make_doc(NLP.vocab, "Ann met Bob in Bonn", [])
    ann, bob, bonn = Span(doc, 0, 1, "PER"), Span(doc, 2, 3, "PER"), Span(doc, 4, 5, "LOC")
    set_entities(doc, "spert", [ann, bob], [(0, 1, "met", 0.5)], [0.25, 0.5])
    set_entities(doc, "other", [bonn, bob], [(1, 0, "was_in", 0.75)])
    record = spacy_spert.to_json(doc)
    assert [(e["start"], e["label"], e.get("score")) for e in record["entities"]] == [
        (0, "PER", 0.25),
        (2, "PER", 0.5),
        (4, "LOC", None),
    ]
    assert record["relations"] == [
        {"head": 0, "tail": 1, "label": "met", "score": 0.5},
        {"head": 1, "tail": 2, "label": "was_in", "score": 0.75},
    ]


def test_to_json_rounds_scores_as_extract_does():
    doc = predicted()
    doc.spans["spert"].attrs["scores"][0] = 0.12345678
    doc.spans["spert"].attrs["relations"][0][3] = 0.98765432
    record = spacy_spert.to_json(doc)
    assert (record["entities"][0]["score"], record["relations"][0]["score"]) == (0.123457, 0.987654)
