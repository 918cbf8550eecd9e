"""What suits the device: batches of the transformer, half precision."""

import numpy
import pytest
import spacy
import torch
from families import FAMILIES
from spacy.tokens import Doc
from spacy.util import load_config
from spacy.vocab import Vocab
from test_packaging import ROOT
from thinc.api import Model, NumpyOps
from util import CNN, TEXTS, assert_same_predictions, clone, initialize, make_nlp, prediction, torch_encoder, train

from spacy_spert import devices
from spacy_spert.devices import fit_to_device, fitted_to_device, load_pipeline, use_half_precision
from spacy_spert.ml import encoders
from spacy_spert.optimization import optimize_pipeline

ALL = [*(text for text, _, _ in TEXTS), "", " ".join(text for text, _, _ in TEXTS)]


def cnn_pipeline():
    nlp = spacy.blank("xx")
    nlp.add_pipe("spert", config={"model": {"tok2vec": CNN}})
    return nlp


class GpuOps:
    """Stands for those of a GPU, which no test has."""


class TestBatches:
    @pytest.mark.parametrize("before, on_cpu, on_gpu", [(4096, 512, 4096), (512, 512, 4096), (64, 64, 4096)])
    def test_on_a_cpu_and_on_a_gpu(self, trained, monkeypatch, before, on_cpu, on_gpu):
        nlp = clone(trained)
        cfg = nlp.get_pipe("transformer").cfg
        cfg["max_batch_items"] = before
        assert fit_to_device(nlp) is nlp
        assert cfg == {"max_batch_items": on_cpu}
        monkeypatch.setattr(devices, "get_current_ops", GpuOps)
        cfg["max_batch_items"] = before
        fit_to_device(nlp)
        assert cfg == {"max_batch_items": on_gpu}

    def test_larger_ones_stay_on_a_gpu(self, trained, monkeypatch):
        nlp = clone(trained)
        nlp.get_pipe("transformer").cfg["max_batch_items"] = 10_000
        monkeypatch.setattr(devices, "get_current_ops", GpuOps)
        assert fit_to_device(nlp).get_pipe("transformer").cfg["max_batch_items"] == 10_000

    def test_loaded(self, trained, tmp_path):
        """The transformer restores what it was saved with, whatever the config says."""
        trained.to_disk(tmp_path)
        config = {"components.transformer.max_batch_items": 512}
        assert spacy.load(tmp_path, config=config).get_pipe("transformer").cfg["max_batch_items"] == 4096
        nlp = load_pipeline(tmp_path)
        assert nlp.get_pipe("transformer").cfg["max_batch_items"] == 512
        assert_same_predictions(trained.pipe(ALL), nlp.pipe(ALL))

    def test_for_a_while(self, trained):
        one, other = clone(trained), clone(trained)
        one.get_pipe("transformer").cfg["max_batch_items"] = 64
        with pytest.raises(KeyError), fitted_to_device(one, other):
            assert [nlp.get_pipe("transformer").cfg["max_batch_items"] for nlp in (one, other)] == [64, 512]
            raise KeyError
        assert [nlp.get_pipe("transformer").cfg["max_batch_items"] for nlp in (one, other)] == [64, 4096]

    @pytest.mark.parametrize("ops, size", [(NumpyOps(), 512), (GpuOps(), 4096)])
    def test_an_encoder_of_the_component(self, ops, size, monkeypatch):
        sizes = []

        def batch_by_length(docs, max_tokens):
            sizes.append(max_tokens)
            return [list(range(len(docs)))]

        monkeypatch.setattr(encoders, "batch_by_length", batch_by_length)
        layer = Model("test", lambda model, docs, is_train: ([len(doc) for doc in docs], None), ops=ops)
        docs = [Doc(Vocab(), words=["a"])]
        assert encoders.predict_in_batches(layer, docs) == encoders.predict_in_batches(layer, docs, 64) == [1]
        assert sizes == [size, 64]

    def test_the_encoder_gets_such_batches(self, trained):
        nlp = clone(trained)
        nlp.get_pipe("transformer").cfg["max_batch_items"] = 16
        sizes = []
        torch_encoder(nlp).register_forward_pre_hook(
            lambda module, args, kwargs: sizes.append(kwargs["input_ids"].shape[0]), with_kwargs=True
        )
        list(nlp.pipe(text for text, _, _ in TEXTS))
        # Texts of 9; 9; 8; 5 and 7; 4, 5 and 5 tokens.
        assert sizes == [1, 1, 1, 2, 3]

    def test_without_a_transformer(self):
        nlp = cnn_pipeline()
        assert fit_to_device(nlp) is nlp

    @pytest.mark.parametrize("name", ["demo", "spert"])
    def test_configs(self, name):
        config = load_config(ROOT / "configs" / f"{name}.cfg")
        assert config["components"]["transformer"]["max_batch_items"] == devices.CPU_BATCH


class TestHalfPrecision:
    def test_weights_and_output(self, trained):
        nlp = use_half_precision(clone(trained))
        assert {weight.dtype for weight in torch_encoder(nlp).parameters()} == {torch.float16}
        doc = nlp.get_pipe("transformer")(nlp.make_doc(TEXTS[0][0]))
        assert {output.dtype for output in doc._.trf_data.model_output.values()} == {numpy.dtype("float32")}

    def test_nearly_the_same_predictions(self, trained):
        nlp = use_half_precision(clone(trained))
        for one, other in zip(trained.pipe(ALL[:8]), nlp.pipe(ALL[:8])):
            (discrete, scores), (others, other_scores) = prediction(one), prediction(other)
            assert discrete == others
            assert 0 < abs(numpy.subtract(scores, other_scores)).max(initial=1e-9) < 0.02

    @pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
    @pytest.mark.parametrize("family", FAMILIES)
    def test_families(self, family, tmp_path):
        FAMILIES[family].make(tmp_path)
        nlp = initialize(make_nlp(tmp_path))
        expected = [doc._.trf_data.model_output["last_hidden_state"] for doc in _transformed(nlp)]
        use_half_precision(nlp)
        for before, doc in zip(expected, _transformed(nlp)):
            after = doc._.trf_data.model_output["last_hidden_state"]
            assert after.dtype == numpy.float32
            assert abs(before - after).max() < 0.05

    def test_it_can_not_be_trained(self, trained):
        nlp = use_half_precision(clone(trained))
        with pytest.raises(ValueError, match="in half precision can't be trained"):
            train(nlp, 1)

    def test_loaded(self, trained, tmp_path):
        trained.to_disk(tmp_path)
        assert torch_encoder(load_pipeline(tmp_path, half=True)).dtype == torch.float16
        assert torch_encoder(load_pipeline(tmp_path)).dtype == torch.float32

    @pytest.mark.parametrize("make", [lambda trained: cnn_pipeline(), optimize_pipeline])
    def test_nothing_to_shorten(self, trained, make):
        with pytest.raises(ValueError, match="no transformer whose weights could be shortened"):
            use_half_precision(make(trained))


def _transformed(nlp):
    return list(nlp.get_pipe("transformer").pipe([nlp.make_doc(text) for text, _, _ in TEXTS]))
