"""DRUG-AE.rel of the ADE corpus (Gurulingappa et al. 2012): drugs and their adverse effects in sentences of abstracts:

    10030778|Intravenous azithromycin-induced ototoxicity.|ototoxicity|43|54|azithromycin|22|34

- PubMed id, sentence, effect with start and end, drug with start and end. One line per relation; the lines of a
  sentence are merged into one Doc. The PubMed id goes to `doc.user_data["meta"]["pmid"]`.
- Labels, as in SpERT: entities "Adverse-Effect" and "Drug"; relation "Adverse-Effect", from the effect to the drug.
- Offsets count over the abstract, whose text is not in the file. So mentions are located in the sentence; where one
  occurs several times, the place is chosen where effect and drug are as far apart as their offsets, and which agrees
  with most lines of the sentence on where the sentence begins.
- DRUG-DOSE.rel, which has the same columns, is refused: its relations are others.
- Effects and drugs may overlap; all are kept. A few mentions end within a token, as in "(5-FU)-associated".
"""

import re
from bisect import bisect_left
from collections import Counter
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple, Union

from spacy.language import Language
from spacy.tokens import Doc

from . import files
from .docs import defaults, doc_from_text
from .errors import Errors, Reasons
from .files import build_docs, check_line, read_lines
from .gold import Gold
from .losses import Losses, shorten

EFFECT = "Adverse-Effect"
DRUG = "Drug"
RELATION = "Adverse-Effect"
# How a dose begins: with an amount and its unit or how often, or with one of these alone. No drug or effect of
# DRUG-AE.rel does.
NUMBER = r"(?:[\d.,/ -]*\d[\d.,/ x-]*|(?:an?|half|one|two|three|four|five|six|seven|eight|nine|ten|single)[ -])"
UNIT = (
    r"(?:[kmuµμn]?g|mcg|gm|grams?|(?:milli|micro|nano|kilo)grams?|[mdu]?l|cc|lit(?:er|re)s?|i?\.?u|mu|units?|meq|mmol|"
    r"m?ci|c?gy|tab(?:let)?s?|cap(?:sule)?s?|pills?|drops?|puffs?|sachets?|vials?|amp(?:oule)?s?|patch(?:es)?|"
    r"(?:\w+ )?doses?|infusions?|injections?|times)(?!\w)|%$"
)
OFTEN = (
    r"(?:once|twice|thrice|daily|weekly|monthly|hourly|nightly|[qbt]\.?i\.?d|q\.?d|"
    r"(?:every|per|each) (?:\w+ )?(?:day|week|month|hour|h)s?)(?!\w)"
)
HOW_MUCH = r"(?:(?:very )?(?:low|high|full|standard|total|small|large)[ -]dos(?:e|es|age)$)"
DOSE = re.compile(
    rf"(?:(?:up to|about|approximately|only|[<>~≤≥]) ?)?(?:{NUMBER}(?:{UNIT}|{OFTEN})|{OFTEN}|{HOW_MUCH})",
    re.IGNORECASE,
)
# The file is one of doses if more than this part of its lines has one.
DOSES = 0.25


class Line(NamedTuple):
    """One line of the file, which is one relation."""

    place: str
    pmid: str
    sentence: str
    effect: str
    effect_start: int
    drug: str
    drug_start: int


def read_ade(path: Union[str, Path], nlp: Optional[Language] = None, losses: Optional[Losses] = None) -> Iterator[Doc]:
    """Read DRUG-AE.rel.

    path (Union[str, Path]): The file.
    nlp (Optional[Language]): Its tokenizer splits the sentences. Blank English by default.
    losses (Optional[Losses]): Where to count what can't be kept. By default that is an error.
    YIELDS (Doc): One document per sentence, in the order of the file.
    """
    path = Path(path)
    nlp, losses = defaults(nlp, losses)

    def build(lines: List[Line], place: str) -> Iterable[Doc]:
        pmid, sentence = lines[0].pmid, lines[0].sentence
        gold = Gold(doc_from_text(nlp, sentence), losses, place, meta={"pmid": pmid})
        origin = _origin(lines)
        for line in lines:
            gold.place = line.place
            effect, drug = _locate(line, origin)
            ends = []
            for mention, start, label in ((line.effect, effect, EFFECT), (line.drug, drug, DRUG)):
                key = f"{label} {mention!r} at {start}"
                if start is None:
                    message = Errors.F032.format(what=f"{label} {mention!r}")
                    gold.lose(key, Reasons.NOT_FOUND, message)
                elif key not in gold:
                    gold.entity_chars(key, start, start + len(mention), label)
                ends.append(key)
            gold.relation(ends[0], ends[1], RELATION)
        yield gold.finish()

    return build_docs(path, _sentences(path, losses), build, losses, _held)


def _held(lines: List[Line]) -> List[int]:
    mentions = {(mention, start) for line in lines for mention, start in _mentions(line)}
    return [len(mentions), len(lines)]


def _mentions(line: Line) -> List[Tuple[str, int]]:
    return [(line.effect, line.effect_start), (line.drug, line.drug_start)]


def _sentences(path: Path, losses: Losses) -> Iterator[Tuple[str, List[Line]]]:
    """The lines of each sentence. They need not follow one another, so the file is read to its end first."""
    found: Dict[Tuple[str, str], List[Line]] = {}
    size = 0
    for place, raw in read_lines(path):
        size += len(raw or b"")
        if size > files.MAX_FILE:
            raise ValueError(Errors.F040.format(what="The file", limit=files.MAX_FILE))
        try:
            line = _parse(check_line(raw), place)
        except ValueError as err:
            losses.drop(Reasons.BROKEN, f"{place}: {err}")
            # What a line of other columns held can't be said.
            if raw is not None and raw.count(b"|") == 7:
                losses.note(Reasons.IN_BROKEN.format(kind="entity"), 2)
                losses.note(Reasons.IN_BROKEN.format(kind="relation"))
            continue
        found.setdefault((line.pmid, line.sentence), []).append(line)
    doses = [_has_dose(line) for lines in found.values() for line in lines]
    if sum(doses) > DOSES * len(doses):
        raise ValueError(Errors.F055)
    for lines in found.values():
        yield lines[0].place, lines


def _has_dose(line: Line) -> bool:
    return any(DOSE.match(mention.strip()) for mention in (line.effect, line.drug))


def _parse(raw: bytes, place: str) -> Line:
    fields = raw.decode("utf-8-sig").rstrip("\r\n").split("|")
    if len(fields) != 8:
        raise ValueError(
            Errors.F030.format(n=8, got=len(fields), value=shorten(repr(fields)), line=place.rpartition(":")[2])
        )
    pmid, sentence, effect, effect_start, _, drug, drug_start, _ = fields
    return Line(place, pmid, sentence, effect, int(effect_start), drug, int(drug_start))


def _places(line: Line) -> Tuple[List[int], List[int]]:
    """All places in the sentence where effect and drug occur."""
    effects, drugs = (
        [match.start() for match in re.finditer(f"(?={re.escape(mention)})", line.sentence)]
        for mention in (line.effect, line.drug)
    )
    return effects, drugs


def _origin(lines: List[Line]) -> int:
    """Where in the abstract the sentence begins, according to most of its lines."""
    votes: Counter[int] = Counter()
    for line in lines:
        effects, drugs = _places(line)
        apart, known = line.drug_start - line.effect_start, set(drugs)
        votes.update(line.effect_start - effect for effect in effects if effect + apart in known)
    return votes.most_common(1)[0][0] if votes else 0


def _locate(line: Line, origin: int) -> Tuple[Optional[int], Optional[int]]:
    """The places of effect and drug in the sentence; None for a mention that does not occur in it."""
    effects, drugs = _places(line)
    if not effects or not drugs:
        return next(iter(effects), None), next(iter(drugs), None)
    apart = line.drug_start - line.effect_start
    # To each effect the drugs before and after the place where it should be; any other is farther away.
    pairs: List[Tuple[int, int]] = []
    for effect in effects:
        after = bisect_left(drugs, effect + apart)
        pairs.extend((effect, drug) for drug in drugs[max(after - 1, 0) : after + 1])
    return min(pairs, key=lambda pair: (abs(pair[1] - pair[0] - apart), abs(line.effect_start - pair[0] - origin)))
