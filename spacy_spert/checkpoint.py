"""Checkpoints of the original SpERT, made into pipelines.

A checkpoint is a folder that the original has saved:

- `config.json`: the settings of BERT, and the version of SpERT.
- `vocab.txt`, and mostly `tokenizer_config.json`: the WordPiece tokenizer.
- `pytorch_model.bin` or `model.safetensors`: the weights. `bert.*`, `entity_classifier.*` over [CLS, span, width],
  `rel_classifier.*` over [context, head, tail, head width, tail width], and `size_embeddings.weight`, whose row w
  belongs to spans of w tokens.

The labels are in a `types.json` beside the training data. Their order is that of the classifiers' rows, but the entity
classifier has one for "none" before them.

Checkpoints are other people's files, so nothing in them is run or followed. Weights are read as plain tensors, links
may not lead out of the folder, and of the settings only those are used that change what BERT computes. The sizes are
those of the weights, and every weight must have its place.
"""

import logging
import os
import re
from pathlib import Path
from typing import Any, Dict, List, NoReturn, Optional, Tuple, Union, cast

import spacy
import torch
from safetensors.torch import load_file
from spacy.language import Language
from spacy_transformers.data_classes import HFObjects
from thinc.api import get_torch_default_device
from torch import Tensor
from transformers import BertConfig, BertModel, BertTokenizerFast
from transformers.activations import ACT2FN

from .errors import Errors, Warnings
from .formats.losses import shorten
from .formats.spert_json import Types, read_types
from .formats.values import expect, parse_json
from .ml.heads import ConcatLinear
from .ml.model import get_network
from .pipeline import Spert

logger = logging.getLogger("spacy.spert")

Weights = Dict[str, Tensor]
PathT = Union[str, Path]

VERSION = "1.1"
# Most bytes of a file that is read as a whole: settings, labels, vocabulary.
MAX_MEGABYTES = 16
# In the order of preference.
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
# In which order the original has what it scores spans and pairs on, by our names.
PARTS = {
    "entity_classifier.weight": ("context", "span", "width"),
    "rel_classifier.weight": ("context", "head", "tail", "head_width", "tail_width"),
}
# Names of the original, and ours.
HEAD_WEIGHTS = {
    "entity_classifier.weight": "span_head.layer.weight",
    "entity_classifier.bias": "span_head.layer.bias",
    "rel_classifier.weight": "relation_head.layer.weight",
    "rel_classifier.bias": "relation_head.layer.bias",
    "size_embeddings.weight": "width_embedding.weight",
}
ENCODER = "bert."
# SpERT has no use for it and newer versions may save none, but spacy-transformers expects it. Then it is all zeros.
POOLER = "bert.pooler."
# Older versions of transformers saved these as well; they count positions and are not weights.
BUFFERS = ("bert.embeddings.position_ids", "bert.embeddings.token_type_ids")
# Where each size of BERT can be seen: a matrix and its axis.
SIZES = {
    "vocab_size": ("bert.embeddings.word_embeddings.weight", 0),
    "hidden_size": ("bert.embeddings.word_embeddings.weight", 1),
    "max_position_embeddings": ("bert.embeddings.position_embeddings.weight", 0),
    "type_vocab_size": ("bert.embeddings.token_type_embeddings.weight", 0),
    "intermediate_size": ("bert.encoder.layer.0.intermediate.dense.weight", 0),
}
# What spacy-transformers would load the encoder by, if it had to. It can't be a name on the hub: another encoder in the
# place of this one would go unnoticed.
ENCODER_NAME = "imported from a SpERT checkpoint: train it on with source, it can't be loaded by name"
BATCH_SIZE = 128
STRIDED_SPANS = {"@span_getters": "spacy-spert.strided_spans.v1", "window": 256, "stride": 192}
SENTENCE_SPANS = {"@span_getters": "spacy-transformers.sent_spans.v1"}


def import_checkpoint(
    checkpoint_dir: PathT,
    types: PathT,
    *,
    lang: str = "en",
    max_span_width: int = 10,
    relation_threshold: float = 0.4,
    lowercase: Optional[bool] = None,
    sentences: bool = False,
) -> Language:
    """Make a pipeline of a checkpoint of the original SpERT. It predicts what the original does.

    checkpoint_dir (Union[str, Path]): The folder of the checkpoint.
    types (Union[str, Path]): The types.json that it was trained with.
    lang (str): The language, for spaCy's tokenizer.
    max_span_width (int): Widest entity in tokens, the original's max_span_size.
    relation_threshold (float): Lowest probability of a relation, the original's rel_filter_threshold.
    lowercase (Optional[bool]): Whether texts are lower-cased. By default as tokenizer_config.json says, and not if it
        says nothing.
    sentences (bool): Find sentences first (with a sentencizer) and go through texts sentence by sentence. By default a
        document is one sentence, unless it has sentence marks.
    RETURNS (Language): The pipeline, with the components "transformer" and "spert".
    RAISES (ValueError): If the files are not those of a SpERT model with these labels.
    """
    folder = Path(checkpoint_dir)
    labels = read_types(_whole(Path(types)))
    config_path, weights_path = _find(folder, "config.json"), _find(folder, *WEIGHT_FILES)
    config = _read_json(config_path)
    if str(config.get("spert_version", "1.0")) != VERSION:
        raise ValueError(Errors.S058.format(path=config_path, value=_show(config.get("spert_version"))))
    weights = read_weights(weights_path)
    _check_labels(weights_path, weights, labels, types)
    sizes = _read_sizes(weights)
    encoder = _make_encoder(config_path, config, sizes)
    _check_weights(weights, encoder, labels)
    limit = _size(weights, "size_embeddings.weight", 0) - 1
    if not 1 <= max_span_width <= limit:
        raise ValueError(Errors.S057.format(limit=limit, value=max_span_width))
    tokenizer = _make_tokenizer(folder, lowercase, sizes)
    own = {name[len(ENCODER) :]: weight for name, weight in weights.items() if name.startswith(ENCODER)}
    encoder.load_state_dict({**encoder.state_dict(), **own})

    nlp = spacy.blank(lang, config={"nlp": {"batch_size": BATCH_SIZE}})
    if sentences:
        nlp.add_pipe("sentencizer")
        nlp.config["training"]["annotating_components"] = ["sentencizer"]
    _add_transformer(nlp, encoder, tokenizer, sentences)
    _add_spert(nlp, weights, labels, max_span_width, relation_threshold)
    return nlp


def read_weights(path: Path) -> Weights:
    """Read a file of weights. Nothing in it is run.

    path (Path): A file of safetensors, or a state dict saved by torch.
    RETURNS (Dict[str, Tensor]): The weights by name, without those of BUFFERS.
    RAISES (ValueError): If it holds anything but tensors.
    """
    try:
        if path.suffix == ".safetensors":
            weights = load_file(path)
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as err:  # whatever the parsers meet in a file of another kind
        # Not torch's message: it tells how to run the code in the file.
        code = re.search(r"GLOBAL (\S+)", str(err))
        reason = f"it asks to run {shorten(code[1])}" if code else "it is broken, or of another kind"
        raise ValueError(Errors.S052.format(path=path, reason=reason)) from err
    if not isinstance(weights, dict) or not weights:
        raise ValueError(Errors.S052.format(path=path, reason=f"it holds a {type(weights).__name__}"))
    for name, value in weights.items():
        if not isinstance(name, str) or not _is_plain(value, path.stat().st_size):
            reason = f"{_show(name)} is not an ordinary tensor ({type(value).__name__})"
            raise ValueError(Errors.S052.format(path=path, reason=reason))
    return {name: value for name, value in weights.items() if name not in BUFFERS}


def _find(folder: Path, *names: str) -> Path:
    """The first of some files in the folder of the checkpoint. Weights may be large, other files may not."""
    for name in names:
        if (folder / name).is_file():
            return _whole(folder / name, inside=folder, large=name in WEIGHT_FILES)
    raise ValueError(Errors.S050.format(path=folder, missing=" or ".join(names)))


def _whole(path: Path, inside: Optional[Path] = None, large: bool = False) -> Path:
    """Make sure that a file can be read as a whole, and lies where it seems to."""
    linked = inside is not None and not path.resolve().is_relative_to(inside.resolve())
    if linked or not path.is_file() or (path.stat().st_size > MAX_MEGABYTES * 10**6 and not large):
        raise ValueError(Errors.S051.format(path=path, limit=MAX_MEGABYTES))
    return path


def _read_json(path: Path) -> Dict[str, Any]:
    try:
        return expect(parse_json(path.read_bytes()), dict, "the file")
    except ValueError as err:
        raise ValueError(f"{path}: {err}") from err


def _read_optional(folder: Path, name: str) -> Dict[str, Any]:
    # A link that leads nowhere is there, too.
    return _read_json(_find(folder, name)) if os.path.lexists(folder / name) else {}


def _check_labels(path: Path, weights: Weights, labels: Types, types: PathT) -> None:
    """Make sure that this is SpERT, and that it has these labels."""
    missing = [name for name in (*HEAD_WEIGHTS, SIZES["vocab_size"][0]) if name not in weights]
    if missing:
        found = shorten(", ".join(weights), 200)
        raise ValueError(Errors.S053.format(path=path, missing=", ".join(missing), found=found))
    for kind, name, known, n_extra in (
        ("entity", "entity_classifier.weight", labels.entities, 1),
        ("relation", "rel_classifier.weight", labels.relations, 0),
    ):
        n = _size(weights, name, 0) - n_extra
        if n != len(known):
            shown = shorten(", ".join(known), 200)
            raise ValueError(Errors.S054.format(n=n, kind=kind, types=types, expected=len(known), labels=shown))


def _check_weights(weights: Weights, encoder: BertModel, labels: Types) -> None:
    """Make sure that every weight has its place and every place its weight."""
    rows, width = _size(weights, "size_embeddings.weight", 0), _size(weights, "size_embeddings.weight", 1)
    hidden, n_entities, n_relations = encoder.config.hidden_size, 1 + len(labels.entities), len(labels.relations)
    columns = {name: sum(width if "width" in part else hidden for part in parts) for name, parts in PARTS.items()}
    shapes: Dict[str, Tuple[int, ...]] = {
        "entity_classifier.weight": (n_entities, columns["entity_classifier.weight"]),
        "entity_classifier.bias": (n_entities,),
        "rel_classifier.weight": (n_relations, columns["rel_classifier.weight"]),
        "rel_classifier.bias": (n_relations,),
        "size_embeddings.weight": (rows, width),
    }
    for name, weight in encoder.state_dict().items():
        shapes[ENCODER + name] = tuple(weight.shape)
    if not any(name.startswith(POOLER) for name in weights):
        shapes = {name: shape for name, shape in shapes.items() if not name.startswith(POOLER)}
    problems: List[str] = []
    for name in sorted({*shapes, *weights}):
        if name not in weights:
            problems.append(f"{name} is missing")
        elif name not in shapes:
            problems.append(f"{name} is unknown")
        elif tuple(weights[name].shape) != shapes[name] or not weights[name].is_floating_point():
            problems.append(
                f"{name} is {weights[name].dtype} of shape {tuple(weights[name].shape)}, not {shapes[name]}"
            )
    if problems:
        raise ValueError(Errors.S056.format(problems=shorten("; ".join(problems), 400)))


def _read_sizes(weights: Weights) -> Dict[str, int]:
    """The sizes of BERT, under the names of its settings."""
    sizes = {setting: _size(weights, name, axis) for setting, (name, axis) in SIZES.items()}
    sizes["num_hidden_layers"] = len({name.split(".")[3] for name in weights if name.startswith("bert.encoder.layer.")})
    return sizes


def _make_encoder(path: Path, config: Dict[str, Any], sizes: Dict[str, int]) -> BertModel:
    """A BERT with room for the weights. Of the settings only those are used that change what it computes."""
    used = {**BertConfig().to_dict(), **config}
    rows, hidden = sizes["vocab_size"], sizes["hidden_size"]
    heads, padding = used["num_attention_heads"], used["pad_token_id"]
    checks = {
        "model_type": (used["model_type"] == "bert", "'bert'"),
        "is_decoder": (used["is_decoder"] is False, "false"),
        "hidden_act": (isinstance(used["hidden_act"], str) and used["hidden_act"] in ACT2FN, "a known function"),
        "num_attention_heads": (
            type(heads) is int and 1 <= heads <= hidden and hidden % heads == 0,
            f"a divisor of {hidden}",
        ),
        "pad_token_id": (type(padding) is int and 0 <= padding < rows, f"from 0 to {rows - 1}"),
        "position_embedding_type": (
            used["position_embedding_type"] in ("absolute", "relative_key", "relative_key_query"),
            "'absolute', 'relative_key' or 'relative_key_query'",
        ),
        "layer_norm_eps": (_is_fraction(used["layer_norm_eps"]), "from 0 to 1"),
        "hidden_dropout_prob": (_is_fraction(used["hidden_dropout_prob"]), "from 0 to 1"),
        "attention_probs_dropout_prob": (_is_fraction(used["attention_probs_dropout_prob"]), "from 0 to 1"),
    }
    for setting, size in sizes.items():
        checks[setting] = (config.get(setting, size) == size and size > 0, f"{size}, as in the weights")
    for setting, (holds, expected) in checks.items():
        if not holds:
            _refuse(path, setting, expected, used[setting])
    settings = {setting: used[setting] for setting in checks if setting != "model_type"}
    encoder: Any = BertModel(BertConfig(**{**settings, **sizes}))
    for parameter in encoder.pooler.parameters():
        torch.nn.init.zeros_(parameter)
    return encoder.to(get_torch_default_device()).eval()


def _make_tokenizer(folder: Path, lowercase: Optional[bool], sizes: Dict[str, int]) -> BertTokenizerFast:
    """The tokenizer as the original loads it: from the vocabulary, with BERT's own special tokens."""
    path = _find(folder, "vocab.txt")
    settings = _read_optional(folder, "tokenizer_config.json")
    used = {
        "do_lower_case": settings.get("do_lower_case", False) if lowercase is None else lowercase,
        "strip_accents": settings.get("strip_accents"),
        "tokenize_chinese_chars": settings.get("tokenize_chinese_chars", True),
    }
    checks = {
        "do_lower_case": (isinstance(used["do_lower_case"], bool), "true or false"),
        "strip_accents": (isinstance(used["strip_accents"], (bool, type(None))), "true, false or null"),
        "tokenize_chinese_chars": (isinstance(used["tokenize_chinese_chars"], bool), "true or false"),
        "do_basic_tokenize": (settings.get("do_basic_tokenize", True) is True, "true"),
        "never_split": (not settings.get("never_split"), "empty"),
    }
    for setting, (holds, expected) in checks.items():
        if not holds:
            _refuse(folder / "tokenizer_config.json", setting, expected, settings.get(setting))
    try:
        with path.open(encoding="utf8") as file_:
            pieces = [line.rstrip("\n") for line in file_]
    except UnicodeDecodeError as err:
        raise ValueError(f"{path}: {err}") from err
    rows = sizes["vocab_size"]
    special = [piece for piece in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]") if piece not in pieces]
    if special:
        _refuse(path, "the vocabulary", "a list of wordpieces with " + ", ".join(special), ", ".join(pieces))
    if len(pieces) > rows:
        _refuse(path, "the number of wordpieces", f"{rows}, as in the weights", len(pieces))
    if len(pieces) < rows:
        logger.warning(Warnings.W051.format(path=path, n=len(pieces), expected=rows))
    added = _read_optional(folder, "added_tokens.json").keys() - set(pieces)
    if added:
        _refuse(folder / "added_tokens.json", "its tokens", "in vocab.txt too", ", ".join(sorted(added)))
    if not used["do_lower_case"] and lowercase is None and not any(map(_is_cased, pieces)):
        logger.warning(Warnings.W050.format(path=path))
    return BertTokenizerFast(str(path), model_max_length=sizes["max_position_embeddings"], **used)


def _add_transformer(nlp: Language, encoder: BertModel, tokenizer: BertTokenizerFast, sentences: bool) -> None:
    settings = {
        "@architectures": "spacy-transformers.TransformerModel.v3",
        "name": ENCODER_NAME,
        "get_spans": SENTENCE_SPANS if sentences else STRIDED_SPANS,
        "tokenizer_config": {"use_fast": True, "model_max_length": tokenizer.model_max_length},
    }
    transformer = cast(Any, nlp.add_pipe("transformer", config={"model": settings}))
    transformer.model.attrs["set_transformer"](transformer.model, HFObjects(tokenizer, encoder, None))


def _add_spert(nlp: Language, weights: Weights, labels: Types, max_span_width: int, relation_threshold: float) -> None:
    settings = {
        "max_span_width": max_span_width,
        "relation_threshold": relation_threshold,
        "symmetric_labels": labels.symmetric,
        # The original has no limits.
        "max_relation_distance": 0,
        "entities_per_token": 0.0,
        "relations_per_token": 0.0,
        "model": {"width_embedding": _size(weights, "size_embeddings.weight", 1)},
    }
    spert = cast(Spert, nlp.add_pipe("spert", config=settings))
    for label in labels.entities:
        spert.add_label(label, "entity")
    for label in labels.relations:
        spert.add_label(label, "relation")
    spert.cfg["width"] = _size(weights, *SIZES["hidden_size"])
    spert.make_head()
    network = get_network(spert.model)
    parameters = dict(network.named_parameters())
    with torch.no_grad():
        for name, own in HEAD_WEIGHTS.items():
            if own not in parameters:
                continue  # without labels there is no classifier
            weight = weights[name]
            if name in PARTS:
                layer = cast(ConcatLinear, network.get_submodule(own.rpartition(".")[0]))
                parts = weight.split([layer.parts[part] for part in PARTS[name]], dim=1)
                weight = layer.concat(dict(zip(PARTS[name], parts)))
            elif name == "size_embeddings.weight":
                # Row 0 belongs to no span.
                weight = weight[1 : max_span_width + 1]
            parameters[own].copy_(weight)


def _size(weights: Weights, name: str, axis: int) -> int:
    if name not in weights or weights[name].ndim != 2:
        problem = f"{name} is missing" if name not in weights else f"{name} has {weights[name].ndim} axes, not 2"
        raise ValueError(Errors.S056.format(problems=problem))
    return weights[name].shape[axis]


def _is_plain(value: Any, most_bytes: int) -> bool:
    """Whether a value is an ordinary tensor. One that is larger than its file would come from few repeated numbers."""
    if type(value) not in (Tensor, torch.nn.Parameter):
        return False
    return value.layout == torch.strided and value.device.type == "cpu" and value.nbytes <= most_bytes


def _is_fraction(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 1


def _is_cased(piece: str) -> bool:
    return piece != piece.lower() and not (piece.startswith("[") and piece.endswith("]"))


def _refuse(path: Path, setting: str, expected: str, value: Any) -> NoReturn:
    raise ValueError(Errors.S055.format(path=path, setting=setting, expected=expected, value=_show(value)))


def _show(value: Any) -> str:
    return shorten(repr(value))
