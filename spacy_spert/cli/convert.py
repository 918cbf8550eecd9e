"""`spacy spert convert`: corpora of other tools to spaCy's binary format and back."""

import sys
from collections import Counter
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Annotated, Any, ContextManager, Dict, Iterable, Iterator, List, Optional

import typer
from spacy.language import Language
from spacy.tokens import Doc
from wasabi import msg

from ..formats import Losses, format_names, load, readers, writers
from ..formats.errors import Errors, Reasons
from ..formats.files import STDOUT, is_stdout, open_whole
from ..relations import DEFAULT_SPANS_KEY, RELATIONS_ATTR
from . import app
from ._options import parse_options

# How many places of a reason are shown without --verbose.
MAX_PLACES = 5


@app.command("convert")
def convert_cli(
    input_path: Annotated[Path, typer.Argument(help="Input file, or folder of brat files", exists=True)],
    output_path: Annotated[Path, typer.Argument(help="Output file; - is stdout. Folders on the way to it are made")],
    from_format: Annotated[
        Optional[str], typer.Option("--from", "-f", help=f"Format to read: {', '.join(format_names(readers))}")
    ] = None,
    to_format: Annotated[
        Optional[str], typer.Option("--to", "-t", help=f"Format to write: {', '.join(format_names(writers))}")
    ] = None,
    lang: Annotated[str, typer.Option("--lang", "-l", help="Language, for the tokenizer")] = "en",
    per_sentence: Annotated[
        bool, typer.Option("--per-sentence", "-s", help="One document per sentence (scierc)")
    ] = False,
    types: Annotated[
        Optional[Path], typer.Option("--types", help="types.json to check labels with (spert-json)", exists=True)
    ] = None,
    offsets: Annotated[
        Optional[str], typer.Option("--offsets", help="What offsets count: characters, utf16 or bytes")
    ] = None,
    head_roles: Annotated[
        Optional[str], typer.Option("--head-roles", help="Roles that are the head of a relation, with commas (brat)")
    ] = None,
    tail_roles: Annotated[
        Optional[str], typer.Option("--tail-roles", help="Roles that are its tail, with commas (brat)")
    ] = None,
    option: Annotated[
        Optional[List[str]],
        typer.Option("--option", "-o", help="NAME=VALUE: another option of the format. Can be given several times"),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", "-S", help="Make it an error if something is lost")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-V", help="Name every place of a loss")] = False,
) -> None:
    """
    Convert a corpus with entities and relations to spaCy's binary format
    (--from), or back to JSON (--to). What can't be kept is counted by reason;
    broken records are named by file and line and skipped.
    """
    losses = Losses(strict=strict)
    named = {
        "per_sentence": per_sentence,
        "types": types,
        "offsets": offsets,
        "head_roles": head_roles,
        "tail_roles": tail_roles,
    }
    try:
        options = {name: value for name, value in named.items() if value}
        kept = convert(
            input_path,
            output_path,
            from_format=from_format,
            to_format=to_format,
            lang=lang,
            losses=losses,
            progress=True,
            **{**options, **parse_options(option or [])},
        )
    except (ValueError, OSError, ImportError) as err:
        with _messages(output_path):
            _print_losses(losses, verbose)
            msg.fail("Nothing was written", str(err), exits=1)
    with _messages(output_path):
        _print_losses(losses, verbose)
        msg.good(f"Wrote {output_path}: " + ", ".join(f"{n} {kind}" for kind, n in kept.items()))
        if types is not None:
            from ..formats.spert_json import read_types

            msg.info(f"Symmetric labels, for the component's settings: {read_types(types).symmetric}")


def convert(
    input_path: Path,
    output_path: Path,
    *,
    from_format: Optional[str] = None,
    to_format: Optional[str] = None,
    lang: str = "en",
    losses: Optional[Losses] = None,
    progress: bool = False,
    **options: Any,
) -> Counter[str]:
    """Convert a corpus to spaCy's binary format or from it. The output appears only when it is complete.

    input_path (Path): The file to read, or a folder of brat files.
    output_path (Path): The file to write; "-" for stdout.
    from_format (Optional[str]): The format to read; .spacy is written.
    to_format (Optional[str]): The format to write; .spacy is read. Exactly one of the two.
    lang (str): The language, for the tokenizer.
    losses (Optional[Losses]): Where to count what can't be kept. By default that is an error.
    progress (bool): Show a progress bar.
    options (Any): Options of the format, which are parameters of its reader or its writer.
    RETURNS (Counter[str]): The number of "documents", "entities" and "relations" written.
    RAISES (ValueError): If nothing can be read, something would be lost and must not be, or settings don't fit.
    """
    import spacy
    from tqdm import tqdm  # type: ignore[import-untyped]

    input_path, output_path = Path(input_path), Path(output_path)
    losses = Losses(strict=True) if losses is None else losses
    if (from_format is None) == (to_format is None):
        raise ValueError(Errors.F025.format(formats=", ".join(format_names(readers))))
    _check_paths(input_path, output_path, from_format is not None, options)
    if from_format is not None:
        read, write = load(readers, from_format, **options), _write_spacy
    else:
        read, write = _read_spacy, load(writers, str(to_format), **options)
    docs = read(input_path, spacy.blank(lang), losses)
    # Without a terminal there is no bar.
    docs = tqdm(docs, unit=" docs", leave=False, disable=None if progress else True)
    return write(docs, output_path, losses)


def _check_paths(source: Path, output: Path, to_spacy: bool, options: Dict[str, Any]) -> None:
    if output == STDOUT:
        return
    inputs = [source, *(value for value in options.values() if isinstance(value, Path))]
    if output.exists() and any(output.samefile(path) for path in inputs):
        raise ValueError(Errors.F023.format(output=output))
    if to_spacy and output.is_dir():
        raise ValueError(Errors.F024.format(output=output))
    if to_spacy and output.suffix != ".spacy" and (output.is_file() or not output.exists()):
        raise ValueError(Errors.F027.format(output=output))


def _read_spacy(path: Path, nlp: Language, losses: Losses) -> Iterator[Doc]:
    from ..formats.doc_rel import note_unread
    from ..formats.docs import read_docs

    for doc in read_docs(path, nlp):
        note_unread(doc, losses)
        yield doc


def _write_spacy(docs: Iterable[Doc], path: Path, losses: Losses) -> Counter[str]:
    from spacy.tokens import DocBin

    doc_bin = DocBin(store_user_data=True)
    kept: Counter[str] = Counter()
    for doc in docs:
        doc_bin.add(doc)
        group = doc.spans[DEFAULT_SPANS_KEY]
        kept.update(documents=1, entities=len(group), relations=len(group.attrs.get(RELATIONS_ATTR) or ()))
    if not kept:
        raise ValueError(Errors.F022)
    with open_whole(path, "wb") as file_:
        file_.write(doc_bin.to_bytes())
    return kept


def _messages(output: Path) -> ContextManager[Any]:
    """Messages go to stderr if the documents went to stdout."""
    return redirect_stdout(sys.stderr) if is_stdout(output) else nullcontext()


def _print_losses(losses: Losses, verbose: bool) -> None:
    if losses.counts:
        msg.warn("Lost, changed or assumed:")
        msg.table([(n, reason) for reason, n in losses.counts.most_common()], aligns=("r", "l"))
    for reason, places in losses.places.items():
        shown = places if verbose or reason == Reasons.BROKEN else places[:MAX_PLACES]
        msg.text(f"{reason}:")
        for place in shown:
            msg.text(f"  {place}")
        if len(shown) < len(places):
            msg.text(f"  ... and {len(places) - len(shown)} more (--verbose names all)")
