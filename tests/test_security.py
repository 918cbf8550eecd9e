"""Files of other people are data: none of them is run, and nothing is written but what was asked for."""

import ast
import json
import os
import socket
from pathlib import Path

import pytest
from original import load_weights, write_checkpoint
from spacy.cli import app
from test_checkpoint import load
from typer.testing import CliRunner

import spacy_spert
import spacy_spert.cli
from spacy_spert.formats.files import open_whole

MODULES = sorted(Path(spacy_spert.__file__).parent.rglob("*.py"))
# Modules and functions that run what they read, or may.
RUNS = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "yaml", "subprocess", "ctypes", "runpy"}
BUILT_IN = {"eval", "exec", "compile", "__import__"}
CALLS = {"pickle_loads", "from_pretrained", "system", "popen", "read_pickle"}


def test_nothing_is_unpickled_or_run():
    assert len(MODULES) > 20
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
            place = f"{path}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                assert not {name.split(".")[0] for name in names} & RUNS, place
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            settings = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if name == "AutoConfig.from_pretrained":
                # Reads JSON, unless it is told to trust code.
                assert "trust_remote_code" not in settings, place
                continue
            # Methods may be called eval or compile.
            assert name not in BUILT_IN and name.split(".")[-1] not in CALLS, place
            assert settings.get("allow_pickle", "False") == "False", place
            assert "trust_remote_code" not in settings, place
            if name == "torch.load":
                assert settings.get("weights_only") == "True", place


@pytest.fixture
def offline(monkeypatch):
    """Whatever wants to reach another machine fails."""

    def refuse(*args, **kwargs):
        raise AssertionError(f"network: {args}")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


HOSTILE = {
    "auto_map": {"AutoModel": "evil.Model", "AutoTokenizer": ["evil.Tokenizer", None], "AutoConfig": "evil.Config"},
    "trust_remote_code": True,
    "_name_or_path": "someone/else",
    "name_or_path": "/etc",
    "tokenizer_class": "EvilTokenizer",
    "custom_pipelines": {"x": {"impl": "evil.Pipeline", "pt": ["AutoModel"]}},
    "quantization_config": {"load_in_8bit": True},
    "tokenizer_file": "/etc/passwd",
    "vocab_file": "../outside/vocab.txt",
    "special_tokens_map_file": "/etc/passwd",
    "added_tokens_decoder": {"0": {"content": "evil"}},
    "chat_template": "{{ ''.__class__ }}",
    "torchscript": True,
    "_attn_implementation": "someone/kernel",
}


def test_checkpoint_that_points_elsewhere(tmp_path, offline):
    """Settings that name code, other files or a server are not followed."""
    plain, hostile = (write_checkpoint(tmp_path / name, load_weights()) for name in ("plain", "hostile"))
    (hostile / "evil.py").write_text(f"open({str(tmp_path / 'made')!r}, 'w')")
    for name in ("config.json", "tokenizer_config.json"):
        settings = json.loads((plain / name).read_bytes())
        (hostile / name).write_text(json.dumps({**settings, **HOSTILE}))
    before = sorted(tmp_path.rglob("*"))
    expected, got = (load(path).to_bytes() for path in (plain, hostile))
    assert got == expected
    assert sorted(tmp_path.rglob("*")) == before


def test_unfinished_output_is_no_link(tmp_path):
    """A link where the output is being written, which others could put there in a shared folder, is not written to."""
    other = tmp_path / "other"
    other.write_text("before")
    (tmp_path / f".out.{os.getpid()}.part").symlink_to(other)
    with open_whole(tmp_path / "out") as file_:
        file_.write("x")
    assert other.read_text() == "before" and (tmp_path / "out").read_text() == "x"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "out"]


def test_output_that_is_a_link_is_replaced(tmp_path):
    (tmp_path / "other.spacy").write_text("before")
    (tmp_path / "out.spacy").symlink_to(tmp_path / "other.spacy")
    (tmp_path / "in.jsonl").write_text('{"text": "Ann", "entities": []}\n')
    arguments = ["spert", "convert", str(tmp_path / "in.jsonl"), str(tmp_path / "out.spacy"), "--from", "jsonl"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert (tmp_path / "other.spacy").read_text() == "before"
    assert not (tmp_path / "out.spacy").is_symlink()


@pytest.mark.parametrize("name", ["types.spacy", "in.spacy", "./types.spacy"])
def test_output_is_no_input(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in.spacy").write_text('[{"tokens": ["Ann"], "entities": [], "relations": []}]')
    Path("types.spacy").write_text('{"entities": {}, "relations": {}}')
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    arguments = ["spert", "convert", "in.spacy", name, "--from", "spert-json", "--types", "types.spacy"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1 and "is the input as well" in " ".join(result.output.split())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
