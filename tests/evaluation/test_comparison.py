"""Scores of two pipelines, their difference, and its interval."""

import numpy
import pytest
from spacy.training import Example
from spacy.vocab import Vocab
from util import make_doc, make_evaluation

from spacy_spert.evaluation.comparison import (
    Difference,
    bootstrap,
    compare_evaluations,
    count_documents,
    prf,
)
from spacy_spert.scorer import count_spert, scores_of

TEXT = "Ann Lee works for Acme Labs in Bonn ."
ENTITIES = [(0, 2, "PER"), (4, 6, "ORG"), (7, 8, "LOC")]


def counts(*documents):
    """Of one label."""
    return numpy.asarray([[document] for document in documents])


def test_scores_are_those_of_the_scorer():
    vocab = Vocab()
    gold = make_doc(vocab, TEXT, ENTITIES, [(0, 1, "works_for"), (1, 2, "based_in"), (2, 0, "near")])
    predicted = make_doc(vocab, TEXT, ENTITIES[:2], [(0, 1, "works_for"), (1, 0, "works_for"), (0, 1, "near")])
    examples = [Example(predicted, gold), Example(gold.copy(), gold)]
    expected = scores_of(count_spert(examples))
    labels = ["based_in", "likes", "near", "works_for"]
    names = {"rels": labels, "spans": ["LOC", "ORG", "PER"], "rels_strict": labels}
    of_documents = count_documents(examples, names)
    assert of_documents["rels"].tolist() == [
        [[0, 0, 1], [0, 0, 0], [0, 1, 1], [1, 1, 0]],
        [[1, 0, 0], [0, 0, 0], [1, 0, 0], [1, 0, 0]],
    ]
    for name, prefix in (("rels", "rels"), ("spans", "spans_spert")):
        scores = prf(of_documents[name].sum(axis=0, keepdims=True))
        for score, key in (("P", "p"), ("R", "r"), ("F", "f"), ("macro F", "macro_f")):
            assert scores[score].tolist() == [pytest.approx(expected[f"{prefix}_{key}"])]
    scores = prf(of_documents["rels"].sum(axis=0, keepdims=True), labels)
    assert scores["F works_for"].tolist() == [pytest.approx(0.8)] and scores["F likes"].tolist() == [0.0]


def test_differences_hold_the_scores():
    result = bootstrap(counts((1, 1, 0), (0, 0, 1)), counts((1, 0, 0), (1, 0, 0)))["F"]
    assert (result.one, result.other, result.difference) == (0.5, 1.0, 0.5)
    assert result.to_json() == {"a": 0.5, "b": 1.0, "difference": 0.5, "low": result.low, "high": result.high}


def test_interval_of_documents_that_are_all_alike_is_a_point():
    result = bootstrap(counts(*[(1, 1, 1)] * 9), counts(*[(3, 1, 1)] * 9))["F"]
    assert result == Difference(0.5, 0.75, 0.25, 0.25) and result.is_sure


def test_interval_is_that_of_every_possible_draw():
    # Of two documents both, the first twice or the second twice are drawn: in 1/2, 1/4 and 1/4 of all draws.
    one, other = counts((1, 0, 0), (0, 0, 1)), counts((0, 0, 1), (0, 0, 1))
    result = bootstrap(one, other, samples=2000)["R"]
    assert (result.low, result.high) == (-1.0, 0.0) and not result.is_sure
    drawn = []
    bootstrap(one, other, lambda totals: drawn.append(totals[:, 0]) or {"R": prf(totals)["R"]}, samples=2000)
    rows = numpy.concatenate(drawn[:-2:2])
    assert len(rows) == 2000
    shares = [float((rows[:, 0] == right).mean()) for right in (0, 1, 2)]
    assert shares == [pytest.approx(each, abs=0.04) for each in (0.25, 0.5, 0.25)]


def test_the_same_documents_are_drawn_for_both():
    generator = numpy.random.default_rng(0)
    one = generator.integers(0, 5, (30, 2, 3))
    same = bootstrap(one, one.copy())
    assert {(each.low, each.high) for each in same.values()} == {(0.0, 0.0)}
    other = one.copy()
    other[:, :, 0] += 1
    assert all(each.low > 0 for each in bootstrap(one, other).values())


def test_interval_is_that_of_a_slow_and_obvious_bootstrap():
    generator = numpy.random.default_rng(3)
    one, other = generator.integers(0, 4, (40, 3, 3)), generator.integers(0, 4, (40, 3, 3))
    differences = []
    for _ in range(2000):
        chosen = generator.integers(0, 40, 40)
        differences.append(
            prf(other[chosen].sum(axis=0)[None])["macro F"] - prf(one[chosen].sum(axis=0)[None])["macro F"]
        )
    result = bootstrap(one, other, samples=2000)["macro F"]
    assert [result.low, result.high] == pytest.approx(numpy.quantile(differences, [0.025, 0.975]).tolist(), abs=0.01)


def test_draws_follow_from_the_seed():
    generator = numpy.random.default_rng(0)
    one, other = generator.integers(0, 5, (30, 2, 3)), generator.integers(0, 5, (30, 2, 3))
    assert bootstrap(one, other, seed=1) == bootstrap(one, other, seed=1) != bootstrap(one, other, seed=2)


GOLD = (TEXT, ENTITIES, [(0, 1, "works_for"), (1, 2, "based_in")])


def described(deviations):
    return [(each.kind, " ".join(span.text for span in each.spans), each.label, each.score) for each in deviations]


def test_what_only_one_predicts():
    a = (TEXT, [(0, 2, "PER"), (4, 6, "ORG")], [(0, 1, "works_for")])
    b = (TEXT, [(0, 2, "ORG"), (4, 6, "ORG"), (7, 8, "LOC")], [(0, 1, "works_for"), (1, 2, "based_in")])
    comparison = compare_evaluations(
        make_evaluation([(a, GOLD), (GOLD, GOLD)]), make_evaluation([(b, GOLD), (GOLD, GOLD)])
    )
    # Ann Lee has another label in B, so that her relation is another one, as in the strict score.
    assert described(comparison.deviations[0]) == [
        ("only A, right", "Ann Lee", "PER", None),
        ("only B, right", "Bonn", "LOC", None),
        ("only B, wrong", "Ann Lee", "ORG", None),
        ("only A, right", "Ann Lee Acme Labs", "works_for", 1.0),
        ("only B, right", "Acme Labs Bonn", "based_in", 1.0),
        ("only B, wrong", "Ann Lee Acme Labs", "works_for", 1.0),
    ]
    assert comparison.deviations[1] == [] and comparison.n_differing == 1
    assert comparison.kinds == {"only A, right": 2, "only B, right": 2, "only A, wrong": 0, "only B, wrong": 2}


def test_symmetric_relations_differ_in_order_only_where_their_direction_counts():
    a, b = (TEXT, ENTITIES, [(0, 1, "near")]), (TEXT, ENTITIES, [(1, 0, "near")])
    for symmetric, n in (("once", 0), ("twice", 0), ("directed", 2)):
        settings = {"cfg": {"symmetric_labels": ["near"]}, "symmetric": symmetric}
        one, other = make_evaluation([(a, a)], **settings), make_evaluation([(b, a)], **settings)
        assert len(compare_evaluations(one, other).deviations[0]) == n


def test_tables_and_json_hold_all_scores():
    one, other = make_evaluation([((TEXT, ENTITIES, []), GOLD)]), make_evaluation([(GOLD, GOLD)])
    comparison = compare_evaluations(one, other, samples=10)
    tables = dict(comparison.tables)
    assert list(tables) == ["Entities", "Relations by boundaries", "Relations, strict"]
    assert tables["Relations, strict"] == [
        ("", "A", "B", "B - A", "95 % interval"),
        ("P", "0.0000", "1.0000", "+1.0000", "+1.0000 to +1.0000"),
        ("R", "0.0000", "1.0000", "+1.0000", "+1.0000 to +1.0000"),
        ("F", "0.0000", "1.0000", "+1.0000", "+1.0000 to +1.0000"),
        ("macro F", "0.0000", "1.0000", "+1.0000", "+1.0000 to +1.0000"),
        ("F based_in", "0.0000", "1.0000", "+1.0000", "+1.0000 to +1.0000"),
        ("F works_for", "0.0000", "1.0000", "+1.0000", "+1.0000 to +1.0000"),
    ]
    data = comparison.to_json()
    assert data["scores"]["rels"]["F"] == {"a": 0.0, "b": 1.0, "difference": 1.0, "low": 1.0, "high": 1.0}
    assert (data["documents"], data["differing_documents"], data["samples"]) == (1, 1, 10)
    assert data["deviations"]["only B, right"] == 2


def test_entities_that_were_given_are_not_compared():
    one, other = (make_evaluation([(GOLD, GOLD)], gold_entities=True) for _ in range(2))
    assert list(compare_evaluations(one, other).differences) == ["rels", "rels_strict"]


def test_other_documents_are_an_error():
    one = make_evaluation([(GOLD, GOLD)])
    with pytest.raises(ValueError, match=r"different documents \(1 and 2 documents\)"):
        compare_evaluations(one, make_evaluation([(GOLD, GOLD)] * 2))
