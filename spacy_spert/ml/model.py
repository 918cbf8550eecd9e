"""The thinc model: documents in, scores of candidates out."""

from typing import Callable, List, NamedTuple, Optional, Tuple, Union, cast, get_args

from spacy.tokens import Doc
from thinc.api import ArgsKwargs, Model, PyTorchWrapper, torch2xp, xp2torch
from thinc.types import Floats2d

from ..decoding import Decoder
from ..errors import Errors
from ..sampling import Pairing
from .arrays import Given, Layout, Samples, Scores, no_ints, no_rows
from .encoders import get_gradients, get_layout, predict_in_batches
from .encoders.transformer import as_wordpiece_layer, is_listener
from .heads import Sizes, check_dropout, check_size
from .listeners import check_listeners
from .mixer import MixerBuilder
from .network import SpertNetwork
from .plans import ContextT
from .pooling import PoolingT
from .relation_head import RelationHeadBuilder, build_relation_head
from .span_head import SpanHeadBuilder, build_span_head

# What to learn from depends on which tokens the encoder sees.
Sampler = Callable[[Layout], Samples]
# Training: logits of spans and pairs of each pass, and the samples they belong to.
SampleScores = Tuple[Floats2d, Floats2d, Samples]


class Search(NamedTuple):
    """How to look for entities and relations in new text.

    decoder (Decoder): Says what is an entity and what is paired.
    given (Optional[Given]): Entities to relate; by default they are found.
    """

    decoder: Decoder = Decoder(entities_per_token=1.0)
    given: Optional[Given] = None


class Training(NamedTuple):
    """What to learn from a batch.

    sampler (Sampler): Makes the samples: spans, and the pairs that are related.
    pairing (Optional[Pairing]): Chooses further pairs of these spans; by default there are none.
    passes (int): How often to score the samples, each time with a dropout of its own.
    """

    sampler: Sampler
    pairing: Optional[Pairing] = None
    passes: int = 1


InputT = Union[List[Doc], Tuple[List[Doc], Union[Training, Search]]]
OutputT = Union[Scores, SampleScores]
HeadInputT = Tuple[List[Floats2d], Layout, Samples, Optional[Pairing], int]


def build_spert(
    tok2vec: Model,
    span_head: Optional[SpanHeadBuilder] = None,
    relation_head: Optional[RelationHeadBuilder] = None,
    width_embedding: int = 25,
    dropout: float = 0.1,
    context: ContextT = "localized",
    pooling: PoolingT = "max",
    mixer: Optional[MixerBuilder] = None,
    shapes: bool = False,
) -> Model[InputT, OutputT]:
    """Build the SpERT model (Eberts & Ulges, ECAI 2020). Register name: "spacy-spert.Spert.v1".

    Input is a list of documents, alone or together with the Training or the Search to do.
    Output is, for Training, the logits of spans and pairs and the samples they belong to; otherwise the Scores of
    what was found.

    tok2vec (Model): The encoder: a `spacy-spert.WordpieceListener.v1`, or any Model[List[Doc], List[Floats2d]].
    span_head (Optional[SpanHeadBuilder]): The span classifier; by default that of the paper.
    relation_head (Optional[RelationHeadBuilder]): The relation classifier; by default that of the paper.
    width_embedding (int): Width of the learned embedding of a span's width in tokens.
    dropout (float): Dropout in the heads, from 0 to 1. `training.dropout` has no effect on it.
    context (str): What a relation sees between head and tail: the wordpieces between them ("localized"), the whole
        sentence ("sentence"), or the special token of the sentence ("cls").
    pooling (str): How the wordpieces of a span become one vector: "max", "mean" or "sum".
    mixer (Optional[MixerBuilder]): A layer between the encoder and the heads, in which the wordpieces of a sentence see
        their neighbours; by default there is none.
    shapes (bool): Whether a learned embedding of the shape of each token, such as "Xxxxx" or "dd", is added to its
        wordpieces: for encoders that see lower case only.
    RETURNS (Model[InputT, OutputT]): The model. It has no weights until its dimensions nI (width of the embeddings),
        nE (entity labels), nR (relation labels) and nW (widest span) are set and it is initialized.
    """
    for setting, value, holds, expected in (
        ("context", context, context in get_args(ContextT), f"one of {get_args(ContextT)}"),
        ("pooling", pooling, pooling in get_args(PoolingT), f"one of {get_args(PoolingT)}"),
    ):
        if not holds:
            raise ValueError(Errors.S031.format(setting=setting, name="spert", expected=expected, value=value))
    check_size("width_embedding", width_embedding)
    check_dropout("dropout", dropout)
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
            "span_head": span_head or build_span_head(),
            "relation_head": relation_head or build_relation_head(),
            "mixer": mixer,
            "shapes": shapes,
            "remove_head": remove_head,
        },
    )


def init(model: Model[InputT, OutputT], X: Optional[InputT] = None, Y: Optional[OutputT] = None) -> None:
    """Make the head, once the dimensions are known."""
    if model.has_ref("head"):
        return
    sizes = Sizes(
        width=model.get_dim("nI"),
        n_entity_labels=model.get_dim("nE"),
        n_relation_labels=model.get_dim("nR"),
        max_span_width=model.get_dim("nW"),
        width_embedding=model.attrs["width_embedding"],
        dropout=model.attrs["dropout"],
    )
    network = SpertNetwork(
        sizes,
        model.attrs["span_head"],
        model.attrs["relation_head"],
        context=model.attrs["context"],
        pooling=model.attrs["pooling"],
        mixer=model.attrs["mixer"],
        shapes=model.attrs["shapes"],
    )
    head: Model[HeadInputT, SampleScores] = PyTorchWrapper(
        network, convert_inputs=convert_inputs, convert_outputs=convert_outputs
    )
    model.layers.append(head)
    model.set_ref("head", head)


def remove_head(model: Model[InputT, OutputT]) -> None:
    """Take the head away, so that the model can be initialized anew."""
    model.layers.remove(model.get_ref("head"))
    model.set_ref("head", None)


def get_network(model: Model[InputT, OutputT]) -> SpertNetwork:
    """The torch module of an initialized model.

    model (Model[InputT, OutputT]): The model.
    RETURNS (SpertNetwork): Its network.
    """
    # Shims have no public access to the module that they wrap.
    return model.get_ref("head").shims[0]._model


def forward(model: Model[InputT, OutputT], X: InputT, is_train: bool) -> Tuple[OutputT, Callable]:
    """Run the encoder on all documents in one call, then the head."""
    if not model.has_ref("head"):
        raise ValueError(Errors.S026)
    docs, task = X if isinstance(X, tuple) else (X, Search())
    if isinstance(task, Search):
        # `spacy debug model` gives nothing but documents, and may take zeros of a missing transformer for embeddings.
        return search(model, docs, task, check=isinstance(X, tuple)), lambda d_scores: docs
    return learn(model, docs, task)


def search(model: Model[InputT, OutputT], docs: List[Doc], task: Search, check: bool = True) -> Scores:
    """Find entities and score pairs of them.

    model (Model[InputT, OutputT]): The model.
    docs (List[Doc]): The documents.
    task (Search): What to look for.
    check (bool): Whether to make sure that there is a transformer.
    RETURNS (Scores): What was found.
    RAISES (ValueError): If the encoder's output is missing or not as expected.
    """
    if not any(len(doc) for doc in docs):
        no_floats = no_ints().astype("float32")
        return Scores(no_rows(), no_ints(), no_floats, no_rows(), no_floats.reshape(0, model.get_dim("nR")))
    tok2vec = model.get_ref("tok2vec")
    if check:
        check_listeners(tok2vec, docs)
    outputs = tok2vec.predict(docs) if is_listener(tok2vec) else predict_in_batches(tok2vec, docs)
    states, layout = read_outputs(model, docs, outputs)
    return get_network(model).search([xp2torch(state) for state in states], layout, task.decoder, task.given)


def learn(
    model: Model[InputT, OutputT], docs: List[Doc], task: Training
) -> Tuple[SampleScores, Callable[[Tuple[Floats2d, Floats2d]], List[Doc]]]:
    """Score the samples of a training batch.

    model (Model[InputT, OutputT]): The model.
    docs (List[Doc]): The documents, at least one of them not empty.
    task (Training): What to learn.
    RETURNS (Tuple[SampleScores, Callable]): Logits and samples, and what takes the gradients of the logits.
    """
    tok2vec, head = model.get_ref("tok2vec"), model.get_ref("head")
    outputs, backprop_tok2vec = tok2vec.begin_update(docs)
    states, layout = read_outputs(model, docs, outputs)
    inputs = states, layout, task.sampler(layout), task.pairing, task.passes
    scores, backprop_head = head.begin_update(inputs)

    def backprop(d_scores: Tuple[Floats2d, Floats2d]) -> List[Doc]:
        d_states = backprop_head(d_scores)
        # Listeners of other packages multiply on their own.
        grad_factor = tok2vec.attrs.get("grad_factor", 1.0) if is_listener(tok2vec) else 1.0
        backprop_tok2vec(get_gradients(model.ops, docs, outputs, d_states, grad_factor))
        return docs

    return scores, backprop


def read_outputs(model: Model[InputT, OutputT], docs: List[Doc], outputs: List) -> Tuple[List[Floats2d], Layout]:
    """The encoder's output in the order of the tokens.

    model (Model[InputT, OutputT]): The model.
    docs (List[Doc]): The documents.
    outputs (List): The encoder's output for each.
    RETURNS (Tuple[List[Floats2d], Layout]): See `get_layout`.
    RAISES (ValueError): If the output is not that of the encoder the model was made for.
    """
    states, layout = get_layout(model.ops, docs, outputs, shapes=model.attrs["shapes"])
    if states[0].shape[1] != model.get_dim("nI"):
        raise ValueError(Errors.S024.format(got=states[0].shape[1], width=model.get_dim("nI")))
    return states, layout


def convert_inputs(model: Model, X: HeadInputT, is_train: bool) -> Tuple[ArgsKwargs, Callable]:
    """Arrays to torch; gradients of the embeddings back to arrays."""
    states, *rest = X
    tensors = [xp2torch(state, requires_grad=is_train) for state in states]

    def backprop(gradients: ArgsKwargs) -> List[Floats2d]:
        # The shim returns the gradients in the form of the inputs. Nothing flows into an input that was not used.
        d_states = gradients.args[0]
        return [
            model.ops.alloc2f(*state.shape) if d_state is None else cast(Floats2d, torch2xp(d_state))
            for state, d_state in zip(states, d_states)
        ]

    return ArgsKwargs(args=(tensors, *rest), kwargs={}), backprop


def convert_outputs(model: Model, X_Y: tuple, is_train: bool) -> Tuple[SampleScores, Callable]:
    """Torch to arrays; gradients of the logits to torch."""
    _, (*tensors, samples) = X_Y

    def backprop(d_scores: Tuple[Floats2d, Floats2d]) -> ArgsKwargs:
        # Pairs without samples have no history that gradients could follow.
        used = [(tensor, xp2torch(grad)) for tensor, grad in zip(tensors, d_scores) if tensor.requires_grad]
        outputs, gradients = zip(*used)
        return ArgsKwargs(args=(outputs,), kwargs={"grad_tensors": gradients})

    span_logits, pair_logits = (cast(Floats2d, torch2xp(tensor)) for tensor in tensors)
    return (span_logits, pair_logits, samples), backprop
