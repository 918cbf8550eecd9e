"""Writing a pipeline so that its folder appears only when it is complete."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ..errors import Errors

if TYPE_CHECKING:
    from spacy.language import Language


def check_folder(output: Path, force: bool, *sources: Path) -> Path:
    """Make sure before the work that a pipeline can be written.

    output (Path): The folder to write.
    force (bool): Replace a pipeline that is there.
    *sources (Path): What is read, and must not be replaced.
    RETURNS (Path): The folder as an absolute path.
    RAISES (ValueError): If there is something else, or what is read.
    """
    output = Path(output).resolve()
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return output
    is_pipeline = (output / "config.cfg").is_file() and (output / "meta.json").is_file()
    if not (force and is_pipeline) or any(Path(source).resolve().is_relative_to(output) for source in sources):
        raise ValueError(Errors.S059.format(path=output))
    return output


def write_folder(nlp: "Language", output: Path) -> None:
    """Write a pipeline.

    nlp (Language): The pipeline.
    output (Path): The folder, as check_folder returned it. What is there is replaced.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as folder:
        nlp.to_disk(Path(folder) / "new")
        if output.exists():
            output.rename(Path(folder) / "old")
        (Path(folder) / "new").rename(output)
