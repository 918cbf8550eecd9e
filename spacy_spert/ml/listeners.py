"""What a model listens to, and whether there was something to hear: a listener without it silently gives zeros."""

from typing import List, Sequence

from spacy.pipeline.tok2vec import Tok2VecListener
from spacy.tokens import Doc
from spacy_transformers.layers import TransformerListener
from thinc.api import Model

from ..errors import Errors
from ..relations import describe_doc
from .listening import is_curated_listener


def check_listeners(model: Model, docs: Sequence[Doc]) -> None:
    """Make sure that the documents passed through what the model listens to, wherever in it the listeners are.

    model (Model): The component's model, or its encoder.
    docs (Sequence[Doc]): The batch.
    RAISES (ValueError): If the output of a transformer is missing or of another package than the listener, or that of a
        tok2vec component is missing.
    """
    nodes: List[Model] = list(model.walk())
    # By what the output has, as spacy-curated-transformers may not be installed.
    expected = {
        "model_output": any(isinstance(node, TransformerListener) for node in nodes),
        "last_hidden_layer_state": any(map(is_curated_listener, nodes)),
    }
    for attribute in (attribute for attribute, is_needed in expected.items() if is_needed):
        for doc in docs:
            if len(doc):
                data = doc._.trf_data if doc.has_extension("trf_data") else None
                if data is None:
                    raise ValueError(Errors.S022.format(doc=describe_doc(doc)))
                if not hasattr(data, attribute):
                    raise ValueError(Errors.S023.format(doc=describe_doc(doc), value=type(data)))
    if any(isinstance(node, Tok2VecListener) for node in nodes):
        for doc in docs:
            if len(doc) and len(doc.tensor) != len(doc):
                raise ValueError(Errors.S018.format(doc=describe_doc(doc)))
