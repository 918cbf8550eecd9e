"""Making Docs of texts and tokens."""

import re
from pathlib import Path
from typing import Any, Container, Iterator, List, Optional, Tuple

import numpy
import spacy
from spacy.errors import Errors as SpacyErrors
from spacy.language import Language
from spacy.tokenizer import Tokenizer  # type: ignore[import-not-found]
from spacy.tokens import Doc, DocBin

from .errors import Errors
from .losses import Losses, shorten
from .offsets import Offsets
from .values import expect, ints

# Most characters without a blank that the tokenizer gets at a time: for signs it needs time squared in them.
MAX_WORD = 1000


def read_docs(path: Path, nlp: Language) -> Iterator[Doc]:
    """Read a file in spaCy's binary format.

    path (Path): The file.
    nlp (Language): The vocabulary.
    YIELDS (Doc): The documents.
    RAISES (ValueError): If it is a file of another kind.
    """
    try:
        doc_bin = DocBin().from_disk(path)
    except Exception as err:  # whatever its parser meets in a file of another kind
        raise ValueError(Errors.F029.format(path=path, error=err)) from err
    yield from doc_bin.get_docs(nlp.vocab)


def defaults(nlp: Optional[Language], losses: Optional[Losses]) -> Tuple[Language, Losses]:
    """Fill in what a caller left out. Without an object to count in, nothing may be lost: nobody would see it.

    nlp (Optional[Language]): Tokenizer and vocabulary; blank English by default.
    losses (Optional[Losses]): Where to count; strict by default.
    RETURNS (Tuple[Language, Losses]): Both.
    """
    return spacy.blank("en") if nlp is None else nlp, Losses(strict=True) if losses is None else losses


def doc_from_tokens(nlp: Language, words: Any, spaces: Optional[Any] = None) -> Doc:
    """Make a Doc of given tokens. Without spaces they are unknown, and spaCy's Corpus then keeps the tokens.

    nlp (Language): The vocabulary.
    words (Any): A list of strings; checked.
    spaces (Optional[Any]): A list of booleans; checked.
    RETURNS (Doc): The document.
    RAISES (ValueError): If the values are not as expected.
    """
    for i, word in enumerate(expect(words, list, "'tokens'")):
        if not isinstance(word, str) or not word:
            raise ValueError(Errors.F006.format(index=i, value=shorten(repr(word))))
    if spaces is not None:
        for i, space in enumerate(expect(spaces, list, "'spaces'")):
            expect(space, bool, f"'spaces'[{i}]")
        if len(spaces) != len(words):
            raise ValueError(Errors.F007.format(n=len(spaces), tokens=len(words)))
    return Doc(nlp.vocab, words=words, spaces=spaces)


def doc_from_text(nlp: Language, text: Any, offsets: Optional[Any] = None, counted: Optional[Offsets] = None) -> Doc:
    """Make a Doc of a text.

    nlp (Language): The tokenizer and vocabulary.
    text (Any): The text; checked.
    offsets (Optional[Any]): A list of [start, end] of the tokens, if they are known; checked.
    counted (Optional[Offsets]): What the offsets count; characters by default.
    RETURNS (Doc): The document.
    RAISES (ValueError): If the values are not as expected.
    """
    expect(text, str, "'text'")
    if offsets is None:
        return _tokenize(nlp, text)
    words: List[str] = []
    spaces: List[bool] = []
    position = 0
    for i, pair in enumerate(expect(offsets, list, "the token offsets")):
        given = ints(pair, 2, f"the offsets of token {i}")
        start, end = given if counted is None else map(counted.to_char, given)
        if start is None or end is None or not position <= start < end <= len(text):
            raise ValueError(Errors.F008.format(index=i, start=given[0], end=given[1]))
        gap = text[position:start]
        if gap not in ("", " ") or (gap and not words):
            raise ValueError(Errors.F008.format(index=i, start=given[0], end=given[1]))
        if words:
            spaces.append(bool(gap))
        words.append(text[start:end])
        position = end
    if text[position:] not in ("", " ") or (text and not words):
        raise ValueError(Errors.F008.format(index=len(words), start=position, end=len(text)))
    spaces += [bool(text[position:])] * bool(words)
    return Doc(nlp.vocab, words=words, spaces=spaces)


def _tokenize(nlp: Language, text: str) -> Doc:
    """What nlp.make_doc returns, in time that grows with the length only: very long words are cut before."""
    if max(map(len, text.split()), default=0) <= MAX_WORD or not isinstance(nlp.tokenizer, Tokenizer):
        return nlp.make_doc(text)
    if len(text) > nlp.max_length:
        raise ValueError(SpacyErrors.E088.format(length=len(text), max_length=nlp.max_length))
    cuts = [match.end() for match in re.finditer(rf"\S{{{MAX_WORD}}}(?=\S)", text)]
    parts = [nlp.make_doc(text[start:end]) for start, end in zip([0, *cuts], [*cuts, len(text)])]
    words = [token.text for part in parts for token in part]
    return Doc(nlp.vocab, words=words, spaces=[bool(token.whitespace_) for part in parts for token in part])


def mark_sentences(doc: Doc, starts: Container[int]) -> None:
    """Mark the tokens that begin a sentence.

    doc (Doc): The document.
    starts (Container[int]): Indices of tokens.
    """
    # Not token by token: each time the whole document would be looked through.
    values = [1 if i in starts else -1 for i in range(len(doc))]
    array: Any = numpy.asarray(values, dtype="int64").astype("uint64").reshape(-1, 1)
    doc.from_array(["SENT_START"], array)
