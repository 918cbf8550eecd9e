"""SpERT, span-based joint entity and relation extraction, as a spaCy component.

Source: Eberts & Ulges, "Span-based Joint Entity and Relation Extraction with Transformer Pre-training", ECAI 2020.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Dict, Tuple

if TYPE_CHECKING:
    from .checkpoint import import_checkpoint
    from .evaluation.drawing import displacy_relations
    from .extraction.export import Triple, to_networkx, to_triples
    from .extraction.extractor import Extractor
    from .formats.jsonl import to_json
    from .pipeline import Spert
    from .relations import Relation, get_relations, install_extension, join_docs, set_relations, span_as_doc

__version__ = "0.1.0"
__all__ = [
    "Extractor",
    "Relation",
    "Spert",
    "Triple",
    "displacy_relations",
    "get_relations",
    "import_checkpoint",
    "install_extension",
    "join_docs",
    "set_relations",
    "span_as_doc",
    "to_json",
    "to_networkx",
    "to_triples",
]

# Imported when used: spaCy imports this package whenever a pipeline is made, whoever's it is. For that reason the first
# use also registers `doc._.relations`, a name that others take as well, and not the import.
_LAZY = {
    "Extractor": "extraction.extractor",
    "Relation": "relations",
    "Spert": "pipeline",
    "Triple": "extraction.export",
    "displacy_relations": "evaluation.drawing",
    "get_relations": "relations",
    "import_checkpoint": "checkpoint",
    "install_extension": "relations",
    "join_docs": "relations",
    "set_relations": "relations",
    "span_as_doc": "relations",
    "to_json": "formats.jsonl",
    "to_networkx": "extraction.export",
    "to_triples": "extraction.export",
}

# Old names: the new ones, and the versions that renamed them. They stay until the end of the next major version.
_RETIRED: Dict[str, Tuple[str, str]] = {}


def __getattr__(name: str) -> Any:
    if name in _RETIRED:
        new, version = _RETIRED[name]
        import_module(".versions", __name__).warn_of(name, new, version)
        return __getattr__(new)
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name != "install_extension":
        import_module(".relations", __name__).install_extension()
    return getattr(import_module(f".{_LAZY[name]}", __name__), name)
