"""Labels added to a trained model: the same decisions until it is trained on, then the new label is learned."""

import numpy
import pytest
import spacy
import torch
from spacy.tokens import DocBin
from spacy.training.initialize import init_nlp
from spacy.util import load_config
from thinc.api import Adam, Config
from util import (
    CONFIG,
    ENTITY_LABELS,
    RELATION_LABELS,
    TEXTS,
    clone,
    entities_of,
    initialize,
    make_doc,
    make_nlp,
    prediction,
    relations_of,
    torch_head,
    train,
)

from spacy_spert.ml.optimizer import build_adamw

NEW = [
    *TEXTS,
    ("Ann saw Mars and Venus .", [(0, 1, "PER"), (2, 3, "PLANET"), (4, 5, "PLANET")], [(0, 1, "saw"), (0, 2, "saw")]),
    ("Bob saw Venus .", [(0, 1, "PER"), (2, 3, "PLANET")], [(0, 1, "saw")]),
]
HEADS = {
    "paper": {},
    "hidden layers": {"span_head": {"hidden_width": 8}, "relation_head": {"hidden_width": 8}},
    "both ways": {"relation_head": {"hidden_width": 8, "inverse": True}},
    "label features": {"relation_head": {"labels": True, "distance": 4, "edges": True}},
}


def predictions(nlp):
    return [prediction(nlp(text)) for text, _, _ in TEXTS]


def assert_same(nlp, before):
    for (discrete, scores), (expected, expected_scores) in zip(predictions(nlp), before):
        assert discrete == expected
        numpy.testing.assert_allclose(scores, expected_scores, atol=1e-3, rtol=0)


def grown(nlp):
    pipe = nlp.get_pipe("spert")
    assert [pipe.add_label("PLANET"), pipe.add_label("saw", "relation"), pipe.add_label("PLANET")] == [1, 1, 0]
    return nlp


@pytest.fixture(scope="module", params=HEADS)
def variant(request, encoder):
    nlp = make_nlp(encoder, max_span_width=4, model={"dropout": 0.0, **HEADS[request.param]})
    initialize(nlp)
    train(nlp, 40)
    return nlp


def test_same_decisions_and_nearly_the_same_scores(variant):
    before = predictions(variant)
    assert sum(len(discrete[0]) for discrete, _ in before) >= 15
    assert_same(grown(clone(variant)), before)


def test_weights_of_the_others_are_kept_exactly(trained):
    old, new = torch_head(clone(trained)), torch_head(grown(clone(trained)))
    for part, n in (("span_head", 4), ("relation_head", 3)):
        one, other = getattr(old, part).output_layer, getattr(new, part).output_layer
        assert other.out_features == len(other.weight) == n + 1
        assert torch.equal(other.weight[:n], one.weight) and torch.equal(other.bias[:n], one.bias)
    assert torch.equal(old.width_embedding.weight, new.width_embedding.weight)


def test_new_entity_label_is_unlikely_whatever_the_others_say(trained):
    """The logits of all labels may be low."""
    nlp = clone(trained)
    with torch.no_grad():
        torch_head(nlp).span_head.output_layer.bias -= 100.0
    before = predictions(nlp)
    assert_same(grown(nlp), before)


@pytest.mark.parametrize("make", [lambda: Adam(0.01), lambda: build_adamw(0.01)], ids=["Adam", "AdamW"])
def test_new_labels_are_learned(trained, make):
    """By an optimizer that has seen the model before it grew."""
    nlp, optimizer = clone(trained), make()
    train(nlp, 3, optimizer=optimizer)
    grown(nlp)
    losses = train(nlp, 60, texts=NEW, optimizer=optimizer)
    assert losses[-1] < losses[0] / 5
    docs = [nlp(text) for text, _, _ in NEW]
    assert [entities_of(doc) for doc in docs] == [sorted(entities) for _, entities, _ in NEW]
    assert ((0, 1), (2, 3), "saw") in relations_of(docs[-1])


def test_learned_types_rule_out_no_new_label(trained):
    """They are those of data that did not have it."""
    nlp = clone(trained)
    pipe = nlp.get_pipe("spert")
    pipe.cfg["relation_types"] = "learn"
    before = [tuple(row) for row in pipe.cfg["learned_types"]]
    grown(nlp)
    after = [tuple(row) for row in pipe.cfg["learned_types"]]
    assert after[: len(before)] == before and len(set(after)) == len(after)
    assert ("saw", "PER", "PLANET") in after and ("works_for", "PLANET", "ORG") in after
    assert {row for row in after if row[0] != "saw" and "PLANET" not in row} == set(before)
    train(nlp, 60, texts=NEW)
    assert ((0, 1), (2, 3), "saw") in relations_of(nlp(NEW[-1][0]))


def test_grown_model_is_saved_and_loaded(trained, tmp_path):
    nlp = grown(clone(trained))
    train(nlp, 2, texts=NEW)
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert loaded.get_pipe("spert").label_data == {
        "entities": [*ENTITY_LABELS, "PLANET"],
        "relations": [*RELATION_LABELS, "saw"],
    }
    assert_same(loaded, predictions(nlp))


def test_first_relation_label_of_a_model_without_any(encoder):
    nlp = make_nlp(encoder, max_span_width=4, model={"dropout": 0.0})
    initialize(nlp, [(text, entities, []) for text, entities, _ in TEXTS])
    train(nlp, 20, texts=[(text, entities, []) for text, entities, _ in TEXTS])
    before = predictions(nlp)
    for label in RELATION_LABELS:
        nlp.get_pipe("spert").add_label(label, "relation")
    assert_same(nlp, before)
    assert train(nlp, 40)[-1] < 0.1


def test_relation_label_of_a_model_for_entities_only(encoder):
    nlp = initialize(make_nlp(encoder, task="entities"))
    nlp.get_pipe("spert").add_label("saw", "relation")
    assert torch_head(nlp).relation_head is None


@pytest.mark.parametrize("label, kind", [("", "entity"), (3, "entity"), ("A", "entities")])
def test_label_of_the_wrong_form(trained, label, kind):
    with pytest.raises(ValueError, match=r"\[S015\]"):
        trained.get_pipe("spert").add_label(label, kind)


class TestCallback:
    """A training that takes a trained component over, in a config."""

    @pytest.fixture
    def config(self, trained, encoder, tmp_path):
        trained.to_disk(tmp_path / "model")
        DocBin(docs=[make_doc(trained.vocab, *text) for text in NEW]).to_disk(tmp_path / "new.spacy")
        config = Config().from_str(CONFIG, interpolate=False)
        config["training"]["gpu_allocator"] = None
        config["paths"] = {"train": str(tmp_path / "new.spacy"), "encoder": str(encoder)}
        for name in ("transformer", "spert"):
            config["components"][name] = {"source": str(tmp_path / "model")}
        config.to_disk(tmp_path / "config.cfg")
        return tmp_path / "config.cfg"

    @staticmethod
    def callback(**settings):
        return {"initialize": {"before_init": {"@callbacks": "spacy-spert.add_labels.v1", **settings}}}

    @pytest.mark.parametrize("settings", [{}, {"components": ["spert"]}])
    def test_labels_of_the_corpus_are_added(self, config, settings, trained):
        nlp = init_nlp(load_config(config).merge(self.callback(**settings)))
        assert nlp.get_pipe("spert").label_data == {
            "entities": [*ENTITY_LABELS, "PLANET"],
            "relations": [*RELATION_LABELS, "saw"],
        }
        assert_same(nlp, predictions(trained))
        train(nlp, 2, texts=NEW)

    def test_without_it_the_message_says_what_to_do(self, config):
        nlp = init_nlp(load_config(config))
        with pytest.raises(ValueError, match=r"add_label; .*spacy-spert.add_labels.v1"):
            train(nlp, 1, texts=NEW)

    def test_unknown_component(self, config):
        with pytest.raises(ValueError, match=r"\[S036\] There is no component 'other'"):
            init_nlp(load_config(config).merge(self.callback(components=["other"])))
