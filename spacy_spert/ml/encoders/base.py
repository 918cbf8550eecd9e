"""What the network needs of a document, whatever kind of encoder it comes from."""

from dataclasses import dataclass, field
from typing import Any, List, Optional, Protocol

from spacy.tokens import Doc
from thinc.api import Ops
from thinc.types import Floats2d

from ..arrays import Ints, no_ints


@dataclass
class Pieces:
    """The wordpieces of a document, in the order of its tokens.

    states (Floats2d): The encoder's output, shape (n_rows, width).
    rows (Ints): For each wordpiece, token by token, its row in states, shape (n_pieces,).
    counts (Ints): How many wordpieces each token has, shape (len(doc),).
    windows (Ints): The window of the encoder that each wordpiece is from, shape (n_pieces,).
    specials (Ints): For each window the row of the special token that stands for it, or -1, shape (n_windows,).
    cut (Ints): Tokens that have no wordpieces because a window cut them off, ascending.
    """

    states: Floats2d
    rows: Ints
    counts: Ints
    windows: Ints
    specials: Ints
    cut: Ints = field(default_factory=no_ints)


class Adapter(Protocol):
    """Reads one kind of encoder output, and brings gradients into its form."""

    def reads(self, output: Any) -> bool:
        """RETURNS (bool): Whether this is an output of the kind."""

    def pieces(self, ops: Ops, doc: Doc, output: Any) -> Pieces:
        """The wordpieces of a document that is not empty.

        RAISES (ValueError): If the output is for other tokens.
        """

    def gradient(self, ops: Ops, output: Any, d_states: Optional[Floats2d]) -> List[Any]:
        """What the encoder expects back for a document: a list of one gradient, of new arrays; or of none, if it
        expects nothing for an empty document, which has no d_states.
        """
