import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from util import make_doc, make_evaluation

from spacy_spert.evaluation.analysis import KINDS
from spacy_spert.evaluation.report import render_report
from spacy_spert.relations import Relation

TEXT = "Ann Lee works for Acme Labs in Bonn ."
ENTITIES = [(0, 2, "PER"), (4, 6, "ORG"), (7, 8, "LOC")]
GOLD = (TEXT, ENTITIES, [(0, 1, "works_for"), (1, 2, "based_in")])
VOID = {"meta", "input", "path", "rect", "br"}


class Tree(HTMLParser):
    """The page as a flat list of (tag, attributes, text inside), and whether all tags are closed."""

    def __init__(self, page):
        super().__init__()
        self.open, self.nodes = [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        node = (tag, dict(attributes), [])
        self.nodes.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag, attributes):
        self.nodes.append((tag, dict(attributes), []))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        for node in self.open:
            node[2].append(data)

    def find(self, tag, **attributes):
        return [
            ("".join(text), attrs)
            for name, attrs, text in self.nodes
            if name == tag and attributes.items() <= attrs.items()
        ]

    def texts(self, tag, **attributes):
        return [text for text, _ in self.find(tag, **attributes)]


def render(pairs, nearly=None, limit=0, **settings):
    return Tree(render_report(make_evaluation(pairs, nearly, **settings), "my model", "dev.spacy", limit))


def test_tables_hold_the_scores():
    page = render([(GOLD, GOLD)])
    assert page.texts("caption") == ["Entities", "Relations by boundaries", "Relations, strict", "False relations"]
    assert page.texts("tr")[1:4] == ["LOC1.00001.00001.00001", "ORG1.00001.00001.00001", "PER1.00001.00001.00001"]
    assert page.texts("tr", **{"class": "total"})[:2] == ["micro1.00001.00001.00003", "macro1.00001.00001.00003"]
    assert page.texts("h1") == ["my model on dev.spacy"]


def test_facts_and_notes():
    page = render([(GOLD, GOLD)], gold_entities=True, unannotated=2, unmapped=1, cfg={"symmetric_labels": ["near"]})
    facts = "".join(page.texts("p", **{"class": "facts"}))
    assert "Model my model, component spert" in facts and "data dev.spacy, 1 documents" in facts
    assert "score of 0.4, just under it from 0.3" in facts
    assert "symmetric relations count: once" in facts and "entities given" in facts
    notes = "".join(page.texts("ul", **{"class": "notes"}))
    assert "2 of 3 documents are left out" in notes and "1 gold entities could not be given" in notes
    assert "Relations without direction (near)" in notes
    assert page.texts("caption") == ["Relations by boundaries", "Relations, strict", "False relations"]


def test_worst_documents_come_first():
    page = render([(GOLD, GOLD), ((TEXT, [], []), GOLD), ((TEXT, ENTITIES, []), GOLD)])
    assert page.texts("h3") == ["Document 2 5 errors", "Document 3 2 errors", "Document 1 no errors"]
    page = render([(GOLD, GOLD), ((TEXT, [], []), GOLD)], limit=1)
    assert page.texts("h3") == ["Document 2 5 errors"]
    assert "Of 2 documents the 1 with the most errors are shown." in "".join(page.texts("li"))


def test_gold_and_predicted_are_drawn():
    predicted = (TEXT, [(0, 2, "PER"), (4, 6, "LOC")], [(1, 0, "works_for")])
    page = render([(predicted, GOLD)])
    assert page.texts("h4") == ["Gold", "Predicted"]
    _, gold, found = page.texts("p", **{"class": "text"})
    assert gold == "Ann LeePER works for Acme LabsORG in BonnLOC . "
    assert found == "Ann LeePER works for Acme LabsLOC in Bonn . "
    assert [attrs["aria-label"] for _, attrs in page.find("svg")] == [
        "Acme Labs works_for Ann Lee",
        "Ann Lee works_for Acme Labs; Acme Labs based_in Bonn",
        "Acme Labs works_for Ann Lee",
    ]
    # Wrong on either side: Acme Labs by its label; Bonn is missed.
    assert sorted(page.texts("mark", **{"class": "c1 wrong"})) == ["Acme LabsORG"]
    assert page.texts("mark", **{"class": "c0 wrong"}) == ["Acme LabsLOC", "BonnLOC", "Acme LabsLOC"]
    assert page.texts("text", **{"class": "arc wrong"}) == ["works_for 1.00", "works_for", "based_in", "works_for 1.00"]


def test_errors_are_told():
    predicted = (
        TEXT,
        [(0, 2, "ORG"), (3, 6, "ORG"), (7, 8, "LOC"), (8, 9, "LOC")],
        [(2, 0, "lives_in"), (0, 2, "near"), (0, 3, "near")],
    )
    gold = (TEXT, ENTITIES, [(0, 2, "lives_in"), (1, 2, "based_in"), (2, 0, "likes"), (0, 2, "owns")])

    def nearly(_, doc):
        ann, _, bonn, _ = doc.spans["spert"]
        return [Relation(ann, bonn, "owns", 0.375), Relation(bonn, ann, "likes", 0.375)]

    page = render([(predicted, gold)], nearly)
    items = [(text, attrs["data-kind"]) for text, attrs in page.find("li") if "data-kind" in attrs]
    assert items == [
        ("wrong label Ann Lee ORG; gold: Ann Lee PER", "wrong-label"),
        ("wrong boundary for Acme Labs ORG; gold: Acme Labs ORG", "wrong-boundary"),
        ("spurious entity . LOC", "spurious-entity"),
        (
            "wrong direction Bonn \u2192 lives_in \u2192 Ann Lee 1.00; gold: Ann Lee \u2192 lives_in \u2192 Bonn",
            "wrong-direction",
        ),
        (
            "wrong relation label Ann Lee \u2192 near \u2192 Bonn 1.00; gold: Ann Lee \u2192 owns \u2192 Bonn",
            "wrong-relation-label",
        ),
        ("just under the threshold Bonn \u2192 likes \u2192 Ann Lee 0.38", "just-under-the-threshold"),
        ("missed pair Acme Labs \u2192 based_in \u2192 Bonn (head not found)", "missed-pair"),
        ("spurious pair Ann Lee \u2192 near \u2192 . 1.00 (tail not in the gold data)", "spurious-pair"),
    ]


def test_counts_by_kind_are_boxes_to_check():
    page = render([((TEXT, [], []), GOLD)])
    labels = page.texts("label", **{"class": "kind"})
    assert labels == [f" {kind} {({'missed entity': 3, 'missed pair': 2}).get(kind, 0)}" for kind in KINDS]
    disabled = ["disabled" in attrs for _, attrs in page.find("input", name="kind")]
    assert disabled == [kind not in ("missed entity", "missed pair") for kind in KINDS]
    assert page.texts("dt") == list(KINDS)


def test_examples_are_those_with_the_most_relations_found():
    reversed_ = (TEXT, ENTITIES, [(1, 0, "works_for"), (2, 1, "based_in"), (2, 0, "based_in")])
    one = (TEXT, ENTITIES, [(0, 1, "works_for")])
    none = (TEXT, ENTITIES, [])
    page = render([(none, GOLD), (one, GOLD), (reversed_, GOLD), (GOLD, GOLD), (one, GOLD)])
    assert page.texts("figcaption") == ["Document 4", "Document 2", "Document 5"]
    assert render([(reversed_, GOLD), (none, GOLD)]).texts("figcaption") == ["Document 1"]
    assert render([(none, GOLD)]).texts("figure") == []


def test_empty_documents_are_not_drawn_twice():
    page = render([((TEXT, [], []), (TEXT, [], []))])
    assert page.texts("h3") == ["Document 1 nothing annotated, nothing predicted"]
    assert page.texts("h4") == ["Text"] and page.texts("svg") == []


def test_symmetric_relations_have_no_arrow_unless_their_direction_counts():
    pairs = [(GOLD, GOLD)]
    heads = [
        len(
            render(pairs, cfg={"symmetric_labels": ["works_for"]}, symmetric=symmetric).find(
                "path", **{"class": "head arc"}
            )
        )
        for symmetric in ("once", "twice", "directed")
    ]
    assert heads == [3, 3, 6]


def test_more_labels_than_colours():
    entities = [(i, i + 1, f"L{i:02}") for i in range(9)] + [(0, 2, "L09"), (0, 3, "L10")]
    page = render([((TEXT, entities, []), (TEXT, entities, []))])
    assert {attrs["class"] for _, attrs in page.find("mark")} == {f"c{i}" for i in range(10)}


def test_page_allows_only_its_own_style_and_script():
    page = render([(GOLD, GOLD)])
    ((_, policy),) = page.find("meta", **{"http-equiv": "Content-Security-Policy"})

    def hashed(tag):
        (content,) = page.texts(tag)
        return base64.b64encode(hashlib.sha256(content.encode("utf8")).digest()).decode()

    assert policy["content"].split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{hashed('style')}'",
        f"script-src 'sha256-{hashed('script')}'",
        "base-uri 'none'",
    ]
    attributes = {name for _, attrs, _ in page.nodes for name in attrs}
    assert not attributes & {"src", "href", "style"} and not any(name.startswith("on") for name in attributes)


EVIL = "</script><script>alert(1)</script>"


def test_all_text_and_labels_are_escaped():
    text = f"{EVIL} <img/src=x/onerror=alert(2)> '\" & ."
    side = (text, [(0, 1, EVIL), (1, 2, '"><b>')], [(0, 1, "'><i>")])
    evaluation = make_evaluation([(side, (text, [], [])), ((text, [], []), side)], cfg={"symmetric_labels": [EVIL]})
    page = Tree(render_report(evaluation, f"<u>{EVIL}", "<s>"))
    tags = {tag for tag, _, _ in page.nodes}
    assert not tags & {"img", "u", "s"} and len(page.find("script")) == 1
    assert page.texts("h1") == [f"<u>{EVIL} on <s>"]
    assert [text for text in page.texts("option") if text != "all"] == ['"><b>', EVIL, "'><i>"]
    assert [attrs["data-text"] for _, attrs in page.find("article")] == [text + " "] * 2
    assert re.search(r"<(b|i)>", "".join(page.texts("small")))


@pytest.mark.parametrize("n", [0, 1])
def test_page_is_the_same_each_time(n):
    pages = [render_report(make_evaluation([(GOLD, GOLD)] * n), "m", "d") for _ in range(2)]
    assert pages[0] == pages[1]


def test_predicted_tokens_may_be_others():
    evaluation = make_evaluation([(GOLD, GOLD)])
    (document,) = evaluation.documents
    other = make_doc(document.reference.vocab, "Ann Lee works", [(0, 1, "PER")])
    evaluation.documents[0] = document._replace(predicted=other)
    page = Tree(render_report(evaluation, "m", "d"))
    assert page.texts("p", **{"class": "text"})[-1] == "AnnPER Lee works "
