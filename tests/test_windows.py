import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc
from spacy_transformers.span_getters import get_strided_spans as original

from spacy_spert.windows import get_strided_spans, make_strided_spans

VOCAB = spacy.blank("xx").vocab


def bounds(doc, window, stride, getter=get_strided_spans):
    (spans,) = getter([doc], window, stride)
    return [(span.start, span.end) for span in spans]


@given(st.integers(1, 30), st.integers(1, 8), st.integers(1, 8))
@settings(deadline=None)
def test_without_white_space_they_are_those_of_spacy_transformers(n_tokens, window, stride):
    window, stride = max(window, stride), min(window, stride)
    doc = Doc(VOCAB, words=["a"] * n_tokens)
    found, expected = bounds(doc, window, stride), bounds(doc, window, stride, original)
    # There the last window may lie in the one before.
    assert found == expected[: len(found)]
    assert found[-1][1] == n_tokens


@pytest.mark.parametrize(
    "words, expected",
    [
        (["a", "b", "c", "d"], [(0, 2), (1, 3), (2, 4)]),
        (["a", "\n", "b", "c", "  ", "d"], [(0, 3), (2, 5), (3, 6)]),
        (["\n", "a", "b", "\n\n"], [(0, 4)]),
        (["\n", "a", "\n", "b", "c", "\n"], [(0, 4), (3, 6)]),
        (["\n", " "], [(0, 2)]),
        ([], []),
    ],
)
def test_white_space_does_not_count(words, expected):
    assert bounds(Doc(VOCAB, words=words), 2, 1) == expected


@given(st.lists(st.sampled_from(["a", "b", "\n", "  "]), min_size=1, max_size=25), st.integers(1, 6), st.integers(1, 6))
@settings(deadline=None)
def test_the_words_of_each_window_are_those_of_the_text_without_white_space(words, window, stride):
    window, stride = max(window, stride), min(window, stride)
    doc, plain = Doc(VOCAB, words=words), Doc(VOCAB, words=[word for word in words if word.strip()])
    spans = bounds(doc, window, stride)
    visible = [[token.text for token in doc[start:end] if not token.is_space] for start, end in spans]
    if len(plain):
        assert visible == [[token.text for token in plain[start:end]] for start, end in bounds(plain, window, stride)]
    assert spans[0][0] == 0 and spans[-1][1] == len(doc)
    assert all(later <= end for (_, end), (later, _) in zip(spans, spans[1:]))


def test_registered():
    getter = spacy.registry.get("span_getters", "spacy-spert.strided_spans.v1")(window=3, stride=2)
    assert getter.func is make_strided_spans(3, 2).func
