"""The shapes of tokens: which they are, what is added to the wordpieces, and what an encoder of lower case gains."""

from dataclasses import replace

import numpy
import pytest
import spacy
import srsly
import torch
from spacy.strings import hash_string
from test_network import make_layout, make_network, random_samples, same, search
from thinc.api import NumpyOps
from torch.func import functional_call
from util import (
    assert_same_predictions,
    clone,
    initialize,
    make_doc,
    make_encoder,
    make_nlp,
    prediction,
    torch_head,
)

from spacy_spert.ml.arrays import N_SHAPES
from spacy_spert.ml.encoders import get_layout


@pytest.fixture(scope="module")
def lower_case(tmp_path_factory):
    path = tmp_path_factory.mktemp("encoder") / "lower"
    make_encoder(path, " ".join(WORDS).lower().split())
    config = srsly.read_json(path / "tokenizer_config.json")
    srsly.write_json(path / "tokenizer_config.json", {**config, "do_lower_case": True})
    return path


def with_shapes(seed=0):
    embeddings, layout = make_layout(seed=seed)
    shapes = numpy.random.default_rng(seed).integers(0, N_SHAPES, len(layout.tokens))
    return embeddings, replace(layout, shapes=shapes)


def added_by_hand(network, embeddings, layout):
    """The embeddings with what belongs to the shape of its token added to each wordpiece."""
    embeddings = embeddings.clone()
    for token, (start, end) in enumerate(zip(layout.offsets[:-1], layout.offsets[1:])):
        for row in layout.rows[start:end]:
            embeddings[row] += network.shape_embedding.weight[int(layout.shapes[token])]
    return embeddings


def test_shapes_of_the_tokens_that_have_wordpieces():
    nlp = spacy.blank("xx")
    docs = [make_doc(nlp.vocab, text) for text in ("Ann met  3 OF us", "", "\n A1b .")]
    outputs = [numpy.zeros((len(doc), 4), dtype="float32") for doc in docs]
    _, layout = get_layout(NumpyOps(), docs, outputs, shapes=True)
    shapes = ["Xxx", "xxx", "d", "XX", "xx", "Xdx", "."]
    assert layout.shapes.tolist() == [hash_string(shape) % N_SHAPES for shape in shapes]
    assert len(set(layout.shapes.tolist())) == len(shapes)


@pytest.mark.parametrize("heads", ["linear", "rich"])
@torch.no_grad()
def test_they_are_added_to_the_wordpieces_of_each_token(heads):
    network, plain = make_network(heads=heads, shapes=True), make_network(heads=heads)
    embeddings, layout = with_shapes()
    plain.load_state_dict({k: v for k, v in network.state_dict().items() if not k.startswith("shape_embedding")})
    found = search(network, embeddings, layout)
    same(found, search(plain, added_by_hand(network, embeddings, layout), layout))
    assert len(found.spans) and found.span_scores.tolist() != search(plain, embeddings, layout).span_scores.tolist()


def test_gradients():
    network = make_network(shapes=True, dropout=0.0)
    embeddings, layout = make_layout()
    layout = replace(layout, shapes=numpy.arange(len(layout.tokens)) % 3)
    samples = random_samples(layout)

    def logits(rows):
        table = network.shape_embedding.weight.detach().index_copy(0, torch.arange(3), rows)
        return functional_call(network, {"shape_embedding.weight": table}, ([embeddings], layout, samples))[:2]

    rows = network.shape_embedding.weight[:3].detach().requires_grad_()
    assert torch.autograd.gradcheck(logits, (rows,))


WORDS = ["ann works for acme", "Ann works for ACME"]


@pytest.mark.parametrize("shapes", [True, False])
def test_an_encoder_of_lower_case_tells_cases_apart(lower_case, shapes):
    """By them alone."""
    nlp = initialize(make_nlp(lower_case, model={"shapes": shapes}))
    docs = [nlp.get_pipe("transformer")(nlp.make_doc(text)) for text in WORDS]
    one, other = (nlp.get_pipe("spert").predict([doc]) for doc in docs)
    assert len(one.spans) and (one.span_scores.tolist() == other.span_scores.tolist()) != shapes


def test_saved_and_loaded(encoder):
    nlp = initialize(make_nlp(encoder, model={"shapes": True}))
    torch_head(nlp).shape_embedding.weight.data.mul_(100.0)
    assert nlp.config["components"]["spert"]["model"]["shapes"] is True
    docs = [[pipe(text) for text in WORDS] for pipe in (nlp, clone(nlp))]
    assert prediction(docs[0][0]) and prediction(docs[0][0]) != prediction(docs[0][1])
    assert_same_predictions(*docs)
