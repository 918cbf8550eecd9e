"""From the output of the shared encoder to wordpieces in token order, and gradients back.

The encoder is a transformer, whose wordpieces and special tokens are read, or any layer with one vector for each token.

Rules, the same for every window:

- A wordpiece belongs to the tokens whose characters it stands for. The blank before a word, which some tokenizers put
  into its first piece, belongs to no token, and tokens of white space have no wordpieces.
- A token has the wordpieces of all windows that it stands in. So a span that crosses from one window into the next has
  the pieces of both, and so has what lies between two spans of different windows.
- A sentence is represented by the special token of its window, or the mean of those of the windows that hold any of
  its tokens; by the maximum over its wordpieces where there is none.
- A token without wordpieces adds nothing. A span that has none is not a candidate; gold annotation lost in this way is
  counted at initialization, and what a window cut off is reported at prediction.
"""

import unicodedata
from typing import Any, List, Optional, Tuple

import numpy
from spacy.tokens import Doc
from spacy_transformers.align import get_alignment, get_alignment_via_offset_mapping
from spacy_transformers.data_classes import TransformerData, WordpieceBatch
from spacy_transformers.layers import TransformerListener, split_trf_batch
from spacy_transformers.layers.transformer_model import huggingface_tokenize
from spacy_transformers.truncate import truncate_oversize_splits
from thinc.api import Model, Ops, chain
from thinc.types import Floats2d, Ragged
from transformers.utils import ModelOutput

from ...errors import Errors
from ...relations import describe_doc
from ..arrays import Ints
from .base import Pieces

# How SentencePiece and byte-level BPE write a blank.
BLANKS = ("\u2581", "\u0120")


def build_wordpiece_listener(upstream: str = "*", grad_factor: float = 1.0) -> Model[List[Doc], List[TransformerData]]:
    """Listen to the pipeline's shared transformer and get its wordpieces, special tokens included.

    upstream (str): Name of the transformer component, or "*" for any.
    grad_factor (float): Factor on the gradients that go back to the transformer; 0.0 keeps them from it.
    RETURNS (Model[List[Doc], List[TransformerData]]): The listener.
    """
    listener = TransformerListener(upstream_name=upstream)
    listener.attrs["grad_factor"] = grad_factor
    return listener


def as_wordpiece_layer(tok2vec: Model) -> Model:
    """Make a layer of the tok2vec block return one output per document.

    A bare transformer, as `replace_listeners` puts into the config in place of the listener, returns one object for the
    whole batch.

    tok2vec (Model): The layer from the config.
    RETURNS (Model): The layer to use.
    """
    return chain(tok2vec, split_trf_batch()) if tok2vec.name == "transformer" else tok2vec


class TransformerAdapter:
    """Reads what the transformer of spacy-transformers gives for a document. See `Adapter`."""

    def reads(self, output: Any) -> bool:
        return isinstance(output, TransformerData)

    def pieces(self, ops: Ops, doc: Doc, output: TransformerData) -> Pieces:
        lengths = numpy.asarray(ops.to_numpy(output.align.lengths), dtype="int64")
        if len(lengths) != len(doc):
            raise ValueError(Errors.S070.format(doc=describe_doc(doc), n=len(doc), got=len(lengths)))
        states = output.model_output["last_hidden_state"]
        aligned = _flat_ints(ops, output.align)
        rows, counts = token_pieces(doc, output.wordpieces, aligned, lengths)
        specials, is_cut = _window_ends(output.wordpieces, aligned)
        missing = numpy.nonzero(counts == 0)[0].tolist() if is_cut.any() else []
        return Pieces(
            states=states.reshape(-1, states.shape[-1]),
            rows=rows,
            counts=counts,
            windows=rows // states.shape[1],
            specials=specials,
            cut=numpy.asarray([i for i in missing if _is_visible(doc[i].text)], dtype="int64"),
        )

    def gradient(self, ops: Ops, output: TransformerData, d_states: Optional[Floats2d]) -> List[TransformerData]:
        if d_states is None:
            return []
        model_output = ModelOutput(last_hidden_state=d_states.reshape(output.model_output["last_hidden_state"].shape))
        return [TransformerData(model_output=model_output, wordpieces=output.wordpieces, align=output.align)]


def token_pieces(doc: Doc, wordpieces: WordpieceBatch, rows: Ints, counts: Ints) -> Tuple[Ints, Ints]:
    """The wordpieces that stand for the characters of each token.

    The alignment of spacy-transformers counts the blank after a token as part of it. Where tokenizers put that blank
    into the next piece, the piece is aligned to both tokens, and a blank that is a piece of its own to the one before.

    doc (Doc): The document.
    wordpieces (WordpieceBatch): Its wordpieces, shape (n_windows, length).
    rows (Ints): The alignment: indices of wordpieces, window * length + column, token by token.
    counts (Ints): How many of them each token has, shape (len(doc),).
    RETURNS (Tuple[Ints, Ints]): The same without these pieces.
    """
    is_space, before_blank = doc.to_array(["IS_SPACE", "SPACY"]).astype(bool).T
    tokens = numpy.repeat(numpy.arange(len(doc)), counts)
    keep = ~is_space[tokens]
    last_token = numpy.zeros(rows.max(initial=-1) + 1, dtype="int64")
    last_token[rows] = tokens
    # A word may be in two tokens ("can" "n't"), but no blank is inside it.
    length = wordpieces.input_ids.shape[1]
    for i in numpy.nonzero(keep & before_blank[tokens] & (last_token[rows] > tokens))[0].tolist():
        keep[i] = _is_phrase(wordpieces.strings[rows[i] // length][rows[i] % length])
    if any(blank in strings for strings in wordpieces.strings for blank in BLANKS):
        pieces = numpy.asarray([piece for strings in wordpieces.strings for piece in strings], dtype=object)[rows]
        ends = numpy.append((numpy.diff(tokens) > 0) | (numpy.diff(rows // length) != 0), True)[: len(rows)]
        for i in numpy.nonzero(keep & before_blank[tokens] & ends & numpy.isin(pieces, BLANKS))[0].tolist():
            keep[i] = pieces[i] in doc[int(tokens[i])].text
    return rows[keep], numpy.bincount(tokens[keep], minlength=len(doc))


def seen_tokens(transformer: Model, doc: Doc) -> "numpy.ndarray":
    """Which tokens a transformer sees: not white space, nor what its windows cut off for having too many wordpieces.

    transformer (Model): The model of a transformer component.
    doc (Doc): The document, with sentence marks if the transformer's windows are sentences.
    RETURNS (Bools): Shape (len(doc),).
    """
    if not len(doc):
        return numpy.zeros(0, dtype=bool)
    tokenizer = transformer.tokenizer  # type: ignore[attr-defined]
    # A character makes two wordpieces at most, itself and a blank before it. Others than these may make none at all.
    most = 2 * len(doc.text) + tokenizer.num_special_tokens_to_add()
    if doc.text.isascii() and doc.text.isprintable() and most <= tokenizer.model_max_length:
        return doc.to_array("IS_SPACE") == 0
    windows = transformer.attrs["get_spans"]([doc])[0]
    encoding = huggingface_tokenize(tokenizer, [window.text for window in windows])
    wordpieces = WordpieceBatch.from_batch_encoding(encoding)
    if "offset_mapping" in encoding:
        align = get_alignment_via_offset_mapping(windows, encoding["offset_mapping"])
    else:
        align = get_alignment(windows, wordpieces.strings, tokenizer.all_special_tokens)
    wordpieces, align = truncate_oversize_splits(wordpieces, align, tokenizer.model_max_length)
    rows, lengths = (numpy.asarray(array, dtype="int64").reshape(-1) for array in (align.dataXd, align.lengths))
    _, counts = token_pieces(doc, wordpieces, rows, lengths)
    return counts > 0


def is_listener(layer: Model) -> bool:
    """Whether a layer gets its output from a transformer component."""
    return isinstance(layer, TransformerListener)


def _flat_ints(ops: Ops, ragged: Ragged) -> Ints:
    return numpy.asarray(ops.to_numpy(ragged.dataXd), dtype="int64").reshape(-1)


def _window_ends(wordpieces: WordpieceBatch, aligned: Ints) -> Tuple[Ints, "numpy.ndarray"]:
    """For each window the row of the special token that stands for it, or -1, and whether its end may be cut off.

    The special token is the first piece, or the last if that is `<cls>`. Padding may be on either side.
    """
    mask = numpy.asarray(wordpieces.attention_mask) > 0
    n_windows, length = mask.shape
    is_aligned = numpy.zeros(mask.size, dtype=bool)
    is_aligned[aligned] = True
    starts = numpy.arange(n_windows) * length + mask.argmax(axis=1)
    ends = numpy.arange(1, n_windows + 1) * length - 1 - mask[:, ::-1].argmax(axis=1)
    specials = numpy.where(mask.any(axis=1) & ~is_aligned[starts], starts, -1)
    # A whole window ends with a special piece, if the encoder has any.
    is_cut = is_aligned[ends]
    for window, end in enumerate(ends.tolist()):
        piece = wordpieces.strings[window][end % length]
        if piece == "<cls>" and not is_cut[window]:
            specials[window] = end
        is_cut[window] |= piece in BLANKS
    return specials, is_cut


def _is_phrase(piece: str) -> bool:
    """Whether a piece holds several words, such as an added token may."""
    return any(blank in piece.lstrip("".join(BLANKS)) for blank in (" ", *BLANKS))


def _is_visible(text: str) -> bool:
    """Whether a tokenizer should make a piece of it: not of control, zero-width and combining characters and blanks."""
    return any(unicodedata.category(char)[0] not in "CMZ" for char in text)
