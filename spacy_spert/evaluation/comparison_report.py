"""Two pipelines compared on one HTML page, with the documents on which they differ side by side."""

from html import escape
from typing import List, Tuple

from ..alignment import gold_entities, gold_relations
from ..relations import get_relations
from .analysis import Analysed
from .comparison import KINDS, Comparison, Deviation
from .markup import Drawer, Side, annotation_key, checkbox, fill, phrase, printable, table, tag
from .run import Evaluation

# A document's number, its gold annotation and what A and B predict, and the differences.
_Row = Tuple[int, Tuple[Side, Side, Side], List[Deviation]]


def render_comparison(comparison: Comparison, model_a: str, model_b: str, data: str, limit: int = 0) -> str:
    """Make a page of a comparison: scores with their differences, and the documents on which the pipelines differ.

    comparison (Comparison): The comparison.
    model_a (str): How the first pipeline is called.
    model_b (str): How the second is called.
    data (str): How the data is called.
    limit (int): Most documents to show; 0 for all.
    RETURNS (str): The page as HTML.
    """
    model_a, model_b, data = map(printable, (model_a, model_b, data))
    rows = _differing(comparison)
    notes = list(dict.fromkeys([*comparison.one.notes, *comparison.other.notes]))
    if 0 < limit < len(rows):
        notes.append(f"Of {len(rows)} documents that differ the {limit} with the most differences are shown.")
    drawer = Drawer((side for _, sides, _ in rows for side in sides), comparison.one.undirected)
    facts = [
        f"A: {model_a}, component {comparison.one.component}",
        f"B: {model_b}, component {comparison.other.component}",
        f"data {data}, {len(comparison.deviations)} documents, of which {comparison.n_differing} differ",
        f"intervals from {comparison.samples} draws",
        "entities given" if comparison.one.gold_entities else "entities predicted",
    ]
    return fill(
        "comparison.html",
        f"{model_a} and {model_b} on {data}",
        facts=" &middot; ".join(map(escape, facts)),
        notes=tag("ul", "notes", [f"<li>{escape(note)}</li>" for note in notes]),
        tables="\n".join(map(table, comparison.tables)),
        kinds="\n".join(checkbox(kind, n) for kind, n in comparison.kinds.items()),
        meanings="\n".join(f"<dt>{escape(kind)}</dt><dd>{escape(text)}</dd>" for kind, text in KINDS.items()),
        options=drawer.options(),
        documents="\n".join(_article(drawer, row) for row in rows[: limit or None]),
    )


def _differing(comparison: Comparison) -> List[_Row]:
    """The documents on which the pipelines differ, most differences first."""
    documents = zip(comparison.one.documents, comparison.other.documents, comparison.deviations)
    rows = [
        (first.number, _sides(first, second, comparison), deviations)
        for first, second, deviations in documents
        if deviations
    ]
    return sorted(rows, key=lambda row: -len(row[2]))


def _sides(first: Analysed, second: Analysed, comparison: Comparison) -> Tuple[Side, Side, Side]:
    def predicted(document: Analysed, evaluation: Evaluation) -> Side:
        doc, key = document.predicted, evaluation.spans_key
        wrong = {annotation_key(error.predicted, error.predicted_label) for error in document.errors}
        return Side(doc, list(doc.spans.get(key, ())), get_relations(doc, key), wrong)

    key, doc = comparison.one.spans_key, first.reference
    missed, also = (
        {annotation_key(error.gold, error.gold_label) for error in document.errors} for document in (first, second)
    )
    gold = Side(doc, gold_entities(doc, key) or [], gold_relations(doc, key) or (), missed & also)
    return gold, predicted(first, comparison.one), predicted(second, comparison.other)


def _article(drawer: Drawer, row: _Row) -> str:
    number, (gold, one, other), deviations = row
    n = len(deviations)
    drawn = [("Gold", gold, False), ("A", one, True), ("B", other, True)]
    items = (_item(drawer, deviation) for deviation in deviations)
    return drawer.article(number, f"{n} difference" + "s" * (n != 1), drawn, items)


def _item(drawer: Drawer, deviation: Deviation) -> str:
    told = phrase(deviation.spans, deviation.label)
    if deviation.score is not None:
        told += f" {deviation.score:.2f}"
    return drawer.item(deviation.kind, [("r" if len(deviation.spans) > 1 else "e", deviation.label)], told)
