"""The column file of Roth & Yih's entity and relation corpus (CoNLL04), `conll04.corp`:

    3	Peop	0	O	NNP/NNP	Ann/Lee	O	O	O
    3	O	1	O	VBZ	lives	O	O	O
    3	O	2	O	IN	in	O	O	O
    3	Loc	3	O	NNP	Bonn	O	O	O
    3	O	4	O	,	COMMA	O	O	O

    0	3	Live_In

- Nine columns, separated by tabs: sentence number, entity label or O, index of the row, an unused one, part-of-speech
  tags, words, three unused ones. A row with a label is one entity; its words and tags are joined by "/".
- COMMA, -LRB- and -RRB- stand for the signs. Other such names are left as they are, as in SpERT's version.
- After a blank line, the relations: row of the head, row of the tail, label. Then a blank line, also if there are none.
- The sentence number goes to `doc.user_data["meta"]["id"]`. Part-of-speech tags are not kept.
- The label O can't be told from no entity; the corpus calls other entities "Other".
"""

from itertools import groupby
from pathlib import Path
from typing import Iterable, Iterator, List, Optional, Tuple, Union

from spacy.language import Language
from spacy.tokens import Doc

from .docs import defaults, doc_from_tokens
from .errors import Errors
from .files import build_docs, read_lines
from .gold import Gold
from .losses import Losses, shorten

SIGNS = {"COMMA": ",", "-LRB-": "(", "-RRB-": ")"}
# A stretch of lines that are not blank, each with its place.
Block = List[Tuple[str, bytes]]


def read_conll04(
    path: Union[str, Path], nlp: Optional[Language] = None, losses: Optional[Losses] = None
) -> Iterator[Doc]:
    """Read Roth & Yih's column file.

    path (Union[str, Path]): The file.
    nlp (Optional[Language]): The vocabulary. Blank English by default.
    losses (Optional[Losses]): Where to count what can't be kept. By default that is an error.
    YIELDS (Doc): One document per sentence.
    """
    path = Path(path)
    nlp, losses = defaults(nlp, losses)

    def build(blocks: Tuple[Block, Block], place: str) -> Iterable[Doc]:
        if not blocks[0]:
            raise ValueError(Errors.F033)
        words: List[str] = []
        entities: List[Tuple[int, int, int, str]] = []
        rows = list(_columns(blocks[0], 9))
        for _, label, row, _, tags, word, *_ in rows:
            parts = _split(word, tags)
            if label != "O":
                entities.append((int(row), len(words), len(words) + len(parts), label))
            words.extend(parts)
        gold = Gold(doc_from_tokens(nlp, words), losses, place)
        for entity in entities:
            gold.entity(*entity)
        for head, tail, label in _columns(blocks[1], 3):
            gold.relation(int(head), int(tail), label)
        yield gold.finish({"id": rows[0][0]})

    return build_docs(path, _sentences(path), build, losses)


def _sentences(path: Path) -> Iterator[Tuple[str, Tuple[Block, Block]]]:
    """The place of each sentence, its rows and its relations."""
    rows: Block = []
    for is_blank, lines in groupby(read_lines(path, blank=True), lambda line: not line[1].strip()):
        block = [] if is_blank else list(lines)
        if not block:
            continue
        if block[0][1].count(b"\t") == 2:
            yield (rows or block)[0][0], (rows, block)
            rows = []
            continue
        if rows:
            yield rows[0][0], (rows, [])
        rows = block
    if rows:
        yield rows[0][0], (rows, [])


def _columns(block: Block, n: int) -> Iterator[List[str]]:
    for place, raw in block:
        fields = raw.decode("utf-8").rstrip("\r\n").split("\t")
        if len(fields) != n:
            line = place.rpartition(":")[2]
            raise ValueError(Errors.F030.format(n=n, got=len(fields), value=shorten(repr(fields)), line=line))
        yield fields


def _split(word: str, tags: str) -> List[str]:
    """Words are joined by a slash, but some hold one: there are as many words as tags."""
    parts = [part for part in word.split("/") if part]
    if len(parts) != len(tags.split("/")):
        parts = [word]
    return [SIGNS.get(part, part) for part in parts]
