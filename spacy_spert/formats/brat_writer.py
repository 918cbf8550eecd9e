"""Writing brat standoff files; what they look like says `brat.py`.

A folder gets the two files of each document and an annotation.conf with the labels, without which brat would not let
people choose them. A mention that goes over a line break is written in fragments, as brat demands. A label is one word
there: blanks in it become underscores, which is counted.
"""

import os
import re
import shutil
from collections import Counter
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Set, Union

from spacy.tokens import Doc

from .errors import Errors, Reasons
from .gold import Gold, entity_name
from .losses import Losses
from .offsets import CHARACTERS, check_unit, count_offsets
from .writing import SPACES, RecordWriter, convert_each, counts_of, take_meta

# Names that are safe on every system, and hidden on none.
NAME = re.compile(r"[^\W_][\w.-]{0,99}", re.ASCII)
# What breaks lines, for Python's reader of brat's files and for editors.
IN_LINE = re.compile(r"[^\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+")


class Standoff(NamedTuple):
    """The two files of a document, and what their folder must know of it.

    text (str): The content of X.txt.
    annotation (str): The content of X.ann.
    id (Any): What to call the files; None for their number.
    entities (List[str]): The labels of entities.
    relations (List[str]): The labels of relations.
    """

    text: str
    annotation: str
    id: Any
    entities: List[str]
    relations: List[str]


def write_brat(
    docs: Iterable[Doc], path: Union[str, Path], losses: Optional[Losses] = None, *, offsets: str = CHARACTERS
) -> Counter[str]:
    """Write a folder of brat standoff files. It appears only once it is complete.

    Files are called by `doc.user_data["meta"]["id"]`, or else by the number of the document.

    docs (Iterable[Doc]): The documents.
    path (Union[str, Path]): The folder, which is new or empty.
    losses (Optional[Losses]): Where to count what can't be kept. By default a loss is an error.
    offsets (str): What offsets count: "characters", "utf16" or "bytes".
    RETURNS (Counter[str]): The number of "documents", "entities" and "relations" written.
    RAISES (ValueError): If there are no documents, or files in the folder.
    """
    check_unit(offsets)
    kept: Counter[str] = Counter()
    with open_standoff(path) as folder:
        for gold, files in convert_each(docs, losses, partial(to_standoff, offsets=offsets), STANDOFF.keeps):
            folder.add(files, gold.losses)
            kept.update(counts_of(gold))
    return kept


def to_standoff(gold: Gold, offsets: str = CHARACTERS) -> Standoff:
    """Make the two files of a document.

    gold (Gold): Its entities and relations. Those that can't be written are counted and taken off.
    offsets (str): What offsets count.
    RETURNS (Standoff): The files, with the id in the meta data.
    """
    _drop_blank(gold)
    # Counted in the offsets, as brat does.
    gold.losses.note("document: its first character is read as a byte order mark", int(gold.text.startswith("\ufeff")))
    at = count_offsets(gold.text, offsets).starts
    lines: List[str] = []
    entities: List[str] = []
    relations: List[str] = []
    for i, span in enumerate(gold.spans, start=1):
        parts = list(IN_LINE.finditer(gold.text, span.start_char, span.end_char))
        places = ";".join(f"{at[part.start()]} {at[part.end()]}" for part in parts)
        text = " ".join(part.group() for part in parts)
        whole = (parts[0].start(), parts[-1].end()) == (span.start_char, span.end_char)
        gold.losses.note(Reasons.TRIMMED, int(not whole))
        entities.append(_label(gold, span.label_, "entity"))
        lines.append(f"T{i}\t{entities[-1]} {places}\t{text}\n")
    for i, (head, tail, label, _) in enumerate(gold.rows, start=1):
        relations.append(_label(gold, label, "relation"))
        lines.append(f"R{i}\t{relations[-1]} Arg1:T{head + 1} Arg2:T{tail + 1}\n")
    return Standoff(gold.text, "".join(lines), take_meta(gold, ("id",)).get("id"), entities, relations)


def _to_record(gold: Gold, offsets: str = CHARACTERS) -> Dict[str, Any]:
    return to_standoff(gold, offsets)._asdict()


# No format of its own: what a process that reads documents sends to the one that writes their folder.
STANDOFF = RecordWriter(_to_record, {SPACES})


class StandoffFolder:
    """A folder of standoff files that is being written.

    path (Path): The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names: Set[str] = set()
        self.n = 0
        # In the order in which they come.
        self.entities: Dict[str, None] = {}
        self.relations: Dict[str, None] = {}

    def add(self, files: Standoff, losses: Losses) -> None:
        """Write the files of a document.

        files (Standoff): The files.
        losses (Losses): Where to count ids that can't be the name of a file.
        """
        self.n += 1
        name = _name(files.id, self.names, self.n, losses)
        _write(self.path / f"{name}.txt", files.text)
        _write(self.path / f"{name}.ann", files.annotation)
        self.entities.update(dict.fromkeys(files.entities))
        self.relations.update(dict.fromkeys(files.relations))


def check_folder(path: Path) -> None:
    """Make sure that a folder can be written.

    path (Path): The folder.
    RAISES (ValueError): If it is stdout, or there is something in its place that is no empty folder.
    """
    if str(path) == "-":
        raise ValueError(Errors.F081)
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise ValueError(Errors.F080.format(output=path))


@contextmanager
def open_standoff(path: Union[str, Path]) -> Iterator[StandoffFolder]:
    """Write a folder of standoff files. It appears under its name only once it is complete.

    path (Union[str, Path]): The folder, which is new or empty.
    YIELDS (StandoffFolder): The folder.
    RAISES (ValueError): If there are files in it before, or no documents were added.
    """
    path = Path(path)
    check_folder(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.mkdir()
    try:
        folder = StandoffFolder(part)
        yield folder
        if not folder.n:
            raise ValueError(Errors.F022)
        _write(part / "annotation.conf", _configuration(folder.entities, folder.relations))
        # Takes the place of an empty folder.
        os.replace(part, path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(path: Path, text: str) -> None:
    # As bytes, as line breaks stay what they are.
    path.write_bytes(text.encode("utf-8"))


def _name(value: Any, names: Set[str], number: int, losses: Losses) -> str:
    """The name of the next document. Names that differ in case only are one file on some systems."""
    name = "" if value is None else str(value)
    if not NAME.fullmatch(name) or name.casefold() in names:
        if value is not None:
            losses.note(Reasons.FIELD.format(kind="meta data", key="id"))
        name = f"document-{number}"
        while name in names:
            name += "-"
    names.add(name.casefold())
    return name


def _drop_blank(gold: Gold) -> None:
    """Take off entities without a visible character, and with them their relations."""
    blank = {i for i, span in enumerate(gold.spans) if not span.text.strip()}
    if not blank:
        return
    for i in blank:
        span = gold.spans[i]
        what = entity_name(i, f"{span.start}-{span.end}", span.label_)
        gold.losses.drop(Reasons.OUTSIDE, f"{gold.place}: {Errors.F082.format(what=what)}")
    position = {old: new for new, old in enumerate(i for i in range(len(gold.spans)) if i not in blank)}
    for head, tail, label, _ in gold.rows:
        if head in blank or tail in blank:
            message = Errors.F016.format(
                what=f"{gold.place}: Relation {head} -> {tail} ({label!r})", side="head" if head in blank else "tail"
            )
            gold.losses.drop(Reasons.ENTITY_LOST, message)
    gold.spans = [gold.spans[i] for i in position]
    gold.scores = [gold.scores[i] for i in position]
    gold.rows = [
        (position[head], position[tail], label, score)
        for head, tail, label, score in gold.rows
        if head in position and tail in position
    ]


def _label(gold: Gold, label: str, kind: str) -> str:
    word = "_".join(label.split())
    gold.losses.note(f"{kind}: blanks in the label made underscores", int(word != label))
    return word


def _configuration(entities: Iterable[str], relations: Iterable[str]) -> str:
    ends = "Arg1:<ENTITY>, Arg2:<ENTITY>"
    sections = {
        "entities": entities,
        "relations": [f"{label}\t{ends}" for label in relations],
        "events": (),
        "attributes": (),
    }
    return "\n".join("".join(f"{line}\n" for line in (f"[{name}]", *rows)) for name, rows in sections.items())
