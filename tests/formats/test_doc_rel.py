"""Files of spaCy's binary format with relations in `doc._.rel`."""

import pytest
import spacy
from spacy.tokens import Doc, DocBin, Span
from util import uncoded

from spacy_spert.checks import REL_KEY
from spacy_spert.formats import Losses
from spacy_spert.formats.doc_rel import read_rel_component, read_spacy_llm

NLP = spacy.blank("en")


def store(path, *values):
    """A document for each value of `doc._.rel`; None for one that has none."""
    docs = []
    for value in values:
        doc = Doc(NLP.vocab, words=["Ann", "Lee", "lives", "in", "Bonn", "."], tags=["X"] * 6)
        doc.ents = [Span(doc, 0, 2, "PER"), Span(doc, 4, 5, "LOC", kb_id="Q586")]
        if value is not None:
            doc.user_data[REL_KEY] = value
        docs.append(doc)
    DocBin(docs=docs, attrs=["TAG", "ENT_IOB", "ENT_TYPE", "ENT_KB_ID"], store_user_data=True).to_disk(path)
    return path


def read(function, path, **options):
    losses = Losses()
    return list(function(path, NLP, losses, **options)), losses


def rows(doc):
    return doc.spans["spert"].attrs.get("relations")


def test_rel_component(tmp_path):
    gold = {(0, 4): {"LIVES_IN": 1.0, "BORN_IN": 0.0}, (4, 0): {"LIVES_IN": 0.0, "BORN_IN": 0.0}}
    none = {(0, 4): {"LIVES_IN": 0.0}}
    (first, second, third), losses = read(read_rel_component, store(tmp_path / "a.spacy", gold, none, None))
    assert rows(first) == [[0, 1, "LIVES_IN", 1.0]]
    assert [(span.text, span.label_) for span in first.spans["spert"]] == [("Ann Lee", "PER"), ("Bonn", "LOC")]
    assert [(r.head.text, r.tail.text) for r in first._.relations] == [("Ann Lee", "Bonn")]
    assert [ent.kb_id_ for ent in first.ents] == ["", "Q586"] and first[0].tag_ == "X"
    assert REL_KEY not in first.user_data
    assert rows(second) == [] and rows(third) is None
    assert losses.counts == {"record: no 'doc._.rel', taken as not annotated": 1}


def test_rel_component_keeps_scores_above_the_threshold(tmp_path):
    path = store(tmp_path / "a.spacy", {(0, 4): {"A": 0.75, "B": 0.25}, (4, 0): {"A": 0.25}})
    (doc,), _ = read(read_rel_component, path)
    assert rows(doc) == [[0, 1, "A", 0.75]]
    (doc,), _ = read(read_rel_component, path, threshold=0.25)
    assert rows(doc) == [[0, 1, "A", 0.75], [0, 1, "B", 0.25], [1, 0, "A", 0.25]]


def test_rel_component_counts_what_is_no_relation(tmp_path):
    odd = {(0, 2): {"A": 1.0}, (0, 0): {"A": 1.0}, "x": {"A": 1.0}, (4, 0): {"A": "x", "B": 1.0}, (0, 4): {"A": 1.0}}
    (doc,), losses = read(read_rel_component, store(tmp_path / "a.spacy", odd))
    assert rows(doc) == [[1, 0, "B", 1.0], [0, 1, "A", 1.0]]
    assert losses.counts == {
        "relation: head or tail is not an entity": 1,
        "relation: head and tail are the same": 1,
        "relation: can't be read": 2,
    }


def test_rel_component_odd_scores_lose_themselves(tmp_path):
    odd = {"A": None, "B": "x", "C": float("nan"), "D": [1.0], 3: 1.0, "F": 1, "G": 0.75}
    (doc,), losses = read(read_rel_component, store(tmp_path / "a.spacy", {(0, 4): odd, (4, 0): {"A": 1.0}}))
    assert rows(doc) == [[0, 1, "F", 1.0], [0, 1, "G", 0.75], [1, 0, "A", 1.0]]
    assert losses.counts == {"relation: can't be read": 4, "relation: no label": 1}
    message = uncoded(losses.places["relation: can't be read"][0])
    assert message.endswith("Expected the score of 'A' for (0, 4) to be a number, got: None")


def test_rel_component_odd_pairs_and_keys(tmp_path):
    odd = {(0, 4, 1): {"A": 1.0}, (0,): {"A": 1.0}, ("x", None): {"A": 1.0}, (0, 4): 3, (4, 0): {"A": 1.0}}
    (doc,), losses = read(read_rel_component, store(tmp_path / "a.spacy", odd))
    assert rows(doc) == [[1, 0, "A", 1.0]]
    assert losses.counts == {"relation: can't be read": 3, "relation: head or tail is not an entity": 1}


def item(dep, dest, relation="R"):
    return {"dep": dep, "dest": dest, "relation": relation}


def test_spacy_llm(tmp_path):
    items = [item(0, 1), item(1, 0, "S"), item(0, 1), item(0, 2), item(-1, 0), item(1, 1), item("x", 0), 3]
    (first, second), losses = read(read_spacy_llm, store(tmp_path / "a.spacy", items, []))
    assert rows(first) == [[0, 1, "R", 1.0], [1, 0, "S", 1.0]]
    assert rows(second) == []
    assert losses.counts == {
        "relation: given twice, merged": 1,
        "relation: head or tail is not an entity": 2,
        "relation: head and tail are the same": 1,
        "relation: can't be read": 2,
    }
    assert f"{tmp_path / 'a.spacy'}, document 1: Relation 0 -> 2 ('R')" in str(uncoded(losses.places))


@pytest.mark.parametrize(
    "function,value,other",
    [(read_rel_component, [item(0, 1)], "spacy-llm"), (read_spacy_llm, {(0, 4): {"R": 1.0}}, "rel-component")],
)
def test_the_other_of_both_formats(tmp_path, function, value, other):
    docs, losses = read(function, store(tmp_path / "a.spacy", value))
    assert docs == []
    assert f"Does another format fit ('--from {other}')?" in uncoded(losses.places["record: broken, skipped"][0])
    assert losses.counts["entity: in a broken record"] == 2
