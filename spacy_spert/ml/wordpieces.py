"""From the output of the shared encoder to wordpieces in token order, and gradients back.

The encoder is a transformer, whose wordpieces and special tokens are read, or any layer with one vector for each token.

Rules. A token's wordpieces are all rows aligned to it: with overlapping windows those of every window the token stands
in. A sentence's context is the special token of its window, or the mean over the windows that hold any of its tokens.
Tokens without wordpieces (blanks, what a window cut off) have no rows.
"""

from typing import Any, List, Optional, Sequence, Tuple

import numpy
from spacy.tokens import Doc
from spacy_transformers.align import get_alignment_via_offset_mapping
from spacy_transformers.data_classes import TransformerData, WordpieceBatch
from spacy_transformers.layers import TransformerListener, split_trf_batch
from spacy_transformers.layers.transformer_model import huggingface_tokenize
from spacy_transformers.truncate import truncate_oversize_splits
from spacy_transformers.util import batch_by_length
from thinc.api import Model, Ops, chain
from thinc.types import Floats2d, Ragged
from transformers.file_utils import ModelOutput

from ..alignment import sentence_bounds
from ..candidates import Ints
from ..errors import Errors
from ..relations import describe_doc
from .head import Layout


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
    RAISES (ValueError): If an output is neither transformer data nor an array.
    """
    sentences = sentence_bounds(docs)
    states: List[Floats2d] = []
    rows: List[Ints] = []
    counts: List[Ints] = []
    cls_rows: List[Ints] = []
    cls_sentences: List[Ints] = []
    has_cls = True
    n_rows = n_tokens = 0
    for doc, output in zip(docs, outputs):
        if not len(doc):
            continue
        if isinstance(output, TransformerData):
            state = output.model_output["last_hidden_state"]
            doc_rows = _flat_ints(ops, output.align)
            doc_counts = numpy.asarray(ops.to_numpy(output.align.lengths), dtype="int64")
            specials = _special_rows(output, doc_rows)
            if specials is None:
                has_cls = False
            elif has_cls:
                low, high = numpy.searchsorted(sentences, [n_tokens, n_tokens + len(doc)])
                bounds = sentences[low : high + 1] - n_tokens
                owners, windows = _windows_of(doc_rows, doc_counts, bounds, state.shape[1], len(specials))
                cls_rows.append(specials[windows] + n_rows)
                cls_sentences.append(owners + low)
            state = state.reshape(-1, state.shape[-1])
        elif getattr(output, "ndim", None) == 2:
            state, has_cls = output, False
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
    )
    if has_cls:
        layout.cls_rows = numpy.concatenate(cls_rows)
        layout.cls_sentences = numpy.concatenate(cls_sentences)
    return states, layout


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
    """Which tokens a transformer sees: not those that its windows cut off for having too many wordpieces.

    transformer (Model): The model of a transformer component.
    doc (Doc): The document, with sentence marks if the transformer's windows are sentences.
    RETURNS (Bools): Shape (len(doc),).
    """
    tokenizer = transformer.tokenizer  # type: ignore[attr-defined]
    max_length = tokenizer.model_max_length
    # A wordpiece stands for a byte at least, so that short windows need not be looked at.
    n_special = tokenizer.num_special_tokens_to_add()
    windows = transformer.attrs["get_spans"]([doc])[0] if len(doc.text.encode("utf8")) + n_special > max_length else []
    if not windows or not tokenizer.is_fast:
        return numpy.ones(len(doc), dtype=bool)
    encoding = huggingface_tokenize(tokenizer, [window.text for window in windows])
    wordpieces = WordpieceBatch.from_batch_encoding(encoding)
    align = get_alignment_via_offset_mapping(windows, encoding["offset_mapping"])
    _, align = truncate_oversize_splits(wordpieces, align, max_length)
    return numpy.asarray(align.lengths) > 0


def is_listener(layer: Model) -> bool:
    """Whether a layer gets its output from a transformer component."""
    return isinstance(layer, TransformerListener)


def _flat_ints(ops: Ops, ragged: Ragged) -> Ints:
    return numpy.asarray(ops.to_numpy(ragged.dataXd), dtype="int64").reshape(-1)


def _special_rows(output: TransformerData, token_rows: Ints) -> Optional[Ints]:
    """The row of the special token that stands for each window: the first piece, or else the last if it is `<cls>`."""
    n_windows, length = output.model_output["last_hidden_state"].shape[:2]
    starts = numpy.arange(n_windows) * length
    if not numpy.isin(starts, token_rows).any():
        return starts
    ends = starts + numpy.asarray(output.wordpieces.lengths) - 1
    if all(strings[n - 1] == "<cls>" for strings, n in zip(output.wordpieces.strings, output.wordpieces.lengths)):
        return ends
    return None


def _windows_of(rows: Ints, counts: Ints, bounds: Ints, length: int, n_windows: int) -> Tuple[Ints, Ints]:
    """Pairs (sentence, window) in which the sentence has a token in the window."""
    n_sentences = len(bounds) - 1
    if n_windows == 1:
        return numpy.arange(n_sentences), numpy.zeros(n_sentences, dtype="int64")
    tokens = numpy.repeat(numpy.arange(len(counts)), counts)
    sentences = numpy.searchsorted(bounds, tokens, side="right") - 1
    pairs = numpy.unique(sentences * n_windows + rows // length)
    return pairs // n_windows, pairs % n_windows
