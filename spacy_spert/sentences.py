"""Within which stretches of text candidates are looked for."""

from typing import Sequence

import numpy
from spacy.tokens import Doc

from .ml.arrays import Ints


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
