"""All that has a score, as arrays, with whether it is right."""

import numpy
import pytest
from spacy.tokens import Doc
from spacy.training import Example
from spacy.vocab import Vocab
from util import make_doc

from spacy_spert.evaluation.scored import DocumentRows, gather, read_document
from spacy_spert.relations import set_entities, set_relations

TEXT = "Ann Lee works for Acme Labs in Bonn ."
ENTITIES = [(0, 2, "PER"), (4, 6, "ORG"), (7, 8, "LOC")]


def make_pair(gold, predicted, relations, scores):
    vocab = Vocab()
    doc = make_doc(vocab, TEXT, predicted)
    set_entities(doc, "spert", doc.spans["spert"], relations, scores)
    return Example(doc, make_doc(vocab, *gold))


def read(gold, predicted, relations, scores, symmetric_labels=(), symmetric="once"):
    example = make_pair(gold, predicted, relations, scores)
    return read_document(example, "spert", symmetric_labels, symmetric)


def test_right_are_those_of_the_strict_score():
    gold = (TEXT, ENTITIES, [(0, 1, "works_for"), (1, 2, "based_in")])
    predicted = [(0, 2, "PER"), (4, 6, "ORG"), (7, 8, "ORG")]
    relations = [(0, 1, "works_for", 0.5), (1, 0, "works_for", 0.25), (1, 2, "based_in", 0.75)]
    rows = read(gold, predicted, relations, [1.0, 0.5, 0.25])
    assert rows.entities == [("PER", 1.0, "PER"), ("ORG", 0.5, "ORG"), ("ORG", 0.25, "LOC")]
    # Bonn has another label, so that its relation is not right.
    assert rows.relations == [
        ("works_for", 0.5, True, 0, 1),
        ("works_for", 0.25, False, 1, 0),
        ("based_in", 0.75, False, 1, 2),
    ]
    assert sorted(rows.gold_entities) == ["LOC", "ORG", "PER"]
    assert sorted(rows.gold_relations) == [("based_in", "ORG", "LOC"), ("works_for", "PER", "ORG")]


def test_symmetric_relations_are_right_in_both_orders_unless_their_direction_counts():
    gold = (TEXT, ENTITIES, [(1, 0, "near")])
    for symmetric, right in (("once", True), ("twice", True), ("directed", False)):
        rows = read(gold, ENTITIES, [(0, 1, "near", 0.5)], [1.0] * 3, ["near"], symmetric)
        assert rows.relations == [("near", 0.5, right, 0, 1)]
        assert len(rows.gold_relations) == 1


def test_entities_without_scores_are_certain():
    rows = read((TEXT, ENTITIES), ENTITIES[:1], [], None)
    assert rows.entities == [("PER", 1.0, "PER")]


def test_what_can_not_be_judged_is_no_candidate():
    vocab = Vocab()
    words = TEXT.split()
    # Known are the entities of the first four tokens only.
    gold = Doc(vocab, words=words, ents=["B-PER", "I-PER", "O", "O", "B-ORG", "I-ORG", "", "", "O"])
    doc = make_doc(vocab, TEXT, [(0, 2, "PER"), (4, 6, "ORG"), (5, 7, "ORG"), (7, 8, "LOC")])
    set_entities(doc, "spert", doc.spans["spert"], [(0, 1, "works_for", 0.5), (1, 3, "based_in", 0.5)], [0.9] * 4)
    set_relations(gold, [(gold.ents[0], gold.ents[1], "works_for")], "gold")
    rows = read_document(Example(doc, gold), "spert", ())
    assert rows.entities == [("PER", pytest.approx(0.9), "PER"), ("ORG", pytest.approx(0.9), "ORG")]
    assert rows.relations == [("works_for", 0.5, True, 0, 1)] and rows.chosen == [0, 1]


def test_relations_of_documents_without_annotated_ones_are_no_candidates():
    example = make_pair((TEXT, ENTITIES), ENTITIES, [(0, 1, "works_for", 0.5)], [1.0] * 3)
    example.reference.spans["spert"].attrs.pop("relations")
    rows = read_document(example, "spert", ())
    assert len(rows.entities) == 3 and rows.relations == [] and rows.gold_relations == []


def test_documents_are_put_together():
    first = DocumentRows([("B", 0.5, "B"), ("A", 0.25, None)], [("r", 0.5, True, 1, 0)], ["B", "C"], [("r", "A", "B")])
    second = DocumentRows([], [], ["A"], [])
    third = DocumentRows([("A", 1.0, "A"), ("A", 0.75, "A")], [("q", 0.25, False, 0, 1)], ["A", "A"], [])
    scored = gather([first, second, third], ["A", "B"], ["q", "r"])
    assert scored.n_documents == 3
    assert scored.entities.labels == ["A", "B", "C"] and scored.relations.labels == ["q", "r"]
    assert scored.entities.documents.tolist() == [0, 0, 2, 2]
    assert scored.entities.columns.tolist() == [1, 0, 0, 0]
    assert scored.entities.scores.tolist() == [0.5, 0.25, 1.0, 0.75]
    assert scored.entities.gold.tolist() == [[0, 1, 1], [1, 0, 0], [2, 0, 0]]
    assert scored.actual.tolist() == [1, -1, 0, 0] and scored.entities.right.tolist() == [True, False, True, True]
    assert scored.pairs.tolist() == [[1, 0], [2, 3]]
    assert scored.types() == [("r", "A", "B"), ("q", "A", "A")]
    assert scored.gold_types == [{("r", "A", "B"): 1}, {}, {}]
    counts = scored.entities.count(scored.entities.scores > 0.3)
    assert counts.tolist() == [
        [[0, 0, 0], [1, 0, 0], [0, 0, 1]],
        [[0, 0, 1], [0, 0, 0], [0, 0, 0]],
        [[2, 0, 0], [0, 0, 0], [0, 0, 0]],
    ]
    assert scored.relations.count(scored.relations.scores >= 0)[2].tolist() == [[0, 1, 0], [0, 0, 0]]


def test_documents_are_left_out():
    first = DocumentRows([("B", 0.5, "B"), ("A", 0.25, None)], [("r", 0.5, True, 1, 0)], ["B"], [("r", "A", "B")])
    second = DocumentRows([("A", 1.0, "A"), ("A", 0.75, "A")], [("q", 0.25, False, 0, 1)], ["A", "A"], [])
    logits = numpy.arange(12.0).reshape(4, 3)
    scored = gather([first, second], ["A", "B"], ["q", "r"], logits=logits).select(numpy.asarray([False, True]))
    assert scored.entities.documents.tolist() == [1, 1] and scored.entities.scores.tolist() == [1.0, 0.75]
    assert scored.entities.gold.tolist() == [[0, 0], [2, 0]] and scored.logits.tolist() == logits[2:].tolist()
    assert scored.pairs.tolist() == [[0, 1]] and scored.relations.scores.tolist() == [0.25]
    assert scored.actual.tolist() == [0, 0] and scored.gold_types == [{}, {}]


def test_nothing_is_put_together():
    scored = gather([DocumentRows([], [], [], [])], ["A"], [])
    assert scored.entities.count(scored.entities.right).tolist() == [[[0, 0, 0]]]
    assert scored.pairs.shape == (0, 2) and scored.types() == []
