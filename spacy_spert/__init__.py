"""SpERT, span-based joint entity and relation extraction, as a spaCy component.

Source: Eberts & Ulges, "Span-based Joint Entity and Relation Extraction with Transformer Pre-training", ECAI 2020.
"""

from .drawing import displacy_relations
from .export import Triple, to_networkx, to_triples
from .relations import Relation, get_relations, install_extension, join_docs, set_relations, span_as_doc

install_extension()

__all__ = [
    "Relation",
    "Triple",
    "displacy_relations",
    "get_relations",
    "join_docs",
    "set_relations",
    "span_as_doc",
    "to_networkx",
    "to_triples",
]
__version__ = "0.1.0"
