"""Imports, over the syntax trees: which file uses which, and what is required of other packages."""

import ast
import re
import sys
from fnmatch import fnmatch
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "spacy_spert"
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.glob("**/*.py"))
# Their names are loaded when they are used.
EXEMPT = {"__init__.py"}
LAZY = "a public name of the package"
# Commands are registered by these imports, at the end of the file.
REGISTERING = "cli/__init__.py"

pytestmark = pytest.mark.skipif(not (ROOT / "CONTRIBUTING.md").exists(), reason="this is not the repository")


def read_rows(text):
    """The files of each row of the table in CONTRIBUTING.md, from top to bottom."""
    rows = re.findall(r"^\| (`.*?`) \|", text[text.index("## Layout") :], re.M)
    return [re.findall(r"`(.*?\.py)`", row) for row in rows]


@pytest.fixture(scope="module")
def rows():
    return read_rows((ROOT / "CONTRIBUTING.md").read_text(encoding="utf8"))


def row_of(file, rows):
    """Number of the row that names a file, or else has a pattern for it."""
    for matches in (lambda name: name == file, lambda name: "*" in name and fnmatch(file, name)):
        for i, names in enumerate(rows):
            if any(map(matches, names)):
                return i
    return None


def file_of(module):
    """The file of a module of the package, or None."""
    path = PACKAGE.joinpath(*module)
    if path.with_suffix(".py").is_file():
        return path.with_suffix(".py").relative_to(PACKAGE).as_posix()
    return (path / "__init__.py").relative_to(PACKAGE).as_posix() if (path / "__init__.py").is_file() else None


def own_imports(file, source):
    """Files of the package that a file imports, anywhere in it."""
    folder = file.split("/")[:-1]
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules = [alias.name.split(".") for alias in node.names]
            found.update(file_of(module[1:]) for module in modules if module[0] == PACKAGE.name and module[1:])
        elif isinstance(node, ast.ImportFrom):
            module = node.module.split(".") if node.module else []
            if node.level:
                base = folder[: len(folder) + 1 - node.level] + module
            elif module[0] == PACKAGE.name:
                base = module[1:]
            else:
                continue
            for alias in node.names:
                # Other public names are loaded from the file that has them, which may be any.
                public = LAZY if not base and alias.name != "__version__" else None
                found.add(file_of([*base, alias.name]) or public or file_of(base))
    return found - {None, *EXEMPT}


def upwards(file, source, rows):
    """What a file imports from its own row or one above."""
    own = row_of(file, rows)
    return sorted(other for other in own_imports(file, source) if other == LAZY or (row_of(other, rows) or 0) <= own)


@pytest.mark.parametrize("file", [file for file in FILES if not file.endswith("__init__.py")])
def test_every_file_has_a_place(file, rows):
    place = row_of(file, rows)
    assert place is not None, (
        f"{file} is in no row of the table in CONTRIBUTING.md, 'Layout'. Add it above what it imports."
    )


def test_every_named_file_exists(rows):
    named = {name for row in rows for name in row if "*" not in name}
    assert named <= set(FILES)


@pytest.mark.parametrize("file", FILES)
def test_imports_go_downwards(file, rows):
    if file in EXEMPT or row_of(file, rows) is None:
        return
    found = upwards(file, (PACKAGE / file).read_text(encoding="utf8"), rows)
    if file == REGISTERING:
        found = [other for other in found if not other.startswith("cli/")]
    assert found == [], f"{file} imports what is not below it in CONTRIBUTING.md, 'Layout'"


def test_the_component_is_below_the_tools(rows):
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf8")
    n_above = len(read_rows(text[: text.index("| **The component**")]))
    tools = ("checkpoint.py", "cli/", "evaluation/", "extraction/", "formats/", "recipes/", "serving/")
    places = {file: row_of(file, rows) for file in FILES if row_of(file, rows) is not None}
    assert all(
        (place < n_above) == (file == "optimization.py" or file.startswith(tools)) for file, place in places.items()
    )


def test_what_goes_upwards_is_found(rows):
    assert upwards("relations.py", "from .pipeline import Spert\nfrom .errors import Errors", rows) == ["pipeline.py"]
    assert upwards("ml/model.py", "def f():\n    from ..cli import app", rows) == ["cli/__init__.py"]
    assert upwards("errors.py", "from spacy_spert.relations import Relation", rows) == ["relations.py"]
    for source in ("import spacy_spert.cli", "from spacy_spert import cli", "from .. import cli"):
        assert upwards("ml/model.py", source, rows) == ["cli/__init__.py"]
    assert upwards("ml/model.py", "from .. import to_json, __version__", rows) == [LAZY]


def test_only_what_is_required_is_imported():
    """Every package that is imported is named in pyproject.toml, also if another one would bring it."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf8")
    block = project[project.index("\ndependencies = [") :]
    required = set(re.findall(r'^    "([\w-]+)', block[: block.index("\n]")], re.M))
    extras = re.findall(r'^(?!requires|keywords|dynamic)\w+ = \[(".*)\]$', project.split("\n[tool.")[0], re.M)
    optional = {re.match(r"[\w-]+", name)[0] for line in extras for name in re.findall(r'"(.*?)"', line)}
    names = packages_distributions()
    imported = set()
    for file in FILES:
        for node in ast.walk(ast.parse((PACKAGE / file).read_text(encoding="utf8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                modules = [node.module]
            imported |= {module.split(".")[0] for module in modules}
    foreign = imported - set(sys.stdlib_module_names) - {PACKAGE.name}
    missing = {module for module in foreign if not {*names.get(module, [module])} & (required | optional)}
    assert missing == set(), "add these to the dependencies in pyproject.toml"
    assert required - {name for module in foreign for name in names.get(module, [])} == set(), "these are not imported"
