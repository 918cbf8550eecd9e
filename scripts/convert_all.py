"""Convert several files as `spacy spert convert` does, which takes seconds to start."""

from pathlib import Path
from typing import Annotated, List

import typer

from spacy_spert.cli.convert import convert_cli


def main(
    output: Annotated[Path, typer.Argument(help="Folder for the .spacy files")],
    paths: Annotated[List[Path], typer.Argument(help="The files", exists=True)],
    from_format: Annotated[str, typer.Option("--from", help="Their format")],
) -> None:
    for path in paths:
        convert_cli(path, output / f"{path.stem}.spacy", from_format=from_format)


if __name__ == "__main__":
    typer.run(main)
