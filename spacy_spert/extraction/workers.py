"""From lines of texts to lines of entities and relations, in one process or several.

A batch of lines is the unit of everything: it goes to a worker as bytes and comes back as bytes.
"""

import json
import multiprocessing
import os
import signal
import threading
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from functools import lru_cache, partial
from hashlib import sha256
from typing import Any, Callable, Deque, Dict, Generator, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Tuple

import srsly

from ..formats import Losses
from ..formats.jsonl import FIELDS
from ..formats.lines import Line
from ..formats.values import note_fields
from ..formats.writing import RecordWriter
from .codec import OUTPUTS, decode, encode, with_id_in_meta
from .extractor import Extractor, load_extractor
from .outputs import load_writer, make_record

OTHER_ID = "record: id not kept, as its meta data have another"
# Counted for records whose sentence marks are not asked for.
NOT_USED = "record: sentence marks not used (--given-sentences uses them)"


class Settings(NamedTuple):
    """What a worker must know.

    model (str): Name or path of the pipeline.
    threshold (Optional[float]): Lowest probability of a relation; None for that of the pipeline.
    from_format (str): "jsonl", "txt" or "parquet".
    to_format (str): One of `output_names`.
    component (Optional[str]): The name of the component, needed only if there are several.
    given_sentences (bool): Use the sentence marks of the records.
    options (Optional[str]): Options of the format to write, as JSON.
    """

    model: str
    threshold: Optional[float]
    from_format: str
    to_format: str
    component: Optional[str] = None
    given_sentences: bool = False
    options: Optional[str] = None

    @property
    def writer(self) -> Optional[RecordWriter]:
        """RETURNS (Optional[RecordWriter]): What writes the records; None for our own formats."""
        return load_writer(self.to_format, json.loads(self.options) if self.options else {})


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
        yield from ((batch, extract_batch(settings, batch)) for batch in batches)
        return
    pending: Deque[Tuple[List[Line], Future[List[Outcome]]]] = deque()
    executor = ProcessPoolExecutor(n_process, initializer=_start_worker)
    try:
        for batch in batches:
            pending.append((batch, executor.submit(extract_batch, settings, batch)))
            if len(pending) > 2 * n_process:
                first, future = pending.popleft()
                yield first, future.result()
        for batch, future in pending:
            yield batch, future.result()
    finally:
        executor.shutdown(cancel_futures=True)


@lru_cache(maxsize=1)
def load(settings: Settings) -> Extractor:
    """Load the pipeline of this process, once. `load.cache_clear()` lets it go.

    settings (Settings): The settings.
    RETURNS (Extractor): What extracts with it.
    RAISES (ValueError): If it has no such component, or the threshold is out of range.
    """
    writer = settings.writer
    extractor = load_extractor(
        settings.model,
        threshold=settings.threshold,
        component=settings.component,
        given_sentences=settings.given_sentences,
    )
    if writer is not None:
        spans_key = extractor.component.cfg["spans_key"]
        extractor.to_record = partial(make_record, writer=writer, spans_key=spans_key)
    return extractor


def checksum(extractor: Extractor) -> str:
    """RETURNS (str): What tells a pipeline from one that was trained or made in another way: a checksum of its meta
    data, which has the scores of its training, of its config, and of the component's settings and labels."""
    nlp = extractor.nlp
    state = [nlp.meta, nlp.config.to_str(), extractor.component.cfg]
    return sha256(srsly.json_dumps(state, sort_keys=True).encode("utf8")).hexdigest()


def extract_batch(settings: Settings, batch: List[Line]) -> List[Outcome]:
    """Extract what the texts of some lines say.

    settings (Settings): The settings.
    batch (List[Line]): The lines.
    RETURNS (List[Outcome]): What became of each.
    """
    outcomes = {line.number: Outcome(b"", {}) for line in batch}
    extractor = load(settings)

    def extract(records: List[Dict[str, Any]]) -> List[Any]:
        is_ours = settings.to_format in OUTPUTS
        return extractor.batch(records if is_ours else list(map(with_id_in_meta, records)))

    for number, record, found in extract_lines(extract, settings.from_format, batch):
        outcomes[number] = _outcome(settings, number, record, found)
    return list(outcomes.values())


def extract_lines(
    extract: Callable[[List[Any]], Iterable[Any]], from_format: str, lines: Iterable[Line]
) -> Iterator[Tuple[int, Dict[str, Any], Dict[str, Any]]]:
    """Extract what the texts of some lines say.

    extract (Callable[[List[Any]], Iterable[Any]]): What does so with records.
    from_format (str): The format of the lines.
    lines (Iterable[Line]): The lines.
    YIELDS (Tuple[int, Dict[str, Any], Dict[str, Any]]): For each line that has a record its number, the record, and
        what was found, which may be the "error" of a line that can't be read.
    """
    found: Dict[int, Dict[str, Any]] = {}
    records: Dict[int, Dict[str, Any]] = {}
    for line in lines:
        try:
            record = decode(line, from_format)
        except ValueError as err:
            found[line.number] = {"error": str(err)}
            continue
        if record is not None:
            records[line.number] = record
    found.update(zip(records, extract(list(records.values()))))
    for number in sorted(found):
        yield number, records.get(number, {}), found[number]


def losses_of(settings: Settings, record: Dict[str, Any]) -> Mapping[str, int]:
    """RETURNS (Mapping[str, int]): What of a record is not kept, counted by reason."""
    losses = Losses()
    if settings.to_format != "csv":
        note_fields(record, (*FIELDS, "id"), "record", losses)
    if not settings.given_sentences and record.get("sent_starts") is not None:
        losses.note(NOT_USED)
    meta = record.get("meta")
    is_ours = settings.to_format in OUTPUTS
    if not is_ours and "id" in record and meta and meta.get("id", record["id"]) != record["id"]:
        losses.note(OTHER_ID)
    return losses.counts


def _outcome(settings: Settings, number: int, record: Dict[str, Any], found: Dict[str, Any]) -> Outcome:
    if "error" in found:
        return _refused(found["error"])
    ours = settings.to_format in OUTPUTS
    data, counts = (b"", {}) if ours else (found["data"], found["counts"])
    if ours:
        try:
            data = encode(found, settings.to_format, number)
        except ValueError as err:
            return _refused(str(err))
        counts = {"texts": 1, "entities": len(found["entities"]), "relations": len(found.get("relations", ()))}
    return Outcome(data, {**counts, **losses_of(settings, record)})


def _refused(error: str) -> Outcome:
    return Outcome(b"", {"bad": 1}, error)


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
