"""`spacy spert select`: the texts most worth annotating."""

import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Callable, Dict, Iterator, Optional, Tuple

import typer
from spacy.tokens import Doc

from ..errors import Errors
from ..extraction.codec import LINES, decode, json_line, with_id_in_meta
from ..formats import Losses, format_names, load_records, records
from ..formats.errors import Errors as FormatErrors
from ..formats.files import STDOUT, open_whole
from ..formats.lines import read_lines
from . import app
from ._options import AnewOption, ComponentOption, FormatOption, GpuOption, ModelArg, TextsOption, parse_options
from .extract import _say

# Our own records, as extract writes them.
DEFAULT = "jsonl"


@app.command("select")
def select_cli(
    model: ModelArg,
    pool_path: Annotated[Path, typer.Argument(help="Records (.jsonl) or a text a line (.txt)", exists=True)],
    output_path: Annotated[Path, typer.Argument(help="File to write. - is stdout")],
    n: Annotated[int, typer.Option("--n", "-n", help="How many texts", min=1)] = 100,
    from_format: Annotated[
        Optional[str], typer.Option("--from", "-f", help=f"Format to read: {', '.join(LINES)}")
    ] = None,
    to_format: Annotated[
        str, typer.Option("--to", "-t", help=f"Format to write: {', '.join(format_names(records))}")
    ] = DEFAULT,
    option: FormatOption = None,
    batch_size: TextsOption = 64,
    gpu_id: GpuOption = -1,
    component: ComponentOption = None,
    force: AnewOption = False,
) -> None:
    """
    Select from a pool the texts most worth annotating: those that the model is
    unsure of, spread over the pool. They are written with what the model found,
    the one most worth first, for people to correct.
    """
    from tqdm import tqdm  # type: ignore[import-untyped]

    from ..devices import choose_device

    choose_device(gpu_id)
    try:
        counts = select(
            model,
            pool_path,
            output_path,
            n=n,
            from_format=from_format,
            to_format=to_format,
            batch_size=batch_size,
            component=component,
            force=force,
            report=partial(tqdm.write, file=sys.stderr),
            progress=True,
            **parse_options(option or []),
        )
    except (ValueError, OSError, ImportError) as err:
        _say("fail", "Nothing was written", str(err))
        raise typer.Exit(1) from err
    if counts["bad"]:
        _say("warn", f"{counts['bad']} lines skipped")
    if counts["selected"] < n:
        _say("warn", f"The pool has only {counts['selected']} texts that can be used")
    _say("good", f"Wrote {output_path}: {counts['selected']} of {counts['texts']} texts")


def select(
    model: str,
    pool_path: Path,
    output_path: Path,
    *,
    n: int = 100,
    from_format: Optional[str] = None,
    to_format: str = DEFAULT,
    batch_size: int = 64,
    component: Optional[str] = None,
    force: bool = False,
    report: Callable[[str], Any],
    progress: bool = False,
    **options: Any,
) -> Counter[str]:
    """Write the texts of a pool that are most worth annotating, the one most worth first.

    model (str): Name or path of the pipeline.
    pool_path (Path): The texts, as `extract` reads them.
    output_path (Path): The file to write; "-" for stdout. It appears only once it is complete.
    n (int): How many texts.
    from_format (Optional[str]): "jsonl" or "txt"; by default as the name of the pool ends.
    to_format (str): The format to write. "jsonl" has the records that `extract` writes.
    batch_size (int): How many texts are processed at a time.
    component (Optional[str]): The name of the component, needed only if there are several.
    force (bool): Write the output anew if it exists.
    report (Callable[[str], Any]): Called with a message for each line that is skipped.
    progress (bool): Show a progress bar.
    **options (Any): Options of the format to write.
    RETURNS (Counter[str]): The number of "texts" that were read, those "selected", and "bad" lines.
    RAISES (ValueError): If settings don't fit, or no line can be used.
    """
    from tqdm import tqdm

    from ..devices import load_pipeline
    from ..extraction.extractor import KEPT
    from ..extraction.selection import select as select_records
    from ..formats.jsonl import to_json
    from ..formats.writing import gold_of

    pool_path, output_path = Path(pool_path), Path(output_path)
    from_format = ("txt" if pool_path.suffix == ".txt" else "jsonl") if from_format is None else from_format
    if from_format not in LINES:
        raise ValueError(FormatErrors.F026.format(value=from_format, formats=", ".join(LINES)))
    if n < 1:
        raise ValueError(Errors.S110.format(n=n))
    writer = load_records(to_format, **options)
    if output_path != STDOUT and output_path.is_file():
        if output_path.samefile(pool_path):
            raise ValueError(FormatErrors.F023.format(output=output_path))
        if not force:
            raise ValueError(Errors.S061.format(output=output_path))
    ours = to_format == DEFAULT
    counts: Counter[str] = Counter({"texts": 0, "selected": 0, "bad": 0})

    def refuse(place: str, error: str) -> None:
        counts["bad"] += 1
        report(f"{place}: {error}")

    def read() -> Iterator[Tuple[str, Dict[str, Any]]]:
        with pool_path.open("rb") as file_:
            for line in read_lines(file_):
                place = f"{pool_path}:{line.number}"
                try:
                    record = decode(line, from_format)
                    # What is kept must have a form in JSON.
                    json_line({name: (record or {}).get(name) for name in KEPT})
                except ValueError as err:
                    refuse(place, str(err))
                    continue
                if record is not None:
                    counts["texts"] += 1
                    yield place, record if ours else with_id_in_meta(record)

    def to_line(doc: Doc, spans_key: str) -> bytes:
        if not ours:
            return writer.encode(gold_of(doc, Losses(), "the record", spans_key))
        return json_line(to_json(doc, spans_key))

    nlp = load_pipeline(model)
    # Without a terminal there is no bar.
    pool = tqdm(read(), unit=" texts", leave=False, disable=None if progress else True)
    chosen = select_records(nlp, pool, n, to_line, refuse, component=component, batch_size=batch_size)
    if not chosen:
        raise ValueError(Errors.S111.format(pool=pool_path))
    with open_whole(output_path, "wb") as file_:
        lines = [_with_id(record, line) if ours else line for record, line in chosen]
        file_.write(writer.before.encode() + writer.between.encode().join(lines) + writer.after.encode())
    counts["selected"] = len(chosen)
    return counts


def _with_id(record: Dict[str, Any], line: bytes) -> bytes:
    """A line of ours with the id of the record, as extract writes it: before all else."""
    if "id" not in record:
        return line.rstrip()
    return json_line({"id": record["id"]}).rstrip()[:-1] + b", " + line.rstrip()[1:]
