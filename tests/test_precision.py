"""Encoders that work in half precision."""

import pytest
import torch
from util import TEXTS, clone, entities_of, initialize, make_nlp, torch_encoder


def test_float16(trained):
    nlp = clone(trained)
    texts = [text for text, _, _ in TEXTS]
    expected = [entities_of(doc) for doc in nlp.pipe(texts)]
    torch_encoder(nlp).half()
    docs = list(nlp.pipe(texts))
    assert docs[0]._.trf_data.model_output["last_hidden_state"].dtype == "float16"
    assert [entities_of(doc) for doc in docs] == expected
    assert [doc.spans["spert"].attrs["scores"].dtype for doc in docs] == ["float32"] * len(docs)


def test_bfloat16_is_refused_when_a_training_begins(encoder):
    """Numpy does not have it."""
    nlp = make_nlp(encoder)
    transformer = nlp.get_pipe("transformer")
    transformer.model.initialize()
    torch_encoder(nlp).to(torch.bfloat16)
    with pytest.raises(ValueError, match="S161.*works in torch.bfloat16.*Load it in float32 or float16"):
        initialize(nlp)
