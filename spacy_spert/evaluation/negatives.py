"""False relations where there are none to find: the types of the entities suggest one, the gold data has none."""

from typing import Collection, Dict, Iterable, List, NamedTuple, Optional, Set, Tuple

from spacy.training import Example

from ..alignment import gold_entities, gold_relations
from ..relations import DEFAULT_SPANS_KEY
from ..scorer import count_spert
from ..sentences import sentence_bounds

# Labels of head and tail.
Types = Tuple[str, str]


class FalseRelations(NamedTuple):
    """How many relations are predicted that the gold data doesn't have.

    sentences (int): Number of sentences. A document without sentence marks is one.
    found (int): Number of predicted relations, by boundaries and label, that are none.
    """

    sentences: int
    found: int

    @property
    def rate(self) -> Optional[float]:
        """RETURNS (Optional[float]): False relations per 100 sentences; None without any sentence."""
        return 100 * self.found / self.sentences if self.sentences else None

    def to_json(self) -> Dict[str, Optional[float]]:
        """RETURNS (Dict[str, Optional[float]]): Both counts and the rate."""
        return {"sentences": self.sentences, "false_relations": self.found, "per_100_sentences": self.rate}


def related_types(examples: Iterable[Example], spans_key: str = DEFAULT_SPANS_KEY) -> Set[Types]:
    """The types of entities between which the gold data has relations.

    examples (Iterable[Example]): Annotated documents.
    spans_key (str): The span group that holds the annotation.
    RETURNS (Set[Types]): Labels of head and tail.
    """
    relations = (relation for example in examples for relation in gold_relations(example.reference, spans_key) or ())
    return {(relation.head.label_, relation.tail.label_) for relation in relations}


def without_relation(
    examples: Iterable[Example], types: Collection[Types], spans_key: str = DEFAULT_SPANS_KEY, reach: int = 0
) -> List[Example]:
    """Select documents whose gold has entities of fitting types and no relation.

    examples (Iterable[Example]): Annotated documents, best of one sentence each.
    types (Collection[Types]): Which types fit, as `related_types` gives them.
    spans_key (str): The span group that holds the annotation.
    reach (int): How many sentences apart two entities may be; 0 for the same sentence.
    RETURNS (List[Example]): Those where two such entities are of such types, and nothing is related.
    """

    def fits(example: Example) -> bool:
        doc = example.reference
        if gold_relations(doc, spans_key) != ():
            # There are some, or it is not known.
            return False
        ends = sentence_bounds([doc])[1:]
        placed = [(int(ends.searchsorted(s.start, side="right")), s) for s in gold_entities(doc, spans_key) or ()]
        return any(
            abs(sentence - other) <= reach and head is not tail and (head.label_, tail.label_) in types
            for sentence, head in placed
            for other, tail in placed
        )

    return [example for example in examples if fits(example)]


def count_false_relations(
    examples: Iterable[Example],
    *,
    spans_key: str = DEFAULT_SPANS_KEY,
    symmetric_labels: Collection[str] = (),
    symmetric: str = "once",
) -> FalseRelations:
    """Count predicted relations that the gold data doesn't have.

    examples (Iterable[Example]): Predicted documents with their references. Those without annotated entities and
        relations are left out.
    spans_key (str): The span group to compare.
    symmetric_labels (Collection[str]): Relation labels without direction.
    symmetric (str): How they are counted: "once", "directed" or "twice".
    RETURNS (FalseRelations): The counts.
    """
    chosen = [
        example
        for example in examples
        if gold_entities(example.reference, spans_key) is not None
        and gold_relations(example.reference, spans_key) is not None
    ]
    counts = count_spert(chosen, spans_key=spans_key, symmetric_labels=symmetric_labels, symmetric=symmetric)
    return FalseRelations(
        sentences=sum(len(sentence_bounds([example.reference])) - 1 for example in chosen),
        found=sum(score.fp for score in counts["rels"].values()),
    )
