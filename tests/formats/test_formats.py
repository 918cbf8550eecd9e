"""Readers of foreign formats, on small examples written here."""

import json

import pytest
import spacy
from util import uncoded

from spacy_spert.formats import READERS, Losses, StrictError, load
from spacy_spert.formats.ade import read_ade
from spacy_spert.formats.brat import read_brat
from spacy_spert.formats.conll04 import read_conll04
from spacy_spert.formats.doccano import read_doccano
from spacy_spert.formats.errors import Reasons
from spacy_spert.formats.labelstudio import read_labelstudio
from spacy_spert.formats.prodigy import read_prodigy
from spacy_spert.formats.scierc import read_scierc

NLP = spacy.blank("en")
TEXT = "Ann lives in Bonn."


def write(path, content):
    """A string as it is, a list as JSON lines, a tuple as one JSON list."""
    if isinstance(content, list):
        content = "".join(json.dumps(record) + "\n" for record in content)
    elif isinstance(content, tuple):
        content = json.dumps(content)
    path.write_bytes(content.encode("utf-8"))
    return path


def spans(doc):
    return [(span.start, span.end, span.label_) for span in doc.spans["spert"]]


def triples(doc):
    return [(relation.head.text, relation.label, relation.tail.text) for relation in doc._.relations]


def read_counting(read, path, **options):
    losses = Losses()
    return list(read(path, NLP, losses, **options)), losses


# SciERC

SCIERC = {
    "doc_key": "X1",
    "sentences": [["Ann", "Lee", "lives", "in", "Bonn", "."], ["She", "sings", "."], ["It", "rains", "."]],
    "ner": [[[0, 1, "PER"], [0, 0, "NAME"], [4, 4, "LOC"]], [[6, 6, "PER"]], []],
    "relations": [[[0, 1, 4, 4, "LIVES_IN"], [4, 4, 0, 0, "COMPARE"]], [[6, 6, 0, 1, "SAME"]], []],
}


def test_scierc_document_with_sentence_marks(tmp_path):
    (doc,) = read_scierc(write(tmp_path / "a.jsonl", [SCIERC]))
    assert [token.i for token in doc if token.is_sent_start] == [0, 6, 9]
    assert spans(doc) == [(0, 2, "PER"), (0, 1, "NAME"), (4, 5, "LOC"), (6, 7, "PER")]
    assert triples(doc) == [("Ann Lee", "LIVES_IN", "Bonn"), ("Bonn", "COMPARE", "Ann"), ("She", "SAME", "Ann Lee")]
    assert [ent.text for ent in doc.ents] == ["Ann Lee", "Bonn", "She"]
    assert doc.user_data["meta"] == {"doc_key": "X1"}
    assert doc.has_unknown_spaces


def test_scierc_per_sentence_counts_what_crosses_sentences(tmp_path):
    path = write(tmp_path / "a.jsonl", [SCIERC])
    docs, losses = read_counting(read_scierc, path, per_sentence=True)
    assert [len(doc) for doc in docs] == [6, 3, 3]
    assert [spans(doc) for doc in docs] == [[(0, 2, "PER"), (0, 1, "NAME"), (4, 5, "LOC")], [(0, 1, "PER")], []]
    assert [len(triples(doc)) for doc in docs] == [2, 0, 0]
    assert docs[1].user_data["meta"] == {"doc_key": "X1", "sentence": 1}
    assert losses.counts == {Reasons.NO_ENTITY: 1}
    assert uncoded(losses.places[Reasons.NO_ENTITY]) == [
        f"{path}:1, sentence 1: Relation (6, 6) -> (0, 1) ('SAME'): its tail is no entity of this record."
    ]


def test_scierc_second_label_duplicates_and_extras(tmp_path):
    record = {
        **SCIERC,
        "ner": [[[0, 0, "A", 1.5, 0.9], [0, 0, "B", 0.1, 0.2], [0, 0, "A"], [4, 4, "C"]], [], []],
        "relations": [[[0, 0, 4, 4, "R", 0.3], [0, 0, 4, 4, "R"]], [], []],
        "clusters": [],
    }
    (doc,), losses = read_counting(read_scierc, write(tmp_path / "a.jsonl", [record]))
    assert spans(doc) == [(0, 1, "A"), (4, 5, "C")]
    assert triples(doc) == [("Ann", "R", "Bonn")]
    assert losses.counts == {
        Reasons.CONFLICT: 1,
        "entity: given twice, merged": 1,
        "relation: given twice, merged": 1,
        "record: field 'clusters' not kept": 1,
    }


@pytest.mark.parametrize(
    "change,expected",
    [
        ({"ner": [[]]}, "'ner' has 1 lists for 3 sentences"),
        ({"ner": [[[0, 0]], [], []]}, "Expected an entry of 'ner'[0] to be 2 offsets and a label, got: [0, 0]"),
        ({"ner": [[[0, "1", "A"]], [], []]}, "Expected an entry of 'ner'[0] to be a whole number, got: '1'"),
        ({"sentences": ["Ann lives"]}, "Expected a sentence to be a list"),
        ({"relations": None}, "Expected 'relations' of the record to be a list, got: None"),
    ],
)
def test_scierc_broken(tmp_path, change, expected):
    path = write(tmp_path / "a.jsonl", [{**SCIERC, **change}, SCIERC])
    docs, losses = read_counting(read_scierc, path)
    assert len(docs) == 1
    assert f"{path}:1: {expected}" in uncoded(losses.places[Reasons.BROKEN][0])


# ADE


def test_ade_merges_the_lines_of_a_sentence_and_keeps_overlaps(tmp_path):
    sentence = "Drug rash after aspirin, and fever."
    content = (
        f"7|{sentence}|Drug rash|100|109|aspirin|116|123\n"
        "8|Other sentence about rash and zinc.|rash|21|25|zinc|30|34\n"
        f"7|{sentence}|fever|129|134|aspirin|116|123\n"
        f"7|{sentence}|rash|105|109|aspirin|116|123\n"
    )
    path = write(tmp_path / "a.rel", content)
    first, second = read_ade(path)
    assert first.text == sentence
    assert spans(first) == [
        (0, 2, "Adverse-Effect"),
        (3, 4, "Drug"),
        (6, 7, "Adverse-Effect"),
        (1, 2, "Adverse-Effect"),
    ]
    assert triples(first) == [(effect, "Adverse-Effect", "aspirin") for effect in ("Drug rash", "fever", "rash")]
    assert [ent.text for ent in first.ents] == ["Drug rash", "aspirin", "fever"]
    assert first.user_data["meta"] == {"pmid": "7"}
    assert second.user_data["meta"] == {"pmid": "8"}


def test_ade_tells_occurrences_apart_by_the_distance_of_effect_and_drug(tmp_path):
    sentence = "rash by gold or rash by zinc or gold"
    (doc,) = read_ade(write(tmp_path / "a.rel", f"1|{sentence}|rash|516|520|gold|532|536\n"))
    assert spans(doc) == [(4, 5, "Adverse-Effect"), (8, 9, "Drug")]


def test_ade_tells_occurrences_apart_by_the_other_lines(tmp_path):
    # Both pairs are equally far apart; only together do the lines say where the sentence begins.
    sentence = "X rash; then X rash."
    content = f"1|{sentence}|rash|202|206|X|200|201\n1|{sentence}|rash|215|219|X|213|214\n"
    (doc,) = read_ade(write(tmp_path / "a.rel", content))
    assert spans(doc) == [(1, 2, "Adverse-Effect"), (0, 1, "Drug"), (5, 6, "Adverse-Effect"), (4, 5, "Drug")]
    assert [(r.head.start, r.tail.start) for r in doc._.relations] == [(1, 0), (5, 4)]


def test_ade_losses(tmp_path):
    content = "1|Rash by (FU)-like drug.|Rash|0|4|FU|9|11\n1|Rash by (FU)-like drug.|Rash|0|4|gold|9|13\n1|Rash|3\n"
    path = write(tmp_path / "a.rel", content)
    (doc,), losses = read_counting(read_ade, path)
    assert spans(doc) == [(0, 1, "Adverse-Effect")]
    assert losses.counts == {
        Reasons.MISALIGNED: 1,
        Reasons.NOT_FOUND: 1,
        Reasons.ENTITY_LOST: 2,
        Reasons.BROKEN: 1,
    }
    assert uncoded(losses.places[Reasons.MISALIGNED][0]).startswith(f"{path}:1: Entity Drug 'FU' at 9 (9-11, 'Drug')")
    assert uncoded(losses.places[Reasons.NOT_FOUND]) == [f"{path}:2: Drug 'gold' does not occur in the sentence."]
    assert uncoded(losses.places[Reasons.BROKEN]) == [
        f"{path}:3: Line 3: expected 8 columns, got 3: ['1', 'Rash', '3']"
    ]


# CoNLL04


def row(number, label, index, tags, words):
    return f"{number}\t{label}\t{index}\tO\t{tags}\t{words}\tO\tO\tO\n"


CONLL04 = (
    row(3, "Peop", 0, "NNP/NNP", "Ann/Lee")
    + row(3, "O", 1, ",", "COMMA")
    + row(3, "O", 2, "-LRB-", "-LRB-")
    + row(3, "Loc", 3, "NNP/,/NNP", "Bonn/COMMA/NRW")
    + row(3, "O", 4, "-RRB-", "-RRB-")
    + row(3, "O", 5, "CD", "1/2")
    + "\n0\t3\tLive_In\n3\t0\tHolds\n\n"
)
PLAIN = row(4, "O", 0, "NNP", "Rain") + row(4, "O", 1, ".", ".") + "\n\n"


def test_conll04(tmp_path):
    path = write(tmp_path / "a.corp", CONLL04 + PLAIN + CONLL04.replace("\n", "\r\n") + PLAIN.rstrip("\n"))
    first, second, third, fourth = read_conll04(path)
    assert [token.text for token in first] == ["Ann", "Lee", ",", "(", "Bonn", ",", "NRW", ")", "1/2"]
    assert spans(first) == [(0, 2, "Peop"), (4, 7, "Loc")]
    assert triples(first) == [("Ann Lee", "Live_In", "Bonn , NRW"), ("Bonn , NRW", "Holds", "Ann Lee")]
    assert first.user_data["meta"] == {"id": "3"}
    assert [token.text for token in second] == ["Rain", "."]
    assert spans(second) == []
    assert triples(third) == triples(first)
    assert [token.text for token in fourth] == ["Rain", "."]


def test_conll04_broken_and_lost(tmp_path):
    broken = row(5, "O", 0, "X", "a") + row(5, "O", 1, "X", "b").replace("\tO\tO\tO", "") + "\n0\t1\tR\n\n"
    path = write(
        tmp_path / "a.corp", "0\t1\tR\n\n" + broken + CONLL04.replace("0\t3\tLive_In", "0\t1\tLive_In") + PLAIN
    )
    docs, losses = read_counting(read_conll04, path)
    assert [triples(doc) for doc in docs] == [[("Bonn , NRW", "Holds", "Ann Lee")], []]
    assert losses.counts == {Reasons.BROKEN: 2, Reasons.NO_ENTITY: 1}
    assert uncoded(losses.places[Reasons.BROKEN]) == [
        f"{path}:1: Relation before the sentence it belongs to.",
        f"{path}:3: Line 4: expected 9 columns, got 6: ['5', 'O', '1', 'O', 'X', 'b']",
    ]
    assert uncoded(losses.places[Reasons.NO_ENTITY]) == [
        f"{path}:8: Relation 0 -> 1 ('Live_In'): its tail is no entity of this record."
    ]


# Prodigy


def prodigy_span(start, end, label=None):
    return {"token_start": start, "token_end": end, "label": label}


PRODIGY = {
    "text": "Ann Lee lives in Bonn.",
    "tokens": [
        {"text": text, "start": start, "end": start + len(text), "id": i}
        for i, (start, text) in enumerate([(0, "Ann"), (4, "Lee"), (8, "lives"), (14, "in"), (17, "Bonn"), (21, ".")])
    ],
    "spans": [prodigy_span(0, 1, "PER"), prodigy_span(4, 4, "LOC")],
    "relations": [{"head": 1, "child": 4, "label": "LIVES_IN"}],
    "answer": "accept",
    "meta": {"source": "x"},
}


def test_prodigy(tmp_path):
    (doc,) = read_prodigy(write(tmp_path / "a.jsonl", [PRODIGY]))
    assert doc.text == PRODIGY["text"]
    assert spans(doc) == [(0, 2, "PER"), (4, 5, "LOC")]
    assert triples(doc) == [("Ann Lee", "LIVES_IN", "Bonn")]
    assert doc.user_data["meta"] == {"source": "x"}


def test_prodigy_head_span_tells_apart_spans_of_one_end(tmp_path):
    nested = [*PRODIGY["spans"], prodigy_span(1, 1, "NAME")]
    full = {"head": 1, "child": 4, "label": "R", "head_span": prodigy_span(1, 1), "child_span": prodigy_span(4, 4)}
    record = {**PRODIGY, "spans": nested, "relations": [full, *PRODIGY["relations"]]}
    (doc,), losses = read_counting(read_prodigy, write(tmp_path / "a.jsonl", [record]))
    assert triples(doc) == [("Lee", "R", "Bonn")]
    assert losses.counts == {Reasons.AMBIGUOUS: 1}


def test_prodigy_only_accepted_answers_and_only_relations_of_spans(tmp_path):
    token_relation = {"head": 1, "child": 2, "label": "SUBJ", "child_span": prodigy_span(2, 2)}
    records = [
        {**PRODIGY, "answer": "reject"},
        {**PRODIGY, "answer": "ignore"},
        {key: value for key, value in PRODIGY.items() if key != "answer"},
        {**PRODIGY, "relations": [token_relation, {"head": 3, "child": 1, "label": "X"}]},
    ]
    (doc,), losses = read_counting(read_prodigy, write(tmp_path / "a.jsonl", records))
    assert triples(doc) == []
    assert losses.counts == {
        "record: answer is 'reject', not 'accept'": 1,
        "record: answer is 'ignore', not 'accept'": 1,
        "record: answer is None, not 'accept'": 1,
        Reasons.NO_ENTITY: 2,
    }


def test_prodigy_broken(tmp_path):
    path = write(tmp_path / "a.jsonl", [{**PRODIGY, "spans": [{"start": 0, "end": 3, "label": "PER"}]}])
    docs, losses = read_counting(read_prodigy, path)
    assert docs == []
    assert uncoded(losses.places[Reasons.BROKEN]) == [f"{path}:1: 'token_start' is missing from 'spans'[0]"]


# brat

ANN = "T1\tPER 0 3\tAnn\nT2\tLOC 13 17\tBonn\nR1\tLIVES_IN Arg1:T1 Arg2:T2\t\n"


def test_brat_file_and_folder(tmp_path):
    for name in ("b", "a", "deep/c"):
        (tmp_path / "deep").mkdir(exist_ok=True)
        write(tmp_path / f"{name}.txt", TEXT)
        write(tmp_path / f"{name}.ann", ANN if name != "b" else "")
    docs = list(read_brat(tmp_path))
    assert [doc.user_data["meta"]["id"] for doc in docs] == ["a", "b", "c"]
    assert [triples(doc) for doc in docs] == [[("Ann", "LIVES_IN", "Bonn")], [], [("Ann", "LIVES_IN", "Bonn")]]
    assert spans(docs[0]) == [(0, 1, "PER"), (3, 4, "LOC")]
    for ending in ("txt", "ann"):
        (doc,) = read_brat(tmp_path / f"a.{ending}")
        assert spans(doc) == spans(docs[0])


def test_brat_offsets_count_line_breaks_as_they_are(tmp_path):
    write(tmp_path / "a.txt", "Hi.\r\nÄnn Lee\r\nsings.")
    write(tmp_path / "a.ann", "T1\tPER 5 12\tÄnn Lee\nT2\tX 9 19\tLee sings\n")
    (doc,) = read_brat(tmp_path)
    assert [span.text for span in doc.spans["spert"]] == ["Änn Lee", "Lee\r\nsings"]


def test_brat_losses(tmp_path):
    ann = (
        "T1\tPER 0 3;13 17\tAnn Bonn\n"
        "T2\tLOC 13 17\tBonn\n"
        "T3\tPER 1 4\tAnn\n"
        "T4\tPER 0 99\tAnn\n"
        "T2\tVERB 4 9\tlives\n"
        "T5\tTOWN 13 17\tBonn\n"
        "R1\tR Arg1:T1 Arg2:T2\n"
        "R2\tR Arg1:E1 Arg2:T2\n"
        "R3\tR Arg1:T2 Arg2:T2\n"
        "E1\tLIVE:T2 Agent:T1\nA1\tNegated E1\nM2\tSure E1\n"
        "#1\tAnnotatorNotes T1\tWhy?\n*\tSame T1 T2\nN1\tRef T1 W:1\tx\n"
    )
    write(tmp_path / "a.txt", TEXT)
    path = write(tmp_path / "a.ann", ann)
    write(tmp_path / "README.txt", "About")
    (doc,), losses = read_counting(read_brat, tmp_path)
    assert spans(doc) == [(3, 4, "LOC")]
    assert losses.counts == {
        Reasons.DISCONTINUOUS: 1,
        Reasons.OTHER_TEXT: 1,
        Reasons.OUTSIDE: 1,
        Reasons.SAME_ID: 1,
        Reasons.CONFLICT: 1,
        Reasons.ENTITY_LOST: 1,
        Reasons.NO_ENTITY: 1,
        Reasons.SELF: 1,
        "brat: event not kept": 1,
        "brat: attribute not kept": 2,
        "brat: note not kept": 1,
        "brat: equivalence not kept": 1,
        "brat: normalization not kept": 1,
        "brat: text file without annotation file": 1,
    }
    assert uncoded(losses.places[Reasons.OTHER_TEXT]) == [
        f"{path}:3: Entity T3 (1-4, 'PER') has the text 'nn ' here, but the file says 'Ann'. "
        "Do the offsets belong to this text?"
    ]
    assert uncoded(losses.places[Reasons.SELF][0]).startswith(f"{path}:9: ")
    with pytest.raises(StrictError, match="a.ann:1: .*Entity T1 .* consists of several parts"):
        list(read_brat(tmp_path))


def test_brat_broken(tmp_path):
    for name, ann in (("a", "T1\tPER 0 3\tAnn\nT2 LOC 13 17 Bonn\n"), ("b", ANN), ("d", ANN)):
        write(tmp_path / f"{name}.ann", ann)
        write(tmp_path / f"{name}.txt", TEXT)
    (tmp_path / "b.txt").unlink()
    docs, losses = read_counting(read_brat, tmp_path)
    assert [doc.user_data["meta"]["id"] for doc in docs] == ["d"]
    assert uncoded(losses.places[Reasons.BROKEN]) == [
        f"{tmp_path}/a.ann: Line 2: not an annotation line of brat: 'T2 LOC 13 17 Bonn'",
        f"{tmp_path}/b.ann: {tmp_path}/b.txt is missing; brat's text and annotation are two files of one name.",
    ]


# Label Studio


def label(key, start, end, *labels, **value):
    return {"id": key, "type": "labels", "value": {"start": start, "end": end, "labels": list(labels), **value}}


def ls_relation(head, tail, *labels, **more):
    return {"type": "relation", "from_id": head, "to_id": tail, "labels": list(labels), **more}


def task(*results, data=None, **more):
    return {"id": 5, "data": data or {"text": TEXT}, "annotations": [{"result": list(results)}], **more}


ANN_BONN = (label("a", 0, 3, "PER", text="Ann"), label("b", 13, 17, "LOC", text="Bonn"))


def test_labelstudio_directions(tmp_path):
    relations = [
        ls_relation("a", "b", "RIGHT", direction="right"),
        ls_relation("a", "b", "LEFT", direction="left"),
        ls_relation("a", "b", "BOTH", direction="bi"),
        ls_relation("a", "b", "NONE", "MORE"),
    ]
    path = write(tmp_path / "a.json", (task(*relations, *ANN_BONN),))
    (doc,), losses = read_counting(read_labelstudio, path)
    assert spans(doc) == [(0, 1, "PER"), (3, 4, "LOC")]
    assert triples(doc) == [
        ("Ann", "RIGHT", "Bonn"),
        ("Bonn", "LEFT", "Ann"),
        ("Ann", "BOTH", "Bonn"),
        ("Bonn", "BOTH", "Ann"),
        ("Ann", "NONE", "Bonn"),
        ("Ann", "MORE", "Bonn"),
    ]
    assert losses.counts == {"relation: direction 'bi', kept as one each way": 1}
    assert doc.user_data["meta"] == {"id": 5}


def test_labelstudio_losses(tmp_path):
    results = [
        label("a", 0, 3, "PER", "NAME"),
        label("b", 13, 17, text="Bonn"),
        label("c", "/p[1]/text()[1]", "/p[1]/text()[1]", "X"),
        label("d", 4, 9, "VERB", text="Bonn"),
        label("e", 4, 12, "PHRASE", text="lives\\nin"),
        {"id": "f", "type": "choices", "value": {"choices": ["good"]}},
        ls_relation("a", "e"),
        ls_relation("a", "b", "R"),
        ls_relation("a", "e", "R"),
    ]
    (doc,), losses = read_counting(read_labelstudio, write(tmp_path / "a.json", (task(*results),)))
    assert spans(doc) == [(0, 1, "PER"), (1, 3, "PHRASE")]
    assert triples(doc) == [("Ann", "R", "lives in")]
    assert losses.counts == {
        Reasons.CONFLICT: 1,
        "entity: no label": 1,
        Reasons.NO_OFFSETS: 1,
        Reasons.OTHER_TEXT: 1,
        "result: type 'choices' not kept": 1,
        "relation: no label": 1,
        Reasons.ENTITY_LOST: 1,
    }


def test_labelstudio_annotations_and_text(tmp_path):
    two = {**task(*ANN_BONN, data={"n": 1, "Full": TEXT})}
    two["annotations"] = [{"was_cancelled": True, "result": []}, *two["annotations"], {"result": []}]
    none = task(*ANN_BONN, annotations=[])
    unclear = task(*ANN_BONN, data={"one": TEXT, "two": TEXT})
    path = write(tmp_path / "a.json", (two, none, unclear, task(ls_relation("a", "b", "R", direction="up"))))
    docs, losses = read_counting(read_labelstudio, path)
    assert [spans(doc) for doc in docs] == [[(0, 1, "PER"), (3, 4, "LOC")]]
    assert losses.counts == {
        "record: further annotation of the same task": 1,
        "record: no annotation": 1,
        Reasons.BROKEN: 2,
    }
    assert uncoded(losses.places[Reasons.BROKEN]) == [
        f"{path}, record 3: The text is none of the strings of 'data': ['one', 'two']",
        f"{path}, record 4: Expected 'direction' of 'result'[0] to be one of right, left, bi, got: 'up'",
    ]


# Doccano

DOCCANO = {
    "id": 9,
    "text": TEXT,
    "entities": [
        {"id": 20, "label": "PER", "start_offset": 0, "end_offset": 3},
        {"id": 21, "label": "LOC", "start_offset": 13, "end_offset": 17},
    ],
    "relations": [{"id": 1, "from_id": 20, "to_id": 21, "type": "LIVES_IN"}],
    "Comments": [],
}


def test_doccano(tmp_path):
    other = {**DOCCANO, "author": "x", "relations": [{"id": 2, "from_id": 20, "to_id": 99, "type": "R"}]}
    path = write(tmp_path / "a.jsonl", [DOCCANO, other, {"id": 1, "text": TEXT, "label": []}])
    docs, losses = read_counting(read_doccano, path)
    assert [spans(doc) for doc in docs] == [[(0, 1, "PER"), (3, 4, "LOC")]] * 2
    assert [triples(doc) for doc in docs] == [[("Ann", "LIVES_IN", "Bonn")], []]
    assert docs[0].user_data["meta"] == {"id": 9}
    assert losses.counts == {
        Reasons.NO_ENTITY: 1,
        Reasons.BROKEN: 1,
        "record: field 'author' not kept": 1,
        "record: field 'label' not kept": 1,
    }
    assert uncoded(losses.places[Reasons.BROKEN]) == [f"{path}:3: 'entities' is missing from the record"]


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"\x00", b"{", b"null", b'"x"\n', b"1|2\n", b"a\tb\tc\n"])
def test_no_reader_stumbles_over_a_file_of_another_kind(tmp_path, name, content):
    path = tmp_path / "a.ann"
    path.write_bytes(content)
    (tmp_path / "a.txt").write_text("a b")
    losses = Losses()
    docs = list(load(READERS[name])(path, NLP, losses))
    if name == "brat" and content == b"":
        assert [len(doc) for doc in docs] == [2]
    else:
        assert docs == []
        assert uncoded(losses.places[Reasons.BROKEN][0]).startswith(str(path))
