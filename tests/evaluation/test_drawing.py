import re
from html import unescape
from xml.etree import ElementTree

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from spacy_spert import displacy_relations
from spacy_spert.evaluation.drawing import draw_entities, draw_relations, relation_key, span_key
from spacy_spert.relations import set_entities

VOCAB = Vocab()
WORDS = ("University", "of", "Bonn", "hired", "Bob", "Ross")
COLOURS = {"ORG": 0, "PER": 1, "LOC": 2}


def make_doc(entities, relations=(), words=WORDS, vocab=VOCAB):
    doc = Doc(vocab, words=list(words))
    set_entities(doc, "spert", [Span(doc, *entity) for entity in entities], relations)
    return doc


def drawn(doc, colours=COLOURS, **settings):
    """The drawing of the relations as a tree."""
    return ElementTree.fromstring(draw_relations(doc, doc._.relations, colours, **settings))


def texts(tree, css=None):
    return [node.text for node in tree.iter("text") if css is None or (node.get("class") or "").startswith(css)]


# For displaCy


def test_entities_are_words_and_relations_are_arcs():
    data = displacy_relations(make_doc([(0, 3, "ORG"), (4, 6, "PER")], [(1, 0, "works_for", 0.9)]))
    assert [(word["text"], word["tag"]) for word in data["words"]] == [
        ("University of Bonn", "ORG"),
        ("hired", ""),
        ("Bob Ross", "PER"),
    ]
    assert data["arcs"] == [{"start": 0, "end": 2, "label": "works_for", "dir": "left"}]
    assert "works_for" in spacy.displacy.render(data, style="dep", manual=True, jupyter=False)


def test_relation_of_a_nested_entity_ends_at_the_outer_one():
    doc = make_doc([(0, 3, "ORG"), (2, 3, "LOC"), (4, 6, "PER")], [(0, 1, "based_in", 1.0), (2, 1, "lives_in", 1.0)])
    assert displacy_relations(doc)["arcs"] == [{"start": 0, "end": 2, "label": "lives_in", "dir": "left"}]


def test_document_without_entities():
    data = displacy_relations(Doc(VOCAB, words=["a", "b"]))
    assert [word["text"] for word in data["words"]] == ["a", "b"] and data["arcs"] == []


def test_displacy_draws_all_groups_with_relations_by_default():
    doc = Doc(VOCAB, words=list(WORDS))
    set_entities(doc, "mine", [Span(doc, 0, 3, "ORG"), Span(doc, 4, 6, "PER")], [(1, 0, "works_for", 0.9)])
    data = displacy_relations(doc)
    assert [word["tag"] for word in data["words"]] == ["ORG", "", "PER"]
    assert data["arcs"] == [{"start": 0, "end": 2, "label": "works_for", "dir": "left"}]
    assert displacy_relations(doc, "spert")["arcs"] == []


def test_displacy_draws_entities_without_relations():
    doc = Doc(VOCAB, words=list(WORDS))
    set_entities(doc, "spert", [Span(doc, 0, 3, "ORG")], None)
    assert [word["tag"] for word in displacy_relations(doc)["words"]] == ["ORG", "", "", ""]


def test_labels_for_displacy_are_escaped():
    data = displacy_relations(make_doc([(0, 1, "<b>"), (1, 2, "B")], [(0, 1, "<i>", 1.0)]))
    page = spacy.displacy.render(data, style="dep", manual=True, jupyter=False)
    assert "<b>" not in page and "<i>" not in page


# Entities


@pytest.mark.parametrize(
    "entities, expected",
    [
        ([], "University of Bonn hired Bob Ross "),
        ([(0, 3, "ORG")], "[c0 University of Bonn ORG] hired Bob Ross "),
        ([(4, 6, "PER"), (0, 3, "ORG")], "[c0 University of Bonn ORG] hired [c1 Bob Ross PER] "),
        ([(0, 3, "ORG"), (2, 3, "LOC")], "[c0 University of [c2 Bonn LOC] ORG] hired Bob Ross "),
        ([(0, 1, "ORG"), (0, 3, "ORG")], "[c0 [c0 University ORG] of Bonn ORG] hired Bob Ross "),
        ([(0, 3, "ORG"), (0, 3, "LOC")], "[c0 [c2 University of Bonn LOC] ORG] hired Bob Ross "),
        # Cut in two pieces, with one label.
        ([(0, 3, "ORG"), (2, 5, "PER")], "[c0 University of [c1 Bonn] ORG][c1  hired Bob PER] Ross "),
        ([(0, 3, "ORG"), (0, 3, "ORG")], "[c0 University of Bonn ORG] hired Bob Ross "),
        (
            [(0, 6, "PER"), (0, 2, "LOC"), (1, 3, "ORG")],
            "[c1 [c2 University [c0 of] LOC][c0  Bonn ORG] hired Bob Ross PER] ",
        ),
    ],
)
def test_entities_are_marked(entities, expected):
    doc = make_doc(entities)
    html = draw_entities(doc, doc.spans["spert"], COLOURS)
    html = re.sub(r'<mark class="(\w+)">', r"[\1 ", html).replace("</mark>", "]")
    assert html.replace("<small>", " ").replace("</small>", "") == expected


def test_wrong_entities_are_marked_so():
    doc = make_doc([(0, 3, "ORG"), (4, 6, "PER")])
    html = draw_entities(doc, doc.spans["spert"], COLOURS, {span_key(doc.spans["spert"][1])})
    assert re.findall(r'class="([^"]*)"', html) == ["c0", "c1 wrong"]


entity = st.tuples(st.integers(0, 5), st.integers(1, 6), st.sampled_from(sorted(COLOURS)))


@given(st.lists(entity.filter(lambda row: row[0] < row[1]), max_size=8))
@settings(deadline=None)
def test_any_entities_are_drawn_completely(entities):
    """All tags are closed, the text is whole, and each entity has its text inside its marks and its label once."""
    doc = make_doc(entities)
    html = draw_entities(doc, doc.spans["spert"], COLOURS)
    tree = ElementTree.fromstring(f"<p>{html}</p>")
    labels = [node.text for node in tree.iter("small")]
    assert sorted(labels) == sorted(label for _, _, label in set(entities))
    assert unescape(re.sub(r"<small>.*?</small>|<[^>]*>", "", html)) == doc.text


# Relations


def test_no_relations_no_drawing():
    doc = make_doc([(0, 3, "ORG")])
    assert draw_relations(doc, doc._.relations, COLOURS) == ""


def test_boxes_arcs_and_the_text_between():
    tree = drawn(make_doc([(0, 3, "ORG"), (4, 6, "PER")], [(1, 0, "works_for", 0.875)]))
    boxes = [[node.text for node in group.iter("text")] for group in tree.iter("g")]
    assert boxes == [["University of Bonn", "ORG"], ["Bob Ross", "PER"]]
    assert texts(tree, "gap") == ["hired"]
    assert texts(tree, "arc") == ["works_for"]
    assert tree.get("aria-label") == "Bob Ross works_for University of Bonn"
    assert texts(drawn(make_doc([(0, 3, "ORG"), (4, 6, "PER")], [(1, 0, "w", 0.875)]), scores=True), "arc") == [
        "w 0.88"
    ]


def test_relations_of_nested_entities_are_drawn():
    """Also that between an entity and one inside it."""
    doc = make_doc([(0, 3, "ORG"), (2, 3, "LOC"), (4, 6, "PER")], [(0, 1, "based_in", 1.0), (2, 1, "lives_in", 1.0)])
    tree = drawn(doc)
    assert texts(tree, "arc") == ["based_in", "lives_in"]
    assert len(list(tree.iter("rect"))) == 3


def test_long_texts_are_shortened():
    words = [*["very"] * 20, "between", "these", "two", "entities", "Bob"]
    doc = make_doc([(0, 20, "ORG"), (24, 25, "PER")], [(0, 1, "r", 1.0)], words)
    tree = drawn(doc)
    name = " ".join(["very"] * 20)
    assert texts(tree)[0] == name[:47] + "…" and texts(tree, "gap") == ["…"]
    assert [node.text for node in tree.iter("title")] == [name, "Bob"]


def test_arrow_points_at_the_tail_unless_there_is_no_direction():
    doc = make_doc([(0, 3, "ORG"), (4, 6, "PER")], [(1, 0, "works_for", 1.0)])
    (head,) = drawn(doc).iterfind("path[@class='head arc']")
    left, right = (float(rect.get("x")) for rect in drawn(doc).iter("rect"))
    assert left < float(head.get("d")[1:].split()[0]) < right
    assert drawn(doc, undirected=["works_for"]).find("path[@class='head arc']") is None


def test_wrong_relations_are_marked_so():
    doc = make_doc([(0, 3, "ORG"), (4, 6, "PER")], [(1, 0, "a", 1.0), (0, 1, "b", 1.0)])
    tree = drawn(doc, wrong={relation_key(*doc._.relations[1][:3])})
    assert {node.text: node.get("class") for node in tree.iter("text") if node.text in "ab"} == {
        "a": "arc",
        "b": "arc wrong",
    }


def arc_box(path):
    """Left, right and top of an arc, from its path M x1 y V ... Q x1 top ..."""
    numbers = [float(number) for number in re.findall(r"-?[\d.]+", path.get("d"))]
    return min(numbers[0], numbers[8]), max(numbers[0], numbers[8]), numbers[4]


@given(st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)).filter(lambda pair: pair[0] != pair[1]), min_size=1))
@settings(deadline=None)
def test_arcs_and_boxes_do_not_run_into_each_other(pairs):
    words = [f"w{i}" for i in range(12)]
    rows = [(head, tail, "a_label", 0.5) for head, tail in sorted(pairs)]
    tree = drawn(make_doc([(2 * i, 2 * i + 1, "ORG") for i in range(6)], rows, words), scores=True)
    boxes = sorted((float(rect.get("x")), float(rect.get("width"))) for rect in tree.iter("rect"))
    assert all(x + width < after for (x, width), (after, _) in zip(boxes, boxes[1:]))
    arcs = [arc_box(path) for path in tree.iterfind("path[@class='arc']")]
    assert len(arcs) == len(pairs)
    legs = sorted(x for left, right, _ in arcs for x in (left, right))
    assert all(after - x > 8 for x, after in zip(legs, legs[1:]))
    for i, (left, right, top) in enumerate(arcs):
        # There is room for the label, and no two arcs of one height overlap.
        assert right - left > 60
        assert all(right < one or two < left for one, two, other in arcs[:i] if other == top)
    width, height = float(tree.get("width")), float(tree.get("height"))
    assert boxes[0][0] >= 0 and boxes[-1][0] + boxes[-1][1] <= width
    assert all(8 <= top < height for _, _, top in arcs)


def test_from_right_to_left():
    nlp = spacy.blank("he")
    doc = make_doc([(0, 3, "ORG"), (4, 6, "PER")], [(1, 0, "works_for", 1.0)], vocab=nlp.vocab)
    first, second = (float(rect.get("x")) for rect in drawn(doc).iter("rect"))
    assert second < first


def test_wide_letters_take_more_room_and_combining_ones_none():
    def width(word):
        doc = make_doc([(0, 1, "ORG"), (1, 2, "PER")], [(0, 1, "r", 1.0)], [word, "x"])
        return float(next(drawn(doc).iter("rect")).get("width"))

    assert width("東京都庁舎") > width("abcde") == width("a\u0301bcde")


def test_everything_is_escaped():
    evil = "<script>\"'&"
    doc = make_doc([(0, 1, evil), (3, 4, "B")], [(0, 1, evil, 1.0)], words=(evil, "<b>", evil, evil))
    colours = {evil: 0, "B": 1}
    for html in (draw_entities(doc, doc.spans["spert"], colours), draw_relations(doc, doc._.relations, colours)):
        assert "<script" not in html and "<b>" not in html
    tree = drawn(doc, colours)
    assert texts(tree) == [evil, evil, evil, "B", "<b> " + evil, evil]
    assert tree.get("aria-label") == " ".join([evil] * 3)
