"""Updates a second at batch 2: transformer + spert through spaCy, beside the encoder alone in a plain torch loop with
torch.optim.AdamW, in turn, in one process. The plain loop has no classifiers, so it does less.

    python benchmarks/training_speed.py configs/spert.cfg encoder corpus/conll04/train.spacy
"""

import random
import statistics
import sys
import time
from typing import Callable, List

import spacy
import torch
from spacy.schemas import ConfigSchemaTraining
from spacy.training import Corpus
from spacy.training.initialize import init_nlp
from spacy.util import load_config, registry
from transformers import AutoModel, AutoTokenizer
from wasabi import msg

BATCH = 2
UPDATES = 30
ROUNDS = 5


def spacy_updates(config_path: str, encoder: str, corpus: str) -> Callable[[int], None]:
    paths = {"paths.encoder": encoder, "paths.train": corpus, "paths.dev": corpus, "system.gpu_allocator": None}
    nlp = init_nlp(load_config(config_path, overrides=paths, interpolate=False))
    training = registry.resolve(nlp.config.interpolate()["training"], schema=ConfigSchemaTraining)
    optimizer = training["optimizer"]
    examples = list(Corpus(corpus)(nlp))
    random.Random(0).shuffle(examples)

    def update(i: int) -> None:
        nlp.update(_batch(examples, i), sgd=False, losses={})
        for _, pipe in nlp.pipeline:
            pipe.finish_update(optimizer)
        optimizer.step_schedules()

    return update


def torch_updates(encoder: str, texts: List[str]) -> Callable[[int], None]:
    model = AutoModel.from_pretrained(encoder).train()
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5)

    def update(i: int) -> None:
        inputs = tokenizer(_batch(texts, i), return_tensors="pt", padding=True)
        model(**inputs).last_hidden_state.square().mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return update


def _batch(items: list, i: int) -> list:
    start = i * BATCH % (len(items) - BATCH)
    return items[start : start + BATCH]


def measure(config_path: str, encoder: str, corpus: str) -> None:
    texts = [example.reference.text for example in Corpus(corpus)(spacy.blank("en"))]
    random.Random(0).shuffle(texts)
    candidates = {
        "transformer + spert": spacy_updates(config_path, encoder, corpus),
        "encoder alone, torch": torch_updates(encoder, texts),
    }
    rates = {name: [] for name in candidates}
    for update in candidates.values():
        for i in range(5):
            update(i)
    for round_ in range(ROUNDS):
        for name, update in candidates.items():
            start = time.perf_counter()
            for i in range(UPDATES):
                update(5 + round_ * UPDATES + i)
            rates[name].append(UPDATES / (time.perf_counter() - start))
    rows = [(name, f"{statistics.median(r):.2f}", f"{min(r):.2f} - {max(r):.2f}") for name, r in rates.items()]
    ratios = [ours / theirs for ours, theirs in zip(*rates.values())]
    rows.append(("ratio", f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f} - {max(ratios):.2f}"))
    msg.table(rows, header=("updates a second", "median", "range"), divider=True, aligns=("l", "r", "r"))


if __name__ == "__main__":
    measure(*sys.argv[1:])
