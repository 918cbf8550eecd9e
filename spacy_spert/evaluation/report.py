"""The report: an evaluation as one HTML page, which loads nothing and sends nothing.

What is the same on every page lies in page/; the rest is made here, with all text and labels escaped.
"""

from html import escape
from string import Template
from typing import Any, Iterable, List, NamedTuple, Sequence, Set, Tuple

from spacy.tokens import Doc, Span

from ..alignment import gold_entities, gold_relations
from ..relations import Relation, get_relations
from .analysis import KINDS, Analysed, Error, worst_first
from .assets import policy, read_asset
from .drawing import N_COLOURS, draw_entities, draw_relations, relation_key, span_key
from .run import Evaluation, Table

# How many documents are drawn before all others, to show at once what the model finds.
N_EXAMPLES = 3


def render_report(evaluation: Evaluation, model: str, data: str, limit: int = 0) -> str:
    """Make a page of an evaluation: scores, examples, and the documents with their errors, the worst first.

    evaluation (Evaluation): The evaluation.
    model (str): How the model is called.
    data (str): How the data is called.
    limit (int): Most documents to show; 0 for all.
    RETURNS (str): The page as HTML.
    """
    # Names of files may hold bytes that are no text, which Python keeps as halves of characters.
    model, data = (name.encode("utf8", "surrogateescape").decode("utf8", "replace") for name in (model, data))
    page, style, script = (read_asset(f"page.{name}") for name in ("html", "css", "js"))
    documents = worst_first(evaluation.documents)
    writer = _Writer(evaluation)
    notes = list(evaluation.notes)
    if 0 < limit < len(documents):
        notes.append(f"Of {len(documents)} documents the {limit} with the most errors are shown.")
    return Template(page).substitute(
        # Should anything slip through the escaping, it could neither run nor load anything.
        policy=policy(style, script),
        style=style,
        script=script,
        title=escape(f"{model} on {data}"),
        facts=" &middot; ".join(map(escape, _facts(evaluation, model, data))),
        notes=_tag("ul", "notes", [f"<li>{escape(note)}</li>" for note in notes]),
        tables="\n".join(map(_table, evaluation.tables)),
        examples=writer.examples(),
        kinds="\n".join(_checkbox(kind, n) for kind, n in evaluation.errors.items()),
        meanings="\n".join(f"<dt>{escape(kind)}</dt><dd>{escape(text)}</dd>" for kind, text in KINDS.items()),
        options=writer.options(),
        documents="\n".join(map(writer.document, documents[: limit or None])),
    )


class _Side(NamedTuple):
    """The gold or the predicted annotation of a document.

    doc (Doc): The document.
    spans (List[Span]): The entities.
    relations (Sequence[Relation]): The relations.
    wrong (Set[Any]): Keys of the entities and relations that are part of errors.
    """

    doc: Doc
    spans: List[Span]
    relations: Sequence[Relation]
    wrong: Set[Any]


class _Writer:
    """Writes documents, all with the same colours and numbers of the labels."""

    def __init__(self, evaluation: Evaluation) -> None:
        self.evaluation = evaluation
        sides = [side for document in evaluation.documents for side in self.sides(document)]
        self.entity_labels = sorted({span.label_ for side in sides for span in side.spans})
        self.relation_labels = sorted({relation.label for side in sides for relation in side.relations})
        self.colours = {label: i % N_COLOURS for i, label in enumerate(self.entity_labels)}
        # Labels may be anything, so the script knows them by number.
        self.numbers = {
            **{("e", label): f"e{i}" for i, label in enumerate(self.entity_labels)},
            **{("r", label): f"r{i}" for i, label in enumerate(self.relation_labels)},
        }

    def sides(self, document: Analysed) -> Tuple[_Side, _Side]:
        key = self.evaluation.spans_key
        reference, predicted, errors = document.reference, document.predicted, document.errors
        spans = gold_entities(reference, key) or []
        relations = gold_relations(reference, key) or ()
        gold = _Side(reference, spans, relations, {_key(e.gold, e.gold_label) for e in errors})
        wrong = {_key(e.predicted, e.predicted_label) for e in errors}
        return gold, _Side(predicted, list(predicted.spans.get(key, ())), get_relations(predicted, key), wrong)

    def options(self) -> str:
        groups = []
        for kind, title, labels in (("e", "Entities", self.entity_labels), ("r", "Relations", self.relation_labels)):
            options = [f'<option value="{self.numbers[kind, label]}">{escape(label)}</option>' for label in labels]
            groups.append(f'<optgroup label="{title}">{"".join(options)}</optgroup>' if options else "")
        return "".join(groups)

    def examples(self) -> str:
        def right(side: _Side) -> int:
            return sum(relation_key(*relation[:3]) not in side.wrong for relation in side.relations)

        predicted = [(document.number, self.sides(document)[1]) for document in self.evaluation.documents]
        best = sorted(predicted, key=lambda item: (-right(item[1]), -len(item[1].relations)))[:N_EXAMPLES]
        figures = [
            f"<figure><figcaption>Document {number}</figcaption>{self.drawing(side, scores=True)}</figure>"
            for number, side in best
            if side.relations
        ]
        if not figures:
            return ""
        title = '<h2 id="examples">Examples</h2>'
        about = "<p>The documents with the most relations found. What is dashed is not in the gold data.</p>"
        return "\n".join(['<section aria-labelledby="examples">', title, about, *figures, "</section>"])

    def document(self, document: Analysed) -> str:
        sides = self.sides(document)
        labels = {self.numbers["e", span.label_] for side in sides for span in side.spans}
        labels |= {self.numbers["r", relation.label] for side in sides for relation in side.relations}
        n = len(document.errors)
        about = (
            f"{n} error" + "s" * (n != 1) if n else "no errors" if labels else "nothing annotated, nothing predicted"
        )
        drawn = (("Gold", sides[0], False), ("Predicted", sides[1], True)) if labels else (("Text", sides[0], False),)
        parts = [
            f'<div class="side"><h4>{title}</h4><div>{self.drawing(side, scores)}</div></div>'
            for title, side, scores in drawn
        ]
        parts.append(_tag("ul", "errors", map(self.error, document.errors)))
        return (
            f'<article data-text="{escape(document.reference.text)}" data-labels="{" ".join(sorted(labels))}">'
            f"<h3>Document {document.number} <small>{about}</small></h3>{''.join(parts)}</article>"
        )

    def drawing(self, side: _Side, scores: bool) -> str:
        doc, spans, relations, wrong = side
        text = draw_entities(doc, spans, self.colours, wrong)
        arcs = draw_relations(doc, relations, self.colours, wrong, self.evaluation.undirected, scores)
        return f'<p class="text" dir="auto">{text}</p>' + (f'<div class="arcs">{arcs}</div>' if arcs else "")

    def error(self, error: Error) -> str:
        kind = "r" if len(error.gold or error.predicted) > 1 else "e"
        labels = {self.numbers[kind, label] for label in (error.gold_label, error.predicted_label) if label}
        told = _phrase(error.predicted or error.gold, error.predicted_label or error.gold_label)
        if error.score is not None:
            told += f" {error.score:.2f}"
        if error.gold and error.predicted:
            told += f"; gold: {_phrase(error.gold, error.gold_label)}"
        detail = f' <span class="detail">({escape(error.detail)})</span>' if error.detail else ""
        return (
            f'<li data-kind="{_slug(error.kind)}" data-labels="{" ".join(sorted(labels))}">'
            f"<b>{escape(error.kind)}</b> {told}{detail}</li>"
        )


def _key(spans: Tuple[Span, ...], label: str) -> Any:
    if len(spans) == 2:
        return relation_key(spans[0], spans[1], label)
    return span_key(spans[0]) if spans else None


def _phrase(spans: Sequence[Span], label: str) -> str:
    names = [f"<i>{escape(span.text)}</i>" for span in spans]
    return f" &rarr; {escape(label)} &rarr; ".join(names) if len(names) > 1 else f"{names[0]} {escape(label)}"


def _facts(evaluation: Evaluation, model: str, data: str) -> List[str]:
    threshold = evaluation.cfg["relation_threshold"]
    return [
        f"Model {model}, component {evaluation.component}",
        f"data {data}, {len(evaluation.documents)} documents",
        f"relations from a score of {threshold:g}, just under it from {max(0.0, threshold - evaluation.margin):g}",
        f"symmetric relations count: {evaluation.symmetric}",
        "entities given" if evaluation.gold_entities else "entities predicted",
    ]


def _table(table: Table) -> str:
    title, (header, *rows) = table
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


def _checkbox(kind: str, n: int) -> str:
    box = f'<input type="checkbox" name="kind" value="{_slug(kind)}"{"" if n else " disabled"}>'
    return f'<label class="kind">{box} {escape(kind)} <b>{n}</b></label>'


def _slug(kind: str) -> str:
    return kind.replace(" ", "-")


def _tag(name: str, css: str, lines: Iterable[str]) -> str:
    """An element around some lines, or nothing around none."""
    content = "".join(lines)
    return f'<{name} class="{css}">{content}</{name}>' if content else ""
