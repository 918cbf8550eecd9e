"""Within which stretches of text candidates are looked for."""

from typing import Literal, Sequence, Union

import numpy
from spacy.tokens import Doc

from .ml.arrays import Ints

# Within what head and tail of a relation lie: a sentence, this many sentences around that of either, or the document.
ScopeT = Union[Literal["sentence", "document"], int]

# More sentences than a document has.
WHOLE_DOCUMENT = 2**31


def sentence_bounds(docs: Sequence[Doc]) -> Ints:
    """Where the sentences of a batch begin. A document without sentence marks is one sentence.

    docs (Sequence[Doc]): The batch.
    RETURNS (Ints): Ascending flat tokens, the number of tokens last, shape (n_sentences + 1,).
    """
    bounds = []
    offset = 0
    for doc in docs:
        if not len(doc):
            continue
        bounds.append(offset)
        if doc.has_annotation("SENT_START"):
            starts = numpy.nonzero(doc.to_array("SENT_START")[1:] == 1)[0]
            bounds.extend((starts + 1 + offset).tolist())
        offset += len(doc)
    return numpy.asarray([*bounds, offset], dtype="int64")


def reach_of(scope: ScopeT) -> int:
    """How far apart head and tail of a relation may be.

    scope (ScopeT): "sentence", a number of sentences, or "document".
    RETURNS (int): The largest difference between the numbers of their sentences; 0 for the same sentence.
    """
    if isinstance(scope, int):
        return scope
    return 0 if scope == "sentence" else WHOLE_DOCUMENT
