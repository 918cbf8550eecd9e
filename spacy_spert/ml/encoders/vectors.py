"""Encoders with one vector for each token, such as spaCy's own. Tokens of white space are left out."""

from typing import Any, List, Optional

import numpy
from spacy.tokens import Doc
from thinc.api import Ops
from thinc.types import Floats2d

from .base import Pieces


class VectorAdapter:
    """Reads arrays of token vectors. See `Adapter`."""

    def reads(self, output: Any) -> bool:
        return getattr(output, "ndim", None) == 2

    def pieces(self, ops: Ops, doc: Doc, output: Any) -> Pieces:
        is_word = doc.to_array("IS_SPACE") == 0
        rows = numpy.nonzero(is_word)[0]
        return Pieces(
            states=output,
            rows=rows,
            counts=is_word.astype("int64"),
            windows=numpy.zeros_like(rows),
            specials=numpy.asarray([-1]),
        )

    def gradient(self, ops: Ops, output: Any, d_states: Optional[Floats2d]) -> List[Any]:
        return [ops.alloc2f(*output.shape) if d_states is None else d_states]
