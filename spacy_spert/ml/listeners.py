"""What a model listens to, and whether there was something to hear: a listener without it silently gives zeros."""

from typing import List, Sequence

from spacy.pipeline.tok2vec import Tok2VecListener
from spacy.tokens import Doc
from spacy_transformers.data_classes import TransformerData
from spacy_transformers.layers import TransformerListener
from thinc.api import Model

from ..errors import Errors
from ..relations import describe_doc


def check_listeners(model: Model, docs: Sequence[Doc]) -> None:
    """Make sure that the documents passed through what the model listens to, wherever in it the listeners are.

    model (Model): The component's model, or its encoder.
    docs (Sequence[Doc]): The batch.
    RAISES (ValueError): If the output of a transformer is missing or not from spacy-transformers, or that of a tok2vec
        component is missing.
    """
    kinds: List[type] = [type(node) for node in model.walk()]
    if any(issubclass(kind, TransformerListener) for kind in kinds):
        for doc in docs:
            if len(doc):
                data = doc._.trf_data if doc.has_extension("trf_data") else None
                if data is None:
                    raise ValueError(Errors.S022.format(doc=describe_doc(doc)))
                if not isinstance(data, TransformerData):
                    raise ValueError(Errors.S023.format(doc=describe_doc(doc), value=type(data)))
    if any(issubclass(kind, Tok2VecListener) for kind in kinds):
        for doc in docs:
            if len(doc) and len(doc.tensor) != len(doc):
                raise ValueError(Errors.S018.format(doc=describe_doc(doc)))
