"""From the output of an encoder to the arrays that the network reads, and gradients back: an adapter for each kind.

What a new kind of encoder needs is an adapter in the list below; the first that reads an output is taken.
"""

from typing import Any, List, Optional, Sequence, Tuple

import numpy
from spacy.tokens import Doc
from spacy_transformers.util import batch_by_length
from thinc.api import Model, Ops
from thinc.types import Floats2d

from ...errors import Errors
from ...relations import describe_doc
from ...sentences import sentence_bounds
from ..arrays import N_SHAPES, Ints, Layout, no_ints
from ..batches import batch_size
from . import curated, transformer
from .base import Adapter, Pieces
from .vectors import VectorAdapter

ADAPTERS: List[Adapter] = [transformer.TransformerAdapter(), curated.CuratedAdapter(), VectorAdapter()]


def get_layout(
    ops: Ops, docs: Sequence[Doc], outputs: Sequence[Any], *, shapes: bool = False
) -> Tuple[List[Floats2d], Layout]:
    """Bring the encoder's output into the order of the tokens.

    ops (Ops): Backend of the model.
    docs (Sequence[Doc]): The batch.
    outputs (Sequence[Any]): The encoder's output for each document.
    shapes (bool): Whether the shapes of the tokens are asked for.
    RETURNS (Tuple[List[Floats2d], Layout]): The embeddings of the non-empty documents, each (n_rows, width), and the
        indices into their concatenation.
    RAISES (ValueError): If no adapter reads an output, or it is for other tokens.
    """
    pairs = [(doc, output) for doc, output in zip(docs, outputs) if len(doc)]
    pieces = [find_adapter(doc, output).pieces(ops, doc, output) for doc, output in pairs]
    counts = numpy.concatenate([part.counts for part in pieces])
    tokens = numpy.nonzero(counts)[0]
    # Sentences of white space alone have no tokens.
    sentences = numpy.unique(numpy.searchsorted(tokens, sentence_bounds(docs)))
    cls_rows, cls_sentences, cut = [no_ints()], [no_ints()], [no_ints()]
    n_rows = n_tokens = n_visible = 0
    for part in pieces:
        seen = int((part.counts > 0).sum())
        if seen:
            owners = numpy.searchsorted(sentences, n_visible + _token_of(part), side="right") - 1
            owners, windows = _windows_of(owners, part.windows, len(part.specials))
            rows = part.specials[windows]
            cls_rows.append(rows[rows >= 0] + n_rows)
            cls_sentences.append(owners[rows >= 0])
        cut.append(part.cut + n_tokens)
        n_rows, n_tokens, n_visible = n_rows + len(part.states), n_tokens + len(part.counts), n_visible + seen
    firsts = numpy.cumsum([0, *(len(part.states) for part in pieces[:-1])])
    hashes = [doc.to_array("SHAPE") for doc, _ in pairs] if shapes else []
    layout = Layout(
        tokens=tokens,
        rows=numpy.concatenate([part.rows + first for part, first in zip(pieces, firsts)]),
        offsets=numpy.concatenate([[0], numpy.cumsum(counts[tokens])]),
        sentences=sentences,
        cls_rows=numpy.concatenate(cls_rows),
        cls_sentences=numpy.concatenate(cls_sentences),
        cut=numpy.concatenate(cut),
        shapes=(numpy.concatenate(hashes)[tokens] % N_SHAPES).astype("int64") if shapes else no_ints(),
        documents=numpy.searchsorted(tokens, numpy.cumsum([0, *(len(part.counts) for part in pieces[:-1])])),
    )
    return [part.states for part in pieces], layout


def get_gradients(
    ops: Ops, docs: Sequence[Doc], outputs: Sequence[Any], d_states: Sequence[Floats2d], grad_factor: float
) -> List[Any]:
    """Bring the gradients into the form that the encoder expects.

    ops (Ops): Backend of the model.
    docs (Sequence[Doc]): The batch.
    outputs (Sequence[Any]): What the encoder gave for it.
    d_states (Sequence[Floats2d]): The gradient for each non-empty document, each (n_rows, width).
    grad_factor (float): Factor on the gradients.
    RETURNS (List[Any]): The gradients. The arrays are new: with several listeners the encoder adds to them in place.
    """
    gradients: List[Any] = []
    remaining = iter(d_states)
    for doc, output in zip(docs, outputs):
        d_state = next(remaining) * grad_factor if len(doc) else None
        gradients.extend(find_adapter(doc, output).gradient(ops, output, d_state))
    return gradients


def find_adapter(doc: Doc, output: Any) -> Adapter:
    """The adapter that reads an encoder's output.

    doc (Doc): The document, for the message.
    output (Any): The output.
    RETURNS (Adapter): The first that reads it.
    RAISES (ValueError): If there is none.
    """
    for adapter in ADAPTERS:
        if adapter.reads(output):
            return adapter
    raise ValueError(Errors.S023.format(doc=describe_doc(doc), value=type(output)))


def seen_tokens(upstream: Model, doc: Doc) -> "numpy.ndarray":
    """Which tokens a transformer sees.

    upstream (Model): The model of a transformer component.
    doc (Doc): The document, with sentence marks if the transformer's windows are sentences.
    RETURNS (Bools): Shape (len(doc),).
    """
    kind = transformer if hasattr(upstream, "tokenizer") else curated
    return kind.seen_tokens(upstream, doc)


def predict_in_batches(tok2vec: Model, docs: List[Doc], max_tokens: Optional[int] = None) -> List[Any]:
    """Run an encoder of the component's own over many documents, as the transformer component does: batched by length.

    tok2vec (Model): The encoder.
    docs (List[Doc]): The documents.
    max_tokens (Optional[int]): Most tokens in a batch, padding included; by default as suits the device.
    RETURNS (List[Union[TransformerData, Ragged, Floats2d]]): The output for each document; None for an empty one.
    """
    max_tokens = batch_size(tok2vec.ops) if max_tokens is None else max_tokens
    outputs: List[Any] = [None] * len(docs)
    indices = [i for i, doc in enumerate(docs) if len(doc)]
    for batch in batch_by_length([docs[i] for i in indices], max_tokens):
        chosen = [indices[i] for i in batch]
        for i, output in zip(chosen, tok2vec.predict([docs[i] for i in chosen])):
            outputs[i] = output
    return outputs


def _token_of(pieces: Pieces) -> Ints:
    """The token of each wordpiece, counting tokens that have any."""
    counts = pieces.counts[pieces.counts > 0]
    return numpy.repeat(numpy.arange(len(counts)), counts)


def _windows_of(sentences: Ints, windows: Ints, n_windows: int) -> Tuple[Ints, Ints]:
    """Pairs (sentence, window) in which the sentence has a wordpiece in the window, sorted."""
    pairs = numpy.unique(sentences * n_windows + windows)
    return pairs // n_windows, pairs % n_windows
