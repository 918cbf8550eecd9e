"""The windows in which a transformer reads long documents."""

from functools import partial
from typing import Callable, Iterable, List

from spacy.tokens import Doc, Span

SpanGetter = Callable[[Iterable[Doc]], List[List[Span]]]


def make_strided_spans(window: int, stride: int) -> SpanGetter:
    """Overlapping windows as those of "spacy-transformers.strided_spans.v1", but counted without tokens of white space,
    so that line breaks don't change what a transformer reads. Register name: "spacy-spert.strided_spans.v1".

    window (int): Number of tokens in a window.
    stride (int): How many tokens each window begins after the one before.
    RETURNS (SpanGetter): Gives the windows of each document.
    """
    return partial(get_strided_spans, window=window, stride=stride)


def get_strided_spans(docs: Iterable[Doc], window: int, stride: int) -> List[List[Span]]:
    """Divide documents into windows that reach over all tokens.

    docs (Iterable[Doc]): The documents.
    window (int): Number of tokens in a window that are not white space.
    stride (int): How many such tokens each window begins after the one before.
    RETURNS (List[List[Span]]): The windows of each document; none for an empty one.
    """
    return [_divide(doc, window, stride) if len(doc) else [] for doc in docs]


def _divide(doc: Doc, window: int, stride: int) -> List[Span]:
    # Where each token that counts begins. White space belongs to the token before it.
    starts = [0, *[token.i for token in doc if not token.text.isspace()][1:]]
    bounds = [*starts, len(doc)]
    spans = []
    for first in range(0, len(starts), stride):
        last = min(first + window, len(starts))
        spans.append(doc[bounds[first] : bounds[last]])
        if last == len(starts):
            break
    return spans
