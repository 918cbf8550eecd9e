"""A listener with nothing to hear is noticed, wherever in the model it is."""

import pytest
import spacy
from spacy.ml.models.tok2vec import build_hash_embed_cnn_tok2vec
from spacy.pipeline.tok2vec import Tok2VecListener
from spacy_transformers.layers import TransformerListener
from thinc.api import Linear, Model, chain, with_array
from util import initialize, make_nlp

from spacy_spert.ml.listeners import check_listeners


def bare(listener):
    return listener


def in_a_chain(listener):
    return chain(listener, with_array(Linear(4, 4)))


def deep(listener):
    inner = in_a_chain(listener)
    return Model("outer", lambda model, X, is_train: (X, lambda d: d), layers=[chain(inner, with_array(Linear(4, 4)))])


@pytest.mark.parametrize("place", [bare, in_a_chain, deep])
class TestPlaces:
    def test_missing_transformer(self, trained, place):
        model = place(TransformerListener("*"))
        docs = [trained("Bob slept"), trained.make_doc("Ann met Bob")]
        check_listeners(model, docs[:1])
        with pytest.raises(ValueError, match=r"\[S022\] No transformer output on document 'Ann met Bob'"):
            check_listeners(model, docs)

    def test_other_data(self, trained, place):
        doc = trained.make_doc("Ann met Bob")
        doc._.trf_data = "curated"
        with pytest.raises(ValueError, match=r"\[S023\].*'Ann met Bob'"):
            check_listeners(place(TransformerListener("*")), [doc])

    def test_missing_tok2vec(self, place):
        nlp = spacy.blank("xx")
        doc = nlp.make_doc("Ann met Bob")
        model = place(Tok2VecListener("tok2vec", 4))
        with pytest.raises(ValueError, match=r"\[S018\] No vectors of a 'tok2vec' component on document 'Ann met Bob'"):
            check_listeners(model, [doc])
        doc.tensor = model.ops.alloc2f(3, 4)
        check_listeners(model, [doc])

    def test_empty_documents_need_nothing(self, trained, place):
        check_listeners(place(TransformerListener("*")), [trained.make_doc("")])


def test_encoder_of_its_own_needs_nothing():
    model = build_hash_embed_cnn_tok2vec(
        width=8, depth=1, embed_size=10, window_size=1, maxout_pieces=2, subword_features=True, pretrained_vectors=None
    )
    check_listeners(model, [spacy.blank("xx").make_doc("Ann met Bob")])


def test_model_of_the_component(encoder):
    nlp = make_nlp(encoder)
    with pytest.raises(ValueError, match=r"\[S022\]"):
        check_listeners(nlp.get_pipe("spert").model, [nlp.make_doc("Ann met Bob")])


def test_transformer_disabled_below_a_chain(encoder):
    """Token vectors of the transformer, which a chain of layers makes of its wordpieces."""
    block = {
        "@architectures": "spacy-transformers.TransformerListener.v1",
        "grad_factor": 1.0,
        "upstream": "*",
        "pooling": {"@layers": "reduce_mean.v1"},
    }
    nlp = initialize(make_nlp(encoder, model={"tok2vec": block}))
    nlp("Ann met Bob")
    with nlp.select_pipes(disable="transformer"), pytest.raises(ValueError, match=r"\[S022\]"):
        nlp("Ann met Bob")
