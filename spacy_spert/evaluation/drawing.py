"""Entities and relations drawn, in displaCy's manner: data for displaCy itself, and the drawings of the report.

The report has drawings of its own because displaCy gives every word the same width, so that long names run into each
other, and draws no relation between an entity and another one inside it.
"""

import unicodedata
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from html import escape
from typing import Any, Collection, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from spacy.tokens import Doc, Span
from spacy.util import filter_spans

from ..relations import Relation, get_relations, related_spans

# Colours of the page's style sheet, classes c0 to c9.
N_COLOURS = 10
# Sizes in pixels: letters of two sizes, boxes, and the height that each arc over others adds.
LETTER, SMALL_LETTER = 8.2, 7.0
BOX_HEIGHT, LEVEL_HEIGHT = 42, 26
PADDING, LEG_DISTANCE = 10, 12
# Longest texts in characters.
MAX_NAME, MAX_GAP = 48, 16

# What tells apart the spans, or the relations, of one document.
SpanKey = Tuple[int, int, str]
RelationKey = Tuple[SpanKey, SpanKey, str]


def displacy_relations(doc: Doc, spans_key: Optional[str] = None) -> Dict[str, Any]:
    """The entities and relations of a document in the form that displaCy's "dep" style draws.

    Each entity is one word, with its label below; of overlapping entities the longest is drawn, and a relation of one
    inside it starts or ends there. Relations between two entities of the same word are left out.

        displacy.render(displacy_relations(doc), style="dep", manual=True)

    doc (Doc): The document.
    spans_key (Optional[str]): The span group of the entities. By default all groups that hold relations.
    RETURNS (Dict[str, Any]): The words and arcs.
    """
    entities = filter_spans(related_spans(doc, spans_key))
    words: List[Dict[str, str]] = []
    word_of: Dict[int, int] = {}
    starts = {span.start: span for span in entities}
    for token in doc:
        if token.i not in word_of:
            span = starts.get(token.i, doc[token.i : token.i + 1])
            word_of.update(dict.fromkeys(range(span.start, span.end), len(words)))
            # displaCy escapes the text of words, but not the other fields.
            words.append({"text": span.text, "tag": escape(span.label_)})
    arcs = []
    for head, tail, label, _ in get_relations(doc, spans_key):
        first, last = word_of[head.start], word_of[tail.start]
        if first != last:
            arcs.append(
                {
                    "start": min(first, last),
                    "end": max(first, last),
                    "label": escape(label),
                    "dir": "right" if first < last else "left",
                }
            )
    return {"words": words, "arcs": arcs, "settings": {"lang": doc.lang_, "direction": "ltr"}}


def span_key(span: Span) -> SpanKey:
    """RETURNS (SpanKey): What tells a span from others of its document."""
    return span.start, span.end, span.label_


def relation_key(head: Span, tail: Span, label: str) -> RelationKey:
    """RETURNS (RelationKey): What tells a relation from others of its document."""
    return span_key(head), span_key(tail), label


def draw_entities(doc: Doc, spans: Iterable[Span], colours: Mapping[str, int], wrong: Collection[SpanKey] = ()) -> str:
    """The text of a document with its entities marked, also those inside or across others.

    doc (Doc): The document.
    spans (Iterable[Span]): The entities.
    colours (Mapping[str, int]): A colour from 0 to N_COLOURS - 1 for each label.
    wrong (Collection[SpanKey]): The entities to mark as wrong.
    RETURNS (str): HTML, escaped.
    """
    text = doc.text
    parts: List[str] = []
    open_marks: List[Tuple[int, str]] = []
    position = 0

    def write_up_to(goal: int) -> None:
        nonlocal position
        while open_marks and open_marks[-1][0] <= goal:
            end, closing = open_marks.pop()
            parts.append(escape(text[position:end]) + closing)
            position = end
        parts.append(escape(text[position:goal]))
        position = goal

    for start, end, span in _nested_pieces(spans):
        write_up_to(start)
        css = f"c{colours[span.label_]}" + (" wrong" if span_key(span) in wrong else "")
        parts.append(f'<mark class="{css}">')
        # A span that is cut in pieces has its label after the last.
        label = f"<small>{escape(span.label_)}</small>" if end == span.end_char else ""
        open_marks.append((end, label + "</mark>"))
    write_up_to(len(text))
    return "".join(parts)


def _nested_pieces(spans: Iterable[Span]) -> List[Tuple[int, int, Span]]:
    """Characters of spans in the order of the text. A span is cut where one around it ends, so that all are nested."""
    distinct = list({span_key(span): span for span in spans if span.end > span.start}.values())
    heap = [(span.start_char, -span.end_char, i) for i, span in enumerate(distinct)]
    heapify(heap)
    around: List[int] = []
    pieces = []
    while heap:
        start, end, i = heappop(heap)
        end = -end
        while around and around[-1] <= start:
            around.pop()
        if around and end > around[-1]:
            heappush(heap, (around[-1], -end, i))
            end = around[-1]
        around.append(end)
        pieces.append((start, end, distinct[i]))
    return pieces


def draw_relations(
    doc: Doc,
    relations: Iterable[Relation],
    colours: Mapping[str, int],
    wrong: Collection[RelationKey] = (),
    undirected: Collection[str] = (),
    scores: bool = False,
) -> str:
    """The relations of a document as arcs over their entities, with the text between these as far as it is short.

    doc (Doc): The document.
    relations (Iterable[Relation]): The relations.
    colours (Mapping[str, int]): A colour from 0 to N_COLOURS - 1 for each entity label.
    wrong (Collection[RelationKey]): The relations to mark as wrong.
    undirected (Collection[str]): Relation labels that are drawn without an arrow's head.
    scores (bool): Write the scores beside the labels.
    RETURNS (str): SVG, escaped; empty if there are no relations.
    """
    relations = list(relations)
    if not relations:
        return ""
    spans = {span_key(span): span for relation in relations for span in relation[:2]}
    boxes = [_Box(spans[key]) for key in sorted(spans, key=lambda key: (key[0], -key[1], key[2]))]
    index = {span_key(box.span): i for i, box in enumerate(boxes)}
    arcs = [_Arc(relation, index[span_key(relation.head)], index[span_key(relation.tail)]) for relation in relations]
    if scores:
        for arc in arcs:
            arc.text += f" {arc.relation.score:.2f}"
    _stack(arcs)
    _set_legs(boxes, arcs)
    width = _set_places(doc, boxes, arcs)
    base = 38 + LEVEL_HEIGHT * (max(arc.level for arc in arcs) - 1)
    mirrored = doc.vocab.writing_system.get("direction") == "rtl"

    def across(x: float) -> float:
        return round(width - x if mirrored else x, 1)

    drawn, labels = [], []
    for box in boxes:
        drawn.append(_draw_box(box, across(box.middle), base, colours[box.span.label_]))
        if box.gap:
            drawn.append(f'<text class="gap" x="{across(box.gap_middle)}" y="{base + 18}">{escape(box.gap)}</text>')
    for arc in arcs:
        head, tail = across(boxes[arc.head].leg(arc)), across(boxes[arc.tail].leg(arc))
        css = "arc wrong" if relation_key(*arc.relation[:3]) in wrong else "arc"
        drawn.append(f'<path class="{css}" d="{_arc_path(head, tail, base, arc.level)}"/>')
        if arc.relation.label not in undirected:
            drawn.append(f'<path class="head {css}" d="M{tail - 4:.1f} {base - 10}h8l-4 8z"/>')
        place = f'x="{(head + tail) / 2:.1f}" y="{_height_of(arc.level, base) + 4}"'
        labels.append(f'<text class="{css}" {place}>{escape(arc.text)}</text>')
    height = base + BOX_HEIGHT + 2
    told = "; ".join(f"{head.text} {label} {tail.text}" for head, tail, label, _ in relations)
    return (
        f'<svg role="img" aria-label="{escape(told)}" width="{width:.0f}" height="{height}" '
        f'viewBox="0 0 {width:.0f} {height}">{"".join(drawn + labels)}</svg>'
    )


@dataclass(eq=False)
class _Arc:
    """A relation between two boxes."""

    relation: Relation
    head: int
    tail: int
    level: int = 1
    text: str = ""

    def __post_init__(self) -> None:
        self.text = self.relation.label

    @property
    def ends(self) -> Tuple[int, int]:
        return min(self.head, self.tail), max(self.head, self.tail)


@dataclass(eq=False)
class _Box:
    """An entity, with the text before it, and with the arcs that stand on it from left to right."""

    span: Span
    legs: List[_Arc] = field(default_factory=list)
    middle: float = 0.0
    gap: str = ""
    gap_middle: float = 0.0

    @property
    def name(self) -> str:
        return _shorten(" ".join(self.span.text.split()), MAX_NAME)

    @property
    def width(self) -> float:
        names = max(_width(self.name, LETTER), _width(self.span.label_, SMALL_LETTER))
        return max(names, LEG_DISTANCE * (len(self.legs) - 1)) + 2 * PADDING

    def leg(self, arc: _Arc) -> float:
        return self.middle + (self.legs.index(arc) - (len(self.legs) - 1) / 2) * LEG_DISTANCE


def _stack(arcs: List[_Arc]) -> None:
    """Put arcs above those that they reach across, the short ones lowest."""
    arcs.sort(key=lambda arc: (arc.ends[1] - arc.ends[0], arc.ends))
    # Of each gap between neighbours, the highest arc so far.
    heights = [0] * max((arc.ends[1] for arc in arcs), default=0)
    for arc in arcs:
        first, last = arc.ends
        arc.level = max(heights[first:last], default=0) + 1
        heights[first:last] = [arc.level] * (last - first)


def _set_legs(boxes: Sequence[_Box], arcs: Sequence[_Arc]) -> None:
    """Order the legs on each box so that none crosses another arc without need: from the left the near ones first, to
    the right the far ones first."""
    for i, box in enumerate(boxes):
        legs = []
        for rank, arc in enumerate(arcs):
            if i in arc.ends:
                other = sum(arc.ends) - i
                legs.append((other > i, -other, -rank if other > i else rank, arc))
        box.legs = [leg[-1] for leg in sorted(legs, key=lambda leg: leg[:-1])]


def _set_places(doc: Doc, boxes: Sequence[_Box], arcs: Sequence[_Arc]) -> float:
    """Put the boxes side by side, with room for the labels of the arcs, and return the width of the drawing."""
    x = 1.0
    end = boxes[0].span.start_char
    for i, box in enumerate(boxes):
        between = " ".join(doc.text[end : box.span.start_char].split())
        end = max(end, box.span.end_char)
        box.gap = between if len(between) <= MAX_GAP else "\u2026"
        gap_width = _width(box.gap, LETTER) + PADDING if i else 0.0
        box.middle = x + gap_width + box.width / 2
        for arc in box.legs:
            first, last = arc.ends
            if last == i:
                room = _width(arc.text, SMALL_LETTER) + 2 * PADDING
                box.middle = max(box.middle, boxes[first].leg(arc) + room + box.middle - box.leg(arc))
        left = box.middle - box.width / 2
        box.gap_middle = (x + left) / 2
        x = left + box.width + PADDING / 2
    return x


def _draw_box(box: _Box, middle: float, top: float, colour: int) -> str:
    left = round(middle - box.width / 2, 1)
    return (
        f'<g class="c{colour}"><title>{escape(box.span.text)}</title>'
        f'<rect x="{left}" y="{top}" width="{box.width:.1f}" height="{BOX_HEIGHT}" rx="5"/>'
        f'<text x="{middle}" y="{top + 18}">{escape(box.name)}</text>'
        f'<text class="label" x="{middle}" y="{top + 34}">{escape(box.span.label_)}</text></g>'
    )


def _height_of(level: int, base: float) -> float:
    return base - 22 - LEVEL_HEIGHT * (level - 1)


def _arc_path(head: float, tail: float, base: float, level: int) -> str:
    foot, top = base - 2, _height_of(level, base)
    turn = 8 if head < tail else -8
    start = f"M{head} {foot}V{top + 8}Q{head} {top} {head + turn:.1f} {top}"
    return start + f"H{tail - turn:.1f}Q{tail} {top} {tail} {top + 8}V{foot}"


def _width(text: str, letter: float) -> float:
    """About how wide a text is, in pixels, for letters of this width."""
    return letter * sum(_letters(character) for character in text)


def _letters(character: str) -> float:
    if unicodedata.combining(character):
        return 0.0
    if unicodedata.east_asian_width(character) in "WF":
        return 2.0
    return 1.25 if character.isupper() else 1.0


def _shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "\u2026"
