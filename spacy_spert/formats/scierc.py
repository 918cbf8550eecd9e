"""SciERC and other corpora of DyGIE and DyGIE++: JSON lines, one document a line:

    {"doc_key": "X1", "sentences": [["Ann", "lives", "in", "Bonn", "."], ["She", "sings", "."]],
     "ner": [[[0, 0, "PER"], [3, 3, "LOC"]], []], "relations": [[[0, 0, 3, 3, "LIVES_IN"]], []]}

- One list per sentence. Offsets count tokens over the whole document, and ends are inclusive.
- A relation names its head and tail by their offsets: [head start, head end, tail start, tail end, label].
- `ner` and `relations` may be left out; what is left out has not been annotated.
- `doc_key` goes to `doc.user_data["meta"]`, and the number of the sentence if there is one Doc per sentence.
- Predicted entries have scores after the label; they are skipped. Other fields are counted: coreference clusters,
  events.
- SciERC's symmetric relations are COMPARE and CONJUNCTION. Some of its relations are given twice.
"""

from bisect import bisect_right
from collections import Counter
from itertools import accumulate, chain
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Optional, Union

from spacy.language import Language
from spacy.tokens import Doc

from .docs import defaults, doc_from_tokens, mark_sentences
from .errors import Errors, Reasons
from .files import read_json_lines
from .gold import Gold
from .losses import Losses, shorten
from .values import expect, ints, note_fields, take
from .writing import NO_SPACES, SENTENCES, TOKENS, UNKNOWN, RecordWriter, meta_of, take_meta

FIELDS = ("doc_key", "sentences", "ner", "relations", "dataset")


def read_scierc(
    path: Union[str, Path],
    nlp: Optional[Language] = None,
    losses: Optional[Losses] = None,
    per_sentence: bool = False,
) -> Iterator[Doc]:
    """Read DyGIE's JSON lines.

    path (Union[str, Path]): The file.
    nlp (Optional[Language]): The vocabulary. Blank English by default.
    losses (Optional[Losses]): Where to count what can't be kept. By default that is an error.
    per_sentence (bool): One document per sentence, instead of one with sentence marks.
    YIELDS (Doc): The documents.
    """
    nlp, losses = defaults(nlp, losses)

    def build(record: Dict[str, Any], place: str) -> Iterable[Doc]:
        note_fields(record, FIELDS, "record", losses)
        meta = {"doc_key": record["doc_key"]} if "doc_key" in record else {}
        sentences = [expect(words, list, "a sentence") for words in take(record, "sentences", list)]
        starts = list(accumulate(map(len, sentences), initial=0))[:-1]
        ner, relations = (_entries(record, key, starts, losses, place) for key in ("ner", "relations"))
        if not per_sentence:
            doc = doc_from_tokens(nlp, [word for words in sentences for word in words])
            mark_sentences(doc, set(starts))
            yield _annotate(Gold(doc, losses, place, meta=meta), 0, ner, relations)
            return
        # All are made before any is annotated: a sentence that is broken makes the record so.
        golds = [
            Gold(doc_from_tokens(nlp, words), losses, f"{place}, sentence {i}", meta={**meta, "sentence": i})
            for i, words in enumerate(sentences)
        ]
        for i, gold in enumerate(golds):
            yield _annotate(gold, starts[i], ner and ner[i : i + 1], relations and relations[i : i + 1])

    return read_json_lines(path, build, losses, _held)


# Per sentence the entries of a field; None if the field is not there.
Entries = Optional[List[Any]]


def _entries(record: Dict[str, Any], key: str, starts: List[int], losses: Losses, place: str) -> Entries:
    if record.get(key) is None:
        losses.note(Reasons.NOT_ANNOTATED.format(key=key))
        return None
    lists = take(record, key, list)
    found: List[List[Any]] = [[] for _ in lists]
    for i, entries in enumerate(lists):
        with losses.entry(f"list of '{key}'", place):
            found[i] = expect(entries, list, f"'{key}'[{i}]")
    if len(lists) == len(starts):
        return found
    # The offsets say where entries belong.
    losses.drop(
        Reasons.OTHER_NUMBER.format(key=key),
        f"{place}: {Errors.F031.format(key=key, n=len(lists), sentences=len(starts))}",
    )
    by_sentence: List[List[Any]] = [[] for _ in starts]
    for entry in chain(*found) if starts else ():
        first = entry[0] if isinstance(entry, list) and entry and isinstance(entry[0], int) else 0
        by_sentence[max(bisect_right(starts, first) - 1, 0)].append(entry)
    return by_sentence


def _held(record: Any) -> List[int]:
    """The numbers of entities and relations of a record, whatever else is in it."""
    fields = [record.get(key) if isinstance(record, dict) else None for key in ("ner", "relations")]
    lists = [field if isinstance(field, list) else [] for field in fields]
    return [sum(len(entries) for entries in field if isinstance(entries, list)) for field in lists]


def _annotate(gold: Gold, offset: int, ner: Entries, relations: Entries) -> Doc:
    gold.relations_known = relations is not None
    for n, entry in enumerate(chain(*(ner or ()))):
        with gold.entry("entity"):
            start, end, label = _parse(entry, 2, "'ner'")
            key = (start, end)
            # A second label on a span needs a key of its own: relations mean the first.
            gold.entity(key if key not in gold else (start, end, n), start - offset, end + 1 - offset, label)
    for entry in chain(*(relations or ())):
        with gold.entry("relation"):
            head, head_end, tail, tail_end, label = _parse(entry, 4, "'relations'")
            gold.relation((head, head_end), (tail, tail_end), label)
    doc = gold.finish()
    if ner is None:
        doc.set_ents([], default="missing")
    return doc


def _parse(entry: Any, n: int, field: str) -> List[Any]:
    """The offsets and the label of an entry."""
    where = f"an entry of {field}"
    if len(expect(entry, list, where)) <= n:
        value = shorten(repr(entry))
        raise ValueError(Errors.F002.format(where=where, expected=f"{n} offsets and a label", value=value))
    return [*ints(entry[:n], n, where), entry[n]]


def write_scierc(docs: Iterable[Doc], path: Union[str, Path], losses: Optional[Losses] = None) -> Counter[str]:
    """Write DyGIE's JSON lines. An entity stands with the sentence it begins in, a relation with that of its head.

    docs (Iterable[Doc]): The documents.
    path (Union[str, Path]): The file.
    losses (Optional[Losses]): Where to count what can't be kept. By default a loss is an error.
    RETURNS (Counter[str]): The number of "documents", "entities" and "relations" written.
    RAISES (ValueError): If there are no documents.
    """
    return RECORDS.write(docs, path, losses)


def _to_record(gold: Gold) -> Dict[str, Any]:
    words = [token.text for token in gold.doc]
    # Without sentence marks a document is one sentence.
    starts = [token.i for token in gold.doc if token.i == 0 or token.is_sent_start]
    # There is room for one of them.
    meta = take_meta(gold, ("doc_key",) if "doc_key" in (meta_of(gold.doc) or {}) else ("id",))
    record: Dict[str, Any] = {
        **({"doc_key": meta.get("doc_key", meta.get("id"))} if meta else {}),
        "sentences": [words[start:end] for start, end in zip(starts, [*starts[1:], len(words)])],
        "ner": [[] for _ in starts],
        "relations": [[] for _ in starts],
    }
    for span in gold.spans:
        record["ner"][bisect_right(starts, span.start) - 1].append([span.start, span.end - 1, span.label_])
    for i, j, label, _ in gold.rows:
        head, tail = gold.spans[i], gold.spans[j]
        entry = [head.start, head.end - 1, tail.start, tail.end - 1, label]
        record["relations"][bisect_right(starts, head.start) - 1].append(entry)
    if not gold.relations_known:
        del record["relations"]
    return record


RECORDS = RecordWriter(_to_record, {TOKENS, NO_SPACES, SENTENCES, UNKNOWN})
