import spacy
from spacy.tokens import Doc, Span

from spacy_spert import displacy_relations
from spacy_spert.relations import set_entities
from spacy_spert.report import densest, render_report


def make_doc(entities, relations, words=("University", "of", "Bonn", "hired", "Bob", "Ross")):
    doc = Doc(spacy.blank("xx").vocab, words=list(words))
    set_entities(doc, "spert", [Span(doc, *entity) for entity in entities], relations)
    return doc


def test_entities_are_words_and_relations_are_arcs():
    doc = make_doc([(0, 3, "ORG"), (4, 6, "PER")], [(1, 0, "works_for", 0.9)])
    data = displacy_relations(doc)
    assert [(word["text"], word["tag"]) for word in data["words"]] == [
        ("University of Bonn", "ORG"),
        ("hired", ""),
        ("Bob Ross", "PER"),
    ]
    assert data["arcs"] == [{"start": 0, "end": 2, "label": "works_for", "dir": "left"}]


def test_relation_of_a_nested_entity_ends_at_the_outer_one():
    doc = make_doc([(0, 3, "ORG"), (2, 3, "LOC"), (4, 6, "PER")], [(0, 1, "based_in", 1.0), (2, 1, "lives_in", 1.0)])
    assert displacy_relations(doc)["arcs"] == [{"start": 0, "end": 2, "label": "lives_in", "dir": "left"}]


def test_document_without_entities():
    data = displacy_relations(Doc(spacy.blank("xx").vocab, words=["a", "b"]))
    assert [word["text"] for word in data["words"]] == ["a", "b"] and data["arcs"] == []


def test_report_escapes_text_and_labels():
    evil = "<script>alert(1)</script>"
    doc = make_doc([(0, 1, evil), (1, 2, "B")], [(0, 1, evil, 1.0)], words=(evil, "b"))
    page = render_report(evil, [doc], [(evil, [("", "P"), (evil, 1.0)])])
    assert "<script>" not in page
    assert page.count("&lt;script&gt;") >= 6


def test_densest_documents_come_first():
    none = make_doc([(0, 3, "ORG")], [])
    one = make_doc([(0, 3, "ORG"), (4, 6, "PER")], [(1, 0, "works_for", 0.9)])
    assert densest([none, one], 1) == [one]
