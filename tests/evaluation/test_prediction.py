"""All candidates of a pipeline, with their scores before any calibration."""

import numpy
import pytest
import spacy
from util import CNN, TEXTS, clone, make_examples

from spacy_spert.components import changed
from spacy_spert.decoding import relation_threshold
from spacy_spert.evaluation.calibration import softmax
from spacy_spert.evaluation.prediction import collect, entities_given, lowered


@pytest.fixture
def nlp(trained):
    return clone(trained)


def test_candidates_are_what_comes_out_with_low_thresholds(nlp):
    cfg = nlp.get_pipe("spert").cfg
    cfg["relation_threshold"] = 0.97
    before = dict(cfg)
    scored = collect(nlp, "spert", make_examples(nlp), floor=0.05, batch_size=3)
    assert cfg == before
    with changed(cfg, relation_threshold=0.05):
        docs = list(nlp.pipe(text for text, _, _ in TEXTS))
    assert scored.n_documents == len(TEXTS)
    scores = [score for doc in docs for score in doc.spans["spert"].attrs["scores"].tolist()]
    numpy.testing.assert_allclose(scored.entities.scores, scores, atol=1e-5)
    scores = [relation.score for doc in docs for relation in doc._.relations]
    numpy.testing.assert_allclose(scored.relations.scores, scores, atol=1e-5)


def test_logits_are_those_of_the_scores(nlp):
    scored = collect(nlp, "spert", make_examples(nlp), batch_size=3)
    assert scored.logits.shape == (len(scored.entities.scores), 4)
    rows = numpy.arange(len(scored.logits))
    assert (scored.logits.argmax(axis=1) == scored.entities.columns + 1).all()
    probabilities = softmax(scored.logits)[rows, scored.entities.columns + 1]
    numpy.testing.assert_allclose(probabilities, scored.entities.scores, atol=1e-5)


def test_given_entities_have_no_logits(nlp):
    cfg = nlp.get_pipe("spert").cfg
    examples = make_examples(nlp)
    with entities_given(cfg, examples) as unmapped:
        scored = collect(nlp, "spert", examples)
    assert unmapped == 0 and scored.given and scored.logits is None
    assert set(scored.entities.scores) == {1.0} and cfg["task"] == "joint"


def test_documents_without_entities_have_no_candidates():
    nlp = spacy.blank("xx")
    nlp.add_pipe("spert", config={"model": {"tok2vec": CNN}})
    nlp.initialize(lambda: make_examples(nlp))
    examples = make_examples(nlp, [("", [], []), TEXTS[3]])
    scored = collect(nlp, "spert", examples)
    assert scored.entities.gold.tolist() == [[0, 0, 0]] * 2
    assert len(scored.logits) == len(scored.entities.scores)


def test_settings_that_a_component_lacks_are_not_lowered():
    cfg = {"relation_threshold": 0.4, "relations_per_token": 2.0}
    assert lowered(cfg, 0.1) == {"relation_threshold": 0.1, "relations_per_token": 0}
    cfg = {**cfg, "relation_thresholds": [["a", 0.9]], "entity_thresholds": [["b", 0.9]], "calibration": {}}
    expected = {"relation_threshold": 0.1, "relations_per_token": 0, "relation_thresholds": [], "entity_thresholds": []}
    assert lowered(cfg, 0.1) == expected
    assert lowered(cfg, 0.1, raw=True) == {**expected, "calibration": None}


def test_threshold_of_a_relation_is_that_of_its_label():
    assert relation_threshold({"relation_threshold": 0.4}, "a") == 0.4
    cfg = {"relation_threshold": 0.4, "relation_thresholds": [["a", 0.9]]}
    assert (relation_threshold(cfg, "a"), relation_threshold(cfg, "b")) == (0.9, 0.4)
