"""`spacy spert extract`: entities and relations of many texts, as a stream."""

import errno
import json
import logging
import os
import sys
from collections import Counter
from concurrent.futures import BrokenExecutor
from contextlib import closing, redirect_stdout
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Callable, Iterable, Optional, Sequence, Tuple

import typer
from wasabi import msg

from ..errors import Errors
from ..extraction.codec import FOLDER, INPUTS, OUTPUTS, output_names
from ..extraction.folder import is_unfinished
from ..extraction.stream import CHECKSUM, START, Output, progress_path
from ..formats import StrictError
from ..formats.errors import Errors as FormatErrors
from ..formats.files import is_stdout
from ..formats.lines import BEGIN, Line, batch_lines
from ..formats.losses import shorten, tally
from . import app
from ._options import AnewOption, ComponentOption, FormatOption, GpuOption, ModelArg, TextsOption, parse_options
from ._streams import PIPE, open_input, open_output

if TYPE_CHECKING:
    from ..extraction.outputs import Frame
    from ..extraction.workers import Outcome, Settings

# A batch ends with the line that makes it this many bytes, so that long texts don't take more memory than short ones.
MAX_BATCH = 2**17


class Engine(str, Enum):
    ray = "ray"


@app.command("extract")
def extract_cli(
    model: ModelArg,
    input_path: Annotated[Path, typer.Argument(help="Records (.jsonl, .parquet) or a text a line (.txt). - is stdin")],
    output_path: Annotated[
        Path, typer.Argument(help="Records (.jsonl, .parquet), a triple a line (.csv), or what --to says. - is stdout")
    ],
    from_format: Annotated[
        Optional[str], typer.Option("--from", "-f", help=f"Format to read: {', '.join(INPUTS)}")
    ] = None,
    to_format: Annotated[
        Optional[str], typer.Option("--to", "-t", help=f"Format to write: {', '.join(output_names())}")
    ] = None,
    option: FormatOption = None,
    batch_size: TextsOption = 64,
    n_process: Annotated[
        Optional[int], typer.Option("--n-process", "-n", help="Processes (CPU only), or actors of Ray", min=1)
    ] = None,
    gpu_id: GpuOption = -1,
    threshold: Annotated[
        Optional[float], typer.Option("--threshold", help="Lowest probability of a relation, instead of the model's")
    ] = None,
    component: ComponentOption = None,
    given_sentences: Annotated[
        bool, typer.Option("--given-sentences", "-s", help="Use the records' sent_starts instead of the model's marks")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", "-r", help="Go on with an interrupted run")] = False,
    force: AnewOption = False,
    strict: Annotated[bool, typer.Option("--strict", "-S", help="Stop at a line that can't be used")] = False,
    engine: Annotated[
        Optional[Engine], typer.Option("--engine", "-e", help="Run on a cluster; in and out may be folders then")
    ] = None,
    address: Annotated[
        Optional[str], typer.Option("--address", "-a", help="Address of the cluster. By default one is started here")
    ] = None,
) -> None:
    """
    Write the entities and relations of texts as they come, with little memory.
    Lines that can't be used are named and skipped. An interrupted run is continued
    with --resume.
    """
    from tqdm import tqdm  # type: ignore[import-untyped]

    from ..devices import choose_device

    try:
        if engine is not None:
            if strict:
                why = "There a text that can't be used is a row with its error."
                raise ValueError(Errors.S066.format(one="--strict", other="--engine ray", why=why))
            if option:
                why = "Its outputs, Parquet and JSON lines, have no options."
                raise ValueError(Errors.S066.format(one="--option", other="--engine ray", why=why))
            from ..extraction.ray import extract_files

            counts = extract_files(
                model,
                str(input_path),
                output_path,
                from_format=from_format,
                to_format=to_format or "parquet",
                batch_size=batch_size,
                size=n_process,
                gpu=gpu_id >= 0,
                threshold=threshold,
                component=component,
                given_sentences=given_sentences,
                resume=resume,
                force=force,
                address=address,
                progress=True,
            )
            _show(counts, output_path, "texts with an error, see there")
            return
        if address is not None:
            raise ValueError(Errors.S066.format(one="--address", other="one process", why="Add --engine ray."))
        choose_device(gpu_id)
        counts = extract(
            model,
            input_path,
            output_path,
            from_format=from_format,
            to_format=to_format,
            batch_size=batch_size,
            n_process=n_process or 1,
            threshold=threshold,
            component=component,
            given_sentences=given_sentences,
            resume=resume,
            force=force,
            strict=strict,
            report=partial(tqdm.write, file=sys.stderr),
            progress=True,
            **parse_options(option or []),
        )
    except BrokenPipeError:
        # Nobody reads on, as with `| head`. Typer ends quietly then.
        raise
    except KeyboardInterrupt as err:
        _say("warn", "Stopped", _outlook(output_path))
        raise typer.Exit(130) from err
    except (StrictError, BrokenExecutor) as err:
        text = str(err) if isinstance(err, StrictError) else Errors.S067
        _say("fail", "Stopped", f"{text}\n{_outlook(output_path)}")
        raise typer.Exit(1) from err
    except OSError as err:
        # A full disk, for one.
        _say("fail", "Can't extract", "\n".join(filter(None, (str(err), _outlook(output_path)))))
        raise typer.Exit(1) from err
    except (ValueError, ImportError) as err:
        _say("fail", "Can't extract", str(err))
        raise typer.Exit(1) from err
    _show(counts, output_path, "lines skipped")


def _show(counts: Counter[str], output_path: Path, bad_ones: str) -> None:
    if not counts:
        return
    kept = {kind: counts.pop(kind) for kind in ("texts", "entities", "relations")}
    bad = counts.pop("bad", 0)
    for reason, n in counts.items():
        _say("warn", f"{n} {reason}")
    if bad:
        _say("warn", f"{bad} {bad_ones}")
    _say("good", f"Wrote {output_path}: " + ", ".join(f"{n} {kind}" for kind, n in kept.items()))
    if bad and not kept["texts"]:
        raise typer.Exit(1)


def extract(
    model: str,
    input_path: Path,
    output_path: Path,
    *,
    from_format: Optional[str] = None,
    to_format: Optional[str] = None,
    batch_size: int = 64,
    n_process: int = 1,
    threshold: Optional[float] = None,
    component: Optional[str] = None,
    given_sentences: bool = False,
    resume: bool = False,
    force: bool = False,
    strict: bool = False,
    report: Optional[Callable[[str], Any]] = None,
    progress: bool = False,
    **options: Any,
) -> Counter[str]:
    """Write the entities and relations of texts, batch by batch, in the order of the input.

    model (str): Name or path of the pipeline.
    input_path (Path): The texts; "-" for stdin.
    output_path (Path): The file to write, or a new folder for brat; "-" for stdout.
    from_format (Optional[str]): "jsonl", "txt" or "parquet"; by default as the name of the input ends.
    to_format (Optional[str]): "jsonl", "csv", "parquet", or the format of an annotation tool; by default as the name of
        the output ends, if it is one of the first three. A Parquet file appears only when it is complete.
    batch_size (int): How many texts are processed at a time; fewer if they are long.
    n_process (int): How many processes work.
    threshold (Optional[float]): Lowest probability of a relation; by default that of the pipeline.
    component (Optional[str]): The name of the component, needed only if there are several.
    given_sentences (bool): Use the sentence marks of the records. By default the pipeline's own marks count.
    resume (bool): Go on with an interrupted run.
    force (bool): Write the output anew if it exists.
    strict (bool): Make a line that can't be used an error. What was written before it stays, but in Parquet.
    report (Optional[Callable[[str], Any]]): Called with a message for each line that is skipped; by default the
        messages are logged.
    progress (bool): Show a progress bar.
    options (Any): Options of the format to write.
    RETURNS (Counter[str]): The number of "texts", "entities" and "relations" written, of "bad" lines, and of what could
        not be kept, those of the interrupted run included. Nothing if there was nothing to do.
    RAISES (ValueError): If settings don't fit, or in a strict run a line can't be used.
    """
    from tqdm import tqdm

    from ..extraction.outputs import frame_of
    from ..extraction.workers import Settings, checksum, extract_batches, load

    input_path, output_path = Path(input_path), Path(output_path)
    settings = Settings(
        str(Path(model).resolve()) if Path(model).exists() else str(model),
        threshold,
        _format("--from", from_format, input_path, INPUTS, INPUTS),
        _format("--to", to_format, output_path, OUTPUTS, output_names()),
        component,
        given_sentences,
        json.dumps(options, sort_keys=True) if options else None,
    )
    frame = frame_of(settings.to_format, settings.writer)
    is_folder = settings.to_format == FOLDER
    # What was written to a pipe or a device can't be cut.
    in_file = not is_folder and not is_stdout(output_path) and (output_path.is_file() or not output_path.exists())
    _check_arguments(input_path, output_path, in_file, is_folder, n_process, resume, force)
    _check_parquet(settings, input_path, in_file, resume)
    report = logging.getLogger("spacy.spert").warning if report is None else report
    if resume and output_path.exists() and not progress_path(output_path).exists():
        report(f"{output_path}: no interrupted run, nothing to do")
        return Counter()
    source = "stdin" if input_path == PIPE else str(input_path)
    try:
        state = {**settings._asdict(), CHECKSUM: checksum(load(settings))}
        with (
            open_input(input_path, settings.from_format, batch_size) as texts,
            open_output(
                output_path, in_file, is_folder, state, frame.after, texts.types, resume=resume, replace=force
            ) as output,
        ):
            for column in texts.unread:
                report(f"{source}: column '{shorten(column)}' is not read")
            output.skip(texts.lines, source)
            if output.done == START:
                output.write(frame.before, BEGIN, {})
            batches = batch_lines(texts.lines, batch_size, MAX_BATCH)
            bar = tqdm(
                total=texts.total,
                initial=output.done.lines if texts.in_rows else texts.tell(),
                unit=" rows" if texts.in_rows else "B",
                unit_scale=True,
                leave=False,
                # Without a terminal there is no bar.
                disable=None if progress else True,
            )
            with bar, closing(extract_batches(settings, batches, n_process)) as done:
                for batch, outcomes in done:
                    _write(output, zip(batch, outcomes), frame, source, strict, report)
                    bar.update(len(batch) if texts.in_rows else sum(line.size for line in batch))
        return Counter({"texts": 0, "entities": 0, "relations": 0, **output.done.counts})
    finally:
        load.cache_clear()


def _write(
    output: Output,
    outcomes: Iterable[Tuple[Line, "Outcome"]],
    frame: "Frame",
    source: str,
    strict: bool,
    report: Callable[[str], Any],
) -> None:
    data, counts, last, error = [], Counter[str](), None, None
    for line, outcome in outcomes:
        error = outcome.error and f"{source}:{line.number}: {outcome.error}"
        if error and strict:
            break
        if error:
            report(error)
        if outcome.data:
            data.append(outcome.data)
        for reason, n in outcome.counts.items():
            tally(counts, reason, n, before=output.done.counts)
        last = line
    if last is not None:
        begun = data and output.done.counts.get("texts")
        output.write((frame.between if begun else b"") + frame.between.join(data), last, counts)
    if error and strict:
        raise StrictError(error)


def _format(option: str, value: Optional[str], path: Path, by_name: Sequence[str], formats: Sequence[str]) -> str:
    if value is None:
        value = formats[0] if path == PIPE else path.suffix[1:]
        if value not in by_name:
            raise ValueError(Errors.S060.format(path=path, option=option, formats=", ".join(formats)))
    if value not in formats:
        raise ValueError(FormatErrors.F026.format(value=value, formats=", ".join(formats)))
    return value


def _check_arguments(
    source: Path, output: Path, in_file: bool, is_folder: bool, n_process: int, resume: bool, force: bool
) -> None:
    from thinc.api import NumpyOps, get_current_ops

    if source != PIPE and not source.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(source))
    if is_folder:
        from ..formats.brat_writer import check_folder

        if resume or force:
            one = "--resume" if resume else "--force"
            why = "The folder appears only once it is complete, and must be new or empty before."
            raise ValueError(Errors.S066.format(one=one, other=f"--to {FOLDER}", why=why))
        check_folder(output)
    elif output.is_dir():
        raise ValueError(FormatErrors.F024.format(output=output))
    if in_file and output.exists() and source.exists() and output.samefile(source):
        raise ValueError(FormatErrors.F023.format(output=output))
    if in_file and output.exists() and not resume and not force:
        raise ValueError(Errors.S061.format(output=output))
    if resume and force:
        raise ValueError(Errors.S066.format(one="--resume", other="--force", why="Choose one of them."))
    if resume and not in_file:
        raise ValueError(Errors.S066.format(one="--resume", other=f"the output {output}", why="It must be a file."))
    if n_process > 1 and not isinstance(get_current_ops(), NumpyOps):
        why = "One process uses the GPU; a larger --batch-size keeps it busy."
        raise ValueError(Errors.S066.format(one="--n-process", other="a GPU", why=why))


def _check_parquet(settings: "Settings", source: Path, in_file: bool, resume: bool) -> None:
    if settings.from_format == "parquet" and not source.is_file():
        raise ValueError(Errors.S066.format(one="Parquet", other=f"the input {source}", why="It must be a file."))
    if settings.to_format == "parquet" and not in_file:
        raise ValueError(Errors.S066.format(one="Parquet", other="this output", why="It must be a file."))
    if settings.to_format == "parquet" and resume:
        why = "Such a file is written as a whole. Write .jsonl, or a folder with --engine ray."
        raise ValueError(Errors.S066.format(one="--resume", other="a Parquet output", why=why))


def _outlook(output: Path) -> str:
    unfinished = progress_path(output).exists() or is_unfinished(output)
    return "What was written stays; --resume continues it." if unfinished else ""


def _say(kind: str, *text: str) -> None:
    """Print to stderr: stdout may be the output."""
    with redirect_stdout(sys.stderr):
        getattr(msg, kind)(*text)
