"""Prodigy's JSON lines of the recipe rel.manual (`prodigy db-out`), one task a line:

    {"text": "Ann sings.", "tokens": [{"text": "Ann", "start": 0, "end": 3, "id": 0, "ws": true}, ...],
     "spans": [{"start": 0, "end": 3, "token_start": 0, "token_end": 0, "label": "PER"}, ...],
     "relations": [{"head": 0, "child": 1, "label": "DOES", "head_span": {"token_start": 0, "token_end": 0, ...},
     "child_span": {...}}], "answer": "accept"}

- `token_end` is inclusive. `head` and `child` are the last tokens of the spans; `head_span` and `child_span`, where
  they are there, give the spans in full. A relation may join tokens that are no span: it is counted and left out.
- Only accepted answers are read; others are counted.
- What the offsets of tokens count is found by their texts; characters if these don't tell. Without "relations" they are
  not known.
- Tokens come from a tokenizer of spaCy with the text, so the Doc has the text's blanks.
- `meta` goes to `doc.user_data["meta"]`.
"""

from pathlib import Path
from typing import Any, Collection, Dict, Iterable, Iterator, List, Optional, Tuple, Union

from spacy.language import Language
from spacy.tokens import Doc

from .docs import defaults, doc_from_text
from .errors import Errors, Reasons
from .files import read_json_lines
from .gold import Gold, relation_name
from .jsonl import relations_given
from .losses import Losses, shorten
from .offsets import Mention, check_unit, find_offsets
from .values import count_entries, entries, expect, take


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
        meta = expect(record["meta"], dict, "'meta'") if record.get("meta") is not None else None
        gold = Gold(doc, losses, place, meta=meta)
        spans = entries(record, "spans", required=False)
        gold.relations_known = relations_given(record, losses)
        # The spans that end at a token, each once, in their order.
        by_end: Dict[int, Dict[Tuple[int, int], None]] = {}
        for n, (where, span) in enumerate(spans):
            with gold.entry("entity"):
                start, end = _tokens(span, where)
                key = (start, end)
                # A second label on a span needs a key of its own: relations mean the first.
                gold.entity(key if key not in gold else (start, end, n), start, end + 1, span.get("label"))
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
        gold.relation(next(iter(ends[0])), next(iter(ends[1])), relation.get("label"))


def _tokens(span: Dict[str, Any], where: str) -> Tuple[int, int]:
    return take(span, "token_start", int, where), take(span, "token_end", int, where)
