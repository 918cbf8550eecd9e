"""SpERT, span-based joint entity and relation extraction, as a spaCy component.

Source: Eberts & Ulges, "Span-based Joint Entity and Relation Extraction with Transformer Pre-training", ECAI 2020.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .relations import Relation, get_relations, install_extension, join_docs, set_relations, span_as_doc

if TYPE_CHECKING:
    from .evaluation.drawing import displacy_relations
    from .extraction.export import Triple, to_networkx, to_triples
    from .extraction.extractor import Extractor
    from .formats.jsonl import to_json

install_extension()

__version__ = "0.1.0"
__all__ = [
    "Extractor",
    "Relation",
    "Triple",
    "displacy_relations",
    "get_relations",
    "join_docs",
    "set_relations",
    "span_as_doc",
    "to_json",
    "to_networkx",
    "to_triples",
]

# Imported when used: spaCy imports this package whenever a pipeline is made.
_LAZY = {
    "Extractor": "extraction.extractor",
    "displacy_relations": "evaluation.drawing",
    "Triple": "extraction.export",
    "to_json": "formats.jsonl",
    "to_networkx": "extraction.export",
    "to_triples": "extraction.export",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_LAZY[name]}", __name__), name)
