"""What was extracted in the forms that other tools take: a table of triples, and a graph."""

from typing import TYPE_CHECKING, Iterable, List, NamedTuple, Optional, Union

from spacy.tokens import Doc

from ..errors import Errors
from ..relations import get_relations, related_spans

if TYPE_CHECKING:
    import networkx


class Triple(NamedTuple):
    """A relation as plain values, one row of a table: `pandas.DataFrame(to_triples(docs))`.

    head (str): The text of the entity the relation starts from.
    head_label (str): Its label.
    relation (str): The label of the relation.
    tail (str): The text of the entity the relation points to.
    tail_label (str): Its label.
    score (float): Confidence from 0 to 1; 1.0 for gold data.
    head_start (int): The first character of the head in the text of its document.
    head_end (int): The character after its last.
    tail_start (int): The first character of the tail.
    tail_end (int): The character after its last.
    doc (int): The index of the document, from 0.
    """

    head: str
    head_label: str
    relation: str
    tail: str
    tail_label: str
    score: float
    head_start: int
    head_end: int
    tail_start: int
    tail_end: int
    doc: int


def to_triples(docs: Union[Doc, Iterable[Doc]], spans_key: Optional[str] = None) -> List[Triple]:
    """List the relations of documents as plain values.

    docs (Union[Doc, Iterable[Doc]]): One document or several.
    spans_key (Optional[str]): The span group of the entities. By default all groups that hold relations.
    RETURNS (List[Triple]): The relations, in the order of the documents and as stored in each.
    """
    return [
        Triple(
            head.text,
            head.label_,
            label,
            tail.text,
            tail.label_,
            score,
            head.start_char,
            head.end_char,
            tail.start_char,
            tail.end_char,
            i,
        )
        for i, doc in enumerate(_as_docs(docs))
        for head, tail, label, score in get_relations(doc, spans_key)
    ]


def to_networkx(docs: Union[Doc, Iterable[Doc]], spans_key: Optional[str] = None) -> "networkx.MultiDiGraph":
    """Make a graph of the entities and relations of documents.

    A node is a pair (text, label), and stands for all entities of that text and label in all documents. It has the
    attributes "text", "label" and "mentions", their number. An edge is one relation of one document, with the fields
    of `Triple` that are not the nodes': "relation", "score", the offsets of both ends in characters, and "doc".
    Relations without direction have an edge in the direction in which they are stored. Two mentions of one node that
    are related give a loop.

    docs (Union[Doc, Iterable[Doc]]): One document or several.
    spans_key (Optional[str]): The span group of the entities. By default all groups that hold relations.
    RETURNS (networkx.MultiDiGraph): The graph.
    RAISES (ImportError): If networkx is not installed.
    """
    try:
        import networkx
    except ImportError as err:
        raise ImportError(Errors.S069) from err

    graph = networkx.MultiDiGraph()
    for i, doc in enumerate(_as_docs(docs)):
        for span in related_spans(doc, spans_key):
            node = (span.text, span.label_)
            if node not in graph:
                graph.add_node(node, text=span.text, label=span.label_, mentions=0)
            graph.nodes[node]["mentions"] += 1
        for triple in to_triples(doc, spans_key):
            values = triple._replace(doc=i)._asdict()
            ends = [(values.pop(side), values.pop(f"{side}_label")) for side in ("head", "tail")]
            graph.add_edge(*ends, **values)
    return graph


def _as_docs(docs: Union[Doc, Iterable[Doc]]) -> Iterable[Doc]:
    return [docs] if isinstance(docs, Doc) else docs
