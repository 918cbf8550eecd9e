"""Mixers against the plain layers of torch, sentence by sentence; then inside the network and in a pipeline."""

import pickle

import numpy
import pytest
import spacy
import torch
from test_network import WIDTH, make_layout, make_network, random_samples, search
from test_network import same as same_scores
from torch.nn.functional import conv1d, gelu
from util import (
    CNN,
    SYMMETRIC,
    TEXTS,
    assert_same_predictions,
    clone,
    entities_of,
    initialize,
    make_nlp,
    prediction,
    strided,
    torch_head,
    train,
)

from spacy_spert.ml.arrays import Layout
from spacy_spert.ml.heads import Sizes
from spacy_spert.ml.mixer import build_bilstm, build_convolutions

SIZES = Sizes(WIDTH, 3, 2, 4, 5, dropout=0.5)
BUILDERS = {
    "BiLSTM": build_bilstm(5, dropout=0.0),
    "convolutions": build_convolutions(5, dropout=0.0),
    "wide convolutions": build_convolutions(3, window=2, dropout=0.0),
}
CONFIGS = {
    "BiLSTM": {"@architectures": "spacy-spert.BiLSTM.v1", "hidden_width": 16},
    "convolutions": {"@architectures": "spacy-spert.Convolutions.v1", "hidden_width": 16, "window": 2},
}
LENGTHS = [2, 5, 1, 5, 3]
builders = pytest.mark.parametrize("name", BUILDERS)


def make_mixer(builder, seed=0):
    torch.manual_seed(seed)
    mixer = builder(SIZES).double()
    for parameter in mixer.parameters():
        parameter.data.normal_(std=0.5)
    return mixer


def make_pieces(lengths=LENGTHS, seed=0):
    return torch.from_numpy(numpy.random.default_rng(seed).normal(size=(sum(lengths), WIDTH)))


def mix(mixer, pieces, lengths=LENGTHS, is_train=False):
    return mixer(pieces, numpy.asarray(lengths), is_train)


def plain(mixer, sentence):
    """What becomes of a sentence on its own."""
    if hasattr(mixer, "lstm"):
        return sentence + mixer.output(mixer.lstm(sentence)[0])
    hidden = sentence.T
    for i, layer in enumerate((mixer.layer, mixer.output)):
        seen = 2 * mixer.window + 1
        # From (out, seen * in) as the neighbours stand side by side.
        kernel = layer.weight.reshape(len(layer.weight), seen, -1).transpose(1, 2)
        hidden = conv1d(hidden[None], kernel, layer.bias, padding=mixer.window)[0]
        hidden = gelu(hidden) if i == 0 else hidden
    return sentence + hidden.T


@builders
@pytest.mark.parametrize("lengths", [LENGTHS, [1], [4], [1, 1, 1], [3, 2, 1]])
def test_each_sentence_on_its_own(name, lengths):
    mixer, pieces = make_mixer(BUILDERS[name]), make_pieces(lengths)
    expected = torch.cat([plain(mixer, sentence) for sentence in pieces.split(lengths)])
    torch.testing.assert_close(mix(mixer, pieces, lengths), expected)
    assert (mix(mixer, pieces, lengths) - pieces).abs().max() > 0.1


@builders
def test_gradient(name):
    mixer, pieces = make_mixer(BUILDERS[name]), make_pieces([2, 3]).requires_grad_()
    assert torch.autograd.gradcheck(lambda pieces, *_: mix(mixer, pieces, [2, 3]), (pieces, *mixer.parameters()))


@builders
def test_dropout_comes_with_the_call(name):
    """Whatever the mode of the module."""
    mixer, pieces = make_mixer(BUILDERS[name]), make_pieces()
    mixer.dropout = 0.5
    for mode in (True, False):
        mixer.train(mode)
        assert torch.equal(mix(mixer, pieces), mix(mixer, pieces))
        assert not torch.equal(mix(mixer, pieces, is_train=True), mix(mixer, pieces, is_train=True))


def test_dropout_is_that_of_the_model_by_default():
    assert build_bilstm()(SIZES).dropout == build_convolutions()(SIZES).dropout == 0.5


@pytest.mark.parametrize(
    "build, setting, value",
    [(build_bilstm, "hidden_width", 0), (build_convolutions, "window", 0), (build_bilstm, "dropout", 1.0)],
)
def test_settings_out_of_range(build, setting, value):
    with pytest.raises(ValueError, match=rf"\[S031\] Setting mixer.{setting} .* got: {value}"):
        build(**{setting: value})


# In the network


def mixed_by_hand(network, embeddings, layout):
    """The embeddings with mixed wordpieces in the order of the layout, then the special tokens as they are."""
    lengths = numpy.diff(layout.offsets[layout.sentences])
    pieces = mix(network.mixer, embeddings[torch.from_numpy(layout.rows)], lengths)
    n_pieces = len(pieces)
    other = Layout(
        **{**vars(layout), "rows": numpy.arange(n_pieces), "cls_rows": n_pieces + numpy.arange(len(layout.cls_rows))}
    )
    return torch.cat([pieces, embeddings[torch.from_numpy(layout.cls_rows)]]), other


@builders
@pytest.mark.parametrize("heads", ["linear", "rich"])
@torch.no_grad()
def test_heads_read_mixed_wordpieces_and_special_tokens_as_they_are(name, heads):
    network = make_network(heads=heads, dropout=0.0, mixer=BUILDERS[name])
    without = make_network(heads=heads, dropout=0.0)
    without.load_state_dict(network.state_dict(), strict=False)
    embeddings, layout = make_layout()
    mixed, other = mixed_by_hand(network, embeddings, layout)
    same_scores(search(network, embeddings, layout), search(without, mixed, other))
    samples = random_samples(layout)
    for one, two in zip(network([embeddings], layout, samples)[:2], without([mixed], other, samples)[:2]):
        torch.testing.assert_close(one, two)


@builders
def test_contexts_of_sentences_stay_as_they_are(name):
    network = make_network(mixer=BUILDERS[name])
    embeddings, layout = make_layout(specials="some")
    contexts = make_network().encode([embeddings], layout).contexts
    assert torch.equal(network.encode([embeddings], layout).contexts, contexts)


@builders
def test_text_without_wordpieces(name):
    nothing = numpy.zeros(0, dtype="int64")
    layout = Layout(nothing, nothing, numpy.asarray([0]), numpy.asarray([0]))
    network = make_network(mixer=BUILDERS[name])
    assert search(network, torch.ones(2, WIDTH, dtype=torch.float64), layout).spans.shape == (0, 2)


@builders
def test_dropout_in_training_only(name):
    network = make_network(dropout=0.0, mixer=BUILDERS[name])
    network.mixer.dropout = 0.5
    embeddings, layout = make_layout()
    samples = random_samples(layout)
    same_scores(search(network, embeddings, layout), search(network, embeddings, layout))
    one, two = (network([embeddings], layout, samples)[0] for _ in range(2))
    assert not torch.equal(one, two)


@builders
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_each_pass_has_a_dropout_of_its_own(name, dropout):
    network = make_network(dropout=0.0, mixer=BUILDERS[name])
    network.mixer.dropout = dropout
    embeddings, layout = make_layout()
    for logits in network([embeddings], layout, random_samples(layout), passes=2)[:2]:
        one, two = logits.chunk(2)
        assert torch.equal(one, two) == (dropout == 0.0)


# In a pipeline


@pytest.fixture(scope="module", params=CONFIGS)
def mixed(request, encoder):
    model = {"dropout": 0.0, "width_embedding": 8, "mixer": CONFIGS[request.param]}
    windows = {**strided(5, 3), "@span_getters": "spacy-spert.strided_spans.v1"}
    nlp = make_nlp(encoder, spans=windows, symmetric_labels=SYMMETRIC, max_span_width=4, model=model)
    initialize(nlp)
    train(nlp, 60)
    return nlp


def test_it_learns(mixed):
    for doc, (_, entities, relations) in zip(mixed.pipe(text for text, _, _ in TEXTS), TEXTS):
        assert entities_of(doc) == sorted(entities)
        assert len(doc._.relations) == len(relations)


def test_it_is_saved(mixed, tmp_path):
    mixed.to_disk(tmp_path)
    nlp = spacy.load(tmp_path)
    texts = [text for text, _, _ in TEXTS]
    expected = [prediction(doc) for doc in mixed.pipe(texts)]
    assert [prediction(doc) for doc in nlp.pipe(texts)] == expected
    assert [prediction(doc) for doc in pickle.loads(pickle.dumps(nlp)).pipe(texts)] == expected


def test_it_stays_when_labels_are_added(mixed):
    nlp = clone(mixed)
    spert = nlp.get_pipe("spert")
    spert.add_label("VESSEL", "entity")
    spert.add_label("sails_on", "relation")
    for old, new in zip(torch_head(mixed).mixer.parameters(), torch_head(nlp).mixer.parameters()):
        assert torch.equal(old, new)
    for one, two in zip(mixed.pipe(text for text, _, _ in TEXTS), nlp.pipe(text for text, _, _ in TEXTS)):
        assert prediction(one)[0] == prediction(two)[0]


def test_neither_white_space_nor_batches_matter(mixed):
    texts = ["", "Ann Lee works\n\n for  Acme Labs", " ", *(text for text, _, _ in TEXTS)]
    assert_same_predictions(mixed.pipe(texts, batch_size=1), mixed.pipe(texts, batch_size=100))
    blanks, plain_doc = mixed("Ann Lee works\n\n for  Acme Labs"), mixed("Ann Lee works for Acme Labs")
    assert len(blanks) > len(plain_doc)
    found = [[span.text.split() for span in doc.spans["spert"]] for doc in (blanks, plain_doc)]
    assert found[0] == found[1]
    scores = [doc.spans["spert"].attrs["scores"] for doc in (blanks, plain_doc)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)


def test_same_seed_same_weights(encoder):
    states = []
    for _ in range(2):
        nlp = make_nlp(encoder, model={"mixer": CONFIGS["BiLSTM"]})
        initialize(nlp)
        train(nlp, 3)
        states.append(torch_head(nlp).state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize("name", CONFIGS)
def test_above_token_vectors(name):
    nlp = spacy.blank("xx")
    nlp.add_pipe("spert", config={"model": {"tok2vec": CNN, "mixer": CONFIGS[name]}, "max_span_width": 4})
    initialize(nlp)
    losses = train(nlp, 10)
    assert losses[-1] < losses[0] / 2
