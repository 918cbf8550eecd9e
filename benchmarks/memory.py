"""Memory of the network above that of its encoder: it is run on embeddings that are there already."""

from typing import Any, Tuple

import numpy
import torch
from spacy.util import fix_random_seed
from thinc.api import get_torch_default_device

from spacy_spert.decoding import Decoder
from spacy_spert.ml.arrays import Layout, Samples
from spacy_spert.ml.heads import Sizes
from spacy_spert.ml.network import SpertNetwork
from spacy_spert.ml.relation_head import build_relation_head
from spacy_spert.ml.span_head import build_span_head
from spacy_spert.sampling import Pairing, Sampling, sample_spans

from .measure import Spread, peak_memory
from .pipelines import Setup, shift_bias
from .report import Result, Row, Target

BY_LENGTH = "Memory by the length of a sentence with 20 entities: peak in MB"
BY_ENTITIES = "Memory by the number of entities in a sentence of 200 words: peak in MB"
LENGTHS = (25, 50, 100, 200, 300, 400)
ENTITIES = (0, 5, 10, 20, 50, 100, 200)
WIDTH, MAX_SPAN_WIDTH, N_ENTITY_LABELS, N_RELATION_LABELS = 768, 10, 4, 5
PIECES_PER_WORD = 1.3
TARGET = 24.0


def measure(setup: Setup) -> Result:
    """Measure sentences of several lengths and with several numbers of entities.

    setup (Setup): The setup. The memory of an encoder of base size is measured too, if the setup has one.
    RETURNS (Result): The result.
    """
    lengths, counts = (LENGTHS[:2], ENTITIES[3:4]) if setup.quick else (LENGTHS, ENTITIES)
    base = _base_encoder(setup) if setup.base else None
    by_length = [_measure(length, 20) for length in lengths]
    if base is not None:
        for row in by_length:
            ids = torch.ones((1, row["wordpieces"]), dtype=torch.int64, device=get_torch_default_device())
            row["encoder alone"] = _megabytes(peak_memory(lambda ids=ids: _predict(base, ids)))  # type: ignore[misc]
    by_entities = [_measure(200, count) for count in counts]
    result = Result({BY_LENGTH: by_length, BY_ENTITIES: by_entities})
    for row in by_entities:
        if row["entities"] == 20:
            what = f"MB of the head, one sentence of 200 words, {WIDTH} wide, widest span 10, 20 entities"
            result.targets.append(Target(f"{what}: prediction", Spread([row["prediction"]]), TARGET))
            result.targets.append(Target(f"{what}: training", Spread([row["training"]]), TARGET))
    return result


def _measure(n_words: int, n_entities: int) -> Row:
    fix_random_seed(0)
    sizes = Sizes(WIDTH, N_ENTITY_LABELS, N_RELATION_LABELS, MAX_SPAN_WIDTH)
    network = SpertNetwork(sizes, build_span_head(), build_relation_head()).to(get_torch_default_device())
    embeddings, layout = _sentence(n_words)
    decoder = Decoder(entities_per_token=1.0)
    shift_bias(network, [embeddings], layout, n_entities)
    found = network.search([embeddings], layout, decoder)
    prediction = peak_memory(lambda: network.search([embeddings], layout, decoder))
    samples = _samples(layout, found.spans)
    leaf = embeddings.requires_grad_()
    _update(network, leaf, layout, samples)
    training = peak_memory(lambda: _update(network, leaf, layout, samples))
    return {
        "words": n_words,
        "wordpieces": len(layout.rows),
        "entities": len(found.spans),
        "pairs": len(found.pairs),
        "prediction": _megabytes(prediction),
        "training": _megabytes(training),
    }


def _sentence(n_words: int) -> Tuple[torch.Tensor, Layout]:
    counts = numpy.diff((numpy.arange(n_words + 1) * PIECES_PER_WORD).astype("int64"))
    n_pieces = int(counts.sum())
    layout = Layout(
        tokens=numpy.arange(n_words),
        rows=numpy.arange(1, n_pieces + 1),
        offsets=numpy.concatenate([[0], numpy.cumsum(counts)]),
        sentences=numpy.asarray([0, n_words]),
        cls_rows=numpy.zeros(1, dtype="int64"),
        cls_sentences=numpy.zeros(1, dtype="int64"),
    )
    return torch.randn(n_pieces + 2, WIDTH, device=get_torch_default_device()), layout


def _samples(layout: Layout, entities: "numpy.ndarray") -> Samples:
    samples = sample_spans(
        entities,
        numpy.ones(len(entities), dtype="int64"),
        numpy.zeros((0, 3), dtype="int64"),
        N_RELATION_LABELS,
        layout.sentences,
        numpy.zeros(len(layout.tokens), dtype=bool),
        Sampling(max_width=MAX_SPAN_WIDTH),
    )
    return Pairing().choose_pairs(samples, None, layout)


def _update(network: SpertNetwork, embeddings: torch.Tensor, layout: Layout, samples: Samples) -> None:
    # Gradients stay from one update to the next, as thinc sets them to zero and does not free them.
    *logits, _ = network([embeddings], layout, samples)
    torch.autograd.backward(
        [part for part in logits if part.requires_grad], [torch.ones_like(p) for p in logits if p.requires_grad]
    )


def _base_encoder(setup: Setup) -> Any:
    from transformers import BertConfig, BertModel

    layers = 1 if setup.quick else 12
    return (
        BertModel(BertConfig(max_position_embeddings=1024, num_hidden_layers=layers))
        .eval()
        .to(get_torch_default_device())
    )


@torch.no_grad()
def _predict(encoder: Any, ids: torch.Tensor) -> None:
    encoder(ids)


def _megabytes(n_bytes: float) -> float:
    return n_bytes / 1e6


def draw(result: Result, figure: Any) -> None:
    """Draw the peaks."""
    for axes, title, x in zip(figure.subplots(1, 2), (BY_LENGTH, BY_ENTITIES), ("words", "entities")):
        rows = result.tables[title]
        for name in ("prediction", "training", "encoder alone"):
            if name in rows[0]:
                axes.plot([row[x] for row in rows], [row[name] for row in rows], marker="o", label=name)
        axes.set(xlabel=x, ylabel="MB", ylim=(0, None))
        axes.grid(alpha=0.3)
        axes.legend()
