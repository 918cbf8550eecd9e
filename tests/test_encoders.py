"""Families of encoders, each with a tokenizer of its own kind: wordpieces, special tokens, training, storage."""

import numpy
import pytest
import spacy
from families import FAMILIES, MAX_LENGTH
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc
from spacy_transformers.span_getters import configure_strided_spans as strided
from spacy_transformers.span_getters import get_sent_spans
from thinc.api import NumpyOps
from util import (
    SYMMETRIC,
    TEXTS,
    add_transformer,
    assert_same_predictions,
    clone,
    entities_of,
    initialize,
    make_encoder,
    make_nlp,
    prediction,
    train,
)

from spacy_spert.ml.encoders import get_layout
from spacy_spert.ml.encoders.transformer import BLANKS, seen_tokens

# Models of the DeBERTa families are compiled as they are imported.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
VOCAB = spacy.blank("xx").vocab
# Words, and whether a blank follows. The text of the first begins with a blank.
TRICKY = {
    "contractions": ([" ", "Ann", "ca", "n't", "sue", "O'Neill", "'s", "Labs", "."], "010111010"),
    "hyphens": (["well", "-", "known", "re-joined", "-", "Bonn", "--", "Graz"], "00111011"),
    "double blanks": (["Ann", " ", "Lee", "  ", "works", "   ", "for", " ", "Zeta"], "101010101"),
    "newlines": (["\n", "Ann", "\n", "Lee", "\n\n", "works", " \n ", "for", "\n"], "000010000"),
    "tabs": (["Ann", "\t", "Lee", "\t", "works", "\t\t", "for", "\t"], "10010010"),
    "punctuation": (["(", "Ann", ",", "Lee", ")", ":", "``", "Acme", "''", "...", "!"], "00110110110"),
    "emoji": (["Ann", "\U0001f600", "\U0001f469\u200d\U0001f52c", "Lee", "\U0001f1e9\U0001f1ea"], "11100"),
    "combining": (["nai\u0308ve", "cafe\u0301", "o\u0323\u0302", "Ann"], "1110"),
    "other scripts": (["\u4e16", "\u754c", "Ann", "\u05e9\u05dc\u05d5\u05dd", "\u0645\u0631", "\u4e16"], "001110"),
    "blank inside": (["Ann Lee", "of", "New\u00a0York", "\u00a0", "Bonn"], "11110"),
    "compatibility": (["\ufb01ve", "\u00bd", "\u2163", "\u2026", "x\u00b2", "\uff21nn"], "110110"),
}


def make_doc(words, spaces):
    return Doc(VOCAB, words=words, spaces=[space == "1" for space in spaces])


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def folder(family, tmp_path_factory):
    path = tmp_path_factory.mktemp("family") / "tiny"
    path.mkdir()
    FAMILIES[family].make(path)
    return path


@pytest.fixture(scope="module")
def transformer(folder):
    nlp = spacy.blank("xx")
    transformer = add_transformer(nlp, folder)
    transformer.initialize(lambda: [], nlp=nlp)
    return transformer.model


@pytest.fixture
def set_windows(transformer):
    """Have the transformer read windows of some tokens and at most so many wordpieces."""

    def set_windows(get_spans, max_length=MAX_LENGTH):
        transformer.attrs["get_spans"] = get_spans
        transformer.tokenizer.model_max_length = max_length

    yield set_windows
    set_windows(strided(32, 24))


@pytest.fixture(scope="module")
def overfitted(folder):
    nlp = make_nlp(folder, symmetric_labels=SYMMETRIC, max_span_width=4, model={"dropout": 0.0, "width_embedding": 8})
    initialize(nlp)
    return nlp, train(nlp, 30)


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    """A pipeline with a tokenizer in Python, and its losses."""
    path = tmp_path_factory.mktemp("slow") / "tiny"
    make_encoder(path, [word for text, _, _ in TEXTS for word in text.split()])
    nlp = make_nlp(path, use_fast=False, max_span_width=4, model={"dropout": 0.0, "width_embedding": 8})
    initialize(nlp)
    return nlp, train(nlp, 30)


def read(transformer, docs):
    """The outputs for some documents read as one batch, and the layout."""
    outputs = transformer.predict(docs).doc_data
    return outputs, get_layout(NumpyOps(), docs, outputs)[1]


def pieces_of(layout, *docs):
    """The rows of each token, none for one that the encoder does not see."""
    pieces = [[] for doc in docs for _ in doc]
    for token, start, end in zip(layout.tokens.tolist(), layout.offsets[:-1], layout.offsets[1:]):
        pieces[token] = layout.rows[start:end].tolist()
    return pieces


def expected_pieces(tokenizer, doc, windows):
    """By the characters that the tokenizer names for each piece: those after the last blank that is in no token."""
    encoding = tokenizer([window.text for window in windows], return_offsets_mapping=True, padding=True)
    length = min(len(encoding["input_ids"][0]), tokenizer.model_max_length)
    expected = [[] for _ in doc]
    for number, (window, offsets) in enumerate(zip(windows, encoding["offset_mapping"])):
        owners = {}
        for token in window:
            if not token.is_space:
                first = token.idx - window.start_char
                owners.update(dict.fromkeys(range(first, first + len(token)), token.i))
        for column, (start, end) in enumerate(offsets[:length]):
            blanks = [i for i in range(start, end) if i not in owners]
            for token in sorted({owners[i] for i in range(max(blanks, default=start - 1) + 1, end)}):
                expected[token].append(number * length + column)
    return expected


def check_pieces(transformer, doc):
    _, layout = read(transformer, [doc])
    windows = transformer.attrs["get_spans"]([doc])[0]
    assert pieces_of(layout, doc) == expected_pieces(transformer.tokenizer, doc, windows)
    return layout


class TestWordpieces:
    @pytest.mark.parametrize("name", TRICKY)
    def test_pieces_stand_for_the_characters_of_their_token(self, transformer, set_windows, name):
        doc = make_doc(*TRICKY[name])
        for window, stride in ((32, 24), (4, 2), (1, 1)):
            set_windows(strided(window, stride))
            layout = check_pieces(transformer, doc)
            assert [bool(rows) for rows in pieces_of(layout, doc)] == [not token.is_space for token in doc]

    def test_pieces_spell_their_token(self, transformer):
        words = ["Ann", "Lee", "works", "for", "Acme", "Labs", "in", "Bonn"]
        doc = Doc(VOCAB, words=words)
        outputs, layout = read(transformer, [doc])
        strings = outputs[0].wordpieces.strings[0]
        pieces = [piece.lstrip("".join(BLANKS)).replace("##", "").lower() for piece in strings]
        spelled = ["".join(pieces[row] for row in rows) for rows in pieces_of(layout, doc)]
        assert spelled == [word.lower() for word in words]

    def test_the_blank_before_a_word_is_in_its_first_piece(self, transformer, family):
        """So that the other tests show something."""
        outputs, layout = read(transformer, [Doc(VOCAB, words=["Ann", "works", "for", "Bonn"])])
        shared = len(outputs[0].align.dataXd) > len(numpy.unique(outputs[0].align.dataXd))
        assert shared == FAMILIES[family].blanks
        assert len(layout.rows) == len(numpy.unique(layout.rows))

    @pytest.mark.parametrize("words", [["ca", "n't"], ["Ann", "n", "."]])
    def test_a_piece_of_two_tokens_belongs_to_both(self, transformer, words):
        """No blank is between them."""
        check_pieces(
            transformer, Doc(VOCAB, words=[*words, "Bonn"], spaces=[*([False] * (len(words) - 1)), True, False])
        )

    @pytest.mark.parametrize("name", TRICKY)
    def test_seen_tokens_agree_with_the_layout(self, transformer, set_windows, name):
        doc = make_doc(*TRICKY[name])
        for window, stride, max_length in ((32, 24, MAX_LENGTH), (32, 24, 8), (4, 2, 8)):
            set_windows(strided(window, stride), max_length)
            _, layout = read(transformer, [doc])
            seen = [bool(rows) for rows in pieces_of(layout, doc)]
            assert seen_tokens(transformer, doc).tolist() == seen
            assert layout.cut.tolist() == [i for i, token in enumerate(doc) if not seen[i] and not token.is_space]

    @settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.lists(
            st.tuples(
                st.sampled_from([word for words, _ in TRICKY.values() for word in words if word != "o\u0323\u0302"]),
                st.sampled_from("01"),
            ),
            min_size=1,
            max_size=15,
        ),
        st.sampled_from([(32, 24), (5, 3), (2, 1), (1, 1)]),
    )
    def test_any_text(self, transformer, set_windows, tokens, window):
        set_windows(strided(*window))
        check_pieces(transformer, make_doc([word for word, _ in tokens], "".join(space for _, space in tokens)))


class TestSentenceToken:
    @pytest.mark.parametrize(
        "spans", [strided(32, 24), strided(3, 2), get_sent_spans], ids=["one", "overlapping", "sentences"]
    )
    def test_special_token_of_each_window(self, transformer, set_windows, family, spans):
        """Of windows and documents of different lengths in one batch, padded on either side."""
        special, last = FAMILIES[family].special, FAMILIES[family].last
        texts = [("Ann works . Bonn hired Bob Ross .", {0, 3}), ("Zeta", {0}), ("\u4e16 sued Ann .", {0})]
        docs = [
            Doc(VOCAB, words=text.split(), sent_starts=[i in starts for i in range(len(text.split()))])
            for text, starts in texts
        ]
        set_windows(spans)
        outputs, layout = read(transformer, docs)
        if special is None:
            assert not len(layout.cls_rows)
            return
        ids = numpy.concatenate([output.wordpieces.input_ids.reshape(-1) for output in outputs])
        assert special == transformer.tokenizer.cls_token
        assert ids[layout.cls_rows].tolist() == [transformer.tokenizer.cls_token_id] * len(layout.cls_rows)
        assert set(layout.cls_sentences.tolist()) == {0, 1, 2, 3}
        pieces = [piece for piece in outputs[1].wordpieces.strings[0] if piece != transformer.tokenizer.pad_token]
        assert pieces[-1 if last else 0] == special

    def test_a_window_that_lost_it(self, transformer, set_windows, family):
        """Of a window that is cut off the end is gone: its sentence is represented by the maximum."""
        set_windows(strided(32, 24), 8)
        _, layout = read(transformer, [Doc(VOCAB, words=["Ann", "Lee", "works", "for", "Acme", "Labs"])])
        has_first = FAMILIES[family].special is not None and not FAMILIES[family].last
        assert len(layout.cut) and len(layout.cls_rows) == has_first

    def test_a_short_window_beside_one_that_is_cut(self, transformer, set_windows):
        """Padding on the left makes the short one lose its end too, as the cut counts from the left."""
        set_windows(strided(2, 2), 8)
        doc = Doc(VOCAB, words=["Ann", "Lee", "Universityworkspartners", "hired", "Bob", "Ross"])
        layout = check_pieces(transformer, doc)
        assert layout.cut.tolist() == [i for i, rows in enumerate(pieces_of(layout, doc)) if not rows]
        padded_left = transformer.tokenizer.padding_side == "left"
        assert [i in layout.tokens for i in (0, 5)] == [not padded_left, not padded_left]

    def test_padding_side_can_be_set(self, transformer, set_windows):
        """So that encoders that pad on the left lose no more than others."""
        set_windows(strided(2, 2), 8)
        doc = Doc(VOCAB, words=["Ann", "Lee", "Universityworkspartners", "hired", "Bob", "Ross"])
        side = transformer.tokenizer.padding_side
        transformer.tokenizer.padding_side = "right"
        layout = check_pieces(transformer, doc)
        transformer.tokenizer.padding_side = side
        assert {0, 5} <= set(layout.tokens.tolist())


class TestPipeline:
    def test_loss_goes_down(self, overfitted):
        _, losses = overfitted
        assert losses[-1] < losses[0] / 4
        assert min(losses) > 0

    def test_entities_are_learned(self, overfitted):
        nlp, _ = overfitted
        found = {(i, *entity) for i, (text, _, _) in enumerate(TEXTS) for entity in entities_of(nlp(text))}
        gold = {(i, *entity) for i, (_, entities, _) in enumerate(TEXTS) for entity in entities}
        assert len(found & gold) > len(gold) / 2 and len(found) < 2 * len(gold)

    def test_all_of_the_encoder_learns(self, folder):
        """The gradient reaches the embeddings, and those of special tokens too."""
        nlp = initialize(make_nlp(folder, max_span_width=4, model={"dropout": 0.0}))
        module = nlp.get_pipe("transformer").model.transformer
        before = module.get_input_embeddings().weight.detach().clone()
        train(nlp, 1)
        changed = (module.get_input_embeddings().weight != before).any(dim=1)
        tokenizer = nlp.get_pipe("transformer").model.tokenizer
        used = {piece for text, _, _ in TEXTS for piece in tokenizer(text)["input_ids"]} - {tokenizer.pad_token_id}
        assert changed[sorted(used)].all()

    def test_same_predictions_from_disk_and_bytes(self, overfitted, tmp_path):
        nlp, _ = overfitted
        texts = [*(text for text, _, _ in TEXTS), "\u4e16 Ann's  caf\u00e9\n\U0001f600 Bonn"]
        expected = [prediction(doc) for doc in nlp.pipe(texts)]
        nlp.to_disk(tmp_path)
        assert [prediction(doc) for doc in spacy.load(tmp_path).pipe(texts)] == expected
        assert [prediction(doc) for doc in clone(nlp).pipe(texts)] == expected

    def test_batch_size_does_not_matter(self, overfitted):
        nlp, _ = overfitted
        texts = [*(text for text, _, _ in TEXTS), "", "Ann", " ".join(text for text, _, _ in TEXTS), "\n"]
        one_by_one = [nlp(text) for text in texts]
        for batch_size in (3, 100):
            assert_same_predictions(one_by_one, nlp.pipe(texts, batch_size=batch_size))


class TestSlowTokenizer:
    """Wordpieces are aligned by spelling. Unknown words have none."""

    def test_training(self, slow):
        nlp, losses = slow
        assert not nlp.get_pipe("transformer").model.tokenizer.is_fast
        assert losses[-1] < losses[0] / 4

    def test_pieces(self, slow):
        nlp, _ = slow
        transformer = nlp.get_pipe("transformer").model
        doc = Doc(nlp.vocab, words=["\n", "Ann", "hello", "\U0001f600", " ", "x"])
        outputs, layout = read(transformer, [doc])
        strings = outputs[0].wordpieces.strings[0]
        spelled = [[strings[row] for row in rows] for rows in pieces_of(layout, doc)]
        assert spelled == [[], ["Ann"], ["h", "##e", "##l", "##l", "##o"], [], [], ["x"]]
        assert strings[layout.cls_rows[0]] == "[CLS]"
        assert seen_tokens(transformer, doc).tolist() == [False, True, True, False, False, True]
        assert not len(layout.cut)

    def test_storage(self, slow, tmp_path):
        nlp, _ = slow
        expected = [prediction(nlp(text)) for text, _, _ in TEXTS]
        nlp.to_disk(tmp_path)
        loaded = spacy.load(tmp_path)
        assert not loaded.get_pipe("transformer").model.tokenizer.is_fast
        assert [prediction(loaded(text)) for text, _, _ in TEXTS] == expected
