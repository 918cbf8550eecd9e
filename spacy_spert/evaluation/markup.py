"""What the pages have in common: the unchanging parts in page/, tables, and documents drawn with the same colours.

All text and labels are escaped here.
"""

from html import escape
from typing import Any, Collection, Iterable, List, NamedTuple, Sequence, Set, Tuple

from spacy.tokens import Doc, Span

from ..relations import Relation
from .assets import make_page, read_asset
from .drawing import N_COLOURS, draw_entities, draw_relations, relation_key, span_key
from .run import Table


class Side(NamedTuple):
    """One annotation of a document, gold or predicted.

    doc (Doc): The document.
    spans (List[Span]): The entities.
    relations (Sequence[Relation]): The relations.
    wrong (Set[Any]): Keys of the entities and relations to be marked.
    """

    doc: Doc
    spans: List[Span]
    relations: Sequence[Relation]
    wrong: Set[Any]


class Drawer:
    """Draws documents, all with the same colours and numbers of the labels."""

    def __init__(self, sides: Iterable[Side], undirected: Collection[str]) -> None:
        """
        sides (Iterable[Side]): All that is to be drawn.
        undirected (Collection[str]): Relation labels whose direction does not count.
        """
        sides = list(sides)
        self.undirected = undirected
        self.entity_labels = sorted({span.label_ for side in sides for span in side.spans})
        self.relation_labels = sorted({relation.label for side in sides for relation in side.relations})
        self.colours = {label: i % N_COLOURS for i, label in enumerate(self.entity_labels)}
        # Labels may be anything, so the script knows them by number.
        self.numbers = {
            **{("e", label): f"e{i}" for i, label in enumerate(self.entity_labels)},
            **{("r", label): f"r{i}" for i, label in enumerate(self.relation_labels)},
        }

    def options(self) -> str:
        """RETURNS (str): The labels to choose from."""
        groups = []
        for kind, title, labels in (("e", "Entities", self.entity_labels), ("r", "Relations", self.relation_labels)):
            options = [f'<option value="{self.numbers[kind, label]}">{escape(label)}</option>' for label in labels]
            groups.append(f'<optgroup label="{title}">{"".join(options)}</optgroup>' if options else "")
        return "".join(groups)

    def labels(self, sides: Iterable[Side]) -> Set[str]:
        """RETURNS (Set[str]): Numbers of the labels that occur."""
        return {
            number
            for side in sides
            for number in (
                *(self.numbers["e", span.label_] for span in side.spans),
                *(self.numbers["r", relation.label] for relation in side.relations),
            )
        }

    def drawing(self, side: Side, scores: bool) -> str:
        """RETURNS (str): The text with its entities, and the relations below."""
        doc, spans, relations, wrong = side
        text = draw_entities(doc, spans, self.colours, wrong)
        arcs = draw_relations(doc, relations, self.colours, wrong, self.undirected, scores)
        return f'<p class="text" dir="auto">{text}</p>' + (f'<div class="arcs">{arcs}</div>' if arcs else "")

    def article(self, number: int, about: str, drawn: Iterable[Tuple[str, Side, bool]], items: Iterable[str]) -> str:
        """Draw a document.

        number (int): Its number.
        about (str): What is to say about it.
        drawn (Iterable[Tuple[str, Side, bool]]): What is drawn, one below the other: title, annotation, and whether
            scores are shown.
        items (Iterable[str]): What is listed, as HTML.
        RETURNS (str): The document as HTML.
        """
        drawn = list(drawn)
        parts = [
            f'<div class="side"><h4>{escape(title)}</h4><div>{self.drawing(side, scores)}</div></div>'
            for title, side, scores in drawn
        ]
        labels = sorted(self.labels(side for _, side, _ in drawn))
        return (
            f'<article data-text="{escape(drawn[0][1].doc.text)}" data-labels="{" ".join(labels)}">'
            f"<h3>Document {number} <small>{escape(about)}</small></h3>{''.join(parts)}{tag('ul', 'errors', items)}"
            "</article>"
        )

    def item(self, kind: str, names: Collection[Tuple[str, str]], told: str) -> str:
        """List something of a kind.

        kind (str): Its kind.
        names (Collection[Tuple[str, str]]): The labels it is about, each with "e" or "r".
        told (str): What it is, as HTML.
        RETURNS (str): The item as HTML.
        """
        labels = sorted({self.numbers[name] for name in names})
        return f'<li data-kind="{slug(kind)}" data-labels="{" ".join(labels)}"><b>{escape(kind)}</b> {told}</li>'


def fill(name: str, title: str, **parts: str) -> str:
    """Make a page that loads nothing and sends nothing.

    name (str): The name of its markup in page/.
    title (str): The title.
    parts (str): The changing parts, as HTML.
    RETURNS (str): The page as HTML.
    """
    body, style, script = map(read_asset, (name, "page.css", "page.js"))
    return make_page(body, title, style, script, **parts)


def printable(name: str) -> str:
    """RETURNS (str): The name of a file, which may hold bytes that are no text: Python keeps them as halves of
    characters."""
    return name.encode("utf8", "surrogateescape").decode("utf8", "replace")


def annotation_key(spans: Sequence[Span], label: str) -> Any:
    """RETURNS (Any): What tells an entity or a relation, given by its one or two spans, from others; None for none."""
    if len(spans) == 2:
        return relation_key(spans[0], spans[1], label)
    return span_key(spans[0]) if spans else None


def phrase(spans: Sequence[Span], label: str) -> str:
    """RETURNS (str): An entity or a relation in words, as HTML."""
    names = [f"<i>{escape(span.text)}</i>" for span in spans]
    return f" &rarr; {escape(label)} &rarr; ".join(names) if len(names) > 1 else f"{names[0]} {escape(label)}"


def table(content: Table) -> str:
    """RETURNS (str): A table as HTML."""
    title, (header, *rows) = content
    lines = []
    for row in rows:
        name, *values = (escape(str(value)) for value in row)
        css = ' class="total"' if name in ("micro", "macro") and row in rows[-2:] else ""
        lines.append(
            f'<tr{css}><th scope="row">{name}</th>' + "".join(f"<td>{value}</td>" for value in values) + "</tr>"
        )
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in header[1:])
    return (
        f'<div class="scroll"><table><caption>{escape(title)}</caption><thead><tr><td></td>{heads}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def checkbox(kind: str, n: int) -> str:
    """RETURNS (str): A box to choose a kind, with how many there are."""
    box = f'<input type="checkbox" name="kind" value="{slug(kind)}"{"" if n else " disabled"}>'
    return f'<label class="kind">{box} {escape(kind)} <b>{n}</b></label>'


def slug(kind: str) -> str:
    """RETURNS (str): A kind as one word."""
    return kind.replace(",", "").replace(" ", "-")


def tag(name: str, css: str, lines: Iterable[str]) -> str:
    """RETURNS (str): An element around some lines, or nothing around none."""
    content = "".join(lines)
    return f'<{name} class="{css}">{content}</{name}>' if content else ""
