"""The entities and relations of one record on their way into a Doc."""

from contextlib import contextmanager
from typing import Any, Collection, Dict, Hashable, Iterator, List, Optional, Set, Tuple

from spacy.tokens import Doc, Span
from spacy.util import filter_spans

from ..relations import DEFAULT_SPANS_KEY, Row, set_entities
from .errors import Errors, Reasons
from .losses import Losses, StrictError, shorten
from .offsets import Offsets, count_offsets, same_text
from .values import check_meta, is_label


class Gold:
    """The entities and relations of one record on their way into a Doc. Unusable ones are counted and left out.

    doc (Doc): The tokens.
    losses (Losses): Where to count.
    place (str): The record's file and line.
    exact (bool): Whether an unusable annotation makes the record broken. Otherwise only the annotation is lost.
    meta (Optional[Dict[str, Any]]): What goes to `doc.user_data["meta"]`. A ValueError says if spaCy can't store it.
    relations_known (bool): Whether relations are annotated; without any there are none then.
    offsets (Offsets): What offsets in characters count.
    entity_labels (Optional[Collection[str]]): The labels that entities may have; None for any.
    relation_labels (Optional[Collection[str]]): The labels that relations may have; None for any.
    """

    def __init__(
        self, doc: Doc, losses: Losses, place: str, exact: bool = False, meta: Optional[Dict[str, Any]] = None
    ) -> None:
        check_meta(meta or {})
        self.doc = doc
        self.meta = meta
        # Put together from the tokens each time.
        self.text = doc.text
        self.losses = losses
        self.place = place
        self.exact = exact
        self.relations_known = True
        self.offsets: Offsets = count_offsets(self.text)
        self.entity_labels: Optional[Collection[str]] = None
        self.relation_labels: Optional[Collection[str]] = None
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

    @contextmanager
    def entry(self, kind: str, key: Optional[Hashable] = None) -> Iterator[None]:
        """Read an entry of the record. If that fails with a ValueError, the entry is counted and left out.

        kind (str): "entity" or "relation".
        key (Optional[Hashable]): What relations call the entity.
        RAISES (ValueError): If the record must be exact.
        """
        try:
            yield
        except ValueError as err:
            if self.exact or isinstance(err, StrictError):
                raise
            if key is not None:
                self._index.setdefault(key, None)
            self.losses.drop(Reasons.UNREADABLE.format(kind=kind), f"{self.place}: {err}")

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
        if self.entity_labels is not None and label not in self.entity_labels:
            return self._refuse_label("entity", what, self.entity_labels)
        if not 0 <= start < end <= len(self.doc):
            return self._refuse(Reasons.OUTSIDE, Errors.F011.format(what=what, n=len(self.doc), unit="tokens"))
        twin = self._at.get((start, end))
        if twin is None:
            # Not every string can be a label: JSON may hold halves of characters.
            self.spans.append(Span(self.doc, start, end, label))
            self._at[(start, end)] = self._index[key] = len(self.spans) - 1
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
        start (int): Its first character, as `offsets` count.
        end (int): The character after its last.
        label (Any): Its label.
        score (Optional[float]): Its score, if it has one.
        text (Optional[str]): What the file says its text is; checked but for blanks.
        RAISES (ValueError): If it is unusable and the record must be exact.
        """
        what = entity_name(key, f"{start}-{end}", label)
        first, last = self.offsets.starts[0], self.offsets.starts[-1]
        if not first <= start < end <= last:
            self._index.setdefault(key, None)
            n, unit = last - first, self.offsets.name
            return self._refuse(Reasons.OUTSIDE, Errors.F011.format(what=what, n=n, unit=unit))
        begin, stop = self.offsets.to_char(start), self.offsets.to_char(end)
        if begin is None or stop is None:
            return self.lose(key, Reasons.MISALIGNED, Errors.F052.format(what=what, unit=self.offsets.name))
        return self._entity_between(key, what, begin, stop, label, score, text)

    def _entity_between(
        self, key: Hashable, what: str, start: int, end: int, label: Any, score: Optional[float], text: Optional[str]
    ) -> None:
        found = self.text[start:end]
        if text is not None and not same_text(found, text):
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
        label.encode("utf-8")
        if self.relation_labels is not None and label not in self.relation_labels:
            return self._refuse_label("relation", what, self.relation_labels)
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

    def finish(self) -> Doc:
        """Write everything to the Doc.

        RETURNS (Doc): The document, annotated.
        """
        scored = any(score is not None for score in self.scores)
        scores = [1.0 if score is None else score for score in self.scores]
        rows = self.rows if self.relations_known else None
        set_entities(self.doc, DEFAULT_SPANS_KEY, self.spans, rows, scores if scored else None)
        self.doc.set_ents(filter_spans(self.spans))
        if self.meta is not None:
            self.doc.user_data["meta"] = self.meta
        return self.doc

    def _refuse_label(self, kind: str, what: str, labels: Collection[str]) -> None:
        message = Errors.F018.format(what=what, labels=shorten(str(list(labels)), 400))
        self._refuse(Reasons.OTHER_LABEL.format(kind=kind), message)

    def _refuse(self, reason: str, message: str) -> None:
        if self.exact:
            raise ValueError(message)
        self.losses.drop(reason, f"{self.place}: {message}")


def entity_name(key: Hashable, place: str, label: Any) -> str:
    """RETURNS (str): How to call an entity in a message."""
    return f"Entity {shorten(str(key))} ({place}, {shorten(repr(label))})"


def relation_name(head: Any, tail: Any, label: Any) -> str:
    """RETURNS (str): How to call a relation in a message."""
    return f"Relation {shorten(str(head))} -> {shorten(str(tail))} ({shorten(repr(label))})"
