"""`spacy spert select`: the texts most worth annotating."""

import json
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Callable, Dict, Iterator, List, Optional, Tuple

import typer

from ..errors import Errors
from ..extraction.codec import LINES, OUTPUTS, decode, json_line, with_id_in_meta
from ..formats import format_names, load_records, records
from ..formats.errors import Errors as FormatErrors
from ..formats.files import STDOUT, open_whole
from ..formats.lines import Line, read_lines
from ..formats.losses import tally
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
    for reason in sorted(set(counts) - {"texts", "selected", "bad"}):
        _say("warn", f"{counts[reason]} {reason}")
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
    output_path (Path): The file to write; "-" for stdout. It appears only once it is complete. It holds what `extract`
        writes for these texts.
    n (int): How many texts.
    from_format (Optional[str]): "jsonl" or "txt"; by default as the name of the pool ends.
    to_format (str): The format to write. By default our own records.
    batch_size (int): How many texts are processed at a time.
    component (Optional[str]): The name of the component, needed only if there are several.
    force (bool): Write the output anew if it exists.
    report (Callable[[str], Any]): Called with a message for each line that is skipped.
    progress (bool): Show a progress bar.
    **options (Any): Options of the format to write.
    RETURNS (Counter[str]): The number of "texts" that were read, those "selected", "bad" lines, and what of those
        selected could not be kept.
    RAISES (ValueError): If settings don't fit, or no line can be used.
    """
    from spacy.util import minibatch
    from tqdm import tqdm

    from ..extraction.extractor import KEPT
    from ..extraction.outputs import frame_of
    from ..extraction.selection import select as select_records
    from ..extraction.workers import Settings, extract_batch, load

    pool_path, output_path = Path(pool_path), Path(output_path)
    from_format = ("txt" if pool_path.suffix == ".txt" else "jsonl") if from_format is None else from_format
    if from_format not in LINES:
        raise ValueError(FormatErrors.F026.format(value=from_format, formats=", ".join(LINES)))
    if n < 1:
        raise ValueError(Errors.S110.format(n=n))
    # Not all that `extract` writes.
    load_records(to_format)
    settings = Settings(model, None, from_format, to_format, component, options=json.dumps(options))
    frame = frame_of(to_format, settings.writer)
    if output_path != STDOUT and output_path.is_file():
        if output_path.samefile(pool_path):
            raise ValueError(FormatErrors.F023.format(output=output_path))
        if not force:
            raise ValueError(Errors.S193.format(output=output_path))
    counts: Counter[str] = Counter({"texts": 0, "selected": 0, "bad": 0})

    def refuse(line: Line, error: str) -> None:
        counts["bad"] += 1
        report(f"{pool_path}:{line.number}: {error}")

    def read() -> Iterator[Tuple[Line, Dict[str, Any]]]:
        with pool_path.open("rb") as file_:
            for line in read_lines(file_):
                try:
                    record = decode(line, from_format)
                    # What is kept must have a form in JSON.
                    json_line({name: (record or {}).get(name) for name in KEPT})
                except ValueError as err:
                    refuse(line, str(err))
                    continue
                if record is not None:
                    counts["texts"] += 1
                    yield line, record if to_format in OUTPUTS else with_id_in_meta(record)

    try:
        nlp = load(settings).nlp
        # Before all work, as it may turn out that the file can't be written.
        with open_whole(output_path, "wb") as file_:
            # Without a terminal there is no bar.
            pool = tqdm(read(), unit=" texts", leave=False, disable=None if progress else True)
            chosen = select_records(nlp, pool, n, refuse, component=component, batch_size=batch_size)
            data: List[bytes] = []
            for batch in minibatch(chosen, batch_size):
                for line, outcome in zip(batch, extract_batch(settings, batch)):
                    if outcome.error is not None:
                        refuse(line, outcome.error)
                        continue
                    data.append(outcome.data)
                    for reason, number in outcome.counts.items():
                        if reason not in ("texts", "entities", "relations"):
                            tally(counts, reason, number)
            if not data:
                raise ValueError(Errors.S111.format(pool=pool_path))
            file_.write(frame.before + frame.between.join(data) + frame.after)
    finally:
        load.cache_clear()
    counts["selected"] = len(data)
    return counts
