"""Files of spaCy's binary format (.spacy) whose relations are in `doc._.rel`, between the entities of doc.ents.

- "rel-component", spaCy's tutorial on relation extraction: a dictionary with a score for each label of each pair,

      {(0, 3): {"LIVES_IN": 1.0, "BORN_IN": 0.0}, (3, 0): {"LIVES_IN": 0.0, "BORN_IN": 0.0}}

  where a pair is the first tokens of head and tail. What scores below `threshold` is not a relation.
- "spacy-llm": a list of relations from `dep` to `dest`, which are indices into doc.ents,

      [{"dep": 0, "dest": 1, "relation": "LIVES_IN"}]

- Documents without `doc._.rel` have not been annotated with relations. Everything else that is in a document stays.
"""

import math
from numbers import Real
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Tuple, Union, cast

from spacy.language import Language
from spacy.tokens import Doc

from ..checks import REL_KEY, foreign_relations
from .docs import defaults, read_docs
from .errors import Errors, Reasons
from .files import build_docs
from .gold import Gold
from .losses import Losses, shorten
from .values import expect, take

NAME = "rel"
# Adds the relations to the entities of a document, which are known by the index or the first token.
Add = Callable[[Gold, Any], None]


def read_rel_component(
    path: Union[str, Path],
    nlp: Optional[Language] = None,
    losses: Optional[Losses] = None,
    threshold: float = 0.5,
) -> Iterator[Doc]:
    """Read the .spacy files of spaCy's tutorial on relation extraction.

    path (Union[str, Path]): The file.
    nlp (Optional[Language]): The vocabulary. Blank English by default.
    losses (Optional[Losses]): Where to count what can't be kept. By default that is an error.
    threshold (float): Lowest score of a relation.
    YIELDS (Doc): The documents.
    """

    def add(gold: Gold, value: Any) -> None:
        if not isinstance(value, dict):
            raise ValueError(Errors.F057.format(key=NAME, value=shorten(repr(value)), other="spacy-llm"))
        for pair, scores in value.items():
            with gold.entry("relation"):
                head, tail = expect(pair, tuple, f"a key of '{NAME}'")
                labels = expect(scores, dict, f"the labels of {shorten(repr(pair))}")
                for label, score in labels.items():
                    with gold.entry("relation"):
                        where = f"the score of {shorten(repr(label))} for {shorten(repr(pair))}"
                        if _score(score, where) >= threshold:
                            gold.relation(head, tail, label, float(score))

    return _read(path, nlp, losses, add, lambda i, start: start)


def read_spacy_llm(
    path: Union[str, Path], nlp: Optional[Language] = None, losses: Optional[Losses] = None
) -> Iterator[Doc]:
    """Read .spacy files with the relations of spacy-llm.

    path (Union[str, Path]): The file.
    nlp (Optional[Language]): The vocabulary. Blank English by default.
    losses (Optional[Losses]): Where to count what can't be kept. By default that is an error.
    YIELDS (Doc): The documents.
    """

    def add(gold: Gold, value: Any) -> None:
        if not isinstance(value, (list, tuple)):
            raise ValueError(Errors.F057.format(key=NAME, value=shorten(repr(value)), other="rel-component"))
        for i, item in enumerate(value):
            with gold.entry("relation"):
                where = f"'{NAME}'[{i}]"
                gold.relation(take(item, "dep", int, where), take(item, "dest", int, where), item.get("relation"))

    return _read(path, nlp, losses, add, lambda i, start: i)


def note_unread(doc: Doc, losses: Losses) -> None:
    """Count a document with relations that only the readers here would read.

    doc (Doc): The document.
    losses (Losses): Where to count.
    """
    if foreign_relations(doc) is not None:
        losses.note(Reasons.UNREAD)


def _read(
    path: Union[str, Path],
    nlp: Optional[Language],
    losses: Optional[Losses],
    add: Add,
    key_of: Callable[[int, int], int],
) -> Iterator[Doc]:
    path = Path(path)
    nlp, losses = defaults(nlp, losses)

    def build(doc: Doc, place: str) -> Iterable[Doc]:
        ents, user_data = list(doc.ents), cast(Dict[Any, Any], doc.user_data)
        gold = Gold(doc, losses, place)
        for i, ent in enumerate(ents):
            gold.entity(key_of(i, ent.start), ent.start, ent.end, ent.label_)
        if REL_KEY in user_data:
            add(gold, user_data.pop(REL_KEY))
        else:
            gold.relations_known = False
            losses.note(Reasons.NOT_ANNOTATED.format(key=f"doc._.{NAME}"))
        gold.finish()
        # With their ids.
        doc.set_ents(ents)
        yield doc

    def numbered() -> Iterator[Tuple[str, Doc]]:
        for i, doc in enumerate(read_docs(path, nlp), start=1):
            yield f"{path}, document {i}", doc

    return build_docs(path, numbered(), build, losses, _held)


def _score(value: Any, where: str) -> float:
    # Of numpy as well.
    if not isinstance(value, Real) or math.isnan(value):
        raise ValueError(Errors.F002.format(where=where, expected="a number", value=shorten(repr(value))))
    return float(value)


def _held(doc: Doc) -> List[int]:
    return [len(doc.ents), 0]
