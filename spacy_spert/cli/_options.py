"""Options that several commands have."""

from pathlib import Path
from typing import Annotated, Any, Dict, Iterable, List, Optional

import srsly
import typer

from ..formats.errors import Errors


def check_data(path: Path) -> Path:
    """RETURNS (Path): The path of data, which is there. Typer's own check knows no "-"."""
    if str(path) != "-" and not path.exists():
        raise typer.BadParameter(f"path '{path}' does not exist.")
    return path


ModelArg = Annotated[str, typer.Argument(help="Name or path of the pipeline")]
DataArg = Annotated[
    Path, typer.Argument(help="Annotated data in spaCy's binary format. - is stdin", callback=check_data)
]
ComponentOption = Annotated[
    Optional[str], typer.Option("--component", "-c", help="Name of the component, if there are several")
]
SymmetricOption = Annotated[
    Optional[str],
    typer.Option(
        "--symmetric",
        "-s",
        help="How relations without direction count: once, directed or twice; by default as the config says",
    ),
]
GoldEntitiesOption = Annotated[
    bool, typer.Option("--gold-entities", "-G", help="Give the gold entities and score the relations alone")
]
MarksOption = Annotated[
    bool, typer.Option("--given-sentences", help="Use the sentence marks of the data instead of the model's")
]
BatchSizeOption = Annotated[
    Optional[int], typer.Option("--batch-size", "-b", help="Documents at a time; by default the pipeline's", min=1)
]
TextsOption = Annotated[int, typer.Option("--batch-size", "-b", help="Texts at a time", min=1)]
GpuOption = Annotated[int, typer.Option("--gpu-id", "-g", help="GPU ID, or -1 for CPU")]
FormatOption = Annotated[
    Optional[List[str]],
    typer.Option("--option", "-o", help="NAME=VALUE: an option of the format. Can be given several times"),
]
AnewOption = Annotated[bool, typer.Option("--force", "-F", help="Write the output anew if it exists")]


def parse_options(values: Iterable[str]) -> Dict[str, Any]:
    """Read options of a format from the command line.

    values (Iterable[str]): NAME=VALUE each. A value is read as JSON if it is JSON, else it is a string.
    RETURNS (Dict[str, Any]): The values by the names of their parameters.
    RAISES (ValueError): If one has another form.
    """
    options: Dict[str, Any] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not (name and equals):
            raise ValueError(Errors.F050.format(value=value))
        try:
            options[name.replace("-", "_")] = srsly.json_loads(text)
        except ValueError:
            options[name.replace("-", "_")] = text
    return options
