"""Relations between entities of different sentences, from the gold data to what comes out."""

import logging

import pytest
import spacy
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import fix_random_seed
from thinc.api import Adam
from util import (
    CNN,
    clone,
    finish_update,
    gold_relations,
    make_doc,
    make_nlp,
    relations_of,
    strided,
)

from spacy_spert.evaluation.constraints import count_removed_pairs
from spacy_spert.evaluation.run import evaluate_pipeline
from spacy_spert.ml.encoders import get_layout
from spacy_spert.training import make_pairing

# Text, first tokens of further sentences, entities, relations. Those of the first text cross one border, that of the
# second crosses two; the third has none.
TEXTS = [
    (
        "Ann sings . Eve likes Bonn . Acme hired her",
        (3, 7),
        [(0, 1, "PER"), (3, 4, "PER"), (5, 6, "LOC"), (7, 8, "ORG")],
        [(0, 1, "knows"), (1, 3, "works_for")],
    ),
    ("Bob ran . It rained . Zeta paid", (3, 6), [(0, 1, "PER"), (6, 7, "ORG")], [(0, 1, "works_for")]),
    ("Graz is old . Eve slept", (4,), [(0, 1, "LOC"), (4, 5, "PER")], []),
]


def with_sentences(doc, starts):
    for token in doc:
        token.is_sent_start = token.i == 0 or token.i in starts
    return doc


def make_examples(nlp):
    rows = []
    for text, starts, entities, relations in TEXTS:
        reference = with_sentences(make_doc(nlp.vocab, text, entities, relations), starts)
        rows.append(Example(with_sentences(Doc(nlp.vocab, words=text.split()), starts), reference))
    return rows


def train(nlp, steps):
    fix_random_seed(0)
    nlp.initialize(lambda: make_examples(nlp))
    optimizer = Adam(0.01)
    for _ in range(steps):
        nlp.update(make_examples(nlp), sgd=False)
        finish_update(nlp, optimizer)
    return nlp


@pytest.fixture(scope="module", params=["localized", "sentence", "cls"])
def trained(request, encoder):
    model = {"dropout": 0.0, "context": request.param, "relation_head": RICH}
    nlp = make_nlp(encoder, max_span_width=2, relation_scope="document", near_misses=5, model=model)
    return train(nlp, 60)


RICH = {"@architectures": "spacy-spert.RelationHead.v1", "hidden_width": 32, "labels": True}


def predict(nlp):
    return [doc for doc in nlp.pipe(example.predicted for example in make_examples(nlp))]


def test_what_crosses_sentences_is_learned_and_scored(trained):
    for doc, (_, _, entities, relations) in zip(predict(trained), TEXTS):
        assert relations_of(doc) == gold_relations(entities, relations)
    evaluation = evaluate_pipeline(trained, make_examples(trained))
    assert evaluation.scores["rels_strict_f"] == 1.0
    assert evaluation.counts["rels_strict"]["works_for"].tp == 2


def test_the_scope_can_be_narrowed_after_training(trained, tmp_path):
    """What is out of scope then counts as missed."""
    found = {}
    for scope in (1, "sentence"):
        nlp = clone(trained)
        nlp.get_pipe("spert").cfg["relation_scope"] = scope
        nlp.to_disk(tmp_path / str(scope))
        nlp = spacy.load(tmp_path / str(scope))
        found[scope] = [relations_of(doc) for doc in predict(nlp)]
        counts = evaluate_pipeline(nlp, make_examples(nlp)).counts["rels_strict"]
        assert sum(score.tp + score.fn for score in counts.values()) == 3
    (_, _, entities, relations), *_ = TEXTS
    assert found[1] == [gold_relations(entities, relations), [], []]
    assert found["sentence"] == [[], [], []]


def test_documents_of_a_batch_stay_apart(trained):
    """With every pair taken for a relation."""
    nlp = clone(trained)
    nlp.get_pipe("spert").cfg.update(relation_threshold=0.0, relations_per_token=0.0)
    together = [relations_of(doc) for doc in predict(nlp)]
    alone = [relations_of(nlp(example.predicted)) for example in make_examples(nlp)]
    assert together == alone
    assert [len(relations) for relations in together] == [4 * 3 * 2, 2 * 2, 2 * 2]


@pytest.mark.parametrize(
    "scope, lost",
    [("sentence", {"across sentences": 3}), (1, {"farther apart than relation_scope": 1}), (2, {}), ("document", {})],
)
def test_gold_relations_out_of_scope_are_counted(encoder, caplog, scope, lost):
    nlp = make_nlp(encoder, relation_scope=scope)
    with caplog.at_level(logging.INFO, logger="spacy.spert"):
        nlp.initialize(lambda: make_examples(nlp))
    (row,) = [line.split() for line in caplog.text.splitlines() if line.split()[:2] == ["relation", "all"]]
    assert row[2:] == [str(3 - sum(lost.values())), *map(str, lost.values())]
    for reason in ("across sentences", "farther apart than relation_scope"):
        assert (f"lost: {reason}" in caplog.text) == (reason in lost)


@pytest.mark.parametrize("scope", ["sentence", 1, "document"])
def test_samples_lie_within_the_scope(scope):
    nlp = spacy.blank("xx")
    nlp.add_pipe("spert", config={"relation_scope": scope, "negative_spans": 4, "model": {"tok2vec": CNN}})
    fix_random_seed(0)
    nlp.initialize(lambda: make_examples(nlp))
    spert = nlp.get_pipe("spert")
    examples = make_examples(nlp)
    docs = [example.predicted for example in examples]
    _, layout = get_layout(spert.model.ops, docs, spert.model.get_ref("tok2vec").predict(docs))
    assert layout.documents.tolist() == [0, 10, 18]
    related = spert.get_samples(examples, layout)
    samples = make_pairing(spert.cfg).choose_pairs(related, None, layout)
    owners = layout.sentence_of(samples.spans[:, 0])[samples.pairs]
    documents = layout.document_of(samples.spans[:, 0])[samples.pairs]
    assert (documents[:, 0] == documents[:, 1]).all()
    # Pairs of entities of the three documents, in both orders.
    expected = {"sentence": 2, 1: 2 * (1 + 2 + 2) + 2, "document": 4 * 3 + 2 + 2}[scope]
    assert len(samples.pairs) == expected
    assert abs(owners[:, 0] - owners[:, 1]).max() == {"sentence": 0, 1: 1, "document": 2}[scope]
    assert samples.pair_labels.sum() == {"sentence": 0, 1: 2, "document": 3}[scope]


def test_documents_of_white_space_and_none_at_all(encoder):
    nlp = make_nlp(encoder, spans=strided(5, 3), relation_scope=1)
    fix_random_seed(0)
    nlp.initialize(lambda: make_examples(nlp))
    spert = nlp.get_pipe("spert")
    first, second, _ = make_examples(nlp)
    empty, blank = (Example(Doc(nlp.vocab, words=words), Doc(nlp.vocab, words=words)) for words in ([], ["\n"]))
    examples = [empty, first, blank, second]
    docs = [nlp.get_pipe("transformer")(example.predicted) for example in examples]
    _, layout = get_layout(spert.model.ops, docs, [doc._.trf_data for doc in docs])
    assert layout.documents.tolist() == [0, 10, 10]
    assert nlp.update(examples, sgd=False)["spert"] > 0.0


def test_pairs_that_types_remove_are_counted_within_the_scope(trained):
    nlp = clone(trained)
    cfg = nlp.get_pipe("spert").cfg
    cfg["relation_types"] = [["works_for", "PER", "ORG"]]
    docs = predict(nlp)
    assert count_removed_pairs(docs, cfg) == {("LOC", "PER"): 3, ("LOC", "ORG"): 1, ("PER", "PER"): 1}
    cfg["relation_scope"] = 1
    assert count_removed_pairs(docs, cfg) == {("LOC", "PER"): 3, ("LOC", "ORG"): 1, ("PER", "PER"): 1}
    cfg["relation_scope"] = "sentence"
    assert count_removed_pairs(docs, cfg) == {("LOC", "PER"): 1}


def test_white_space_does_not_count_for_removed_pairs(trained):
    """Neither as a sentence between two, nor as distance."""
    cfg = dict(trained.get_pipe("spert").cfg)
    cfg.update(relation_types=[["works_for", "PER", "ORG"]], relation_scope=1, max_relation_distance=2)
    words = ["Ann", "sings", ".", "\n", "\n", "Bonn"]
    doc = Doc(trained.vocab, words=words, sent_starts=[True, False, False, True, False, True])
    doc.spans["spert"] = [Span(doc, 0, 1, "PER"), Span(doc, 5, 6, "LOC")]
    assert count_removed_pairs([doc], cfg) == {("LOC", "PER"): 1}
    assert count_removed_pairs([doc], {**cfg, "max_relation_distance": 1}) == {}
    assert count_removed_pairs([doc], {**cfg, "relation_scope": "sentence"}) == {}
