"""The thinc model: documents in, scores of candidates out."""

from typing import Callable, List, Optional, Tuple, Union, cast, get_args

import numpy
from spacy.tokens import Doc
from thinc.api import ArgsKwargs, Model, PyTorchWrapper, torch2xp, xp2torch
from thinc.types import Floats2d

from ..candidates import Samples, Scores, Search
from ..errors import Errors
from .head import ContextT, Layout, PoolingT, SpertHead
from .wordpieces import (
    as_wordpiece_layer,
    check_transformer_output,
    get_gradients,
    get_layout,
    is_listener,
    predict_in_batches,
)

# Training: logits of spans and pairs, and the samples they belong to (without those that have no wordpiece).
SampleScores = Tuple[Floats2d, Floats2d, Samples]
InputT = Union[List[Doc], Tuple[List[Doc], Union[Samples, Search]]]
OutputT = Union[Scores, SampleScores]
HeadInputT = Tuple[List[Floats2d], Layout, Union[Samples, Search]]


def build_spert(
    tok2vec: Model,
    width_embedding: int = 25,
    dropout: float = 0.1,
    context: ContextT = "localized",
    pooling: PoolingT = "max",
) -> Model[InputT, OutputT]:
    """Build the SpERT model (Eberts & Ulges, ECAI 2020).

    Input is a list of documents, alone or together with the Samples to train on or the Search to make. Output is, for
    Samples, the logits of spans and pairs and the samples they belong to; otherwise the Scores of what was found.

    tok2vec (Model): The encoder: a `spacy-spert.WordpieceListener.v1`, or any Model[List[Doc], List[Floats2d]].
    width_embedding (int): Width of the learned embedding of a span's width in tokens.
    dropout (float): Dropout on the input of the two classifiers, from 0 to 1. `training.dropout` has no effect on it.
    context (str): What a relation sees between head and tail: the wordpieces between them ("localized"), the whole
        sentence ("sentence"), or the special token of the sentence ("cls").
    pooling (str): How the wordpieces of a span become one vector: "max", "mean" or "sum".
    RETURNS (Model[InputT, OutputT]): The model. It has no weights until its dimensions nI (width of the embeddings),
        nE (entity labels), nR (relation labels) and nW (widest span) are set and it is initialized.
    """
    for setting, value, holds, expected in (
        ("context", context, context in get_args(ContextT), f"one of {get_args(ContextT)}"),
        ("pooling", pooling, pooling in get_args(PoolingT), f"one of {get_args(PoolingT)}"),
        ("width_embedding", width_embedding, width_embedding >= 1, "at least 1"),
        ("dropout", dropout, 0.0 <= dropout < 1.0, "at least 0 and below 1"),
    ):
        if not holds:
            raise ValueError(Errors.S031.format(setting=setting, name="spert", expected=expected, value=value))
    tok2vec = as_wordpiece_layer(tok2vec)
    return Model(
        "spert",
        forward,
        init=init,
        layers=[tok2vec],
        refs={"tok2vec": tok2vec, "head": None},
        dims={"nI": None, "nE": None, "nR": None, "nW": None},
        attrs={
            "width_embedding": width_embedding,
            "dropout": dropout,
            "context": context,
            "pooling": pooling,
            "remove_head": remove_head,
        },
    )


def init(model: Model[InputT, OutputT], X: Optional[InputT] = None, Y: Optional[OutputT] = None) -> None:
    """Make the head, once the dimensions are known."""
    if model.has_ref("head"):
        return
    module = SpertHead(
        model.get_dim("nI"),
        model.get_dim("nE"),
        model.get_dim("nR"),
        model.get_dim("nW"),
        width_embedding=model.attrs["width_embedding"],
        dropout=model.attrs["dropout"],
        context=model.attrs["context"],
        pooling=model.attrs["pooling"],
    )
    head: Model[HeadInputT, OutputT] = PyTorchWrapper(
        module, convert_inputs=convert_inputs, convert_outputs=convert_outputs
    )
    model._layers.append(head)
    model.set_ref("head", head)


def remove_head(model: Model[InputT, OutputT]) -> None:
    """Take the head away, so that the model can be initialized anew."""
    model._layers.remove(model.get_ref("head"))
    model.set_ref("head", None)


def forward(model: Model[InputT, OutputT], X: InputT, is_train: bool) -> Tuple[OutputT, Callable]:
    """Run the encoder on all documents in one call, then the head."""
    docs, candidates = X if isinstance(X, tuple) else (X, Search())
    if not model.has_ref("head"):
        raise ValueError(Errors.S026)
    tok2vec, head = model.get_ref("tok2vec"), model.get_ref("head")
    n_relations = model.get_dim("nR")
    if not any(len(doc) for doc in docs):
        return empty_scores(n_relations), lambda d_scores: docs
    if not is_train and is_listener(tok2vec) and isinstance(X, tuple):
        # The component must not take the zeros of a missing transformer for embeddings; `spacy debug model` may.
        check_transformer_output(docs)
    if is_train or is_listener(tok2vec):
        outputs, backprop_tok2vec = tok2vec(docs, is_train)
    else:
        outputs = predict_in_batches(tok2vec, docs)
    states, layout = get_layout(model.ops, docs, outputs)
    if states[0].shape[1] != model.get_dim("nI"):
        raise ValueError(Errors.S024.format(got=states[0].shape[1], width=model.get_dim("nI")))
    if isinstance(candidates, Samples):
        candidates = candidates.select(layout.covered(candidates.spans))
    scores, backprop_head = head((states, layout, candidates), is_train)
    if isinstance(scores, Scores):
        scores.cut = layout.cut

    def backprop(d_scores: Tuple[Floats2d, Floats2d]) -> List[Doc]:
        d_states = backprop_head(d_scores)
        grad_factor = tok2vec.attrs.get("grad_factor", 1.0)
        backprop_tok2vec(get_gradients(model.ops, docs, outputs, d_states, grad_factor))
        return docs

    return scores, backprop


def convert_inputs(model: Model, X: HeadInputT, is_train: bool) -> Tuple[ArgsKwargs, Callable]:
    """Arrays to torch; gradients of the embeddings back to arrays."""
    states, layout, candidates = X
    tensors = [xp2torch(state, requires_grad=is_train) for state in states]

    def backprop(gradients: ArgsKwargs) -> List[Floats2d]:
        # The shim returns the gradients in the form of the inputs. Nothing flows into an input that was not used.
        d_states = gradients.args[0]
        return [
            model.ops.alloc2f(*state.shape) if d_state is None else cast(Floats2d, torch2xp(d_state))
            for state, d_state in zip(states, d_states)
        ]

    return ArgsKwargs(args=(tensors, layout, candidates), kwargs={}), backprop


def convert_outputs(model: Model, X_Y: tuple, is_train: bool) -> Tuple[OutputT, Callable]:
    """Torch to arrays; gradients of the logits to torch."""
    (_, _, candidates), Y = X_Y
    if not isinstance(candidates, Samples):
        return Y, lambda d_scores: []

    def backprop(d_scores: Tuple[Floats2d, Floats2d]) -> ArgsKwargs:
        # Pairs without samples have no history that gradients could follow.
        used = [(tensor, xp2torch(grad)) for tensor, grad in zip(Y, d_scores) if tensor.requires_grad]
        tensors, gradients = zip(*used)
        return ArgsKwargs(args=(tensors,), kwargs={"grad_tensors": gradients})

    return (cast(Floats2d, torch2xp(Y[0])), cast(Floats2d, torch2xp(Y[1])), candidates), backprop


def empty_scores(n_relations: int) -> Scores:
    """Scores of a batch without tokens."""
    return Scores(
        spans=numpy.zeros((0, 2), dtype="int64"),
        span_labels=numpy.zeros(0, dtype="int64"),
        span_scores=numpy.zeros(0, dtype="float32"),
        pairs=numpy.zeros((0, 2), dtype="int64"),
        pair_scores=numpy.zeros((0, n_relations), dtype="float32"),
        dropped=numpy.zeros(0, dtype="int64"),
    )
