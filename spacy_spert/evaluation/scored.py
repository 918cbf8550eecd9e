"""Everything that a component gives a score, also below its thresholds, with whether it is right: plain arrays.

A candidate is an entity with its most probable label, or a relation between two of these entities. A relation is right
if its boundaries and label and the labels of its entities are, as in the strict score.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Collection, Iterable, List, NamedTuple, Optional, Sequence, Tuple

import numpy
from numpy.typing import NDArray
from spacy.training import Example

from ..alignment import TokenMap, gold_entities, gold_relations, unknown_tokens
from ..ml.arrays import Bools, Ints
from ..relations import SCORES_ATTR, get_relations
from ..scorer import Annotation

Doubles = NDArray[numpy.float64]
# A relation label with the labels of head and tail.
RelationType = Tuple[str, str, str]


class DocumentRows(NamedTuple):
    """The candidates of one document.

    entities (List[Tuple[str, float, Optional[str]]]): Label, score, and the gold label of the same tokens.
    relations (List[Tuple[str, float, bool, int, int]]): Label, score, whether it is right, and head and tail as indices
        into the entities.
    gold_entities (List[str]): Labels of the gold entities.
    gold_relations (List[RelationType]): The gold relations.
    chosen (List[int]): Which of the document's entities these are: all but those that can't be judged, as they touch
        tokens without annotation.
    """

    entities: List[Tuple[str, float, Optional[str]]]
    relations: List[Tuple[str, float, bool, int, int]]
    gold_entities: List[str]
    gold_relations: List[RelationType]
    chosen: List[int] = []


@dataclass
class Candidates:
    """Entities or relations of many documents, one after the other.

    labels (List[str]): The labels, each a column.
    documents (Ints): Document of each candidate, from 0, shape (n,).
    columns (Ints): Label of each candidate, shape (n,).
    scores (Doubles): From 0 to 1, shape (n,).
    right (Bools): Whether it is right, shape (n,). No two that are right are the same gold annotation.
    gold (Ints): How many there are in the gold data, shape (n_documents, n_labels).
    """

    labels: List[str]
    documents: Ints
    columns: Ints
    scores: Doubles
    right: Bools
    gold: Ints

    def count(self, kept: Bools) -> Ints:
        """Count what is right and wrong if some of the candidates come out.

        kept (Bools): Which ones, shape (n,).
        RETURNS (Ints): True positives, false positives and false negatives, shape (n_documents, n_labels, 3).
        """
        counts = numpy.zeros((*self.gold.shape, 3), dtype="int64")
        for i, chosen in enumerate((kept & self.right, kept & ~self.right)):
            numpy.add.at(counts[:, :, i], (self.documents[chosen], self.columns[chosen]), 1)
        counts[:, :, 2] = self.gold - counts[:, :, 0]
        return counts

    def select(self, kept: Bools, documents: Bools) -> "Candidates":
        """Leave out candidates of documents.

        kept (Bools): Which candidates stay, shape (n,).
        documents (Bools): Which documents they are of, shape (n_documents,).
        RETURNS (Candidates): The others.
        """
        return Candidates(
            self.labels,
            self.documents[kept],
            self.columns[kept],
            self.scores[kept],
            self.right[kept],
            self.gold * documents[:, None],
        )


@dataclass
class Scored:
    """The candidates of a component over annotated documents.

    entities (Candidates): The entities.
    relations (Candidates): The relations.
    pairs (Ints): Head and tail of each relation as indices into the entities, shape (n_relations, 2).
    actual (Ints): Column of each entity's gold label, -1 where there is no gold entity, shape (n_entities,).
    gold_types (List[Counter[RelationType]]): How often the gold data of each document relates entities of such labels.
    logits (Optional[Doubles]): Logits of the entities, column 0 for none, shape (n_entities, 1 + n_entity_labels), if
        they were asked for.
    given (bool): Whether the entities were given and thus have no scores.
    """

    entities: Candidates
    relations: Candidates
    pairs: Ints
    actual: Ints
    gold_types: List["Counter[RelationType]"] = field(default_factory=list)
    logits: Optional[Doubles] = None
    given: bool = False

    @property
    def n_documents(self) -> int:
        """RETURNS (int): Number of documents."""
        return len(self.entities.gold)

    @property
    def is_entity(self) -> Bools:
        """RETURNS (Bools): Which of the entities are so by themselves, and not only if they have a relation, shape
        (n_entities,)."""
        if self.logits is None:
            return numpy.ones(len(self.actual), dtype=bool)
        return self.logits.argmax(axis=1) != 0

    def select(self, chosen: Bools) -> "Scored":
        """Leave out documents. The others keep their numbers, and those left out have neither candidates nor gold.

        chosen (Bools): Which documents stay, shape (n_documents,).
        RETURNS (Scored): Their candidates.
        """
        entities, relations = chosen[self.entities.documents], chosen[self.relations.documents]
        index = numpy.cumsum(entities) - 1
        return Scored(
            self.entities.select(entities, chosen),
            self.relations.select(relations, chosen),
            index[self.pairs[relations]],
            self.actual[entities],
            [types if stays else Counter() for types, stays in zip(self.gold_types, chosen)],
            None if self.logits is None else self.logits[entities],
            self.given,
        )

    def types(self) -> List[RelationType]:
        """RETURNS (List[RelationType]): Each relation's label with the predicted labels of head and tail."""
        names = numpy.asarray(self.entities.labels, dtype=object)[self.entities.columns[self.pairs]]
        labels = numpy.asarray(self.relations.labels, dtype=object)[self.relations.columns]
        return [(label, head, tail) for label, (head, tail) in zip(labels.tolist(), names.reshape(-1, 2).tolist())]


def read_document(
    example: Example, key: str, symmetric_labels: Collection[str], symmetric: str = "once"
) -> DocumentRows:
    """Read the candidates of a document and compare them with its gold annotation.

    example (Example): The document, predicted with low thresholds, and its reference.
    key (str): The span group.
    symmetric_labels (Collection[str]): Relation labels without direction.
    symmetric (str): How they are counted. "twice" is as "once" here, as that counts the same relations.
    RETURNS (DocumentRows): The candidates.
    """
    reference, doc = example.reference, example.predicted
    counting = symmetric_labels, "once" if symmetric == "twice" else symmetric
    to_itself, to_reference = (TokenMap(each, reference, example) for each in (reference, doc))
    gold_spans, gold_rels = gold_entities(reference, key) or [], gold_relations(reference, key)
    spans = list(doc.spans.get(key, ()))
    # Where relations are not annotated none of them is right or wrong.
    relations = () if gold_rels is None else get_relations(doc, key)
    gold = Annotation(gold_spans, gold_rels or (), to_itself, *counting)
    found = Annotation(spans, relations, to_reference, *counting, unknown_tokens(reference))
    group_scores = doc.spans[key].attrs.get(SCORES_ATTR) if spans else None
    scores = [1.0] * len(spans) if group_scores is None else [float(score) for score in group_scores]
    right_spans, right_relations = set(gold.spans()), set(gold.rels_strict())
    gold_labels = {place: label for label, place in right_spans}
    of_spans, of_relations = list(found.spans()), list(found.rels_strict())
    chosen = [i for i, item in enumerate(of_spans) if item in right_spans or item not in found.uncertain]
    # Entities of a relation that is right or certain are so, too.
    index = {(spans[i].start, spans[i].end, spans[i].label): n for n, i in enumerate(chosen)}
    rows = []
    for item, (head, tail, label, score) in zip(of_relations, relations):
        if item in right_relations or item not in found.uncertain:
            first, second = (index[end.start, end.end, end.label] for end in (head, tail))
            rows.append((label, score, item in right_relations, first, second))
    return DocumentRows(
        [(spans[i].label_, scores[i], gold_labels.get(of_spans[i][1])) for i in chosen],
        rows,
        [label for label, _ in right_spans],
        [(label, head[-1], tail[-1]) for label, (head, tail) in right_relations],
        chosen,
    )


def gather(
    documents: Iterable[DocumentRows],
    entity_labels: Iterable[str],
    relation_labels: Iterable[str],
    *,
    logits: Optional[Doubles] = None,
    given: bool = False,
) -> Scored:
    """Put the candidates of documents together.

    documents (Iterable[DocumentRows]): The candidates of each document.
    entity_labels (Iterable[str]): The component's entity labels. Those that only the gold data has are added.
    relation_labels (Iterable[str]): Its relation labels.
    logits (Optional[Doubles]): Logits of all entities, shape (n_entities, 1 + n_entity_labels).
    given (bool): Whether the entities were given.
    RETURNS (Scored): All candidates.
    """
    documents = list(documents)
    entities = _candidates(
        [[(label, score, label == actual) for label, score, actual in rows.entities] for rows in documents],
        [rows.gold_entities for rows in documents],
        entity_labels,
    )
    column = {label: i for i, label in enumerate(entities.labels)}
    actual = [-1 if row[2] is None else column[row[2]] for rows in documents for row in rows.entities]
    firsts = numpy.cumsum([0, *(len(rows.entities) for rows in documents)])
    pairs = [
        (head + first, tail + first)
        for first, rows in zip(firsts.tolist(), documents)
        for _, _, _, head, tail in rows.relations
    ]
    return Scored(
        entities,
        _candidates(
            [[row[:3] for row in rows.relations] for rows in documents],
            [[label for label, _, _ in rows.gold_relations] for rows in documents],
            relation_labels,
        ),
        numpy.asarray(pairs, dtype="int64").reshape(-1, 2),
        numpy.asarray(actual, dtype="int64"),
        [Counter(rows.gold_relations) for rows in documents],
        logits,
        given,
    )


def _candidates(
    documents: Sequence[Sequence[Tuple[str, float, bool]]], gold: Sequence[Sequence[str]], labels: Iterable[str]
) -> Candidates:
    names = list(dict.fromkeys([*labels, *sorted({label for of_document in gold for label in of_document})]))
    column = {label: i for i, label in enumerate(names)}
    rows = [(i, column[label], score, right) for i, rows in enumerate(documents) for label, score, right in rows]
    numbers, columns, scores, right = zip(*rows) if rows else ((), (), (), ())
    counts = numpy.zeros((len(documents), len(names)), dtype="int64")
    for i, of_document in enumerate(gold):
        for label in of_document:
            counts[i, column[label]] += 1
    return Candidates(
        names,
        numpy.asarray(numbers, dtype="int64"),
        numpy.asarray(columns, dtype="int64"),
        numpy.asarray(scores, dtype="float64"),
        numpy.asarray(right, dtype=bool),
        counts,
    )
