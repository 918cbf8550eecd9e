"""A pipeline that knows TEXTS, and a real server before it."""

import threading
import time
from contextlib import contextmanager

import httpx
import pytest
import spacy
import uvicorn
from spacy.language import Language
from util import CNN, SYMMETRIC, initialize, train

from spacy_spert.serving.app import create_app


class Control:
    """What the component below does: texts that begin with "Wait" wait until they may go on."""

    def __init__(self):
        self.go_on = threading.Event()
        self.texts = []
        self.threads = set()

    def see(self, doc):
        self.threads.add(threading.get_ident())
        self.texts.append(doc.text)
        if doc.text.startswith("Wait"):
            assert self.go_on.wait(60)
        if doc.text.startswith("Fail"):
            raise RuntimeError("no such text")
        return doc


CONTROL = Control()


@Language.component("test_controlled")
def controlled(doc):
    return CONTROL.see(doc)


@pytest.fixture
def control():
    CONTROL.__init__()
    yield CONTROL
    CONTROL.go_on.set()


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    nlp = spacy.blank("xx")
    tok2vec = {**CNN, "width": 32, "window_size": 2}
    nlp.add_pipe("spert", config={"symmetric_labels": SYMMETRIC, "model": {"dropout": 0.0, "tok2vec": tok2vec}})
    initialize(nlp)
    train(nlp, 60)
    nlp.add_pipe("test_controlled", first=True)
    path = tmp_path_factory.mktemp("serving") / "model"
    nlp.to_disk(path)
    return path


@contextmanager
def serving(model, **settings):
    """A server on a port of its own, and a client."""
    app = create_app(model, **settings)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=10))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            client.app = app
            yield client
    finally:
        CONTROL.go_on.set()
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def client(model):
    with serving(model) as client:
        yield client
