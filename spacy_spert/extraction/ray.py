"""Extraction on a Ray cluster: files to a folder of files, or a dataset to one with what its texts say.

An actor for each core or GPU loads the pipeline once, by its path or the name of its package, and finds entities and
relations with an `Extractor`, so in memory zones and with a vocabulary that does not grow. An actor that ends is
started again, and gets again what it was at. On one machine there is nothing to gain over `spacy spert extract`.
"""

import logging
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, NamedTuple, Optional

from ..errors import Errors
from ..formats.lines import Line
from .codec import json_line
from .extractor import BATCH_SIZE, load_extractor
from .folder import (
    FORMATS,
    MAX_LINES,
    OutputFolder,
    Piece,
    Source,
    common_types,
    find_sources,
    is_unfinished,
    read_pieces,
    write_records,
)
from .parquet import from_row, import_arrow, make_schema
from .stream import CHECKSUM
from .workers import Settings, checksum, extract_lines, losses_of

if TYPE_CHECKING:
    import pyarrow
    from ray.data import Dataset

# What a record is made of, where it is a row of a dataset.
COLUMNS = ("text", "tokens", "token_offsets", "sent_starts", "entities")
FOUND = ("entities", "relations", "error")
# Without an address, a cluster is started on this machine. Ray by itself may find the file of one that is gone.
LOCAL = "local"


class Pool(NamedTuple):
    """The actors.

    size (Optional[int]): How many there are at most; by default one for each core or GPU of the cluster.
    gpu (bool): Whether each gets a GPU.
    batch_size (int): How many texts are processed at a time.
    """

    size: Optional[int] = None
    gpu: bool = False
    batch_size: int = BATCH_SIZE


class Actor:
    """Loads the pipeline, in a process of its own."""

    def __init__(self, settings: Settings, pool: Pool) -> None:
        import spacy
        import torch

        if pool.gpu:
            spacy.require_gpu()
        # An actor has one core.
        torch.set_num_threads(1)
        self.settings = settings
        self.extractor = load_extractor(**_extractor_settings(settings), batch_size=pool.batch_size)


class RowActor(Actor):
    """Adds what was found to rows that have a text."""

    def __call__(self, table: "pyarrow.Table") -> "pyarrow.Table":
        pa = import_arrow()
        given = table.select([name for name in COLUMNS if name in table.column_names])
        records = [from_row(row) for row in given.to_pylist()]
        schema = _with_error(make_schema())
        found = list(self.extractor.records(records))
        for name in FOUND:
            column = pa.array([record.get(name) for record in found], schema.field(name).type)
            if name in table.column_names:
                table = table.set_column(table.column_names.index(name), name, column)
            else:
                table = table.append_column(name, column)
        return table


class PieceActor(Actor):
    """Writes what was found in pieces of files, and returns what it counted."""

    def __init__(self, settings: Settings, pool: Pool, folder: Path, schema: Optional["pyarrow.Schema"]) -> None:
        super().__init__(settings, pool)
        self.folder = folder
        self.schema = schema

    def __call__(self, rows: "pyarrow.Table") -> "pyarrow.Table":
        return _counts_table([self._extract(Piece(**row)) for row in rows.to_pylist()])

    def _extract(self, piece: Piece) -> Counter[str]:
        lines = [Line(number, raw, 0, 0) for number, raw in zip(piece.numbers, piece.lines)]
        counts, records = Counter[str](), []
        for number, record, found in extract_lines(self.extractor.records, piece.format, lines):
            found = _writable({**found, "source": piece.source, "line": number})
            records.append(found)
            counts["bad" if "error" in found else "texts"] += 1
            if "error" not in found:
                counts.update({kind: len(found.get(kind, ())) for kind in ("entities", "relations")})
                counts.update(losses_of(self.settings, record))
        if piece.error:
            records.append({"error": piece.error, "source": piece.source, "line": piece.numbers[0]})
            counts["bad"] += 1
        write_records(records, self.folder, piece.name, self.schema)
        return counts


def extract_dataset(
    dataset: "Dataset",
    model: str,
    *,
    threshold: Optional[float] = None,
    component: Optional[str] = None,
    given_sentences: bool = False,
    batch_size: int = BATCH_SIZE,
    size: Optional[int] = None,
    gpu: bool = False,
) -> "Dataset":
    """Find the entities and relations of the rows of a dataset.

    dataset (Dataset): Its rows have a `text`, or `tokens`.
    model (str): Name or path of the pipeline. Each node loads it, so it must be on all of them.
    threshold (Optional[float]): Lowest probability of a relation; by default that of the pipeline.
    component (Optional[str]): The name of the component, needed only if there are several.
    given_sentences (bool): Use the `sent_starts` of the rows. By default the pipeline's own marks count.
    batch_size (int): How many texts are processed at a time.
    size (Optional[int]): How many actors there are at most; by default one for each core or GPU of the cluster.
    gpu (bool): Whether each gets a GPU.
    RETURNS (Dataset): The same rows, with columns `entities` and `relations`, and `error` for a text that can't be
        used. Columns of these names are replaced, all others are kept.
    """
    settings = Settings(_absolute(model), threshold, "parquet", "parquet", component, given_sentences)
    pool = Pool(size, gpu, batch_size)
    # Several batches in one call, so that there is less to do between calls.
    return dataset.map_batches(
        RowActor,
        batch_size=4 * batch_size,
        batch_format="pyarrow",
        fn_constructor_args=(settings, pool),
        **_resources(pool),
    )


def extract_files(
    model: str,
    pattern: str,
    output: Path,
    *,
    from_format: Optional[str] = None,
    to_format: str = "parquet",
    threshold: Optional[float] = None,
    component: Optional[str] = None,
    given_sentences: bool = False,
    batch_size: int = BATCH_SIZE,
    size: Optional[int] = None,
    gpu: bool = False,
    resume: bool = False,
    force: bool = False,
    address: Optional[str] = None,
    max_lines: int = MAX_LINES,
    progress: bool = False,
) -> Counter[str]:
    """Write the entities and relations of the texts of files into a folder. All nodes must see files, folder and model.

    model (str): Name or path of the pipeline.
    pattern (str): The files: see `find_sources`.
    output (Path): The folder to write.
    from_format (Optional[str]): "jsonl", "txt" or "parquet"; by default as the name of each file ends.
    to_format (str): "parquet" or "jsonl".
    threshold (Optional[float]): Lowest probability of a relation; by default that of the pipeline.
    component (Optional[str]): The name of the component, needed only if there are several.
    given_sentences (bool): Use the sentence marks of the records. By default the pipeline's own marks count.
    batch_size (int): How many texts are processed at a time.
    size (Optional[int]): How many actors there are at most; by default one for each core or GPU of the cluster.
    gpu (bool): Whether each gets a GPU.
    resume (bool): Go on with an interrupted run.
    force (bool): Write the folder anew if it exists.
    address (Optional[str]): The address of the cluster. By default the one this process is connected to, else that of
        the variable RAY_ADDRESS, else one is started on this machine.
    max_lines (int): Texts of a file of the output. As many are done again when an actor ends in the midst of them.
    progress (bool): Show a progress bar.
    RETURNS (Counter[str]): What this run wrote: the number of "texts", "entities" and "relations", of "bad" texts,
        which are rows with an error, and of fields that were not kept. Nothing if there was nothing to do.
    RAISES (ValueError): If settings don't fit, or a file can't be read.
    """
    from tqdm import tqdm  # type: ignore[import-untyped]

    ray = _import_ray()
    if to_format not in FORMATS:
        raise ValueError(Errors.S066.format(one=f"--to {to_format}", other="Ray", why=f"Choose one of {FORMATS}."))
    output = Path(output).resolve()
    if resume and output.exists() and any(output.iterdir()) and not is_unfinished(output):
        logging.getLogger("spacy.spert").warning(f"{output}: no interrupted run, nothing to do")
        return Counter()
    sources = find_sources(_absolute_pattern(pattern), from_format)
    settings = Settings(_absolute(model), threshold, from_format or "by name", to_format, component, given_sentences)
    pool = Pool(size, gpu, batch_size)
    schema = _with_error(make_schema(common_types(sources)), place=True) if to_format == "parquet" else None
    # What is wrong with the model is said before anything is written.
    sum_of_model = checksum(load_extractor(**_extractor_settings(settings)))
    state = {**settings._asdict(), "max_lines": max_lines, CHECKSUM: sum_of_model}
    total = Counter({"texts": 0, "entities": 0, "relations": 0})
    with OutputFolder(output, state, sources, resume=resume, replace=force) as folder:
        started = not ray.is_initialized()
        if started:
            ray.init(address=address or os.environ.get("RAY_ADDRESS") or LOCAL, logging_level="warning")
        try:
            # It tells what it is going to do, and that its progress bars are off.
            logging.getLogger("ray.data").setLevel(logging.ERROR)
            counts = _counts(sources, folder, settings, pool, schema, max_lines)
            with tqdm(unit=" texts", unit_scale=True, leave=False, disable=None if progress else True) as bar:
                for row in counts:
                    total.update(row)
                    bar.update(row.get("texts", 0) + row.get("bad", 0))
        finally:
            if started:
                ray.shutdown()
    return total


def _counts(
    sources: List[Source],
    folder: OutputFolder,
    settings: Settings,
    pool: Pool,
    schema: Optional["pyarrow.Schema"],
    max_lines: int,
) -> Iterator[Dict[str, int]]:
    """What each piece gave, as it is written."""
    ray = _import_ray()
    context = ray.data.DataContext.get_current().copy()
    # A piece is a block, so that the actors share the pieces of one file.
    context.target_max_block_size = 1
    context.enable_progress_bars = False
    done: Dict[str, List[str]] = {}
    for name in sorted(folder.done):
        done.setdefault(name.rpartition("-")[0], []).append(name)
    items = [
        {
            "number": number,
            "source": list(map(str, source)),
            "done": done.get(f"part-{number:05}", []),
            "max_lines": max_lines,
        }
        for number, source in enumerate(sources)
    ]
    with ray.data.DataContext.current(context):
        pieces = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
            _read_table, batch_size=1, batch_format="pyarrow", zero_copy_batch=True, num_cpus=0
        )
        written = pieces.map_batches(
            PieceActor,
            batch_size=1,
            batch_format="pyarrow",
            fn_constructor_args=(settings, pool, folder.path, schema),
            **_resources(pool),
        )
        for row in written.iter_rows():
            yield dict(zip(row["names"], row["counts"]))


def _read_table(rows: "pyarrow.Table") -> Iterator["pyarrow.Table"]:
    """The pieces of some files, one at a time."""
    for row in rows.to_pylist():
        path, kind, size = row["source"]
        source = Source(path, kind, int(size))
        for piece in read_pieces(row["number"], source, set(row["done"]), row["max_lines"]):
            yield import_arrow().Table.from_pylist([piece._asdict()], _piece_schema())


def _piece_schema() -> "pyarrow.Schema":
    pa = import_arrow()
    kinds = {name: pa.string() for name in Piece._fields}
    return pa.schema({**kinds, "numbers": pa.list_(pa.int64()), "lines": pa.list_(pa.large_binary())})


def _counts_table(counts: List[Counter[str]]) -> "pyarrow.Table":
    pa = import_arrow()
    columns = pa.schema({"names": pa.list_(pa.string()), "counts": pa.list_(pa.int64())})
    return pa.Table.from_pylist([{"names": list(row), "counts": list(row.values())} for row in counts], columns)


def _with_error(schema: "pyarrow.Schema", place: bool = False) -> "pyarrow.Schema":
    """The columns with one that says why a text can't be used, and where it is from."""
    pa = import_arrow()
    fields = [pa.field("error", pa.string())]
    if place:
        fields += [pa.field("source", pa.string()), pa.field("line", pa.int64())]
    return pa.schema([*schema, *fields])


def _writable(record: Dict[str, Any]) -> Dict[str, Any]:
    """The record; or, if a value has no place in a file, such as half of a character, what is wrong."""
    try:
        json_line(record)
    except ValueError as err:
        return {"error": str(err), "source": record["source"], "line": record["line"]}
    return record


def _resources(pool: Pool) -> Dict[str, Any]:
    """Arguments of `map_batches`: which actors there are, and what they need."""
    ray = _import_ray()
    kind = "GPU" if pool.gpu else "CPU"
    size = pool.size or int(ray.cluster_resources().get(kind, 0))
    if not size:
        raise ValueError(Errors.S181.format(kind=kind))
    compute = ray.data.ActorPoolStrategy(min_size=1, max_size=size, initial_size=size)
    return {"compute": compute, "num_cpus": 1, **({"num_gpus": 1} if pool.gpu else {})}


def _extractor_settings(settings: Settings) -> Dict[str, Any]:
    return {name: getattr(settings, name) for name in ("model", "threshold", "component", "given_sentences")}


def _absolute(model: str) -> str:
    """Actors have other working directories."""
    return str(Path(model).resolve()) if Path(model).exists() else str(model)


def _absolute_pattern(pattern: str) -> str:
    return os.path.join(os.getcwd(), pattern)


def _import_ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError as err:
        raise ImportError(Errors.S182.format(error=err)) from err
    return ray
