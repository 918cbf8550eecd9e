"""Transformers of spacy-curated-transformers, as spaCy's own pipelines have them (`en_core_web_trf`).

Their output has the wordpieces of each token and no special tokens, so a sentence is represented by the maximum over
its wordpieces. Where windows overlap it is their mean, so each wordpiece is there once.
"""

from typing import Any, Callable, List, Optional, Tuple, cast

import numpy
from spacy.tokens import Doc
from thinc.api import Model, Ops
from thinc.types import Floats2d, Ragged

from ...errors import Errors
from ...relations import describe_doc
from ..listening import is_curated_listener
from .base import Pieces


def build_curated_listener(width: int, upstream: str = "*", grad_factor: float = 1.0) -> Model[List[Doc], List[Ragged]]:
    """Listen to a pipeline's shared transformer from spacy-curated-transformers and get its wordpieces.

    width (int): The width of the transformer, its `hidden_width`.
    upstream (str): Name of the transformer component, or "*" for any.
    grad_factor (float): Factor on the gradients that go back to the transformer; 0.0 keeps them from it.
    RETURNS (Model[List[Doc], List[Ragged]]): The listener. For each document it gives the embeddings of its wordpieces,
        shape (n_pieces, width), and how many of them each token has.
    RAISES (ImportError): If spacy-curated-transformers is not installed.
    """
    # The name is one that `spacy debug model` knows as that of a listener.
    listener: Model[List[Doc], List[Ragged]] = Model(
        "curated-transformer-listener", forward, dims={"nO": width}, attrs={"grad_factor": grad_factor}
    )
    _state_utils().init_state(listener, upstream_name=upstream, requires_all_layer_outputs=False)
    return listener


def forward(model: Model[List[Doc], List[Ragged]], docs: List[Doc], is_train: bool) -> Tuple[List[Ragged], Callable]:
    """Take what the transformer gave for these documents, when it learns from them or when it was run on them."""
    utils = _state_utils()
    outputs = utils.get_output(model)
    # A transformer that `replace_listeners` has put beside the listener hands over its output in prediction, too.
    is_given = is_train or not utils.use_doc_annotations_for_prediction(model)
    if not is_given or (outputs is None and all(map(_has_output, docs))):
        return [_output_of(model, doc) for doc in docs], lambda d_states: []
    utils.verify_inputs(model, docs)
    backprop_upstream = utils.get_backprop(model)

    def backprop(d_states: List[Ragged]) -> Any:
        factor = model.attrs["grad_factor"]
        gradients = [[Ragged(d_state.dataXd * factor, d_state.lengths)] for d_state in d_states]
        try:
            d_docs = backprop_upstream(gradients, outputs_to_backprop=(-1,))
        except TypeError as err:
            if is_curated_listener(model) and "0-dimensional" in str(err):
                raise TypeError(Errors.S173.format(version=numpy.__version__)) from err
            raise
        utils.clear_state(model)
        return d_docs

    return outputs.last_hidden_layer_states, backprop


class CuratedAdapter:
    """Reads what a transformer of spacy-curated-transformers gives for a document. See `Adapter`."""

    def reads(self, output: Any) -> bool:
        return isinstance(output, Ragged)

    def pieces(self, ops: Ops, doc: Doc, output: Ragged) -> Pieces:
        lengths = _lengths(ops, output)
        if len(lengths) != len(doc):
            raise ValueError(Errors.S172.format(doc=describe_doc(doc), n=len(doc), got=len(lengths)))
        is_word = doc.to_array("IS_SPACE") == 0
        rows = numpy.nonzero(numpy.repeat(is_word, lengths))[0]
        return Pieces(
            states=cast(Floats2d, output.dataXd),
            rows=rows,
            counts=lengths * is_word,
            windows=numpy.zeros_like(rows),
            specials=numpy.asarray([-1]),
        )

    def gradient(self, ops: Ops, output: Ragged, d_states: Optional[Floats2d]) -> List[Ragged]:
        return [Ragged(ops.alloc2f(*output.dataXd.shape) if d_states is None else d_states, output.lengths)]


def seen_tokens(transformer: Model, doc: Doc) -> "numpy.ndarray":
    """Which tokens a transformer sees: not white space, nor what has no wordpieces. Its windows cut nothing off.

    transformer (Model): The model of a transformer component.
    doc (Doc): The document.
    RETURNS (Bools): Shape (len(doc),).
    """
    (pieces,) = transformer.get_ref("piece_encoder").predict([doc])
    # The first and the last are the special tokens.
    return (_lengths(transformer.ops, pieces)[1:-1] > 0) & (doc.to_array("IS_SPACE") == 0)


def _output_of(model: Model[List[Doc], List[Ragged]], doc: Doc) -> Ragged:
    if _has_output(doc):
        return doc._.trf_data.last_hidden_layer_state
    # As all listeners of spaCy's do. The component looks for a missing transformer before, and only
    # `spacy debug model` does without.
    ops = model.ops
    return Ragged(ops.alloc2f(len(doc), model.get_dim("nO")), ops.asarray1i([1] * len(doc)))


def _has_output(doc: Doc) -> bool:
    return doc.has_extension("trf_data") and doc._.trf_data is not None


def _lengths(ops: Ops, ragged: Ragged) -> "numpy.ndarray":
    return numpy.asarray(ops.to_numpy(ragged.lengths), dtype="int64")


def _state_utils() -> Any:
    """What all listeners to these transformers keep their state with."""
    try:
        from spacy_curated_transformers.models.listeners import ListenerStateUtils
    except ImportError as err:
        raise ImportError(Errors.S170) from err
    return ListenerStateUtils
