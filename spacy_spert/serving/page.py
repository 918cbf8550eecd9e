"""The page of the service: text in, entities and relations drawn as in the report."""

from html import escape
from typing import Any, Dict, Mapping, Optional, Sequence

from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from ..evaluation.assets import make_page, read_asset
from ..evaluation.drawing import N_COLOURS, draw_entities, draw_relations
from ..relations import Relation


def render_page(model: str, entity_labels: Sequence[str], relation_labels: Sequence[str]) -> str:
    """Make the page.

    model (str): How the model is called.
    entity_labels (Sequence[str]): Its entity labels.
    relation_labels (Sequence[str]): Its relation labels.
    RETURNS (str): HTML. It loads nothing, and sends texts to the service alone.
    """
    script = read_asset("serve.js", __package__)
    style = read_asset("page.css") + "\n" + read_asset("serve.css", __package__)
    colours = colours_of(entity_labels)
    marks = (f'<mark class="c{colours[label]}">{escape(label)}</mark>' for label in entity_labels)
    return make_page(
        read_asset("serve.html", __package__),
        model,
        style,
        script,
        "connect-src 'self'",
        "form-action 'none'",
        entities=" ".join(marks) or "none",
        relations=escape(", ".join(relation_labels)) or "none",
    )


def draw_record(
    record: Dict[str, Any],
    colours: Mapping[str, int],
    undirected: Sequence[str] = (),
    writing_system: Optional[Dict[str, Any]] = None,
) -> str:
    """Draw what was found in a text.

    record (Dict[str, Any]): What the extractor made of a record with `text`.
    colours (Mapping[str, int]): A colour for each entity label.
    undirected (Sequence[str]): Relation labels that are drawn without an arrow's head.
    writing_system (Optional[Dict[str, Any]]): That of the language, which tells the direction of the drawing.
    RETURNS (str): HTML, escaped.
    """
    # The words don't matter, so the text is cut where entities begin and end.
    text, entities = record["text"], record["entities"]
    cuts = sorted({0, len(text), *(entity[side] for entity in entities for side in ("start", "end"))})
    words = [text[start:end] for start, end in zip(cuts[:-1], cuts[1:])]
    # The pipeline's vocabulary belongs to its thread.
    doc = Doc(Vocab(writing_system=writing_system or {}), words=words, spaces=[False] * len(words))
    index = {cut: i for i, cut in enumerate(cuts)}
    spans = [Span(doc, index[entity["start"]], index[entity["end"]], entity["label"]) for entity in entities]
    rows = record.get("relations", ())
    relations = [Relation(spans[row["head"]], spans[row["tail"]], row["label"], row["score"]) for row in rows]
    arcs = draw_relations(doc, relations, colours, undirected=undirected, scores=True)
    drawn = f'<p class="text" dir="auto">{draw_entities(doc, spans, colours)}</p>'
    return drawn + (f'<div class="arcs" tabindex="0">{arcs}</div>' if arcs else "")


def colours_of(labels: Sequence[str]) -> Dict[str, int]:
    """RETURNS (Dict[str, int]): A colour for each label."""
    return {label: i % N_COLOURS for i, label in enumerate(labels)}
