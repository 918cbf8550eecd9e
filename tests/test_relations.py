import pickle

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, DocBin, Span, SpanGroup
from spacy.vocab import Vocab
from strategies import documents, examples

from spacy_spert import (
    Relation,
    get_relations,
    install_extension,
    join_docs,
    set_relations,
    span_as_doc,
    to_json,
    to_triples,
)
from spacy_spert.relations import blocked_tokens, describe_doc, related_groups, set_entities

VOCAB = Vocab()
WORDS = ["Ann", "works", "for", "Acme", "Labs", "in", "Bonn", ".", "Bob", "leads", "it", "."]
ENTITIES = [(0, 1, "PER"), (3, 5, "ORG"), (3, 4, "ORG"), (6, 7, "LOC"), (8, 9, "PER")]
ROWS = [(0, 1, "WORKS_FOR", 1.0), (1, 3, "BASED_IN", 0.5), (4, 1, "LEADS", 0.25)]


def bare(words=WORDS):
    return Doc(VOCAB, words=words)


def spans_of(doc, entities=ENTITIES):
    return [Span(doc, start, end, label) for start, end, label in entities]


@pytest.fixture
def doc():
    """Five entities, two of them nested, without relations."""
    doc = bare()
    doc.spans["spert"] = spans_of(doc)
    return doc


@pytest.fixture
def related():
    """The same with three relations and with scores."""
    doc = bare()
    set_entities(doc, "spert", spans_of(doc), ROWS, [0.5, 0.75, 1.0, 0.25, 0.125])
    return doc


def read(doc):
    """Relations as comparable values."""
    return [
        ((head.start, head.end, head.label_), (tail.start, tail.end, tail.label_), label, score)
        for head, tail, label, score in doc._.relations
    ]


def expected(chosen=(0, 1, 2), offset=0):
    moved = [(start + offset, end + offset, label) for start, end, label in ENTITIES]
    return [(moved[head], moved[tail], label, score) for head, tail, label, score in (ROWS[i] for i in chosen)]


def state(doc):
    """All that a failed assignment must leave alone."""
    groups = {
        key: ([(s.start, s.end, s.label_) for s in group], {k: repr(v) for k, v in group.attrs.items()})
        for key, group in doc.spans.items()
    }
    return groups, [(ent.start, ent.end, ent.label_) for ent in doc.ents], dict(doc.user_data)


# Reading and writing


def test_document_without_anything_has_no_relations():
    assert bare()._.relations == ()


@pytest.mark.parametrize("end", [0, 2, 6])
def test_relations_on_tokens_that_changed(related, end):
    """spaCy leaves span groups as they are, so that entities lie on other words, or beyond the end."""
    assert len(get_relations(related)) == 3
    with related.retokenize() as retokenizer:
        if end:
            retokenizer.merge(related[:end])
        else:
            retokenizer.split(related[0], ["A", "nn"], [(related[0], 1), related[1]])
    for read_from in (get_relations, to_json, to_triples):
        with pytest.raises(ValueError, match="were merged or split after they were stored"):
            read_from(related)


def test_relations_are_read_as_they_were_written(doc):
    ents = doc.spans["spert"]
    doc._.relations = [Relation(ents[0], ents[1], "WORKS_FOR"), (ents[4], ents[1], "LEADS", 0.25)]
    assert doc._.relations == (
        Relation(ents[0], ents[1], "WORKS_FOR", 1.0),
        Relation(ents[4], ents[1], "LEADS", 0.25),
    )
    assert all(type(relation) is Relation for relation in doc._.relations)


def test_entities_may_be_given_as_new_spans(doc):
    doc._.relations = [(Span(doc, 0, 1, "PER"), Span(doc, 3, 5, "ORG"), "WORKS_FOR")]
    assert read(doc) == expected([0])


def test_an_iterator_is_taken(doc):
    ents = list(doc.spans["spert"])
    doc._.relations = ((ents[h], ents[t], label, score) for h, t, label, score in ROWS)
    assert read(doc) == expected()


def test_nested_entities_are_told_apart(doc):
    ents = doc.spans["spert"]
    doc._.relations = [(ents[2], ents[1], "PART_OF"), (ents[1], ents[2], "CONTAINS")]
    assert [(head.text, tail.text) for head, tail, _, _ in doc._.relations] == [
        ("Acme", "Acme Labs"),
        ("Acme Labs", "Acme"),
    ]


def test_same_boundaries_with_two_labels_are_two_entities():
    doc = bare()
    doc.spans["spert"] = spans_of(doc, [(0, 1, "PER"), (0, 1, "NAME")])
    doc._.relations = [(Span(doc, 0, 1, "NAME"), Span(doc, 0, 1, "PER"), "OF")]
    assert [(head.label_, tail.label_) for head, tail, _, _ in doc._.relations] == [("NAME", "PER")]


def test_entity_that_is_stored_twice_is_one():
    doc = bare()
    doc.spans["spert"] = spans_of(doc, [(0, 1, "PER"), (3, 5, "ORG"), (0, 1, "PER")])
    ents = doc.spans["spert"]
    doc._.relations = [(ents[2], ents[1], "WORKS_FOR")]
    assert ents.attrs["relations"] == [[0, 1, "WORKS_FOR", 1.0]]
    with pytest.raises(ValueError, match="to itself"):
        doc._.relations = [(ents[0], ents[2], "IS")]


def test_writing_replaces(related):
    ents = related.spans["spert"]
    related._.relations = [(ents[3], ents[0], "NEAR")]
    assert read(related) == [((6, 7, "LOC"), (0, 1, "PER"), "NEAR", 1.0)]


def test_clearing(related):
    related._.relations = []
    assert related._.relations == ()
    assert [(s.start, s.end, s.label_) for s in related.spans["spert"]] == ENTITIES


def test_writing_keeps_the_scores_of_the_entities(related):
    related._.relations = []
    assert related.spans["spert"].attrs["scores"].tolist() == [0.5, 0.75, 1.0, 0.25, 0.125]


def test_rewriting_what_was_read_changes_nothing(related):
    before = state(related)
    related._.relations = related._.relations
    assert state(related) == before


def test_doc_ents_are_used_where_there_is_no_group():
    doc = bare()
    doc.ents = spans_of(doc, [(0, 1, "PER"), (3, 5, "ORG")])
    doc._.relations = [(doc.ents[0], doc.ents[1], "WORKS_FOR")]
    assert read(doc) == expected([0])
    assert [(s.start, s.end, s.label_) for s in doc.spans["spert"]] == [(0, 1, "PER"), (3, 5, "ORG")]
    assert len(doc.ents) == 2


def test_no_relations_on_a_document_without_entities_is_no_error():
    doc = bare()
    doc._.relations = []
    assert "spert" not in doc.spans


def test_what_is_read_can_not_be_appended_to(related):
    """It would not be stored."""
    with pytest.raises(AttributeError, match="tuple.*append"):
        related._.relations.append(related._.relations[0])


@pytest.mark.parametrize("ents", [[(0, 1, "PER"), (3, 5, "ORG")], []])
def test_no_relations_are_known_ones_also_where_only_doc_ents_were_set(ents):
    doc = bare()
    doc.ents = spans_of(doc, ents)
    assert related_groups(doc) == {}
    doc._.relations = []
    assert list(related_groups(doc)) == ["spert"]
    assert [(s.start, s.end, s.label_) for s in doc.spans["spert"]] == ents
    assert doc.spans["spert"].attrs == {"relations": []}


def test_relations_that_are_not_known(doc, related):
    assert related_groups(doc) == {} and doc._.relations == ()
    doc.spans["spert"].attrs["relations"] = None
    assert related_groups(doc) == {} and doc._.relations == ()
    set_entities(related, "spert", spans_of(related), None)
    assert related_groups(related) == {} and "relations" not in related.spans["spert"].attrs
    assert list(related_groups(span_as_doc(related[1:8]))) == []
    assert list(related_groups(join_docs([related, doc]))) == []
    related._.relations = []
    assert list(related_groups(span_as_doc(related[1:8]))) == ["spert"]
    assert list(related_groups(join_docs([related, doc]))) == ["spert"]


def test_blocked_tokens(doc):
    doc.set_ents([Span(doc, 0, 1, "PER")], blocked=[doc[3:5]], missing=[doc[6:7]])
    assert [(span.start, span.end) for span in blocked_tokens(doc)] == [(3, 4), (4, 5)]


def test_a_document_is_described_for_errors_only(doc, monkeypatch):
    """It walks all tokens, which would take long for each of many relations."""
    described = []
    monkeypatch.setattr("spacy_spert.relations.describe_doc", lambda doc: described.append(doc) or "it")
    spans = list(doc.spans["spert"])
    set_relations(doc, [Relation(spans[0], spans[1], "WORKS_FOR")] * 3)
    assert len(get_relations(doc)) and not described
    with pytest.raises(ValueError, match="document it"):
        set_relations(doc, [Relation(spans[0], spans[0], "WORKS_FOR")])
    assert described


def test_installing_twice_is_harmless(related):
    install_extension()
    assert read(related) == expected()


@pytest.mark.parametrize(
    "label, score",
    [("X", 1), ("X", numpy.float32(0.5)), ("X", True), (numpy.str_("X"), 0.5)],
    ids=["int", "float32", "bool", "str_"],
)
def test_rows_hold_plain_python_values(doc, label, score):
    ents = doc.spans["spert"]
    doc._.relations = [(ents[0], ents[1], label, score)]
    (row,) = doc.spans["spert"].attrs["relations"]
    assert type(row) is list
    assert [type(value) for value in row] == [int, int, str, float]


def test_set_entities_makes_plain_rows():
    doc = bare()
    row = (numpy.int64(0), numpy.int32(1), numpy.str_("X"), numpy.float32(0.5))
    set_entities(doc, "spert", spans_of(doc), [row])
    (row,) = doc.spans["spert"].attrs["relations"]
    assert row == [0, 1, "X", 0.5]
    assert [type(value) for value in row] == [int, int, str, float]
    assert "scores" not in doc.spans["spert"].attrs


def test_same_entities_keep_their_group_with_what_others_have_stored_there(related):
    """Given entities come sorted, but the attributes of others go by the order of the group."""
    related.spans["spert"].attrs["colours"] = ["red", "blue", "green", "grey", "pink"]
    order = [0, 2, 1, 3, 4]
    set_entities(related, "spert", spans_of(related, [ENTITIES[i] for i in order]), [(1, 2, "PART", 0.5)])
    group = related.spans["spert"]
    assert [(s.start, s.end, s.label_) for s in group] == ENTITIES
    assert group.attrs["colours"] == ["red", "blue", "green", "grey", "pink"]
    assert group.attrs["scores"].tolist() == [0.5, 0.75, 1.0, 0.25, 0.125]
    assert group.attrs["relations"] == [[2, 1, "PART", 0.5]]
    set_entities(related, "spert", spans_of(related, [ENTITIES[i] for i in order]), [], [0, 0.25, 0.5, 0.75, 1])
    assert related.spans["spert"].attrs["scores"].tolist() == [0, 0.5, 0.25, 0.75, 1]


def test_other_entities_replace_the_group(related):
    set_entities(related, "spert", spans_of(related, [*ENTITIES[:4], (8, 9, "ORG")]), [(4, 1, "LEADS", 1.0)])
    assert related.spans["spert"].attrs == {"relations": [[4, 1, "LEADS", 1.0]]}


# Several groups


def test_relations_of_all_groups_are_read_by_default(related):
    set_entities(related, "other", spans_of(related, ENTITIES[3:]), [(1, 0, "NEAR", 0.5)])
    near = ((8, 9, "PER"), (6, 7, "LOC"), "NEAR", 0.5)
    assert read(related) == [*expected(), near]
    assert [relation.label for relation in get_relations(related, "other")] == ["NEAR"]
    assert [relation.label for relation in get_relations(related, "spert")] == ["WORKS_FOR", "BASED_IN", "LEADS"]
    assert get_relations(related, "missing") == ()


def test_writing_goes_to_the_group_that_holds_relations(doc):
    set_entities(doc, "other", spans_of(doc, ENTITIES[3:]), [(1, 0, "NEAR", 0.5)])
    doc._.relations = [(doc.spans["other"][0], doc.spans["other"][1], "FAR")]
    assert [relation.label for relation in get_relations(doc, "other")] == ["FAR"]
    assert get_relations(doc, "spert") == ()


def test_writing_to_a_named_group_leaves_the_others(related):
    related.spans["other"] = spans_of(related, ENTITIES[3:])
    set_relations(related, [(*related.spans["other"], "NEAR")], "other")
    assert [relation.label for relation in get_relations(related, "other")] == ["NEAR"]
    assert [relation.label for relation in get_relations(related, "spert")] == ["WORKS_FOR", "BASED_IN", "LEADS"]


def test_assigning_replaces_the_relations_of_all_groups(related):
    """What is read covers all groups, so what is assigned replaces all of it."""
    set_entities(related, "other", spans_of(related, ENTITIES[3:]), [(1, 0, "NEAR", 0.5)])
    related._.relations = []
    assert related._.relations == ()


# Errors


def check_refused(doc, relations, message, *words, key=None):
    before = state(doc)
    with pytest.raises(ValueError, match=message) as caught:
        set_relations(doc, relations, key)
    for word in ("Ann works for", *words):
        assert word in str(caught.value)
    assert state(doc) == before


@pytest.mark.parametrize("side", ["head", "tail"])
def test_argument_that_is_no_entity_is_refused(related, side):
    good, bad = related.spans["spert"][0], Span(related, 9, 11, "X")
    pair = (bad, good) if side == "head" else (good, bad)
    relations = [*related._.relations, (*pair, "LEADS")]
    check_refused(related, relations, "not among the entities", "relation 3", "'LEADS'", side, "leads it", "9-11")


def test_entity_with_another_label_is_refused(related):
    relations = [(related.spans["spert"][0], Span(related, 3, 5, "LOC"), "LEADS")]
    check_refused(related, relations, "not among the entities", "relation 0", "tail", "Acme Labs", "'LOC'")


def test_relation_to_itself_is_refused(related):
    ent = related.spans["spert"][1]
    check_refused(related, [(ent, Span(related, 3, 5, "ORG"), "IS")], "to itself", "Relation 0", "'IS'", "Acme Labs")


@pytest.mark.parametrize("key", [None, "mine"])
def test_document_without_entities_is_refused(key):
    doc = bare()
    relations = [(Span(doc, 0, 1, "PER"), Span(doc, 3, 5, "ORG"), "WORKS_FOR")]
    check_refused(doc, relations, "no entities", f"'{key or 'spert'}'", key=key)


def test_failure_with_doc_ents_makes_no_group():
    doc = bare()
    doc.ents = spans_of(doc, [(0, 1, "PER")])
    check_refused(doc, [(doc.ents[0], Span(doc, 3, 5, "ORG"), "X")], "not among the entities", "'spert'")


@pytest.mark.parametrize("row", [(0, 5, "X", 1.0), (-1, 0, "X", 1.0)])
def test_stored_relation_outside_the_group_is_reported(related, row):
    related.spans["spert"].attrs["relations"].append(list(row))
    with pytest.raises(ValueError, match="Relation 3 of document 'Ann works for.*entity (5|-1).*'spert'.*5 entities"):
        _ = related._.relations


@pytest.mark.parametrize(
    "value",
    [None, 3, "abc", (), ("a", "b", "c"), ("span", "span"), ("span", "span", 7), ("span", "span", "X", "high")],
    ids=str,
)
def test_value_of_another_form_is_refused(related, value):
    if isinstance(value, tuple):
        ents = iter(related.spans["spert"])
        value = tuple(next(ents) if item == "span" else item for item in value)
    relations = [*related._.relations, value]
    check_refused(related, relations, "Expected spacy_spert.Relation", "relation 3", repr(value))


def test_tokens_are_no_arguments(related):
    check_refused(related, [(related[0], related[3], "X")], "Expected spacy_spert.Relation", "relation 0")


@pytest.mark.parametrize("side", ["head", "tail"])
def test_span_of_another_document_is_refused(related, side):
    own, other = related.spans["spert"][0], spans_of(bare())[1]
    pair = (other, own) if side == "head" else (own, other)
    check_refused(related, [(*pair, "X")], "belongs to another document", "Relation 0", side, "Acme Labs")


def test_long_documents_are_named_by_their_beginning():
    doc = Doc(VOCAB, words=["word"] * 100)
    assert describe_doc(doc) == repr("word " * 9 + "wo...")


# Travel


def to_bytes(doc):
    return Doc(Vocab()).from_bytes(doc.to_bytes())


def to_bytes_without_user_data(doc):
    return Doc(Vocab()).from_bytes(doc.to_bytes(exclude=["user_data"]))


def doc_bin(doc):
    (found,) = DocBin().from_bytes(DocBin(docs=[doc]).to_bytes()).get_docs(Vocab())
    return found


def doc_bin_with_user_data(doc):
    binary = DocBin(docs=[doc], store_user_data=True).to_bytes()
    (found,) = DocBin().from_bytes(binary).get_docs(Vocab())
    return found


def pickled(doc):
    return pickle.loads(pickle.dumps(doc))


TRAVEL = pytest.mark.parametrize(
    "travel", [to_bytes, to_bytes_without_user_data, doc_bin, doc_bin_with_user_data, pickled, Doc.copy]
)


@TRAVEL
def test_relations_travel(related, travel):
    arrived = travel(related)
    assert read(arrived) == expected()
    assert arrived.spans["spert"].attrs["scores"].tolist() == [0.5, 0.75, 1.0, 0.25, 0.125]
    assert all(relation.head.doc is arrived for relation in arrived._.relations)


@TRAVEL
def test_relations_of_several_groups_travel(related, travel):
    set_entities(related, "other", spans_of(related, ENTITIES[3:]), [(1, 0, "NEAR", 0.5)])
    assert sorted(read(travel(related))) == sorted(read(related))


@TRAVEL
def test_relations_can_be_written_after_travel(related, travel):
    arrived = travel(related)
    ents = arrived.spans["spert"]
    arrived._.relations = [(ents[3], ents[0], "NEAR")]
    assert [relation.label for relation in arrived._.relations] == ["NEAR"]
    assert read(related) == expected()


@TRAVEL
@given(row=documents())
@examples(15)
def test_any_document_travels(travel, row):
    doc = row.gold(VOCAB)
    arrived = travel(doc)
    assert (arrived.text, [token.text for token in arrived]) == (doc.text, [token.text for token in doc])
    assert state(arrived)[0] == state(doc)[0]
    assert read(arrived) == read(doc)


# Parts and wholes


def test_part_of_a_document_keeps_what_lies_inside(related):
    part = span_as_doc(related[1:8])
    assert [token.text for token in part] == WORDS[1:8]
    assert [(s.text, s.label_) for s in part.spans["spert"]] == [("Acme Labs", "ORG"), ("Acme", "ORG"), ("Bonn", "LOC")]
    assert read(part) == [((2, 4, "ORG"), (5, 6, "LOC"), "BASED_IN", 0.5)]
    assert part.spans["spert"].attrs["scores"].tolist() == [0.75, 1.0, 0.25]


def test_part_of_a_document_drops_entities_that_cross_its_border(related):
    part = span_as_doc(related[0:4])
    assert [s.text for s in part.spans["spert"]] == ["Ann", "Acme"]
    assert part._.relations == ()


def test_part_of_a_document_leaves_the_original(related):
    before = state(related)
    span_as_doc(related[1:8])
    assert state(related) == before


def test_part_of_a_document_keeps_all_groups_and_ids():
    doc = bare()
    doc.spans["spert"] = [Span(doc, 3, 5, "ORG", kb_id="Q1", span_id="e7")]
    doc.spans["empty"] = []
    part = span_as_doc(doc[3:7])
    assert set(part.spans) == {"spert", "empty"}
    (span,) = part.spans["spert"]
    assert (span.start, span.end, span.kb_id_, span.id_) == (0, 2, "Q1", "e7")


def test_joined_documents_keep_relations_and_scores(related):
    joined = join_docs([related, related.copy()])
    assert len(joined) == 2 * len(WORDS)
    assert read(joined) == expected() + expected(offset=len(WORDS))
    assert joined.spans["spert"].attrs["scores"].tolist() == [0.5, 0.75, 1.0, 0.25, 0.125] * 2


def test_joining_with_documents_that_have_no_group(related):
    joined = join_docs([bare(["Well", "."]), related, Doc(VOCAB), bare(["So", "?"]), related.copy()])
    assert read(joined) == expected(offset=2) + expected(offset=4 + len(WORDS))


def test_joining_drops_scores_that_only_some_have(related, doc):
    joined = join_docs([related, doc])
    assert "scores" not in joined.spans["spert"].attrs
    assert read(joined) == expected()


def test_joining_documents_with_different_groups(related):
    other = bare()
    set_entities(other, "other", spans_of(other, ENTITIES[3:]), [(1, 0, "NEAR", 0.5)])
    joined = join_docs([related, other])
    assert {key: len(group) for key, group in joined.spans.items()} == {"spert": 5, "other": 2}
    n = len(WORDS)
    assert read(joined) == [*expected(), ((8 + n, 9 + n, "PER"), (6 + n, 7 + n, "LOC"), "NEAR", 0.5)]


def test_joining_nothing():
    assert join_docs([]) is None


def test_joining_without_spans(related):
    assert join_docs([related, related.copy()], exclude=["spans"])._.relations == ()


def test_parts_joined_again_give_the_whole(related):
    joined = join_docs([span_as_doc(related[:8]), span_as_doc(related[8:])])
    assert read(joined) == expected([0, 1])
    assert isinstance(joined.spans["spert"], SpanGroup)


@given(st.lists(documents(), max_size=4))
@examples(30)
def test_any_documents_are_joined_and_taken_apart(rows):
    docs = [row.gold(VOCAB) for row in rows]
    joined = join_docs(docs, ensure_whitespace=False)
    start = 0
    for doc in docs:
        if len(doc):
            part = span_as_doc(joined[start : start + len(doc)])
            assert (part.text, [token.text for token in part]) == (doc.text, [token.text for token in doc])
            assert state(part)[0] == state(doc)[0]
        start += len(doc)
    assert len(joined or ()) == start
