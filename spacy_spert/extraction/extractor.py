"""From lines of texts to lines of entities and relations, in one process or several.

A batch of lines is the unit of everything: it goes to a worker as bytes, is processed within one memory zone of spaCy,
which forgets the words of the texts afterwards, and comes back as bytes. So no process grows with the length of a run.
"""

import csv
import io
import json
import multiprocessing
import os
import signal
import threading
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from functools import lru_cache
from typing import Any, Deque, Dict, Generator, Iterable, List, NamedTuple, Optional, Tuple

from spacy import util
from spacy.errors import Errors as SpacyErrors
from spacy.tokens import Doc
from spacy.vocab import Vocab

from ..errors import Errors
from ..formats import Losses
from ..formats.gold import Gold
from ..formats.jsonl import FIELDS, add_annotations, given_meta, make_doc
from ..formats.lines import MAX_LINE, Line
from ..formats.values import check_meta, expect, note_fields, parse_json
from ..pipeline import Spert
from ..relations import RELATIONS_ATTR, SCORES_ATTR
from .export import Triple, to_triples

# A column for each field of a triple but the document's index; "line" is the number of the line in the input.
COLUMNS = ("line", *Triple._fields[:-1])
# Further decimals of a score depend on what else is in the batch.
DECIMALS = 6
# After this many tokens the tables of the vocabulary are made anew: at 16 bytes a place a few MB.
MAX_TOKENS = 2**18


class Settings(NamedTuple):
    """What a worker must know.

    model (str): Name or path of the pipeline.
    threshold (Optional[float]): Lowest probability of a relation; None for that of the pipeline.
    from_format (str): "jsonl" or "txt".
    to_format (str): "jsonl" or "csv".
    """

    model: str
    threshold: Optional[float]
    from_format: str
    to_format: str


class Outcome(NamedTuple):
    """What became of a line.

    data (bytes): Its output.
    counts (Dict[str, int]): What to count.
    error (Optional[str]): Why it can't be used, if so.
    """

    data: bytes
    counts: Dict[str, int]
    error: Optional[str] = None


def extract_batches(
    settings: Settings, batches: Iterable[List[Line]], n_process: int
) -> Generator[Tuple[List[Line], List[Outcome]], None, None]:
    """Process batches in their order, only a few ahead of what is asked for.

    settings (Settings): The settings.
    batches (Iterable[List[Line]]): The batches.
    n_process (int): How many processes work.
    YIELDS (Tuple[List[Line], List[Outcome]]): Each batch, and what became of its lines.
    """
    # With several processes as well: those that are forked find the pipeline loaded.
    load(settings)
    if n_process == 1:
        yield from ((batch, _work(settings, batch)) for batch in batches)
        return
    pending: Deque[Tuple[List[Line], Future[List[Outcome]]]] = deque()
    executor = ProcessPoolExecutor(n_process, initializer=_start_worker)
    try:
        for batch in batches:
            pending.append((batch, executor.submit(_work, settings, batch)))
            if len(pending) > 2 * n_process:
                first, future = pending.popleft()
                yield first, future.result()
        for batch, future in pending:
            yield batch, future.result()
    finally:
        executor.shutdown(cancel_futures=True)


def header(to_format: str) -> bytes:
    """RETURNS (bytes): What an output of this format begins with."""
    return _csv_lines([COLUMNS]) if to_format == "csv" else b""


class Extractor:
    """A pipeline that makes lines of lines."""

    def __init__(self, settings: Settings) -> None:
        """Load the pipeline.

        settings (Settings): The settings.
        RAISES (ValueError): If it has no such component, or the threshold is out of range.
        """
        self.settings = settings
        self.nlp = util.load_model(settings.model)
        components = [pipe for _, pipe in self.nlp.pipeline if isinstance(pipe, Spert)]
        if not components:
            raise ValueError(Errors.S040.format(names=self.nlp.pipe_names))
        self.component = components[-1]
        self._n_tokens = 0
        if settings.threshold is not None:
            self.component.cfg["relation_threshold"] = settings.threshold
            self.component.check_settings()

    def __call__(self, batch: List[Line]) -> List[Outcome]:
        """Extract what the texts of some lines say.

        batch (List[Line]): The lines.
        RETURNS (List[Outcome]): What became of each.
        """
        with self.nlp.memory_zone():
            outcomes = self._extract(batch)
        if self._n_tokens >= MAX_TOKENS:
            self._n_tokens = 0
            _renew(self.nlp.vocab)
        return outcomes

    def _extract(self, batch: List[Line]) -> List[Outcome]:
        """Extract within a memory zone. What belongs to the zone does not leave this method, nor do errors."""
        outcomes = {line.number: Outcome(b"", {}) for line in batch}
        read: List[Tuple[int, Dict[str, Any], Doc]] = []
        for line in batch:
            try:
                record = self._read(line)
                if record is not None:
                    read.append((line.number, record, self._make_doc(record)))
            except Exception as err:  # tokenizers of all kinds among them
                outcomes[line.number] = _refused(err)
        try:
            docs = list(self.nlp.pipe([doc for _, _, doc in read], batch_size=len(batch)))
            if len(docs) != len(read):
                raise ValueError(Errors.S068.format(names=self.nlp.pipe_names, got=len(docs), n=len(read)))
            for (number, record, _), doc in zip(read, docs):
                outcomes[number] = self._write(number, record, doc)
        except Exception as err:
            # Whatever a component meets in a text. That doesn't say in which, so try them one by one.
            if len(batch) == 1:
                return [_refused(err)]
            return [outcome for line in batch for outcome in self._extract([line])]
        self._n_tokens += sum(len(doc) for doc in docs)
        return list(outcomes.values())

    def _read(self, line: Line) -> Optional[Dict[str, Any]]:
        """Make a record of a line. A blank line is an empty text, or no record in JSON lines."""
        if line.raw is None:
            raise ValueError(Errors.S065.format(limit=MAX_LINE))
        if self.settings.from_format == "txt":
            text = line.raw.decode("utf-8-sig" if line.number == 1 else "utf-8")
            return {"text": text.removesuffix("\n").removesuffix("\r"), "meta": {"line": line.number}}
        if not line.raw.strip():
            return None
        return expect(parse_json(line.raw), dict, "the record")

    def _make_doc(self, record: Dict[str, Any]) -> Doc:
        length = len(record["text"]) if isinstance(record.get("text"), str) else 0
        if length > self.nlp.max_length:
            raise ValueError(SpacyErrors.E088.format(length=length, max_length=self.nlp.max_length))
        check_meta(given_meta(record) or {})
        doc = make_doc(self.nlp, record)
        if self.component.cfg["task"] == "relations" and record.get("entities"):
            # Entities to relate. For the other tasks they are predicted, whatever the record says.
            gold = Gold(doc, Losses(strict=True), "the record", exact=True)
            add_annotations(gold, {"entities": record["entities"]}, "label", "text" in record)
            gold.finish()
            if self.component.cfg["entities_key"] is not None:
                doc.spans[self.component.cfg["entities_key"]] = gold.spans
        return doc

    def _write(self, number: int, record: Dict[str, Any], doc: Doc) -> Outcome:
        key = self.component.cfg["spans_key"]
        group = doc.spans[key]
        rows = group.attrs.get(RELATIONS_ATTR) or []
        counts = {"texts": 1, "entities": len(group), "relations": len(rows)}
        if self.settings.to_format == "csv":
            triples = (triple._replace(score=round(triple.score, DECIMALS)) for triple in to_triples(doc, key))
            return Outcome(_csv_lines([(number, *triple[:-1]) for triple in triples]), counts)
        losses = Losses()
        note_fields(record, (*FIELDS, "id"), "record", losses)
        return Outcome(_json_line(_to_record(record, doc, key)), {**counts, **losses.counts})


def _to_record(record: Dict[str, Any], doc: Doc, key: str) -> Dict[str, Any]:
    """Entities and relations in our own JSONL. What the record is called by and `meta` are kept as they are."""
    in_text = "text" in record
    group = doc.spans[key]
    scores = group.attrs.get(SCORES_ATTR)
    entities = []
    for i, span in enumerate(group):
        start, end = (span.start_char, span.end_char) if in_text else (span.start, span.end)
        entity = {"start": start, "end": end, "label": span.label_}
        entities.append(entity if scores is None else {**entity, "score": round(float(scores[i]), DECIMALS)})
    return {
        **{name: record[name] for name in ("id",) if name in record},
        **({"text": doc.text} if in_text else {"tokens": [token.text for token in doc]}),
        "entities": entities,
        "relations": [
            {"head": head, "tail": tail, "label": label, "score": round(score, DECIMALS)}
            for head, tail, label, score in group.attrs.get(RELATIONS_ATTR) or []
        ],
        **{name: record[name] for name in ("meta",) if name in record},
    }


def _json_line(record: Dict[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False, allow_nan=False).encode("utf8") + b"\n"


def _csv_lines(rows: Iterable[Iterable[Any]]) -> bytes:
    file_ = io.StringIO()
    csv.writer(file_, lineterminator="\n").writerows(rows)
    return file_.getvalue().encode("utf8")


def _refused(err: Exception) -> Outcome:
    # Errors that are no ValueError come from components, and are often no sentences.
    return Outcome(b"", {"bad": 1}, str(err) if isinstance(err, ValueError) else f"{type(err).__name__}: {err}")


@lru_cache(maxsize=1)
def load(settings: Settings) -> Extractor:
    """RETURNS (Extractor): The pipeline of this process, loaded once. `load.cache_clear()` lets it go."""
    return Extractor(settings)


def _work(settings: Settings, batch: List[Line]) -> List[Outcome]:
    return load(settings)(batch)


def _renew(vocab: Vocab) -> None:
    """Make the tables of the vocabulary small again. A memory zone frees the words, but not their places in there."""
    getters = dict(vocab.lex_attr_getters)  # type: ignore[attr-defined]
    others = ["vectors", "lookups"]
    vocab.from_bytes(vocab.to_bytes(exclude=others), exclude=others)
    # from_bytes wraps the one for norms each time.
    vocab.lex_attr_getters.update(getters)  # type: ignore[attr-defined]


def _start_worker() -> None:
    import torch

    # More threads than cores wait for each other, and those of the parent don't exist in a forked process.
    torch.set_num_threads(1)
    # Ctrl-C is the matter of the parent, which waits for the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Without this the workers of a killed run would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
