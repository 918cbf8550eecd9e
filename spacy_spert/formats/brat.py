"""brat standoff: a text and an annotation file of the same name, X.txt and X.ann; a folder of them, or one of them:

    T1	PER 0 3	Ann
    T2	LOC 13 17	Bonn
    R1	LIVES_IN Arg1:T1 Arg2:T2

- Offsets are characters of the text file (line breaks count as they are), ends are exclusive. The text after the
  offsets is checked but for blanks.
- Discontinuous entities ("PER 0 3;8 12") are no spans: they are counted and left out with their relations.
- Relations go from Arg1 to Arg2. Those of events have an end that is no entity.
- Events (E), attributes (A, M), normalizations (N), notes (#) and equivalences (*) are counted and left out.
- A text file without an annotation file has not been annotated: counted and left out.
- Links that lead out of the folder are not followed.
- The name without its ending goes to `doc.user_data["meta"]["id"]`.
"""

import re
from pathlib import Path
from typing import Iterable, Iterator, Optional, Tuple, Union

from spacy.language import Language
from spacy.tokens import Doc

from .docs import defaults, doc_from_text
from .errors import Errors, Reasons
from .files import build_docs, read_lines
from .gold import Gold, entity_name
from .losses import Losses, shorten

ENTITY = re.compile(r"(T\S+)\t(\S+) (\d+ \d+(?:;\d+ \d+)*)(?:\t(.*))?$")
RELATION = re.compile(r"R\S+\t(\S+) Arg1:(\S+) Arg2:(\S+)\s*$")
KINDS = {"E": "event", "A": "attribute", "M": "attribute", "N": "normalization", "#": "note", "*": "equivalence"}


def read_brat(path: Union[str, Path], nlp: Optional[Language] = None, losses: Optional[Losses] = None) -> Iterator[Doc]:
    """Read brat standoff files.

    path (Union[str, Path]): A folder, with folders in it or not, or one of the two files of a document.
    nlp (Optional[Language]): Its tokenizer splits the texts. Blank English by default.
    losses (Optional[Losses]): Where to count what can't be kept. By default that is an error.
    YIELDS (Doc): The documents, in the order of their names.
    """
    path = Path(path)
    nlp, losses = defaults(nlp, losses)

    def build(ann: Path, place: str) -> Iterable[Doc]:
        txt = ann.with_suffix(".txt")
        for file in (txt, ann):
            if not file.is_file():
                raise ValueError(Errors.F034.format(path=file))
            if path.is_dir() and not file.resolve().is_relative_to(path.resolve()):
                raise ValueError(Errors.F039.format(path=file, folder=path))
        # Not read as text, which would turn each CR LF into one character.
        gold = Gold(doc_from_text(nlp, txt.read_bytes().decode("utf-8")), losses, place)
        relations = []
        for line_place, raw in read_lines(ann):
            gold.place = line_place
            line = raw.decode("utf-8-sig").rstrip("\r\n")
            if line[0] in KINDS:
                losses.note(f"brat: {KINDS[line[0]]} not kept")
            elif match := ENTITY.match(line):
                _add_entity(gold, *match.groups())
            elif match := RELATION.match(line):
                relations.append((line_place, match.groups()))
            else:
                number = line_place.rpartition(":")[2]
                raise ValueError(Errors.F035.format(line=number, value=shorten(repr(line))))
        for gold.place, (label, head, tail) in relations:
            gold.relation(head, tail, label)
        yield gold.finish({"id": ann.stem})

    return build_docs(path, _documents(path, losses), build, losses)


def _documents(path: Path, losses: Losses) -> Iterator[Tuple[str, Path]]:
    if not path.is_dir():
        yield str(path.with_suffix(".ann")), path.with_suffix(".ann")
        return
    for file in sorted(path.rglob("*")):
        if file.suffix == ".ann":
            yield str(file), file
        elif file.suffix == ".txt" and not file.with_suffix(".ann").exists():
            losses.note("brat: text file without annotation file")


def _add_entity(gold: Gold, key: str, label: str, offsets: str, text: Optional[str]) -> None:
    if ";" in offsets:
        what = entity_name(key, shorten(offsets), label)
        gold.lose(key, Reasons.DISCONTINUOUS, Errors.F020.format(what=what))
        return
    start, end = map(int, offsets.split())
    gold.entity_chars(key, start, end, label, text=text)
