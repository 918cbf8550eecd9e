"""The wheel that `make package` builds, of a tiny pipeline."""

import hashlib
import importlib.util
import shutil
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
import srsly
import typer
from packaging.version import Version
from typer.testing import CliRunner

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "tests" / "saved" / "0.1.0" / "transformer"
PAGE = """
```python
import spacy

nlp = spacy.load("training/demo/tuned")
doc = nlp("Ann Lee works for Acme Labs in Bonn .")
print([(ent.text, ent.label_) for ent in doc.ents])
print([(rel.head.text, rel.label, rel.tail.text) for rel in doc._.relations])
```
"""
SHOWN = """[('Ann Lee', 'PER'), ('Acme Labs', 'ORG'), ('Bonn', 'LOC')]
[('Ann Lee', 'works_for', 'Acme Labs'), ('Acme Labs', 'based_in', 'Bonn')]
"""

# spaCy leaves the files of a package to the garbage collector to close.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.skipif(Version(version("setuptools")) < Version("70.1"), reason="setuptools builds no wheels alone"),
]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("package_pipeline", ROOT / "scripts" / "package_pipeline.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def made(script, tmp_path_factory):
    """What the script says, and the folder it writes to."""
    path = tmp_path_factory.mktemp("made")
    (path / "corpus").mkdir()
    for part in ("train", "dev", "test"):
        shutil.copy(MODEL.parent / "docs.spacy", path / "corpus" / f"{part}.spacy")
    (path / "README.md").write_text(f"# Title\n{PAGE}\n```text\n{SHOWN}```\n", encoding="utf8")
    app = typer.Typer()
    app.command()(script.main)
    options = ["--name", "tiny", "--version", "1.2.3", "--readme", str(path / "README.md"), "--no-clean"]
    arguments = [str(MODEL), str(path / "corpus"), str(path / "out"), "--base-model", "some/bert", *options]
    return CliRunner().invoke(app, arguments), path


@pytest.fixture(scope="module")
def wheel(made):
    result, path = made
    assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
    return path / "out" / "xx_tiny-1.2.3-py3-none-any.whl"


def test_prints_what_the_readme_shows_without_a_network(made, wheel):
    assert "Without a network it prints what the README shows" in made[0].output


def test_checksum(wheel):
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert wheel.with_name(f"{wheel.name}.sha256").read_text() == f"{digest}  {wheel.name}\n"
    assert sorted(path.name for path in wheel.parent.iterdir()) == [wheel.name, f"{wheel.name}.sha256"]


def test_wheel_has_the_card(wheel):
    with zipfile.ZipFile(wheel) as archive:
        readme = archive.read("xx_tiny/xx_tiny-1.2.3/README.md").decode()
        meta = srsly.json_loads(archive.read("xx_tiny/meta.json"))
    assert "base_model: some/bert" in readme and "On 8 documents of spacy-spert demo, test." in readme
    assert meta["performance"]["ents_f"] == 1.0 and meta["license"] == "MIT"


def test_other_lines_are_noticed(script, made, monkeypatch):
    code, shown = script.first_lines(PAGE)
    assert shown == "" and script.run_lines(code, str(MODEL)) == SHOWN


def test_the_network_is_cut_off(script, monkeypatch):
    monkeypatch.setattr(script, "_without_network", lambda: [])
    code = 'import socket\nsocket.create_connection(("127.0.0.1", 9))'
    with pytest.raises(SystemExit):
        script.run_lines(code, "none")


def test_page_without_lines(script):
    with pytest.raises(SystemExit):
        script.first_lines("# Title\n")
