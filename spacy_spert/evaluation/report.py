"""The report: an evaluation as one HTML page."""

from html import escape
from typing import List, Tuple

from ..alignment import gold_entities, gold_relations
from ..decoding import relation_threshold
from ..relations import get_relations
from .analysis import KINDS, Analysed, Error, worst_first
from .calibration import calibration_error, precision_recall, reliability
from .diagrams import draw_precision_recall, draw_reliability
from .drawing import relation_key
from .markup import Drawer, Side, annotation_key, checkbox, fill, phrase, printable, table, tag
from .run import Evaluation

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
    model, data = printable(model), printable(data)
    documents = worst_first(evaluation.documents)
    writer = _Writer(evaluation)
    notes = list(evaluation.notes)
    if 0 < limit < len(documents):
        notes.append(f"Of {len(documents)} documents the {limit} with the most errors are shown.")
    return fill(
        "page.html",
        f"{model} on {data}",
        facts=" &middot; ".join(map(escape, _facts(evaluation, model, data))),
        notes=tag("ul", "notes", [f"<li>{escape(note)}</li>" for note in notes]),
        tables="\n".join(map(table, [*evaluation.tables, *evaluation.quality_tables])),
        diagrams=_diagrams(evaluation),
        examples=writer.examples(),
        kinds="\n".join(checkbox(kind, n) for kind, n in evaluation.errors.items()),
        meanings="\n".join(f"<dt>{escape(kind)}</dt><dd>{escape(text)}</dd>" for kind, text in KINDS.items()),
        options=writer.drawer.options(),
        documents="\n".join(map(writer.document, documents[: limit or None])),
    )


class _Writer:
    """Writes the documents of an evaluation."""

    def __init__(self, evaluation: Evaluation) -> None:
        self.evaluation = evaluation
        sides = [side for document in evaluation.documents for side in self.sides(document)]
        self.drawer = Drawer(sides, evaluation.undirected)

    def sides(self, document: Analysed) -> Tuple[Side, Side]:
        key = self.evaluation.spans_key
        reference, predicted, errors = document.reference, document.predicted, document.errors
        missed = {annotation_key(e.gold, e.gold_label) for e in errors}
        gold = Side(reference, gold_entities(reference, key) or [], gold_relations(reference, key) or (), missed)
        wrong = {annotation_key(e.predicted, e.predicted_label) for e in errors}
        return gold, Side(predicted, list(predicted.spans.get(key, ())), get_relations(predicted, key), wrong)

    def examples(self) -> str:
        def right(side: Side) -> int:
            return sum(relation_key(*relation[:3]) not in side.wrong for relation in side.relations)

        predicted = [(document.number, self.sides(document)[1]) for document in self.evaluation.documents]
        best = sorted(predicted, key=lambda item: (-right(item[1]), -len(item[1].relations)))[:N_EXAMPLES]
        figures = [
            f"<figure><figcaption>Document {number}</figcaption>{self.drawer.drawing(side, scores=True)}</figure>"
            for number, side in best
            if side.relations
        ]
        if not figures:
            return ""
        title = '<h2 id="examples">Examples</h2>'
        about = "<p>The documents with the most relations found. What is dashed is not in the gold data.</p>"
        return "\n".join(['<section aria-labelledby="examples">', title, about, *figures, "</section>"])

    def document(self, document: Analysed) -> str:
        gold, predicted = self.sides(document)
        n = len(document.errors)
        annotated = bool(self.drawer.labels([gold, predicted]))
        about = f"{n} error" + "s" * (n != 1) if n else "no errors"
        drawn = [("Gold", gold, False), ("Predicted", predicted, True)]
        if not annotated:
            about, drawn = "nothing annotated, nothing predicted", [("Text", gold, False)]
        return self.drawer.article(document.number, about, drawn, map(self.error, document.errors))

    def error(self, error: Error) -> str:
        kind = "r" if len(error.gold or error.predicted) > 1 else "e"
        names = [(kind, label) for label in (error.gold_label, error.predicted_label) if label]
        told = phrase(error.predicted or error.gold, error.predicted_label or error.gold_label)
        if error.score is not None:
            told += f" {error.score:.2f}"
        if error.gold and error.predicted:
            told += f"; gold: {phrase(error.gold, error.gold_label)}"
        detail = f' <span class="detail">({escape(error.detail)})</span>' if error.detail else ""
        return self.drawer.item(error.kind, names, told + detail)


def _diagrams(evaluation: Evaluation) -> str:
    """Calibration of all, and the curve of each relation label."""
    figures = []
    for name, (candidates, kept) in evaluation.coming_out.items():
        scores, right = candidates.scores[kept], candidates.right[kept]
        figures.append(draw_reliability(name, reliability(scores, right), calibration_error(scores, right)))
    if not figures:
        return ""
    candidates, kept = evaluation.coming_out["relations"]
    counts = candidates.count(kept).sum(axis=0)
    for column, label in enumerate(candidates.labels):
        rows, n_gold = candidates.columns == column, int(candidates.gold[:, column].sum())
        curve = precision_recall(candidates.scores[rows], candidates.right[rows], n_gold)
        n_right, n_wrong, _ = counts[column].tolist()
        chosen = None
        if n_right + n_wrong:
            threshold = relation_threshold(evaluation.cfg, label)
            chosen = (threshold, n_right / (n_right + n_wrong), n_right / max(n_gold, 1))
        figures.append(draw_precision_recall(label, curve, chosen))
    title = '<h2 id="diagrams">Calibration and thresholds</h2>'
    about = (
        "<p>Scores mean what they say where the bars end on the diagonal. The curves show strict precision and recall "
        "of each relation for all thresholds; the dot is the one that decides.</p>"
    )
    return "\n".join(
        ['<section aria-labelledby="diagrams">', title, about, tag("div", "diagrams", figures), "</section>"]
    )


def _facts(evaluation: Evaluation, model: str, data: str) -> List[str]:
    threshold = evaluation.cfg["relation_threshold"]
    return [
        f"Model {model}, component {evaluation.component}",
        f"data {data}, {len(evaluation.documents)} documents",
        f"relations from a score of {threshold:g}, just under it from {max(0.0, threshold - evaluation.margin):g}",
        f"symmetric relations count: {evaluation.symmetric}",
        "entities given" if evaluation.gold_entities else "entities predicted",
    ]
