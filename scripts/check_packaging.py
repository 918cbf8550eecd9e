"""Does what we publish work where it is installed?

Builds the sdist, and the wheel from the sdist. For each Python, and for the lowest and the newest versions that are
allowed, makes a fresh environment, installs the wheel and runs the tests of the sdist there. uv resolves and installs;
its settings apply, not those of pip. Newest means newest: torch brings several GB.

    python scripts/check_packaging.py --python 3.10 --python 3.13 -- -k "not browser"
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from email.message import Message
from email.parser import Parser
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, List, NamedTuple, Optional, Set, Tuple

import typer
from wasabi import msg, table

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "spacy_spert"
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
# Tried, but not among the classifiers until the tests pass with it.
NEXT = ("3.14",)
SHOWN = ("spacy", "spacy-transformers", "thinc", "torch", "srsly", "numpy", "typer")
UV = (sys.executable, "-m", "uv", "--no-python-downloads", "--quiet")
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_{}(sys.argv[1]))"
WHERE = f"""
import {PACKAGE}
from importlib.metadata import version
print({PACKAGE}.__file__, *map(version, {SHOWN}), sep="\\n")
"""
# What a type checker sees of it, which without py.typed is Any.
TYPED = f"import {PACKAGE}; reveal_type({PACKAGE}.get_relations)"
TYPE = f"{PACKAGE}.relations.Relation"
# Before 3.8.13 spaCy imports click and leaves it to typer to bring it, which typer does no more.
OLD_TYPER = "typer<0.26"
# Old versions call what has been deprecated since, and spaCy's old commands name an option twice.
OLD_WARNINGS = ("-W", "ignore::DeprecationWarning", "-W", "ignore:The parameter:UserWarning")


class Resolution(str, Enum):
    lowest = "lowest"
    newest = "newest"


class Outcome(NamedTuple):
    passed: bool
    summary: str
    versions: Tuple[str, ...] = ("",) * len(SHOWN)


def main(
    pytest_args: Annotated[Optional[List[str]], typer.Argument(help="Arguments of pytest, after --")] = None,
    python: Annotated[
        Optional[List[str]], typer.Option("--python", "-p", help="Version or path. Default: 3.10 to 3.14, if to be had")
    ] = None,
    resolution: Annotated[Optional[List[Resolution]], typer.Option("--resolution", "-r", help="Default: both")] = None,
    keep: Annotated[Optional[Path], typer.Option(help="Folder for the environments, which are then kept")] = None,
) -> None:
    """
    Build the package, install it into fresh environments and run its tests there.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = (keep or Path(temporary)).absolute()
        files = repository_files(ROOT)
        sdist, wheel = build(ROOT, files, folder / "dist", make_builder(folder / "builder"))
        problems = check_contents(files, sdist, wheel)
        for problem in problems:
            msg.fail(problem)
        msg.good(f"Built {sdist.name} and {wheel.name}", show=not problems)
        outcomes = {}
        for name in python or (*PYTHONS, *NEXT):
            version = find_python(name)
            if version is None:
                # One that was asked for is missed; of the others we take what there is.
                outcomes[name, ""] = Outcome(not python, "not on this machine, and can't be fetched")
                continue
            for choice in resolution or list(Resolution):
                msg.divider(f"Python {version}, {choice.value}")
                work = folder / f"{version}-{choice.value}"
                outcomes[version, choice.value] = check(name, choice, sdist, wheel, work, pytest_args or [])
                if keep is None:
                    shutil.rmtree(work, ignore_errors=True)
    rows = [(*key, *o.versions, o.summary if o.passed else f"failed: {o.summary}") for key, o in outcomes.items()]
    print(table(rows, header=("Python", "versions", *SHOWN, "tests"), divider=True))  # noqa: T201
    if problems or not all(o.passed for o in outcomes.values()) or not any(choice for _, choice in outcomes):
        sys.exit(1)


def find_python(name: str) -> Optional[str]:
    """Find a Python on this machine, or else have uv fetch it.

    name (str): Version or path.
    RETURNS (Optional[str]): Its whole version; None if there is none.
    """
    find = [*UV[:-1], "python", "find", "--show-version", name]
    found = subprocess.run(find, capture_output=True, text=True)
    if found.returncode:
        subprocess.run([sys.executable, "-m", "uv", "--quiet", "python", "install", name], capture_output=True)
        found = subprocess.run(find, capture_output=True, text=True)
    return None if found.returncode else found.stdout.strip()


def repository_files(root: Path) -> Set[str]:
    """RETURNS (Set[str]): The files of the repository, without what git ignores."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout.split("\0")
    return {name for name in names if name and (root / name).is_file()}


def make_builder(folder: Path) -> Path:
    """Make an environment with the oldest setuptools that pyproject.toml allows.

    folder (Path): Folder for the environment.
    RETURNS (Path): Its Python.
    """
    project = (ROOT / "pyproject.toml").read_text(encoding="utf8")
    (requirement,) = re.findall(r'^requires = \["(.*)"\]$', project, re.MULTILINE)
    if not install(folder, sys.executable, Resolution.lowest, [requirement]):
        msg.fail(f"No environment with {requirement} to build in, see above", exits=1)
    return folder / "bin" / "python"


def build(root: Path, files: Set[str], output: Path, python: Path = Path(sys.executable)) -> Tuple[Path, Path]:
    """Build the sdist from a copy of the files, as building leaves files behind, and the wheel from the sdist alone.

    root (Path): The repository.
    files (Set[str]): Its files.
    output (Path): Folder to write to.
    python (Path): A Python with the setuptools to build with.
    RETURNS (Tuple[Path, Path]): The sdist and the wheel.
    """
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "source"
        for name in files:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, source / name)
        sdist = _build("sdist", source, output, python)
        wheel = _build("wheel", unpack(sdist, Path(temporary) / "sdist"), output, python)
    return sdist, wheel


def _build(kind: str, source: Path, output: Path, python: Path) -> Path:
    command = [str(python), "-c", BUILD.format(kind), str(output)]
    result = subprocess.run(command, cwd=source, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{result.stderr}\nThe {kind} can't be built, see above")
    return output / result.stdout.splitlines()[-1]


def unpack(sdist: Path, folder: Path) -> Path:
    """RETURNS (Path): The folder in the sdist, unpacked into another."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = folder.iterdir()
    return unpacked


def read_metadata(wheel: Path) -> Message:
    """RETURNS (Message): The metadata of a wheel, by field."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode("utf8"))


def check_contents(files: Set[str], sdist: Path, wheel: Path) -> List[str]:
    """Compare what was built with the repository.

    files (Set[str]): The files of the repository.
    sdist (Path): The sdist.
    wheel (Path): The wheel.
    RETURNS (List[str]): What is wrong, as sentences.
    """
    with tarfile.open(sdist) as archive:
        in_sdist = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = set(archive.namelist())
    info = "-".join(wheel.name.split("-")[:2]) + ".dist-info"
    about = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "top_level.txt", "licenses/LICENSE"}
    # Made by setuptools, which needs them to build the wheel.
    made = {name for name in in_sdist if name in ("PKG-INFO", "setup.cfg") or ".egg-info/" in name}
    # Hidden files are for those who have the repository.
    wanted_sdist = {name for name in files if not name.startswith(".")}
    wanted_wheel = {name for name in files if name.startswith(f"{PACKAGE}/")} | {f"{info}/{name}" for name in about}
    problems = []
    for kind, wanted, there in (("sdist", wanted_sdist, in_sdist - made), ("wheel", wanted_wheel, in_wheel)):
        problems += [f"Missing in the {kind}: {name}" for name in sorted(wanted - there)]
        problems += [f"Not wanted in the {kind}: {name}" for name in sorted(there - wanted)]
    return problems


def check(python: str, resolution: Resolution, sdist: Path, wheel: Path, work: Path, pytest_args: List[str]) -> Outcome:
    """Run the tests in a fresh environment.

    python (str): Version or path of a Python.
    resolution (Resolution): Whether to install the lowest or the newest versions.
    sdist (Path): The sdist, for the tests.
    wheel (Path): The wheel, which is installed.
    work (Path): Folder for the environment and the tests.
    pytest_args (List[str]): More arguments of pytest.
    RETURNS (Outcome): What came of it.
    """
    start = time.perf_counter()
    lowest = resolution == Resolution.lowest
    shutil.rmtree(work, ignore_errors=True)
    # Named beside the wheel, as only what is named gets its lowest version.
    requirements = [line for line in read_metadata(wheel).get_all("Requires-Dist", []) if "extra ==" not in line]
    if not install(work / "env", python, resolution, [str(wheel), *requirements, *tools(wheel)]):
        return Outcome(False, "can't be installed")
    tests = unpack(sdist, work / "sdist")
    # So that the tests can't but import what was installed.
    shutil.rmtree(tests / PACKAGE)
    status, output = _run(work / "env", tests, "-W", "ignore", "-c", WHERE)
    if status:
        return Outcome(False, "can't be imported")
    location, *versions = output.splitlines()[-1 - len(SHOWN) :]
    assert Path(location).is_relative_to(work / "env"), location
    if not lowest:
        status, output = _run(work / "env", work, "-m", "mypy", "--cache-dir", work / "mypy", "-c", TYPED)
        if status or TYPE not in output:
            return Outcome(False, "types are not seen", tuple(versions))
    arguments = ["-p", "no:cacheprovider", *(OLD_WARNINGS if lowest else ()), *pytest_args]
    status, output = _run(work / "env", tests, "-m", "pytest", *arguments)
    counts = re.findall(r"^=*\s*(\d+ (?:passed|failed|skipped|error).*?)(?: in [\d.]+s.*)?$", output, re.MULTILINE)
    summary = counts[-1] if counts else f"exit status {status}"
    return Outcome(status == 0, f"{summary} ({time.perf_counter() - start:.0f} s)", tuple(versions))


def tools(wheel: Path) -> List[str]:
    """RETURNS (List[str]): What the tests need, in the versions of requirements-dev.txt."""

    def name(requirement: str) -> str:
        return re.split(r"[^\w.-]", requirement, maxsplit=1)[0]

    needed = [name(line) for line in read_metadata(wheel).get_all("Requires-Dist", []) if 'extra == "dev"' in line]
    pins = (ROOT / "requirements-dev.txt").read_text(encoding="utf8").splitlines()
    return [line for line in pins if name(line) in needed]


def install(env: Path, python: str, resolution: Resolution, requirements: List[str]) -> bool:
    """Make an environment and install into it.

    env (Path): Folder for the environment.
    python (str): Version or path of its Python.
    resolution (Resolution): Whether to install the lowest or the newest versions of what is required.
    requirements (List[str]): What to install. What that requires itself is installed in the newest version.
    RETURNS (bool): Whether it worked.
    """
    lowest = resolution == Resolution.lowest
    how = "lowest-direct" if lowest else "highest"
    command = ["pip", "install", "--python", str(env), "--only-binary", ":all:", "--resolution", how]
    if subprocess.run([*UV, "venv", "--clear", "--python", python, str(env)]).returncode:
        return False
    (env / "constraints.txt").write_text(OLD_TYPER if lowest else "", encoding="utf8")
    return subprocess.run([*UV, *command, "-c", str(env / "constraints.txt"), *requirements]).returncode == 0


def _run(env: Path, folder: Path, *arguments: Any) -> Tuple[int, str]:
    """The Python of an environment in a folder. What it prints is shown, and returned after its exit status."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    variables["PATH"] = f"{env / 'bin'}{os.pathsep}{os.environ['PATH']}"
    command = [str(env / "bin" / "python"), *map(str, arguments)]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    output = []
    with subprocess.Popen(command, cwd=folder, env=variables, **pipes) as process:
        for line in process.stdout or ():
            output.append(line)
            print(line, end="", flush=True)  # noqa: T201
    return process.returncode, "".join(output)


if __name__ == "__main__":
    typer.run(main)
