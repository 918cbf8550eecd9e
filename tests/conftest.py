import pytest

pytest.register_assert_rewrite("util", "original")

from util import SYMMETRIC, TEXTS, initialize, make_encoder, make_nlp, train  # noqa: E402

from spacy_spert import install_extension  # noqa: E402

# Most tests read doc._.relations, also of documents that no pipeline has made.
install_extension()


@pytest.fixture(scope="session")
def encoder(tmp_path_factory):
    """Folder with a tiny random transformer."""
    path = tmp_path_factory.mktemp("encoder") / "tiny"
    make_encoder(path, [word for text, _, _ in TEXTS for word in text.split()])
    return path


@pytest.fixture(scope="session")
def overfitted(encoder):
    """A pipeline trained until it knows TEXTS by heart, and its losses. Not to be changed: see util.clone."""
    nlp = make_nlp(encoder, symmetric_labels=SYMMETRIC, max_span_width=4, model={"dropout": 0.0, "width_embedding": 8})
    initialize(nlp)
    losses = train(nlp, 60)
    return nlp, losses


@pytest.fixture(scope="session")
def trained(overfitted):
    return overfitted[0]
