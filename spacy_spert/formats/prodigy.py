"""Prodigy's JSON lines of the recipe rel.manual (`prodigy db-out`), one task a line:

    {"text": "Ann sings.", "tokens": [{"text": "Ann", "start": 0, "end": 3, "id": 0, "ws": true}, ...],
     "spans": [{"start": 0, "end": 3, "token_start": 0, "token_end": 0, "label": "PER"}, ...],
     "relations": [{"head": 0, "child": 1, "label": "DOES", "head_span": {"token_start": 0, "token_end": 0, ...},
     "child_span": {...}}], "answer": "accept"}

- `token_end` is inclusive. `head` and `child` are the last tokens of the spans; `head_span` and `child_span`, where
  they are there, give the spans in full. A relation may join tokens that are no span: it is counted and left out.
- Only accepted answers are read; others are counted.
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
from .losses import Losses, shorten
from .values import expect, objects, take


def read_prodigy(
    path: Union[str, Path], nlp: Optional[Language] = None, losses: Optional[Losses] = None
) -> Iterator[Doc]:
    """Read Prodigy's rel.manual JSON lines.

    path (Union[str, Path]): The file.
    nlp (Optional[Language]): The vocabulary. Blank English by default.
    losses (Optional[Losses]): Where to count what can't be kept. By default that is an error.
    YIELDS (Doc): The documents.
    """
    nlp, losses = defaults(nlp, losses)

    def build(record: Dict[str, Any], place: str) -> Iterable[Doc]:
        if record.get("answer") != "accept":
            losses.note(f"record: answer is {shorten(repr(record.get('answer')))}, not 'accept'")
            return
        offsets = [[take(t, "start", int, where), take(t, "end", int, where)] for where, t in objects(record, "tokens")]
        gold = Gold(doc_from_text(nlp, take(record, "text", str), offsets), losses, place)
        # The spans that end at a token, each once, in their order.
        by_end: Dict[int, Dict[Tuple[int, int], None]] = {}
        for n, (where, span) in enumerate(objects(record, "spans", required=False)):
            start, end = _tokens(span, where)
            key = (start, end)
            # A second label on a span needs a key of its own: relations mean the first.
            gold.entity(key if key not in gold else (start, end, n), start, end + 1, span.get("label"))
            by_end.setdefault(end, {})[key] = None
        for where, relation in objects(record, "relations", required=False):
            ends: List[Collection[Tuple[int, int]]] = []
            for side in ("head", "child"):
                token = take(relation, side, int, where)
                keys: Collection[Tuple[int, int]] = by_end.get(token) or [(token, token)]
                if isinstance(relation.get(f"{side}_span"), dict):
                    keys = [_tokens(relation[f"{side}_span"], f"'{side}_span' of {where}")]
                ends.append(keys)
            if max(map(len, ends)) > 1:
                what = relation_name(relation["head"], relation["child"], relation.get("label"))
                message = Errors.F037.format(what=what)
                losses.drop(Reasons.AMBIGUOUS, f"{place}: {message}")
            else:
                gold.relation(next(iter(ends[0])), next(iter(ends[1])), relation.get("label"))
        yield gold.finish(expect(record["meta"], dict, "'meta'") if record.get("meta") is not None else None)

    return read_json_lines(path, build, losses)


def _tokens(span: Dict[str, Any], where: str) -> Tuple[int, int]:
    return take(span, "token_start", int, where), take(span, "token_end", int, where)
