"""Threads of torch in child processes, and several threads with one pipeline."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import forked
import pytest
from util import TEXTS, prediction

SENTENCES = [text for text, _, _ in TEXTS] * 4

CHILDREN = """
import json, multiprocessing, os, sys
import spacy, torch
import spacy_spert.factories, spacy_spert.ml.model, spacy_transformers

def report(queue):
    queue.put(torch.get_num_threads())

def count(how):
    if how == "os.fork":
        reader, writer = os.pipe()
        if not os.fork():
            os.write(writer, str(torch.get_num_threads()).encode())
            os._exit(0)
        os.wait()
        return int(os.read(reader, 10))
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=report, args=(queue,))
    process.start()
    process.join()
    return queue.get()

torch.set_num_threads(3)
found = {"imported": [count("os.fork"), count("multiprocessing")]}
nlp = spacy.blank("xx")
pipe = nlp.add_pipe("spert")
found["made"] = [count("os.fork"), count("multiprocessing")]
found["parent"] = torch.get_num_threads()
nlp.remove_pipe("spert")
del pipe
import gc
gc.collect()
found["gone"] = [count("os.fork"), count("multiprocessing")]
print(json.dumps(found))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_only_workers_of_a_component_get_one_thread():
    found = json.loads(forked.run(["-c", CHILDREN], check=True).stdout)
    assert found == {"imported": [3, 3], "made": [3, 1], "parent": 3, "gone": [3, 3]}


def test_processes_after_a_prediction(trained):
    expected = [prediction(trained(text))[0] for text in SENTENCES]
    assert [prediction(doc)[0] for doc in trained.pipe(SENTENCES, n_process=2, batch_size=4)] == expected


def test_threads_with_a_lock_give_the_same_to_the_last_bit(trained):
    """The pattern of docs/threads.md."""
    lock = Lock()
    expected = [prediction(trained(text)) for text in SENTENCES]

    def predict(text):
        with lock:
            return prediction(trained(text))

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(predict, SENTENCES)) == expected


def test_one_thread_for_the_pipeline_gives_the_same_to_the_last_bit(trained):
    """The other pattern of docs/threads.md: requests of many threads, one that answers them."""
    expected = [prediction(trained(text)) for text in SENTENCES]
    with ThreadPoolExecutor(8) as threads, ThreadPoolExecutor(1) as owner:
        answers = threads.map(lambda text: owner.submit(trained, text).result(), SENTENCES)
        assert [prediction(doc) for doc in answers] == expected
