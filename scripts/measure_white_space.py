"""How much line breaks and doubled blanks change what a pipeline finds.

Scores a pipeline on documents as they are, with one blank in about 35 characters made a line break, and with every
fourth blank doubled: python scripts/measure_white_space.py MODEL DATA.jsonl
"""

from pathlib import Path
from typing import Annotated, Any, Callable, Dict, List

import srsly
import typer
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from wasabi import msg

from spacy_spert.devices import load_pipeline
from spacy_spert.formats.jsonl import read_jsonl

# What a blank becomes, by how many blanks were before it and how many characters since the last that was changed.
VARIANTS: Dict[str, Callable[[int, int], str]] = {
    "as it is": lambda blanks, since: " ",
    "line breaks": lambda blanks, since: "\n" if since >= 35 else " ",
    "doubled blanks": lambda blanks, since: "  " if blanks % 4 == 3 else " ",
}
SCORES = ("spans_spert_f", "ents_f", "rels_f", "rels_strict_f")


def change(record: Dict[str, Any], variant: Callable[[int, int], str]) -> Dict[str, Any]:
    """A document with other white space, its entities at the same words.

    record (Dict[str, Any]): The document in our JSONL, with text.
    variant (Callable[[int, int], str]): What a blank becomes.
    RETURNS (Dict[str, Any]): The changed document.
    """
    parts: List[str] = []
    places = []
    length = blanks = since = 0
    for char in record["text"]:
        places.append(length)
        part = char
        if char == " ":
            part = variant(blanks, since)
            blanks += 1
        since = 0 if part != char else since + 1
        parts.append(part)
        length += len(part)
    entities = [{**row, "start": places[row["start"]], "end": places[row["end"] - 1] + 1} for row in record["entities"]]
    return {**record, "text": "".join(parts), "entities": entities}


def score(nlp: Language, docs: List[Doc]) -> Dict[str, float]:
    """RETURNS (Dict[str, float]): The scores of a pipeline on annotated documents, from their text."""
    scores = nlp.evaluate([Example(nlp.make_doc(doc.text), doc) for doc in docs])
    return {name: scores[name] for name in SCORES}


def main(
    model: Annotated[str, typer.Argument(help="Name or path of the pipeline")],
    data: Annotated[Path, typer.Argument(help="Annotated documents with text, .jsonl", exists=True)],
) -> None:
    """
    Score a pipeline on documents with more white space in them.
    """
    nlp = load_pipeline(model)
    records = list(srsly.read_jsonl(data))
    rows = []
    for name, variant in VARIANTS.items():
        changed = data.with_name(f".{data.name}.{name.replace(' ', '_')}.jsonl")
        try:
            srsly.write_jsonl(changed, [change(record, variant) for record in records])
            scores = score(nlp, list(read_jsonl(changed, nlp)))
        finally:
            changed.unlink(missing_ok=True)
        rows.append((name, *(f"{value:.4f}" for value in scores.values())))
    msg.table(rows, header=("white space", *SCORES), aligns=("l", *("r" for _ in SCORES)))


if __name__ == "__main__":
    typer.run(main)
