"""The page of a comparison, as markup and in a real browser."""

import re

from test_report import Tree
from util import make_evaluation

from spacy_spert.evaluation.comparison import KINDS, compare_evaluations
from spacy_spert.evaluation.comparison_report import render_comparison

TEXT = "Ann Lee works for Acme Labs in Bonn ."
ENTITIES = [(0, 2, "PER"), (4, 6, "ORG"), (7, 8, "LOC")]
GOLD = (TEXT, ENTITIES, [(0, 1, "works_for"), (1, 2, "based_in")])
ENTITIES_ONLY = (TEXT, ENTITIES, [])
WRONG = (TEXT, ENTITIES, [*GOLD[2], (0, 2, "likes")])
EVIL = "</script><script>alert(1)</script>"


def render(pairs_a, pairs_b, limit=0, **settings):
    comparison = compare_evaluations(make_evaluation(pairs_a, **settings), make_evaluation(pairs_b, **settings))
    return render_comparison(comparison, "one", "two", "dev.spacy", limit)


# The first document is the same for both, the second has two differences, the third one.
PAGE = render([(GOLD, GOLD), (ENTITIES_ONLY, GOLD), (GOLD, GOLD)], [(GOLD, GOLD), (GOLD, GOLD), (WRONG, GOLD)])


def test_page_holds_scores_and_documents_that_differ():
    page = Tree(PAGE)
    assert page.texts("h1") == ["one and two on dev.spacy"]
    facts = "".join(page.texts("p", **{"class": "facts"}))
    assert "A: one, component spert" in facts and "B: two, component spert" in facts
    assert "3 documents, of which 2 differ" in facts
    assert page.texts("caption") == ["Entities", "Relations by boundaries", "Relations, strict"]
    assert page.texts("h3") == ["Document 2 2 differences", "Document 3 1 difference"]
    assert page.texts("h4") == ["Gold", "A", "B"] * 2
    items = [(text, attrs["data-kind"]) for text, attrs in page.find("li") if "data-kind" in attrs]
    assert items == [
        ("only B, right Ann Lee \u2192 works_for \u2192 Acme Labs 1.00", "only-B-right"),
        ("only B, right Acme Labs \u2192 based_in \u2192 Bonn 1.00", "only-B-right"),
        ("only B, wrong Ann Lee \u2192 likes \u2192 Bonn 1.00", "only-B-wrong"),
    ]
    assert page.texts("label", **{"class": "kind"}) == [
        f" {kind} {({'only B, right': 2, 'only B, wrong': 1}).get(kind, 0)}" for kind in KINDS
    ]
    assert page.texts("dt") == list(KINDS)


def test_what_neither_finds_is_marked_in_the_gold_data():
    neither = (TEXT, ENTITIES[:2], [(0, 1, "works_for")])
    page = Tree(render([(neither, GOLD)], [((TEXT, ENTITIES[:2], []), GOLD)]))
    assert page.texts("mark", **{"class": "c0 wrong"}) == ["BonnLOC"]
    assert page.texts("text", **{"class": "arc wrong"}) == ["based_in"]


def test_limit_is_told():
    page = Tree(render([(ENTITIES_ONLY, GOLD)] * 2, [(GOLD, GOLD)] * 2, limit=1))
    assert len(page.texts("article")) == 1
    assert "Of 2 documents that differ the 1 with the most differences are shown." in page.texts("li")


def test_all_text_and_labels_are_escaped():
    text = f"{EVIL} <img/src=x/onerror=alert(2)> '\" & ."
    side = (text, [(0, 1, EVIL), (1, 2, '"><b>')], [(0, 1, "'><i>")])
    comparison = compare_evaluations(
        make_evaluation([(side, (text, [], []))]), make_evaluation([((text, [], []), (text, [], []))])
    )
    page = Tree(render_comparison(comparison, f"<u>{EVIL}", "<s>", "<q>"))
    assert not {tag for tag, _, _ in page.nodes} & {"img", "u", "s", "q"} and len(page.find("script")) == 1
    assert page.texts("h1") == [f"<u>{EVIL} and <s> on <q>"]
    assert re.search(r"<(b|i)>", "".join(page.texts("small")))
    attributes = {name for _, attrs, _ in page.nodes for name in attrs}
    assert not attributes & {"src", "href", "style"} and not any(name.startswith("on") for name in attributes)


def test_pipelines_that_agree():
    page = Tree(render([(GOLD, GOLD)], [(GOLD, GOLD)]))
    assert page.texts("article") == [] and "1 documents, of which 0 differ" in "".join(page.texts("p"))


def shown(page):
    return page.evaluate(
        "[...document.querySelectorAll('#list > article')].filter(e => e.checkVisibility())"
        ".map(e => +e.querySelector('h3').textContent.split(' ')[1])"
    )


def test_documents_are_filtered(open_page, tmp_path):
    path = tmp_path / "comparison.html"
    path.write_text(PAGE, encoding="utf8")
    page = open_page(path.as_uri())
    assert page.evaluate("document.querySelector('#shown').textContent") == "2 of 2 documents"
    assert shown(page) == [2, 3]
    page.click("input[value=only-B-wrong]")
    assert shown(page) == [3]
    page.click("input[value=only-B-wrong]")
    page.click("input[value=only-B-right]")
    assert shown(page) == [2]
    page.click("button[type=reset]")
    page.evaluate("new Promise(resolve => setTimeout(resolve))")
    assert shown(page) == [2, 3]


def test_nothing_in_the_data_is_run(open_page, tmp_path):
    text = f"{EVIL} <img/src=x/onerror=document.title='run'> ."
    side = (text, [(0, 1, EVIL), (1, 2, '"><script>document.title=1</script>')], [])
    path = tmp_path / "evil.html"
    path.write_text(render([(side, (text, [], []))], [((text, [], []), (text, [], []))]), encoding="utf8")
    page = open_page(path.as_uri())
    assert page.evaluate("document.title") == "one and two on dev.spacy"
    assert page.evaluate("document.querySelectorAll('#list img, #list script').length") == 0
