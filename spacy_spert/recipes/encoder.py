"""What matters of a transformer for its training."""

from pathlib import Path
from typing import Any, Dict, NamedTuple

from ..errors import Errors

# Most wordpieces that are read at a time.
MAX_LENGTH = 512
# The hidden width up to which a size reaches.
SIZES = {"small": 512, "base": 768}
SMALL_NAMES = ("mini", "small", "tiny", "xs")
# What tokenizers of some kinds need.
TOKENIZERS = {"xlnet": {"padding_side": "right"}, "gpt2": {"pad_token": "<|endoftext|>"}}


class Encoder(NamedTuple):
    """What matters of a transformer.

    name (str): Name or path.
    size (str): "small", "base" or "large".
    why (str): How the size is known.
    max_length (int): Most wordpieces that it takes.
    tokenizer (Dict[str, Any]): Settings that its tokenizer needs.
    """

    name: str
    size: str
    why: str
    max_length: int = MAX_LENGTH
    tokenizer: Dict[str, Any] = {}


def read_encoder(name: str) -> Encoder:
    """Find out the size of a transformer: from its config.json where it lies in a folder or was fetched before, else by
    its name, else from the hub.

    name (str): The folder, or the name on the hub.
    RETURNS (Encoder): What matters of it.
    RAISES (ValueError): If a folder holds no transformer.
    """
    config = _load_config(name, local_files_only=True)
    if config is None and Path(name).is_dir():
        raise ValueError(Errors.S202.format(path=name))
    words = name.lower().replace("_", "-").split("/")[-1].split("-")
    named = "large" if "large" in words else "base" if "base" in words else None
    if named is None and any(word.startswith(SMALL_NAMES) for word in words):
        named = "small"
    if config is None and named is None:
        config = _load_config(name)
    if config is None:
        return Encoder(name, named or "base", f"'{name}' is called so" if named else "the usual size, as none is known")
    width = config.hidden_size
    size = next((size for size, limit in SIZES.items() if width <= limit), "large")
    # Some models count positions from 2 and have as many more.
    positions = getattr(config, "max_position_embeddings", MAX_LENGTH) // 8 * 8
    tokenizer = TOKENIZERS.get(config.model_type, {})
    why = f"{config.num_hidden_layers} layers of {width}"
    return Encoder(name, size, why, min(MAX_LENGTH, positions) if positions > 0 else MAX_LENGTH, tokenizer)


def _load_config(name: str, **options: Any) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(name, **options)
    except (OSError, ValueError):
        return None
