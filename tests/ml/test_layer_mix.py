"""A transformer that mixes its layers: its output, its gradient (with the others, in test_model), and its life."""

import pickle

import numpy
import pytest
import spacy
import torch
from thinc.api import Adam
from util import (
    SYMMETRIC,
    TEXTS,
    add_transformer,
    assert_same_predictions,
    entities_of,
    initialize,
    make_examples,
    make_nlp,
    prediction,
    torch_encoder,
    train,
)

from spacy_spert.ml.half import halve
from spacy_spert.ml.layer_mix import MixedEncoder, build_layer_mix_transformer
from spacy_spert.optimization import optimize_pipeline

ALL = [text for text, _, _ in TEXTS]
LISTENER = {
    "@architectures": "spacy-transformers.TransformerListener.v1",
    "pooling": {"@layers": "reduce_mean.v1"},
}


@pytest.fixture(scope="module")
def mixed(encoder):
    model = {"dropout": 0.0, "width_embedding": 8}
    nlp = make_nlp(encoder, layers=2, symmetric_labels=SYMMETRIC, max_span_width=4, model=model)
    initialize(nlp)
    train(nlp, 60)
    return nlp


def outputs(nlp, texts=ALL):
    """The last hidden states without padding."""
    states = []
    for data in nlp.get_pipe("transformer").predict([nlp.make_doc(text) for text in texts]).doc_data:
        mask = numpy.asarray(data.wordpieces.attention_mask) > 0
        states.append(data.model_output["last_hidden_state"][mask])
    return states


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_all_layers_have_the_same_share_at_first(encoder, layers):
    """Two layers and the embeddings below them."""
    nlp = initialize(make_nlp(encoder, layers=layers))
    data = nlp("Ann Lee works")._.trf_data
    ids = torch.from_numpy(numpy.asarray(data.wordpieces.input_ids))
    with torch.no_grad():
        hidden = torch_encoder(nlp).encoder(ids, output_hidden_states=True).hidden_states
    expected = torch.stack(hidden[-layers:]).mean(dim=0)
    numpy.testing.assert_allclose(data.model_output["last_hidden_state"], expected.numpy(), atol=1e-6)
    assert set(data.model_output) == {"last_hidden_state"}


def test_one_layer_is_the_last(encoder):
    one, other = (initialize(make_nlp(encoder, **settings)) for settings in ({}, {"layers": 1}))
    for state, other_state in zip(outputs(one), outputs(other)):
        numpy.testing.assert_allclose(state, other_state, atol=1e-6)


def test_shares_and_layers_are_learned(mixed):
    shares = torch_encoder(mixed).shares().detach()
    assert shares.sum() == pytest.approx(1.0) and abs(shares[0] - shares[1]) > 0.01
    for doc, (_, entities, relations) in zip(mixed.pipe(ALL), TEXTS):
        assert entities_of(doc) == sorted(entities)
        assert len(doc._.relations) == len(relations)


def test_it_is_saved(mixed, tmp_path):
    mixed.to_disk(tmp_path)
    nlp = spacy.load(tmp_path)
    assert torch.equal(torch_encoder(nlp).logits, torch_encoder(mixed).logits)
    expected = [prediction(doc) for doc in mixed.pipe(ALL)]
    assert [prediction(doc) for doc in nlp.pipe(ALL)] == expected
    assert [prediction(doc) for doc in pickle.loads(pickle.dumps(nlp)).pipe(ALL)] == expected
    other = spacy.blank("xx")
    other.add_pipe("transformer", source=nlp)
    other.add_pipe("spert", source=nlp)
    assert [prediction(doc) for doc in other.pipe(ALL)] == expected


def test_it_learns_on(mixed, tmp_path):
    mixed.to_disk(tmp_path)
    nlp = spacy.load(tmp_path)
    before = torch_encoder(nlp).logits.detach().clone()
    train(nlp, 2)
    assert not torch.equal(torch_encoder(nlp).logits, before)


@pytest.mark.parametrize("int8", [False, True])
def test_on_onnx_runtime(mixed, int8):
    """The mix is part of the graph."""
    nlp = optimize_pipeline(mixed, int8=int8)
    difference = max(abs(one - two).max() for one, two in zip(outputs(mixed), outputs(nlp)))
    assert difference < (0.5 if int8 else 1e-4)
    assert [prediction(doc)[0] for doc in nlp.pipe(ALL)] == [prediction(doc)[0] for doc in mixed.pipe(ALL)]


def test_other_listeners_read_the_mix(encoder):
    nlp = spacy.blank("xx")
    add_transformer(nlp, encoder, layers=2)
    tagger = nlp.add_pipe("tagger", config={"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": LISTENER}})
    examples = make_examples(nlp)
    for example in examples:
        for token in example.reference:
            token.tag_ = "X" if token.i % 2 else "Y"
    nlp.initialize(lambda: examples)
    # A new tagger gives no gradient.
    nlp.update(examples, sgd=Adam(0.01))
    nlp.update(examples, sgd=False)
    assert torch_encoder(nlp).logits.grad.abs().min() > 0
    assert tagger.labels == ("X", "Y")


def test_a_component_can_have_one_of_its_own(mixed, tmp_path):
    mixed.to_disk(tmp_path)
    nlp = spacy.load(tmp_path)
    nlp.replace_listeners("transformer", "spert", ["model.tok2vec"])
    nlp.remove_pipe("transformer")
    assert_same_predictions(mixed.pipe(ALL), nlp.pipe(ALL))
    nlp.to_disk(tmp_path / "own")
    assert_same_predictions(mixed.pipe(ALL), spacy.load(tmp_path / "own").pipe(ALL))


def test_one_vector_for_each_token_can_not_be_had_of_one_of_its_own(encoder):
    nlp = spacy.blank("xx")
    add_transformer(nlp, encoder, layers=2)
    nlp.add_pipe("tagger", config={"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": LISTENER}})
    with pytest.raises(ValueError, match=r"\[S231\] .*TransformerListener"):
        nlp.replace_listeners("transformer", "tagger", ["model.tok2vec"])


@pytest.mark.parametrize("layers", [4, 12])
def test_more_layers_than_there_are(encoder, layers):
    with pytest.raises(ValueError, match=rf"\[S230\] Can't mix {layers} layers of the encoder.* from 1 to 3"):
        initialize(make_nlp(encoder, layers=layers))


def test_no_layers():
    with pytest.raises(ValueError, match=r"\[S230\] Can't mix 0 layers"):
        build_layer_mix_transformer("name", list, layers=0)


def test_encoder_that_does_not_give_its_layers(encoder):
    nlp = initialize(make_nlp(encoder, layers=2))
    whole = torch_encoder(nlp)

    class Closed(torch.nn.Module):
        def forward(self, **inputs):
            output = whole.encoder(**inputs)
            output.hidden_states = None
            return output

    with pytest.raises(ValueError, match=r"\[S230\] .* from 1 to 0"):
        MixedEncoder(Closed(), 2)(input_ids=torch.ones(1, 3, dtype=torch.int64))


def test_half_precision(mixed, tmp_path):
    mixed.to_disk(tmp_path)
    nlp = spacy.load(tmp_path)
    halve(torch_encoder(nlp))
    difference = max(abs(one - two).max() for one, two in zip(outputs(mixed), outputs(nlp)))
    assert 0 < difference < 0.05
