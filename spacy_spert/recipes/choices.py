"""Settings that fit the data and the encoder, and why."""

import math
from typing import Any, List, NamedTuple, Optional, Sequence

from spacy.training.batchers import minibatch_by_padded_size

from ..errors import Errors
from .encoder import Encoder
from .survey import Survey

# How often the documents are gone through, as in the paper, and how many are in a batch on average.
EPOCHS = 20
BATCH = 4
# Batches are made of so many documents at a time, sorted by length, and are so much larger than without padding.
BUFFER = 256
PADDED = 1.2
# Fewer steps are not enough for any corpus, and more documents than this (each counts as often as it is read) no gain.
LEAST_STEPS = 500
MOST_DOCS = 100_000
LEAST_EPOCHS = 3
# Most tokens in a batch of several documents.
BATCH_TOKENS = 1024
WARM_UP = 0.1
# Scores are taken so often, unless that would take more than about a fifth of the time: an update takes as long as
# three predictions.
EVALUATIONS = 10
LEAST_EVALUATIONS = 2
UPDATE_COST = 3
EVALUATION_SHARE = 0.25

# The share of entities that spans must be wide enough for. Those up to the width of the paper are all covered: each
# token more makes as many candidates as there are tokens.
COVERED = 0.995
LEAST_WIDTH, PAPER_WIDTH, MOST_WIDTH = 5, 10, 40

# Documents that are not longer are searched as a whole.
WHOLE = 128
TYPICAL = 0.95

# Batches without a transformer, and how many scores may be no better than the best.
TOK2VEC_BATCH = 16
TOK2VEC_PATIENCE = 8
# Spans of a sentence that look like entities, for the relation head to learn from.
NEAR_MISSES = 20
# The probability of being an entity with which a span is paired.
PAIRING = 0.3

# Tokens that a transformer reads at a time. Wordpieces are more.
WINDOW = 256
# Learning rates of transformer and heads by the transformer's size. Those of large ones are what is usual, the others
# were trained with.
RATES = {"small": (1e-4, 1e-3), "base": (5e-5, 5e-4), "large": (2e-5, 2e-4)}


class Choice(NamedTuple):
    """A setting that was chosen.

    setting (str): Its place in the config, with dots.
    value (Any): What was chosen.
    why (str): The reason.
    """

    setting: str
    value: Any
    why: str


def choose_settings(
    train: Survey, dev: Survey, encoder: Optional[Encoder] = None, symmetric: Optional[Sequence[str]] = None
) -> List[Choice]:
    """Choose what depends on the data and on the encoder.

    train (Survey): The training data.
    dev (Survey): The development data.
    encoder (Optional[Encoder]): The transformer; None for spaCy's own embeddings.
    symmetric (Optional[Sequence[str]]): The relation labels without direction; by default found in the data.
    RETURNS (List[Choice]): The settings, and why.
    RAISES (ValueError): If there is nothing to learn, or a symmetric label is unknown.
    """
    if not train.entities:
        raise ValueError(Errors.S010.format(name="spert", docs=len(train.lengths), key="spert"))
    unknown = sorted(set(symmetric or ()) - set(train.relations))
    if unknown:
        raise ValueError(Errors.S017.format(name="spert", label=unknown[0], labels=train.relation_labels))
    component = _of_component(train, dev, symmetric)
    if encoder is None:
        return [*_pipeline(train, ["spert"]), *component, *_steps_without_transformer(train)]
    if train.relations:
        why = "spans that only look like entities are learned to be unrelated"
        component.append(Choice("components.spert.near_misses", NEAR_MISSES, why))
        why = "relations are looked for between all that may be entities, and decide which of them are"
        component.append(Choice("components.spert.pairing_threshold", PAIRING, why))
    return [*_pipeline(train, ["transformer", "spert"]), *_of_encoder(encoder), *component, *_steps(train, dev)]


def _pipeline(train: Survey, names: List[str]) -> List[Choice]:
    length, n = train.length(TYPICAL), sum(train.relations.values())
    crossing = f"{train.crossing} of the {n} relations"
    if length <= WHOLE:
        why = f"{TYPICAL:.0%} of the documents have at most {length} tokens, so they are searched as a whole"
        return [Choice("nlp.pipeline", names, f"{why}; {crossing} cross sentences, and are learned")]
    why = f"{1 - TYPICAL:.0%} of the documents have {length} tokens or more, so sentences are searched; {crossing} "
    why += f"cross sentences and can't be found, nor can {train.split} entities in several sentences"
    marked = "sentences must be marked while training"
    return [
        Choice("nlp.pipeline", ["sentencizer", *names], why),
        Choice("training.annotating_components", ["sentencizer"], marked),
        Choice("training.score_weights.sents_f", None, "whether sentences are those of the data does not matter"),
    ]


def _of_encoder(encoder: Encoder) -> List[Choice]:
    rate, head_rate = RATES[encoder.size]
    block = "components.transformer.model"
    window = min(WINDOW, encoder.max_length // 2)
    tokenizer = {"use_fast": True, "model_max_length": encoder.max_length, **encoder.tokenizer}
    return [
        Choice("paths.encoder", encoder.name, "as asked for"),
        Choice(f"{block}.tokenizer_config", tokenizer, f"it takes {encoder.max_length} wordpieces"),
        Choice(f"{block}.get_spans.window", window, "half as many tokens, as a word may have several wordpieces"),
        Choice(f"{block}.get_spans.stride", window * 3 // 4, "windows overlap, so that no token lacks its context"),
        Choice("training.optimizer.learn_rate.initial_rate", rate, f"of {encoder.size} size ({encoder.why})"),
        Choice(
            "training.optimizer.head_learn_rate.initial_rate",
            head_rate,
            "ten times that, as the heads are not pre-trained",
        ),
    ]


def _of_component(train: Survey, dev: Survey, symmetric: Optional[Sequence[str]]) -> List[Choice]:
    narrow = max((each for each in train.widths if each <= PAPER_WIDTH), default=0)
    width = min(max(train.width(COVERED), narrow, LEAST_WIDTH), MOST_WIDTH)
    covered = f"covers {train.covered(width):.2%} of the entities of the training data, {dev.covered(width):.2%} of dev"
    labels = {"entities": train.entity_labels, "relations": train.relation_labels}
    given = "those of the training data; another one in new data is an error"
    chosen = [Choice("components.spert.max_span_width", width, covered)]
    if not train.relations:
        why = "the training data has no relation"
        return [
            Choice("components.spert.factory", "spert_entities", why),
            *chosen,
            Choice("initialize.components.spert.labels", labels, given),
        ]
    undirected, why = train.symmetric_labels, "annotated in both directions, or always from left to right"
    if symmetric is not None:
        undirected, why = list(symmetric), "as asked for"
    elif not undirected:
        why = "none is annotated in both directions, or always from left to right"
    return [
        Choice("components.spert.factory", "spert", "entities and relations"),
        *chosen,
        Choice("components.spert.symmetric_labels", undirected, why),
        Choice("initialize.components.spert.labels", labels, given),
    ]


def _steps_without_transformer(train: Survey) -> List[Choice]:
    n = len(train.lengths)
    every = min(max(2 * math.ceil(n / TOK2VEC_BATCH), 100), 1000)
    times = f"{every * TOK2VEC_BATCH / n:.1f} times over {n} documents in batches of {TOK2VEC_BATCH}"
    return [
        Choice("training.eval_frequency", every, times),
        Choice(
            "training.patience", TOK2VEC_PATIENCE * every, f"ends after {TOK2VEC_PATIENCE} scores that are no better"
        ),
    ]


def _steps(train: Survey, dev: Survey) -> List[Choice]:
    lengths = train.lengths
    n, mean = len(lengths), sum(lengths) / len(lengths)
    size = max(1, min(round(PADDED * BATCH * mean), BATCH_TOKENS))
    per_epoch = sum(1 for _ in minibatch_by_padded_size([range(length) for length in lengths], size, BUFFER))
    epochs = max(LEAST_EPOCHS, min(EPOCHS, MOST_DOCS // n))
    steps = max(LEAST_STEPS, per_epoch * epochs)
    share = EVALUATION_SHARE * UPDATE_COST * steps * n / per_epoch / max(len(dev.lengths), 1)
    evaluations = max(LEAST_EVALUATIONS, min(EVALUATIONS, int(share)))
    every = math.ceil(steps / evaluations)
    steps = every * evaluations
    times = f"{steps / per_epoch:.0f} times over {n} documents in {per_epoch} batches"
    warm_up = int(WARM_UP * steps)
    falls = "after it, the rates fall to 0 at the last step"
    return [
        Choice("training.batcher.size", size, f"tokens, padding included; documents have {mean:.0f} on average"),
        Choice("training.max_steps", steps, times),
        Choice("training.eval_frequency", every, f"{evaluations} evaluations on {len(dev.lengths)} documents"),
        *(
            Choice(f"training.optimizer.{rate}.{name}", value, why)
            for rate in ("learn_rate", "head_learn_rate")
            for name, value, why in (("total_steps", steps, falls), ("warmup_steps", warm_up, "a tenth of the steps"))
        ),
    ]
