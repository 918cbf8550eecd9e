"""Pictures of what a model finds: data for displaCy, and an HTML page."""

from html import escape
from typing import Any, Dict, Iterable, List, Sequence, Tuple

from spacy import displacy
from spacy.tokens import Doc
from spacy.util import filter_spans

from .relations import DEFAULT_SPANS_KEY, get_relations

PAGE = """<!DOCTYPE html>
<html lang="{lang}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font-family: system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }}
table {{ border-collapse: collapse; margin-bottom: 2rem; }}
th, td {{ padding: 0.2rem 0.8rem; text-align: right; border-bottom: 1px solid #ddd; }}
th:first-child, td:first-child {{ text-align: left; }}
figure {{ margin: 2rem 0; overflow-x: auto; }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def displacy_relations(doc: Doc, spans_key: str = DEFAULT_SPANS_KEY) -> Dict[str, Any]:
    """The entities and relations of a document in the form that displaCy's "dep" style draws.

    Each entity is one word, with its label below; of overlapping entities the longest is drawn, and a relation of one
    inside it starts or ends there. Relations between two entities of the same word are left out.

        displacy.render(displacy_relations(doc), style="dep", manual=True)

    doc (Doc): The document.
    spans_key (str): The span group of the entities.
    RETURNS (Dict[str, Any]): The words and arcs.
    """
    entities = filter_spans(doc.spans.get(spans_key, ()))
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


def render_report(
    title: str, docs: Iterable[Doc], tables: Sequence[Tuple[str, List[Tuple]]] = (), spans_key: str = DEFAULT_SPANS_KEY
) -> str:
    """A page with tables and drawings of documents, in one file.

    title (str): The title.
    docs (Iterable[Doc]): The documents to draw.
    tables (Sequence[Tuple[str, List[Tuple]]]): Tables as (title, rows), the first row being the header.
    spans_key (str): The span group of the entities.
    RETURNS (str): The page as HTML.
    """
    parts = [_table(name, rows) for name, rows in tables]
    for doc in docs:
        drawing = displacy.render(
            displacy_relations(doc, spans_key),
            style="dep",
            manual=True,
            jupyter=False,
            options={"compact": True, "distance": 110, "word_spacing": 30},
        )
        parts.append(f"<figure><figcaption>{escape(doc.text)}</figcaption>{drawing}</figure>")
    return PAGE.format(lang="en", title=escape(title), body="\n".join(parts))


def _table(title: str, rows: List[Tuple]) -> str:
    header, *body = ([escape(str(value)) for value in row] for row in rows)
    lines = ["<tr>" + "".join(f"<th>{value}</th>" for value in header) + "</tr>"]
    lines.extend("<tr>" + "".join(f"<td>{value}</td>" for value in row) + "</tr>" for row in body)
    return f"<h2>{escape(title)}</h2>\n<table>\n" + "\n".join(lines) + "\n</table>"


def densest(docs: Iterable[Doc], n: int, spans_key: str = DEFAULT_SPANS_KEY) -> List[Doc]:
    """The documents with the most relations, to draw them.

    docs (Iterable[Doc]): The documents.
    n (int): How many.
    spans_key (str): The span group of the entities.
    RETURNS (List[Doc]): The documents, those with the most relations first.
    """
    return sorted(docs, key=lambda doc: -len(get_relations(doc, spans_key)))[:n]
