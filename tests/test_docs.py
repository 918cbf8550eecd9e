"""Every code block of the README and of docs/ is run, one part after the other in a folder of its own.

What takes long or needs a network is made small: the encoder is a tiny one, and the configs stop after some steps.
"""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest
import spacy
import srsly
from original import load_weights, write_checkpoint
from spacy.cli._util import app
from spacy.tokens import DocBin
from thinc.api import require_cpu
from typer.testing import CliRunner
from util import TEXTS, make_doc, make_encoder

import spacy_spert.cli  # noqa: F401

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PRETRAINED = "bert-base-cased"
PAGES = sorted((ROOT / "docs").glob("*.md"))


def parts_of(path):
    """The parts of a page that have code: their titles and their blocks, as (language, code)."""
    parts = re.split(r"^## (.*)$", path.read_text(encoding="utf8"), flags=re.MULTILINE)[1:]
    found = [(title, BLOCK.findall(text)) for title, text in zip(parts[::2], parts[1::2])]
    return [pytest.param(blocks, id=title) for title, blocks in found if blocks]


@pytest.fixture(scope="module")
def small_encoder(tmp_path_factory):
    path = tmp_path_factory.mktemp("docs") / "small"
    make_encoder(path, ["Ana", "Reis", "works", "for", "Halden", "Marine"])
    return path


@pytest.fixture
def folder(tmp_path, small_encoder, monkeypatch):
    """What the parts start from: data, configs, and a checkpoint of the original."""
    for name in ("train", "dev"):
        lines = (ROOT / "assets" / f"{name}.jsonl").read_text(encoding="utf8").splitlines()
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines[:30]) + "\n", encoding="utf8")
    (tmp_path / "configs").mkdir()
    for path in (ROOT / "configs").glob("*.cfg"):
        (tmp_path / "configs" / path.name).write_text(small(path.read_text(encoding="utf8"), small_encoder))
    write_checkpoint(tmp_path / "checkpoint", load_weights())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def small(text, encoder):
    """A config or a block of code with a small encoder and few steps."""
    text = text.replace(PRETRAINED, str(encoder))
    values = {"max_steps": 4, "eval_frequency": 4, "total_steps": 4, "warmup_steps": 1, "model_max_length": 128}
    for name, value in values.items():
        text = re.sub(rf"^{name} = \d+$", f"{name} = {value}", text, flags=re.MULTILINE)
    return text


def run_command(line):
    """Run one line for the shell, spaCy's commands in this process."""
    program, *arguments = shlex.split(line)
    if program == "mkdir":
        Path(*arguments).mkdir()
        return
    assert program == "spacy", line
    if "--gpu-id" in arguments and not spacy.prefer_gpu():
        arguments[arguments.index("--gpu-id") + 1] = "-1"
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, f"{line}\n{result.output}\n{result.exception!r}"
    if arguments[:2] == ["init", "fill-config"]:
        path = Path(arguments[3])
        path.write_text(small(path.read_text(encoding="utf8"), ""), encoding="utf8")


def run_block(language, code, encoder):
    if language == "python":
        exec(compile(code.replace(PRETRAINED, str(encoder)), "block", "exec"), {})
    elif language == "bash":
        for line in code.strip().splitlines():
            run_command(line)
    elif language == "ini":
        name = re.match(r"# (\S+\.cfg)\n", code)
        assert name, "the first line of a config is its name"
        Path(name[1]).write_text(small(code, encoder), encoding="utf8")
    else:
        assert language == "json"
        for line in code.strip().splitlines():
            srsly.json_loads(line)


@pytest.mark.parametrize("blocks", [part for page in PAGES for part in parts_of(page)])
# spaCy leaves the files of a package to the garbage collector to close.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_guide(blocks, folder, small_encoder):
    for language, code in blocks:
        with contextlib.redirect_stdout(io.StringIO()):
            run_block(language, code, small_encoder)
    require_cpu()


@pytest.mark.parametrize("blocks", parts_of(ROOT / "docs" / "optimize.md"))
def test_optimize(blocks, trained, tmp_path, monkeypatch):
    trained.to_disk(tmp_path / "model")
    docs = [make_doc(trained.vocab, *text) for text in TEXTS]
    DocBin(store_user_data=True, docs=docs).to_disk(tmp_path / "dev.spacy")
    monkeypatch.chdir(tmp_path)
    for language, code in blocks:
        with contextlib.redirect_stdout(io.StringIO()):
            run_block(language, code, encoder=None)
    require_cpu()


def test_pages_that_are_named_exist():
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES):
        text = page.read_text(encoding="utf8")
        for target in re.findall(r"\]\((?!http)([^)#]*)(?:#[^)]*)?\)", text):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
        titles = {
            re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in re.findall(r"^#+ (.*)$", text, re.M)
        }
        for anchor in re.findall(r"\]\(#([^)]*)\)", text):
            assert anchor in titles, f"{page.name}: #{anchor}"
