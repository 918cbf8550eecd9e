import pytest
import spacy
from util import SYMMETRIC, initialize, train


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A pipeline without a transformer that knows TEXTS."""
    tok2vec = {"@architectures": "spacy.HashEmbedCNN.v2", "width": 32, "depth": 1, "embed_size": 200}
    tok2vec.update(window_size=2, maxout_pieces=2, subword_features=True, pretrained_vectors=None)
    nlp = spacy.blank("xx")
    nlp.add_pipe("spert", config={"symmetric_labels": SYMMETRIC, "model": {"dropout": 0.0, "tok2vec": tok2vec}})
    initialize(nlp)
    train(nlp, 60)
    path = tmp_path_factory.mktemp("model") / "model"
    nlp.to_disk(path)
    return path


@pytest.fixture(scope="module")
def nlp(model):
    return spacy.load(model)
