"""Transformers of spacy-curated-transformers: a tiny one made on the spot, shared with another component of spaCy's."""

import pickle
import sys

import numpy
import pytest
import spacy
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import fix_random_seed
from thinc.api import Adam, NumpyOps, Ragged
from util import (
    SYMMETRIC,
    TEXTS,
    add_transformer,
    assert_same_predictions,
    clone,
    entities_of,
    finish_update,
    gold_relations,
    initialize,
    make_examples,
    make_nlp,
    relations_of,
    train,
)

from spacy_spert.extraction.selection import embed
from spacy_spert.ml.encoders import get_layout, seen_tokens
from spacy_spert.ml.encoders.curated import CuratedAdapter, build_curated_listener
from spacy_spert.ml.listening import CURATED, CURATED_UPSTREAM

pytest.importorskip("spacy_curated_transformers", reason="it is not for this Python")
from spacy_curated_transformers.models.listeners import ListenerStateUtils  # noqa: E402
from spacy_curated_transformers.models.output import TransformerModelOutput  # noqa: E402

# They make a number of an array of one element.
pytestmark = pytest.mark.filterwarnings("ignore:Conversion of an array with ndim > 0:DeprecationWarning")
trainable = pytest.mark.skipif(
    numpy.lib.NumpyVersion(numpy.__version__) >= "2.4.0", reason="the transformer can't be trained with this numpy"
)
OPS = NumpyOps()
WIDTH = 32
LISTENER = {"@architectures": "spacy-spert.CuratedListener.v1", "width": WIDTH}
VECTORS = {
    "@architectures": "spacy-curated-transformers.LastTransformerLayerListener.v1",
    "width": WIDTH,
    "pooling": {"@layers": "reduce_mean.v1"},
}
TAGGER = {"@architectures": "spacy.Tagger.v2", "nO": None, "tok2vec": VECTORS}


@pytest.fixture(scope="module")
def wordpieces(tmp_path_factory):
    path = tmp_path_factory.mktemp("curated") / "vocab.txt"
    letters = sorted({letter for text, _, _ in TEXTS for letter in text} - {" "})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *("##" + letter for letter in letters), "##er", "and", "of"]
    path.write_text("\n".join(pieces) + "\n", encoding="utf8")
    return path


def make_curated(wordpieces, *, frozen=False, tagger=False, listener=LISTENER):
    nlp = spacy.blank("xx")
    model = {
        "@architectures": "spacy-curated-transformers.BertTransformer.v1",
        "vocab_size": len(wordpieces.read_text(encoding="utf8").splitlines()),
        "hidden_width": WIDTH,
        "intermediate_width": 64,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "attention_probs_dropout_prob": 0.0,
        "hidden_dropout_prob": 0.0,
        "piece_encoder": {"@architectures": "spacy-curated-transformers.BertWordpieceEncoder.v1"},
        "with_spans": {
            "@architectures": "spacy-curated-transformers.WithStridedSpans.v1",
            "window": 16,
            "stride": 12,
        },
    }
    nlp.add_pipe("curated_transformer", name="transformer", config={"model": model, "frozen": frozen})
    loader = {"@model_loaders": "spacy-curated-transformers.WordpieceLoader.v1", "path": str(wordpieces)}
    nlp.config["initialize"]["components"]["transformer"] = {"piecer_loader": loader}
    if tagger:
        nlp.add_pipe("tagger", config={"model": TAGGER})
    heads = {"tok2vec": listener, "dropout": 0.0, "width_embedding": 8}
    nlp.add_pipe("spert", config={"model": heads, "symmetric_labels": SYMMETRIC, "max_span_width": 4})
    return nlp


def tagged_examples(nlp):
    """Those of TEXTS, with a tag for the words of entities."""
    examples = make_examples(nlp)
    for example in examples:
        inside = {token.i for span in example.reference.spans["spert"] for token in span}
        for token in example.reference:
            token.tag_ = "X" if token.i in inside else "O"
    return examples


def train_all(nlp, steps, **settings):
    """Train as spaCy's loop does. Returns the losses of each step."""
    fix_random_seed(0)
    optimizer = Adam(0.01)
    losses = [{} for _ in range(steps)]
    for step in losses:
        nlp.update(tagged_examples(nlp), sgd=False, losses=step, **settings)
        finish_update(nlp, optimizer, settings.get("exclude", ()))
    return losses


def encoder_of(nlp):
    return nlp.get_pipe("transformer").model.get_ref("transformer").shims[0]._model


def weights_of(nlp):
    return {name: weights.detach().clone() for name, weights in encoder_of(nlp).named_parameters()}


def changed(nlp, before):
    return [name for name, weights in weights_of(nlp).items() if not weights.equal(before[name])]


def count_passes(nlp):
    """A list that grows with each pass of the encoder."""
    passes = []
    encoder_of(nlp).register_forward_hook(lambda *_: passes.append(1))
    return passes


@pytest.fixture(scope="module")
def untrained(wordpieces):
    """Not to be changed: see clone."""
    return initialize(make_curated(wordpieces))


@pytest.fixture(scope="module")
def overfitted(untrained):
    nlp = clone(untrained)
    return nlp, train(nlp, 60)


@pytest.fixture
def gold():
    return [(sorted(entities), gold_relations(entities, relations)) for _, entities, relations in TEXTS]


def found(docs):
    return [(entities_of(doc), relations_of(doc)) for doc in docs]


def texts(nlp):
    return [Doc(nlp.vocab, words=text.split()) for text, _, _ in TEXTS]


def test_names_are_those_of_the_other_package():
    listener = build_curated_listener(WIDTH, upstream="trf")
    assert ListenerStateUtils.SENTINEL == CURATED
    assert listener.attrs[CURATED_UPSTREAM] == ListenerStateUtils.get_upstream_name(listener) == "trf"


@trainable
class TestTraining:
    def test_it_learns_with_its_encoder(self, overfitted, untrained, gold):
        nlp, losses = overfitted
        assert losses[-1] < 0.05 * losses[0]
        assert found(nlp.pipe(texts(nlp))) == gold
        assert len(changed(nlp, weights_of(untrained))) > 20

    @pytest.mark.parametrize("how", ["bytes", "disk", "pickle"])
    def test_round_trip(self, overfitted, tmp_path, how):
        nlp, _ = overfitted
        if how == "bytes":
            other = clone(nlp)
        elif how == "pickle":
            other = pickle.loads(pickle.dumps(nlp))
        else:
            nlp.to_disk(tmp_path / "model")
            other = spacy.load(tmp_path / "model")
        assert_same_predictions(nlp.pipe(texts(nlp)), other.pipe(texts(other)))

    def test_batches_do_not_matter(self, overfitted):
        nlp, _ = overfitted
        single = [nlp(text) for text, _, _ in TEXTS]
        assert_same_predictions(single, nlp.pipe((text for text, _, _ in TEXTS), batch_size=3))

    def test_one_pass_of_the_encoder(self, overfitted):
        nlp = clone(overfitted[0])
        passes = count_passes(nlp)
        nlp("Ann Lee works for Acme Labs in Bonn .")
        assert len(passes) == 1
        train(nlp, 1)
        assert len(passes) == 2

    @pytest.mark.parametrize("factor", [0.0, 0.5])
    def test_factor_on_the_gradient(self, wordpieces, factor):
        """The listener's own, and once: another package's listener multiplies its own gradients."""
        for listener in (LISTENER, VECTORS):
            gradients = []
            for value in (1.0, factor):
                nlp = initialize(make_curated(wordpieces, listener={**listener, "grad_factor": value}))
                nlp.update(make_examples(nlp), sgd=False)
                gradients.append([weights.grad for weights in encoder_of(nlp).parameters() if weights.grad is not None])
            assert len(gradients[0]) == len(gradients[1]) > 20
            for whole, part in zip(*gradients):
                numpy.testing.assert_allclose(part, factor * whole, atol=1e-6)

    def test_beside_another_component(self, wordpieces):
        nlp = make_curated(wordpieces, tagger=True)
        fix_random_seed(0)
        nlp.initialize(lambda: tagged_examples(nlp))
        before, passes = weights_of(nlp), count_passes(nlp)
        losses = train_all(nlp, 60)
        assert len(passes) == 60 and changed(nlp, before)
        assert losses[-1]["spert"] < 0.1 * losses[0]["spert"] and losses[-1]["tagger"] < 0.1 * losses[0]["tagger"]
        docs = list(nlp.pipe(texts(nlp)))
        assert len(passes) == 61
        tags = [[token.tag_ for token in example.reference] for example in tagged_examples(nlp)]
        assert [[token.tag_ for token in doc] for doc in docs] == tags

    def test_beside_another_component_and_frozen(self, wordpieces):
        nlp = make_curated(wordpieces, tagger=True, frozen=True)
        fix_random_seed(0)
        nlp.initialize(lambda: tagged_examples(nlp))
        before, passes = weights_of(nlp), count_passes(nlp)
        losses = train_all(nlp, 30)
        assert len(passes) == 30 and not changed(nlp, before)
        assert losses[-1]["spert"] < 0.6 * losses[0]["spert"] and losses[-1]["tagger"] < 0.6 * losses[0]["tagger"]

    def test_only_empty_documents_and_white_space(self, untrained):
        nlp = clone(untrained)
        passes = count_passes(nlp)
        empty = [Example(Doc(nlp.vocab), Doc(nlp.vocab)) for _ in range(2)]
        nlp.update(empty, sgd=False)
        blank = [Example(nlp.make_doc(" "), nlp.make_doc(" "))]
        losses = {}
        nlp.update([*make_examples(nlp)[:1], *empty, *blank], sgd=False, losses=losses)
        assert losses["spert"] > 0.0 and passes
        docs = list(nlp.pipe(["", " ", "Ann met Bob", ""]))
        assert_same_predictions([nlp("Ann met Bob")], docs[2:3])
        assert [len(doc.spans["spert"]) for doc in (docs[0], docs[1], docs[3])] == [0, 0, 0]

    def test_replaced_listener(self, overfitted):
        nlp = clone(overfitted[0])
        expected = list(nlp.pipe(texts(nlp)))
        nlp.replace_listeners("transformer", "spert", ["model.tok2vec"])
        nlp.remove_pipe("transformer")
        assert_same_predictions(expected, nlp.pipe(texts(nlp)))
        other = clone(nlp)
        assert_same_predictions(expected, other.pipe(texts(other)))
        losses = train(other, 2)
        assert losses[0] < 0.1 and losses[1] != losses[0]

    def test_embedding_of_a_document(self, overfitted):
        nlp, _ = overfitted
        doc = nlp("Ann met Bob")
        expected = doc._.trf_data.last_hidden_layer_state.dataXd.mean(axis=0)
        numpy.testing.assert_allclose(embed(doc), expected, rtol=1e-6)
        assert embed(nlp("")).shape == (0,)


def test_transformer_left_out_of_training(wordpieces):
    """With its name in frozen_components and annotating_components: any numpy will do."""
    nlp = initialize(make_curated(wordpieces))
    before = weights_of(nlp)
    losses = train(nlp, 30, exclude=["transformer"], annotates=["transformer"])
    assert losses[-1] < 0.6 * losses[0] and not changed(nlp, before)


def test_numpy_that_is_too_new(untrained):
    """Says what to do, where the transformer's own code fails."""

    def fail(d_states, outputs_to_backprop):
        raise TypeError("only 0-dimensional arrays can be converted to Python scalars")

    listener = build_curated_listener(2)
    doc = untrained.make_doc("Ann met Bob")
    states = Ragged(OPS.alloc2f(3, 2), OPS.asarray1i([1, 1, 1]))
    output = TransformerModelOutput(outputs=[[states]], last_layer_only=True)
    ListenerStateUtils.receive(listener, ListenerStateUtils.calculate_batch_id([doc]), output, fail)
    _, backprop = listener.begin_update([doc])
    with pytest.raises(TypeError, match=r"\[S173\].*numpy<2.4.*frozen_components"):
        backprop([states])


class TestPieces:
    def test_tokens_and_their_wordpieces(self, untrained):
        """White space has none, and [CLS] and [SEP] are gone before."""
        doc = untrained("Ann  of\nGraz")
        assert [token.text for token in doc] == ["Ann", " ", "of", "\n", "Graz"]
        output = doc._.trf_data.last_hidden_layer_state
        states, layout = get_layout(OPS, [doc], [output])
        assert layout.tokens.tolist() == [0, 2, 4]
        assert layout.offsets.tolist() == [0, 3, 4, 8] and layout.rows.tolist() == list(range(8))
        assert states[0].shape == (8, WIDTH) and not len(layout.cls_rows)

    def test_white_space_with_wordpieces(self, untrained):
        """As other encoders of pieces may have: they count for no token, and get no gradient."""
        doc = untrained.make_doc("a  b")
        output = Ragged(numpy.arange(10, dtype="float32").reshape(5, 2), numpy.asarray([2, 1, 2], dtype="int32"))
        adapter = CuratedAdapter()
        pieces = adapter.pieces(OPS, doc, output)
        assert pieces.rows.tolist() == [0, 1, 3, 4] and pieces.counts.tolist() == [2, 0, 2]
        (gradient,) = adapter.gradient(OPS, output, None)
        assert gradient.dataXd.shape == (5, 2) and not gradient.dataXd.any()
        assert gradient.lengths is output.lengths

    def test_gradient_that_the_transformer_gets(self, untrained):
        received = []
        docs = [untrained.make_doc("a b"), untrained.make_doc(""), untrained.make_doc("c")]
        lengths = [OPS.asarray1i([1, 2]), OPS.asarray1i([]), OPS.asarray1i([1])]
        states = [Ragged(OPS.alloc2f(int(length.sum()), 2) + 1, length) for length in lengths]
        output = TransformerModelOutput(outputs=[[state] for state in states], last_layer_only=True)
        listener = build_curated_listener(2, grad_factor=0.5)
        batch = ListenerStateUtils.calculate_batch_id(docs)
        ListenerStateUtils.receive(listener, batch, output, lambda *args, **kwargs: received.append((args, kwargs)))
        got, backprop = listener.begin_update(docs)
        assert got == states
        backprop(got)
        (((gradients,), places),) = received
        assert places == {"outputs_to_backprop": (-1,)}
        assert [gradient.dataXd.tolist() for (gradient,) in gradients] == [[[0.5, 0.5]] * 3, [], [[0.5, 0.5]]]
        with pytest.raises(ValueError, match="E954"):
            listener.begin_update(docs)

    def test_windows_cut_nothing_off(self, untrained):
        doc = untrained("Ann of Bonn and Graz " * 20)
        _, layout = get_layout(OPS, [doc], [doc._.trf_data.last_hidden_layer_state])
        assert layout.tokens.tolist() == list(range(100)) and not len(layout.cut)

    def test_tokens_without_wordpieces_are_not_seen(self, untrained):
        nlp = clone(untrained)
        transformer = nlp.get_pipe("transformer").model
        doc = Doc(nlp.vocab, words=["Ann", " ", "\u0301", "of"], spaces=[False] * 4)
        assert seen_tokens(transformer, doc).tolist() == [True, False, True, True]
        transformer.get_ref("piece_encoder").attrs["strip_accents"] = True
        assert seen_tokens(transformer, doc).tolist() == [True, False, False, True]


class TestErrors:
    @pytest.mark.parametrize("listener", [LISTENER, VECTORS], ids=["wordpieces", "vectors"])
    def test_transformer_disabled(self, wordpieces, listener):
        nlp = initialize(make_curated(wordpieces, listener=listener))
        nlp("Ann met Bob")
        with nlp.select_pipes(disable="transformer"), pytest.raises(ValueError, match=r"\[S022\].*'Ann met Bob'"):
            nlp("Ann met Bob")

    def test_other_listener_than_the_transformer_needs(self, wordpieces, encoder):
        nlp = make_curated(wordpieces, listener={"@architectures": "spacy-spert.WordpieceListener.v1"})
        with pytest.raises(ValueError, match=r"\[S021\].*'transformer'.*curated_transformer.*CuratedListener.v1"):
            initialize(nlp)
        nlp = make_nlp(encoder, model={"tok2vec": LISTENER})
        with pytest.raises(ValueError, match=r"\[S021\].*'transformer'.*WordpieceListener.v1"):
            initialize(nlp)

    def test_no_transformer(self):
        nlp = spacy.blank("xx")
        nlp.add_pipe("spert", config={"model": {"tok2vec": LISTENER}})
        with pytest.raises(ValueError, match=r"\[S171\].*before='spert'"):
            initialize(nlp)

    def test_other_upstream(self, wordpieces):
        nlp = make_curated(wordpieces, listener={**LISTENER, "upstream": "trf"})
        with pytest.raises(ValueError, match=r"\[S035\].*'trf'.*'transformer'"):
            initialize(nlp)

    @pytest.mark.parametrize("listener", [LISTENER, VECTORS], ids=["wordpieces", "vectors"])
    def test_other_width(self, wordpieces, listener):
        nlp = make_curated(wordpieces, listener={**listener, "width": 31})
        with pytest.raises(ValueError, match=r"\[S031\].*model.tok2vec.width.*32, got: 31"):
            initialize(nlp)

    def test_output_of_the_other_package(self, untrained, encoder):
        other = spacy.blank("xx")
        transformer = add_transformer(other, encoder)
        transformer.initialize(lambda: [], nlp=other)
        with pytest.raises(ValueError, match=r"\[S023\].*TransformerData.*'Ann met Bob'.*CuratedListener"):
            untrained.get_pipe("spert")(other("Ann met Bob"))

    def test_output_for_other_tokens(self, untrained):
        doc = untrained.get_pipe("transformer")(untrained.make_doc("Ann met Bob"))
        with doc.retokenize() as retokenizer:
            retokenizer.merge(doc[:2])
        with pytest.raises(ValueError, match=r"\[S172\] The transformer's output is for 3 tokens.* has 2\."):
            untrained.get_pipe("spert")(doc)

    def test_package_is_missing(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "spacy_curated_transformers.models.listeners", None)
        with pytest.raises(ImportError, match=r"\[S170\].*spacy-spert\[curated\]"):
            build_curated_listener(WIDTH)


def test_zeros_without_a_transformer(untrained):
    """Where nothing checks for one, as in `spacy debug model`: a row for each token."""
    listener = build_curated_listener(4)
    (output,) = listener.predict([untrained.make_doc("Ann met Bob")])
    assert output.dataXd.shape == (3, 4) and not output.dataXd.any() and output.lengths.tolist() == [1, 1, 1]
