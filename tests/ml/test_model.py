"""The thinc model: documents in, scores out, and gradients down to single weights of the encoder."""

import numpy
import pytest
import spacy
import torch
from spacy.ml.models import build_hash_embed_cnn_tok2vec
from spacy.tokens import Doc
from spacy.util import fix_random_seed
from util import TEXTS, initialize, make_examples, make_nlp, strided, torch_encoder, torch_head

from spacy_spert.decoding import Decoder
from spacy_spert.ml import network as network_module
from spacy_spert.ml.arrays import Given, Samples
from spacy_spert.ml.candidates import all_spans
from spacy_spert.ml.loss import relation_loss, span_loss
from spacy_spert.ml.mixer import build_bilstm, build_convolutions
from spacy_spert.ml.model import Search, Training, build_spert, get_network

CONTEXTS = ["localized", "sentence", "cls"]
POOLINGS = ["max", "mean", "sum"]
MIXERS = [build_bilstm(6), build_convolutions(6)]


def cnn(width=16):
    return build_hash_embed_cnn_tok2vec(
        width=width,
        depth=1,
        embed_size=200,
        window_size=1,
        maxout_pieces=2,
        subword_features=True,
        pretrained_vectors=None,
    )


def make_model(**settings):
    """A model over a small CNN: width 16, three entity labels, two relation labels, spans of up to three tokens."""
    fix_random_seed(0)
    model = build_spert(cnn(), **{"width_embedding": 8, "dropout": 0.0, **settings})
    for name, size in (("nI", 16), ("nE", 3), ("nR", 2), ("nW", 3)):
        model.set_dim(name, size)
    model.get_ref("tok2vec").initialize(X=make_docs(["a b c"]))
    model.init(model)
    return model


def make_docs(texts):
    vocab = spacy.blank("xx").vocab
    return [Doc(vocab, words=text.split()) for text in texts]


def weigh(model, scale=10.0):
    """Larger weights than those of a new head, so that scores differ."""
    with torch.no_grad():
        for weight in get_network(model).parameters():
            weight.mul_(scale)
    return model


def all_samples(docs, max_width, n_relations):
    """All spans of all documents, pairs of neighbours in that list, labels in turn."""
    spans, pairs, offset = [], [], 0
    for doc in docs:
        rows = all_spans(len(doc), max_width) + offset
        first = sum(map(len, spans))
        pairs.extend((first + i, first + j) for i in range(len(rows)) for j in (i + 1, i - 2) if 0 <= j < len(rows))
        spans.append(rows)
        offset += len(doc)
    spans = numpy.concatenate(spans)
    labels = numpy.zeros((len(pairs), n_relations), dtype="float32")
    labels[numpy.arange(len(pairs)), numpy.arange(len(pairs)) % n_relations] = numpy.arange(len(pairs)) % 3 == 0
    can_pair = numpy.ones(len(spans), dtype=bool)
    return Samples(spans, numpy.arange(len(spans)) % 3, can_pair, numpy.asarray(pairs), labels)


def loss_and_backprop(model, docs, samples):
    scores, backprop = model.begin_update((docs, Training(lambda layout: samples)))
    loss, d_spans = span_loss(scores[0], scores[2].span_labels)
    pair_loss, d_pairs = relation_loss(scores[1], scores[2].pair_labels)
    return loss + pair_loss, lambda: backprop((d_spans, d_pairs))


class TestFiniteDifferences:
    """The gradient of single weights of the encoder against the slope of the loss, through the whole model."""

    STEP = 1e-3

    def check(self, weight, gradient, loss, count=4):
        """weight (ndarray): To be changed in place. Its steepest entries are checked, and a random direction."""
        steepest = numpy.argsort(-numpy.abs(gradient).reshape(-1))[:count]
        directions = [numpy.eye(1, gradient.size, i).reshape(gradient.shape) for i in steepest]
        directions.append(numpy.random.RandomState(0).choice([-0.3, 0.3], gradient.shape))
        for direction in directions:
            before = weight.copy()
            losses = []
            for sign in (1, -1):
                weight[:] = before + sign * self.STEP * direction
                losses.append(loss())
            weight[:] = before
            slope = (losses[0] - losses[1]) / (2 * self.STEP)
            expected = float((gradient * direction).sum())
            # Single precision, and the maximum may change over to another wordpiece.
            tolerance = max(2e-3, 0.02 * float(numpy.abs(gradient).max()))
            assert slope == pytest.approx(expected, rel=0.03, abs=tolerance)

    @pytest.mark.parametrize("pooling", POOLINGS)
    @pytest.mark.parametrize("context", CONTEXTS)
    def test_tok2vec(self, context, pooling):
        model = weigh(make_model(context=context, pooling=pooling))
        docs = make_docs(["Ann met Bob in Bonn", "", "Eve ran"])
        samples = all_samples(docs, 3, 2)
        _, backprop = loss_and_backprop(model, docs, samples)
        backprop()
        nodes = [node for node in model.get_ref("tok2vec").walk() if "W" in node.param_names]
        assert len(nodes) == 2
        for node in nodes:
            gradient = node.get_grad("W").copy()
            assert numpy.abs(gradient).max() > 0.01
            self.check(node.get_param("W"), gradient, lambda: loss_and_backprop(model, docs, samples)[0], count=2)

    @pytest.mark.parametrize("mixer", MIXERS)
    def test_tok2vec_below_a_mixer(self, mixer):
        model = weigh(make_model(mixer=mixer), 3.0)
        get_network(model).mixer.output.weight.data.mul_(10.0)
        docs = make_docs(["Ann met Bob in Bonn", "", "Eve ran"])
        samples = all_samples(docs, 3, 2)
        loss_and_backprop(model, docs, samples)[1]()
        node = [node for node in model.get_ref("tok2vec").walk() if "W" in node.param_names][-1]
        self.check(node.get_param("W"), node.get_grad("W").copy(), lambda: loss_and_backprop(model, docs, samples)[0])
        for weight in get_network(model).mixer.parameters():
            assert weight.grad.abs().max() > 1e-3
            self.check(weight.detach().numpy(), weight.grad.numpy(), lambda: loss_and_backprop(model, docs, samples)[0])

    @pytest.mark.parametrize("context", CONTEXTS)
    def test_transformer(self, encoder, context):
        names = (
            "embeddings.word_embeddings.weight",
            "encoder.layer.0.attention.self.value.weight",
            "encoder.layer.1.output.dense.weight",
            "encoder.layer.1.output.LayerNorm.bias",
        )
        self.check_transformer(make_nlp(encoder, **self.settings(context)), names)

    @pytest.mark.parametrize("layers", [2, 3])
    def test_transformer_that_mixes_its_layers(self, encoder, layers):
        names = (
            "encoder.embeddings.word_embeddings.weight",
            "encoder.encoder.layer.0.output.dense.weight",
            "encoder.encoder.layer.1.output.dense.weight",
            "logits",
        )
        self.check_transformer(make_nlp(encoder, layers=layers, **self.settings("localized")), names)

    def settings(self, context):
        return {"spans": strided(5, 3), "max_span_width": 3, "model": {"dropout": 0.0, "context": context}}

    def check_transformer(self, nlp, names):
        initialize(nlp)
        model = weigh(nlp.get_pipe("spert").model, 5.0)
        transformer = nlp.get_pipe("transformer")
        examples = make_examples(nlp, [TEXTS[2], ("", [], []), TEXTS[1]])
        docs = [example.predicted for example in examples]
        samples = all_samples(docs, 3, 3)

        def loss():
            transformer.update(examples)
            return loss_and_backprop(model, docs, samples)

        loss()[1]()
        named = dict(torch_encoder(nlp).named_parameters())
        for name in names:
            gradient = named[name].grad.numpy().copy()
            assert numpy.abs(gradient).max() > 0.01
            self.check(named[name].detach().numpy(), gradient, lambda: loss()[0], count=2)


class TestTrainingAgreesWithPrediction:
    """Prediction takes the linear layers apart and pools with tables; training does neither."""

    @pytest.fixture(params=CONTEXTS)
    def context(self, request):
        return request.param

    @pytest.mark.parametrize("pooling", POOLINGS)
    def test_probabilities(self, context, pooling):
        model = weigh(make_model(context=context, pooling=pooling))
        docs = make_docs(["Ann met Bob in Bonn", "", "Eve ran", "x"])
        # Only then is every span an entity, and every pair of spans scored.
        with torch.no_grad():
            get_network(model).span_head.output_layer.bias[0] = -100.0
        scores = model.predict((docs, Search(Decoder())))
        samples = Samples(
            scores.spans,
            numpy.zeros(len(scores.spans), dtype="int64"),
            numpy.ones(len(scores.spans), dtype=bool),
            scores.pairs,
            numpy.zeros((len(scores.pairs), 2), dtype="float32"),
        )
        (span_logits, pair_logits, _), _ = model.begin_update((docs, Training(lambda layout: samples)))
        span_probs = torch.from_numpy(span_logits).softmax(dim=1).numpy()
        assert len(scores.spans) == 12 + 3 + 1
        assert len(scores.pairs) == 12 * 11 + 3 * 2
        assert (scores.span_labels == span_probs.argmax(axis=1)).all()
        numpy.testing.assert_allclose(scores.span_scores, span_probs.max(axis=1), atol=1e-5)
        pair_probs = torch.from_numpy(pair_logits).sigmoid().numpy()
        numpy.testing.assert_allclose(scores.pair_scores, pair_probs, atol=1e-5)
        assert scores.pair_scores.std() > 0.01

    @pytest.mark.parametrize("name, size", [("BLOCK_TOKENS", 1), ("BLOCK_TOKENS", 6), ("BLOCK_NUMBERS", 1)])
    def test_blocks_do_not_matter(self, monkeypatch, name, size):
        model = weigh(make_model())
        docs = make_docs([text for text, _, _ in TEXTS])
        whole = model.predict((docs, Search(Decoder(entities_per_token=1.0))))
        monkeypatch.setattr(network_module, name, size)
        chunked = model.predict((docs, Search(Decoder(entities_per_token=1.0))))
        assert len(whole.spans) > 10 and len(whole.pairs) > 10
        for field in ("spans", "span_labels", "pairs", "tokens"):
            assert (getattr(chunked, field) == getattr(whole, field)).all()
        for field in ("span_scores", "pair_scores"):
            numpy.testing.assert_allclose(getattr(chunked, field), getattr(whole, field), atol=1e-6)


class TestBuild:
    @pytest.mark.parametrize("setting", ["context", "pooling"])
    def test_unknown_option(self, setting):
        with pytest.raises(ValueError, match=f"Setting {setting}.*got: other"):
            build_spert(cnn(), **{setting: "other"})

    def test_there_is_no_head_before_the_sizes_are_known(self):
        model = build_spert(cnn())
        assert not model.has_ref("head")
        assert [model.has_dim(name) for name in ("nI", "nE", "nR", "nW")] == [None] * 4

    def test_not_initialized(self):
        with pytest.raises(ValueError, match="not initialized"):
            build_spert(cnn()).predict(make_docs(["a"]))

    def test_sizes_of_the_head(self):
        head = get_network(make_model())
        assert head.span_head.output_layer.weight.shape == (1 + 3, 2 * 16 + 8)
        assert head.relation_head.output_layer.weight.shape == (2, 3 * 16 + 2 * 8)
        assert head.width_embedding.weight.shape == (3, 8)

    def test_second_init_keeps_the_weights(self):
        model = make_model()
        before = model.get_ref("head").to_bytes()
        model.init(model)
        assert len(model.layers) == 2
        assert model.get_ref("head").to_bytes() == before

    def test_bytes(self):
        docs = make_docs([text for text, _, _ in TEXTS])
        model, other = weigh(make_model()), make_model()
        other.from_bytes(model.to_bytes())
        for got, expected in zip(vars(other.predict(docs)).values(), vars(model.predict(docs)).values()):
            numpy.testing.assert_array_equal(got, expected)


class TestInput:
    def test_documents_alone_are_searched(self):
        model = weigh(make_model())
        docs = make_docs([TEXTS[0][0]])
        alone, asked = model.predict(docs), model.predict((docs, Search(Decoder(entities_per_token=1.0))))
        assert (alone.spans == asked.spans).all() and len(alone.spans) > 0

    @pytest.mark.parametrize("texts", [[], [""], ["", ""]])
    def test_nothing_to_predict(self, texts):
        scores = make_model().predict(make_docs(texts))
        assert scores.spans.shape == (0, 2) and scores.pair_scores.shape == (0, 2)

    def test_no_samples_give_zero_gradients(self):
        model = make_model()
        docs = make_docs(["Ann met Bob"])
        loss, backprop = loss_and_backprop(model, docs, Samples.empty(2))
        backprop()
        assert loss == 0.0
        gradients = [node.get_grad(name) for node in model.get_ref("tok2vec").walk() for name in node.grad_names]
        assert all(not gradient.any() for gradient in gradients)

    def test_spans_without_pairs(self):
        model = make_model()
        docs = make_docs(["Ann met Bob"])
        samples = all_samples(docs, 3, 2)
        samples.pairs, samples.pair_labels = samples.pairs[:0], samples.pair_labels[:0]
        _, backprop = loss_and_backprop(model, docs, samples)
        backprop()
        head = get_network(model)
        assert head.span_head.output_layer.weight.grad.any()
        assert (
            head.relation_head.output_layer.weight.grad is None or not head.relation_head.output_layer.weight.grad.any()
        )

    def test_the_sampler_is_told_what_the_encoder_sees(self, encoder):
        nlp = initialize(make_nlp(encoder, max_span_width=3))
        doc = Doc(nlp.vocab, words=["Ann", "\n", "Bob"])
        nlp.get_pipe("transformer")(doc)
        layouts = []

        def sample(layout):
            layouts.append(layout)
            return Samples.empty(3)

        nlp.get_pipe("spert").model.begin_update(([doc], Training(sample)))
        assert [layout.tokens.tolist() for layout in layouts] == [[0, 2]]

    def test_encoder_of_another_width(self):
        model = make_model()
        other = build_spert(cnn(width=8), width_embedding=8)
        for name, size in (("nI", 16), ("nE", 3), ("nR", 2), ("nW", 3)):
            other.set_dim(name, size)
        docs = make_docs(["a b c"])
        other.get_ref("tok2vec").initialize(X=docs)
        other.init(other)
        assert model.predict(docs).tokens.tolist() == [0, 1, 2]
        with pytest.raises(ValueError, match="8 wide.*width of 16"):
            other.predict(docs)

    def test_given_spans_are_scored_as_they_are(self):
        model = weigh(make_model())
        docs = make_docs(["Ann met Bob in Bonn", "Eve ran"])
        spans = numpy.asarray([(0, 1), (0, 5), (2, 3), (5, 6), (6, 7)])
        scores = model.predict((docs, Search(Decoder(), Given(spans, numpy.zeros(5, dtype="int64")))))
        assert (scores.spans == spans).all()
        assert (scores.span_scores == 1.0).all()
        # Both orders of the pairs of the first document, and of those of the second.
        assert [tuple(pair) for pair in scores.pairs.tolist()] == [
            (0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1), (3, 4), (4, 3)
        ]  # fmt: skip

    def test_relations_are_not_scored_if_not_asked_for(self):
        scores = weigh(make_model()).predict((make_docs([TEXTS[0][0]]), Search(Decoder(relations=False))))
        assert len(scores.spans) > 1 and len(scores.pairs) == 0


def test_weights_of_the_head_are_saved_as_tensors(trained):
    state = torch_head(trained).state_dict()
    assert set(state) == {
        "span_head.layer.weight",
        "span_head.layer.bias",
        "relation_head.layer.weight",
        "relation_head.layer.bias",
        "width_embedding.weight",
    }
