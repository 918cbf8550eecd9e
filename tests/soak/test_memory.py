"""Long runs need no more memory than short ones: processing and training.

Each test runs twice: a short run with the others, and the long one with `make soak`.
"""

import gc
import random
from itertools import islice
from pathlib import Path

import pytest
import torch
from spacy.util import load_config, registry
from util import SYMMETRIC, TEXTS, finish_update, initialize, make_examples, make_nlp

CONFIG = Path(__file__).parents[2] / "configs" / "spert.cfg"
# Most that resident memory may grow after the warm-up. What it grows at all is freed and not given back.
LIMIT_MB = 32
# Python's objects don't vary that much: some caches fill late.
LIMIT_OBJECTS = 200
WORDS = sorted({word for text, _, _ in TEXTS for word in text.split()})

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")


@pytest.fixture
def nlp(encoder):
    """Untrained, it finds as much as it may in each text."""
    return initialize(make_nlp(encoder, symmetric_labels=SYMMETRIC, max_span_width=4))


def sizes(short, long):
    return pytest.mark.parametrize(
        "warm_up, n", [pytest.param(*short, id="short"), pytest.param(*long, id="long", marks=pytest.mark.soak)]
    )


class Growth:
    """What has come since: memory in MB, Python's objects, and tensors among them, which are seen best."""

    def __init__(self):
        self.before = self.now()

    def now(self):
        gc.collect()
        objects = gc.get_objects()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * 4096 / 1e6, len(objects), sum(type(item) is torch.Tensor for item in objects)

    def check(self):
        memory, objects, tensors = (now - before for before, now in zip(self.before, self.now()))
        assert tensors <= 0 and objects < LIMIT_OBJECTS and memory < LIMIT_MB


def make_texts(words=WORDS):
    """Short texts without end, of few words, hardly any twice."""
    chance = random.Random(0)
    while True:
        yield " ".join(chance.choices(words, k=chance.randint(4, 12)))


def run_over(docs, n):
    """RETURNS (int): How many relations the next documents have."""
    return sum(len(doc._.relations) for doc in islice(docs, n))


@sizes(short=(500, 2000), long=(10_000, 100_000))
def test_processing(nlp, warm_up, n):
    """Memory stays the same, and the vocabulary holds no string but those that the tokenizer makes of the texts."""
    nlp.make_doc(" ".join(WORDS))
    strings = set(nlp.vocab.strings)
    docs = nlp.pipe(make_texts(), batch_size=100)
    assert run_over(docs, warm_up) > warm_up
    growth = Growth()
    assert run_over(docs, n - warm_up) > n - warm_up
    growth.check()
    assert set(nlp.vocab.strings) == strings


@sizes(short=(500, 2000), long=(10_000, 100_000))
def test_processing_in_memory_zones(nlp, warm_up, n):
    """Within memory zones even words that are always new don't stay."""
    strings = set(nlp.vocab.strings)
    numbers = iter(range(n * 20))
    growth = None
    for start in range(0, n, 500):
        if start == warm_up:
            growth = Growth()
        with nlp.memory_zone():
            texts = [f"{text} Word{next(numbers)} ." for text in islice(make_texts(), 500)]
            assert run_over(nlp.pipe(texts, batch_size=100), 500) > 500
    assert growth is not None
    growth.check()
    assert set(nlp.vocab.strings) == strings


@sizes(short=(20, 60), long=(200, 2000))
def test_training(nlp, warm_up, n):
    """With the optimizer of the paper's config."""
    optimizer = registry.resolve({"optimizer": load_config(CONFIG)["training"]["optimizer"]})["optimizer"]
    make_examples(nlp)
    strings = set(nlp.vocab.strings)
    chance = random.Random(0)
    growth = None
    for step in range(n):
        if step == warm_up:
            growth = Growth()
        examples = [make_examples(nlp, [text])[0] for text in chance.sample(TEXTS, 2)]
        losses = nlp.update(examples, sgd=False, drop=0.1, losses={})
        finish_update(nlp, optimizer)
        assert losses["spert"] > 0
    del examples, losses
    assert growth is not None
    growth.check()
    assert set(nlp.vocab.strings) == strings
