"""Between the encoder's output and flat wordpieces: windows, special tokens, gaps, and the gradient's way back."""

import numpy
import pytest
import spacy
import torch
from spacy.tokens import Doc
from spacy_transformers.data_classes import TransformerData, WordpieceBatch
from thinc.api import NumpyOps, Ragged
from transformers.utils import ModelOutput
from util import DOC_SPANS, SENT_SPANS, add_transformer, initialize, make_nlp, strided

from spacy_spert.ml.arrays import Samples
from spacy_spert.ml.encoders import get_gradients, get_layout, predict_in_batches
from spacy_spert.ml.encoders.transformer import (
    as_wordpiece_layer,
    build_wordpiece_listener,
    is_listener,
    seen_tokens,
    token_pieces,
)
from spacy_spert.ml.heads import Sizes
from spacy_spert.ml.network import SpertNetwork
from spacy_spert.ml.relation_head import build_relation_head
from spacy_spert.ml.span_head import build_span_head

OPS = NumpyOps()
LETTERS = list("abcdefg")


@pytest.fixture(scope="module")
def run(encoder):
    """Documents from lists of words, and what a transformer with the given windows makes of them."""
    pipelines = {}

    def run(docs, spans, max_length=128):
        key = (str(spans), max_length)
        if key not in pipelines:
            nlp = spacy.blank("xx")
            add_transformer(nlp, encoder, spans=spans, max_length=max_length).initialize(lambda: [], nlp=nlp)
            pipelines[key] = nlp
        nlp = pipelines[key]
        docs = [doc if isinstance(doc, Doc) else Doc(nlp.vocab, words=doc) for doc in docs]
        transformer = nlp.get_pipe("transformer")
        transformer.set_annotations(docs, transformer.predict(docs))
        outputs = [doc._.trf_data for doc in docs]
        return docs, outputs, *get_layout(OPS, docs, outputs)

    return run


def rows_by_token(layout):
    bounds = zip(layout.offsets[:-1], layout.offsets[1:])
    return [sorted(layout.rows[start:end].tolist()) for start, end in bounds]


def with_sentences(words, starts):
    return Doc(spacy.blank("xx").vocab, words=words, sent_starts=[i in starts for i in range(len(words))])


def make_head(**kwargs):
    torch.manual_seed(0)
    return SpertNetwork(Sizes(32, 2, 1, 3, dropout=0.0), build_span_head(), build_relation_head(), **kwargs)


def encode(states, layout):
    return make_head().encode([torch.from_numpy(state) for state in states], layout)


class TestWindows:
    def test_a_token_in_two_windows_has_the_rows_of_both(self, run):
        _, outputs, _, layout = run([LETTERS], strided(4, 2))
        length = outputs[0].model_output["last_hidden_state"].shape[1]
        assert outputs[0].model_output["last_hidden_state"].shape == (3, length, 32)
        first, second, third = 0, length, 2 * length
        assert rows_by_token(layout) == [
            [first + 1],
            [first + 2],
            [first + 3, second + 1],
            [first + 4, second + 2],
            [second + 3, third + 1],
            [second + 4, third + 2],
            [third + 3],
        ]

    def test_a_token_has_all_its_pieces(self, run):
        _, outputs, _, layout = run([["hello", "b", "cde"]], strided(32, 24))
        # Letters after the first are pieces of their own.
        assert rows_by_token(layout) == [[1, 2, 3, 4, 5], [6], [7, 8, 9]]
        assert outputs[0].wordpieces.strings[0][:3] == ["[CLS]", "h", "##e"]

    def test_sentences_as_windows(self, run):
        doc = with_sentences(LETTERS, {0, 3})
        _, outputs, _, layout = run([doc], SENT_SPANS)
        length = outputs[0].model_output["last_hidden_state"].shape[1]
        assert rows_by_token(layout) == [[1], [2], [3], [length + 1], [length + 2], [length + 3], [length + 4]]
        assert layout.sentences.tolist() == [0, 3, 7]

    def test_rows_count_on_over_the_documents_of_a_batch(self, run):
        _, outputs, states, layout = run([["a", "b"], ["c"], ["d", "e", "f"]], DOC_SPANS)
        lengths = [output.model_output["last_hidden_state"].shape[1] for output in outputs]
        assert [state.shape for state in states] == [(length, 32) for length in lengths]
        second, third = lengths[0], lengths[0] + lengths[1]
        assert rows_by_token(layout) == [[1], [2], [second + 1], [third + 1], [third + 2], [third + 3]]
        assert layout.sentences.tolist() == [0, 2, 3, 6]

    def test_pieces_are_the_states_of_their_rows(self, run):
        _, outputs, states, layout = run([LETTERS, ["hello"]], strided(4, 2))
        encoded = encode(states, layout)
        pieces = encoded.pieces(encoded.whole).detach().numpy()
        flat = [output.model_output["last_hidden_state"].reshape(-1, 32) for output in outputs]
        numpy.testing.assert_array_equal(pieces, numpy.concatenate(flat)[layout.rows])
        assert len(pieces) == 1 + 1 + 2 + 2 + 2 + 2 + 1 + 5


class TestContext:
    @pytest.mark.parametrize(
        "spans, starts, windows, sentences",
        [
            (strided(4, 2), {0}, [0, 1, 2], [0, 0, 0]),
            (strided(4, 2), {0, 3}, [0, 1, 0, 1, 2], [0, 0, 1, 1, 1]),
            (strided(4, 4), {0, 4}, [0, 1], [0, 1]),
            (SENT_SPANS, {0, 3}, [0, 1], [0, 1]),
            (SENT_SPANS, {0, 3, 5}, [0, 1, 2], [0, 1, 2]),
            (DOC_SPANS, {0}, [0], [0]),
            (DOC_SPANS, {0, 3}, [0, 0], [0, 1]),
        ],
        ids=["strided", "strided, sentences", "blocks", "sent", "three sent", "doc", "doc, sentences"],
    )
    def test_windows_of_each_sentence(self, run, spans, starts, windows, sentences):
        _, outputs, _, layout = run([with_sentences(LETTERS, starts)], spans)
        length = outputs[0].model_output["last_hidden_state"].shape[1]
        assert layout.cls_rows.tolist() == [window * length for window in windows]
        assert layout.cls_sentences.tolist() == sentences

    def test_context_is_the_special_token(self, run):
        _, outputs, states, layout = run([["a", "b"], ["c"]], DOC_SPANS)
        expected = [output.model_output["last_hidden_state"][0, 0] for output in outputs]
        numpy.testing.assert_array_equal(encode(states, layout).contexts.detach().numpy(), expected)

    def test_context_is_the_mean_over_the_windows(self, run):
        _, outputs, states, layout = run([with_sentences(LETTERS, {0, 3})], strided(4, 2))
        first, second, third = outputs[0].model_output["last_hidden_state"][:, 0]
        expected = [(first + second) / 2, (first + second + third) / 3]
        numpy.testing.assert_allclose(encode(states, layout).contexts.detach().numpy(), expected, atol=1e-6)

    def test_context_does_not_depend_on_the_other_documents(self, run):
        _, _, states, layout = run([LETTERS], strided(4, 2))
        alone = encode(states, layout).contexts.detach().numpy()
        _, _, states, layout = run([["hello"], LETTERS, ["hello", "hello", "hello"]], strided(4, 2))
        numpy.testing.assert_allclose(encode(states, layout).contexts.detach().numpy()[1], alone[0], atol=1e-5)


class TestGaps:
    def test_blank_tokens_have_no_rows(self, run):
        _, _, _, layout = run([["\n  ", "a", " ", "b", "\n"]], strided(32, 24))
        assert layout.tokens.tolist() == [1, 3]
        assert rows_by_token(layout) == [[1], [2]]

    def test_truncated_tokens_have_no_rows(self, run):
        # Eight pieces are left, the first special token among them.
        _, _, _, layout = run([["abc", "de", "fgh", "i"]], strided(32, 24), max_length=8)
        assert layout.tokens.tolist() == [0, 1, 2]
        assert [len(rows) for rows in rows_by_token(layout)] == [3, 2, 2]

    def test_a_sentence_behind_the_cut_is_none(self, run):
        doc = with_sentences(["abcdefgh", "a", "b"], {0, 1})
        _, _, states, layout = run([doc], DOC_SPANS, max_length=8)
        assert layout.sentences.tolist() == [0, 1]
        assert encode(states, layout).contexts.shape == (1, 32)

    def test_only_blanks(self, run):
        _, _, states, layout = run([["\n  ", " "]], strided(32, 24))
        assert layout.tokens.tolist() == []
        assert layout.sentences.tolist() == [0]
        assert encode(states, layout).contexts.shape == (0, 32)

    def test_blank_sentence_beside_others(self, run):
        doc = with_sentences(["a", "b", "\n", "\n", "c"], {0, 2, 4})
        _, _, states, layout = run([doc], strided(2, 2))
        contexts = encode(states, layout).contexts
        assert contexts.shape == (2, 32) and torch.isfinite(contexts).all()
        assert layout.tokens.tolist() == [0, 1, 4]
        assert layout.sentences.tolist() == [0, 2, 3]
        assert set(layout.cls_sentences.tolist()) == {0, 1}

    @pytest.mark.parametrize("spans", [strided(4, 2), SENT_SPANS], ids=["strided", "sent"])
    def test_empty_documents_are_left_out(self, run, spans):
        docs = [Doc(spacy.blank("xx").vocab), with_sentences(["a", "b"], {0}), Doc(spacy.blank("xx").vocab)]
        _, _, states, layout = run([*docs, with_sentences(["c"], {0})], spans)
        assert len(states) == 2
        assert layout.sentences.tolist() == [0, 2, 3]
        assert rows_by_token(layout) == [[1], [2], [len(states[0]) + 1]]
        assert layout.cls_rows.tolist() == [0, len(states[0])]

    @pytest.mark.parametrize(
        "words, max_length, seen",
        [
            (["abc", "de", "fgh", "i"], 8, [True, True, True, False]),
            (["abcdefgh", "i"], 8, [True, False]),
            (["abc", "de"], 8, [True, True]),
            (["abc", "de", "fgh", "i"], 128, [True] * 4),
            (["é" * 4, "a", "\n"], 8, [True, True, False]),
        ],
    )
    def test_seen_tokens(self, encoder, words, max_length, seen):
        nlp = spacy.blank("xx")
        transformer = add_transformer(nlp, encoder, spans=strided(32, 24), max_length=max_length)
        transformer.initialize(lambda: [], nlp=nlp)
        assert seen_tokens(transformer.model, Doc(nlp.vocab, words=words)).tolist() == seen

    def test_seen_tokens_agree_with_the_layout(self, run, encoder):
        words = ["hello", "a", "bcdef", "g", "hello", "hello"]
        docs, _, _, layout = run([words], strided(3, 2), max_length=6)
        nlp = spacy.blank("xx")
        transformer = add_transformer(nlp, encoder, spans=strided(3, 2), max_length=6)
        transformer.initialize(lambda: [], nlp=nlp)
        assert layout.tokens.tolist() == [0, 2, 4]
        assert numpy.nonzero(seen_tokens(transformer.model, docs[0]))[0].tolist() == [0, 2, 4]


class TestBlanks:
    """What tokenizers that put the blank before a word into its first piece align to the word before it."""

    def pieces(self, words, spaces, strings, token_rows):
        doc = Doc(spacy.blank("xx").vocab, words=words, spaces=spaces)
        wordpieces = WordpieceBatch(strings, numpy.zeros((len(strings), len(strings[0]))), None, None, None)
        rows = numpy.asarray([row for rows in token_rows for row in rows], dtype="int64")
        rows, counts = token_pieces(doc, wordpieces, rows, numpy.asarray([len(rows) for rows in token_rows]))
        return [part.tolist() for part in numpy.split(rows, numpy.cumsum(counts)[:-1])]

    def test_piece_of_the_next_word(self):
        strings = [["<s>", "\u2581a", "b", "\u2581c", "</s>"]]
        assert self.pieces(["ab", "c"], [True, False], strings, [[1, 2, 3], [3]]) == [[1, 2], [3]]

    def test_piece_of_the_next_word_across_white_space(self):
        strings = [["\u0120a", "\u0120c"]]
        assert self.pieces(["a", " ", "\n", "c"], [True] + [False] * 3, strings, [[0, 1], [1], [1], [1]]) == [
            [0],
            [],
            [],
            [1],
        ]

    def test_piece_of_two_tokens(self):
        strings = [["can't", "do"]]
        assert self.pieces(["ca", "n't", "do"], [False, True, False], strings, [[0], [0], [1]]) == [[0], [0], [1]]

    def test_piece_of_two_tokens_after_a_blank(self):
        strings = [["\u2581I", "\u2581can't"]]
        assert self.pieces(["I", "ca", "n't"], [True, False, False], strings, [[0, 1], [1], [1]]) == [[0], [1], [1]]

    @pytest.mark.parametrize("phrase", ["New York", "New\u2581York", "\u0120New\u0120York"])
    def test_piece_of_several_words(self, phrase):
        """As an added token may be."""
        assert self.pieces(["New", "York"], [True, False], [[phrase]], [[0], [0]]) == [[0], [0]]

    def test_windows_are_apart(self):
        """The second window begins with the word whose piece follows in the first."""
        strings = [["\u2581a", "\u2581b"], ["\u2581b", "\u2581c"]]
        assert self.pieces(["a", "b", "c"], [True, True, False], strings, [[0, 1], [1, 2, 3], [3]]) == [
            [0],
            [1, 2],
            [3],
        ]

    @pytest.mark.parametrize("blank", ["\u2581", "\u0120"])
    def test_blank_that_is_a_piece_of_its_own(self, blank):
        strings = [["a", blank, "\u4e16"]]
        assert self.pieces(["a", "\u4e16"], [True, False], strings, [[0, 1], [2]]) == [[0], [2]]

    @pytest.mark.parametrize("blank", ["\u2581", "\u0120"])
    def test_blank_with_the_offsets_of_the_word(self, blank):
        strings = [["a", blank, "\u4e16"]]
        assert self.pieces(["a", "\u4e16"], [True, True], strings, [[0], [1, 2]]) == [[0], [1, 2]]

    @pytest.mark.parametrize("letter", ["\u2581", "\u0120"])
    def test_letter_that_looks_like_a_blank(self, letter):
        """In WordPiece it is one."""
        strings = [["x", letter, letter]]
        assert self.pieces(["x" + letter, letter], [True, True], strings, [[0, 1], [2]]) == [[0, 1], [2]]


class TestCut:
    def test_tokens_that_the_window_cut_off(self, run):
        _, _, _, layout = run([["a"], ["abc", "de", "\n", "fgh", "i", "\n", "\u200b"]], strided(32, 24), max_length=8)
        assert layout.tokens.tolist() == [0, 1, 2, 4]
        assert [len(rows) for rows in rows_by_token(layout)] == [1, 3, 2, 2]
        assert layout.cut.tolist() == [5]

    def test_a_token_that_another_window_holds(self, run):
        _, _, _, layout = run([["abcdef", "gh"]], strided(2, 1), max_length=8)
        assert not len(layout.cut)

    def test_white_space_and_what_the_tokenizer_drops_is_not_cut(self, run):
        _, _, _, layout = run([["a", "\n", "\u200b", "\u0007", "b"]], strided(32, 24))
        assert layout.tokens.tolist() == [0, 4]
        assert [len(rows) for rows in rows_by_token(layout)] == [1, 1]
        assert not len(layout.cut)

    def test_token_vectors(self):
        doc = Doc(spacy.blank("xx").vocab, words=["a", "\n"])
        _, layout = get_layout(OPS, [doc], [numpy.zeros((2, 8), "float32")])
        assert layout.tokens.tolist() == [0]
        assert not len(layout.cut)

    @pytest.mark.parametrize("strings, cut", [(["<s>", "a", "\u0120"], [1]), (["<s>", "a", "</s>"], [])])
    def test_a_window_that_ends_with_a_blank(self, strings, cut):
        """A whole window ends with a special piece."""
        doc = Doc(spacy.blank("xx").vocab, words=["a", "b"])
        output = hand_made([strings], [1], numpy.zeros((1, 3, 8), "float32"))
        output.align = Ragged(numpy.asarray([[1]], dtype="int32"), numpy.asarray([1, 0], dtype="int32"))
        _, layout = get_layout(OPS, [doc], [output])
        assert layout.cut.tolist() == cut


def test_windows_that_leave_out_the_last_token(run):
    with pytest.raises(ValueError, match="windows reach over 4 of the 6 tokens of document 'a b c d e f '"):
        run([list("abcdef")], strided(4, 6))


def hand_made(strings, token_rows, states):
    """What a transformer of another family might give."""
    lengths = numpy.asarray([1] * len(token_rows), dtype="int32")
    wordpieces = WordpieceBatch(
        strings=strings,
        input_ids=numpy.zeros((len(strings), len(strings[0])), dtype="int32"),
        attention_mask=numpy.asarray([[piece != "<pad>" for piece in row] for row in strings], dtype="float32"),
        lengths=[len([piece for piece in row if piece != "<pad>"]) for row in strings],
        token_type_ids=None,
    )
    align = Ragged(numpy.asarray(token_rows, dtype="int32").reshape(-1, 1), lengths)
    return TransformerData(model_output=ModelOutput(last_hidden_state=states), wordpieces=wordpieces, align=align)


class TestOtherFamilies:
    STATES = numpy.random.RandomState(0).uniform(-1, 1, (1, 4, 32)).astype("float32")

    def layout(self, strings, token_rows):
        doc = Doc(spacy.blank("xx").vocab, words=["a", "b"])
        return get_layout(OPS, [doc], [hand_made([strings], token_rows, self.STATES)])

    def test_special_token_at_the_end(self):
        _, layout = self.layout(["a", "b", "<sep>", "<cls>"], [0, 1])
        assert layout.cls_rows.tolist() == [3]

    def test_special_token_behind_padding(self):
        _, layout = self.layout(["<pad>", "<s>", "a", "b"], [2, 3])
        assert layout.cls_rows.tolist() == [1]

    def test_special_token_at_the_end_behind_padding(self):
        _, layout = self.layout(["<pad>", "a", "b", "<cls>"], [1, 2])
        assert layout.cls_rows.tolist() == [3]

    def test_special_token_in_the_text(self):
        """A tokenizer takes it for one, but it stands for a token."""
        _, layout = self.layout(["</s>", "a", "<cls>", "<pad>"], [1, 2])
        assert layout.cls_rows.tolist() == [0]

    def test_documents_with_and_without_special_token_in_one_batch(self):
        doc = Doc(spacy.blank("xx").vocab, words=["a", "b"])
        strings = [["a", "b", "<sep>", "<cls>"], ["a", "b", "<sep>", "<pad>"]]
        states, layout = get_layout(OPS, [doc, doc], [hand_made([row], [0, 1], self.STATES) for row in strings])
        contexts = encode(states, layout).contexts.detach().numpy()
        numpy.testing.assert_array_equal(contexts, [self.STATES[0, 3], self.STATES[0, :2].max(axis=0)])

    def test_special_token_before_the_padding(self):
        _, layout = self.layout(["a", "b", "<cls>", "<pad>"], [0, 1])
        assert layout.cls_rows.tolist() == [2]

    def test_no_special_token_means_the_maximum_over_the_pieces(self):
        states, layout = self.layout(["a", "b", "</s>", "<pad>"], [0, 1])
        assert not len(layout.cls_rows)
        contexts = encode(states, layout).contexts.detach().numpy()
        numpy.testing.assert_array_equal(contexts[0], self.STATES[0, :2].max(axis=0))

    def test_token_vectors(self):
        vocab = spacy.blank("xx").vocab
        docs = [Doc(vocab, words=["a", "b"]), Doc(vocab), Doc(vocab, words=["c"])]
        arrays = [self.STATES[0, :2], self.STATES[0, :0], self.STATES[0, 2:3]]
        states, layout = get_layout(OPS, docs, arrays)
        assert not len(layout.cls_rows)
        assert rows_by_token(layout) == [[0], [1], [2]]
        contexts = encode(states, layout).contexts.detach().numpy()
        numpy.testing.assert_array_equal(contexts, [arrays[0].max(axis=0), arrays[2][0]])

    def test_something_else(self):
        doc = Doc(spacy.blank("xx").vocab, words=["a"])
        with pytest.raises(ValueError, match="Can't read .*str.* as the encoder's output for document 'a '"):
            get_layout(OPS, [doc], ["curated"])


class TestGradients:
    @pytest.fixture
    def backward(self, run):
        """Gradients of the sum of one span's logits, for a batch with an empty document in it."""

        def backward(pooling, span):
            docs, outputs, states, layout = run([["hello"], [], LETTERS], strided(4, 2))
            tensors = [torch.from_numpy(state.copy()).requires_grad_() for state in states]
            head = make_head(pooling=pooling)
            samples = Samples(
                numpy.asarray([span]),
                numpy.ones(1, int),
                numpy.ones(1, bool),
                numpy.zeros((0, 2), int),
                numpy.zeros((0, 1), "float32"),
            )
            logits, *_ = head(tensors, layout, samples)
            logits[:, 1].sum().backward()
            d_states = [tensor.grad.numpy() for tensor in tensors]
            return outputs, get_gradients(OPS, docs, outputs, d_states, 1.0), head

        return backward

    def test_one_gradient_for_each_document_with_tokens(self, backward):
        outputs, gradients, _ = backward("max", (3, 4))
        assert [grad.model_output["last_hidden_state"].shape for grad in gradients] == [
            outputs[i].model_output["last_hidden_state"].shape for i in (0, 2)
        ]
        assert all(len(grad.tensors) == 1 for grad in gradients)

    def test_zero_where_nothing_was_used(self, backward):
        # Token 3 of the batch is letter c, the third of the second document: in the windows 0 and 1.
        _, gradients, _ = backward("mean", (3, 4))
        assert not gradients[0].tensors[0].any()
        used = numpy.abs(gradients[1].tensors[0]).sum(axis=2) > 0
        assert numpy.argwhere(used).tolist() == [[0, 0], [0, 3], [1, 0], [1, 1], [2, 0]]

    def test_special_tokens_share_the_gradient_of_the_context(self, backward):
        _, gradients, head = backward("mean", (3, 4))
        weight = head.span_head.output_layer.weight[1, :32].detach().numpy()
        for window in range(3):
            numpy.testing.assert_allclose(gradients[1].tensors[0][window, 0], weight / 3, atol=1e-6)

    def test_pieces_share_the_gradient_of_a_mean(self, backward):
        _, gradients, head = backward("mean", (3, 4))
        weight = head.span_head.output_layer.weight[1, 32:64].detach().numpy()
        for window, column in ((0, 3), (1, 1)):
            numpy.testing.assert_allclose(gradients[1].tensors[0][window, column], weight / 2, atol=1e-6)

    def test_only_the_maximum_gets_the_gradient(self, backward):
        outputs, gradients, head = backward("max", (3, 4))
        weight = head.span_head.output_layer.weight[1, 32:64].detach().numpy()
        states = outputs[2].model_output["last_hidden_state"]
        rows = [gradients[1].tensors[0][window, column] for window, column in ((0, 3), (1, 1))]
        first_is_larger = states[0, 3] > states[1, 1]
        numpy.testing.assert_allclose(rows[0], numpy.where(first_is_larger, weight, 0), atol=1e-6)
        numpy.testing.assert_allclose(rows[1], numpy.where(first_is_larger, 0, weight), atol=1e-6)

    @pytest.mark.parametrize("factor", [0.0, 0.25])
    def test_factor(self, run, factor):
        docs, outputs, states, _ = run([["hello"]], strided(4, 2))
        (grad,) = get_gradients(OPS, docs, outputs, [numpy.ones_like(states[0])], factor)
        assert (grad.tensors[0] == factor).all()

    def test_arrays_are_new(self, run):
        """The transformer adds the gradients of other listeners to them."""
        docs, outputs, states, _ = run([["hello"]], strided(4, 2))
        before = outputs[0].tensors[0].copy()
        d_state = numpy.ones_like(states[0])
        (grad,) = get_gradients(OPS, docs, outputs, [d_state], 1.0)
        array = grad.tensors[0]
        array += 1.0
        assert (outputs[0].tensors[0] == before).all()
        assert (d_state == 1.0).all()

    def test_token_vectors(self):
        vocab = spacy.blank("xx").vocab
        docs = [Doc(vocab, words=["a", "b"]), Doc(vocab)]
        outputs = [numpy.zeros((2, 8), "float32"), numpy.zeros((0, 8), "float32")]
        gradients = get_gradients(OPS, docs, outputs, [numpy.ones((2, 8), "float32")], 1.0)
        assert [grad.shape for grad in gradients] == [(2, 8), (0, 8)]
        assert (gradients[0] == 1.0).all()


class TestLayers:
    def test_listener(self):
        listener = build_wordpiece_listener("trf", grad_factor=0.5)
        assert is_listener(listener)
        assert listener.upstream_name == "trf"
        assert as_wordpiece_layer(listener) is listener

    def test_bare_transformer_gives_one_output_per_document(self, encoder):
        nlp = spacy.blank("xx")
        transformer = add_transformer(nlp, encoder)
        transformer.initialize(lambda: [], nlp=nlp)
        layer = as_wordpiece_layer(transformer.model)
        assert not is_listener(layer)
        outputs = layer.predict([Doc(nlp.vocab, words=words) for words in (["a"], ["b", "c"])])
        assert [type(output) for output in outputs] == [TransformerData] * 2

    @pytest.mark.parametrize("max_tokens", [1, 3, 100])
    def test_prediction_in_batches_keeps_the_order(self, encoder, max_tokens):
        nlp = spacy.blank("xx")
        transformer = add_transformer(nlp, encoder)
        transformer.initialize(lambda: [], nlp=nlp)
        layer = as_wordpiece_layer(transformer.model)
        words = [["a", "b", "c"], [], ["hello"], ["a"], ["b", "c"], []]
        docs = [Doc(nlp.vocab, words=row) for row in words]
        outputs = predict_in_batches(layer, docs, max_tokens)
        assert [output is None for output in outputs] == [not row for row in words]
        for doc, output in zip(docs, outputs):
            if output is not None:
                expected = layer.predict([doc])[0].model_output["last_hidden_state"]
                got = output.model_output["last_hidden_state"][:, : expected.shape[1]]
                numpy.testing.assert_allclose(got, expected, atol=1e-5)


def test_widths_of_all_encoders_are_found(encoder):
    assert initialize(make_nlp(encoder)).get_pipe("spert").model.get_dim("nI") == 32
