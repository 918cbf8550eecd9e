"""Pipelines whose transformer runs on ONNX Runtime."""

import copy
import logging
import pickle
import sys

import forked
import numpy
import onnx
import pytest
import spacy
import srsly
import torch
from families import FAMILIES
from spacy.cli.package import get_meta
from thinc.api import Adam
from transformers import BertConfig, BertModel
from util import (
    TEXTS,
    add_transformer,
    assert_same_predictions,
    clone,
    initialize,
    make_examples,
    make_nlp,
    prediction,
    strided,
    torch_encoder,
    train,
)

from spacy_spert.ml.onnx import OnnxEncoder, build_onnx_transformer
from spacy_spert.optimization import Measured, check_losses, measure_pipelines, optimize_pipeline, quantize
from spacy_spert.versions import requirement

ALL = [*(text for text, _, _ in TEXTS), "", "\n", " ".join(text for text, _, _ in TEXTS), "Ann"]
LISTENER = {
    "@architectures": "spacy-transformers.TransformerListener.v1",
    "pooling": {"@layers": "reduce_mean.v1"},
}
TAGGER = {"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": LISTENER}}
families = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")


@pytest.fixture(scope="module")
def optimized(trained):
    return optimize_pipeline(trained)


@pytest.fixture(scope="module")
def int8(trained):
    return optimize_pipeline(trained, int8=True)


def embeddings(nlp, texts=ALL):
    """The last hidden states without padding, one array for each window."""
    states = []
    for output in nlp.get_pipe("transformer").predict([nlp.make_doc(text) for text in texts]).doc_data:
        mask = numpy.asarray(output.wordpieces.attention_mask) > 0
        states += [row[used] for row, used in zip(output.model_output.get("last_hidden_state", ()), mask)]
    return states


def difference(nlp, other, texts=ALL):
    pairs = list(zip(embeddings(nlp, texts), embeddings(other, texts), strict=True))
    assert len(pairs) >= len(texts) - 2
    return max(abs(one - two).max() for one, two in pairs)


class TestFloat32:
    def test_embeddings_are_equal(self, trained, optimized):
        assert difference(trained, optimized) < 1e-4
        assert isinstance(torch_encoder(optimized), OnnxEncoder)

    def test_predictions_are_equal(self, trained, optimized):
        assert_same_predictions(trained.pipe(ALL), optimized.pipe(ALL))

    def test_the_original_stays_as_it_is(self, trained, optimized):
        assert isinstance(torch_encoder(trained), BertModel)
        assert trained.meta["requirements"] == [requirement()]
        assert trained.config["components"]["transformer"]["model"]["@architectures"].startswith("spacy-transformers.")

    def test_dropout_is_off(self, tmp_path, encoder):
        """While the encoder is traced, and afterwards."""
        config = BertConfig.from_pretrained(encoder, hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.5)
        nlp = make_nlp(encoder)
        initialize(nlp)
        with_dropout = BertModel(config)
        with_dropout.load_state_dict(torch_encoder(nlp).state_dict())
        shim = nlp.get_pipe("transformer").model.layers[0].shims[0]
        shim._model = shim._hfmodel.transformer = with_dropout
        assert difference(nlp, optimize_pipeline(nlp)) < 1e-4

    @families
    @pytest.mark.parametrize("family", FAMILIES)
    def test_families(self, family, tmp_path):
        FAMILIES[family].make(tmp_path)
        nlp = initialize(make_nlp(tmp_path, spans=strided(16, 12)))
        optimized = optimize_pipeline(nlp)
        assert difference(nlp, optimized) < 1e-4
        assert_same_predictions(nlp.pipe(ALL), optimized.pipe(ALL))
        int8 = clone(optimize_pipeline(nlp, int8=True))
        assert 0 < difference(nlp, int8) < 1.0

    def test_slow_tokenizer(self, encoder):
        nlp = initialize(make_nlp(encoder, use_fast=False))
        optimized = clone(optimize_pipeline(nlp))
        assert not optimized.get_pipe("transformer").model.tokenizer.is_fast
        assert difference(nlp, optimized) < 1e-4

    def test_several_threads(self, trained):
        threads = torch.get_num_threads()
        torch.set_num_threads(2)
        try:
            assert difference(trained, optimize_pipeline(trained)) < 1e-4
        finally:
            torch.set_num_threads(threads)


class TestInt8:
    def test_embeddings_are_close(self, trained, int8):
        assert 1e-4 < difference(trained, int8) < 0.5

    def test_discrete_predictions(self, trained, int8):
        """It knows the texts by heart, so that small differences don't matter."""
        texts = [text for text, _, _ in TEXTS]
        assert [prediction(doc)[0] for doc in int8.pipe(texts)] == [prediction(doc)[0] for doc in trained.pipe(texts)]

    def test_only_matrix_products(self, optimized, int8):
        before, after = (
            [node.op_type for node in onnx.load_from_string(torch_encoder(nlp).graph).graph.node]
            for nlp in (optimized, int8)
        )
        # Query, key, value, output and two of the feed-forward part, in two layers. Two of attention have no weights.
        assert before.count("MatMul") == 16
        assert after.count("MatMulInteger") == 12 and after.count("MatMul") == 4
        assert not {"QLinearMatMul", "QAttention", "QuantizeLinear"} & set(after)

    def test_a_scale_for_each_column_and_the_zero_in_the_middle(self, int8):
        tensors = {each.name: onnx.numpy_helper.to_array(each) for each in _initializers(int8)}
        weights = {name: value for name, value in tensors.items() if name.endswith("_quantized")}
        assert len(weights) == 12
        for name, weight in weights.items():
            assert weight.dtype == numpy.uint8 and weight.min() < 64 and 192 < weight.max() <= 255
            assert (tensors[name.replace("_quantized", "_zero_point")] == 127).all()
            assert tensors[name.replace("_quantized", "_scale")].shape == weight.shape[1:]

    def test_embeddings_stay_in_float32(self, int8):
        tables = [each for each in _initializers(int8) if "word_embeddings" in each.name]
        assert [each.data_type for each in tables] == [onnx.TensorProto.FLOAT]

    def test_it_is_smaller(self, optimized, int8):
        assert len(torch_encoder(int8).graph) < len(torch_encoder(optimized).graph)

    def test_no_handler_is_installed(self, optimized, monkeypatch):
        monkeypatch.setattr(logging.root, "handlers", [])
        quantize(torch_encoder(optimized).graph)
        assert not logging.root.handlers

    def test_nothing_to_do(self):
        node = onnx.helper.make_node("Add", ["a", "b"], ["c"])
        values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "abc"]
        graph = onnx.helper.make_graph([node], "sum", values[:2], values[2:])
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
        with pytest.raises(ValueError, match="no matrix product"):
            quantize(model.SerializeToString())


def _initializers(nlp):
    return onnx.load_from_string(torch_encoder(nlp).graph).graph.initializer


class TestAsAPipeline:
    @pytest.mark.parametrize("name", ["optimized", "int8"])
    def test_disk_bytes_and_copies(self, name, request, tmp_path):
        nlp = request.getfixturevalue(name)
        expected = list(nlp.pipe(ALL))
        nlp.to_disk(tmp_path / "saved")
        for other in (spacy.load(tmp_path / "saved"), clone(nlp), clone(clone(nlp))):
            assert isinstance(torch_encoder(other), OnnxEncoder)
            assert_same_predictions(expected, other.pipe(ALL))

    def test_the_encoder_can_be_pickled_and_copied(self, optimized):
        encoder = torch_encoder(optimized).eval()
        ids = torch.tensor([[5, 6, 7]])
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
        expected = encoder(**inputs).last_hidden_state
        for other in (pickle.loads(pickle.dumps(encoder)), copy.deepcopy(encoder)):
            assert torch.equal(other(**inputs).last_hidden_state, expected)

    def test_pickle(self, optimized):
        other = pickle.loads(pickle.dumps(optimized))
        assert_same_predictions(optimized.pipe(ALL), other.pipe(ALL))

    def test_several_processes(self, optimized):
        """The session of this process has threads that a forked one lacks."""
        expected = list(optimized.pipe(ALL))
        assert_same_predictions(expected, optimized.pipe(ALL, n_process=2, batch_size=4))

    def test_batch_size_does_not_matter(self, optimized):
        assert_same_predictions([optimized(text) for text in ALL], optimized.pipe(ALL, batch_size=5))

    def test_saved_without_the_tools_and_the_encoder(self, encoder, tmp_path):
        """What loads it needs neither onnx nor the folder of the encoder."""
        folder = tmp_path / "encoder"
        folder.mkdir()
        for path in encoder.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        nlp = optimize_pipeline(initialize(make_nlp(folder)))
        nlp.to_disk(tmp_path / "saved")
        for path in folder.iterdir():
            path.unlink()
        code = (
            "import sys; sys.modules['onnx'] = None; import spacy; nlp = spacy.load(sys.argv[1]); nlp('Ann works .'); "
            "assert 'spacy_spert.optimization' not in sys.modules and 'spacy_spert.evaluation' not in sys.modules"
        )
        done = forked.run(["-c", code, tmp_path / "saved"])
        assert done.returncode == 0, done.stderr.decode()

    def test_max_batch_items_are_kept(self, encoder):
        nlp = initialize(make_nlp(encoder))
        nlp.get_pipe("transformer").cfg["max_batch_items"] = 99
        assert optimize_pipeline(nlp).get_pipe("transformer").cfg["max_batch_items"] == 99

    def test_requirements_of_a_package(self, int8, tmp_path):
        int8.to_disk(tmp_path / "saved")
        meta = srsly.read_json(tmp_path / "saved" / "meta.json")
        requirements = get_meta(tmp_path / "saved", meta)["requirements"]
        own = [each for each in requirements if each.startswith("spacy-spert")]
        assert own == [requirement("[onnx]")]
        assert any(each.startswith("spacy-transformers") for each in requirements)

    def test_requirements_are_kept(self, trained):
        nlp = clone(trained)
        nlp.meta["requirements"] = ["spacy-spert>=0.1.0,<0.2.0", "other>=1.0"]
        assert optimize_pipeline(nlp).meta["requirements"] == ["other>=1.0", requirement("[onnx]")]


@pytest.fixture(scope="module")
def pipelines(encoder):
    """With a tagger on the same transformer, before and after."""
    nlp = make_nlp(encoder)
    nlp.add_pipe("tagger", config=TAGGER).add_label("A")
    nlp.get_pipe("tagger").add_label("B")
    nlp.add_pipe("sentencizer", first=True)
    nlp.disable_pipe("sentencizer")
    initialize(nlp)
    return nlp, optimize_pipeline(nlp)


class TestOtherListeners:
    def test_one_pass(self, pipelines):
        nlp, optimized = pipelines
        calls = []
        encoder = torch_encoder(optimized)
        handle = encoder.register_forward_hook(lambda *args: calls.append(1))
        docs = list(optimized.pipe(ALL[:4]))
        handle.remove()
        assert len(calls) == 1
        assert optimized.get_pipe("transformer").listening_components == ["spert", "tagger"]
        expected = list(nlp.pipe(ALL[:4]))
        assert_same_predictions(expected, docs)
        assert [[token.tag_ for token in doc] for doc in docs] == [[token.tag_ for token in doc] for doc in expected]

    def test_components_and_settings_are_the_same(self, pipelines):
        nlp, optimized = pipelines
        assert optimized.component_names == nlp.component_names
        assert optimized.disabled == nlp.disabled == ["sentencizer"]
        config, other = nlp.config.copy(), optimized.config.copy()
        assert (
            other["components"]["transformer"].pop("model")["name"]
            == config["components"]["transformer"].pop("model")["name"]
        )
        assert other == config

    def test_spert_with_a_copy_of_its_own(self, pipelines):
        _, optimized = pipelines
        nlp = clone(optimized)
        expected = list(nlp.pipe(ALL))
        nlp.replace_listeners("transformer", "spert", ["model.tok2vec"])
        nlp.remove_pipe("tagger")
        nlp.remove_pipe("transformer")
        assert_same_predictions(expected, nlp.pipe(ALL))
        assert_same_predictions(expected, clone(nlp).pipe(ALL))

    def test_others_can_not_have_one(self, pipelines):
        nlp = clone(pipelines[1])
        with pytest.raises(ValueError, match=r"TransformerListener.v1 can't get a transformer on ONNX Runtime"):
            nlp.replace_listeners("transformer", "tagger", ["model.tok2vec"])

    def test_the_name_of_the_transformer_does_not_matter(self, encoder):
        nlp = spacy.blank("xx")
        add_transformer(nlp, encoder, name="trf")
        nlp.add_pipe("spert", config={"model": {"tok2vec": {"upstream": "trf"}}})
        initialize(nlp)
        assert_same_predictions(nlp.pipe(ALL), optimize_pipeline(nlp).pipe(ALL))


class TestTraining:
    def test_it_can_not_be_trained(self, optimized):
        nlp = clone(optimized)
        with pytest.raises(ValueError, match="can't be trained"):
            train(nlp, 1)
        list(nlp.pipe(ALL))

    def test_others_can_be_trained_on_it(self, optimized):
        nlp = clone(optimized)
        before = embeddings(nlp)
        losses = train(nlp, 5, annotates=["transformer"], exclude=["transformer"], optimizer=Adam(0.001))
        assert all(loss > 0 for loss in losses)
        assert all((one == two).all() for one, two in zip(before, embeddings(nlp)))

    def test_source_in_another_pipeline(self, trained, optimized):
        nlp = spacy.blank("xx")
        nlp.add_pipe("transformer", source=optimized)
        nlp.add_pipe("spert", config={"max_span_width": 4})
        nlp.initialize(lambda: make_examples(nlp))
        assert difference(trained, nlp) < 1e-4

    def test_not_from_nothing(self):
        nlp = spacy.blank("xx")
        model = {"@architectures": "spacy-spert.OnnxTransformer.v1", "get_spans": strided(32, 24)}
        transformer = nlp.add_pipe("transformer", config={"model": model})
        with pytest.raises(ValueError, match="it is made of a trained one"):
            transformer.initialize(lambda: [], nlp=nlp)


class TestErrors:
    def test_no_transformer(self):
        nlp = spacy.blank("xx")
        nlp.add_pipe("sentencizer")
        with pytest.raises(ValueError, match=r"no 'transformer' component .* Its components are \['sentencizer'\]"):
            optimize_pipeline(nlp)

    def test_optimized_already(self, optimized):
        with pytest.raises(ValueError, match="no 'transformer' component"):
            optimize_pipeline(optimized)

    def test_a_kind_that_can_not_be_exported(self, trained):
        nlp = clone(trained)
        model = torch_encoder(nlp)
        model.embeddings.register_forward_hook(lambda module, inputs, output: torch.special.bessel_j0(output))
        with pytest.raises(ValueError, match=r"transformer 'transformer' \(bert\) can't be exported"):
            optimize_pipeline(nlp)

    def test_a_kind_that_gives_something_else(self, trained):
        """What is computed in Python while it is traced becomes constant."""
        nlp = clone(trained)
        model = torch_encoder(nlp)
        model.embeddings.register_forward_hook(lambda module, inputs, output: output + 0.1 * float(output.shape[1]))
        with pytest.raises(ValueError, match=r"\(bert\).* other embeddings there, with differences of up to \d"):
            optimize_pipeline(nlp)

    def test_onnx_runtime_is_not_installed(self, optimized, trained, tmp_path, monkeypatch):
        optimized.to_disk(tmp_path)
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        message = r"need onnxruntime: pip install 'spacy-spert\[onnx\]'"
        with pytest.raises(ImportError, match=message):
            spacy.load(tmp_path)
        with pytest.raises(ImportError, match=message):
            optimize_pipeline(trained)
        with pytest.raises(ImportError, match=message):
            build_onnx_transformer(lambda docs: [])


class TestMeasure:
    def test_scores_and_speed(self, trained, int8):
        measured = measure_pipelines({"before": trained, "after": int8}, make_examples, batch_size=4, repeats=1)
        assert list(measured) == ["before", "after"]
        for each in measured.values():
            assert (each.entities, each.relations) == (1.0, 1.0)
            assert each.speed > 0

    @pytest.mark.parametrize(
        "after, message",
        [
            (Measured(0.91, 0.69, 1.0), None),
            (Measured(0.88, 0.8, 1.0), "2.00 points of F1 of entities, -10.00 points of F1 of relations"),
            (Measured(0.9, 0.6899, 1.0), "0.00 points of F1 of entities, 1.01 points of F1 of relations"),
        ],
    )
    def test_limit(self, after, message):
        before = Measured(0.9, 0.7, 1.0)
        if message is None:
            check_losses(before, after, 1.0)
            return
        with pytest.raises(ValueError, match=f"loses too much: {message}. At most 1.0 points"):
            check_losses(before, after, 1.0)

    def test_limit_without_relations(self):
        check_losses(Measured(0.9, None, 1.0), Measured(0.9, None, 1.0), 0.0)
