"""Prodigy's JSON lines of the recipe rel.manual (`prodigy db-out`), one task a line:

    {"text": "Ann sings.", "tokens": [{"text": "Ann", "start": 0, "end": 3, "id": 0, "ws": true}, ...],
     "spans": [{"start": 0, "end": 3, "token_start": 0, "token_end": 0, "label": "PER"}, ...],
     "relations": [{"head": 0, "child": 1, "label": "DOES", "head_span": {"token_start": 0, "token_end": 0, ...},
     "child_span": {...}}], "answer": "accept"}

- `token_end` is inclusive. `head` and `child` are the last tokens of the spans; `head_span` and `child_span`, where
  they are there, give the spans in full. A relation may join tokens that are not a span: it is counted and left out.
- Only accepted answers are read; others are counted. Tasks that are to be annotated have no answer.
- Spans and relations that a model found may have a `score`, which Prodigy leaves there. It is written and read.
- What the offsets of tokens count is found by their texts; characters if these don't tell. Without "relations" they are
  not known.
- Tokens come from a tokenizer of spaCy with the text, so the Doc has the text's blanks.
- `meta` goes to `doc.user_data["meta"]`.
"""

from collections import Counter
from pathlib import Path
from typing import Any, Collection, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple, Union

from spacy.language import Language
from spacy.tokens import Doc, Span

from .docs import defaults, doc_from_text
from .errors import Errors, Reasons
from .files import read_json_lines
from .gold import Gold, relation_name
from .jsonl import relations_given
from .losses import Losses, shorten
from .offsets import CHARACTERS, Mention, check_unit, count_offsets, find_offsets
from .values import count_entries, entries, read_meta, read_score, take
from .writing import SCORES, SPACES, TOKENS, UNKNOWN, RecordWriter, meta_of, score_of


def read_prodigy(
    path: Union[str, Path],
    nlp: Optional[Language] = None,
    losses: Optional[Losses] = None,
    offsets: Optional[str] = None,
) -> Iterator[Doc]:
    """Read Prodigy's rel.manual JSON lines.

    path (Union[str, Path]): The file.
    nlp (Optional[Language]): The vocabulary. Blank English by default.
    losses (Optional[Losses]): Where to count what can't be kept. By default that is an error.
    offsets (Optional[str]): What offsets of tokens count: "characters", "utf16" or "bytes". By default the tokens tell.
    YIELDS (Doc): The documents.
    """
    check_unit(offsets)
    nlp, losses = defaults(nlp, losses)

    def build(record: Dict[str, Any], place: str) -> Iterable[Doc]:
        if record.get("answer") != "accept":
            losses.note(f"record: answer is {shorten(repr(record.get('answer')))}, not 'accept'")
            return
        text, tokens = take(record, "text", str), entries(record, "tokens")
        bounds = [(take(token, "start", int, where), take(token, "end", int, where)) for where, token in tokens]
        words = [token.get("text") for _, token in tokens]
        mentions = [Mention([ends], word if isinstance(word, str) else None) for ends, word in zip(bounds, words)]
        counted = find_offsets(text, mentions, offsets, losses)
        doc = doc_from_text(nlp, text, [[*ends] for ends in bounds], counted)
        gold = Gold(doc, losses, place, meta=read_meta(record, losses, place))
        spans = entries(record, "spans", required=False)
        gold.relations_known = relations_given(record, losses)
        # The spans that end at a token, each once, in their order.
        by_end: Dict[int, Dict[Tuple[int, int], None]] = {}
        for n, (where, span) in enumerate(spans):
            with gold.entry("entity"):
                start, end = _tokens(span, where)
                key = (start, end)
                # A second label on a span needs a key of its own: relations mean the first.
                own = key if key not in gold else (start, end, n)
                gold.entity(own, start, end + 1, span.get("label"), read_score(span, where))
                by_end.setdefault(end, {})[key] = None
        for where, relation in entries(record, "relations", required=False):
            with gold.entry("relation"):
                _add_relation(gold, relation, where, by_end)
        yield gold.finish()

    return read_json_lines(path, build, losses, _held)


def _held(record: Any) -> List[int]:
    return count_entries(record, "spans", "relations")


def _add_relation(
    gold: Gold, relation: Dict[str, Any], where: str, by_end: Dict[int, Dict[Tuple[int, int], None]]
) -> None:
    ends: List[Collection[Tuple[int, int]]] = []
    for side in ("head", "child"):
        token = take(relation, side, int, where)
        keys: Collection[Tuple[int, int]] = by_end.get(token) or [(token, token)]
        if isinstance(relation.get(f"{side}_span"), dict):
            keys = [_tokens(relation[f"{side}_span"], f"'{side}_span' of {where}")]
        ends.append(keys)
    if max(map(len, ends)) > 1:
        what = relation_name(relation["head"], relation["child"], relation.get("label"))
        gold.losses.drop(Reasons.AMBIGUOUS, f"{gold.place}: {Errors.F037.format(what=what)}")
    else:
        head, tail = (next(iter(keys)) for keys in ends)
        gold.relation(head, tail, relation.get("label"), read_score(relation, where, 1.0))


def _tokens(span: Dict[str, Any], where: str) -> Tuple[int, int]:
    return take(span, "token_start", int, where), take(span, "token_end", int, where)


def write_prodigy(
    docs: Iterable[Doc],
    path: Union[str, Path],
    losses: Optional[Losses] = None,
    *,
    answer: Optional[str] = None,
    offsets: str = CHARACTERS,
) -> Counter[str]:
    """Write tasks for Prodigy's rel.manual.

    docs (Iterable[Doc]): The documents.
    path (Union[str, Path]): The file.
    losses (Optional[Losses]): Where to count what can't be kept. By default a loss is an error.
    answer (Optional[str]): "accept" for what needs no correction, as for `prodigy db-in`. By default there is none.
    offsets (str): What offsets count: "characters", "utf16" or "bytes".
    RETURNS (Counter[str]): The number of "documents", "entities" and "relations" written.
    RAISES (ValueError): If there are no documents.
    """
    check_unit(offsets)
    return RECORDS.write(docs, path, losses, answer=answer, offsets=offsets)


def _to_record(gold: Gold, answer: Optional[str] = None, offsets: str = CHARACTERS) -> Dict[str, Any]:
    doc = gold.doc
    at = count_offsets(gold.text, offsets).starts
    places = [_place(span, at) for span in gold.spans]
    record: Dict[str, Any] = {
        "text": gold.text,
        "tokens": [
            {"text": token.text, "start": at[token.idx], "end": at[token.idx + len(token)], "id": token.i, "ws": ws}
            for token, ws in ((token, bool(token.whitespace_)) for token in doc)
        ],
        "spans": [{**place, **score_of(score)} for place, score in zip(places, gold.scores)],
        "relations": [
            {
                "head": places[head]["token_end"],
                "child": places[tail]["token_end"],
                "label": label,
                "head_span": places[head],
                "child_span": places[tail],
                **({} if score == 1.0 else {"score": score}),
            }
            for head, tail, label, score in gold.rows
        ],
    }
    if not gold.relations_known:
        del record["relations"]
    meta = meta_of(doc)
    if meta is not None:
        record["meta"] = meta
    return record if answer is None else {**record, "answer": answer}


def _place(span: Span, at: Sequence[int]) -> Dict[str, Any]:
    start, end = at[span.start_char], at[span.end_char]
    return {"start": start, "end": end, "token_start": span.start, "token_end": span.end - 1, "label": span.label_}


RECORDS = RecordWriter(_to_record, {TOKENS, SPACES, SCORES, UNKNOWN})
