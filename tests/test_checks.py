"""What is said before a training begins, and of what an evaluation would be silent."""

import logging
from pathlib import Path

import forked
import pytest
import spacy
from spacy.tokens import DocBin
from spacy.training import Example
from thinc.api import Adam
from util import (
    CNN,
    ENTITY_LABELS,
    RELATION_LABELS,
    TEXTS,
    clone,
    finish_update,
    initialize,
    make_doc,
    make_example,
    make_examples,
    make_nlp,
    torch_head,
)

TEXT = "Ann met Bob at Acme"
ENTITIES_ONLY = [(text, entities, []) for text, entities, _ in TEXTS]


@pytest.fixture
def warned(caplog, monkeypatch):
    """The codes of the warnings so far. spaCy's logger keeps its records to itself."""
    monkeypatch.setattr(logging.getLogger("spacy"), "propagate", True)
    return lambda: [
        record.getMessage()[1:5]
        for record in caplog.records
        if record.name == "spacy.spert" and record.levelno == logging.WARNING
    ]


def make(factory="spert", **settings):
    nlp = spacy.blank("xx")
    nlp.add_pipe(factory, name="spert", config={"model": {"tok2vec": CNN}, **settings})
    return nlp


class TestWithoutData:
    """As for components of spaCy: `nlp.initialize()` without examples, when the labels are known."""

    def test_labels_that_were_added(self, warned):
        nlp = make(max_span_width=2)
        nlp.get_pipe("spert").add_label("PER")
        nlp.get_pipe("spert").add_label("knows", "relation")
        nlp.initialize()
        assert nlp.get_pipe("spert").label_data == {"entities": ["PER"], "relations": ["knows"]}
        assert warned() == ["W004"]
        nlp("Ann met Bob")

    def test_labels_of_the_config(self, encoder, warned):
        nlp = make_nlp(encoder)
        labels = {"entities": ["PER"], "relations": ["knows"]}
        nlp.config["initialize"]["components"]["spert"] = {"labels": labels}
        nlp.initialize()
        assert nlp.get_pipe("spert").label_data == labels
        assert warned() == ["W004"]

    def test_labels_stay_when_it_is_initialized_again(self):
        nlp = make(task="entities")
        nlp.get_pipe("spert").add_label("PER")
        nlp.initialize()
        nlp.initialize()
        assert nlp.get_pipe("spert").label_data == {"entities": ["PER"], "relations": []}
        nlp("Ann met Bob")

    def test_relation_labels_alone(self):
        """Without an entity there is no relation."""
        nlp = make()
        nlp.get_pipe("spert").add_label("knows", "relation")
        with pytest.raises(ValueError, match=r"\[S010\]"):
            nlp.initialize()

    def test_no_labels(self):
        with pytest.raises(ValueError, match=r"\[S010\]"):
            make().initialize()


def test_labels_that_were_added_and_those_of_the_data():
    nlp = make()
    nlp.get_pipe("spert").add_label("PLANET")
    nlp.get_pipe("spert").add_label("works_for", "relation")
    initialize(nlp)
    assert nlp.get_pipe("spert").label_data == {
        "entities": ["PLANET", *ENTITY_LABELS],
        "relations": ["works_for", "based_in", "partner_of"],
    }


def test_joint_training_without_relations(warned):
    initialize(make(), ENTITIES_ONLY)
    assert warned() == ["W006"]


def test_entities_need_no_relations(warned):
    initialize(make("spert_entities"), ENTITIES_ONLY)
    assert warned() == []


@pytest.mark.parametrize("key, before, code", [(None, None, "W007"), (None, "entity_ruler", None), ("x", None, "W007")])
def test_relations_need_what_writes_entities(warned, key, before, code):
    nlp = make("spert_relations", entities_key=key)
    if before:
        nlp.add_pipe(before, first=True)
    initialize(nlp)
    assert warned() == ([code] if code else [])


def initialize_with(nlp, key):
    docs = [make_doc(nlp.vocab, *text, key=key) for text in TEXTS]
    nlp.initialize(lambda: [Example(nlp.make_doc(doc.text), doc) for doc in docs])


class TestScoreWeights:
    def test_scores_of_another_group(self, warned, caplog):
        initialize_with(make(spans_key="mine"), "mine")
        assert warned() == ["W005"]
        assert "counts spans_spert_f" in caplog.text and "spans_mine_f" in caplog.text

    def test_weights_that_fit(self, warned):
        nlp = make(spans_key="mine")
        nlp.config["training"]["score_weights"] = {"spans_mine_f": 1.0, "spans_spert_f": 0.0, "rels_strict_f": 0.0}
        initialize_with(nlp, "mine")
        assert warned() == []

    def test_default(self, warned):
        initialize(make())
        assert warned() == []


@pytest.mark.parametrize("upstream", ["transformr", "tok2vec"])
def test_misspelt_upstream(encoder, upstream):
    block = {"@architectures": "spacy-spert.WordpieceListener.v1", "upstream": upstream, "grad_factor": 1.0}
    nlp = make_nlp(encoder, model={"tok2vec": block})
    message = rf"\[S035\].*listens to '{upstream}'.*before it are \['transformer'\]"
    with pytest.raises(ValueError, match=message):
        initialize(nlp)


def test_labels_that_the_training_data_lacked(trained, warned, caplog):
    nlp = clone(trained)
    strange = make_example(nlp, "Ann saw Mars .", [(0, 1, "PER"), (2, 3, "PLANET")], [(0, 1, "saw")])
    for _ in range(2):
        nlp.evaluate([*make_examples(nlp), strange])
    assert warned() == ["W008"]
    assert "2 of the annotated" in caplog.text
    assert "entity 'PLANET' (1), relation 'saw' (1)" in caplog.text


class TestReportedOnce:
    """An untrained model warns, and so does the trained one that it becomes."""

    @pytest.fixture
    def nlp(self, encoder):
        nlp = initialize(make_nlp(encoder, max_span_width=2, entities_per_token=0.5))
        self.find_much(nlp)
        return nlp

    @staticmethod
    def find_much(nlp):
        torch_head(nlp).span_head.output_layer.bias.data[0] = -100.0

    def test_once_for_a_model(self, nlp, warned):
        for _ in range(2):
            nlp(TEXT)
        assert warned().count("W001") == 1

    def test_again_when_it_was_trained_on(self, nlp, warned):
        nlp(TEXT)
        nlp.update(make_examples(nlp), sgd=False)
        finish_update(nlp, Adam(0.0001))
        self.find_much(nlp)
        nlp(TEXT)
        assert warned().count("W001") == 2

    def test_again_when_other_weights_were_loaded(self, nlp, warned):
        data = nlp.get_pipe("spert").to_bytes()
        nlp(TEXT)
        nlp.get_pipe("spert").from_bytes(data)
        nlp(TEXT)
        assert warned().count("W001") == 2

    def test_again_when_initialized(self, nlp, warned):
        nlp(TEXT)
        initialize(nlp)
        self.find_much(nlp)
        nlp(TEXT)
        assert warned().count("W001") == 2


def test_unannotated_examples_change_no_label(trained):
    nlp = clone(trained)
    doc = nlp.make_doc(TEXT)
    nlp.evaluate([Example(doc, doc.copy())])
    assert nlp.get_pipe("spert").label_data["relations"] == RELATION_LABELS


class TestLog:
    CODE = "import logging, spacy_spert.factories, spacy_spert.cli{}; print(logging.getLogger('spacy.spert').level)"

    @pytest.mark.parametrize(
        "module, level", [("", logging.NOTSET), (".extract", logging.NOTSET), (".log", logging.INFO)]
    )
    def test_only_commands_of_spacy_set_a_level(self, module, level):
        assert int(forked.run(["-c", self.CODE.format(module)], check=True).stdout) == level

    def test_train_shows_the_table(self, tmp_path):
        root = Path(__file__).parents[1]
        vocab = spacy.blank("en").vocab
        DocBin(docs=[make_doc(vocab, *text) for text in TEXTS]).to_disk(tmp_path / "data.spacy")
        command = ["-m", "spacy", "train", root / "configs" / "spert_tok2vec.cfg"]
        for name in ("train", "dev"):
            command += [f"--paths.{name}", tmp_path / "data.spacy"]
        result = forked.run([*command, "--training.max_steps", "1"], check=True)
        assert b"Training data: 8 documents" in result.stdout + result.stderr
