import sys

import pytest
import spacy
from spacy.tokens import Span
from util import TEXTS, make_doc

from spacy_spert import Triple, to_networkx, to_triples
from spacy_spert.relations import set_entities


@pytest.fixture
def docs():
    vocab = spacy.blank("xx").vocab
    return [make_doc(vocab, *text) for text in TEXTS[:4]]


def test_triples(docs):
    assert to_triples(docs) == [
        Triple("Ann Lee", "PER", "works_for", "Acme Labs", "ORG", 1.0, 0, 7, 18, 27, 0),
        Triple("Acme Labs", "ORG", "based_in", "Bonn", "LOC", 1.0, 18, 27, 31, 35, 0),
        Triple("Bob", "PER", "partner_of", "Eve", "PER", 1.0, 0, 3, 8, 11, 1),
        Triple("Bob Ross", "PER", "works_for", "University of Bonn", "ORG", 1.0, 25, 33, 0, 18, 2),
        Triple("University of Bonn", "ORG", "based_in", "Bonn", "LOC", 1.0, 0, 18, 14, 18, 2),
    ]
    assert to_triples(docs[1]) == [Triple("Bob", "PER", "partner_of", "Eve", "PER", 1.0, 0, 3, 8, 11, 0)]
    assert to_triples(doc for doc in docs) == to_triples(docs)
    assert to_triples(docs[3]) == to_triples([]) == []


def test_graph_merges_mentions_of_one_text_and_label(docs):
    graph = to_networkx(docs)
    assert dict(graph.nodes(data="mentions")) == {
        ("Ann Lee", "PER"): 1,
        ("Acme Labs", "ORG"): 1,
        ("Bonn", "LOC"): 2,
        ("Bob", "PER"): 1,
        ("Eve", "PER"): 1,
        ("University of Bonn", "ORG"): 1,
        ("Bob Ross", "PER"): 1,
    }
    assert graph.nodes["Bonn", "LOC"] == {"text": "Bonn", "label": "LOC", "mentions": 2}
    assert sorted(head for (head, _), _ in graph.in_edges([("Bonn", "LOC")])) == ["Acme Labs", "University of Bonn"]
    assert list(graph.edges([("Bob Ross", "PER")], data=True)) == [
        (
            ("Bob Ross", "PER"),
            ("University of Bonn", "ORG"),
            {
                "relation": "works_for",
                "score": 1.0,
                "head_start": 25,
                "head_end": 33,
                "tail_start": 0,
                "tail_end": 18,
                "doc": 2,
            },
        )
    ]


def test_graph_has_an_edge_for_each_relation():
    doc = make_doc(
        spacy.blank("xx").vocab,
        "Bonn likes Bonn and Graz",
        [(0, 1, "LOC"), (2, 3, "LOC"), (4, 5, "LOC")],
        [(0, 1, "likes"), (0, 1, "knows"), (2, 0, "likes"), (2, 1, "likes")],
    )
    graph = to_networkx([doc, doc])
    bonn, graz = ("Bonn", "LOC"), ("Graz", "LOC")
    assert dict(graph.nodes(data="mentions")) == {bonn: 4, graz: 2}
    assert (
        sorted(graph.edges(data="relation"))
        == [(bonn, bonn, "knows")] * 2 + [(bonn, bonn, "likes")] * 2 + [(graz, bonn, "likes")] * 4
    )
    assert sorted(doc for *_, doc in graph.edges(data="doc")) == [0] * 4 + [1] * 4


def test_other_span_group(docs):
    doc = docs[0]
    set_entities(doc, "mine", [Span(doc, 0, 1, "A"), Span(doc, 1, 2, "B")], [(1, 0, "r", 0.25)])
    assert to_triples(doc, "mine") == [Triple("Lee", "B", "r", "Ann", "A", 0.25, 4, 7, 0, 3, 0)]
    assert list(to_networkx(doc, spans_key="mine")) == [("Ann", "A"), ("Lee", "B")]
    assert len(to_networkx(doc, spans_key="none")) == 0


def test_all_span_groups_with_relations_by_default(docs):
    doc = docs[1]
    bob, eve, *_ = doc.spans["spert"]
    doc.spans["mine"] = [Span(doc, 4, 5, "A"), eve]
    assert list(to_networkx(doc)) == [("Bob", "PER"), ("Eve", "PER")]
    doc.spans["mine"].attrs["relations"] = [[0, 1, "r", 0.25]]
    assert [triple[:5] for triple in to_triples(doc)] == [
        ("Bob", "PER", "partner_of", "Eve", "PER"),
        ("partners", "A", "r", "Eve", "PER"),
    ]
    graph = to_networkx(doc)
    # What two groups hold is one mention.
    assert dict(graph.nodes(data="mentions")) == {("Bob", "PER"): 1, ("Eve", "PER"): 1, ("partners", "A"): 1}
    del doc.spans["spert"]
    assert list(to_networkx(doc).edges(data="relation")) == [(("partners", "A"), ("Eve", "PER"), "r")]


def test_without_networkx(docs, monkeypatch):
    monkeypatch.setitem(sys.modules, "networkx", None)
    with pytest.raises(ImportError, match="pip install networkx"):
        to_networkx(docs)
