"""A pipeline run over annotated documents."""

import json

import numpy
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from util import SYMMETRIC, TEXTS, clone, entities_of, make_doc, make_examples, make_nlp, relations_of

from spacy_spert.components import changed, find_component
from spacy_spert.evaluation.analysis import MISSED_ENTITY, MISSED_PAIR, UNDER_THRESHOLD
from spacy_spert.evaluation.prediction import GIVEN_KEY
from spacy_spert.evaluation.run import evaluate_pipeline

TOK2VEC = {
    "@architectures": "spacy.HashEmbedCNN.v2",
    "width": 16,
    "depth": 1,
    "embed_size": 100,
    "window_size": 1,
    "maxout_pieces": 2,
    "subword_features": True,
    "pretrained_vectors": None,
}


@Language.component("spert_test_witness")
def witness(doc):
    """Remembers the relations that a component after 'spert' sees."""
    doc.user_data["seen"] = [relation.score for relation in doc._.relations]
    return doc


@Language.component("spert_test_failure")
def failure(doc):
    raise ValueError("A later component fails")


@pytest.fixture
def nlp(trained):
    return clone(trained)


def small_nlp(*names, **settings):
    """A pipeline with untrained components and no transformer."""
    nlp = spacy.blank("xx")
    for name in names:
        nlp.add_pipe("spert", name=name, config={"model": {"tok2vec": TOK2VEC}, **settings})
    nlp.initialize(lambda: make_examples(nlp))
    return nlp


def test_scores_are_those_of_the_scorer(nlp):
    nlp.get_pipe("spert").cfg["relation_threshold"] = 0.97
    expected = nlp.evaluate(make_examples(nlp))
    evaluation = evaluate_pipeline(nlp, make_examples(nlp))
    assert set(evaluation.scores) == {name for name in expected if name.startswith(("spans_", "rels_", "ents_"))}
    assert evaluation.scores == {name: expected[name] for name in evaluation.scores}
    assert len(evaluation.documents) == len(TEXTS)
    assert sum(len(document.errors) for document in evaluation.documents) == sum(evaluation.errors.values())


def test_predictions_are_those_of_the_pipeline(nlp):
    nlp.get_pipe("spert").cfg["relation_threshold"] = 0.97
    documents = evaluate_pipeline(nlp, make_examples(nlp), margin=0.9, batch_size=3).documents
    assert [document.number for document in documents] == list(range(1, len(TEXTS) + 1))
    for document, doc in zip(documents, nlp.pipe(text for text, _, _ in TEXTS)):
        assert entities_of(document.predicted) == entities_of(doc)
        assert relations_of(document.predicted) == relations_of(doc)


def test_encoder_output_is_not_kept(nlp):
    (document, *_) = evaluate_pipeline(nlp, make_examples(nlp)).documents
    assert document.predicted._.trf_data is None


# Just under the threshold


def test_relation_just_under_the_threshold(nlp):
    cfg = nlp.get_pipe("spert").cfg
    nlp.add_pipe("spert_test_witness")
    scores = sorted({relation.score for doc in nlp.pipe(text for text, _, _ in TEXTS) for relation in doc._.relations})
    # Above the lowest score by less than the margin.
    lowest = scores[0]
    cfg["relation_threshold"] = threshold = (lowest + scores[1]) / 2
    evaluation = evaluate_pipeline(nlp, make_examples(nlp), margin=threshold - lowest + 0.001)
    errors = [error for document in evaluation.documents for error in document.errors]
    assert [(error.kind, error.score) for error in errors] == [(UNDER_THRESHOLD, pytest.approx(lowest, abs=1e-5))]
    assert cfg["relation_threshold"] == threshold
    for document in evaluation.documents:
        predicted = [relation.score for relation in document.predicted._.relations]
        assert all(score >= threshold for score in predicted)
        assert document.predicted.user_data["seen"] == predicted
    assert evaluate_pipeline(nlp, make_examples(nlp), margin=0.0).errors[MISSED_PAIR] == 1


def test_a_score_at_the_threshold_is_above_it(nlp):
    """In the precision of the component's own comparison."""
    scores = [relation.score for doc in nlp.pipe(text for text, _, _ in TEXTS) for relation in doc._.relations]
    for threshold in scores[:3]:
        # The nearest number to it that single precision does not hold.
        nlp.get_pipe("spert").cfg["relation_threshold"] = float(numpy.nextafter(threshold, 1.0))
        expected = [len(doc._.relations) for doc in nlp.pipe(text for text, _, _ in TEXTS)]
        evaluation = evaluate_pipeline(nlp, make_examples(nlp))
        assert [len(document.predicted._.relations) for document in evaluation.documents] == expected


# Gold entities


def test_gold_entities_are_given(nlp):
    # Entities that the model can't find by itself: one is too wide for it, one it has never seen.
    text = "Ann Lee works for Acme Labs of the University of Bonn hired there today ."
    entities = [(0, 2, "PER"), (4, 13, "ORG"), (10, 11, "LOC")]
    examples = [Example(nlp.make_doc(text), make_doc(nlp.vocab, text, entities, [(0, 1, "works_for")]))]
    before = dict(nlp.get_pipe("spert").cfg)
    evaluation = evaluate_pipeline(nlp, [*make_examples(nlp), *examples], gold_entities=True)
    assert nlp.get_pipe("spert").cfg == before
    for document in evaluation.documents:
        assert entities_of(document.predicted) == entities_of(document.reference)
        assert GIVEN_KEY not in document.predicted.spans
    assert entities_of(nlp(text)) != sorted(entities)
    assert evaluation.unmapped == 0
    assert [title for title, _ in evaluation.tables] == ["Relations by boundaries", "Relations, strict"]
    assert evaluation.scores["spans_spert_f"] is evaluation.scores["ents_per_type"] is None
    assert evaluation.scores["rels_strict_f"] == evaluation.scores["rels_f"] > 0.9
    assert "The gold entities were given" in evaluation.notes[0]


def test_gold_entities_off_the_tokens_are_counted_and_their_relations_missed(nlp):
    doc = Doc(nlp.vocab, words=["Ann", "Lee", "wor", "ks"], spaces=[True, True, False, False])
    spans = [doc[0:2], doc[2:3], doc[3:4]]
    doc.spans["spert"] = [spacy.tokens.Span(doc, span.start, span.end, "PER") for span in spans]
    doc._.relations = [(doc.spans["spert"][0], doc.spans["spert"][1], "works_for")]
    evaluation = evaluate_pipeline(nlp, [Example(nlp.make_doc(doc.text), doc)], gold_entities=True)
    assert evaluation.unmapped == 2
    assert evaluation.counts["rels"]["works_for"].fn == 1
    assert {kind: n for kind, n in evaluation.errors.items() if n} == {MISSED_ENTITY: 2, MISSED_PAIR: 1}
    assert "2 gold entities could not be given" in evaluation.notes[1]


def test_settings_are_restored_after_an_error(nlp):
    nlp.add_pipe("spert_test_failure")
    before = dict(nlp.get_pipe("spert").cfg)
    with pytest.raises(ValueError, match="A later component fails"):
        evaluate_pipeline(nlp, make_examples(nlp), gold_entities=True)
    assert nlp.get_pipe("spert").cfg == before
    assert nlp.pipe_names == ["transformer", "spert", "spert_test_failure"]


def test_changed_restores_settings():
    cfg = {"a": 1, "b": 2}
    with pytest.raises(RuntimeError), changed(cfg, a=5):
        assert cfg == {"a": 5, "b": 2}
        raise RuntimeError
    assert cfg == {"a": 1, "b": 2}


# Which documents, which component


def test_documents_without_annotation_are_left_out_and_counted():
    nlp = small_nlp("spert")
    examples = make_examples(nlp, TEXTS[:2])
    examples.insert(1, Example(nlp.make_doc("Ann ."), nlp.make_doc("Ann .")))
    evaluation = evaluate_pipeline(nlp, examples)
    assert [document.number for document in evaluation.documents] == [1, 3]
    assert evaluation.unannotated == 1
    assert evaluation.notes == ["1 of 3 documents are left out, as their entities are not annotated."]


def test_several_components():
    nlp = small_nlp("one", "two")
    assert find_component(nlp, "two") == ("two", nlp.get_pipe("two"))
    assert evaluate_pipeline(nlp, make_examples(nlp), component="one").component == "one"
    with pytest.raises(ValueError, match=r"several 'spert' components: \['one', 'two'\]"):
        evaluate_pipeline(nlp, make_examples(nlp))
    with pytest.raises(ValueError, match=r"'ner' is not a 'spert' component.*\['one', 'two'\]"):
        evaluate_pipeline(nlp, make_examples(nlp), component="ner")


def test_another_span_group():
    nlp = spacy.blank("xx")
    nlp.add_pipe("spert", config={"model": {"tok2vec": TOK2VEC}, "spans_key": "mine"})
    examples = [Example(nlp.make_doc(text[0]), make_doc(nlp.vocab, *text, key="mine")) for text in TEXTS]
    nlp.initialize(lambda: examples)
    for gold_entities in (False, True):
        evaluation = evaluate_pipeline(nlp, examples, gold_entities=gold_entities)
        assert "spans_mine_f" in evaluation.scores
        assert evaluation.counts["rels"]["works_for"].tp + evaluation.counts["rels"]["works_for"].fn == 3


def test_tasks_for_entities_only_and_relations_only():
    entities_only = small_nlp("spert", task="entities")
    assert evaluate_pipeline(entities_only, make_examples(entities_only)).scores["rels_r"] == 0.0
    with pytest.raises(ValueError, match="'spert' predicts no relations"):
        evaluate_pipeline(entities_only, make_examples(entities_only), gold_entities=True)
    given = small_nlp("spert", task="relations")
    evaluation = evaluate_pipeline(given, make_examples(given), gold_entities=True)
    assert evaluation.cfg["entities_key"] is None and evaluation.unmapped == 0


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"symmetric": "never"}, "Can't score with symmetric = 'never'"),
        ({"margin": -0.1}, "The margin is .* Got: -0.1"),
        ({"margin": 2.0}, "The margin is .* Got: 2.0"),
        ({"examples": []}, "None of the 0 documents is annotated"),
    ],
)
def test_errors(settings, message):
    nlp = small_nlp("spert")
    with pytest.raises(ValueError, match=message):
        evaluate_pipeline(nlp, **{"examples": make_examples(nlp), **settings})


def test_pipeline_without_component():
    with pytest.raises(ValueError, match=r"no 'spert' component. Its components are \['sentencizer'\]"):
        nlp = spacy.blank("xx")
        nlp.add_pipe("sentencizer")
        evaluate_pipeline(nlp, [])


# For people and programs


@pytest.mark.parametrize(
    "symmetric, note", [("once", "once, whatever their order"), ("directed", "as directed ones"), ("twice", "in both")]
)
def test_symmetric_relations_are_noted(encoder, symmetric, note):
    nlp = make_nlp(encoder, symmetric_labels=SYMMETRIC)
    nlp.initialize(lambda: make_examples(nlp))
    evaluation = evaluate_pipeline(nlp, make_examples(nlp, TEXTS[:2]), symmetric=symmetric)
    assert f"Relations without direction (partner_of) are counted {note}" in evaluation.notes[-1]
    assert evaluation.undirected == ([] if symmetric == "directed" else ["partner_of"])
    support = evaluation.to_json()["counts"]["rels"]["partner_of"]["support"]
    assert support == (2 if symmetric == "twice" else 1)


def test_json_holds_scores_counts_errors_and_settings(nlp):
    evaluation = evaluate_pipeline(nlp, make_examples(nlp))
    data = json.loads(json.dumps(evaluation.to_json()))
    assert {name: data[name] for name in evaluation.scores} == evaluation.scores
    assert data["counts"]["rels"]["works_for"] == {"tp": 3, "fp": 0, "fn": 0, "support": 3}
    assert set(data["counts"]) == {"spans", "rels", "rels_strict"}
    assert data["errors"] == dict.fromkeys(evaluation.errors, 0)
    assert (data["documents"], data["unannotated_documents"], data["unmapped_entities"]) == (len(TEXTS), 0, 0)
    assert data["settings"] == {
        "component": "spert",
        "spans_key": "spert",
        "relation_threshold": 0.4,
        "margin": 0.1,
        "symmetric_labels": ["partner_of"],
        "symmetric": "once",
        "gold_entities": False,
        "given_sentences": False,
    }


def test_false_relations_are_counted(nlp):
    negatives = [("Ann sued Acme Labs .", [(0, 1, "PER"), (2, 4, "ORG")], [])] * 2
    evaluation = evaluate_pipeline(nlp, make_examples(nlp), hard_negatives=make_examples(nlp, negatives))
    counts = evaluation.to_json()["false_relations"]
    # "Graz lies near Bonn" has no types that are related elsewhere, "Acme Labs sued Zeta" has.
    assert counts["all"] == {"sentences": 8, "false_relations": 0, "per_100_sentences": 0.0}
    assert counts["without_relation"] == {"sentences": 1, "false_relations": 0, "per_100_sentences": 0.0}
    expected = sum(len(nlp(text)._.relations) for text, _, _ in negatives)
    assert counts["hard_negatives"] == {
        "sentences": 2,
        "false_relations": expected,
        "per_100_sentences": 50.0 * expected,
    }
    title, rows = evaluation.false_relation_table
    assert title == "False relations" and rows[0] == ("", "false", "sentences", "per 100")
    assert rows[1:3] == [
        ("all sentences", 0, 8, "0.0"),
        ("fitting entities, no relation in the gold data", 0, 1, "0.0"),
    ]
    assert rows[3][:3] == ("hard negatives", expected, 2)


def test_all_that_has_a_score_is_kept(nlp):
    spert = nlp.get_pipe("spert")
    with changed(spert.cfg, relation_threshold=0.01):
        low = [relation.score for doc in nlp.pipe(text for text, _, _ in TEXTS) for relation in doc._.relations]
    spert.cfg["relation_threshold"] = 0.97
    scored = evaluate_pipeline(nlp, make_examples(nlp)).scored
    assert scored.entities.labels == list(spert.entity_labels) and not scored.given
    numpy.testing.assert_allclose(sorted(scored.relations.scores), sorted(low), atol=1e-5)
    assert scored.relations.gold.sum(axis=0).tolist() == [4, 3, 3]
    # The model knows the texts by heart.
    assert scored.entities.right.all() and scored.entities.gold.sum() == len(scored.entities.scores)
    assert scored.relations.right.sum() == 10
    heads, tails = scored.pairs.T
    assert (scored.entities.documents[heads] == scored.relations.documents).all()
    assert (scored.entities.documents[tails] == scored.relations.documents).all()


def test_earlier_ents_stay_where_predictions_only_fill_the_gaps():
    nlp = small_nlp("spert", overwrite_ents=False)
    expected, seen = nlp.make_doc(TEXTS[0][0]), nlp.make_doc(TEXTS[0][0])
    for doc in (expected, seen):
        doc.set_ents([spacy.tokens.Span(doc, 0, 1, "OTHER")])
    example = Example(seen, make_doc(nlp.vocab, *TEXTS[0]))
    evaluate_pipeline(nlp, [example])
    ents = [(ent.start, ent.end, ent.label_) for ent in nlp(expected).ents]
    assert [(ent.start, ent.end, ent.label_) for ent in example.predicted.ents] == ents and (0, 1, "OTHER") in ents


def test_tables(nlp):
    tables = dict(evaluate_pipeline(nlp, make_examples(nlp)).tables)
    assert list(tables) == ["Entities", "Relations by boundaries", "Relations, strict"]
    assert tables["Relations, strict"] == [
        ("", "P", "R", "F", "support"),
        ("based_in", "1.0000", "1.0000", "1.0000", 4),
        ("partner_of", "1.0000", "1.0000", "1.0000", 3),
        ("works_for", "1.0000", "1.0000", "1.0000", 3),
        ("micro", "1.0000", "1.0000", "1.0000", 10),
        ("macro", "1.0000", "1.0000", "1.0000", 10),
    ]
