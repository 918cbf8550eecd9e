"""What a listener listens to, whichever package it is from. Imports none of them."""

from typing import Optional

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
