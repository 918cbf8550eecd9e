"""Random documents for hypothesis: any text, split into tokens in any way, with any entities and relations on it."""

import os
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, Span
from spacy.util import filter_spans

from spacy_spert.relations import set_entities

EntityT = Tuple[int, int, str]
RelationT = Tuple[int, int, str]

# The same examples each time, so that a run is as good as another. To look further: EXAMPLES=50 pytest tests/...
FACTOR = int(os.environ.get("EXAMPLES", 0))


def examples(n: int) -> Any:
    """Settings for a test of n examples, or as many times more as the variable EXAMPLES says, and then others."""
    health = [HealthCheck.too_slow, HealthCheck.data_too_large]
    if not FACTOR:
        return settings(max_examples=n, derandomize=True, deadline=None, suppress_health_check=health)
    return settings(max_examples=n * FACTOR, database=None, deadline=None, suppress_health_check=health)


WORDS = [
    *("Ann", "Lee", "works", "at", "Acme", "Bonn", ".", ",", "(", "O'Neill", "1,500", "x"),
    *("nai\u0308ve", "e\u0301", "\u0301", "\u0130zmir", "\u03a3\u03a3", "stra\u00dfe", "\ufb01n", "\u4e16\u754c"),
    *(
        "\u05e9\u05dc\u05d5\u05dd",
        "\U0001f600",
        "\U0001f469\u200d\U0001f467",
        "\U0001f1e9\U0001f1ea",
        "\u200b",
        "\ufeff",
    ),
]
BLANKS = ["", " ", " ", " ", "  ", "\n", "\n\n", "\t", "\u00a0", "\u3000", " \r\n"]
# Everything but surrogates, which are no characters.
ANY = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4)
# How many words, entities and relations: left to itself, hypothesis rarely chooses several of each.
SIZES = [0, 1, 2, 3, 4, 5, 6, 8]
SYMMETRIC = "knows"
RELATION_LABELS = ["in", SYMMETRIC, "near"]
ENTITY_LABELS = ["LOC", "ORG", "PER"]


class Annotated(NamedTuple):
    """Tokens with entities and relations (indices into the entities)."""

    words: List[str]
    spaces: List[bool]
    sent_starts: Optional[List[bool]]
    entities: List[EntityT]
    relations: List[RelationT]

    @property
    def text(self) -> str:
        return "".join(word + " " * space for word, space in zip(self.words, self.spaces))

    def tokens(self, vocab: Any) -> Doc:
        """The document without annotation, but for the sentences."""
        return Doc(vocab, words=self.words, spaces=self.spaces, sent_starts=self.sent_starts)

    def gold(self, vocab: Any, key: str = "spert") -> Doc:
        """The document with entities and relations in a span group."""
        doc = self.tokens(vocab)
        set_entities(doc, key, self.spans(doc), [(*relation, 1.0) for relation in self.relations])
        return doc

    def ents(self, vocab: Any) -> Doc:
        """The document with as many doc.ents as fit, and all entities in a group that the component does not use."""
        doc = self.tokens(vocab)
        doc.spans["given"] = self.spans(doc)
        doc.set_ents(filter_spans(self.spans(doc)))
        return doc

    def spans(self, doc: Doc) -> List[Span]:
        return [Span(doc, start, end, label=label) for start, end, label in self.entities]


@st.composite
def texts(draw: Any) -> Tuple[str, List[int]]:
    """A text, and where its words end."""
    text, ends = draw(st.sampled_from(["", "", "", " ", "\n"])), []
    for _ in range(draw(st.sampled_from(SIZES))):
        text += draw(st.sampled_from(WORDS) | ANY) + draw(st.sampled_from(BLANKS))
        ends.append(len(text))
    return text, ends


def split(text: str, cuts: Iterable[int]) -> Tuple[List[str], List[bool]]:
    """Words and spaces of a text that is cut at these places."""
    bounds = [0, *sorted({cut for cut in cuts if 0 < cut < len(text)}), len(text)] if text else []
    parts = [text[start:end] for start, end in zip(bounds, bounds[1:])]
    spaces = [len(part) > 1 and part.endswith(" ") for part in parts]
    return [part[:-1] if space else part for part, space in zip(parts, spaces)], spaces


@st.composite
def annotations(draw: Any, text: str, ends: List[int], one_label: bool = True) -> Annotated:
    """A text in tokens that are its words, but for some that are split or merged, with entities of any kind: nested,
    wide, doubled, on white space. With one label for the same tokens, as gold data must have, or not."""
    changed = draw(st.sets(st.integers(1, max(1, len(text))), max_size=5)) if draw(st.booleans()) else set()
    words, spaces = split(text, set(ends) ^ changed)
    n = len(words)
    starts = draw(st.none() | st.lists(st.booleans(), min_size=n, max_size=n))
    if not n:
        return Annotated([], [], None, [], [])
    sent_starts = [True, *starts[1:]] if starts else None
    entities: List[EntityT] = []
    labels: Dict[Tuple[int, int], str] = {}
    for _ in range(draw(st.sampled_from(SIZES))):
        start = draw(st.integers(0, n - 1))
        end = min(n, start + draw(st.sampled_from([1, 1, 1, 2, 2, 3, 5, 12])))
        label = draw(st.sampled_from(ENTITY_LABELS))
        entities.append((start, end, labels.setdefault((start, end), label) if one_label else label))
    index = st.integers(0, max(0, len(entities) - 1))
    relation = st.tuples(index, index, st.sampled_from(RELATION_LABELS)).filter(lambda row: row[0] != row[1])
    n_relations = draw(st.sampled_from(SIZES)) if len(entities) > 1 else 0
    relations = draw(st.lists(relation, min_size=n_relations, max_size=n_relations))
    return Annotated(words, spaces, sent_starts, entities, relations)


@st.composite
def pairs(draw: Any, one_label: bool = True) -> Tuple[Annotated, Annotated]:
    """The same text twice, with tokens and annotation of its own each time, or with much of the other's annotation."""
    text, ends = draw(texts())
    one, two = (draw(annotations(text, ends, one_label)) for _ in range(2))
    return one, draw(echo(one, two)) if draw(st.booleans()) else two


@st.composite
def echo(draw: Any, one: Annotated, two: Annotated) -> Annotated:
    """The second document with the entities of the first that are on its tokens, and relations between them that stay,
    turn round or change their label."""
    starts, ends = ({edge: i for i, edge in enumerate(side)} for side in edges(two))
    own = [(edges(one)[0][start], edges(one)[1][end - 1], label) for start, end, label in one.entities]
    kept = [i for i, (start, end, _) in enumerate(own) if start in starts and end in ends]
    entities = [(starts[own[i][0]], ends[own[i][1]] + 1, own[i][2]) for i in kept]
    relations = []
    for head, tail, label in one.relations:
        if head in kept and tail in kept:
            row = (kept.index(head), kept.index(tail))
            label = draw(st.sampled_from([label, label, *RELATION_LABELS]))
            relations.append((*draw(st.sampled_from([row, row[::-1]])), label))
    return two._replace(entities=entities, relations=relations)


def edges(row: Annotated) -> Tuple[List[int], List[int]]:
    """The characters at which tokens begin and end."""
    starts = [0]
    for word, space in zip(row.words, row.spaces):
        starts.append(starts[-1] + len(word) + space)
    return starts[:-1], [start + len(word) for start, word in zip(starts, row.words)]


def documents() -> Any:
    """One text with tokens and annotation."""
    return texts().flatmap(lambda row: annotations(*row))
