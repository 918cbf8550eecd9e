"""Readers of foreign formats, on small examples written here."""

import json

import pytest
import spacy
from util import uncoded

from spacy_spert.formats import Losses, StrictError, format_names, load, readers
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
        f"{path}:1, sentence 1: Relation (6, 6) -> (0, 1) ('SAME'): its tail is not an entity of this record."
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
        ({"sentences": ["Ann lives"]}, "Expected a sentence to be a list"),
        ({"relations": {}}, "Expected 'relations' of the record to be a list, got: {}"),
    ],
)
def test_scierc_broken(tmp_path, change, expected):
    """What a record held that could not be read is counted."""
    path = write(tmp_path / "a.jsonl", [{**SCIERC, **change}, SCIERC])
    for options in ({}, {"per_sentence": True}):
        docs, losses = read_counting(read_scierc, path, **options)
        assert len(docs) == (3 if options else 1)
        assert f"{path}:1: {expected}" in uncoded(losses.places[Reasons.BROKEN][0])
        assert losses.counts["entity: in a broken record"] == 4
        assert losses.counts["relation: in a broken record"] == {"relations": 0}.get(*change, 3)


def test_scierc_odd_entries_lose_themselves(tmp_path):
    ner = [[[0, 1, "PER"], [0, 0], [0, "1", "A"], None, [4, 4, "LOC"]], [], []]
    relations = [[[0, 1, None, None, "unit"], [0, 1, 4, 4, "LIVES_IN"], "x"], [], []]
    path = write(tmp_path / "a.jsonl", [{**SCIERC, "ner": ner, "relations": relations}])
    (doc,), losses = read_counting(read_scierc, path)
    assert spans(doc) == [(0, 2, "PER"), (4, 5, "LOC")]
    assert triples(doc) == [("Ann Lee", "LIVES_IN", "Bonn")]
    assert losses.counts == {"entity: can't be read": 3, "relation: can't be read": 2}
    assert uncoded(losses.places["entity: can't be read"][:2]) == [
        f"{path}:1: Expected an entry of 'ner' to be 2 offsets and a label, got: [0, 0]",
        f"{path}:1: Expected an entry of 'ner' to be a whole number, got: '1'",
    ]


@pytest.mark.parametrize("per_sentence", [False, True])
def test_scierc_odd_lists_lose_themselves(tmp_path, per_sentence):
    """Offsets say where entries belong if there are too few or too many lists."""
    ner, relations = SCIERC["ner"], SCIERC["relations"]
    records = [
        {**SCIERC, "ner": [ner[0], None, 3]},
        {**SCIERC, "ner": [[*ner[0], *ner[1]]]},
        {**SCIERC, "ner": [[], *ner], "relations": [[], [], *relations]},
    ]
    path = write(tmp_path / "a.jsonl", records)
    docs, losses = read_counting(read_scierc, path, per_sentence=per_sentence)
    counts = [sum(len(doc.spans["spert"]) for doc in docs[i::3]) for i in range(3)] if per_sentence else None
    assert (counts or [len(spans(doc)) for doc in docs]) == ([9, 2, 0] if per_sentence else [3, 4, 4])
    assert losses.counts["list of 'ner': can't be read"] == 2
    assert losses.counts["record: number of lists in 'ner' is not that of the sentences"] == 2
    assert losses.counts["record: number of lists in 'relations' is not that of the sentences"] == 1
    assert Reasons.BROKEN not in losses.counts
    messages = uncoded(losses.places["record: number of lists in 'ner' is not that of the sentences"])
    assert messages[0] == f"{path}:2: 'ner' has 1 lists for 3 sentences."


def test_scierc_without_relations_or_entities(tmp_path):
    """What is left out has not been annotated; an empty list says that there is none."""
    records = [{k: v for k, v in SCIERC.items() if k != key} for key in ("relations", "ner")]
    path = write(tmp_path / "a.jsonl", [*records, {**SCIERC, "relations": [[], [], []]}])
    (no_relations, no_entities, none), losses = read_counting(read_scierc, path)
    assert spans(no_relations) == spans(none) and len(spans(none)) == 4
    assert "relations" not in no_relations.spans["spert"].attrs
    assert none.spans["spert"].attrs["relations"] == []
    assert spans(no_entities) == []
    assert [token.ent_iob_ for token in no_entities[:2]] == ["", ""]
    assert [token.ent_iob_ for token in none[5:7]] == ["O", "B"]
    assert losses.counts["record: no 'relations', taken as not annotated"] == 1
    assert losses.counts["record: no 'ner', taken as not annotated"] == 1


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


DOSE_TEXTS = ["5 mg", "20 mg/day", "4 times per day", "two tablets", "daily", "1.5-2 g", "10%", "high dose", "b.i.d."]
DRUG_TEXTS = ["5-FU", "B12", "2-CdA", "IL-2", "4% nitrite in alcohol", "TD 50", "5-aminosalicylic acid"]


def ade_line(number, effect, drug):
    return f"{number}|{effect} by {drug} .|{effect}|0|{len(effect)}|{drug}|{len(effect) + 4}|{len(effect + drug) + 4}\n"


@pytest.mark.parametrize("dose", DOSE_TEXTS)
def test_ade_refuses_the_file_of_doses(tmp_path, dose):
    """It has the same columns, but other relations: a dose in place of the effect. A few say that the file is one."""
    path = tmp_path / "DRUG-DOSE.rel"
    lines = [ade_line(0, dose, "Aspirin"), ade_line(1, "oral", "zinc"), ade_line(2, "much", "gold")]
    docs, losses = read_counting(read_ade, write(path, "".join(lines)))
    assert docs == []
    assert uncoded(losses.places[Reasons.BROKEN]) == [
        f"{path}: Many of its lines have a dose in place of an effect or a drug, so this seems to be DRUG-DOSE.rel. "
        "Its relations are others than those of DRUG-AE.rel, which is read here."
    ]


@pytest.mark.parametrize("drug", DRUG_TEXTS)
def test_ade_knows_drugs_and_effects_from_doses(tmp_path, drug):
    for effect in ("Type 1 diabetes", "Fever up to 39 degrees C", "A fever", "T10-T12 rash", "Two seizures"):
        (doc,), losses = read_counting(read_ade, write(tmp_path / "a.rel", ade_line(1, effect, drug)))
        assert triples(doc) == [(effect, "Adverse-Effect", drug)]
        assert losses.counts == {}


def test_ade_reads_a_file_with_a_dose_here_and_there(tmp_path):
    lines = [ade_line(i, "Rash", drug) for i, drug in enumerate(["gold", "5 mg gold", "zinc", "iron"])]
    docs, _ = read_counting(read_ade, write(tmp_path / "a.rel", "".join(lines)))
    assert len(docs) == 4


def test_ade_counts_what_a_broken_line_held(tmp_path):
    content = ade_line(1, "Rash", "gold") + ade_line(2, "Fever", "zinc").replace("|0|", "|x|")
    docs, losses = read_counting(read_ade, write(tmp_path / "a.rel", content))
    assert len(docs) == 1
    assert losses.counts == {
        Reasons.BROKEN: 1,
        Reasons.IN_BROKEN.format(kind="entity"): 2,
        Reasons.IN_BROKEN.format(kind="relation"): 1,
    }


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
    assert losses.counts == {Reasons.BROKEN: 2, "relation: in a broken record": 2, Reasons.NO_ENTITY: 1}
    assert uncoded(losses.places[Reasons.BROKEN]) == [
        f"{path}:1: Relation before the sentence it belongs to.",
        f"{path}:3: Line 4: expected 9 columns, got 6: ['5', 'O', '1', 'O', 'X', 'b']",
    ]
    assert uncoded(losses.places[Reasons.NO_ENTITY]) == [
        f"{path}:8: Relation 0 -> 1 ('Live_In'): its tail is not an entity of this record."
    ]


@pytest.mark.parametrize("odd", ["0\t3", "0\t3\tR\t", "0 3 R", "x", row(3, "O", 6, "X", "x").rstrip(), "\xff\t\t\t"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_conll04_odd_relation_lines_lose_themselves(tmp_path, odd, place):
    """Also the first, by which the others are known as relations."""
    lines = ["0\t3\tLive_In", "3\t0\tHolds"]
    lines.insert(place, odd)
    content = CONLL04.replace("0\t3\tLive_In\n3\t0\tHolds\n", "\n".join(lines) + "\n") + PLAIN + CONLL04
    docs, losses = read_counting(read_conll04, write(tmp_path / "a.corp", content))
    assert [len(triples(doc)) for doc in docs] == [2, 0, 2]
    assert losses.counts == {"relation: can't be read": 1}


def test_conll04_odd_lines_alone(tmp_path):
    """After a sentence they are relations, unless they look like a sentence of their own."""
    start = CONLL04.partition("\n\n")[0] + "\n\n"
    docs, losses = read_counting(read_conll04, write(tmp_path / "a.corp", start + "0\t3\n0 3 R\n\n" + PLAIN))
    assert [len(spans(doc)) for doc in docs] == [2, 0]
    assert losses.counts == {"relation: can't be read": 2}
    odd = row(5, "Loc", 0, "NNP", "Oslo").replace("\tO\tO\tO", "\tO\tO\tO\tO")
    docs, losses = read_counting(read_conll04, write(tmp_path / "a.corp", start + odd + odd + "\n" + PLAIN))
    assert [len(spans(doc)) for doc in docs] == [2, 0]
    assert losses.counts == {Reasons.BROKEN: 1, "entity: in a broken record": 2}


def test_conll04_odd_first_row(tmp_path):
    """The sentence is broken, and its lines are not taken for relations."""
    content = CONLL04.replace(row(3, "Peop", 0, "NNP/NNP", "Ann/Lee"), "3\tPeop\t0\n") + PLAIN
    docs, losses = read_counting(read_conll04, write(tmp_path / "a.corp", content))
    assert [len(doc) for doc in docs] == [2]
    assert losses.counts == {Reasons.BROKEN: 1, "entity: in a broken record": 2, "relation: in a broken record": 2}


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


def test_prodigy_odd_meta_data_lose_themselves(tmp_path):
    docs, losses = read_counting(read_prodigy, write(tmp_path / "a.jsonl", [{**PRODIGY, "meta": 3}]))
    assert len(docs) == 1 and "meta" not in docs[0].user_data
    assert losses.counts["meta data: can't be read"] == 1


def test_prodigy_odd_entries_and_broken_records(tmp_path):
    odd = {**PRODIGY, "spans": [{"start": 0, "end": 3, "label": "PER"}, *PRODIGY["spans"], 3]}
    odd["relations"] = [{"head": 1, "label": "X"}, *PRODIGY["relations"]]
    path = write(tmp_path / "a.jsonl", [odd, {**PRODIGY, "tokens": [{"start": 0}]}])
    (doc,), losses = read_counting(read_prodigy, path)
    assert triples(doc) == [("Ann Lee", "LIVES_IN", "Bonn")]
    assert uncoded(losses.places["entity: can't be read"]) == [
        f"{path}:1: 'token_start' is missing from 'spans'[0]",
        f"{path}:1: Expected 'spans'[3] to be an object, got: 3",
    ]
    assert uncoded(losses.places["relation: can't be read"]) == [f"{path}:1: 'child' is missing from 'relations'[0]"]
    assert uncoded(losses.places[Reasons.BROKEN]) == [f"{path}:2: 'end' is missing from 'tokens'[0]"]
    assert losses.counts["entity: in a broken record"] == 2
    assert losses.counts["relation: in a broken record"] == 1


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
        "T6\tPER 0 3\tAnn\n"
        "R1\tR Arg1:T1 Arg2:T2\n"
        "R2\tR Arg1:E9 Arg2:T2\n"
        "R4\tR Arg1:E1 Arg2:T6\n"
        "R3\tR Arg1:T2 Arg2:T2\n"
        "E1\tLIVE:T2 Agent:T1\nA1\tNegated E1\nM2\tSure E1\n"
        "#1\tAnnotatorNotes T1\tWhy?\n*\tSame T1 T2\nN1\tRef T1 W:1\tx\n"
    )
    write(tmp_path / "a.txt", TEXT)
    path = write(tmp_path / "a.ann", ann)
    write(tmp_path / "README.txt", "About")
    (doc,), losses = read_counting(read_brat, tmp_path)
    assert spans(doc) == [(3, 4, "LOC"), (0, 1, "PER")]
    assert triples(doc) == [("Bonn", "R", "Ann")]
    assert losses.counts == {
        Reasons.DISCONTINUOUS: 1,
        Reasons.OTHER_TEXT: 1,
        Reasons.OUTSIDE: 1,
        Reasons.SAME_ID: 1,
        Reasons.CONFLICT: 1,
        Reasons.ENTITY_LOST: 1,
        Reasons.NO_ENTITY: 1,
        Reasons.SELF: 1,
        "relation: to an event, kept to its trigger": 1,
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
    assert uncoded(losses.places[Reasons.SELF][0]).startswith(f"{path}:11: ")
    with pytest.raises(StrictError, match="a.ann:1: .*Entity T1 .* consists of several parts"):
        list(read_brat(tmp_path))


@pytest.mark.parametrize("width", [0, 1, 3])
def test_brat_byte_order_mark_before_ascii(tmp_path, width):
    """It counts as nothing, as a character or as its bytes: the texts tell."""
    (tmp_path / "a.txt").write_text("\ufeff" + TEXT, encoding="utf-8")
    lines = [f"T1\tPER {width} {width + 3}\tAnn\n", f"T2\tLOC {width + 13} {width + 17}\tBonn\n"]
    write(tmp_path / "a.ann", "".join(lines))
    (doc,), losses = read_counting(read_brat, tmp_path / "a.ann")
    assert spans(doc) == [(0, 1, "PER"), (3, 4, "LOC")]
    unit = {1: "characters", 3: "bytes"}.get(width)
    assert losses.counts == ({f"document: offsets taken as {unit}, with the byte order mark": 1} if unit else {})


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "latin-1"])
def test_brat_counts_what_a_file_of_another_encoding_held(tmp_path, encoding):
    (tmp_path / "a.txt").write_text(TEXT)
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    content = mark + "T1\tPER 0 3\tAnn\nT2\tLOC 13 17\tBönn\nR1\tIN Arg1:T1 Arg2:T2\n"
    (tmp_path / "a.ann").write_bytes(content.encode(encoding))
    docs, losses = read_counting(read_brat, tmp_path / "a.ann")
    if encoding == "latin-1":
        assert losses.counts == {"entity: can't be read": 1, Reasons.NO_ENTITY: 1}
        return
    assert docs == []
    assert losses.counts == {Reasons.BROKEN: 1, "entity: in a broken record": 2, "relation: in a broken record": 1}


def test_brat_roles_that_never_occur_are_named(tmp_path):
    write(tmp_path / "a.txt", TEXT)
    write(tmp_path / "a.ann", "T1\tPER 0 3\tAnn\nT2\tLOC 13 17\tBonn\nR1\tIN From:T1 To:T2\n")
    (doc,), losses = read_counting(read_brat, tmp_path, head_roles="To,Form", tail_roles="From")
    assert triples(doc) == [("Bonn", "IN", "Ann")]
    assert losses.counts == {"brat: no relation has the role 'Form', which was given": 1}


def test_brat_odd_lines_and_broken_documents(tmp_path):
    odd = ANN + "T2 LOC 13 17 Bonn\nR2\tR Arg1:T1\nX\n"
    for name, ann in (("a", odd), ("b", ANN), ("c", "<a>\n<b>\n"), ("d", ANN)):
        write(tmp_path / f"{name}.ann", ann)
        write(tmp_path / f"{name}.txt", TEXT)
    with (tmp_path / "a.ann").open("ab") as file_:
        file_.write(b"T3\tPER 0 3\t\xff\n")
    (tmp_path / "b.txt").unlink()
    docs, losses = read_counting(read_brat, tmp_path)
    assert [doc.user_data["meta"]["id"] for doc in docs] == ["a", "d"]
    assert [triples(doc) for doc in docs] == [[("Ann", "LIVES_IN", "Bonn")]] * 2
    assert uncoded(losses.places) == {
        "entity: can't be read": [
            f"{tmp_path}/a.ann:4: Line 4: not an annotation line of brat: 'T2 LOC 13 17 Bonn'",
            f"{tmp_path}/a.ann:7: 'utf-8' codec can't decode byte 0xff in position 11: invalid start byte",
        ],
        "relation: can't be read": [f"{tmp_path}/a.ann:5: Line 5: not an annotation line of brat: 'R2\\tR Arg1:T1'"],
        "line: can't be read": [f"{tmp_path}/a.ann:6: Line 6: not an annotation line of brat: 'X'"],
        Reasons.BROKEN: [
            f"{tmp_path}/b.ann: {tmp_path}/b.txt is missing; brat's text and annotation are two files of one name.",
            f"{tmp_path}/c.ann: None of its lines is one of brat's. Is it an annotation file of brat?",
        ],
    }
    assert losses.counts["entity: in a broken record"] == 2
    assert losses.counts["relation: in a broken record"] == 1


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
    assert [spans(doc) for doc in docs] == [[(0, 1, "PER"), (3, 4, "LOC")], []]
    assert losses.counts == {
        "record: further annotation of the same task": 1,
        "record: no annotation": 1,
        Reasons.BROKEN: 1,
        "entity: in a broken record": 2,
        "relation: can't be read": 1,
    }
    assert uncoded(losses.places) == {
        Reasons.BROKEN: [f"{path}, record 3: The text is none of the strings of 'data': ['one', 'two']"],
        "relation: can't be read": [
            f"{path}, record 4: Expected 'direction' of 'result'[0] to be one of right, left, bi, got: 'up'"
        ],
    }


def test_labelstudio_backslashes_and_line_breaks(tmp_path):
    """Both are a backslash and an n in the text of a span."""
    data = {"text": "C:\\new is\nbig"}
    results = [label("a", 0, 6, "X", text="C:\\new"), label("b", 7, 13, "X", text="is\\nbig")]
    results += [label("c", 0, 13, "Y", text="C:\\new is\\nbig")]
    (doc,), losses = read_counting(read_labelstudio, write(tmp_path / "a.json", (task(*results, data=data),)))
    assert [span.text for span in doc.spans["spert"]] == ["C:\\new", "is\nbig", "C:\\new is\nbig"]
    assert losses.counts == {}


@pytest.mark.parametrize("unit,start", [("characters", 2), ("utf16", 3), ("bytes", 5)])
def test_labelstudio_units_are_found_by_the_texts(tmp_path, unit, start):
    results = [label("a", start, start + 4, "LOC", text="Bonn")]
    path = write(tmp_path / "a.json", (task(*results, data={"text": "🚢 Bonn"}),))
    (doc,), losses = read_counting(read_labelstudio, path)
    assert [span.text for span in doc.spans["spert"]] == ["Bonn"]
    assert losses.counts == ({} if unit == "characters" else {f"document: offsets taken as {unit}": 1})


def test_labelstudio_odd_entries(tmp_path):
    results = [*ANN_BONN, 3, {"id": "c", "type": "labels"}, {"id": "d", "type": "labels", "value": {"labels": "X"}}]
    results += [ls_relation("a", "b", "R", direction="right"), ls_relation("c", "a", "R"), ls_relation("a", 3, "R")]
    (doc,), losses = read_counting(read_labelstudio, write(tmp_path / "a.json", (task(*results),)))
    assert triples(doc) == [("Ann", "R", "Bonn")]
    assert losses.counts == {"entity: can't be read": 3, "relation: can't be read": 1, Reasons.ENTITY_LOST: 1}


def test_labelstudio_odd_annotations_and_meta_data(tmp_path):
    odd = [None, {"result": None}, 3, {"result": list(ANN_BONN)}]
    path = write(tmp_path / "a.json", ({**task(), "annotations": odd, "meta": 3}, task(*ANN_BONN, meta={"n": 2**70})))
    docs, losses = read_counting(read_labelstudio, path)
    assert [len(spans(doc)) for doc in docs] == [2, 2]
    assert [doc.user_data["meta"] for doc in docs] == [{"id": 5}, {"id": 5}]
    assert losses.counts == {"annotation: can't be read": 3, "meta data: can't be read": 2}
    assert uncoded(losses.places["meta data: can't be read"][0]) == (
        f"{path}, record 1: Expected 'meta' of the record to be an object, got: 3"
    )


@pytest.mark.parametrize("text,first", [("Rain\r\n\r\nin Bonn.", 9), ("Rain\n\nin Bonn.", 11)])
def test_labelstudio_line_breaks_that_count_otherwise(tmp_path, text, first):
    results = [label("a", 0, 4, "X", text="Rain"), label("b", first, first + 4, "LOC", text="Bonn")]
    path = write(tmp_path / "a.json", (task(*results, data={"text": text}),))
    (doc,), losses = read_counting(read_labelstudio, path)
    assert [span.text for span in doc.spans["spert"]] == ["Rain", "Bonn"]
    breaks = "each CR LF as one" if "\r" in text else "each line break as two"
    assert losses.counts == {f"document: offsets taken as characters, {breaks}": 1}


def test_labelstudio_predictions_are_pointed_to(tmp_path):
    """With what is in them: it is not read unless that is asked for."""
    record = task(ls_relation("a", "b", "R"), *ANN_BONN)
    record["predictions"] = [{"result": []}, *record.pop("annotations")]
    path = write(tmp_path / "a.json", (record,))
    docs, losses = read_counting(read_labelstudio, path)
    assert docs == []
    assert "-o predictions=true" in losses.places[Reasons.BROKEN][0]
    assert losses.counts == {Reasons.BROKEN: 1, "entity: in a broken record": 2, "relation: in a broken record": 1}
    (doc,), losses = read_counting(read_labelstudio, path, predictions=True)
    assert len(spans(doc)) == 2 and losses.counts == {}


def test_labelstudio_counts_what_the_annotation_held_that_would_be_read(tmp_path):
    record = {**task(*ANN_BONN), "data": 3}
    record["annotations"].insert(0, {"was_cancelled": True, "result": [label("a", 0, 3, "PER")] * 5})
    docs, losses = read_counting(read_labelstudio, write(tmp_path / "a.json", (record,)))
    assert docs == []
    assert losses.counts == {Reasons.BROKEN: 1, "entity: in a broken record": 2}


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org/a.txt",
        "/data/upload/1/a.txt",
        "upload/1/a.txt",
        "/data/local-files/?d=a b.txt",
        "s3://bucket/a b.txt",
    ],
)
def test_labelstudio_urls_without_spans_are_no_texts(tmp_path, text):
    """As a text without entities they would be learned from."""
    for results in ([], [label("a", 0, 3, "PER")], [label("a", 0, 3, "PER", text="Ann")]):
        docs, losses = read_counting(
            read_labelstudio, write(tmp_path / "a.json", (task(*results, data={"text": text}),))
        )
        assert docs == []
        assert "The text is a URL" in losses.places[Reasons.BROKEN][0]
    results = [label("a", 0, 3, "X", text=text[:3]), label("b", 3, 4, "Y")]
    docs, losses = read_counting(read_labelstudio, write(tmp_path / "a.json", (task(*results, data={"text": text}),)))
    assert len(docs) == 1


def test_labelstudio_texts_with_urls_are_texts(tmp_path):
    texts = ["http://x.de is down", "upload/ of data", "See /data/upload/1/a.txt", "/data/ is full"]
    tasks = tuple(task(data={"text": text}) for text in texts)
    docs, losses = read_counting(read_labelstudio, write(tmp_path / "a.json", tasks))
    assert [doc.text for doc in docs] == texts and losses.counts == {}


def test_labelstudio_json_min_and_urls_are_named(tmp_path):
    minimal = {"id": 1, "text": TEXT, "label": [{"start": 0, "end": 3, "text": "Ann", "labels": ["PER"]}]}
    records = [
        {**minimal, "annotator": 1, "annotation_id": 2},
        task(*ANN_BONN, data={"text": "https://example.org/a.txt"}),
        task(*ANN_BONN, data={"doc": "/data/upload/1/a.txt"}),
        # A text that is a URL.
        task(label("a", 0, 13, "SITE", text="http://bonn.de"[:13]), data={"text": "http://bonn.d"}),
    ]
    path = write(tmp_path / "a.json", tuple(records))
    docs, losses = read_counting(read_labelstudio, path)
    assert [len(spans(doc)) for doc in docs] == [1]
    names = [message.split(": ")[1][:40] for message in uncoded(losses.places[Reasons.BROKEN])]
    assert names == ["This is Label Studio's export JSON-MIN, ", "The text is a URL", "The text is a URL"]
    assert losses.counts["entity: in a broken record"] == 5


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
    path = write(tmp_path / "a.jsonl", [DOCCANO, other, {"id": 1, "text": TEXT}])
    docs, losses = read_counting(read_doccano, path)
    assert [spans(doc) for doc in docs] == [[(0, 1, "PER"), (3, 4, "LOC")]] * 2
    assert [triples(doc) for doc in docs] == [[("Ann", "LIVES_IN", "Bonn")], []]
    assert docs[0].user_data["meta"] == {"id": 9}
    assert losses.counts == {Reasons.NO_ENTITY: 1, Reasons.BROKEN: 1, "record: field 'author' not kept": 1}
    assert uncoded(losses.places[Reasons.BROKEN]) == [f"{path}:3: 'entities' is missing from the record"]


def doccano(text, *ends, relations=((0, 1),), **more):
    entities = [{"id": i, "label": "X", "start_offset": a, "end_offset": b} for i, (a, b) in enumerate(ends)]
    pairs = [{"id": i, "from_id": head, "to_id": tail, "type": "r"} for i, (head, tail) in enumerate(relations)]
    return {"text": text, "entities": entities, "relations": pairs, **more}


@pytest.mark.parametrize(
    "options,ends,said",
    [
        ({}, [(5, 6), (7, 8)], "utf16"),
        ({"offsets": "utf16"}, [(5, 6), (7, 8)], "utf16"),
        ({"offsets": "characters"}, [(3, 4), (5, 6)], "characters"),
        ({"offsets": "bytes"}, [(9, 10), (11, 12)], "bytes"),
    ],
)
def test_doccano_units(tmp_path, options, ends, said):
    """What was taken is said where it matters."""
    path = write(tmp_path / "a.jsonl", [doccano("🚢🚢 k l m n", *ends), DOCCANO])
    (doc, _), losses = read_counting(read_doccano, path, **options)
    assert triples(doc) == [("k", "r", "l")]
    assert losses.counts == {f"document: offsets taken as {said}": 1}
    early = doccano("k l 🚢", (0, 1), (2, 3))
    (doc,), losses = read_counting(read_doccano, write(path, [early]), **options)
    assert triples(doc) == [("k", "r", "l")] and losses.counts == {}


def test_doccano_older_exports(tmp_path):
    label = {key: DOCCANO[key] for key in ("entities", "relations")}
    records = [
        {"id": 9, "data": TEXT, "label": label},
        {"id": 9, "text": TEXT, "label": [[0, 3, "PER"], [13, 17, "LOC"]], "comments": []},
        {"id": 9, "text": TEXT, "labels": [[0, 3, "PER"], [13, 17, "LOC"]]},
    ]
    docs, losses = read_counting(read_doccano, write(tmp_path / "a.jsonl", records))
    assert [spans(doc) for doc in docs] == [[(0, 1, "PER"), (3, 4, "LOC")]] * 3
    assert [triples(doc) for doc in docs] == [[("Ann", "LIVES_IN", "Bonn")], [], []]
    assert [doc.spans["spert"].attrs.get("relations") for doc in docs[1:]] == [None, None]
    assert losses.counts == {"record: no 'relations', taken as not annotated": 2}


def test_doccano_odd_entries(tmp_path):
    odd = doccano(TEXT, (0, 3), (13, 17), relations=((0, 1), (None, 0)))
    odd["entities"] += [{"id": 7, "label": "X", "start_offset": "1", "end_offset": 2}, None]
    odd["relations"].append({"id": 9, "from_id": 7, "to_id": 0, "type": "r"})
    older = {"text": TEXT, "label": [[0, 3, "PER"], ["x"], [13, 17, "LOC"]]}
    path = write(tmp_path / "a.jsonl", [odd, older, {**doccano(TEXT, (0, 3), (13, 17)), "text": None}])
    docs, losses = read_counting(read_doccano, path)
    assert [len(spans(doc)) for doc in docs] == [2, 2]
    assert triples(docs[0]) == [("Ann", "r", "Bonn")]
    assert losses.counts == {
        "entity: can't be read": 3,
        "relation: can't be read": 1,
        Reasons.ENTITY_LOST: 1,
        "record: no 'relations', taken as not annotated": 1,
        Reasons.BROKEN: 1,
        "entity: in a broken record": 2,
        "relation: in a broken record": 1,
    }


@pytest.mark.parametrize("name", format_names(readers))
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"\x00", b"{", b"null", b'"x"\n', b"1|2\n", b"a\tb\tc\n"])
def test_no_reader_stumbles_over_a_file_of_another_kind(tmp_path, name, content):
    path = tmp_path / "a.ann"
    path.write_bytes(content)
    (tmp_path / "a.txt").write_text("a b")
    losses = Losses()
    docs = list(load(readers, name)(path, NLP, losses))
    if name == "brat" and content == b"":
        assert [len(doc) for doc in docs] == [2]
    else:
        assert docs == []
        assert uncoded(losses.places[Reasons.BROKEN][0]).startswith(str(path))
