"""`spacy spert convert`: corpora of other tools to spaCy's binary format and back."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Dict, Iterable, Iterator, Optional

import typer
from spacy.language import Language
from spacy.tokens import Doc
from wasabi import msg

from ..formats import READERS, WRITERS, Losses, load
from ..formats.errors import Errors, Reasons
from ..formats.files import open_whole
from ..relations import DEFAULT_SPANS_KEY, RELATIONS_ATTR
from . import app

# How many places of a reason are shown without --verbose.
MAX_PLACES = 5
# Settings of single readers, and the format they belong to.
READER_OPTIONS = {"per_sentence": "scierc", "types": "spert-json"}


@app.command("convert")
def convert_cli(
    input_path: Annotated[Path, typer.Argument(help="Input file, or folder of brat files", exists=True)],
    output_path: Annotated[Path, typer.Argument(help="Output file. Folders on the way to it are made")],
    from_format: Annotated[
        Optional[str], typer.Option("--from", "-f", help=f"Format to read: {', '.join(READERS)}")
    ] = None,
    to_format: Annotated[
        Optional[str], typer.Option("--to", "-t", help=f"Format to write: {', '.join(WRITERS)}")
    ] = None,
    lang: Annotated[str, typer.Option("--lang", "-l", help="Language, for the tokenizer")] = "en",
    per_sentence: Annotated[
        bool, typer.Option("--per-sentence", "-s", help="One document per sentence (scierc)")
    ] = False,
    types: Annotated[
        Optional[Path], typer.Option("--types", help="types.json to check labels with (spert-json)", exists=True)
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", "-S", help="Make it an error if something is lost")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-V", help="Name every place of a loss")] = False,
) -> None:
    """
    Convert a corpus with entities and relations to spaCy's binary format
    (--from), or back to JSON (--to). What can't be kept is counted by reason;
    broken records are named by file and line and passed over.
    """
    losses = Losses(strict=strict)
    try:
        kept = convert(
            input_path,
            output_path,
            from_format=from_format,
            to_format=to_format,
            lang=lang,
            losses=losses,
            per_sentence=per_sentence,
            types=types,
            progress=True,
        )
    except (ValueError, OSError, ImportError) as err:
        _print_losses(losses, verbose)
        msg.fail("Nothing was written", str(err), exits=1)
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
    per_sentence: bool = False,
    types: Optional[Path] = None,
    progress: bool = False,
) -> Counter[str]:
    """Convert a corpus to spaCy's binary format or from it. The output appears only when it is complete.

    input_path (Path): The file to read, or a folder of brat files.
    output_path (Path): The file to write.
    from_format (Optional[str]): The format to read; .spacy is written.
    to_format (Optional[str]): The format to write; .spacy is read. Exactly one of the two.
    lang (str): The language, for the tokenizer.
    losses (Optional[Losses]): Where to count what can't be kept. By default that is an error.
    per_sentence (bool): One document per sentence, for "scierc".
    types (Optional[Path]): A types.json to check labels against, for "spert-json".
    progress (bool): Show a progress bar.
    RETURNS (Counter[str]): The number of "documents", "entities" and "relations" written.
    RAISES (ValueError): If nothing can be read, something would be lost and must not be, or settings don't fit.
    """
    import spacy
    from tqdm import tqdm  # type: ignore[import-untyped]

    input_path, output_path = Path(input_path), Path(output_path)
    losses = Losses(strict=True) if losses is None else losses
    options: Dict[str, Any] = {"per_sentence": per_sentence, "types": types}
    options = {name: value for name, value in options.items() if value}
    _check_arguments(input_path, output_path, from_format, to_format, options)
    nlp = spacy.blank(lang)
    if from_format is not None:
        docs = load(READERS[from_format])(input_path, nlp, losses, **options)
    else:
        docs = _read_spacy(input_path, nlp)
    # Without a terminal there is no bar.
    docs = tqdm(docs, unit=" docs", leave=False, disable=None if progress else True)
    if from_format is not None:
        return _write_spacy(docs, output_path)
    return load(WRITERS[str(to_format)])(docs, output_path, losses)


def _check_arguments(
    source: Path, output: Path, from_format: Optional[str], to_format: Optional[str], options: Dict[str, Any]
) -> None:
    if (from_format is None) == (to_format is None):
        raise ValueError(Errors.F025.format(formats=", ".join(READERS)))
    formats, name = (WRITERS, to_format) if from_format is None else (READERS, from_format)
    if name not in formats:
        raise ValueError(Errors.F026.format(value=name, formats=", ".join(formats)))
    for option in options:
        if from_format != READER_OPTIONS[option]:
            name = "--" + option.replace("_", "-")
            raise ValueError(Errors.F028.format(option=name, format=READER_OPTIONS[option]))
    if output.is_dir():
        raise ValueError(Errors.F024.format(output=output))
    if output.exists() and any(output.samefile(path) for path in (source, options.get("types")) if path):
        raise ValueError(Errors.F023.format(output=output))
    if from_format is not None and output.suffix != ".spacy":
        raise ValueError(Errors.F027.format(output=output))


def _read_spacy(path: Path, nlp: Language) -> Iterator[Doc]:
    from spacy.tokens import DocBin

    try:
        doc_bin = DocBin().from_disk(path)
    except Exception as err:  # whatever its parser meets in a file of another kind
        raise ValueError(Errors.F029.format(path=path, error=err)) from err
    yield from doc_bin.get_docs(nlp.vocab)


def _write_spacy(docs: Iterable[Doc], path: Path) -> Counter[str]:
    from spacy.tokens import DocBin

    doc_bin = DocBin(store_user_data=True)
    kept: Counter[str] = Counter()
    for doc in docs:
        doc_bin.add(doc)
        group = doc.spans[DEFAULT_SPANS_KEY]
        kept.update(documents=1, entities=len(group), relations=len(group.attrs[RELATIONS_ATTR]))
    if not kept:
        raise ValueError(Errors.F022)
    with open_whole(path, "wb") as file_:
        file_.write(doc_bin.to_bytes())
    return kept


def _print_losses(losses: Losses, verbose: bool) -> None:
    if losses.counts:
        msg.warn("Not kept as it is in the input:")
        msg.table([(n, reason) for reason, n in losses.counts.most_common()], aligns=("r", "l"))
    for reason, places in losses.places.items():
        shown = places if verbose or reason == Reasons.BROKEN else places[:MAX_PLACES]
        msg.text(f"{reason}:")
        for place in shown:
            msg.text(f"  {place}")
        if len(shown) < len(places):
            msg.text(f"  ... and {len(places) - len(shown)} more (--verbose names all)")
