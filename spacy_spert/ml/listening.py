"""What a listener listens to, whichever package it is from. Imports none of them."""

from typing import Any, Dict, Optional

from thinc.api import Model

# How spacy-curated-transformers marks its listeners, and where they keep the name of their component.
CURATED = "_TRANSFORMER_LISTENER"
CURATED_UPSTREAM = "_upstream_name"


def is_curated_listener(layer: Model) -> bool:
    """RETURNS (bool): Whether a layer listens to a transformer of spacy-curated-transformers."""
    return CURATED in layer.attrs


def upstream_name(layer: Model) -> Optional[str]:
    """RETURNS (Optional[str]): The name of the component that a layer listens to, or "*"; None if it is no listener."""
    return layer.attrs[CURATED_UPSTREAM] if is_curated_listener(layer) else getattr(layer, "upstream_name", None)


def replace_listener_cfg(transformer: Dict[str, Any], listener: Dict[str, Any], *, error: str) -> Dict[str, Any]:
    """The config of a component that gets a copy of a transformer in place of its listener, for transformers that can't
    be pooled there.

    transformer (Dict[str, Any]): The config of the transformer's model.
    listener (Dict[str, Any]): The config of the listener.
    error (str): What to say if they would have to be, with a place for the listener.
    RETURNS (Dict[str, Any]): The config to use.
    RAISES (ValueError): If the component needs one vector for each token.
    """
    if "pooling" in listener:
        raise ValueError(error.format(listener=listener["@architectures"]))
    return transformer
