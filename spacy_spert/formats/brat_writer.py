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
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Set, Tuple, Union

from spacy.tokens import Doc

from .errors import Errors, Reasons
from .gold import Gold, entity_name
from .losses import Losses
from .offsets import CHARACTERS, check_unit, count_offsets
from .writing import SPACES, convert_each, counts_of, take_meta

# Names that are safe on every system, and hidden on none.
NAME = re.compile(r"[^\W_][\w.-]{0,99}", re.ASCII)
# What breaks lines, for Python's reader of brat's files and for editors.
IN_LINE = re.compile(r"[^\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+")


class Standoff(NamedTuple):
    """The two files of a document.

    text (str): The content of X.txt.
    annotation (str): The content of X.ann.
    """

    text: str
    annotation: str


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
    names: Set[str] = set()
    labels: Tuple[Dict[str, None], Dict[str, None]] = {}, {}
    with _open_folder(path) as folder:
        for gold, files in convert_each(docs, losses, partial(to_standoff, offsets=offsets), {SPACES}):
            name = _name(gold, names, kept["documents"] + 1)
            _write(folder / f"{name}.txt", files.text)
            _write(folder / f"{name}.ann", files.annotation)
            labels[0].update((_word(span.label_), None) for span in gold.spans)
            labels[1].update((_word(row[2]), None) for row in gold.rows)
            kept.update(counts_of(gold))
        if not kept:
            raise ValueError(Errors.F022)
        _write(folder / "annotation.conf", _configuration(*labels))
    return kept


def to_standoff(gold: Gold, offsets: str = CHARACTERS) -> Standoff:
    """Make the two files of a document.

    gold (Gold): Its entities and relations. Those that can't be written are counted and taken off.
    offsets (str): What offsets count.
    RETURNS (Standoff): The files.
    """
    _drop_blank(gold)
    # Counted in the offsets, as brat does.
    gold.losses.note("document: its first character is read as a byte order mark", int(gold.text.startswith("\ufeff")))
    at = count_offsets(gold.text, offsets).starts
    lines: List[str] = []
    for i, span in enumerate(gold.spans, start=1):
        parts = list(IN_LINE.finditer(gold.text, span.start_char, span.end_char))
        places = ";".join(f"{at[part.start()]} {at[part.end()]}" for part in parts)
        text = " ".join(part.group() for part in parts)
        lines.append(f"T{i}\t{_label(gold, span.label_, 'entity')} {places}\t{text}\n")
    for i, (head, tail, label, _) in enumerate(gold.rows, start=1):
        lines.append(f"R{i}\t{_label(gold, label, 'relation')} Arg1:T{head + 1} Arg2:T{tail + 1}\n")
    return Standoff(gold.text, "".join(lines))


@contextmanager
def _open_folder(path: Union[str, Path]) -> Iterator[Path]:
    """A folder that appears under its name only once it is complete."""
    path = Path(path)
    if str(path) == "-":
        raise ValueError(Errors.F081)
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise ValueError(Errors.F080.format(output=path))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.mkdir()
    try:
        yield part
        # Takes the place of an empty folder.
        os.replace(part, path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(path: Path, text: str) -> None:
    # As bytes, as line breaks stay what they are.
    path.write_bytes(text.encode("utf-8"))


def _name(gold: Gold, names: Set[str], number: int) -> str:
    """The name of the next document. Names that differ in case only are one file on some systems."""
    value = take_meta(gold, ("id",)).get("id")
    name = "" if value is None else str(value)
    if not NAME.fullmatch(name) or name.casefold() in names:
        if value is not None:
            gold.losses.note(Reasons.FIELD.format(kind="meta data", key="id"))
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


def _word(label: str) -> str:
    return "_".join(label.split())


def _label(gold: Gold, label: str, kind: str) -> str:
    word = _word(label)
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
