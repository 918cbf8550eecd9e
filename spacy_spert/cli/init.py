"""`spacy spert init`: a config that fits the data."""

import sys
import textwrap
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, List, Optional, Sequence

import srsly
import typer
from wasabi import msg

from ..errors import Errors
from . import app
from ._data import check_outputs, read_examples, to_stdout, write_text

if TYPE_CHECKING:
    from ..recipes.choices import Choice
    from ..recipes.survey import Survey

# As wide as our configs.
WIDTH = 118


@app.command("init")
def init_cli(
    train: Annotated[Path, typer.Argument(help="Training data (.spacy)", exists=True)],
    dev: Annotated[Path, typer.Argument(help="Development data (.spacy)", exists=True)],
    output: Annotated[Path, typer.Argument(help="The config to write. - is stdout")],
    encoder: Annotated[
        Optional[str],
        typer.Option("--encoder", "-e", help="Folder or name of a transformer; by default spaCy's own embeddings"),
    ] = None,
    lang: Annotated[str, typer.Option("--lang", "-l", help="Language of the texts")] = "en",
    symmetric: Annotated[
        Optional[str],
        typer.Option(
            "--symmetric", "-s", help="Relation labels without direction, with commas; by default found in the data"
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-F", help="Replace a config that is there")] = False,
) -> None:
    """
    Write a config that fits the data and the encoder, and say why. `spacy train`
    takes it as it is.
    """
    labels = None if symmetric is None else [label.strip() for label in symmetric.split(",") if label.strip()]
    piped = to_stdout(output)
    try:
        chosen = init(train, dev, output, encoder=encoder, lang=lang, symmetric=labels, force=force)
    except (ValueError, OSError, ImportError) as err:
        with redirect_stdout(sys.stderr if piped else sys.stdout):
            msg.fail("Nothing was written", str(err), exits=1)
    with redirect_stdout(sys.stderr if piped else sys.stdout):
        for choice in chosen:
            typer.echo(f"{choice.setting} = {srsly.json_dumps(choice.value)}")
            typer.echo(textwrap.fill(choice.why, WIDTH, initial_indent="    ", subsequent_indent="    "))
        msg.good(f"Wrote {output}")
        if not piped:
            msg.info("Now you can train", f"spacy train {output} --output training")


def init(
    train: Path,
    dev: Path,
    output: Path,
    *,
    encoder: Optional[str] = None,
    lang: str = "en",
    symmetric: Optional[Sequence[str]] = None,
    force: bool = False,
) -> List["Choice"]:
    """Write a config that fits the data and the encoder.

    train (Path): Training data in spaCy's binary format.
    dev (Path): Development data in the same format.
    output (Path): The config to write; "-" for stdout.
    encoder (Optional[str]): Folder or name of a transformer; None for spaCy's own embeddings.
    lang (str): Language of the texts.
    symmetric (Optional[Sequence[str]]): Relation labels without direction; by default found in the data.
    force (bool): Replace a config that is there.
    RETURNS (List[Choice]): What was chosen, and why. It stands at the top of the config, too.
    RAISES (ValueError): If there is nothing to learn, the encoder can't be read, or the config is there already.
    """
    from spacy import blank

    from ..recipes.choices import choose_settings
    from ..recipes.config import make_config
    from ..recipes.encoder import read_encoder
    from ..recipes.survey import take_survey

    output = Path(output)
    check_outputs([Path(train), Path(dev)], [output])
    if output.exists() and not force:
        raise ValueError(Errors.S201.format(path=output))
    nlp = blank(lang)
    found, to_score = (take_survey(read_examples(path, nlp), "spert") for path in (train, dev))
    chosen = choose_settings(found, to_score, None if encoder is None else read_encoder(encoder), symmetric)
    config = make_config(chosen, lang, str(train), str(dev))
    write_text(output, f"{_header(chosen, found, to_score)}\n\n{config.to_str()}\n")
    return chosen


def _header(chosen: Sequence["Choice"], train: "Survey", dev: "Survey") -> str:
    """What was chosen, as comments."""
    size = f"{len(train.lengths)} documents with {sum(train.entities.values())} entities and "
    size += f"{sum(train.relations.values())} relations"
    lines = [f"Made by `spacy spert init` for {size}, scored on {len(dev.lengths)} documents.", ""]
    for choice in chosen:
        lines += textwrap.wrap(f"{choice.setting}: {choice.why}", WIDTH, subsequent_indent="    ")
    return "\n".join(f"# {line}".rstrip() for line in lines)
