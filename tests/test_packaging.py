"""What is published, and what it requires. `make packaging` installs it, which takes longer."""

import ast
import importlib.util
import json
import pkgutil
import re
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import forked
import pytest
import spacy
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

import spacy_spert

ROOT = Path(__file__).parents[1]
OLDEST = (3, 10)
PAGE = [f"evaluation/page/page.{ending}" for ending in ("css", "html", "js")]
MODULES = [module.name for module in pkgutil.walk_packages(spacy_spert.__path__, "spacy_spert.")]
CODE = sorted(
    path for part in ("spacy_spert", "scripts", "benchmarks", "tests") for path in ROOT.glob(f"{part}/**/*.py")
)

in_repository = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is not the repository")


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("check_packaging", ROOT / "scripts" / "check_packaging.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_packaging"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["check_packaging"]


@pytest.fixture(scope="module")
def files(script):
    return script.repository_files(ROOT)


@pytest.fixture(scope="module")
def built(script, files, tmp_path_factory):
    """The sdist and the wheel."""
    return script.build(ROOT, files, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def metadata(request):
    """That of the wheel, or where only the tests are, of what is installed."""
    if not (ROOT / ".git").exists():
        return distribution("spacy-spert").metadata
    return request.getfixturevalue("script").read_metadata(request.getfixturevalue("built")[1])


@in_repository
class TestBuilt:
    def test_nothing_is_missing_and_nothing_is_too_much(self, script, files, built):
        assert script.check_contents(files, *built) == []

    def test_what_is_missing_would_be_named(self, script, files, built):
        assert script.check_contents((files | {"spacy_spert/new.py"}) - {"docs/guide.md"}, *built) == [
            "Missing in the sdist: spacy_spert/new.py",
            "Not wanted in the sdist: docs/guide.md",
            "Missing in the wheel: spacy_spert/new.py",
        ]

    def test_wheel_has_more_than_code(self, built):
        names = zipfile.ZipFile(built[1]).namelist()
        assert {
            f"spacy_spert/{name}"
            for name in ("py.typed", "evaluation/page/page.css", "evaluation/page/page.html", "evaluation/page/page.js")
        } <= {*names}
        assert "spacy_spert-0.1.0.dist-info/licenses/LICENSE" in names

    def test_entry_points_of_the_wheel_are_those_that_are_tested(self, built):
        """The tests of the registry read those of what is installed, perhaps some time ago."""
        text = zipfile.ZipFile(built[1]).read("spacy_spert-0.1.0.dist-info/entry_points.txt").decode()
        installed = distribution("spacy-spert").entry_points
        lines = {f"{entry.name} = {entry.value}" for entry in installed}
        assert {line for line in text.splitlines() if "=" in line} == lines


def test_version(metadata):
    assert metadata["Name"] == "spacy-spert"
    assert metadata["Version"] == spacy_spert.__version__


def test_licence_and_typing(metadata):
    assert metadata["License-Expression"] == "MIT"
    assert "Typing :: Typed" in metadata.get_all("Classifier")


def requirements(lines, extra=""):
    found = [Requirement(line) for line in lines or ()]
    found = [req for req in found if req.marker is None or req.marker.evaluate({"extra": extra})]
    return {req.name.replace("_", "-"): req.specifier for req in found}


def upper(specifier):
    """The version that a specifier ends before, or None."""
    assert {part.operator for part in specifier} <= {">=", "<", "!="}, specifier
    return min((Version(part.version) for part in specifier if part.operator == "<"), default=None)


def is_tighter(ours, theirs):
    return ours is not None and (theirs is None or ours < theirs)


def test_what_is_required(metadata):
    """Torch ends nowhere. Think twice before adding something."""
    ours = requirements(metadata.get_all("Requires-Dist"))
    assert set(ours) == {
        *("spacy", "spacy-transformers", "thinc", "torch", "srsly"),
        *("catalogue", "numpy", "safetensors", "tqdm", "transformers", "typer", "wasabi"),
    }
    assert upper(ours["torch"]) is None
    assert upper(SpecifierSet(metadata["Requires-Python"])) is None


@pytest.mark.parametrize(
    "name", ["thinc", "srsly", "spacy-transformers", "torch", "numpy", "tqdm", "transformers", "typer", "wasabi"]
)
def test_no_upper_bound_is_tighter_than_that_of_spacy(metadata, name):
    """Of spaCy, with the extra that it calls transformers, and where it says nothing, of its transformers package."""
    theirs = requirements(distribution("spacy").requires, extra="transformers")
    if name not in theirs:
        theirs = requirements(distribution("spacy-transformers").requires)
    assert not is_tighter(upper(requirements(metadata.get_all("Requires-Dist"))[name]), upper(theirs[name]))


def test_upper_bound_of_spacy_is_that_of_its_own_pipelines(metadata):
    """What `spacy package` writes into the requirements of a pipeline."""
    theirs = SpecifierSet(spacy.util.get_minor_version_range(spacy.__version__))
    assert not is_tighter(upper(requirements(metadata.get_all("Requires-Dist"))["spacy"]), upper(theirs))


@pytest.mark.parametrize(
    "ours, theirs, expected",
    [("<8.3", "<8.4", True), ("<8.4", "<8.4", False), ("<9", "<8.4", False), ("<9", "", True), ("", "<9", False)],
)
def test_tighter(ours, theirs, expected):
    assert is_tighter(upper(SpecifierSet(ours)), upper(SpecifierSet(theirs))) is expected


def test_pythons_are_the_same_everywhere(metadata, script):
    version = ".".join(map(str, OLDEST))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf8")
    assert metadata["Requires-Python"] == f">={version}"
    assert re.findall(r'^target-version = "(.*)"$', project, re.M) == [f"py{version.replace('.', '')}"]
    assert re.findall(r'^python_version = "(.*)"$', project, re.M) == [version]
    assert f"sys.version_info < {OLDEST}" in (ROOT / "Makefile").read_text(encoding="utf8")
    prefix = "Programming Language :: Python :: "
    named = [line.removeprefix(prefix) for line in metadata.get_all("Classifier") if line.startswith(f"{prefix}3.")]
    assert tuple(named) == script.PYTHONS
    assert named[0] == version


def test_code_parses_on_the_oldest_python():
    for path in CODE:
        ast.parse(path.read_text(encoding="utf8"), str(path), feature_version=OLDEST)


PINS = [
    Requirement(line)
    for name in ("requirements.txt", "requirements-dev.txt")
    for line in (ROOT / name).read_text(encoding="utf8").splitlines()
    if not line.startswith(("#", "-r"))
]


@pytest.mark.parametrize("pin", PINS, ids=lambda pin: pin.name)
def test_versions_for_development_exist_for_the_oldest_python(pin):
    if pin.marker and not pin.marker.evaluate({"python_version": ".".join(map(str, OLDEST))}):
        pytest.skip("not for the oldest")
    try:
        installed = distribution(pin.name)
    except PackageNotFoundError:
        pytest.skip("not installed")
    if Version(installed.version).public not in pin.specifier:
        pytest.skip("another version is installed")
    assert SpecifierSet(installed.metadata["Requires-Python"] or "").contains(".".join(map(str, OLDEST)))


def test_every_module_can_be_imported_first():
    """Each in a copy of a process that has imported everything else. What is printed is the last line of its error."""
    code = """
import importlib, json, os, sys, traceback
import spacy.cli, torch, spacy_transformers
results = {}
for name in sys.argv[1:]:
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            importlib.import_module(name)
        except BaseException:
            os.write(writer, traceback.format_exc().strip().splitlines()[-1].encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file_:
        results[name] = file_.read()
    os.waitpid(child, 0)
print(json.dumps(results))
"""
    assert json.loads(forked.run(["-c", code, *MODULES], check=True).stdout) == dict.fromkeys(MODULES, "")
