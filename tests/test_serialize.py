"""Same answers from every way to call a pipeline and to store it."""

import pickle

import pytest
import spacy
from spacy.tokens import Doc, DocBin
from util import (
    LABELS,
    TEXTS,
    add_transformer,
    assert_same_predictions,
    clone,
    entities_of,
    initialize,
    make_examples,
    make_nlp,
    relations_of,
    train,
)

SENTENCES = [*(text for text, _, _ in TEXTS), "", "Ann Lee met Bob Ross at Acme Labs in Graz .", "\n  "]


@pytest.fixture(scope="module")
def expected(trained):
    docs = [trained(text) for text in SENTENCES]
    assert sum(len(doc.spans["spert"]) for doc in docs) >= 19
    assert sum(len(doc._.relations) for doc in docs) >= 10
    return docs


def replace_component(nlp):
    """A new component, without weights, in the place of the trained one."""
    config = {name: value for name, value in nlp.get_pipe_config("spert").items() if name != "factory"}
    nlp.remove_pipe("spert")
    return nlp.add_pipe("spert", config=config)


class TestSameAnswers:
    @pytest.mark.parametrize("batch_size", [1, 2, 8])
    def test_pipe(self, trained, expected, batch_size):
        assert_same_predictions(expected, trained.pipe(SENTENCES, batch_size=batch_size))

    def test_two_processes(self, trained, expected):
        assert_same_predictions(expected, trained.pipe(SENTENCES, batch_size=3, n_process=2))

    def test_disk(self, trained, expected, tmp_path):
        trained.to_disk(tmp_path)
        assert_same_predictions(expected, spacy.load(tmp_path).pipe(SENTENCES))

    def test_bytes(self, trained, expected):
        assert_same_predictions(expected, clone(trained).pipe(SENTENCES))

    def test_pickle(self, trained, expected):
        assert_same_predictions(expected, pickle.loads(pickle.dumps(trained)).pipe(SENTENCES))

    def test_component_bytes(self, trained, expected):
        nlp = clone(trained)
        data = trained.get_pipe("spert").to_bytes()
        replace_component(nlp).from_bytes(data)
        assert_same_predictions(expected, nlp.pipe(SENTENCES))

    def test_component_disk(self, trained, expected, tmp_path):
        nlp = clone(trained)
        trained.get_pipe("spert").to_disk(tmp_path / "spert")
        replace_component(nlp).from_disk(tmp_path / "spert")
        assert_same_predictions(expected, nlp.pipe(SENTENCES))


class TestPredictedDocs:
    def test_doc_bytes(self, trained, expected):
        doc = Doc(trained.vocab).from_bytes(expected[0].to_bytes(exclude=["user_data"]))
        assert_same_predictions(expected[:1], [doc])

    @pytest.mark.parametrize("store_user_data", [False, True])
    def test_docbin(self, trained, store_user_data):
        docs = [trained(text) for text in SENTENCES]
        for doc in docs:
            doc._.trf_data = None
        data = DocBin(docs=docs, store_user_data=store_user_data).to_bytes()
        assert_same_predictions(docs, DocBin().from_bytes(data).get_docs(trained.vocab))

    def test_copy(self, expected):
        assert_same_predictions(expected[:3], [doc.copy() for doc in expected[:3]])


class TestLoading:
    def test_cfg_and_labels_are_restored(self, trained):
        pipe = clone(trained).get_pipe("spert")
        assert pipe.cfg == trained.get_pipe("spert").cfg
        assert pipe.label_data == LABELS

    def test_labels_are_in_the_meta(self, trained):
        assert trained.meta["labels"]["spert"] == [*LABELS["entities"], *LABELS["relations"]]

    def test_threshold_changed_on_disk(self, trained, tmp_path):
        """What a user retunes stays after loading again."""
        nlp = clone(trained)
        assert len(nlp(TEXTS[0][0])._.relations) == 2
        nlp.get_pipe("spert").cfg["relation_threshold"] = 1.0
        nlp.to_disk(tmp_path)
        assert spacy.load(tmp_path)(TEXTS[0][0])._.relations == ()

    def test_threshold_changed_after_loading(self, trained):
        nlp = clone(trained)
        nlp.get_pipe("spert").cfg["relation_threshold"] = 1.0
        assert nlp(TEXTS[0][0])._.relations == ()

    def test_uninitialized_pipeline(self, encoder, tmp_path):
        nlp = make_nlp(encoder, max_span_width=7)
        nlp.get_pipe("spert").to_disk(tmp_path / "spert")
        other = spacy.blank("xx").add_pipe("spert").from_disk(tmp_path / "spert")
        assert other.cfg["max_span_width"] == 7
        assert other.labels == ()

    def test_uninitialized_component_bytes(self):
        pipe = spacy.blank("xx").add_pipe("spert", config={"max_span_width": 7})
        other = spacy.blank("xx").add_pipe("spert").from_bytes(pipe.to_bytes())
        assert other.cfg["max_span_width"] == 7

    def test_uninitialized_pipe_with_labels_is_initialized_after_loading(self, encoder):
        nlp = make_nlp(encoder)
        nlp.get_pipe("spert").add_label("PER")
        data = nlp.get_pipe("spert").to_bytes()
        other = make_nlp(encoder)
        other.get_pipe("spert").from_bytes(data)
        initialize(other, [("Ann", [(0, 1, "PER")], [])])
        assert other.get_pipe("spert").entity_labels == ("PER",)

    def test_training_goes_on_after_loading(self, trained):
        nlp = clone(trained)
        losses = train(nlp, 2, learn_rate=0.0001)
        assert losses[1] < 0.1


class TestReplacedListeners:
    @pytest.fixture(scope="class")
    @classmethod
    def replaced(cls, trained):
        nlp = clone(trained)
        nlp.replace_listeners("transformer", "spert", ["model.tok2vec"])
        return nlp

    def test_the_listener_is_gone(self, replaced):
        assert replaced.get_pipe("transformer").listening_components == []
        block = replaced.config["components"]["spert"]["model"]["tok2vec"]
        assert block["@architectures"] == "spacy-transformers.TransformerModel.v3"

    def test_predictions_stay_equal(self, replaced, expected):
        assert_same_predictions(expected, replaced.pipe(SENTENCES))

    def test_without_the_transformer(self, replaced, expected):
        with replaced.select_pipes(disable="transformer"):
            assert_same_predictions(expected, replaced.pipe(SENTENCES))

    def test_saved_and_loaded(self, replaced, expected, tmp_path):
        replaced.to_disk(tmp_path)
        assert_same_predictions(expected, spacy.load(tmp_path).pipe(SENTENCES))

    def test_bytes(self, replaced, expected):
        assert_same_predictions(expected, clone(replaced).pipe(SENTENCES))

    def test_pickle(self, replaced, expected):
        assert_same_predictions(expected, pickle.loads(pickle.dumps(replaced)).pipe(SENTENCES))

    def test_own_encoder_trains(self, replaced):
        nlp = clone(replaced)
        before = nlp.get_pipe("spert").model.get_ref("tok2vec").to_bytes()
        losses = train(nlp, 2, learn_rate=0.0001)
        assert losses[1] < 0.1
        assert nlp.get_pipe("spert").model.get_ref("tok2vec").to_bytes() != before

    def test_empty_documents_train(self, replaced):
        nlp = clone(replaced)
        examples = [*make_examples(nlp, [("", [], [])]), *make_examples(nlp)]
        assert nlp.update(examples, sgd=False)["spert"] > 0.0

    def test_sourced_into_a_pipeline_with_another_encoder(self, replaced, expected, encoder, tmp_path):
        replaced.to_disk(tmp_path / "source")
        nlp = spacy.blank("xx")
        add_transformer(nlp, encoder)
        nlp.get_pipe("transformer").initialize(lambda: [], nlp=nlp)
        nlp.add_pipe("spert", source=spacy.load(tmp_path / "source"))
        assert_same_predictions(expected, nlp.pipe(SENTENCES))

    def test_sourced_and_saved(self, replaced, expected, tmp_path):
        nlp = spacy.blank("xx")
        nlp.add_pipe("spert", source=clone(replaced))
        nlp.to_disk(tmp_path)
        assert_same_predictions(expected, spacy.load(tmp_path).pipe(SENTENCES))

    def test_trained_through_its_own_encoder_from_the_config(self, encoder):
        """As in a config where the tok2vec block holds the transformer itself."""
        model = {
            "@architectures": "spacy-transformers.TransformerModel.v3",
            "name": str(encoder),
            "get_spans": {"@span_getters": "spacy-transformers.strided_spans.v1", "window": 32, "stride": 24},
            "tokenizer_config": {"use_fast": True},
        }
        nlp = spacy.blank("xx")
        nlp.add_pipe("spert", config={"max_span_width": 4, "model": {"tok2vec": model, "dropout": 0.0}})
        initialize(nlp)
        losses = train(nlp, 40)
        assert losses[-1] < losses[0] / 10
        doc = nlp(TEXTS[0][0])
        assert entities_of(doc) == TEXTS[0][1]


def test_sourced_with_its_transformer(trained, expected):
    nlp = spacy.blank("xx")
    source = clone(trained)
    nlp.add_pipe("transformer", source=source)
    nlp.add_pipe("spert", source=source)
    assert_same_predictions(expected, nlp.pipe(SENTENCES))


def test_sourced_by_config(trained, expected, tmp_path):
    trained.to_disk(tmp_path)
    config = {
        "nlp": {"lang": "xx", "pipeline": ["spert"]},
        "components": {"spert": {"source": str(tmp_path), "replace_listeners": ["model.tok2vec"]}},
    }
    nlp = spacy.util.load_model_from_config(config, auto_fill=True)
    assert [relations_of(doc) for doc in nlp.pipe(SENTENCES)] == [relations_of(doc) for doc in expected]
    assert_same_predictions(expected, nlp.pipe(SENTENCES))
