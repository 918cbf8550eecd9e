"""Gold entities and relations of the reference, in tokens of the predicted document, and what gets lost on the way."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Counter as CounterT
from typing import Dict, List, Literal, Optional, Tuple

import numpy
from spacy.tokens import Doc, Span
from spacy.training import Example
from wasabi import table

from .errors import Errors
from .relations import Relation, describe_doc, describe_span, get_relations

MISALIGNED = "not on token boundaries"
TOO_WIDE = "wider than max_span_width"
CROSSES_SENTENCE = "across sentences"
CUT_OFF = "cut by the encoder's window"
LOST_ARGUMENT = "head or tail is lost"
SAME_SPAN = "head and tail are the same span"
TOO_FAR = "farther apart than max_relation_distance"


CountsT = CounterT[Tuple[str, Optional[str]]]


@dataclass
class Gold:
    """The gold annotation of a document that can be learned from, and counts of all of it.

    entities (List[Tuple[int, int, str]]): Start token, end token and label, each span once, sorted.
    relations (List[Tuple[int, int, str]]): Head and tail as indices into entities, and label, each once, sorted.
    annotated (bool): Whether the entities of the document are annotated at all. If not, nothing is learned from it.
    entity_counts (CountsT): Number of gold entities by (label, reason of loss); the reason is None for those kept.
    relation_counts (CountsT): The same for relations.
    """

    entities: List[Tuple[int, int, str]] = field(default_factory=list)
    relations: List[Tuple[int, int, str]] = field(default_factory=list)
    annotated: bool = True
    entity_counts: CountsT = field(default_factory=Counter)
    relation_counts: CountsT = field(default_factory=Counter)


@dataclass
class GoldCounts:
    """What a corpus holds, and what of it can't be learned.

    docs (int): Number of documents.
    unannotated (int): Those whose entities are not annotated.
    entities (CountsT): Number of gold entities by (label, reason of loss); the reason is None for those kept.
    relations (CountsT): The same for relations.
    """

    docs: int = 0
    unannotated: int = 0
    entities: CountsT = field(default_factory=Counter)
    relations: CountsT = field(default_factory=Counter)

    def add(self, gold: Gold) -> None:
        """Count a document.

        gold (Gold): Its annotation.
        """
        self.docs += 1
        self.unannotated += not gold.annotated
        self.entities.update(gold.entity_counts)
        self.relations.update(gold.relation_counts)

    def table(self) -> str:
        """RETURNS (str): All counts as a table for the terminal."""
        reasons = sorted({reason for _, reason in [*self.entities, *self.relations] if reason is not None})
        columns = [None, *reasons]
        rows = []
        for kind, counts in (("entity", self.entities), ("relation", self.relations)):
            for label in labels_of(counts):
                rows.append((kind, label, *(counts[label, reason] for reason in columns)))
            rows.append((kind, "all", *(sum(n for (_, r), n in counts.items() if r == reason) for reason in columns)))
        title = f"Training data: {self.docs} documents"
        if self.unannotated:
            title += f", of which {self.unannotated} have no annotated entities and are not learned from"
        header = ("", "label", "kept", *(f"lost: {reason}" for reason in reasons))
        aligns: List[Literal["r", "c", "l"]] = ["l", "l", *("r" for _ in columns)]  # type: ignore[list-item]
        return title + table(rows, header=header, divider=True, aligns=aligns, max_col=60)


def labels_of(counts: CountsT) -> List[str]:
    """The labels that were counted.

    counts (CountsT): Counts by (label, reason).
    RETURNS (List[str]): The labels, sorted.
    """
    return sorted({label for label, _ in counts})


def gold_entities(doc: Doc, key: str) -> Optional[List[Span]]:
    """The annotated entities of a document: its span group, or else doc.ents.

    doc (Doc): The document.
    key (str): The span group.
    RETURNS (Optional[List[Span]]): The entities; None if the document is not annotated.
    """
    if key in doc.spans:
        return list(doc.spans[key])
    return list(doc.ents) if doc.has_annotation("ENT_IOB") else None


def gold_relations(doc: Doc, key: str) -> List[Relation]:
    """The annotated relations of a document: those of its span group, if it has that group. Where the entities come
    from doc.ents, the relations may be kept in a group of any name.

    doc (Doc): The document.
    key (str): The span group.
    RETURNS (List[Relation]): The relations.
    """
    return get_relations(doc, key if key in doc.spans else None)


def token_map(source: Doc, target: Doc, example: Example) -> Tuple["numpy.ndarray", "numpy.ndarray"]:
    """For each token of one document of an example the tokens of the other that it covers.

    source (Doc): The example's reference or predicted document.
    target (Doc): The other one.
    example (Example): The pair.
    RETURNS (Tuple[ndarray, ndarray]): First token, and the token after the last, each of shape (len(source),). -1 where
        this boundary of the token is none in the target.
    """
    n = len(source)
    if n == len(target) and (source.to_array("ORTH") == target.to_array("ORTH")).all():
        return numpy.arange(n), numpy.arange(n) + 1
    if source.text == target.text:
        # Exact, also on blanks, of which spaCy's alignment takes one for another. Next to them it can even fail, where
        # a letter's lower case depends on what follows (the Greek sigma).
        first = {token.idx: token.i for token in target}
        after = {token.idx + len(token): token.i + 1 for token in target}
        starts = [first.get(token.idx, -1) for token in source]
        ends = [after.get(token.idx + len(token), -1) for token in source]
        return numpy.asarray(starts), numpy.asarray(ends)
    forward, back = example.alignment.x2y, example.alignment.y2x
    if source is example.reference:
        forward, back = back, forward
    starts, ends = [-1] * n, [-1] * n
    for i in range(n):
        tokens = forward[i]
        if len(tokens):
            # A boundary is shared if the target's token does not reach across it.
            if back[int(tokens[0])][0] == i:
                starts[i] = int(tokens[0])
            if back[int(tokens[-1])][-1] == i:
                ends[i] = int(tokens[-1]) + 1
    return numpy.asarray(starts), numpy.asarray(ends)


def map_span(span: Span, starts: "numpy.ndarray", ends: "numpy.ndarray") -> Tuple[int, int]:
    """The tokens of the target that a span of the source covers exactly.

    span (Span): A span of the source.
    starts (ndarray): First result of token_map.
    ends (ndarray): Second result of token_map.
    RETURNS (Tuple[int, int]): Start and end token, or (-1, -1) if there are none.
    """
    if span.end > span.start:
        start, end = int(starts[span.start]), int(ends[span.end - 1])
        if 0 <= start < end:
            return start, end
    return -1, -1


def align_gold(
    example: Example,
    key: str,
    sentences: "numpy.ndarray",
    *,
    max_width: int = 0,
    max_distance: int = 0,
    covered: Optional["numpy.ndarray"] = None,
) -> Gold:
    """Map the gold annotation of a reference onto the predicted tokens, one span at a time.

    example (Example): The pair of documents.
    key (str): The span group that holds the gold entities; doc.ents if the reference has no such group.
    sentences (ndarray): Sentence of each predicted token, shape (len(predicted),).
    max_width (int): Widest span that can be learned, in tokens; 0 for no limit.
    max_distance (int): Most tokens between head and tail; 0 for no limit.
    covered (Optional[ndarray]): Which predicted tokens the encoder sees, shape (len(predicted),); by default all.
    RETURNS (Gold): What can be learned, and counts of what can't and why.
    RAISES (ValueError): If a span has two entity labels.
    """
    gold = Gold()
    spans = gold_entities(example.reference, key)
    if spans is None:
        gold.annotated = False
        return gold
    starts, ends = token_map(example.reference, example.predicted, example)
    labels: Dict[Tuple[int, int], str] = {}
    kept: Dict[Tuple[int, int, str], Tuple[int, int]] = {}
    for span in spans:
        reason = None
        start, end = map_span(span, starts, ends)
        if start < 0:
            reason = MISALIGNED
        elif max_width and end - start > max_width:
            reason = TOO_WIDE
        elif sentences[start] != sentences[end - 1]:
            reason = CROSSES_SENTENCE
        elif covered is not None and not covered[start:end].any():
            reason = CUT_OFF
        gold.entity_counts[span.label_, reason] += 1
        if reason is None:
            other = labels.setdefault((start, end), span.label_)
            if other != span.label_:
                raise ValueError(
                    Errors.S013.format(
                        doc=describe_doc(example.reference), span=describe_span(span), one=other, two=span.label_
                    )
                )
            kept[span.start, span.end, span.label_] = (start, end)
    gold.entities = [(start, end, label) for (start, end), label in sorted(labels.items())]
    index = {(start, end): i for i, (start, end, _) in enumerate(gold.entities)}
    relations = set()
    for head, tail, label, _ in gold_relations(example.reference, key):
        arguments = [kept.get((span.start, span.end, span.label_)) for span in (head, tail)]
        reason = None
        if None in arguments:
            reason = LOST_ARGUMENT
        else:
            (h_start, h_end), (t_start, t_end) = arguments  # type: ignore[misc]
            if (h_start, h_end) == (t_start, t_end):
                reason = SAME_SPAN
            elif sentences[h_start] != sentences[t_start]:
                reason = CROSSES_SENTENCE
            elif max_distance and max(h_start, t_start) - min(h_end, t_end) > max_distance:
                reason = TOO_FAR
            else:
                relations.add((index[h_start, h_end], index[t_start, t_end], label))
        gold.relation_counts[label, reason] += 1
    gold.relations = sorted(relations)
    return gold
