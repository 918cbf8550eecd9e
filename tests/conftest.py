import os
import shutil

import pytest
import spacy

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


@pytest.fixture(scope="module")
def chromium():
    """A headless browser: the one that the variable CHROME names, or else a Chromium or Chrome on the path."""
    names = (os.environ.get("CHROME"), "chromium", "chromium-browser", "google-chrome", "chrome")
    program = next(filter(None, map(shutil.which, filter(None, names))), None)
    if program is None:
        pytest.skip("There is no Chromium; the variable CHROME can name one")
    from playwright.sync_api import sync_playwright

    # Not for the session: while it runs, nothing else can run an event loop in this thread.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture
def complaints():
    """What pages of `open_page` wrote to the console: errors, breaches of the policy, anything a script wrote."""
    return []


@pytest.fixture
def open_page(chromium, complaints):
    """Opens pages, each in a window of its own, at the width of a desk or of a phone, with a light or dark scheme."""
    contexts = []

    def dismiss(dialog):
        complaints.append(dialog.message)
        dialog.dismiss()

    def open_page(url, width=1280, height=800, dark=False):
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            is_mobile=width < 500,
            has_touch=width < 500,
            color_scheme="dark" if dark else "light",
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", dismiss)
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def cnn_model(tmp_path_factory):
    """A pipeline without a transformer that knows TEXTS."""
    tok2vec = {"@architectures": "spacy.HashEmbedCNN.v2", "width": 32, "depth": 1, "embed_size": 200}
    tok2vec.update(window_size=2, maxout_pieces=2, subword_features=True, pretrained_vectors=None)
    nlp = spacy.blank("xx")
    nlp.add_pipe("spert", config={"symmetric_labels": SYMMETRIC, "model": {"dropout": 0.0, "tok2vec": tok2vec}})
    initialize(nlp)
    train(nlp, 60)
    path = tmp_path_factory.mktemp("cnn") / "model"
    nlp.to_disk(path)
    return path
