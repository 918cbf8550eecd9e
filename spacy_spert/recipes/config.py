"""The whole config for what was chosen.

With a transformer it is that of configs/spert_plus.cfg, without one that of configs/spert_tok2vec.cfg.
"""

from typing import Sequence

from spacy.util import CONFIG_SECTION_ORDER, dot_to_dict, load_model_from_config
from thinc.api import Config

from .choices import Choice

BASE = """
[paths]
train = null
dev = null

[system]
seed = 0

[nlp]
batch_size = 128

[corpora]

[corpora.train]
@readers = "spacy.Corpus.v1"
path = ${paths.train}

[corpora.dev]
@readers = "spacy.Corpus.v1"
path = ${paths.dev}

[training]
max_epochs = 0
dropout = 0.1

[training.batcher]
@batchers = "spacy.batch_by_sequence.v1"
size = 4

[training.logger]
@loggers = "spacy.ConsoleLogger.v1"
progress_bar = true

[components]

[components.spert]

[components.spert.scorer]
@scorers = "spacy-spert.spert_scorer.v1"
symmetric = "once"
"""

TRANSFORMER = """
[paths]
encoder = null

[system]
gpu_allocator = "pytorch"

[training]
patience = 0

[training.batcher]
@batchers = "spacy.batch_by_padded.v1"
buffer = 256
discard_oversize = false

[training.optimizer]
@optimizers = "spacy-spert.AdamW.v1"

[training.optimizer.learn_rate]
@schedules = "warmup_linear.v1"
initial_rate = 5e-05
warmup_steps = 1
total_steps = 1

[training.optimizer.head_learn_rate]
@schedules = "warmup_linear.v1"
initial_rate = 5e-04
warmup_steps = 1
total_steps = 1

[components]

[components.transformer]
factory = "transformer"
max_batch_items = 512

[components.transformer.model]
@architectures = "spacy-transformers.TransformerModel.v3"
name = ${paths.encoder}
mixed_precision = false

[components.transformer.model.get_spans]
@span_getters = "spacy-spert.strided_spans.v1"
window = 256
stride = 192

[components.transformer.model.tokenizer_config]
use_fast = true
model_max_length = 512

[components.spert]

[components.spert.model]
@architectures = "spacy-spert.Spert.v1"
dropout = 0.2
shapes = true

[components.spert.model.mixer]
@architectures = "spacy-spert.BiLSTM.v1"
hidden_width = 128

[components.spert.model.tok2vec]
@architectures = "spacy-spert.WordpieceListener.v1"

[components.spert.model.span_head]
@architectures = "spacy-spert.SpanHead.v1"
hidden_width = 64
edges = true

[components.spert.model.relation_head]
@architectures = "spacy-spert.RelationHead.v1"
hidden_width = 256
labels = true
empty_context = true
distance = 25
edges = true
inverse = true
"""

TOK2VEC = """
[training]
max_steps = 20000

[training.batcher]
size = 16

[training.optimizer]
@optimizers = "Adam.v1"
learn_rate = 0.001
L2 = 0.01
grad_clip = 1.0

[components]

[components.spert]

[components.spert.model]
@architectures = "spacy-spert.Spert.v1"

[components.spert.model.tok2vec]
@architectures = "spacy.Tok2Vec.v2"

[components.spert.model.tok2vec.embed]
@architectures = "spacy.MultiHashEmbed.v2"
width = 96
attrs = ["NORM", "PREFIX", "SUFFIX", "SHAPE"]
rows = [5000, 1000, 2500, 2500]
include_static_vectors = false

[components.spert.model.tok2vec.encode]
@architectures = "spacy.MaxoutWindowEncoder.v2"
width = ${components.spert.model.tok2vec.embed.width}
depth = 4
window_size = 1
maxout_pieces = 3
"""


def make_config(choices: Sequence[Choice], lang: str, train: str, dev: str) -> Config:
    """Make a complete config.

    choices (Sequence[Choice]): What was chosen.
    lang (str): The language.
    train (str): Path of the training data.
    dev (str): Path of the development data.
    RETURNS (Config): The config, which `spacy train` takes as it is.
    """
    chosen = {choice.setting: choice.value for choice in choices}
    kind = TRANSFORMER if "transformer" in chosen["nlp.pipeline"] else TOK2VEC
    values = dot_to_dict({**chosen, "nlp.lang": lang, "paths.train": train, "paths.dev": dev})
    for name in chosen["nlp.pipeline"]:
        values["components"].setdefault(name, {}).setdefault("factory", name)
    config = Config().from_str(BASE, interpolate=False).merge(Config().from_str(kind, interpolate=False)).merge(values)
    filled = load_model_from_config(config, auto_fill=True).config
    return Config({name: filled[name] for name in CONFIG_SECTION_ORDER if name in filled}, is_interpolated=False)
