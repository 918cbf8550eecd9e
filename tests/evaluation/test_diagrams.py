"""Diagrams of scores, and what the report makes of them."""

import re

import pytest
from test_report import Tree
from util import TEXTS, clone, make_evaluation, make_examples

from spacy_spert.evaluation.calibration import precision_recall, reliability
from spacy_spert.evaluation.constraints import count_removed_pairs
from spacy_spert.evaluation.diagrams import LEFT, SIZE, TOP, draw_precision_recall, draw_reliability
from spacy_spert.evaluation.report import render_report
from spacy_spert.evaluation.run import evaluate_pipeline
from spacy_spert.relations import set_relations


@pytest.fixture
def nlp(trained):
    return clone(trained)


def test_bars_end_where_the_share_of_right_ones_is():
    bins = reliability([0.1, 0.3, 0.8, 0.9], [0, 0, 1, 0], n_bins=2)
    page = Tree(draw_reliability("relations", bins, 0.25))
    assert page.texts("figcaption") == ["relations: 4 with an expected calibration error of 0.250"]
    ((_, svg),) = page.find("svg", role="img")
    assert svg["aria-label"] == "Reliability of relations. 0.00 to 0.50: 0.00 right of 2; 0.50 to 1.00: 0.50 right of 2"
    bars = [attrs for _, attrs in page.find("rect", **{"class": "bar"})]
    assert [float(bar["height"]) for bar in bars] == [0.0, SIZE / 2]
    assert float(bars[1]["x"]) == LEFT + SIZE / 2 and float(bars[1]["y"]) == TOP + SIZE / 2
    means = [float(attrs["cx"]) for _, attrs in page.find("circle", **{"class": "mean"})]
    assert means == pytest.approx([LEFT + 0.2 * SIZE, LEFT + 0.85 * SIZE])


def test_curve_goes_through_precision_and_recall():
    curve = precision_recall([0.9, 0.5], [True, False], n_gold=2)
    page = Tree(draw_precision_recall("a<b", curve, (0.7, 1.0, 0.5)))
    ((_, line),) = page.find("polyline")
    x = LEFT + SIZE / 2
    assert line["points"] == f"{x:.1f},{TOP:.1f} {x:.1f},{TOP + SIZE / 2:.1f}"
    ((_, dot),) = page.find("circle", **{"class": "chosen"})
    assert (float(dot["cx"]), float(dot["cy"])) == (x, TOP)
    assert page.texts("figcaption") == ["a<b: threshold 0.70, precision 1.00, recall 0.50"]
    assert "The best F1 is 0.67" in page.find("svg")[0][1]["aria-label"]


def test_nothing_to_draw():
    page = Tree(draw_reliability("entities", reliability([], []), 0.0))
    assert page.find("rect") == [] and "Nothing was predicted" in page.find("svg")[0][1]["aria-label"]
    page = Tree(draw_precision_recall("a", precision_recall([], [], 0), None))
    assert page.find("polyline") == page.find("circle") == []
    assert page.texts("figcaption") == ["a: nothing comes out"]


def test_report_draws_what_has_scores(nlp):
    nlp.get_pipe("spert").cfg["relation_thresholds"] = [["works_for", 1.0]]
    evaluation = evaluate_pipeline(nlp, make_examples(nlp))
    page = Tree(render_report(evaluation, "m", "d"))
    captions = page.texts("figcaption")
    assert [caption.split(":")[0] for caption in captions[:5]] == [
        "entities",
        "relations",
        "based_in",
        "partner_of",
        "works_for",
    ]
    assert captions[2] == "based_in: threshold 0.40, precision 1.00, recall 1.00"
    assert captions[4] == "works_for: nothing comes out"
    assert set(evaluation.to_json()["calibration_error"]) == {"entities", "relations"}
    assert "Expected calibration error" in page.texts("caption")
    # Numbers of the diagrams are those of what comes out.
    n = len([relation for doc in nlp.pipe(text for text, _, _ in TEXTS) for relation in doc._.relations])
    assert int(re.match(r"relations: (\d+)", captions[1])[1]) == n


def test_given_entities_have_no_calibration(nlp):
    evaluation = evaluate_pipeline(nlp, make_examples(nlp), gold_entities=True)
    assert list(evaluation.calibration_errors) == ["relations"]
    captions = Tree(render_report(evaluation, "m", "d")).texts("figcaption")
    assert captions[0].startswith("relations:")


def test_without_scores_there_are_no_diagrams():
    text = ("Ann works .", [(0, 1, "PER")], [])
    page = Tree(render_report(make_evaluation([(text, text)]), "m", "d"))
    assert "Calibration and thresholds" not in page.texts("h2")


def test_pairs_that_types_remove_are_counted(nlp):
    spert = nlp.get_pipe("spert")
    assert count_removed_pairs(nlp.pipe(text for text, _, _ in TEXTS), spert.cfg) == {}
    spert.cfg["relation_types"] = [["works_for", "PER", "ORG"], ["partner_of", "PER", "PER"]]
    evaluation = evaluate_pipeline(nlp, make_examples(nlp))
    # By the gold entities, which the model finds: two towns once; firm and town 1 + 1 + 4, person and town 1 + 1; two
    # firms 1 + 1.
    assert evaluation.removed_pairs == {("LOC", "ORG"): 6, ("LOC", "PER"): 2, ("ORG", "ORG"): 2, ("LOC", "LOC"): 2}
    assert ["LOC", "ORG", 6] in evaluation.to_json()["removed_pairs"]
    assert "Pairs that can't be related by their types" in Tree(render_report(evaluation, "m", "d")).texts("caption")


@pytest.fixture(scope="module")
def drawn(trained, tmp_path_factory):
    """A report of a pipeline that finds all, of which the gold data of the first document lacks the relations."""
    nlp = clone(trained)
    examples = make_examples(nlp)
    set_relations(examples[0].reference, [])
    evaluation = evaluate_pipeline(nlp, examples)
    path = tmp_path_factory.mktemp("diagrams") / "report.html"
    path.write_text(render_report(evaluation, "m", "d"), encoding="utf8")
    return evaluation, path.as_uri()


TOOLTIP = """bar => {
    bar.scrollIntoView({block: "center"});
    const {x, y, width, height} = bar.getBoundingClientRect();
    return document.elementFromPoint(x + width / 2, y + height - 2).closest("g").querySelector("title").textContent;
}"""


@pytest.mark.parametrize("width", [360, 1280])
def test_diagrams_in_a_browser(open_page, complaints, drawn, width):
    evaluation, url = drawn
    page = open_page(url, width=width)
    diagrams = page.locator("figure.diagram")
    assert diagrams.count() == 2 + 3
    for i in range(diagrams.count()):
        diagrams.nth(i).scroll_into_view_if_needed()
        box = diagrams.nth(i).locator("svg").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width
        assert box["width"] > 200 and box["height"] > 200
    # All five stand side by side as far as there is room.
    tops = {diagrams.nth(i).bounding_box()["y"] for i in range(5)}
    assert len(tops) == (5 if width == 360 else 2)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth") and page.evaluate("innerWidth") == width
    for i, (candidates, kept) in enumerate(evaluation.coming_out.values()):
        bins = [each for each in reliability(candidates.scores[kept], candidates.right[kept]) if each.n]
        assert bins and diagrams.nth(i).locator("circle.mean").count() == len(bins)
        bars = diagrams.nth(i).locator("rect.bar")
        assert bars.count() == len(bins)
        for j, each in enumerate(bins):
            if each.right:
                told = f"{each.n} with scores from {each.low:.2f} to {each.high:.2f}: {each.right:.2f} right"
                assert bars.nth(j).evaluate(TOOLTIP) == told
    # Not all relations are right, so that a bar ends below the top.
    assert min(each.right for each in bins) < 1
    curves = page.locator("figure.diagram:has(polyline.curve)")
    assert curves.count() == 3 and curves.locator("circle.chosen").count() == 3
    assert all(curves.nth(i).locator("circle.chosen").is_visible() for i in range(3))
    assert complaints == []
