"""The site of the documentation: it is built without a warning, and leaves nothing out."""

import inspect
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Iterator

import pytest
import typer

import spacy_spert
import spacy_spert.cli
from spacy_spert.errors import Errors, Warnings
from spacy_spert.factories import DEFAULT_CONFIG
from spacy_spert.formats.errors import Errors as FormatErrors
from spacy_spert.relations import RELATIONS_ATTR, SCORES_ATTR
from spacy_spert.scorer import score_spert

DOCS = Path(__file__).parents[1] / "docs"
sys.path.insert(0, str(DOCS / "_ext"))

import docstrings  # noqa: E402
import reference  # noqa: E402

AUTODOC = re.compile(r"^\.\. auto(?:class|function):: (\S+)$", re.MULTILINE)


def resolve(name):
    """The object of a whole name, or of a name of the package."""
    module, _, name = (name if name.startswith("spacy_spert.") else f"spacy_spert.{name}").rpartition(".")
    return getattr(import_module(module), name)


# All objects whose docstrings are on the site.
IN_PYTHON = AUTODOC.findall((DOCS / "api.md").read_text(encoding="utf8"))
GROUPS = [*reference.REGISTRIES, *reference.FORMATS]
REGISTERED = {value for group in GROUPS for _, value in reference.entry_points(group)}
FUNCTIONS = sorted({*IN_PYTHON, *REGISTERED, "spacy_spert.factories.make_spert"})


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    path = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", path / "cache", DOCS, path / "html"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return path / "html"


def read(site, name):
    return (site / f"{name}.html").read_text(encoding="utf8")


def test_public_names(site):
    page = read(site, "api")
    assert [name for name in spacy_spert.__all__ if f'id="spacy_spert.{name}"' not in page] == []


def test_registered_names(site):
    page = read(site, "registered")
    for group in (*GROUPS, reference.FACTORIES):
        for name, value in reference.entry_points(group):
            assert f'id="{value}"' in page
            assert f"<h3>{reference.FORMATS.get(group, '')} {name}<".replace("> ", ">") in page


def test_all_groups_of_names_are_there():
    """Commands have a page of their own, and records are writers, too."""
    groups = {entry.group for entry in reference.distribution(reference.DISTRIBUTION).entry_points}
    assert groups - {*GROUPS, reference.FACTORIES} == {"spacy_cli", "spacy_spert_records"}
    records, writers = (reference.entry_points(f"spacy_spert_{kind}") for kind in ("records", "writers"))
    assert {name for name, _ in records} <= {name for name, _ in writers}


def test_settings(site):
    page = read(site, "settings")
    names = [name for name in DEFAULT_CONFIG if name not in ("model", "scorer")]
    assert [name for name in names if f">{name}</span>" not in page] == []


def test_commands(site):
    page = read(site, "options")
    commands = typer.main.get_command(spacy_spert.cli.app).commands
    for name, command in commands.items():
        assert f'id="{name}"' in page
        for param in command.params:
            assert param.help, f"{name}: {param.name}"
            assert all(f">{option}</span>" in page for option in (*param.opts, *param.secondary_opts) if "--" in option)


def test_errors(site):
    page = read(site, "errors")
    codes = [name for errors in (Errors, Warnings, FormatErrors) for name in vars(errors) if name[-3:].isdigit()]
    assert [code for code in codes if f'id="{code.lower()}"' not in page] == []


def test_keys_of_scores(site):
    page = read(site, "commands")
    prefixes = {re.sub(r"_(macro_)?[prf]$|_per_type$", "", key) for key in score_spert([])}
    assert prefixes == {"spans_spert", "rels", "rels_strict", "ents"}
    assert [prefix for prefix in prefixes if f">{prefix}_p</span>" not in page] == []


def test_keys_of_span_groups(site):
    page = read(site, "api")
    first_cell = '<tr class="row-(?:even|odd)"><td><p><code[^>]*><span class="pre">(.*?)</span>'
    assert {RELATIONS_ATTR, SCORES_ATTR} <= set(re.findall(first_cell, page))


def parts_of(name):
    """An object and its public methods, each with its docstring."""
    thing = resolve(name)
    if not inspect.isclass(thing):
        return [(name, thing, thing.__doc__)]
    ours = [base for base in thing.__mro__ if base.__module__.startswith("spacy_spert.")]
    members = {key: value for base in reversed(ours) for key, value in vars(base).items() if key[0] != "_"}
    init = vars(thing).get("__init__")
    own = [(name, thing, f"{thing.__doc__}\n{init.__doc__ if init else ''}")]
    return [*own, *((f"{name}.{key}", value, value.__doc__) for key, value in members.items())]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_parameters_are_described(name):
    for label, thing, doc in parts_of(name):
        if isinstance(thing, property):
            assert "RETURNS" in docstrings.described(doc or ""), label
        if inspect.isroutine(thing) or inspect.isclass(thing):
            assert doc, label
            described = docstrings.described(doc)
            signature = inspect.signature(thing)
            assert [name for name in signature.parameters if name != "self" and name not in described] == [], label
            returns = signature.return_annotation
            gives = inspect.isroutine(thing) and returns not in (None, Iterator[None], inspect.Signature.empty)
            assert not gives or {"RETURNS", "YIELDS"} & set(described), label


def test_parameters_of_the_factories():
    """Those for one task have no settings but those that are described with the first."""
    described = docstrings.described(resolve("spacy_spert.factories.make_spert").__doc__)
    for _, name in reference.entry_points(reference.FACTORIES):
        assert set(inspect.signature(resolve(name)).parameters) <= set(described)


class TestDocstrings:
    def test_fields(self):
        docstring = """Do `this` with doc._.it.

name (Optional[str]): A name,
    or `None`.
**more (Any): More.
RETURNS (Tuple[int, ...]): Two.
RAISES (ValueError): If not."""
        assert docstrings.to_fields(docstring.splitlines()) == [
            r"Do ``this`` with doc.\_.it.",
            "",
            ":type name: Optional[str]",
            ":param name: A name,",
            "    or ``None``.",
            r":type \*\*more: Any",
            r":param \*\*more: More.",
            ":rtype: Tuple[int, ...]",
            ":returns: Two.",
            ":raises ValueError: If not.",
        ]

    def test_sentence_is_no_field(self):
        assert docstrings.to_fields(["Note: all of it."]) == ["Note: all of it."]

    def test_described(self):
        docstring = "Do.\n\n    name (str): A name.\n    **more (Any): More.\n    RETURNS (int): One."
        assert docstrings.described(docstring) == {"name": "A name.", "more": "More.", "RETURNS": "One."}


class TestParts:
    def test_comment_is_replaced(self):
        page = reference.fill("# Title\n\n<!-- made of the code: warnings -->\n\nEnd")
        assert page.startswith("# Title\n\n[**W001**]{#w001}\n: Component '\\{name\\}' kept")
        assert page.endswith("\n\nEnd")

    def test_unknown_part_is_named(self):
        with pytest.raises(KeyError, match="nothing"):
            reference.fill("<!-- made of the code: nothing -->")

    def test_bars_in_tables(self):
        assert reference.table(("a",), [("b|c",)]) == "| a |\n| --- |\n| b\\|c |"
