"""What is measured: documents, encoders, and pipelines over them.

A head without training would take most spans for entities, or none. So the head is taught some of the documents that it
will be measured on, on the output of the encoder as it is. Then the bias of "no entity" and the threshold of relations
are set so that it finds as many entities and relations as there are.
"""

import logging
import random
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy
import spacy
import torch
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from spacy.util import fix_random_seed, load_config
from thinc.api import Optimizer, xp2torch

from spacy_spert.formats import load, readers
from spacy_spert.ml.arrays import Layout
from spacy_spert.ml.candidates import all_spans
from spacy_spert.ml.model import get_network, read_outputs
from spacy_spert.ml.network import SpertNetwork
from spacy_spert.ml.optimizer import build_adamw
from spacy_spert.pipeline import Spert

from . import ROOT
from .measure import Stopwatch, Times, compare

CONFIGS = ROOT / "configs"
# Suffixes of files, and the names of their formats.
FORMATS = {".jsonl": "jsonl", ".json": "spert-json"}


@dataclass
class Setup:
    """What to measure, and how thoroughly.

    data (Path): Documents with entities and relations, .spacy, .jsonl or SpERT's .json.
    encoder (Path): Folder of the small encoder.
    threads (int): Number of threads.
    repeats (int): How many times to measure.
    quick (bool): Whether to do as little as possible, to see that all works. The figures are then worth nothing.
    base (bool): Whether to measure an encoder of base size too.
    gpu_id (int): The GPU, also for what runs in other processes; -1 for the CPU.
    """

    data: Path
    encoder: Path
    threads: int = 2
    repeats: int = 5
    quick: bool = False
    base: bool = True
    gpu_id: int = -1


@dataclass
class Encoder:
    """An encoder to measure with.

    name (str): What it is called in tables.
    path (Path): Its folder.
    size (str): "small" or "base".
    """

    name: str
    path: Path
    size: str


@contextmanager
def encoders(setup: Setup) -> Iterator[List[Encoder]]:
    """The small encoder, and an untrained BERT of base size with the same vocabulary.

    setup (Setup): The setup.
    RETURNS (List[Encoder]): One or two encoders, while the context is open.
    """
    from transformers import AutoConfig, AutoTokenizer, BertConfig, BertModel

    small = AutoConfig.from_pretrained(setup.encoder)
    found = [Encoder(_name("small", small), setup.encoder, "small")]
    with TemporaryDirectory() as folder:
        if setup.base:
            tiny = {"num_hidden_layers": 2, "hidden_size": 48, "num_attention_heads": 2, "intermediate_size": 96}
            config = BertConfig(
                vocab_size=small.vocab_size,
                max_position_embeddings=small.max_position_embeddings,
                **(tiny if setup.quick else {}),
            )
            fix_random_seed(0)
            BertModel(config).save_pretrained(folder)
            AutoTokenizer.from_pretrained(setup.encoder).save_pretrained(folder)
            found.append(Encoder(_name("base, untrained", config), Path(folder), "base"))
        yield found


def _name(size: str, config: Any) -> str:
    return f"{size} ({config.num_hidden_layers} x {config.hidden_size})"


def read_docs(nlp: Language, path: Path) -> List[Doc]:
    """Read gold documents.

    nlp (Language): The pipeline they are for.
    path (Path): The file.
    RETURNS (List[Doc]): The documents, shuffled, always in the same way.
    """
    if path.suffix == ".spacy":
        docs = list(DocBin().from_disk(path).get_docs(nlp.vocab))
    else:
        docs = list(load(readers, FORMATS[path.suffix])(path, nlp=nlp))
    random.Random(0).shuffle(docs)
    return docs


def fresh(doc: Doc) -> Doc:
    """RETURNS (Doc): The same tokens, with nothing else."""
    return Doc(doc.vocab, words=[token.text for token in doc], spaces=[bool(token.whitespace_) for token in doc])


def make_examples(docs: Sequence[Doc]) -> List[Example]:
    """RETURNS (List[Example]): The documents to learn from."""
    return [Example(fresh(doc), doc) for doc in docs]


def make_nlp(encoder: Optional[Path] = None, component: str = "spert", config: str = "spert.cfg") -> Language:
    """A pipeline with the components of a config, not initialized.

    encoder (Optional[Path]): The encoder; without one the pipeline of `configs/spert_tok2vec.cfg`.
    component (str): Name of the factory that follows the transformer, if not "spert".
    config (str): Name of the config, if there is an encoder.
    RETURNS (Language): The pipeline.
    """
    # The table of what is in the training data.
    logging.getLogger("spacy.spert").setLevel(logging.WARNING)
    nlp = spacy.blank("en")
    if encoder is not None:
        nlp.add_pipe("transformer", config=_transformer(encoder))
    whole = load_config(CONFIGS / (config if encoder else "spert_tok2vec.cfg"), interpolate=True)
    nlp.add_pipe(component, config=_without_factory(whole["components"]["spert"]) if component == "spert" else {})
    return nlp


def _transformer(encoder: Path) -> Dict[str, Any]:
    from transformers import AutoConfig

    max_length = AutoConfig.from_pretrained(encoder).max_position_embeddings
    overrides = {
        "paths.encoder": str(encoder),
        "components.transformer.model.tokenizer_config.model_max_length": max_length,
    }
    config = load_config(CONFIGS / "spert.cfg", overrides=overrides, interpolate=True)
    return _without_factory(config["components"]["transformer"])


def _without_factory(config: Dict[str, Any]) -> Dict[str, Any]:
    return {name: value for name, value in config.items() if name != "factory"}


def trained_nlp(setup: Setup, encoder: Optional[Path] = None, config: str = "spert.cfg") -> Language:
    """A pipeline whose head has learned the documents.

    setup (Setup): The setup.
    encoder (Optional[Path]): The encoder; without one spaCy's own embeddings, which learn as well.
    config (str): Name of the config, if there is an encoder.
    RETURNS (Language): The pipeline.
    """
    fix_random_seed(0)
    nlp = make_nlp(encoder, config=config)
    examples = make_examples(read_docs(nlp, setup.data)[: 16 if setup.quick else 128])
    nlp.initialize(lambda: examples)
    docs = [example.predicted for example in examples]
    if encoder is not None:
        list(nlp.get_pipe("transformer").pipe(docs))
    spert = nlp.get_pipe("spert")
    optimizer = build_adamw(0.005, weight_decay=0.0)
    for step in range(5 if setup.quick else 100):
        first = 16 * step % len(examples)
        spert.update(examples[first : first + 16], sgd=optimizer)
        optimizer.step_schedules()
    set_entity_count(spert, docs, sum(len(example.reference.spans["spert"]) for example in examples))
    scores = numpy.sort(spert.predict(docs).pair_scores, axis=None)[::-1]
    n_relations = sum(len(example.reference._.relations) for example in examples)
    spert.cfg["relation_threshold"] = float(scores[:n_relations].min(initial=1.0))
    return nlp


def finish_update(nlp: Language, optimizer: Optimizer) -> None:
    """Make the optimizer's step, as `spacy train` does."""
    for _, pipe in nlp.pipeline:
        pipe.finish_update(optimizer)
    optimizer.step_schedules()


def places_in_spert(spert: Spert, prefix: str = "") -> List[Tuple[str, Any, str]]:
    """Where the component spends its time, as `Stopwatch.watch` takes it. Its encoder is not among them.

    spert (Spert): The component.
    prefix (str): What the names of the parts begin with.
    RETURNS (List[Tuple[str, Any, str]]): Name of the part, object and name of its method.
    """
    network = get_network(spert.model)
    return [
        (f"{prefix}around the network", spert, "predict"),
        (f"{prefix}embeddings", network, "encode"),
        (f"{prefix}spans", network, "classify_all"),
        (f"{prefix}pairs", network, "score_both_orders"),
        (f"{prefix}annotations", spert, "set_annotations"),
    ]


def compare_with_alone(nlp: Language, docs: List[Doc], batch_size: int, repeats: int) -> Dict[str, Times]:
    """Time `nlp.pipe` with the component and without it.

    nlp (Language): The pipeline.
    docs (List[Doc]): Documents, whose tokens it gets.
    batch_size (int): Size of the batches.
    repeats (int): How many times to measure.
    RETURNS (Dict[str, Times]): The times "alone" and "with spert".
    """

    def run(batch: List[Doc]) -> None:
        for _ in nlp.pipe(batch, batch_size=batch_size):
            pass

    def run_alone(batch: List[Doc]) -> None:
        with nlp.select_pipes(disable="spert"):
            run(batch)

    size = max(batch_size, 32)
    batches = [docs[i : i + size] for i in range(0, len(docs), size)]
    tasks = {"alone": run_alone, "with spert": run}
    return compare(tasks, batches, repeats, lambda batch: [fresh(doc) for doc in batch])


def profile_pipe(
    nlp: Language, docs: Sequence[Doc], batch_size: int, places: Sequence[Tuple[str, Any, str]]
) -> Dict[str, float]:
    """Where the time of `nlp.pipe` goes.

    nlp (Language): The pipeline.
    docs (Sequence[Doc]): Documents, whose tokens it gets.
    batch_size (int): Size of the batches.
    places (Sequence[Tuple[str, Any, str]]): Name of the part, object (or module) and name of its method.
    RETURNS (Dict[str, float]): Percentages by name of the part.
    """
    stopwatch = Stopwatch()
    inputs = [fresh(doc) for doc in docs]
    with stopwatch.watch(places), stopwatch.part("all"):
        for _ in nlp.pipe(inputs, batch_size=batch_size):
            pass
    return stopwatch.shares("all")


def set_entity_count(spert: Spert, docs: Sequence[Doc], count: int) -> None:
    """Shift the bias of "no entity" so that the component finds a given number of entities.

    spert (Spert): The component.
    docs (Sequence[Doc]): Documents, which the transformer has seen if there is one.
    count (int): The number of entities in them.
    """
    tok2vec = spert.model.get_ref("tok2vec")
    states, layout = read_outputs(spert.model, list(docs), tok2vec.predict(docs))
    shift_bias(get_network(spert.model), [xp2torch(state) for state in states], layout, count)


@torch.no_grad()
def shift_bias(network: SpertNetwork, states: List[torch.Tensor], layout: Layout, count: int) -> None:
    """Shift the bias of "no entity" so that the network finds a given number of entities.

    network (SpertNetwork): The network.
    states (List[Tensor]): Embeddings, each (n_rows, width).
    layout (Layout): Indices into their concatenation.
    count (int): The number of entities in them.
    """
    bounds = zip(layout.sentences[:-1].tolist(), layout.sentences[1:].tolist())
    width = network.sizes.max_span_width
    spans = numpy.concatenate([all_spans(end - start, width) + start for start, end in bounds])
    _, logits = network.classify(network.encode(states, layout), spans, is_train=False)
    margins = numpy.sort((logits[:, 1:].amax(dim=1) - logits[:, 0]).cpu().numpy())[::-1]
    shift = margins[count - 1 : count + 1].mean() if count else margins[0] + 1.0
    network.span_head.output_layer.bias[0] += float(shift)
