"""Writing documents: one after the other, as records of a file or as files of their own.

A format that has one record per document is a `RecordWriter`: a function that makes the record, what it has room for,
and what stands between records. Whatever a document holds beyond that is counted.
"""

import json
from collections import Counter
from pathlib import Path
from typing import (
    Any,
    Callable,
    Collection,
    Dict,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Tuple,
    TypeVar,
    Union,
)

from spacy.tokens import Doc, Span
from spacy.util import filter_spans

from ..alignment import unknown_tokens
from ..relations import DEFAULT_SPANS_KEY, RELATIONS_ATTR, SCORES_ATTR, check_tokens, describe_doc
from .errors import Errors, Reasons
from .files import open_whole
from .gold import Gold
from .losses import Losses, StrictError, shorten
from .values import expect

# What a format may have room for, beside the text with its entities and relations: the tokens; which of them a blank
# follows (or that this is not known); where sentences begin; scores; that relations are not known.
TOKENS, SPACES, NO_SPACES, SENTENCES, SCORES, UNKNOWN = (
    "tokens",
    "spaces",
    "no spaces",
    "sentences",
    "scores",
    "unknown",
)
# Annotation of a Doc that no format has room for. Entities are not among it.
OTHER_ATTRS = ("TAG", "POS", "MORPH", "LEMMA", "DEP")

Made = TypeVar("Made")


class RecordWriter(NamedTuple):
    """A format with one JSON object per document.

    to_record (Callable[..., Dict[str, Any]]): Makes the object of a document's checked entities and relations (Gold).
        Takes the options of the format by name.
    keeps (Collection[str]): What it has room for, of the names above.
    before (str): What stands before the first object.
    between (str): What stands between objects.
    after (str): What stands after the last object.
    """

    to_record: Callable[..., Dict[str, Any]]
    keeps: Collection[str] = ()
    before: str = ""
    between: str = "\n"
    after: str = "\n"

    def encode(self, gold: Gold, **options: Any) -> bytes:
        """Make the JSON of one document.

        gold (Gold): Its entities and relations, see `gold_of`.
        **options (Any): Options of the format.
        RETURNS (bytes): One line of UTF-8, without a line break.
        RAISES (ValueError, TypeError): If JSON has no form for a value.
        """
        return json.dumps(self.to_record(gold, **options), ensure_ascii=False, allow_nan=False).encode("utf-8")

    def write(
        self, docs: Iterable[Doc], path: Union[str, Path], losses: Optional[Losses], **options: Any
    ) -> Counter[str]:
        """Write a file. It appears only once it is complete.

        docs (Iterable[Doc]): The documents.
        path (Union[str, Path]): The file.
        losses (Optional[Losses]): Where to count what can't be kept. By default a loss is an error.
        **options (Any): Options of the format.
        RETURNS (Counter[str]): The number of "documents", "entities" and "relations" written.
        RAISES (ValueError): If there are no documents.
        """
        kept: Counter[str] = Counter()
        with open_whole(path, "wb") as file_:
            for gold, line in convert_each(docs, losses, lambda gold: self.encode(gold, **options), self.keeps):
                file_.write((self.between if kept else self.before).encode("utf-8") + line)
                kept.update(counts_of(gold))
            if not kept:
                raise ValueError(Errors.F022)
            file_.write(self.after.encode("utf-8"))
        return kept


def convert_each(
    docs: Iterable[Doc], losses: Optional[Losses], convert: Callable[[Gold], Made], keeps: Collection[str]
) -> Iterator[Tuple[Gold, Made]]:
    """Convert documents one by one, passing over those that can't be, and counting what is lost.

    docs (Iterable[Doc]): The documents.
    losses (Optional[Losses]): Where to count. By default a loss is an error.
    convert (Callable[[Gold], Made]): Makes what is to be written of a document.
    keeps (Collection[str]): What there is room for.
    YIELDS (Tuple[Gold, Made]): The entities and relations of a document, and what was made of them.
    """
    losses = Losses(strict=True) if losses is None else losses
    for i, doc in enumerate(docs, start=1):
        place = f"document {i}, {shorten(describe_doc(doc))}"
        try:
            gold = gold_of(doc, losses, place)
            made = convert(gold)
        except StrictError:
            raise
        except (ValueError, TypeError, RecursionError) as err:
            losses.drop(Reasons.BROKEN, f"{place}: {err}")
            continue
        _note_others(gold, keeps)
        note_unkept(gold, keeps)
        yield gold, made


def gold_of(doc: Doc, losses: Losses, place: str, spans_key: str = DEFAULT_SPANS_KEY) -> Gold:
    """Read the entities and relations of a document, and check them. Unusable ones are counted and left out.

    doc (Doc): The document.
    losses (Losses): Where to count.
    place (str): How to call the document in a message.
    spans_key (str): The span group. Where there is none the entities are doc.ents, and relations are not known.
    RETURNS (Gold): The entities and relations.
    RAISES (ValueError): If tokens were merged or split after the entities were found.
    """
    check_tokens(doc, spans_key)
    gold = Gold(doc, losses, place)
    group = doc.spans.get(spans_key, None)
    attrs = {} if group is None else group.attrs
    scores, rows = attrs.get(SCORES_ATTR), attrs.get(RELATIONS_ATTR)
    for i, span in enumerate(doc.ents if group is None else group):
        gold.entity(i, span.start, span.end, span.label_, None if scores is None else float(scores[i]))
    for head, tail, label, score in rows or ():
        gold.relation(head, tail, label, score)
    gold.relations_known = rows is not None
    return gold


def counts_of(gold: Gold) -> Dict[str, int]:
    """RETURNS (Dict[str, int]): What a document adds to the counts of a writer."""
    return {"documents": 1, "entities": len(gold.spans), "relations": len(gold.rows)}


def meta_of(doc: Doc) -> Optional[Dict[str, Any]]:
    """RETURNS (Optional[Dict[str, Any]]): The meta data of a document, if it has any."""
    meta = doc.user_data.get("meta")
    return None if meta is None else expect(meta, dict, "doc.user_data['meta']")


def take_meta(gold: Gold, names: Collection[str]) -> Dict[str, Any]:
    """Read the meta data that a format has room for. Other fields are counted.

    gold (Gold): The document.
    names (Collection[str]): The names of the fields.
    RETURNS (Dict[str, Any]): The fields that are there.
    """
    meta = meta_of(gold.doc) or {}
    for key in meta:
        if key not in names:
            gold.losses.note(Reasons.FIELD.format(kind="meta data", key=shorten(str(key))))
    return {key: value for key, value in meta.items() if key in names}


def score_of(value: Optional[float]) -> Dict[str, float]:
    """RETURNS (Dict[str, float]): The field "score", if there is a score."""
    return {} if value is None else {"score": value}


def note_unkept(gold: Gold, keeps: Collection[str]) -> None:
    """Count what a format can't hold of a text and of what was found in it.

    gold (Gold): The entities and relations.
    keeps (Collection[str]): What there is room for.
    """
    note = gold.losses.note
    if len(gold.doc):
        unknown = gold.doc.has_unknown_spaces
        note("document: tokens without a text, joined by blanks", int(NO_SPACES not in keeps and unknown))
        note("document: blanks between tokens not kept", int(SPACES not in keeps and not unknown))
    if SCORES not in keeps:
        note("entity: score not kept", sum(score is not None for score in gold.scores))
        note("relation: score not kept", sum(row[3] != 1.0 for row in gold.rows))
    # One entity alone has no relations.
    if UNKNOWN not in keeps and not gold.relations_known and len(gold.spans) > 1:
        note("document: relations not known, written as none")


def _note_others(gold: Gold, keeps: Collection[str]) -> None:
    doc = gold.doc
    note = gold.losses.note
    # Of an empty document spaCy says that it has every annotation.
    kinds: List[Tuple[str, bool]] = [(attr, len(doc) > 0 and doc.has_annotation(attr)) for attr in OTHER_ATTRS]
    kinds += [(f"span group '{shorten(key)}'", True) for key in doc.spans if key != DEFAULT_SPANS_KEY]
    kinds.append(("cats", bool(doc.cats)))
    kinds.append(("other user data", any(key != "meta" for key in doc.user_data)))
    kinds.append(("own choice of doc.ents", _places(filter_spans(gold.spans)) != _places(doc.ents)))
    group = doc.spans.get(DEFAULT_SPANS_KEY, doc.ents)
    kinds.append(("ids of entities", any(span.kb_id or span.id for span in group)))
    if len(doc):
        kinds.append(("tokens", TOKENS not in keeps))
        kinds.append(("sentences", SENTENCES not in keeps and doc.has_annotation("SENT_START")))
    for kind, found in kinds:
        note(f"document: {kind} not kept", int(found))
    if unknown_tokens(doc).any():
        note("document: tokens without annotation, written as no part of an entity")


def _places(spans: Iterable[Span]) -> Collection[Tuple[int, int, int]]:
    return {(span.start, span.end, span.label) for span in spans}
