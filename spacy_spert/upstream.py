"""The components before this one: the encoder that it reads, and those that mark sentences.

Imported with the factory, so neither torch nor transformers are imported here.
"""

import json
from itertools import takewhile
from typing import Any, Callable, Dict, List, Optional, cast

from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.tokens import Doc
from thinc.api import Model

from .errors import Errors
from .ml.listening import is_curated_listener, upstream_name

# White space that BERT's tokenizer deletes.
DELETED = "[\x0b\x0c\x1c-\x1f\x85]"
# The listeners to the transformers of both packages, as a config has them.
WORDPIECES = '@architectures = "spacy-spert.WordpieceListener.v1"'
CURATED = '@architectures = "spacy-spert.CuratedListener.v1" and its width, as in docs/encoders.md,'


def components_before(nlp: Language, pipe: Pipe) -> Dict[str, Pipe]:
    """The components that documents pass through before another, also those that are disabled: frozen ones are, while a
    pipeline is initialized.

    nlp (Language): The pipeline.
    pipe (Pipe): The other component.
    RETURNS (Dict[str, Pipe]): Names and components, in order.
    """
    before = takewhile(lambda component: component[1] is not pipe, nlp.components)
    return cast(Dict[str, Pipe], dict(before))


def keep_words_apart(transformer: Model) -> None:
    """Make a transformer's tokenizer take all white space for blanks. BERT's deletes some of it as control characters,
    form feeds among them, and the words before and behind would be one.

    transformer (Model): The transformer, loaded. Its tokenizer is stored with it.
    """
    backend: Any = getattr(getattr(transformer, "tokenizer", None), "backend_tokenizer", None)
    normalizer = getattr(backend, "normalizer", None)
    if normalizer is None or normalizer.normalize_str("a\fb") != "ab":
        return
    state = json.loads(backend.to_str())
    # Character by character, so that offsets stay.
    blanks = {"type": "Replace", "pattern": {"Regex": DELETED}, "content": " "}
    state["normalizer"] = {"type": "Sequence", "normalizers": [blanks, state["normalizer"]]}
    backend.normalizer = type(backend).from_str(json.dumps(state)).normalizer


def find_transformer(model: Model, nlp: Language, pipe: Pipe, name: str) -> Optional[Model]:
    """Make sure that a listener has a component to listen to. A transformer of the component's own is loaded.

    model (Model): The component's model.
    nlp (Language): The pipeline.
    pipe (Pipe): The component.
    name (str): Its name, for messages.
    RETURNS (Optional[Model]): The transformer it reads, that of another component or its own; None if its encoder is of
        another kind.
    RAISES (ValueError): If there is nothing to listen to, or nothing of the right kind.
    """
    listeners = [node for node in model.walk() if upstream_name(node) is not None]
    if not listeners:
        own = next((node for node in model.walk() if hasattr(node, "tokenizer")), None)
        if own is not None:
            own.initialize()
            check_precision(own, name)
        return own
    before = components_before(nlp, pipe)
    for other in before.values():
        if listeners[0] in getattr(other, "listeners", ()):
            upstream = getattr(other, "model", None)
            if is_curated_listener(listeners[0]):
                width, expected = listeners[0].maybe_get_dim("nO"), upstream.get_dim("nO")  # type: ignore[union-attr]
                if width != expected:
                    text = Errors.S031.format(
                        setting="model.tok2vec.width", name=name, expected=f"the transformer's, {expected}", value=width
                    )
                    raise ValueError(text)
                return upstream
            if not hasattr(upstream, "tokenizer"):
                return None
            check_precision(upstream, name)
            return upstream
    wanted = upstream_name(listeners[0])
    if wanted not in ("*", *before):
        raise ValueError(Errors.S035.format(name=name, upstream=wanted, names=list(before)))
    is_curated = is_curated_listener(listeners[0])
    factories = ("transformer", WORDPIECES) if is_curated else ("curated_transformer", CURATED)
    for other_name in before:
        factory = nlp.get_pipe_meta(other_name).factory
        if factory == factories[0]:
            raise ValueError(Errors.S021.format(name=name, upstream=other_name, factory=factory, listener=factories[1]))
    raise ValueError((Errors.S171 if is_curated else Errors.S020).format(name=name))


def check_precision(transformer: Any, name: str) -> None:
    """Make sure that arrays can hold what a transformer gives.

    transformer (Model): The model of a transformer component.
    name (str): Name of the component that reads it, for messages.
    RAISES (ValueError): If it works in bfloat16, which numpy does not have.
    """
    dtype = str(getattr(transformer.transformer, "dtype", ""))
    if dtype == "torch.bfloat16":
        raise ValueError(Errors.S161.format(name=name, dtype=dtype))


def sentence_annotators(nlp: Language, pipe: Pipe) -> List[Callable[[Doc], Doc]]:
    """Components that mark sentences by rule while training, such as the sentencizer.

    nlp (Language): The pipeline.
    pipe (Pipe): The component before which they must come.
    RETURNS (List[Callable[[Doc], Doc]]): Those of them in `training.annotating_components`.
    """
    annotators: List[Callable[[Doc], Doc]] = []
    chosen = nlp.config["training"]["annotating_components"]
    for name, other in components_before(nlp, pipe).items():
        marks = "token.is_sent_start" in nlp.get_pipe_meta(name).assigns
        if name in chosen and marks and not getattr(other, "is_trainable", False):
            annotators.append(other)
    return annotators


def encoder_width(tok2vec: Model, docs: List[Doc], transformer: Optional[Model], name: str) -> int:
    """Initialize an encoder of the component's own, and find out how wide the embeddings are.

    tok2vec (Model): The component's encoder, or its listener.
    docs (List[Doc]): Some documents that are not empty.
    transformer (Optional[Model]): The transformer that it reads, if it does.
    name (str): Name of the component, for messages.
    RETURNS (int): The width.
    RAISES (ValueError): If there is nothing to listen to.
    """
    if transformer is not None:
        return transformer.get_dim("nO")
    if hasattr(tok2vec, "upstream_name") and not tok2vec.has_dim("nO"):
        raise ValueError(Errors.S020.format(name=name))
    tok2vec.initialize(X=docs)
    if tok2vec.has_dim("nO"):
        return tok2vec.get_dim("nO")
    # Imports torch.
    from .ml.encoders import find_adapter

    output = tok2vec.predict(docs[:1])[0]
    return find_adapter(docs[0], output).pieces(tok2vec.ops, docs[0], output).states.shape[1]
