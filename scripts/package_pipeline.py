"""Make a wheel of a trained pipeline, with its card and checksum, and see that it works without a network.

    python scripts/package_pipeline.py training/demo/tuned corpus packages --name spert_demo --version 0.1.0

Its transformer runs on ONNX Runtime in int8 if that loses next to nothing and prints the same for the lines at the top
of the README. The wheel is installed into a fresh environment, with what it requires, or with `--no-clean` beside the
packages of this one; then these lines are run with the network cut off, and must print what the README shows.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, List, Optional, Tuple

import typer
from wasabi import msg

from spacy_spert.cli.card import card
from spacy_spert.cli.evaluate import evaluate
from spacy_spert.cli.optimize import optimize

ROOT = Path(__file__).resolve().parents[1]
# Most points of F1 that int8 may lose on the development part.
LIMIT = 0.5
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
# The first code of the README and, if it shows it, what that prints.
FIRST = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
LOADED = re.compile(r'spacy\.load\(".*?"\)')
# Also where namespaces of the network are not allowed.
CUT_OFF = """
import socket
def refuse(*args, **kwargs):
    raise RuntimeError("The pipeline asks the network")
socket.socket.connect = socket.getaddrinfo = refuse
"""


def main(
    model: Annotated[Path, typer.Argument(help="Folder of the pipeline", exists=True)],
    corpus: Annotated[Path, typer.Argument(help="Folder with train.spacy, dev.spacy and test.spacy", exists=True)],
    output: Annotated[Path, typer.Argument(help="Folder for the wheel")],
    name: Annotated[str, typer.Option(help="Name of the package, without language")] = "spert_demo",
    version: Annotated[str, typer.Option(help="Version of the package")] = "0.1.0",
    dataset: Annotated[str, typer.Option(help="Name of the data")] = "spacy-spert demo",
    base_model: Annotated[Optional[str], typer.Option(help="Name of the transformer on the hub")] = None,
    license: Annotated[str, typer.Option(help="Licence of the pipeline")] = "MIT",
    readme: Annotated[Path, typer.Option(help="Page whose first lines are run", exists=True)] = ROOT / "README.md",
    clean: Annotated[bool, typer.Option(help="Install into a fresh environment, with all that is required")] = True,
) -> None:
    """
    Make a wheel of a trained pipeline, with its card and checksum, and see that
    it works without a network.
    """
    code, shown = first_lines(readme.read_text(encoding="utf8"))
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        # As the README says it, or as the pipeline itself prints it.
        expected = shown or run_lines(code, str(model))
        chosen = choose(model, corpus / "dev.spacy", work / "int8", code, expected)
        if chosen == model:
            chosen = Path(shutil.copytree(model, work / "model"))
        evaluate(str(chosen), corpus / "test.spacy", output=work / "metrics.json")
        made = card(
            chosen,
            metrics=work / "metrics.json",
            train=corpus / "train.spacy",
            dataset=dataset,
            base_model=base_model,
            license=license,
            name=name,
            version=version,
        )
        wheel = build_wheel(chosen, output)
        msg.good(f"Built {wheel}")
        python, path = install(wheel, work / "environment", clean)
        printed = run_lines(code, made.name, python, path)
    if printed != expected:
        msg.fail(
            "The package prints something else than the README shows", f"{printed}\ninstead of\n{expected}", exits=1
        )
    msg.good("Without a network it prints what the README shows", printed)


def first_lines(text: str) -> Tuple[str, str]:
    """RETURNS (Tuple[str, str]): The first code of a page, and what it prints, if the page shows that."""
    found = FIRST.search(text)
    if found is None or not LOADED.search(found[1]):
        msg.fail("The README does not begin with lines that load a pipeline", exits=1)
        raise SystemExit(1)
    return found[1], found[2] or ""


def choose(model: Path, dev: Path, output: Path, code: str, expected: str) -> Path:
    """Find out whether int8 is as good.

    model (Path): The pipeline.
    dev (Path): Data to compare on.
    output (Path): Folder for the pipeline in int8.
    code (str): Lines to run.
    expected (str): What they must print.
    RETURNS (Path): The folder of the better pipeline.
    """
    try:
        measured = optimize(str(model), output, int8=True, check=dev, limit=LIMIT)
    except (ValueError, ImportError) as err:
        msg.info("The pipeline stays as it is", str(err))
        return model
    before, after = measured["before"].speed, measured["after"].speed
    speeds = f"{after:.0f} documents/s instead of {before:.0f}"
    if after <= before or run_lines(code, str(output)) != expected:
        msg.info("The pipeline stays as it is", f"In int8 it has {speeds}, or prints other lines")
        return model
    msg.info("The transformer computes in int8", speeds)
    return output


def build_wheel(model: Path, output: Path) -> Path:
    """Build a wheel, with its checksum beside it.

    model (Path): The pipeline, with its card.
    output (Path): Folder to write to.
    RETURNS (Path): The wheel.
    """
    from spacy.cli.package import package

    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        package(model, Path(folder), create_sdist=False)
        (source,) = Path(folder).iterdir()
        command = [sys.executable, "-c", BUILD, str(output.resolve())]
        built = subprocess.run(command, cwd=source, check=True, capture_output=True, text=True).stdout
    wheel = output / built.splitlines()[-1]
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    # As `sha256sum --check` reads it.
    wheel.with_name(f"{wheel.name}.sha256").write_text(f"{digest}  {wheel.name}\n", encoding="utf8")
    return wheel


def install(wheel: Path, folder: Path, clean: bool) -> Tuple[str, Optional[Path]]:
    """Install a wheel.

    wheel (Path): The wheel.
    folder (Path): Folder for the environment.
    clean (bool): Make a fresh environment, with all that is required; otherwise use the packages of this one.
    RETURNS (Tuple[str, Optional[Path]]): A Python, and a folder of packages to add to its path.
    """
    if not clean:
        _pip(sys.executable, "--no-deps", "--no-index", "--target", str(folder), str(wheel))
        return sys.executable, folder
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    _pip(python, str(ROOT), str(wheel))
    return python, None


def run_lines(code: str, name: str, python: str = sys.executable, path: Optional[Path] = None) -> str:
    """Run code with another pipeline, cut off from the network.

    code (str): The code.
    name (str): Name or path of the pipeline that it is to load.
    python (str): The Python to run it with.
    path (Optional[Path]): A folder of packages.
    RETURNS (str): What it prints.
    """
    where = str(Path(name).resolve()) if Path(name).exists() else name
    lines = CUT_OFF + LOADED.sub(lambda _: f"spacy.load({where!r})", code)
    environment = {**os.environ, "PYTHONPATH": str(path.resolve())} if path else None
    with tempfile.TemporaryDirectory() as folder:
        command = [*_without_network(), python, "-c", lines]
        result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if result.returncode:
        msg.fail("The lines of the README failed", result.stderr, exits=1)
    return result.stdout


def _without_network() -> List[str]:
    """A command that runs another without any network, where that is allowed."""
    command = ["unshare", "--map-root-user", "--net"]
    is_there = shutil.which(command[0]) and not subprocess.run([*command, "true"], capture_output=True).returncode
    return command if is_there else []


def _pip(python: str, *arguments: str) -> None:
    subprocess.run([python, "-m", "pip", "install", "--quiet", *arguments], check=True)


if __name__ == "__main__":
    typer.run(main)
