import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.scorer import PRFScore
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.vocab import Vocab

from spacy_spert.evaluation.analysis import (
    ENTITY_KINDS,
    KINDS,
    MISSED_ENTITY,
    MISSED_PAIR,
    RELATION_KINDS,
    SPURIOUS_ENTITY,
    SPURIOUS_PAIR,
    UNDER_THRESHOLD,
    WRONG_BOUNDARY,
    WRONG_DIRECTION,
    WRONG_LABEL,
    WRONG_RELATION_LABEL,
    Analysed,
    Error,
    count_errors,
    find_errors,
    worst_first,
)
from spacy_spert.relations import Relation, set_entities
from spacy_spert.scorer import count_spert

VOCAB = Vocab()
WORDS = ["Ann", "Lee", "works", "at", "Acme", "Labs", "in", "Bonn", "with", "Bob", "."]
ANN, ACME, BONN, BOB = (0, 2, "PER"), (4, 6, "ORG"), (7, 8, "LOC"), (9, 10, "PER")
ALL = [ANN, ACME, BONN, BOB]


def make(entities=(), relations=(), words=WORDS, spaces=None, key="spert", scores=None):
    doc = Doc(VOCAB, words=words, spaces=spaces)
    rows = [(head, tail, label, score[0] if score else 1.0) for head, tail, label, *score in relations]
    set_entities(doc, key, [Span(doc, *entity) for entity in entities], rows, scores)
    return doc


def rows(errors):
    """Errors as plain values: spans as their texts."""

    def plain(spans, label):
        return (*(span.text for span in spans), label) if spans else None

    return [
        (e.kind, plain(e.gold, e.gold_label), plain(e.predicted, e.predicted_label), e.score, e.detail) for e in errors
    ]


def analyse(predicted, gold, nearly=(), **settings):
    return rows(find_errors(Example(predicted, gold), nearly, **settings))


def test_everything_right():
    relations = [(0, 1, "works_for"), (0, 3, "knows")]
    assert analyse(make(ALL, relations), make(ALL, relations)) == []


# Entities


@pytest.mark.parametrize(
    "found, expected",
    [
        ([], (MISSED_ENTITY, ("Ann Lee", "PER"), None, None, "")),
        ([(0, 2, "ORG")], (WRONG_LABEL, ("Ann Lee", "PER"), ("Ann Lee", "ORG"), 0.5, "")),
        ([(0, 1, "PER")], (WRONG_BOUNDARY, ("Ann Lee", "PER"), ("Ann", "PER"), 0.5, "")),
        ([(1, 4, "PER")], (WRONG_BOUNDARY, ("Ann Lee", "PER"), ("Lee works at", "PER"), 0.5, "")),
    ],
)
def test_missed_entity_and_what_explains_it(found, expected):
    assert analyse(make(found, scores=[0.5] * len(found)), make([ANN])) == [expected]


def test_spurious_entity():
    predicted = make([ANN, (6, 7, "LOC")], scores=[0.75, 0.5])
    assert analyse(predicted, make([ANN])) == [(SPURIOUS_ENTITY, None, ("in", "LOC"), 0.5, "")]


def test_other_boundary_and_other_label_are_two_errors():
    assert analyse(make([(0, 1, "ORG")]), make([ANN])) == [
        (MISSED_ENTITY, ("Ann Lee", "PER"), None, None, ""),
        (SPURIOUS_ENTITY, None, ("Ann", "ORG"), None, ""),
    ]


def test_entity_that_overlaps_a_right_one_is_spurious():
    assert analyse(make([ANN, (0, 1, "PER")]), make([ANN])) == [(SPURIOUS_ENTITY, None, ("Ann", "PER"), None, "")]


def test_label_goes_before_boundary():
    """One prediction each explains the gold entity; it can have one explanation only."""
    assert analyse(make([(0, 1, "PER"), (0, 2, "ORG")]), make([ANN])) == [
        (WRONG_LABEL, ("Ann Lee", "PER"), ("Ann Lee", "ORG"), None, ""),
        (SPURIOUS_ENTITY, None, ("Ann", "PER"), None, ""),
    ]


def test_larger_overlap_goes_first():
    gold = make([(0, 2, "X"), (2, 5, "X")])
    assert analyse(make([(1, 5, "X"), (5, 6, "X")]), gold) == [
        (WRONG_BOUNDARY, ("works at Acme", "X"), ("Lee works at Acme", "X"), None, ""),
        (MISSED_ENTITY, ("Ann Lee", "X"), None, None, ""),
        (SPURIOUS_ENTITY, None, ("Labs", "X"), None, ""),
    ]


def test_entities_count_once():
    assert analyse(make([BOB, BOB]), make([ANN, ANN])) == [
        (MISSED_ENTITY, ("Ann Lee", "PER"), None, None, ""),
        (SPURIOUS_ENTITY, None, ("Bob", "PER"), None, ""),
    ]


# Relations


@pytest.mark.parametrize(
    "found, expected",
    [
        ([(1, 0, "works_for", 0.5)], (WRONG_DIRECTION, ("Acme Labs", "Ann Lee", "works_for"))),
        ([(0, 1, "owns", 0.5)], (WRONG_RELATION_LABEL, ("Ann Lee", "Acme Labs", "owns"))),
        ([(1, 0, "owns", 0.5)], (WRONG_RELATION_LABEL, ("Acme Labs", "Ann Lee", "owns"))),
    ],
)
def test_missed_relation_and_what_explains_it(found, expected):
    gold = make(ALL, [(0, 1, "works_for")])
    kind, predicted = expected
    assert analyse(make(ALL, found), gold) == [(kind, ("Ann Lee", "Acme Labs", "works_for"), predicted, 0.5, "")]


@pytest.mark.parametrize(
    "found, detail",
    [
        ([ANN, ACME], "both entities found"),
        ([(0, 2, "ORG"), ACME], "both entities found"),
        ([ACME], "head not found"),
        ([ANN, (4, 5, "ORG")], "tail not found"),
        ([], "neither entity found"),
    ],
)
def test_missed_pair_says_what_became_of_its_entities(found, detail):
    gold = make([ANN, ACME], [(0, 1, "works_for")])
    pairs = [row for row in analyse(make(found), gold) if row[0] in RELATION_KINDS]
    assert pairs == [(MISSED_PAIR, ("Ann Lee", "Acme Labs", "works_for"), None, None, detail)]


@pytest.mark.parametrize(
    "gold, detail",
    [
        (ALL, "both entities in the gold data"),
        ([ACME], "head not in the gold data"),
        ([ANN], "tail not in the gold data"),
        ([], "neither entity in the gold data"),
    ],
)
def test_spurious_pair_says_whether_its_entities_are_gold(gold, detail):
    predicted = make([ANN, ACME], [(0, 1, "works_for", 0.5)])
    pairs = [row for row in analyse(predicted, make(gold)) if row[0] in RELATION_KINDS]
    assert pairs == [(SPURIOUS_PAIR, None, ("Ann Lee", "Acme Labs", "works_for"), 0.5, detail)]


def test_second_label_of_a_right_pair_is_spurious():
    predicted = make(ALL, [(0, 1, "works_for"), (0, 1, "owns")])
    assert analyse(predicted, make(ALL, [(0, 1, "works_for")])) == [
        (SPURIOUS_PAIR, None, ("Ann Lee", "Acme Labs", "owns"), 1.0, "both entities in the gold data")
    ]


def test_direction_goes_before_label_and_the_same_order_before_the_other():
    gold = make(ALL, [(0, 1, "works_for"), (0, 1, "likes")])
    predicted = make(ALL, [(1, 0, "works_for"), (1, 0, "owns"), (0, 1, "owns")])
    assert analyse(predicted, gold) == [
        (WRONG_DIRECTION, ("Ann Lee", "Acme Labs", "works_for"), ("Acme Labs", "Ann Lee", "works_for"), 1.0, ""),
        (WRONG_RELATION_LABEL, ("Ann Lee", "Acme Labs", "likes"), ("Ann Lee", "Acme Labs", "owns"), 1.0, ""),
        (SPURIOUS_PAIR, None, ("Acme Labs", "Ann Lee", "owns"), 1.0, "both entities in the gold data"),
    ]


def test_just_under_the_threshold():
    gold = make(ALL, [(0, 1, "works_for"), (1, 2, "based_in"), (0, 3, "knows")])
    predicted = make(ALL, [(1, 2, "near", 0.5)])
    ann, acme, bonn, bob = predicted.spans["spert"]
    nearly = [
        Relation(ann, acme, "works_for", 0.375),
        # Explained already, wrong in its direction, and no gold relation: none of these is one.
        Relation(acme, bonn, "based_in", 0.375),
        Relation(bob, ann, "knows", 0.375),
        Relation(bob, bonn, "lives_in", 0.375),
    ]
    assert analyse(predicted, gold, nearly) == [
        (WRONG_RELATION_LABEL, ("Acme Labs", "Bonn", "based_in"), ("Acme Labs", "Bonn", "near"), 0.5, ""),
        (UNDER_THRESHOLD, ("Ann Lee", "Acme Labs", "works_for"), None, 0.375, ""),
        (MISSED_PAIR, ("Ann Lee", "Bob", "knows"), None, None, "both entities found"),
    ]


def test_wrong_entity_label_is_no_error_of_its_relations():
    predicted = make([ANN, (4, 6, "LOC")], [(0, 1, "works_for")])
    errors = analyse(predicted, make([ANN, ACME], [(0, 1, "works_for")]))
    assert [row[0] for row in errors] == [WRONG_LABEL]


# Labels without direction


@pytest.mark.parametrize("pair", [(0, 3), (3, 0)])
def test_symmetric_relations_have_no_direction(pair):
    gold, predicted = make(ALL, [(0, 3, "knows")]), make(ALL, [(*pair, "knows")])
    assert analyse(predicted, gold, symmetric_labels=["knows"]) == []
    assert analyse(make(ALL), gold, [Relation(*predicted._.relations[0][:3], 0.375)], symmetric_labels=["knows"]) == [
        (UNDER_THRESHOLD, ("Ann Lee", "Bob", "knows"), None, 0.375, "")
    ]


def test_symmetric_relations_count_once():
    predicted = make(ALL, [(0, 3, "knows"), (3, 0, "knows")])
    errors = find_errors(Example(predicted, make(ALL)), symmetric_labels=["knows"])
    assert [error.kind for error in errors] == [SPURIOUS_PAIR]


def test_where_direction_counts_they_may_have_the_wrong_one():
    errors = analyse(make(ALL, [(3, 0, "knows")]), make(ALL, [(0, 3, "knows")]))
    assert [row[0] for row in errors] == [WRONG_DIRECTION]


# Tokens and annotation


def test_predictions_on_other_tokens():
    words = ["Ann Lee", "works", "at", "Acme", "Labs", "in", "Bo", "nn", "with", "Bob", "."]
    spaces = [True] * 6 + [False, True, True, True, False]
    predicted = make(
        [(0, 1, "PER"), (3, 5, "ORG"), (6, 7, "LOC")], [(0, 1, "works_for"), (1, 2, "based_in")], words, spaces
    )
    gold = make([ANN, ACME, BONN], [(0, 1, "works_for"), (1, 2, "based_in")], spaces=[True] * 10 + [False])
    assert analyse(predicted, gold) == [
        (WRONG_BOUNDARY, ("Bonn", "LOC"), ("Bo", "LOC"), None, ""),
        (MISSED_PAIR, ("Acme Labs", "Bonn", "based_in"), None, None, "tail not found"),
        (SPURIOUS_PAIR, None, ("Acme Labs", "Bo", "based_in"), 1.0, "tail not in the gold data"),
    ]


def test_spans_off_the_tokens_are_told_apart():
    predicted = make([(0, 1, "X"), (1, 2, "X")], words=["ab", "cd"], spaces=[False, False])
    errors = analyse(predicted, make([], words=["abcd"], spaces=[False]))
    assert [row[2] for row in errors] == [("ab", "X"), ("cd", "X")]


def test_other_group():
    predicted, gold = make([ANN], key="mine"), make([BOB], key="mine")
    kinds = [row[0] for row in analyse(predicted, gold, spans_key="mine")]
    assert kinds == [MISSED_ENTITY, SPURIOUS_ENTITY]


def test_document_without_annotation_has_no_errors():
    assert analyse(make([ANN]), Doc(VOCAB, words=WORDS)) == []


def test_prediction_without_group():
    assert [row[0] for row in analyse(Doc(VOCAB, words=WORDS), make([ANN]))] == [MISSED_ENTITY]


def test_empty_document():
    assert analyse(make(words=[]), make(words=[])) == []


# Together


def test_counts_and_order_of_documents():
    doc = make()
    documents = [
        Analysed(1, doc, doc, []),
        Analysed(2, doc, doc, [Error(MISSED_PAIR)]),
        Analysed(3, doc, doc, [Error(MISSED_PAIR), Error(WRONG_LABEL)]),
        Analysed(4, doc, doc, [Error(WRONG_LABEL)]),
    ]
    assert [document.number for document in worst_first(documents)] == [3, 2, 4, 1]
    counts = count_errors(documents)
    assert list(counts) == list(KINDS)
    assert {kind: n for kind, n in counts.items() if n} == {WRONG_LABEL: 2, MISSED_PAIR: 2}


span = st.tuples(st.integers(0, 4), st.integers(1, 5), st.sampled_from("XY")).filter(lambda row: row[0] < row[1])


@st.composite
def annotations(draw):
    entities = draw(st.lists(span, max_size=5, unique=True))
    ends = st.integers(0, max(0, len(entities) - 1))
    relation = st.tuples(ends, ends, st.sampled_from("RS")).filter(lambda row: row[0] != row[1])
    return entities, draw(st.lists(relation, max_size=5, unique=True)) if len(entities) > 1 else []


@given(annotations(), annotations(), st.sampled_from(["once", "directed"]))
@settings(deadline=None, max_examples=100)
def test_every_wrong_and_missed_item_is_in_exactly_one_error(found, gold, symmetric):
    """The scorer counts the same ones."""
    example = Example(make(*found, words=list("abcde")), make(*gold, words=list("abcde")))
    counts = count_spert([example], symmetric_labels=["S"], symmetric=symmetric)
    errors = find_errors(example, symmetric_labels=["S"] if symmetric == "once" else [])
    for name, kinds in (("spans", ENTITY_KINDS), ("rels", RELATION_KINDS)):
        total = sum(counts[name].values(), PRFScore())
        assert sum(error.kind in kinds and bool(error.gold) for error in errors) == total.fn
        assert sum(error.kind in kinds and bool(error.predicted) for error in errors) == total.fp
