"""What all readers share: counting losses, checking values, building Docs, writing files in one go.

A reader is a function `read_x(path, nlp=None, losses=None)` that hands a `build(record, place)` function to
`read_json_lines`, `read_json_list` or `build_docs`. `build` makes Docs with `Gold` and raises a ValueError for a record
that is broken; the place is added and the record skipped here.
"""

import json
import os
import re
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import (
    IO,
    Any,
    Callable,
    Collection,
    Container,
    Dict,
    Hashable,
    Iterable,
    Iterator,
    List,
    Optional,
    Set,
    Tuple,
)

import numpy
import spacy
import srsly
from spacy.errors import Errors as SpacyErrors
from spacy.language import Language
from spacy.tokenizer import Tokenizer  # type: ignore[import-not-found]
from spacy.tokens import Doc, Span
from spacy.util import filter_spans

from .. import stream
from ..relations import DEFAULT_SPANS_KEY, Row, set_entities
from .errors import Errors, Reasons

Build = Callable[[Any, str], Iterable[Doc]]

# Most bytes of a file that is read as a whole. As Python's objects they take up to 25 times as many.
MAX_FILE = 2**28
# Numbers beyond 64 bits have no place in spaCy's format, and can be chosen so that dictionaries of them get very slow.
MAX_NUMBER = 2.0**63
# Most characters without a blank that the tokenizer gets at a time: for signs it needs time squared in them.
MAX_WORD = 1000
# Most reasons that are counted apart: they hold names from the file.
MAX_REASONS = 200


class StrictError(ValueError):
    """Something would be lost, and the caller asked that nothing be."""


class Losses:
    """Counts what a conversion could not keep, by reason.

    strict (bool): Raise an error instead of losing a record, an entity or a relation.
    counts (Counter): How often each reason occurred.
    places (Dict[str, List[str]]): For each reason of a loss, messages that begin with the place in the file.
    """

    def __init__(self, strict: bool = False) -> None:
        self.strict = strict
        self.counts: Counter[str] = Counter()
        self.places: Dict[str, List[str]] = {}

    def drop(self, reason: str, message: str) -> None:
        """Count a lost record, entity or relation.

        reason (str): What it is counted under.
        message (str): The place and what is wrong there.
        RAISES (StrictError): If nothing may be lost.
        """
        if self.strict:
            raise StrictError(message)
        self.note(reason)
        self.places.setdefault(reason, []).append(message)

    def note(self, reason: str, n: int = 1) -> None:
        """Count what is passed over by design and is no error: duplicates, other kinds of annotation.

        reason (str): What it is counted under.
        n (int): How many.
        """
        if n:
            tally(self.counts, reason, n)


def tally(counts: Counter[str], reason: str, n: int, before: Collection[str] = ()) -> None:
    """Count under a reason, or with all others if there are too many.

    counts (Counter[str]): Where to count.
    reason (str): What it is counted under.
    n (int): How many.
    before (Collection[str]): Reasons that were counted elsewhere, to which the counts will be added.
    """
    if reason not in counts and reason not in before and len(counts) + len(before) >= MAX_REASONS:
        reason = Reasons.OTHER
    counts[reason] += n


class Gold:
    """The entities and relations of one record on their way into a Doc. Unusable ones are counted and left out.

    doc (Doc): The tokens.
    losses (Losses): Where to count.
    place (str): The record's file and line.
    exact (bool): Whether an unusable annotation makes the record broken. Otherwise only the annotation is lost.
    """

    def __init__(self, doc: Doc, losses: Losses, place: str, exact: bool = False) -> None:
        self.doc = doc
        # Put together from the tokens each time.
        self.text = doc.text
        self.losses = losses
        self.place = place
        self.exact = exact
        self.spans: List[Span] = []
        self.scores: List[Optional[float]] = []
        self.keys: List[Hashable] = []
        self.rows: List[Row] = []
        self._index: Dict[Hashable, Optional[int]] = {}
        self._at: Dict[Tuple[int, int], int] = {}
        self._seen: Set[Tuple[int, int, str]] = set()

    def __contains__(self, key: Hashable) -> bool:
        """RETURNS (bool): Whether an entity was added under this key, even if it was lost."""
        return key in self._index

    def entity(self, key: Hashable, start: int, end: int, label: Any, score: Optional[float] = None) -> None:
        """Add an entity by its tokens.

        key (Hashable): What relations call it.
        start (int): Its first token.
        end (int): The token after its last.
        label (Any): Its label.
        score (Optional[float]): Its score, if it has one.
        RAISES (ValueError): If it is unusable and the record must be exact.
        """
        what = entity_name(key, f"{start}-{end}", label)
        if key in self._index:
            return self._refuse(Reasons.SAME_ID, Errors.F017.format(what=what))
        self._index[key] = None
        if not is_label(label):
            return self._refuse(Reasons.NO_LABEL.format(kind="entity"), Errors.F010.format(what=what))
        if not 0 <= start < end <= len(self.doc):
            return self._refuse(Reasons.OUTSIDE, Errors.F011.format(what=what, n=len(self.doc), unit="tokens"))
        twin = self._at.get((start, end))
        if twin is None:
            self._at[(start, end)] = self._index[key] = len(self.spans)
            self.spans.append(Span(self.doc, start, end, label))
            self.scores.append(score)
            self.keys.append(key)
            return None
        if self.spans[twin].label_ != label:
            other, label = shorten(str(self.keys[twin])), shorten(self.spans[twin].label_)
            message = Errors.F013.format(what=what, other=other, label=label)
            return self._refuse(Reasons.CONFLICT, message)
        self._index[key] = twin
        return self.losses.note(Reasons.MERGED.format(kind="entity"))

    def entity_chars(
        self, key: Hashable, start: int, end: int, label: Any, score: Optional[float] = None, text: Optional[str] = None
    ) -> None:
        """Add an entity by its characters.

        key (Hashable): What relations call it.
        start (int): Its first character.
        end (int): The character after its last.
        label (Any): Its label.
        score (Optional[float]): Its score, if it has one.
        text (Optional[str]): What the file says its text is; checked but for blanks.
        RAISES (ValueError): If it is unusable and the record must be exact.
        """
        what = entity_name(key, f"{start}-{end}", label)
        if not 0 <= start < end <= len(self.text):
            self._index.setdefault(key, None)
            return self._refuse(Reasons.OUTSIDE, Errors.F011.format(what=what, n=len(self.text), unit="characters"))
        found = self.text[start:end]
        if text is not None and text.split() != found.split():
            message = Errors.F019.format(what=what, text=repr(shorten(found)), expected=repr(shorten(text)))
            return self.lose(key, Reasons.OTHER_TEXT, message)
        span = self.doc.char_span(start, end)
        if span is None and found.strip():
            first = start + len(found) - len(found.lstrip())
            span = self.doc.char_span(first, first + len(found.strip()))
            if span is not None:
                self.losses.note(Reasons.TRIMMED)
        if span is None:
            return self.lose(key, Reasons.MISALIGNED, Errors.F012.format(what=what, text=repr(shorten(found))))
        return self.entity(key, span.start, span.end, label, score)

    def lose(self, key: Hashable, reason: str, message: str) -> None:
        """Count an entity that can't be kept, and with it later the relations that point to it.

        key (Hashable): What relations call it.
        reason (str): What it is counted under.
        message (str): What is wrong.
        """
        self._index.setdefault(key, None)
        self.losses.drop(reason, f"{self.place}: {message}")

    def relation(self, head: Hashable, tail: Hashable, label: Any, score: float = 1.0) -> None:
        """Add a relation.

        head (Hashable): The key of the entity it starts from.
        tail (Hashable): The key of the entity it points to.
        label (Any): Its label.
        score (float): Its score.
        RAISES (ValueError): If it is unusable and the record must be exact.
        """
        what = relation_name(head, tail, label)
        if not is_label(label):
            return self._refuse(Reasons.NO_LABEL.format(kind="relation"), Errors.F010.format(what=what))
        # JSON may hold halves of characters. Those of entities are refused by spaCy.
        label.encode("utf8")
        for side, key in (("head", head), ("tail", tail)):
            if key not in self._index:
                return self._refuse(Reasons.NO_ENTITY, Errors.F014.format(what=what, side=side))
        ends = self._index[head], self._index[tail]
        if ends[0] is None or ends[1] is None:
            message = Errors.F016.format(what=what, side="head" if ends[0] is None else "tail")
            return self.losses.drop(Reasons.ENTITY_LOST, f"{self.place}: {message}")
        if ends[0] == ends[1]:
            return self._refuse(Reasons.SELF, Errors.F015.format(what=what))
        row = (ends[0], ends[1], label)
        if row in self._seen:
            return self.losses.note(Reasons.MERGED.format(kind="relation"))
        self._seen.add(row)
        self.rows.append((*row, score))
        return None

    def finish(self, meta: Optional[Dict[str, Any]] = None) -> Doc:
        """Write everything to the Doc.

        meta (Optional[Dict[str, Any]]): What goes to `doc.user_data["meta"]`.
        RETURNS (Doc): The document, annotated.
        RAISES (ValueError): If spaCy's format can't store the meta data.
        """
        scored = any(score is not None for score in self.scores)
        scores = [1.0 if score is None else score for score in self.scores]
        set_entities(self.doc, DEFAULT_SPANS_KEY, self.spans, self.rows, scores if scored else None)
        self.doc.set_ents(filter_spans(self.spans))
        if meta is not None:
            check_meta(meta)
            self.doc.user_data["meta"] = meta
        return self.doc

    def _refuse(self, reason: str, message: str) -> None:
        if self.exact:
            raise ValueError(message)
        self.losses.drop(reason, f"{self.place}: {message}")


def check_meta(meta: Dict[str, Any]) -> None:
    """Make sure that spaCy's format can store the meta data of a record.

    meta (Dict[str, Any]): The meta data.
    RAISES (ValueError): If it can't.
    """
    try:
        srsly.msgpack_dumps({"meta": meta})
    except (ValueError, OverflowError, TypeError) as err:
        raise ValueError(Errors.F021.format(error=err)) from err


def entity_name(key: Hashable, place: str, label: Any) -> str:
    """RETURNS (str): How to call an entity in a message."""
    return f"Entity {shorten(str(key))} ({place}, {shorten(repr(label))})"


def relation_name(head: Any, tail: Any, label: Any) -> str:
    """RETURNS (str): How to call a relation in a message."""
    return f"Relation {shorten(str(head))} -> {shorten(str(tail))} ({shorten(repr(label))})"


def is_label(value: Any) -> bool:
    """RETURNS (bool): Whether a value can be a label: a string that is not blank."""
    return isinstance(value, str) and bool(value.strip())


def defaults(nlp: Optional[Language], losses: Optional[Losses]) -> Tuple[Language, Losses]:
    """Fill in what a caller left out. Without an object to count in, nothing may be lost: nobody would see it.

    nlp (Optional[Language]): Tokenizer and vocabulary; blank English by default.
    losses (Optional[Losses]): Where to count; strict by default.
    RETURNS (Tuple[Language, Losses]): Both.
    """
    return spacy.blank("en") if nlp is None else nlp, Losses(strict=True) if losses is None else losses


def doc_from_tokens(nlp: Language, words: Any, spaces: Optional[Any] = None) -> Doc:
    """Make a Doc of given tokens. Without spaces they are unknown, and spaCy's Corpus then keeps the tokens.

    nlp (Language): The vocabulary.
    words (Any): A list of strings; checked.
    spaces (Optional[Any]): A list of booleans; checked.
    RETURNS (Doc): The document.
    RAISES (ValueError): If the values are not as expected.
    """
    for i, word in enumerate(expect(words, list, "'tokens'")):
        if not isinstance(word, str) or not word:
            raise ValueError(Errors.F006.format(index=i, value=shorten(repr(word))))
    if spaces is not None:
        for i, space in enumerate(expect(spaces, list, "'spaces'")):
            expect(space, bool, f"'spaces'[{i}]")
        if len(spaces) != len(words):
            raise ValueError(Errors.F007.format(n=len(spaces), tokens=len(words)))
    return Doc(nlp.vocab, words=words, spaces=spaces)


def doc_from_text(nlp: Language, text: Any, offsets: Optional[Any] = None) -> Doc:
    """Make a Doc of a text.

    nlp (Language): The tokenizer and vocabulary.
    text (Any): The text; checked.
    offsets (Optional[Any]): A list of [start, end] in characters of the tokens, if they are known; checked.
    RETURNS (Doc): The document.
    RAISES (ValueError): If the values are not as expected.
    """
    expect(text, str, "'text'")
    if offsets is None:
        return _tokenize(nlp, text)
    words: List[str] = []
    spaces: List[bool] = []
    position = 0
    for i, pair in enumerate(expect(offsets, list, "the token offsets")):
        start, end = ints(pair, 2, f"the offsets of token {i}")
        gap = text[position:start]
        if not position <= start < end <= len(text) or gap not in ("", " ") or (gap and not words):
            raise ValueError(Errors.F008.format(index=i, start=start, end=end))
        if words:
            spaces.append(bool(gap))
        words.append(text[start:end])
        position = end
    if text[position:] not in ("", " ") or (text and not words):
        raise ValueError(Errors.F008.format(index=len(words), start=position, end=len(text)))
    spaces += [bool(text[position:])] * bool(words)
    return Doc(nlp.vocab, words=words, spaces=spaces)


def _tokenize(nlp: Language, text: str) -> Doc:
    """What nlp.make_doc returns, in time that grows with the length only: very long words are cut before."""
    if max(map(len, text.split()), default=0) <= MAX_WORD or not isinstance(nlp.tokenizer, Tokenizer):
        return nlp.make_doc(text)
    if len(text) > nlp.max_length:
        raise ValueError(SpacyErrors.E088.format(length=len(text), max_length=nlp.max_length))
    cuts = [match.end() for match in re.finditer(rf"\S{{{MAX_WORD}}}(?=\S)", text)]
    parts = [nlp.make_doc(text[start:end]) for start, end in zip([0, *cuts], [*cuts, len(text)])]
    words = [token.text for part in parts for token in part]
    return Doc(nlp.vocab, words=words, spaces=[bool(token.whitespace_) for part in parts for token in part])


def mark_sentences(doc: Doc, starts: Container[int]) -> None:
    """Mark the tokens that begin a sentence.

    doc (Doc): The document.
    starts (Container[int]): Indices of tokens.
    """
    # Not token by token: each time the whole document would be looked through.
    values = [1 if i in starts else -1 for i in range(len(doc))]
    array: Any = numpy.asarray(values, dtype="int64").astype("uint64").reshape(-1, 1)
    doc.from_array(["SENT_START"], array)


def expect(value: Any, kind: Any, where: str) -> Any:
    """Check the type of a value from a file.

    value (Any): The value.
    kind (Any): A type or a tuple of types. A boolean is no number here, nor is one beyond 64 bits.
    where (str): How to call it in a message.
    RETURNS (Any): The value.
    RAISES (ValueError): If it has another type.
    """
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool)):
        if isinstance(value, (int, float)) and abs(value) >= MAX_NUMBER:
            raise ValueError(Errors.F041.format(where=where, value=shorten(repr(value))))
        return value
    names = {
        dict: "an object",
        list: "a list",
        str: "a string",
        int: "a whole number",
        float: "a number",
        bool: "a boolean",
    }
    expected = " or ".join(names[k] for k in kinds)
    raise ValueError(Errors.F002.format(where=where, expected=expected, value=shorten(repr(value))))


def take(record: Dict[str, Any], key: str, kind: Any, where: str = "the record") -> Any:
    """Read a required value of a JSON object.

    record (Dict[str, Any]): The object.
    key (str): The name of the value.
    kind (Any): Its type or types.
    where (str): How to call the object in a message.
    RETURNS (Any): The value.
    RAISES (ValueError): If it is missing or has another type.
    """
    if key not in record:
        raise ValueError(Errors.F003.format(key=key, where=where))
    return expect(record[key], kind, f"'{key}' of {where}")


def objects(record: Dict[str, Any], key: str, required: bool = True) -> Iterator[Tuple[str, Dict[str, Any]]]:
    """Read a list of JSON objects.

    record (Dict[str, Any]): The object that holds the list.
    key (str): The name of the list.
    required (bool): Whether it must be there. If not, null stands for an empty list as well.
    YIELDS (Tuple[str, Dict[str, Any]]): How to call the entry in a message, and the entry.
    RAISES (ValueError): If something has another type.
    """
    values = take(record, key, list) if required or record.get(key) is not None else []
    for i, value in enumerate(values):
        where = f"'{key}'[{i}]"
        yield where, expect(value, dict, where)


def ints(value: Any, n: int, where: str) -> List[int]:
    """Check a list of whole numbers.

    value (Any): The list.
    n (int): Its length.
    where (str): How to call it in a message.
    RETURNS (List[int]): The list.
    RAISES (ValueError): If it is something else.
    """
    if not isinstance(value, list) or len(value) != n:
        raise ValueError(Errors.F002.format(where=where, expected=f"{n} whole numbers", value=shorten(repr(value))))
    return [expect(number, int, where) for number in value]


def note_fields(record: Dict[str, Any], known: Container[str], kind: str, losses: Losses) -> None:
    """Count the fields of a record that are not read.

    record (Dict[str, Any]): The record.
    known (Container[str]): The fields that are.
    kind (str): What the record is.
    losses (Losses): Where to count.
    """
    for key in record:
        if key not in known:
            losses.note(Reasons.FIELD.format(kind=kind, key=shorten(key)))


def parse_json(raw: bytes) -> Any:
    """Parse JSON. Unlike srsly's, the standard parser names the place of a mistake and reads floats exactly.

    raw (bytes): UTF-8, with or without a byte order mark.
    RETURNS (Any): The value.
    RAISES (ValueError): If it is not JSON; NaN and Infinity are not, nor is a key that is there twice.
    """
    try:
        text = raw.decode("utf-8-sig").strip()
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_to_dict)
    except json.JSONDecodeError as err:
        line = f"line {err.lineno}, " if b"\n" in raw.strip() else ""
        raise ValueError(Errors.F001.format(error=f"{err.msg} ({line}column {err.colno})")) from err
    except (ValueError, RecursionError) as err:
        raise ValueError(Errors.F001.format(error=err)) from err


def read_whole(path: Path, limit: int) -> bytes:
    """Read a file that can't be read in parts.

    path (Path): The file.
    limit (int): Most bytes that it may have.
    RETURNS (bytes): What it holds.
    RAISES (ValueError): If it is larger.
    """
    with path.open("rb") as file_:
        raw = file_.read(limit + 1)
    if len(raw) > limit:
        raise ValueError(Errors.F040.format(what="The file", limit=limit))
    return raw


def build_docs(path: Path, records: Iterable[Tuple[str, Any]], build: Build, losses: Losses) -> Iterator[Doc]:
    """Make Docs of records, passing over the broken ones.

    path (Path): The file, for messages.
    records (Iterable[Tuple[str, Any]]): The place of each record, and the record.
    build (Build): Makes Docs of one record; raises a ValueError if it is broken.
    losses (Losses): Where to count.
    YIELDS (Doc): The documents.
    RAISES (StrictError): If something would be lost and must not be.
    """
    place = None
    for place, record in records:
        try:
            docs = list(build(record, place))
        except StrictError:
            raise
        except (ValueError, RecursionError) as err:
            losses.drop(Reasons.BROKEN, f"{place}: {err}")
            continue
        yield from docs
    if place is None:
        losses.drop(Reasons.BROKEN, f"{path}: {Errors.F004}")


def read_lines(path: Path, blank: bool = False) -> Iterator[Tuple[str, bytes]]:
    """Read a file line by line. They are left as bytes, so that a wrong encoding is the matter of one record.

    path (Path): The file.
    blank (bool): Whether to yield blank lines as well.
    YIELDS (Tuple[str, bytes]): The place and the line.
    """
    with path.open("rb") as file_:
        for i, line in enumerate(file_, start=1):
            if blank or line.strip():
                yield f"{path}:{i}", line


def read_json_lines(path: Any, build: Build, losses: Losses) -> Iterator[Doc]:
    """Make Docs of a file with one JSON object a line. Blank lines are passed over.

    path (Any): The file.
    build (Build): Makes Docs of one object.
    losses (Losses): Where to count.
    RETURNS (Iterator[Doc]): The documents.
    """
    path = Path(path)

    def lines() -> Iterator[Tuple[str, Optional[bytes]]]:
        with path.open("rb") as file_:
            for line in stream.read_lines(file_, stream.MAX_LINE):
                if line.raw is None or line.raw.strip():
                    yield f"{path}:{line.number}", line.raw

    def from_line(raw: Optional[bytes], place: str) -> Iterable[Doc]:
        if raw is None:
            raise ValueError(Errors.F040.format(what="The line", limit=stream.MAX_LINE))
        return build(expect(parse_json(raw), dict, "the record"), place)

    return build_docs(path, lines(), from_line, losses)


def read_json_list(path: Any, build: Build, losses: Losses) -> Iterator[Doc]:
    """Make Docs of a file that holds one JSON list of objects.

    path (Any): The file.
    build (Build): Makes Docs of one object.
    losses (Losses): Where to count.
    YIELDS (Doc): The documents.
    """
    path = Path(path)

    def from_object(value: Any, place: str) -> Iterable[Doc]:
        return build(expect(value, dict, "the record"), place)

    try:
        values = expect(parse_json(read_whole(path, MAX_FILE)), list, "the file")
    except ValueError as err:
        losses.drop(Reasons.BROKEN, f"{path}: {err}")
        return
    records = ((f"{path}, record {i}", value) for i, value in enumerate(values, start=1))
    yield from build_docs(path, records, from_object, losses)


@contextmanager
def open_whole(path: Any, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a file that appears under its name only once it is complete. Missing folders are made.

    path (Any): The file.
    mode (str): "w" for UTF-8 text, "wb" for bytes.
    YIELDS (IO): The file to write to.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    try:
        # Not "w", which would follow a link that somebody put there meanwhile.
        with part.open(mode.replace("w", "x"), encoding=None if "b" in mode else "utf-8") as file_:
            yield file_
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def shorten(text: str, limit: int = 80) -> str:
    """RETURNS (str): The text, cut if it is longer than the limit, with escapes for what a terminal would obey."""
    text = text if len(text) <= limit else text[: limit - 3] + "..."
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _to_dict(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        ((key, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {shorten(repr(key))} is there twice")
    return found


def _refuse_constant(value: str) -> None:
    raise ValueError(f"{value} is no JSON number")
