"""brat standoff: a text and an annotation file of the same name, X.txt and X.ann; a folder of them, or one of them:

    T1	PER 0 3	Ann
    T2	LOC 13 17	Bonn
    R1	LIVES_IN Arg1:T1 Arg2:T2

- Ends are exclusive. What offsets count is found by the texts of the mentions: characters of the text file as it is, or
  with each CR LF as one or each line break as two; UTF-16 units or bytes; a byte order mark as one or not at all. A
  choice other than the first is counted. The text after the offsets is checked but for blanks.
- Parts of an entity ("PER 0 3;4 8") between which there are only blanks or line breaks are one span. Other
  discontinuous entities are not spans: they are counted and left out with their relations.
- Relations have two roles of any names. They go from Arg1 to Arg2; with other names from the first to the second,
  unless `head_roles` and `tail_roles` say otherwise.
- A relation to an event means its trigger.
- Events (E), attributes (A, M), normalizations (N), notes (#) and equivalences (*) are counted and left out.
- A text file without an annotation file has not been annotated: counted and left out.
- Links that lead out of the folder are not followed.
- The name without its ending goes to `doc.user_data["meta"]["id"]`.
"""

import codecs
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Set, Tuple, Union

from spacy.language import Language
from spacy.tokens import Doc

from . import files
from .docs import defaults, doc_from_text
from .errors import Errors, Reasons
from .files import build_docs, read_whole
from .gold import Gold, entity_name
from .losses import Losses, shorten
from .offsets import Mention, check_unit, find_offsets

ENTITY = re.compile(r"(T\S+)\t(\S+) (\d{1,9} \d{1,9}(?:;\d{1,9} \d{1,9})*)(?:\t(.*))?$")
RELATION = re.compile(r"R\S*\t(\S+)\s+([^\s:]+):(\S+)\s+([^\s:]+):(\S+)\s*$")
EVENT = re.compile(r"(E\S+)\t[^\s:]+:(\S+)")
# How lines of brat begin, whatever follows.
ANY = re.compile(r"[TREAMN#*]\S*\s")
KINDS = {"E": "event", "A": "attribute", "M": "attribute", "N": "normalization", "#": "note", "*": "equivalence"}
# The roles of relations that brat itself uses.
HEAD, TAIL = "Arg1", "Arg2"


class Lines(NamedTuple):
    """The lines of an annotation file that make a document.

    entities (List[Tuple[str, str, str, Mention]]): Place, key, label and mention.
    relations (List[Tuple[str, ...]]): Place and label, and the name and the key of each of both roles.
    triggers (Dict[str, str]): The key of the entity that is the trigger of an event.
    odd (List[Tuple[str, str]]): What is odd about other lines: its kind, and a message.
    """

    entities: List[Tuple[str, str, str, Mention]]
    relations: List[Tuple[str, ...]]
    triggers: Dict[str, str]
    odd: List[Tuple[str, str]]


def read_brat(
    path: Union[str, Path],
    nlp: Optional[Language] = None,
    losses: Optional[Losses] = None,
    offsets: Optional[str] = None,
    head_roles: Union[str, Iterable[str]] = (),
    tail_roles: Union[str, Iterable[str]] = (),
) -> Iterator[Doc]:
    """Read brat standoff files.

    path (Union[str, Path]): A folder, with folders in it or not, or one of the two files of a document.
    nlp (Optional[Language]): Its tokenizer splits the texts. Blank English by default.
    losses (Optional[Losses]): Where to count what can't be kept. By default that is an error.
    offsets (Optional[str]): What offsets count: "characters", "utf16" or "bytes". By default the mentions tell.
    head_roles (Union[str, Iterable[str]]): Names of roles that are the head of a relation; in a string with commas.
    tail_roles (Union[str, Iterable[str]]): Names of roles that are its tail.
    YIELDS (Doc): The documents, in the order of their names.
    """
    path = Path(path)
    check_unit(offsets)
    nlp, losses = defaults(nlp, losses)
    heads, tails = _names(head_roles), _names(tail_roles)
    roles: Set[str] = set()
    if not {HEAD, TAIL} & (heads | tails):
        heads, tails = heads | {HEAD}, tails | {TAIL}

    def build(ann: Path, place: str) -> Iterable[Doc]:
        txt = ann.with_suffix(".txt")
        for file in (txt, ann):
            if not file.is_file():
                raise ValueError(Errors.F034.format(path=file))
            if path.is_dir() and not file.resolve().is_relative_to(path.resolve()):
                raise ValueError(Errors.F039.format(path=file, folder=path))
        raw, found = read_whole(ann, files.MAX_FILE), Counter[str]()
        lines = _parse(raw, place, found)
        # Not read as text, which would turn each CR LF into one character.
        try:
            text = read_whole(txt, files.MAX_FILE).decode("utf-8")
        except ValueError as err:
            # The place is that of the annotation.
            raise ValueError(f"{txt.name}: {err}") from err
        has_mark = text.startswith("\ufeff")
        gold = Gold(doc_from_text(nlp, text[has_mark:]), losses, place, meta={"id": ann.stem})
        for kind, n in found.items():
            losses.note(f"brat: {kind} not kept", n)
        for kind, message in lines.odd:
            losses.drop(Reasons.UNREADABLE.format(kind=kind), message)
        mentions = [mention for *_, mention in lines.entities]
        gold.offsets = find_offsets(gold.text, mentions, offsets, losses, line_breaks=True, mark=has_mark)
        for gold.place, key, label, mention in lines.entities:
            with gold.entry("entity", key):
                _add_entity(gold, key, label, mention)
        events = lines.triggers
        for gold.place, label, first, head, second, tail in lines.relations:
            roles.update((first, second))
            if (second in heads and first not in heads) or (first in tails and second not in tails):
                head, tail = tail, head
            losses.note("relation: to an event, kept to its trigger", int(head in events or tail in events))
            with gold.entry("relation"):
                gold.relation(events.get(head, head), events.get(tail, tail), label)
        yield gold.finish()

    def docs() -> Iterator[Doc]:
        yield from build_docs(path, _documents(path, losses), build, losses, _held)
        for name in sorted((_names(head_roles) | _names(tail_roles)) - roles):
            losses.note(f"brat: no relation has the role '{shorten(name)}', which was given")

    return docs()


def _names(roles: Union[str, Iterable[str]]) -> Set[str]:
    names = roles.split(",") if isinstance(roles, str) else roles
    return {name.strip() for name in names} - {""}


def _parse(raw: bytes, place: str, found: Counter[str]) -> Lines:
    """Sort the lines of an annotation file, and count those of kinds that are not read."""
    parsed = Lines([], [], {}, [])
    likely = False
    for number, raw_line in enumerate(raw.removeprefix(codecs.BOM_UTF8).split(b"\n"), start=1):
        if not raw_line.strip():
            continue
        line_place = f"{place}:{number}"
        kind = {b"T": "entity", b"R": "relation"}.get(raw_line[:1], "line")
        try:
            line = raw_line.decode("utf-8").rstrip("\r")
        except UnicodeDecodeError as err:
            parsed.odd.append((kind, f"{line_place}: {err}"))
            continue
        likely = likely or ANY.match(line) is not None
        if line[0] in KINDS:
            found[KINDS[line[0]]] += 1
            if event := EVENT.match(line):
                parsed.triggers[event[1]] = event[2]
        elif match := ENTITY.match(line):
            key, label, offsets, text = match.groups()
            parts = [(int(part.split()[0]), int(part.split()[1])) for part in offsets.split(";")]
            parsed.entities.append((line_place, key, label, Mention(parts, text)))
        elif match := RELATION.match(line):
            parsed.relations.append((line_place, *match.groups()))
        else:
            message = Errors.F035.format(line=number, value=shorten(repr(line)))
            parsed.odd.append((kind, f"{line_place}: {message}"))
    if parsed.odd and not likely:
        raise ValueError(Errors.F056)
    return parsed


def _held(ann: Path) -> List[int]:
    """The numbers of entities and relations of a document that could not be read."""
    try:
        with ann.open("rb") as file_:
            raw = file_.read(files.MAX_FILE + 1)
    except OSError:
        return [0, 0]
    if len(raw) > files.MAX_FILE:
        return [0, 0]
    # Whatever the encoding is: without its mark and the zeros of wide characters.
    lines = raw.lstrip(b"\xef\xbb\xbf\xff\xfe\x00").replace(b"\x00", b"").splitlines()
    return [sum(line.startswith(kind) and b"\t" in line for line in lines) for kind in (b"T", b"R")]


def _documents(path: Path, losses: Losses) -> Iterator[Tuple[str, Path]]:
    if not path.is_dir():
        yield str(path.with_suffix(".ann")), path.with_suffix(".ann")
        return
    for file in sorted(path.rglob("*")):
        if file.suffix == ".ann":
            yield str(file), file
        elif file.suffix == ".txt" and not file.with_suffix(".ann").exists():
            losses.note("brat: text file without annotation file")


def _add_entity(gold: Gold, key: str, label: str, mention: Mention) -> None:
    for (_, before), (after, _) in pairwise(mention.parts):
        first, last = gold.offsets.to_char(before), gold.offsets.to_char(after)
        if first is None or last is None or first > last or gold.text[first:last].strip():
            parts = ";".join(f"{start} {end}" for start, end in mention.parts)
            what = entity_name(key, shorten(parts), label)
            gold.lose(key, Reasons.DISCONTINUOUS, Errors.F020.format(what=what))
            return
    gold.entity_chars(key, mention.parts[0][0], mention.parts[-1][1], label, text=mention.text)
