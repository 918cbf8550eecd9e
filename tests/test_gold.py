"""What the component learns from, and leaves alone, where annotation is not known."""

import logging

import pytest
import spacy
from spacy.cli.evaluate import evaluate as evaluate_with_spacy
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from util import CNN, SYMMETRIC, TEXTS, clone, entities_of, make_doc, make_example, make_samples

from spacy_spert.checks import REL_KEY
from spacy_spert.cli.evaluate import evaluate
from spacy_spert.evaluation.run import evaluate_pipeline
from spacy_spert.evaluation.tuned import tune_pipeline
from spacy_spert.evaluation.tuning import Options
from spacy_spert.relations import get_relations, related_groups, set_entities


def make_cnn(*names, **settings):
    nlp = spacy.blank("xx")
    for name in names or ["spert"]:
        nlp.add_pipe("spert", name=name, config={"model": {"tok2vec": CNN}, **settings})
    return nlp


def without_relations(example):
    for group in example.reference.spans.values():
        group.attrs.pop("relations", None)
    return example


@pytest.fixture
def examples():
    """In the first document the relations are not known, in the second there is one."""
    nlp = spacy.blank("xx")
    return [without_relations(make_example(nlp, *TEXTS[0])), make_example(nlp, *TEXTS[1])]


@pytest.fixture
def caplog(caplog, monkeypatch):
    """spaCy's logger keeps its records to itself."""
    monkeypatch.setattr(logging.getLogger("spacy"), "propagate", True)
    return caplog


def test_no_pairs_are_learned_where_relations_are_not_known(examples):
    nlp = make_cnn(symmetric_labels=SYMMETRIC)
    nlp.initialize(lambda: examples)
    spert = nlp.get_pipe("spert")
    assert len(make_samples(spert, examples[:1]).pairs) == 0
    assert len(make_samples(spert, examples).pairs) == 2
    examples[0].reference.spans["spert"].attrs["relations"] = []
    assert len(make_samples(spert, examples[:1]).pairs) == 6


def test_unknown_relations_are_counted_and_warned_of_once(examples, caplog):
    nlp = make_cnn()
    with caplog.at_level(logging.INFO, logger="spacy.spert"):
        nlp.initialize(lambda: [*examples, *(example.copy() for example in examples)])
    messages = [record.getMessage() for record in caplog.records if record.name == "spacy.spert"]
    tables = [message for message in messages if message.startswith("Training data: 4 documents, of which 2 have no")]
    (warning,) = [message for message in messages if "[W010]" in message]
    assert len(tables) == 1
    assert "the relations of 2 of the 4 documents are not known" in warning


def leave_in_rel(example, value):
    """Relations as other tools leave them."""
    example.reference.user_data[REL_KEY] = value
    return example


@pytest.mark.parametrize(
    "value, form", [({(0, 4): {"works_for": 1.0}}, "rel-component"), ([{"dep": 0, "dest": 1}], "spacy-llm")]
)
def test_relations_of_other_tools_are_named_once(examples, caplog, value, form):
    """Where there are none of ours: the second document has both."""
    nlp = make_cnn()
    data = [*examples, without_relations(examples[1].copy())]
    for example in data[:2]:
        leave_in_rel(example, value)
    nlp.initialize(lambda: data)
    nlp.get_pipe("spert").add_labels(lambda: data[:2], nlp)
    messages = [record.getMessage() for record in caplog.records if record.name == "spacy.spert"]
    found = [message for message in messages if "[W030]" in message]
    assert len(found) == 2 and all("Found 1 documents whose" in text and f"--from {form}" in text for text in found)
    # The third has none at all.
    (warning,) = [message for message in messages if "[W010]" in message]
    assert "the relations of 1 of the 3 documents are not known" in warning
    evaluation = evaluate_pipeline(nlp, data)
    assert [note for note in evaluation.notes if "doc._.rel" in note] == [found[0]]
    assert [note for note in evaluate_pipeline(nlp, data[1:]).notes if "doc._.rel" in note] == []
    tuned = tune_pipeline(nlp, data, Options(folds=2))
    assert [note for note in tuned.notes if "doc._.rel" in note] == [found[0]]


def test_component_for_entities_does_not_ask_for_relations_of_other_tools(examples, caplog):
    nlp = make_cnn(task="entities")
    nlp.initialize(lambda: [leave_in_rel(example, {(0, 4): {"x": 1.0}}) for example in examples])
    assert not [record for record in caplog.records if "[W030]" in record.getMessage()]


def test_evaluation_leaves_out_unknown_relations(examples):
    nlp = make_cnn()
    nlp.initialize(lambda: examples)
    evaluation = evaluate_pipeline(nlp, examples)
    assert evaluation.unrelated == 1 and any("1 of 2 documents are left out" in note for note in evaluation.notes)
    assert sum(score.tp + score.fn for score in evaluation.counts["rels"].values()) == 1
    assert evaluation.to_json()["documents_without_annotated_relations"] == 1
    assert not [error for error in evaluation.documents[0].errors if len(error.gold) == 2 or len(error.predicted) == 2]


def test_two_components_have_scores_of_their_own(examples):
    nlp = make_cnn("one", "two")
    nlp.get_pipe("two").cfg["spans_key"] = "mine"
    for example in examples:
        spans = list(example.reference.spans["spert"])
        set_entities(example.reference, "mine", spans, [(0, 1, "other", 1.0)])
    nlp.initialize(lambda: examples)
    scores = nlp.evaluate(examples)
    assert list(scores["rels_per_type"]) == list(scores["rels_strict_per_type"]) == ["partner_of"]
    assert list(scores["rels_mine_per_type"]) == list(scores["rels_strict_mine_per_type"]) == ["other"]
    assert {"spans_spert_f", "spans_mine_f", "rels_f", "rels_mine_f", "rels_strict_mine_f"} <= set(scores)


@pytest.mark.parametrize("overwrite", [False, True])
def test_blocked_tokens(trained, overwrite):
    nlp = clone(trained)
    nlp.get_pipe("spert").cfg["overwrite_ents"] = overwrite
    text, entities, _ = TEXTS[0]
    doc = nlp.make_doc(text)
    doc.set_ents([], blocked=[doc[1:2]])
    doc = nlp(doc)
    assert entities_of(doc) == entities
    assert [(ent.start, ent.end) for ent in doc.ents] == [entity[:2] for entity in entities[0 if overwrite else 1 :]]
    assert (doc[1].ent_iob_, doc[1].ent_type_) == (("I", "PER") if overwrite else ("B", ""))


def test_given_entities_keep_their_group(trained):
    """The component adds its relations to the group of another one, which may have any order and attributes."""
    nlp = clone(trained)
    nlp.get_pipe("spert").cfg.update(task="relations", entities_key="spert", spans_key="spert")
    text, entities, relations = TEXTS[0]
    doc = make_doc(nlp.vocab, text, entities[::-1])
    group = doc.spans["spert"]
    group.attrs.update(scores=[0.25, 0.5, 0.75], source="rules")
    doc = nlp(doc)
    group = doc.spans["spert"]
    assert [(span.start, span.end, span.label_) for span in group] == entities[::-1]
    assert (group.attrs["scores"], group.attrs["source"]) == ([0.25, 0.5, 0.75], "rules")
    assert sorted((r.head.start, r.tail.start, r.label) for r in get_relations(doc)) == sorted(
        (entities[head][0], entities[tail][0], label) for head, tail, label in relations
    )


def test_component_for_entities_says_nothing_of_relations(examples):
    nlp = make_cnn(task="entities")
    nlp.initialize(lambda: examples)
    assert related_groups(nlp(TEXTS[0][0])) == {}


@pytest.mark.parametrize("symmetric, right", [("once", 3), ("directed", 0), ("twice", 6)])
def test_both_evaluations_count_symmetric_labels_as_the_config_says(trained, tmp_path, symmetric, right):
    """The gold data has their heads and tails the other way round."""
    model, gold = tmp_path / "model", tmp_path / "gold.spacy"
    trained.to_disk(tmp_path / "trained")
    config = {"components": {"spert": {"scorer": {"symmetric": symmetric}}}}
    spacy.load(tmp_path / "trained", config=config).to_disk(model)
    texts = [
        (text, entities, [(t, h, x) if x in SYMMETRIC else (h, t, x) for h, t, x in relations])
        for text, entities, relations in TEXTS
    ]
    DocBin(docs=[make_doc(trained.vocab, *text) for text in texts]).to_disk(gold)
    ours = evaluate(str(model), gold)
    spacys = evaluate_with_spacy(str(model), gold, silent=True)
    assert (ours.symmetric, ours.counts["rels"]["partner_of"].tp) == (symmetric, right)
    for name in ("spans_spert_f", "rels_p", "rels_r", "rels_f", "rels_strict_f"):
        assert ours.scores[name] == pytest.approx(spacys[name])
    assert evaluate(str(model), gold, symmetric="directed").counts["rels"]["partner_of"].tp == 0


def test_relations_known_survive_spacys_files(tmp_path):
    nlp = spacy.blank("xx")
    doc = Doc(nlp.vocab, words=["a", "b"])
    doc.ents = [Span(doc, 0, 1, label="X")]
    doc._.relations = []
    DocBin(docs=[doc]).to_disk(tmp_path / "a.spacy")
    (read,) = DocBin().from_disk(tmp_path / "a.spacy").get_docs(nlp.vocab)
    assert list(related_groups(read)) == ["spert"] and Example(read, read).reference._.relations == ()
