"""The arithmetic of the selection, and the selection by pipelines."""

import numpy
import pytest
import spacy
from spacy.tokens import Doc
from util import CNN, TEXTS, initialize

from spacy_spert.components import changed
from spacy_spert.extraction import selection
from spacy_spert.extraction.selection import embed, entropy, select, spread


def test_entropy():
    assert entropy(numpy.asarray([0.5, 0.5, 1.0, 0.0])) == pytest.approx(2.0, abs=1e-6)
    # 0.25 and 0.75 are equally uncertain: 2 - 0.75 * log2(3).
    assert entropy(numpy.asarray([0.25])) == pytest.approx(2 - 0.75 * numpy.log2(3), abs=1e-6)
    assert entropy(numpy.asarray([0.75])) == pytest.approx(2 - 0.75 * numpy.log2(3), abs=1e-6)
    assert entropy(numpy.zeros(0)) == 0.0


def test_spread_takes_weight_and_distance():
    """Two groups in opposite directions. The heaviest row is first, then the heaviest of the other group, although the
    first group has heavier ones; at last those that are the same as one chosen, by weight."""
    vectors = numpy.asarray([[1, 0], [1, 0], [1, 0.1], [-1, 0], [-1, -0.1], [1, 0]], dtype="float32")
    weights = numpy.asarray([5.0, 3.0, 4.0, 1.0, 2.0, 3.5])
    assert spread(weights, vectors, 2) == [0, 4]
    order = spread(weights, vectors, 9)
    assert sorted(order) == list(range(6))
    assert order[-2:] == [5, 1]


def test_spread_without_directions_is_by_weight():
    weights = numpy.asarray([1.0, 3.0, 2.0])
    for vectors in (numpy.zeros((3, 0)), numpy.ones((3, 4))):
        assert spread(weights, vectors, 3) == [1, 2, 0]
    assert spread(weights[:1], numpy.ones((1, 4)), 5) == [0]


def test_spread_against_the_plain_way():
    random = numpy.random.default_rng(0)
    weights, vectors = random.random(30), random.normal(size=(30, 5))
    directions = vectors - vectors.mean(axis=0)
    directions /= numpy.linalg.norm(directions, axis=1, keepdims=True)
    chosen = [int(weights.argmax())]
    while len(chosen) < 12:
        worth = {
            i: weights[i] * min(((directions[i] - directions[j]) ** 2).sum() for j in chosen)
            for i in range(30)
            if i not in chosen
        }
        chosen.append(max(worth, key=worth.get))
    assert spread(weights, vectors, 12) == chosen


def choose(nlp, texts, n, **settings):
    """The numbers of the texts that are selected."""
    pool = [(i, {"text": text}) for i, text in enumerate(texts)]
    return select(nlp, pool, n, lambda i, error: pytest.fail(error), **settings)


def test_what_is_selected(trained):
    texts = [text for text, _, _ in TEXTS]
    before = dict(trained.get_pipe("spert").cfg)
    order = choose(trained, [*texts, texts[0], ""], 4, batch_size=3)
    assert len(set(order)) == 4
    assert set(order) <= set(range(len(texts) + 2))
    assert trained.get_pipe("spert").cfg == before


def test_relations_below_the_threshold_count(trained, monkeypatch):
    """Those of labels with a threshold of their own as well."""
    seen = []
    monkeypatch.setattr(selection, "entropy", lambda scores: seen.append(scores) or 0.0)
    text = TEXTS[0][0]
    cfg = trained.get_pipe("spert").cfg
    with changed(cfg, relation_threshold=1.0, relation_thresholds=[["works_for", 1.0]]):
        choose(trained, [text], 1)
        assert trained(text)._.relations == ()
        assert cfg["relation_thresholds"] == [["works_for", 1.0]]
    n_entities = len(trained(text).spans["spert"])
    assert len(trained(text)._.relations) == 2
    assert len(seen[0]) >= n_entities + 2
    assert seen[0][n_entities:].min() >= selection.LOWEST


def test_only_so_many_are_kept_and_equal_ones_by_their_number(trained, monkeypatch):
    """The most uncertain of a long pool, whatever its length."""
    monkeypatch.setattr(selection, "CANDIDATES", 1)
    value = iter([1.0, 5.0, 3.0, 5.0, 5.0, 2.0])
    monkeypatch.setattr(selection, "entropy", lambda scores: next(value))
    order = choose(trained, [f"text {i}" for i in range(6)], 2)
    assert sorted(order) == [1, 3]


def test_without_any_uncertainty_the_distances_decide(trained, monkeypatch):
    monkeypatch.setattr(selection, "entropy", lambda scores: 0.0)
    order = choose(trained, [TEXTS[0][0]] * 3 + [TEXTS[3][0]], 2)
    assert order == [0, 3]


def test_broken_records_are_refused_alone(trained):
    pool = [
        ("a", {"text": 3}),
        ("b", {"text": "Bonn ."}),
        ("c", {"tokens": [""]}),
        ("d", "x"),
        ("e", {"tokens": ["x"]}),
    ]
    refused = []
    found = select(trained, pool, 5, lambda *args: refused.append(args))
    assert sorted(found) == ["b", "e"]
    assert [name for name, _ in refused] == ["a", "c", "d"]
    assert select(trained, [], 5, lambda *args: None) == []


def test_embedding_of_a_transformer_is_the_mean_of_its_wordpieces(trained):
    short, long = TEXTS[3][0], TEXTS[0][0]
    docs = list(trained.pipe([short, long], batch_size=2))
    data = docs[0]._.trf_data
    mask = data.wordpieces.attention_mask.astype(bool)
    expected = data.model_output.last_hidden_state[mask].mean(axis=0)
    numpy.testing.assert_allclose(embed(docs[0]), expected, rtol=1e-6)
    # Not of what fills up the batch.
    numpy.testing.assert_allclose(embed(docs[0]), embed(trained(short)), atol=1e-5)
    assert embed(trained("")).shape == (0,)


def test_embedding_without_a_transformer():
    nlp = spacy.blank("en")
    doc = Doc(nlp.vocab, words=["a", "b"])
    assert embed(doc).shape == (0,)
    doc.tensor = numpy.asarray([[1.0, 2.0], [3.0, 6.0]], dtype="float32")
    assert embed(doc).tolist() == [2.0, 4.0]
    nlp.vocab.set_vector("a", numpy.asarray([1.0, 0.0], dtype="float32"))
    nlp.vocab.set_vector("b", numpy.asarray([0.0, 1.0], dtype="float32"))
    assert embed(Doc(nlp.vocab, words=["a", "b"])).tolist() == [0.5, 0.5]


def test_pipeline_of_tok2vec():
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec", config={"model": CNN})
    nlp.add_pipe("spert", config={"model": {"tok2vec": {"@architectures": "spacy.Tok2VecListener.v1", "width": 16}}})
    initialize(nlp)
    order = choose(nlp, [text for text, _, _ in TEXTS], 3)
    assert len(set(order)) == 3
