"""From the output of the shared encoder to wordpieces in token order, and gradients back.

The encoder is a transformer, whose wordpieces and special tokens are read, or any layer with one vector for each token.

Rules, the same for every window:

- A wordpiece belongs to the tokens whose characters it stands for. The blank before a word, which some tokenizers put
  into its first piece, belongs to no token, and tokens of white space have no wordpieces.
- A token has the wordpieces of all windows that it stands in. So a span that crosses from one window into the next has
  the pieces of both, and so has what lies between two spans of different windows.
- A sentence is represented by the special token of its window, or the mean of those of the windows that hold any of
  its tokens; by the maximum over its wordpieces where there is none.
- A token without wordpieces adds nothing. A span that has none is no candidate; gold annotation lost in this way is
  counted at initialization, and what a window cut off is reported at prediction.
"""

import unicodedata
from typing import Any, List, Sequence, Tuple

import numpy
from spacy.tokens import Doc
from spacy_transformers.align import get_alignment, get_alignment_via_offset_mapping
from spacy_transformers.data_classes import TransformerData, WordpieceBatch
from spacy_transformers.layers import TransformerListener, split_trf_batch
from spacy_transformers.layers.transformer_model import huggingface_tokenize
from spacy_transformers.truncate import truncate_oversize_splits
from spacy_transformers.util import batch_by_length
from thinc.api import Model, Ops, chain
from thinc.types import Floats2d, Ragged
from transformers.file_utils import ModelOutput

from ..alignment import sentence_bounds
from ..candidates import Ints, no_ints
from ..errors import Errors
from ..relations import describe_doc
from .head import Layout

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


def get_layout(ops: Ops, docs: Sequence[Doc], outputs: Sequence[Any]) -> Tuple[List[Floats2d], Layout]:
    """Bring the encoder's output into the order of the tokens.

    ops (Ops): Backend of the model.
    docs (Sequence[Doc]): The batch.
    outputs (Sequence[Union[TransformerData, Floats2d]]): The encoder's output for each document.
    RETURNS (Tuple[List[Floats2d], Layout]): The embeddings of the non-empty documents, each (n_rows, width), and the
        indices into their concatenation.
    RAISES (ValueError): If an output is neither transformer data nor an array, or is for other tokens.
    """
    sentences = sentence_bounds(docs)
    states: List[Floats2d] = []
    rows: List[Ints] = []
    counts: List[Ints] = []
    cls_rows, cls_sentences, cut = [no_ints()], [no_ints()], [no_ints()]
    n_rows = n_tokens = 0
    for doc, output in zip(docs, outputs):
        if not len(doc):
            continue
        if isinstance(output, TransformerData):
            lengths = numpy.asarray(ops.to_numpy(output.align.lengths), dtype="int64")
            if len(lengths) != len(doc):
                raise ValueError(Errors.S070.format(doc=describe_doc(doc), n=len(doc), got=len(lengths)))
            state = output.model_output["last_hidden_state"]
            aligned = _flat_ints(ops, output.align)
            doc_rows, doc_counts = token_pieces(doc, output.wordpieces, aligned, lengths)
            specials, is_cut = _window_ends(output.wordpieces, aligned)
            low, high = numpy.searchsorted(sentences, [n_tokens, n_tokens + len(doc)])
            bounds = sentences[low : high + 1] - n_tokens
            owners, windows = _windows_of(doc_rows, doc_counts, bounds, state.shape[1], len(state))
            has_special = specials[windows] >= 0
            cls_rows.append(specials[windows][has_special] + n_rows)
            cls_sentences.append(owners[has_special] + low)
            if is_cut.any():
                missing = numpy.nonzero(doc_counts == 0)[0].tolist()
                cut.append(numpy.asarray([i for i in missing if _is_visible(doc[i].text)], dtype="int64") + n_tokens)
            state = state.reshape(-1, state.shape[-1])
        elif getattr(output, "ndim", None) == 2:
            state = output
            doc_rows = numpy.arange(len(doc))
            doc_counts = numpy.ones(len(doc), dtype="int64")
        else:
            raise ValueError(Errors.S023.format(doc=describe_doc(doc), value=type(output)))
        states.append(state)
        rows.append(doc_rows + n_rows)
        counts.append(doc_counts)
        n_rows += len(state)
        n_tokens += len(doc)
    layout = Layout(
        rows=numpy.concatenate(rows),
        offsets=numpy.concatenate([[0], numpy.cumsum(numpy.concatenate(counts))]),
        sentences=sentences,
        cls_rows=numpy.concatenate(cls_rows),
        cls_sentences=numpy.concatenate(cls_sentences),
        cut=numpy.concatenate(cut),
    )
    return states, layout


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


def get_gradients(
    ops: Ops, docs: Sequence[Doc], outputs: Sequence[Any], d_states: Sequence[Floats2d], grad_factor: float
) -> List[Any]:
    """Bring the gradients into the form the encoder expects.

    ops (Ops): Backend of the model.
    docs (Sequence[Doc]): The batch.
    outputs (Sequence[Union[TransformerData, Floats2d]]): What the encoder gave for it.
    d_states (Sequence[Floats2d]): The gradient for each non-empty document, each (n_rows, width).
    grad_factor (float): Factor on the gradients of transformer data.
    RETURNS (List[Union[TransformerData, Floats2d]]): Transformer data for the non-empty documents, or an array for each
        document. The arrays are new: with several listeners the encoder adds to them in place.
    """
    gradients: List[Any] = []
    remaining = iter(d_states)
    for doc, output in zip(docs, outputs):
        if isinstance(output, TransformerData):
            if len(doc):
                shape = output.model_output["last_hidden_state"].shape
                d_state = (next(remaining) * grad_factor).reshape(shape)
                model_output = ModelOutput(last_hidden_state=d_state)
                gradients.append(
                    TransformerData(model_output=model_output, wordpieces=output.wordpieces, align=output.align)
                )
        else:
            gradients.append(next(remaining) if len(doc) else ops.alloc2f(*output.shape))
    return gradients


def check_transformer_output(docs: Sequence[Doc]) -> None:
    """Make sure that the documents passed through a transformer; a listener would silently give zeros.

    docs (Sequence[Doc]): The batch.
    RAISES (ValueError): If the output is missing or not from spacy-transformers.
    """
    for doc in docs:
        if len(doc):
            data = doc._.trf_data if doc.has_extension("trf_data") else None
            if data is None:
                raise ValueError(Errors.S022.format(doc=describe_doc(doc)))
            if not isinstance(data, TransformerData):
                raise ValueError(Errors.S023.format(doc=describe_doc(doc), value=type(data)))


def predict_in_batches(tok2vec: Model, docs: List[Doc], max_tokens: int = 4096) -> List[Any]:
    """Run an encoder of the component's own over many documents, as the transformer component does: batched by length.

    tok2vec (Model): The encoder.
    docs (List[Doc]): The documents.
    max_tokens (int): Most tokens in a batch, padding included.
    RETURNS (List[Union[TransformerData, Floats2d]]): The output for each document; None for an empty one.
    """
    outputs: List[Any] = [None] * len(docs)
    indices = [i for i, doc in enumerate(docs) if len(doc)]
    for batch in batch_by_length([docs[i] for i in indices], max_tokens):
        chosen = [indices[i] for i in batch]
        for i, output in zip(chosen, tok2vec.predict([docs[i] for i in chosen])):
            outputs[i] = output
    return outputs


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


def _windows_of(rows: Ints, counts: Ints, bounds: Ints, length: int, n_windows: int) -> Tuple[Ints, Ints]:
    """Pairs (sentence, window) in which the sentence has a token in the window."""
    n_sentences = len(bounds) - 1
    if n_windows == 1:
        return numpy.arange(n_sentences), numpy.zeros(n_sentences, dtype="int64")
    tokens = numpy.repeat(numpy.arange(len(counts)), counts)
    sentences = numpy.searchsorted(bounds, tokens, side="right") - 1
    pairs = numpy.unique(sentences * n_windows + rows // length)
    return pairs // n_windows, pairs % n_windows
