"""The formats that extract writes: what becomes of a document, and what stands around it in the file.

Our own are made of records by `codec`. Those of annotation tools are made of documents by their writers, which know
what they have room for; whatever else there is is counted.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any, Dict, Mapping, NamedTuple, Optional

from spacy.tokens import Doc

from ..errors import Errors
from ..formats import Losses, load, load_records, writers
from ..formats.brat_writer import STANDOFF, Standoff, open_standoff
from ..formats.jsonl import DECIMALS
from ..formats.lines import Line
from ..formats.writing import RecordWriter, gold_of, note_unkept
from .codec import FOLDER, OUTPUTS, header
from .stream import Output


class Frame(NamedTuple):
    """What stands around the records in a file.

    before (bytes): Before the first.
    between (bytes): Between two.
    after (bytes): After the last.
    """

    before: bytes = b""
    between: bytes = b""
    after: bytes = b""


def load_writer(name: str, options: Dict[str, Any]) -> Optional[RecordWriter]:
    """Look up what makes the records of a format.

    name (str): One of `output_names`.
    options (Dict[str, Any]): Options of the format.
    RETURNS (Optional[RecordWriter]): The writer; None for our own formats.
    RAISES (ValueError): If the format does not know an option.
    """
    if name in OUTPUTS:
        if options:
            raise ValueError(Errors.S190.format(name=name, options=", ".join(options)))
        return None
    if name != FOLDER:
        return load_records(name, **options)
    # Knows the options.
    load(writers, name, **options)
    return STANDOFF._replace(to_record=partial(STANDOFF.to_record, **options))


def frame_of(name: str, writer: Optional[RecordWriter]) -> Frame:
    """RETURNS (Frame): What stands around the records of a format. Lines end with their own line break."""
    if writer is None:
        return Frame(before=header(name))
    if _has_lines(writer):
        return Frame()
    return Frame(writer.before.encode(), writer.between.encode(), writer.after.encode())


def make_record(doc: Doc, writer: RecordWriter, spans_key: str) -> Dict[str, Any]:
    """Make the record of a processed document in the format of a writer.

    doc (Doc): The document.
    writer (RecordWriter): The writer.
    spans_key (str): The span group of the entities.
    RETURNS (Dict[str, Any]): The bytes ("data"), and what to count ("counts"); or the "error", if it can't be written.
    """
    losses = Losses()
    try:
        gold = gold_of(doc, losses, "the record", spans_key)
        gold.scores = [score if score is None else round(score, DECIMALS) for score in gold.scores]
        gold.rows = [(head, tail, label, round(score, DECIMALS)) for head, tail, label, score in gold.rows]
        data = writer.encode(gold)
    except (ValueError, TypeError, RecursionError) as err:
        return {"error": str(err)}
    note_unkept(gold, writer.keeps)
    counts = {"texts": 1, "entities": len(gold.spans), "relations": len(gold.rows), **losses.counts}
    return {"data": data + (writer.after.encode() if _has_lines(writer) else b""), "counts": counts}


class FolderOutput(Output):
    """A folder of standoff files, which appears only once the run is complete, so that none can be gone on with.

    path (Path): The folder, which is new or empty.
    """

    def __init__(self, path: Path) -> None:
        self._opened = open_standoff(path)

    def __enter__(self) -> "FolderOutput":
        self._folder = self._opened.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._opened.__exit__(*error)

    def write(self, data: bytes, last: Line, counts: Mapping[str, int]) -> None:
        losses = Losses()
        for line in data.splitlines():
            self._folder.add(Standoff(**json.loads(line)), losses)
        self.advance(last, len(data), {**counts, **losses.counts})


def _has_lines(writer: RecordWriter) -> bool:
    return not writer.before and writer.between == writer.after
