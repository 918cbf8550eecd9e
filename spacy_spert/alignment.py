"""Gold entities and relations of the reference, in tokens of the predicted document, and what gets lost on the way."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Callable, Dict, List, Literal, NamedTuple, Optional, Tuple
from typing import Counter as CounterT

import numpy
from spacy.tokens import Doc, Span
from spacy.training import Example
from wasabi import table

from .ml.arrays import Bools, Ints
from .relations import Relation, get_relations, related_groups

MISALIGNED = "not on token boundaries"
TOO_WIDE = "wider than max_span_width"
CROSSES_SENTENCE = "across sentences"
ONLY_SPACE = "only white space"
CUT_OFF = "cut by the encoder's window"
SECOND_LABEL = "its span has another label already"
LOST_ARGUMENT = "head or tail is lost"
SAME_SPAN = "head and tail are the same span"
IMPOSSIBLE = "labels of head and tail that relation_types rule out"
OUT_OF_SCOPE = "farther apart than relation_scope"
TOO_FAR = "farther apart than max_relation_distance"
# Not a reason of loss: what is left of the entity is learned from.
TRIMMED = "without white space at its edges"

# What can be said of gold that is kept: nothing, or that it was trimmed.
KEPT = (None, TRIMMED)

CountsT = CounterT[Tuple[str, Optional[str]]]
EntityT = Tuple[int, int, str]


@dataclass
class Gold:
    """The gold annotation of a document that can be learned from, and counts of all of it.

    entities (List[Tuple[int, int, str]]): Start token, end token and label, each span once, sorted.
    relations (List[Tuple[int, int, str]]): Head and tail as indices into entities, and label, each once, sorted.
    annotated (bool): Whether the entities of the document are annotated at all. If not, nothing is learned from it.
    relations_known (bool): Whether its relations are annotated. If not, no pairs are learned from it.
    unknown (Bools): Which predicted tokens are not annotated in a document that is in part. What touches one is no
        negative. Shape (len(predicted),).
    entity_counts (CountsT): Number of gold entities by (label, reason of loss); the reason is None for those kept, or
        TRIMMED for those kept in part.
    relation_counts (CountsT): The same for relations.
    """

    entities: List[EntityT] = field(default_factory=list)
    relations: List[Tuple[int, int, str]] = field(default_factory=list)
    annotated: bool = True
    relations_known: bool = True
    unknown: Bools = field(default_factory=lambda: numpy.zeros(0, dtype=bool), compare=False)
    entity_counts: CountsT = field(default_factory=Counter)
    relation_counts: CountsT = field(default_factory=Counter)


@dataclass
class GoldCounts:
    """What a corpus holds, and what of it can't be learned.

    docs (int): Number of documents.
    unannotated (int): Those whose entities are not annotated.
    partly (int): Those whose entities are annotated in part.
    relations_unknown (int): Those whose entities are annotated, but not their relations.
    foreign (Counter[str]): Those of them that have relations of another tool, by format.
    entities (CountsT): Number of gold entities by (label, reason of loss); see Gold.
    relations (CountsT): The same for relations.
    types (Counter[Tuple[str, str, str]]): Number of relations that can be learned from, by label and entity labels of
        head and tail.
    """

    docs: int = 0
    unannotated: int = 0
    partly: int = 0
    relations_unknown: int = 0
    foreign: CounterT[str] = field(default_factory=Counter)
    entities: CountsT = field(default_factory=Counter)
    relations: CountsT = field(default_factory=Counter)
    types: CounterT[Tuple[str, str, str]] = field(default_factory=Counter)

    def add(self, gold: Gold) -> None:
        """Count a document.

        gold (Gold): Its annotation.
        """
        self.docs += 1
        self.unannotated += not gold.annotated
        self.partly += bool(gold.unknown.any())
        self.relations_unknown += gold.annotated and not gold.relations_known
        self.entities.update(gold.entity_counts)
        for head, tail, label in gold.relations:
            self.types[label, gold.entities[head][2], gold.entities[tail][2]] += 1
        self.relations.update(gold.relation_counts)

    def union(self, labels: Dict[str, List[str]]) -> Dict[str, List[str]]:
        """Labels, and those that were counted besides.

        labels (Dict[str, List[str]]): "entities" and "relations".
        RETURNS (Dict[str, List[str]]): The labels in their order, then the others, sorted.
        """
        found = {"entities": labels_of(self.entities), "relations": labels_of(self.relations)}
        return {kind: [*known, *(x for x in found[kind] if x not in known)] for kind, known in labels.items()}

    def common_types(self, share: float) -> List[Tuple[str, str, str]]:
        """The entity labels that head and tail of each relation label have.

        share (float): Which share of the relations of a label must have them.
        RETURNS (List[Tuple[str, str, str]]): Relation label, entity label of the head and of the tail, sorted.
        """
        totals: CounterT[str] = Counter()
        for (label, _, _), n in self.types.items():
            totals[label] += n
        return sorted(types for types, n in self.types.items() if n >= share * totals[types[0]])

    def table(self) -> str:
        """RETURNS (str): All counts as a table for the terminal."""
        reasons = {reason for _, reason in [*self.entities, *self.relations]}
        columns = [None, *sorted(reasons & {TRIMMED}), *sorted(reasons - set(KEPT))]  # type: ignore[type-var]
        rows = []
        for kind, counts in (("entity", self.entities), ("relation", self.relations)):
            for label in labels_of(counts):
                rows.append((kind, label, *(counts[label, reason] for reason in columns)))
            rows.append((kind, "all", *(sum(n for (_, r), n in counts.items() if r == reason) for reason in columns)))
        notes = {
            "have no annotated entities and are not learned from": self.unannotated,
            "have entities that are annotated in part": self.partly,
            "have no annotated relations, so that only their entities are learned": self.relations_unknown,
        }
        parts = "; ".join(f"{n} {note}" for note, n in notes.items() if n)
        title = f"Training data: {self.docs} documents" + (f", of which {parts}" if parts else "")
        names = {None: "kept", TRIMMED: f"kept: {TRIMMED}"}
        header = ("", "label", *(names.get(reason, f"lost: {reason}") for reason in columns))
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


def gold_relations(doc: Doc, key: str) -> Optional[Tuple[Relation, ...]]:
    """The annotated relations of a document: those of its span group, if it has that group. Where the entities come
    from doc.ents, the relations may be kept in a group of any name.

    doc (Doc): The document.
    key (str): The span group.
    RETURNS (Optional[Tuple[Relation, ...]]): The relations; None if they are not known.
    """
    where = key if key in doc.spans else None
    return get_relations(doc, where) if related_groups(doc, where) else None


def unknown_tokens(doc: Doc) -> Bools:
    """The tokens of which is not known whether they are part of an entity: `doc.set_ents(..., default="missing")`.

    doc (Doc): The document.
    RETURNS (Bools): Shape (len(doc),). None of them is, where doc.ents is not annotated at all.
    """
    missing = doc.to_array("ENT_IOB") == 0
    return missing if not missing.all() else numpy.zeros(len(doc), dtype=bool)


def visible_tokens(doc: Doc) -> Bools:
    """The tokens that are not white space.

    doc (Doc): The document.
    RETURNS (Bools): Shape (len(doc),).
    """
    # Not IS_SPACE, which the tokens of a bare Vocab() don't have.
    return numpy.asarray([not token.text.isspace() for token in doc], dtype=bool)


class Place(NamedTuple):
    """Where a span lies, in tokens of another document. Two spans at the same place are the same but for the label.

    start (int): The first token it touches; -1 if it touches none.
    end (int): The token after the last.
    off (Tuple[int, ...]): The span's own tokens, if it does not begin and end with tokens of the other document: it is
        the same as no other span then.
    """

    start: int
    end: int
    off: Tuple[int, ...] = ()


class TokenMap:
    """Finds the spans of one document of an example in the other one.

    White space at the edges of a span does not count, unless there is nothing else in it.

    first (Ints): For each token of the source the first token that it touches in the target, shape (len(source),).
    after (Ints): The token after the last that it touches; not above first if it touches none.
    """

    def __init__(self, source: Doc, target: Doc, example: Example) -> None:
        """Map the tokens.

        source (Doc): The example's reference or predicted document.
        target (Doc): The other one, or the same.
        example (Example): The pair.
        """
        self._visible = visible_tokens(source)
        # Beside the tokens touched, whether they begin and end where the token of the source does.
        self.first, self.after, self._begins, self._ends = _touched(source, target, example)
        # A span is asked for with each of its relations.
        self._places: Dict[Tuple[int, int], Place] = {}

    def place(self, span: Span) -> Place:
        """Find a span in the target.

        span (Span): A span of the source.
        RETURNS (Place): Where it lies.
        """
        bounds = (span.start, span.end)
        if bounds not in self._places:
            self._places[bounds] = self._find(*bounds)
        return self._places[bounds]

    def _find(self, first: int, after: int) -> Place:
        start, end = trim(first, after, self._visible)
        if start == end:
            start, end = first, after
        if start == end:
            return Place(-1, -1, (start, end))
        first, after = int(self.first[start]), int(self.after[end - 1])
        if self._begins[start] and self._ends[end - 1] and first < after:
            return Place(first, after)
        touches = self.first[start:end] < self.after[start:end]
        if not touches.any():
            return Place(-1, -1, (start, end))
        first, after = int(self.first[start:end][touches].min()), int(self.after[start:end][touches].max())
        return Place(first, after, (start, end))

    def tokens(self, chosen: Bools, n: int) -> Bools:
        """Find tokens in the target.

        chosen (Bools): Which tokens of the source, shape (len(source),).
        n (int): Number of tokens in the target.
        RETURNS (Bools): Which tokens of the target they touch, shape (n,).
        """
        found = numpy.zeros(n, dtype=bool)
        for i in numpy.flatnonzero(chosen):
            found[self.first[i] : self.after[i]] = True
        return found


def trim(start: int, end: int, visible: Bools) -> Tuple[int, int]:
    """Take off what does not count at the edges of a span.

    start (int): Its first token.
    end (int): The token after its last.
    visible (Bools): Which tokens count, shape (n_tokens,).
    RETURNS (Tuple[int, int]): The new first token, and the one after the last; the same if nothing is left.
    """
    while start < end and not visible[start]:
        start += 1
    while start < end and not visible[end - 1]:
        end -= 1
    return start, end


def align_gold(
    example: Example,
    key: str,
    sentences: Ints,
    *,
    max_width: int = 0,
    max_distance: int = 0,
    reach: int = 0,
    visible: Optional[Bools] = None,
    possible: Optional[Callable[[str, str, str], bool]] = None,
) -> Gold:
    """Map the gold annotation of a reference onto the predicted tokens, one span at a time.

    example (Example): The pair of documents.
    key (str): The span group that holds the gold entities; doc.ents if the reference has no such group.
    sentences (Ints): Sentence of each predicted token, shape (len(predicted),).
    max_width (int): Widest span that can be learned, in visible tokens; 0 for no limit.
    max_distance (int): Most visible tokens between head and tail; 0 for no limit.
    reach (int): Most sentences from that of the one to that of the other, counted without those of which the encoder
        sees nothing; 0 if they must lie in one.
    visible (Optional[Bools]): Which predicted tokens the encoder sees, shape (len(predicted),); by default all. White
        space is never among them. Entities begin and end with one, and the others count in no limit.
    possible (Optional[Callable[[str, str, str], bool]]): Whether there can be a relation, by its label and the entity
        labels of head and tail; by default there can be any.
    RETURNS (Gold): What can be learned, and counts of what can't and why. Of several labels of one span the first is
        kept, and the relations of all.
    """
    reference, predicted = example.reference, example.predicted
    spans = gold_entities(reference, key)
    if spans is None:
        return Gold(annotated=False, relations_known=False)
    to_predicted = TokenMap(reference, predicted, example)
    no_space = visible_tokens(predicted)
    visible = no_space if visible is None else no_space & visible
    # How many visible tokens there are before each token.
    count = numpy.concatenate([[0], numpy.cumsum(visible)])
    gold = Gold(unknown=to_predicted.tokens(unknown_tokens(reference), len(predicted)))
    labels: Dict[Tuple[int, int], str] = {}
    places: Dict[EntityT, Tuple[int, int]] = {}
    for span in spans:
        reason = None
        place = to_predicted.place(span)
        start, end = trim(place.start, place.end, visible)
        if not span.text.strip():
            reason = ONLY_SPACE
        elif place.off:
            reason = MISALIGNED
        elif start == end:
            reason = CUT_OFF
        elif max_width and count[end] - count[start] > max_width:
            reason = TOO_WIDE
        elif sentences[start] != sentences[end - 1]:
            reason = CROSSES_SENTENCE
        else:
            places[span.start, span.end, span.label_] = (start, end)
            if labels.setdefault((start, end), span.label_) != span.label_:
                reason = SECOND_LABEL
            elif span.text != span.text.strip() or (start, end) != place[:2]:
                reason = TRIMMED
        gold.entity_counts[span.label_, reason] += 1
    gold.entities = [(start, end, label) for (start, end), label in sorted(labels.items())]
    index = {(start, end): i for i, (start, end, _) in enumerate(gold.entities)}
    found = gold_relations(reference, key)
    gold.relations_known = found is not None
    numbers = numpy.unique(sentences[visible])
    relations = set()
    for relation in found or ():
        head, tail = (places.get((span.start, span.end, span.label_)) for span in relation[:2])
        label, reason = relation.label, None
        if head is None or tail is None:
            reason = LOST_ARGUMENT
        elif head == tail:
            reason = SAME_SPAN
        else:
            left, right = sorted((head, tail))
            first, last = numpy.searchsorted(numbers, sentences[[left[0], right[0]]])
            if last - first > reach:
                reason = OUT_OF_SCOPE if reach else CROSSES_SENTENCE
            elif max_distance and count[right[0]] - count[min(left[1], right[0])] > max_distance:
                reason = TOO_FAR
            elif possible is not None and not possible(label, labels[head], labels[tail]):
                reason = IMPOSSIBLE
            else:
                relations.add((index[head], index[tail], label))
        gold.relation_counts[label, reason] += 1
    gold.relations = sorted(relations)
    return gold


def _touched(source: Doc, target: Doc, example: Example) -> Tuple[Ints, Ints, Bools, Bools]:
    """The tokens of the target that each token of the source touches, the first and the one after the last, and whether
    these begin and end with it."""
    n = len(source)
    if n == len(target) and (source.to_array("ORTH") == target.to_array("ORTH")).all():
        same = numpy.ones(n, dtype=bool)
        return numpy.arange(n), numpy.arange(n) + 1, same, same
    if source.text == target.text:
        # Exact, also on blanks, of which spaCy's alignment takes one for another. Next to them it can even fail, where
        # a letter's lower case depends on what follows (the Greek sigma).
        (starts, ends), (other_starts, other_ends) = _characters(source), _characters(target)
        first = numpy.searchsorted(other_ends, starts, side="right")
        after = numpy.searchsorted(other_starts, ends, side="left")
        begins = numpy.append(other_starts, -1)[first] == starts
        return first, after, begins, numpy.append(other_ends, -1)[after - 1] == ends
    forward, back = example.alignment.x2y, example.alignment.y2x
    if source is example.reference:
        forward, back = back, forward
    first, after = numpy.zeros(n, dtype="int64"), numpy.zeros(n, dtype="int64")
    begins, stops = numpy.zeros(n, dtype=bool), numpy.zeros(n, dtype=bool)
    for i in range(n):
        tokens = forward[i]
        if len(tokens):
            first[i], after[i] = tokens[0], tokens[-1] + 1
            # An edge is shared if the target's token does not reach across it.
            begins[i] = back[int(tokens[0])][0] == i
            stops[i] = back[int(tokens[-1])][-1] == i
    return first, after, begins, stops


def _characters(doc: Doc) -> Tuple[Ints, Ints]:
    """The first character of each token, and the one after its last."""
    starts, lengths = doc.to_array(["IDX", "LENGTH"]).astype("int64").T
    return starts, starts + lengths
