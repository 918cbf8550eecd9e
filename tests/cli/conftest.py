import pytest
import spacy


@pytest.fixture(scope="module")
def model(cnn_model):
    return cnn_model


@pytest.fixture(scope="module")
def nlp(model):
    return spacy.load(model)
