"""What of a saved pipeline is not for others: paths of this machine, and losses among its scores."""

from pathlib import Path
from typing import Any, Dict, Mapping, Optional

from spacy.util import dict_to_dot
from thinc.api import Config

# Sections of settings that only training reads.
OF_TRAINING = ("corpora", "training", "pretraining", "initialize")


def is_local(value: Any) -> bool:
    """RETURNS (bool): Whether a setting is a path of this machine."""
    return isinstance(value, str) and value != "" and (Path(value).is_absolute() or Path(value).exists())


def base_model_of(config: Config) -> Optional[str]:
    """Find the transformer that a pipeline was made of.

    config (Config): The pipeline's config.
    RETURNS (Optional[str]): Its name or path; None if it has none.
    """
    for block in _transformers(config.interpolate()):
        return block["name"]
    return None


def without_paths(config: Config, base_model: Optional[str]) -> Config:
    """Take the paths of this machine out of a config. A saved pipeline loads without any.

    config (Config): The config, with its variables.
    base_model (Optional[str]): The name of the transformer. Without it, its path is cut to the last folder.
    RETURNS (Config): A copy.
    """
    cleaned, values = config.copy(), config.interpolate()
    for block, resolved in zip(_transformers(cleaned), _transformers(values)):
        name = resolved["name"]
        block["name"] = base_model or (Path(name).name if is_local(name) else name)
    cleaned["paths"] = {name: None for name in cleaned.get("paths", {})}
    for name in dict_to_dot({section: cleaned[section] for section in OF_TRAINING if section in cleaned}):
        *path, last = name.split(".")
        place: Any = cleaned
        for part in path:
            place = place[part]
        if not last.startswith("@") and is_local(place[last]):
            place[last] = None
    return cleaned


def with_scores(meta: Mapping[str, Any], scores: Mapping[str, Any], spans_key: str) -> Dict[str, Any]:
    """Put scores into the meta of a pipeline, where the hubs look for them: those of entities are `ents_p`, `ents_r`
    and `ents_f` there. Where doc.ents is not annotated, these are the scores of the span group.

    meta (Mapping[str, Any]): The meta.
    scores (Mapping[str, Any]): What `spacy spert evaluate --output` wrote; nothing to keep those of the training.
    spans_key (str): The component's span group.
    RETURNS (Dict[str, Any]): A copy without losses.
    """
    kept = {name: value for name, value in meta.get("performance", {}).items() if not name.endswith("_loss")}
    prefixes = ("ents_", "spans_", "rels_")
    kept.update({name: value for name, value in scores.items() if name.startswith(prefixes)})
    for name in ("p", "r", "f", "per_type"):
        if kept.get(f"ents_{name}") is None:
            kept[f"ents_{name}"] = kept.get(f"spans_{spans_key}_{name}")
    return {**meta, "performance": {name: value for name, value in kept.items() if value is not None}}


def _transformers(config: Mapping[str, Any]) -> Any:
    """All blocks that name a transformer."""
    found = [config["components"]]
    for block in found:
        found += [value for value in block.values() if isinstance(value, dict)]
    return [block for block in found if "Transformer" in block.get("@architectures", "") and "name" in block]
