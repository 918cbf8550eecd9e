"""What several test modules share: a tiny corpus, pipelines over a tiny encoder, and spaCy's training step."""

import re
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

import numpy
import spacy
import torch
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import fix_random_seed, load_model_from_config
from spacy.vocab import Vocab
from thinc.api import Adam, NumpyOps, Optimizer

from spacy_spert.evaluation.run import Evaluation, compare
from spacy_spert.ml.arrays import Layout
from spacy_spert.ml.encoders import get_layout
from spacy_spert.relations import set_entities
from spacy_spert.sentences import sentence_bounds
from spacy_spert.training import make_pairing

# Text, entities (start token, end token, label), relations (head, tail, label). Nested and adjacent entities, several
# relations of one entity, a symmetric label (partner_of), pairs without relation, a text with nothing.
TEXTS: List[Tuple[str, List[Tuple[int, int, str]], List[Tuple[int, int, str]]]] = [
    (
        "Ann Lee works for Acme Labs in Bonn .",
        [(0, 2, "PER"), (4, 6, "ORG"), (7, 8, "LOC")],
        [(0, 1, "works_for"), (1, 2, "based_in")],
    ),
    ("Bob and Eve are partners .", [(0, 1, "PER"), (2, 3, "PER")], [(0, 1, "partner_of")]),
    (
        "University of Bonn hired Bob Ross .",
        [(0, 3, "ORG"), (2, 3, "LOC"), (4, 6, "PER")],
        [(2, 0, "works_for"), (0, 1, "based_in")],
    ),
    ("Nothing happened there today .", [], []),
    (
        "Eve met her partner Ann at Zeta .",
        [(0, 1, "PER"), (4, 5, "PER"), (6, 7, "ORG")],
        [(0, 1, "partner_of"), (1, 2, "works_for")],
    ),
    ("Acme Labs sued Zeta .", [(0, 2, "ORG"), (3, 4, "ORG")], []),
    (
        "Zeta of Bonn joined Acme Labs of Graz .",
        [(0, 1, "ORG"), (2, 3, "LOC"), (4, 6, "ORG"), (7, 8, "LOC")],
        [(0, 1, "based_in"), (2, 3, "based_in"), (0, 2, "partner_of")],
    ),
    ("Graz lies near Bonn .", [(0, 1, "LOC"), (3, 4, "LOC")], []),
]
ENTITY_LABELS = ["LOC", "ORG", "PER"]
RELATION_LABELS = ["based_in", "partner_of", "works_for"]
SYMMETRIC = ["partner_of"]
LABELS = {"entities": ENTITY_LABELS, "relations": RELATION_LABELS}

# Embeddings without a transformer.
CNN = {
    "@architectures": "spacy.HashEmbedCNN.v2",
    "width": 16,
    "depth": 1,
    "embed_size": 200,
    "window_size": 1,
    "maxout_pieces": 2,
    "subword_features": True,
    "pretrained_vectors": None,
}
STRIDED = "spacy-transformers.strided_spans.v1"
SENT_SPANS = {"@span_getters": "spacy-transformers.sent_spans.v1"}
DOC_SPANS = {"@span_getters": "spacy-transformers.doc_spans.v1"}

# A small training with `spacy train`. Nothing in it is drawn but the order of the documents, negatives and weights.
CONFIG = """
[paths]
train = null
encoder = null

[nlp]
lang = "xx"
pipeline = ["transformer","spert"]

[components]

[components.transformer]
factory = "transformer"

[components.transformer.model]
@architectures = "spacy-transformers.TransformerModel.v3"
name = ${paths.encoder}

[components.transformer.model.get_spans]
@span_getters = "spacy-transformers.strided_spans.v1"
window = 32
stride = 24

[components.transformer.model.tokenizer_config]
use_fast = true

[components.spert]
factory = "spert"
max_span_width = 4
symmetric_labels = ["partner_of"]

[corpora]

[corpora.train]
@readers = "spacy.Corpus.v1"
path = ${paths.train}

[corpora.dev]
@readers = "spacy.Corpus.v1"
path = ${paths.train}

[training]
max_steps = 20
eval_frequency = 10
dropout = 0.0
seed = 0

[training.batcher]
@batchers = "spacy.batch_by_sequence.v1"
size = 8

[training.optimizer]
@optimizers = "spacy-spert.AdamW.v1"
learn_rate = 0.01

[initialize]
"""


def strided(window: int, stride: int) -> Dict[str, Any]:
    return {"@span_getters": STRIDED, "window": window, "stride": stride}


def make_encoder(path: Any, words: Iterable[str], **sizes: int) -> None:
    """Save a random BERT, two layers of 32 or other sizes, and a WordPiece tokenizer of some words and all letters."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    letters = sorted({letter for word in words for letter in word} | set("abcdefghijklmnopqrstuvwxyz.,0123456789"))
    # Only short words are whole pieces, so that many tokens have several.
    whole = sorted({word for word in words if 1 < len(word) < 4})
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = [*specials, *letters, *("##" + letter for letter in letters), *whole, "##er", "##ing", "##on"]
    path.mkdir()
    (path / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf8")
    tokenizer = BertTokenizerFast(str(path / "vocab.txt"), do_lower_case=False, model_max_length=128)
    tokenizer.save_pretrained(path)
    fix_random_seed(0)
    default = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64, "max_position_embeddings": 128}
    config = BertConfig(
        vocab_size=len(vocabulary),
        num_attention_heads=2,
        initializer_range=0.1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        **{**default, **sizes},
    )
    BertModel(config).save_pretrained(path)


def make_doc(vocab: Any, text: str, entities: Sequence = (), relations: Sequence = (), key: str = "spert") -> Doc:
    """A gold document of blank-separated words."""
    doc = Doc(vocab, words=text.split())
    spans = [Span(doc, start, end, label=label) for start, end, label in entities]
    set_entities(doc, key, spans, [(head, tail, label, 1.0) for head, tail, label in relations])
    return doc


def make_example(nlp: Language, text: str, entities: Sequence = (), relations: Sequence = ()) -> Example:
    doc = make_doc(nlp.vocab, text, entities, relations)
    return Example(Doc(nlp.vocab, words=text.split()), doc)


def make_examples(nlp: Language, texts: Sequence = TEXTS) -> List[Example]:
    return [make_example(nlp, *text) for text in texts]


def make_nlp(
    encoder: Any,
    *,
    spans: Any = None,
    max_length: int = 128,
    use_fast: bool = True,
    layers: Optional[int] = None,
    **settings: Any,
) -> Language:
    """A pipeline of transformer and spert, not initialized. Language xx, as it is made much faster than en."""
    nlp = spacy.blank("xx")
    add_transformer(nlp, encoder, spans=spans, max_length=max_length, use_fast=use_fast, layers=layers)
    nlp.add_pipe("spert", config=settings)
    return nlp


def add_transformer(
    nlp: Language,
    encoder: Any,
    *,
    spans: Any = None,
    max_length: int = 128,
    use_fast: bool = True,
    layers: Optional[int] = None,
    **kwargs: Any,
) -> Any:
    """layers: How many layers to mix; by default the transformer is that of spacy-transformers."""
    model = {
        "@architectures": "spacy-transformers.TransformerModel.v3",
        "name": str(encoder),
        "get_spans": spans or strided(32, 24),
        "tokenizer_config": {"use_fast": use_fast, "model_max_length": max_length},
    }
    if layers is not None:
        model.update({"@architectures": "spacy-spert.LayerMixTransformer.v1", "layers": layers})
    return nlp.add_pipe("transformer", config={"model": model}, **kwargs)


def initialize(nlp: Language, texts: Sequence = TEXTS) -> Language:
    """Initialize with the same weights each time."""
    fix_random_seed(0)
    nlp.initialize(lambda: make_examples(nlp, texts))
    return nlp


def train(
    nlp: Language,
    steps: int,
    *,
    texts: Sequence = TEXTS,
    optimizer: Any = None,
    learn_rate: float = 0.01,
    annotates: Iterable[str] = (),
    exclude: Iterable[str] = (),
) -> List[float]:
    """Train on all texts as spaCy's loop does, and return spert's loss of every step."""
    fix_random_seed(0)
    optimizer = optimizer or Adam(learn_rate)
    losses = []
    for _ in range(steps):
        batch: Dict[str, float] = {}
        examples = make_examples(nlp, texts)
        nlp.update(examples, sgd=False, losses=batch, annotates=annotates, exclude=exclude)
        finish_update(nlp, optimizer, exclude)
        losses.append(batch["spert"])
    return losses


def finish_update(nlp: Language, optimizer: Optimizer, exclude: Iterable[str] = ()) -> None:
    for name, pipe in nlp.pipeline:
        if hasattr(pipe, "finish_update") and name not in exclude:
            pipe.finish_update(optimizer)
    optimizer.step_schedules()


def clone(nlp: Language) -> Language:
    """A copy that shares nothing, through bytes."""
    return load_model_from_config(nlp.config.copy(), validate=True).from_bytes(nlp.to_bytes())


def torch_head(nlp: Language, name: str = "spert") -> torch.nn.Module:
    return nlp.get_pipe(name).model.get_ref("head").shims[0]._model


def torch_encoder(nlp: Language, name: str = "transformer") -> torch.nn.Module:
    return nlp.get_pipe(name).model.transformer


def switch_off_dropout(module: torch.nn.Module) -> None:
    for child in module.modules():
        if isinstance(child, torch.nn.Dropout):
            child.p = 0.0
        if hasattr(child, "dropout_prob"):
            child.dropout_prob = 0.0


def entities_of(doc: Doc, key: str = "spert") -> List[Tuple[int, int, str]]:
    return sorted((span.start, span.end, span.label_) for span in doc.spans[key])


def relations_of(doc: Doc) -> List[Tuple[Tuple[int, int], Tuple[int, int], str]]:
    return sorted(((r.head.start, r.head.end), (r.tail.start, r.tail.end), r.label) for r in doc._.relations)


def gold_relations(entities: Sequence, relations: Sequence) -> List[Tuple[Tuple[int, int], Tuple[int, int], str]]:
    """What relations_of gives for a text of TEXTS."""
    return sorted((tuple(entities[head][:2]), tuple(entities[tail][:2]), label) for head, tail, label in relations)


def prediction(doc: Doc) -> Tuple[List, List[float]]:
    """Everything the component writes on a document: the discrete part, and the numbers."""
    group = doc.spans["spert"]
    relations = doc._.relations
    discrete = [
        [(span.start, span.end, span.label_) for span in group],
        [(ent.start, ent.end, ent.label_) for ent in doc.ents],
        [(r.head.start, r.head.end, r.tail.start, r.tail.end, r.label) for r in relations],
    ]
    return discrete, [*map(float, group.attrs.get("scores", ())), *(r.score for r in relations)]


def assert_same_predictions(expected: Iterable[Doc], got: Iterable[Doc]) -> None:
    expected, got = [prediction(doc) for doc in expected], [prediction(doc) for doc in got]
    assert [discrete for discrete, _ in got] == [discrete for discrete, _ in expected]
    for (_, scores), (_, others) in zip(expected, got):
        numpy.testing.assert_allclose(others, scores, atol=1e-5, rtol=0)


def make_evaluation(pairs: Sequence[Tuple[Any, Any]], nearly: Any = None, **settings: Any) -> Evaluation:
    """What `spacy spert evaluate` knows of documents, given as (text, entities, relations) predicted and gold."""
    vocab = Vocab()
    examples = {
        i: Example(make_doc(vocab, *predicted), make_doc(vocab, *gold))
        for i, (predicted, gold) in enumerate(pairs, start=1)
    }
    near = [nearly(i, example.predicted) if nearly else [] for i, example in examples.items()]
    cfg = {"spans_key": "spert", "relation_threshold": 0.4, "symmetric_labels": []}
    return compare(examples, near, component="spert", cfg={**cfg, **settings.pop("cfg", {})}, **settings)


def uncoded(texts: Any) -> Any:
    """Messages without the codes of errors in them: a text, or lists and values of dicts."""
    if isinstance(texts, dict):
        return {key: uncoded(value) for key, value in texts.items()}
    if isinstance(texts, list):
        return [uncoded(text) for text in texts]
    return re.sub(r"\[[SWF]\d{3}\] ", "", texts)


def make_samples(spert, examples):
    """What a component learns from examples but near misses, with an encoder that sees all tokens but white space."""
    docs = [example.predicted for example in examples]
    tokens = numpy.nonzero([not token.is_space for doc in docs for token in doc])[0]
    sentences = numpy.unique(numpy.searchsorted(tokens, sentence_bounds(docs)))
    n_tokens = numpy.arange(len(tokens) + 1)
    layout = Layout(tokens, n_tokens[:-1], n_tokens, sentences)
    return make_pairing(spert.cfg).choose_pairs(spert.get_samples(examples, layout), None, layout)


def visible_tokens(doc):
    """The tokens of a predicted document that its encoder saw."""
    data = doc._.trf_data if doc.has_extension("trf_data") else None
    if data is None or not len(doc):
        return [token.i for token in doc if not token.is_space]
    return get_layout(NumpyOps(), [doc], [data])[1].tokens.tolist()
