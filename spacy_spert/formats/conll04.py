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

from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Iterable, Iterator, List, Optional, Tuple, Union

from spacy.language import Language
from spacy.tokens import Doc

from . import files
from .docs import defaults, doc_from_tokens
from .errors import Errors
from .files import build_docs, check_line, read_lines
from .gold import Gold
from .losses import Losses, shorten

SIGNS = {"COMMA": ",", "-LRB-": "(", "-RRB-": ")"}
# In place of a line: the sentence is too long. No line of it is empty.
TOO_LONG = b""
# A stretch of lines that are not blank, each with its place.
Block = List[Tuple[str, Optional[bytes]]]


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
        entities: List[Tuple[str, int, int, str]] = []
        rows = [_columns(line, 9) for line in blocks[0]]
        for _, label, row, _, tags, word, *_ in rows:
            parts = _split(word, tags)
            if label != "O":
                entities.append((row, len(words), len(words) + len(parts), label))
            words.extend(parts)
        gold = Gold(doc_from_tokens(nlp, words), losses, place, meta={"id": rows[0][0]})
        for row, start, end, label in entities:
            with gold.entry("entity"):
                gold.entity(int(row), start, end, label)
        for line in blocks[1]:
            with gold.entry("relation"):
                head, tail, label = _columns(line, 3)
                gold.relation(int(head), int(tail), label)
        yield gold.finish()

    return build_docs(path, _sentences(path), build, losses, _held)


def _held(blocks: Tuple[Block, Block]) -> List[int]:
    labels = [(raw or b"").split(b"\t")[1:2] for _, raw in blocks[0]]
    return [sum(label not in ([], [b"O"]) for label in labels), len(blocks[1])]


def _sentences(path: Path) -> Iterator[Tuple[str, Tuple[Block, Block]]]:
    """The place of each sentence, its rows and its relations."""
    rows: Block = []
    for is_blank, lines in groupby(read_lines(path, blank=True), _is_blank):
        if is_blank:
            continue
        block = _block(lines)
        if _has_relations(block, bool(rows)):
            yield (rows or block)[0][0], (rows, block)
            rows = []
            continue
        if rows:
            yield rows[0][0], (rows, [])
        rows = block
    if rows:
        yield rows[0][0], (rows, [])


def _has_relations(block: Block, expected: bool) -> bool:
    """Whether most lines are relations. An odd one is none, wherever it stands."""
    lines = [raw or b"" for _, raw in block]
    tabs = Counter(line.count(b"\t") for line in lines)
    if tabs[2] or tabs[8]:
        return tabs[2] > tabs[8]
    # Of odd lines alone those of a sentence are longer.
    return expected and all(len(line.split()) < 6 for line in lines)


def _is_blank(line: Tuple[str, Optional[bytes]]) -> bool:
    return line[1] is not None and not line[1].strip()


def _block(lines: Iterable[Tuple[str, Optional[bytes]]]) -> Block:
    """A stretch of lines. Of one that is too long, only the beginning is kept, and what makes its sentence broken."""
    block: Block = []
    size = 0
    for place, raw in lines:
        size += len(raw or b"")
        if size <= files.lines.MAX_LINE:
            block.append((place, raw))
    return block if size <= files.lines.MAX_LINE else [*block, (place, TOO_LONG)]


def _columns(line: Tuple[str, Optional[bytes]], n: int) -> List[str]:
    place, raw = line
    if raw == TOO_LONG:
        raise ValueError(Errors.F040.format(what="The sentence", limit=files.lines.MAX_LINE))
    fields = check_line(raw).decode("utf-8-sig").rstrip("\r\n").split("\t")
    if len(fields) != n:
        number = place.rpartition(":")[2]
        raise ValueError(Errors.F030.format(n=n, got=len(fields), value=shorten(repr(fields)), line=number))
    return fields


def _split(word: str, tags: str) -> List[str]:
    """Words are joined by a slash, but some hold one: there are as many words as tags."""
    parts = [part for part in word.split("/") if part]
    if len(parts) != len(tags.split("/")):
        parts = [word]
    return [SIGNS.get(part, part) for part in parts]
