"""Folders of pipelines that commands write: checked before the work, and there only when they are complete."""

from pathlib import Path
from tempfile import TemporaryDirectory

from spacy.language import Language

from ..errors import Errors


def check_folder(output: Path, force: bool, *sources: Path) -> Path:
    """Make sure that a pipeline can be written into a folder.

    output (Path): The folder.
    force (bool): Whether a pipeline that is there may be replaced.
    sources (Path): What the pipeline is made of.
    RETURNS (Path): The whole path of the folder.
    RAISES (ValueError): If something is there that must not be replaced.
    """
    output = Path(output).resolve()
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return output
    is_pipeline = (output / "config.cfg").is_file() and (output / "meta.json").is_file()
    if not (force and is_pipeline) or any(Path(source).resolve().is_relative_to(output) for source in sources):
        raise ValueError(Errors.S059.format(path=output))
    return output


def save_pipeline(nlp: Language, output: Path) -> None:
    """Write a pipeline. What was in the folder is gone once the new one is complete.

    nlp (Language): The pipeline.
    output (Path): The folder, as check_folder returned it.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as folder:
        nlp.to_disk(Path(folder) / "new")
        if output.exists():
            output.rename(Path(folder) / "old")
        (Path(folder) / "new").rename(output)
