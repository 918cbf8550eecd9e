"""What README and docs/ show: all blocks of code are run, and what they print is compared with the block `text` after
them. Configs are filled, commands and their options must exist, and tables must say what the code says.

What takes long or needs a network is made small: the encoder is a tiny one, and the configs stop after some steps. A
block that can't be run here says why in a comment before it, `<!-- not run: ... -->`, and is only checked.
"""

import ast
import contextlib
import importlib
import inspect
import io
import re
import shlex
import shutil
import socket
import subprocess
import time
from functools import partial
from inspect import signature
from pathlib import Path
from urllib.request import urlopen

import catalogue
import forked
import pytest
import spacy
import srsly
import typer
from markdown_it import MarkdownIt
from original import load_weights, write_checkpoint
from spacy.cli._util import app
from spacy.schemas import ConfigSchemaInit, ConfigSchemaTraining
from spacy.tokens import Doc
from spacy.util import load_config, load_model_from_config, registry
from thinc.api import Config, require_cpu
from typer.testing import CliRunner
from util import make_encoder

import spacy_spert.cli
from spacy_spert.factories import DEFAULT_MODEL
from spacy_spert.formats import format_names, readers, writers
from spacy_spert.ml.layer_mix import build_layer_mix_transformer
from spacy_spert.ml.mixer import build_bilstm, build_convolutions
from spacy_spert.settings import DEFAULTS

ROOT = Path(__file__).parents[1]
# Why it is not run, language and code.
BLOCK = re.compile(r"^(?:<!-- not run: (.+) -->\n)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Commands that stand in the text.
INLINE = re.compile(r"`((?:spacy|make|weasel|pytest|python|pip) [^`\n]+)", re.MULTILINE)
LANGUAGES = {"python", "bash", "ini", "json", "text"}
PRETRAINED = "bert-base-cased"
PORT = "8000"
README = ROOT / "README.md"
TUTORIAL = ROOT / "docs" / "tutorial.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
# Pages whose parts go on from one another.
WHOLE = {"tutorial", "loggers", "llm", "graphs"}
# What `make demo` leaves, and the title of the part of the README that shows what it finds.
DEMO = Path("training") / "demo" / "tuned"
FIRST_LINES = "README: top"


def parts_of(path):
    """The parts of a page that have code: their titles and their blocks, as (why not run, language, code)."""
    parts = ["top", *re.split(r"^## (.*)$", path.read_text(encoding="utf8"), flags=re.MULTILINE)]
    if path.stem in WHOLE:
        parts = ["all", "".join(parts[1:])]
    found = [(title, BLOCK.findall(text)) for title, text in zip(parts[::2], parts[1::2])]
    return [pytest.param(path, blocks, id=f"{path.stem}: {title}") for title, blocks in found if blocks]


# The first part of the guide makes what the others start from.
FIRST = parts_of(ROOT / "docs" / "guide.md")[0]
PARTS = [part for page in PAGES for part in parts_of(page) if part.id != FIRST.id]


@pytest.fixture(scope="module")
def small_encoder(tmp_path_factory):
    path = tmp_path_factory.mktemp("docs") / "small"
    make_encoder(path, ["Ana", "Reis", "works", "for", "Halden", "Marine"])
    return path


@pytest.fixture(scope="module")
def start(tmp_path_factory, small_encoder):
    """What the parts start from: data, configs, a checkpoint of the original, and trained pipelines."""
    path = tmp_path_factory.mktemp("start")
    for name in ("train", "dev"):
        lines = (ROOT / "assets" / f"{name}.jsonl").read_text(encoding="utf8").splitlines()
        (path / f"{name}.jsonl").write_text("\n".join(lines[:30]) + "\n", encoding="utf8")
    (path / "configs").mkdir()
    for config in (ROOT / "configs").glob("*.cfg"):
        (path / "configs" / config.name).write_text(small(config.read_text(encoding="utf8"), small_encoder))
    write_checkpoint(path / "checkpoint", load_weights())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        run_blocks(FIRST.values[1], partial(small, encoder=small_encoder))
    shutil.copytree(path / "training" / "model-best", path / DEMO)
    shutil.copytree(path / "training" / "model-best", path / "model")
    return path


@pytest.fixture
def folder(tmp_path, start, monkeypatch):
    shutil.copytree(start, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    names = set(catalogue.REGISTRY)
    yield tmp_path
    require_cpu()
    # Formats that a page registers are not ours.
    for path in set(catalogue.REGISTRY) - names:
        if path[0] == "spacy_spert":
            del catalogue.REGISTRY[path]
    # That of spacy-llm.
    if Doc.has_extension("rel"):
        Doc.remove_extension("rel")


def small(text, encoder):
    """A config or a block of code with a small encoder and few steps."""
    text = text.replace(PRETRAINED, str(encoder))
    values = {"max_steps": 4, "eval_frequency": 4, "total_steps": 4, "warmup_steps": 1, "model_max_length": 128}
    for name, value in values.items():
        text = re.sub(rf"^{name} = \d+$", f"{name} = {value}", text, flags=re.MULTILINE)
    return text


def lines_of(code):
    """The commands of a block. A line that ends in a backslash goes on."""
    return code.strip().replace("\\\n", " ").splitlines()


@contextlib.contextmanager
def serving(arguments, port):
    """`spacy spert serve` in a process of its own."""
    process = forked.start(["-m", "spacy", *arguments], stdout=subprocess.DEVNULL)
    try:
        for _ in range(1200):
            assert process.is_alive(), "the service has ended"
            with contextlib.suppress(OSError), urlopen(f"http://localhost:{port}/health", timeout=10) as answer:
                if answer.status == 200:
                    break
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.join(60)


def run_command(line, adapt, port, stack):
    """Run one line for the shell, spaCy's commands in this process. What it leaves open is closed with the stack."""
    program, *arguments = shlex.split(line, comments=True)
    if program == "mkdir":
        Path(*arguments).mkdir()
    elif program == "curl" and shutil.which("curl"):
        subprocess.run(["curl", "--silent", "--fail", *arguments], check=True, stdout=subprocess.DEVNULL)
    elif program == "spacy" and arguments[:2] == ["spert", "serve"]:
        stack.enter_context(serving(arguments, port))
    elif program == "spacy":
        if "--gpu-id" in arguments and not spacy.prefer_gpu():
            arguments[arguments.index("--gpu-id") + 1] = "-1"
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, f"{line}\n{result.output}\n{result.exception!r}"
        if arguments[:2] in (["init", "fill-config"], ["spert", "init"]):
            path = Path(next(argument for argument in reversed(arguments) if argument.endswith(".cfg")))
            path.write_text(adapt(path.read_text(encoding="utf8")), encoding="utf8")


def check_config(code):
    """Fill a config, or a part of one, and make what it describes. All that it names must be there."""
    if "[nlp]" in code:
        config = Config().from_str(code, interpolate=False)
    else:
        # A part begins with a section in others.
        *around, _ = re.search(r"^\[(.*)\]$", code, re.MULTILINE)[1].split(".")
        lines = [f"[{'.'.join(around[: i + 1])}]" for i in range(len(around))]
        part = Config().from_str("\n".join([*lines, code]), interpolate=False)
        config = load_config(ROOT / "configs" / "spert_tok2vec.cfg").merge(part)
    filled = load_model_from_config(config, auto_fill=True).config.interpolate()
    for section, schema in (("training", ConfigSchemaTraining), ("initialize", ConfigSchemaInit)):
        unknown = set(config.get(section, ())) - set(filled[section])
        if unknown:
            raise ValueError(f"[{section}] has no {unknown}")
        try:
            registry.resolve(filled[section], schema=schema)
        except ImportError as err:
            # Loggers need packages of the services that they are for.
            assert "mlflow" in str(err) or "wandb" in str(err)


def write_config(code):
    name = re.match(r"# (\S+\.cfg)\n", code)
    assert name, "the first line of a config is its name"
    Path(name[1]).write_text(code, encoding="utf8")
    check_config(code)


def form_of(printed):
    """What is printed without its values: of each line the types in a list, a tuple or another value."""

    def form(value):
        if isinstance(value, list):
            return [form(value[0])] if value else []
        return tuple(map(form, value)) if isinstance(value, tuple) else type(value).__name__

    return [form(ast.literal_eval(line)) for line in printed.splitlines()]


def same_form(one, other):
    """Whether two programs printed the same kinds of values. A list may be empty."""
    forms = list(zip(form_of(one), form_of(other), strict=True))
    return all(a == b or (isinstance(a, list) and isinstance(b, list) and [] in (a, b)) for a, b in forms)


def free_port():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return str(free.getsockname()[1])


def run_blocks(blocks, adapt, same=str.__eq__):
    """Run the blocks of a part one after the other, adapted. A block of text is what the Python before it prints."""
    port, printed = free_port(), ""
    with contextlib.ExitStack() as stack:
        for reason, language, code in blocks:
            output = io.StringIO()
            if reason:
                # At least its syntax is right.
                _ = ast.parse(code if language == "python" else "")
                continue
            code = adapt(code).replace(PORT, port)
            with contextlib.redirect_stdout(output):
                if language == "python":
                    exec(compile(code, "block", "exec"), {})
                elif language == "bash":
                    for line in lines_of(code):
                        run_command(line, adapt, port, stack)
                elif language == "ini":
                    write_config(code)
                elif language == "json":
                    for line in code.strip().splitlines():
                        srsly.json_loads(line)
                else:
                    assert language == "text"
                    assert same(printed, code), f"{printed}\nis printed, and this is shown:\n{code}"
            printed = output.getvalue()


@pytest.mark.parametrize("page, blocks", PARTS)
# spaCy leaves the files of a package to the garbage collector to close.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
# The model on the page answers to prompts of any length.
@pytest.mark.filterwarnings("ignore:Task supports sharding:UserWarning")
def test_code(page, blocks, folder, small_encoder, request):
    if page.stem == "llm":
        pytest.importorskip("spacy_llm")
    if page == README:
        # Its commands are those of the guide, which runs them.
        blocks = [block for block in blocks if block[1] != "bash"]
    # What the demo finds only its own pipeline can: see below.
    same = same_form if request.node.callspec.id == FIRST_LINES else str.__eq__
    run_blocks(blocks, str if page == TUTORIAL else partial(small, encoder=small_encoder), same)


@pytest.mark.demo
def test_readme_shows_what_the_demo_finds(monkeypatch):
    if not (ROOT / DEMO).exists():
        pytest.skip("`make demo` makes the pipeline")
    (blocks,) = (part.values[1] for part in PARTS if part.id == FIRST_LINES)
    monkeypatch.chdir(ROOT)
    run_blocks(blocks, str)


@pytest.mark.parametrize(
    "printed, is_same",
    [("[('a', 1)]\n", True), ("[]\n", True), ("[('a', 'b')]\n", False), ("('b', 2)\n", False)],
)
def test_form_of_what_is_printed(printed, is_same):
    assert same_form(printed, "[('b', 2), ('c', 3)]\n") is is_same


@pytest.mark.parametrize("path", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda path: path.stem)
def test_all_code_is_in_blocks_that_are_run(path):
    tokens = MarkdownIt().parse(path.read_text(encoding="utf8"))
    assert [token.content for token in tokens if token.type == "code_block"] == []
    names = {token.info for token in tokens if token.type == "fence" and not token.info.startswith("{")}
    assert names <= LANGUAGES


@pytest.mark.parametrize(
    "code",
    [
        '[training.logger]\n@loggers = "no.Logger.v1"',
        '[training.logger]\n@loggers = "spacy.MLflowLogger.v2"\nrun = "spert"',
        "[training]\nmax_step = 4",
        "[components.spert]\nwidth = 4",
    ],
)
def test_faults_of_configs_are_found(code):
    with pytest.raises((ValueError, catalogue.RegistryError)):
        check_config(code)


def check_spacy(arguments):
    """Make sure that there is such a command of spaCy, with such options."""
    command = typer.main.get_command(app)
    while arguments and hasattr(command, "commands"):
        name, *arguments = arguments
        assert name in command.commands, f"no command {name}"
        command = command.commands[name]
    known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    for argument in arguments:
        # Settings of a config can be given to some commands.
        is_setting = "." in argument and command.context_settings.get("ignore_unknown_options")
        if re.match(r"--?[A-Za-z]", argument) and not is_setting:
            assert argument.partition("=")[0] in {"--help", *known}, f"no option {argument}"


def check_weasel(arguments):
    project = srsly.read_yaml(ROOT / "project.yml")
    assert arguments[0] in ("run", "assets")
    if arguments[0] == "run":
        assert arguments[1] in {*project["workflows"], *(command["name"] for command in project["commands"])}
    for argument in arguments:
        if argument.startswith("--vars."):
            assert argument.removeprefix("--vars.") in project["vars"], f"no variable {argument}"


def check_make(arguments):
    makefile = (ROOT / "Makefile").read_text(encoding="utf8")
    for argument in arguments:
        name, is_variable, _ = argument.partition("=")
        assert re.search(rf"^{name} \?=" if is_variable else rf"^{name}:", makefile, re.MULTILINE), argument


def check_files(arguments):
    for argument in arguments:
        if "/" in argument:
            assert (ROOT / argument.partition("::")[0]).exists(), argument


def check_pip(arguments):
    """Extras must be there."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf8")
    for extra in re.findall(r"(?:spacy-spert|\.)\[(.*)\]", " ".join(arguments)):
        for name in extra.split(","):
            assert re.search(rf"^{name} = \[", project, re.MULTILINE), f"no extra {name}"


def check_gunicorn(arguments):
    """The app is a call in the form of Python."""
    module, _, call = arguments[-1].partition(":")
    tree = ast.parse(call, mode="eval").body
    function = getattr(importlib.import_module(module), tree.func.id)
    inspect.signature(function).bind(*tree.args, **{keyword.arg: keyword.value for keyword in tree.keywords})


def check_docker(arguments):
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf8")
    for argument in arguments:
        name, is_value, _ = argument.partition("=")
        assert not is_value or re.search(rf"^ARG {name}\b", dockerfile, re.MULTILINE), argument


CHECKS = {
    "spacy": check_spacy,
    "weasel": check_weasel,
    "make": check_make,
    "pytest": check_files,
    "python": check_files,
    "pip": check_pip,
    "gunicorn": check_gunicorn,
    "docker": check_docker,
}
# They are run, or have no names of ours.
OTHERS = {"curl", "mkdir"}


@pytest.mark.parametrize("path", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda path: path.stem)
def test_commands_are_known(path):
    text = path.read_text(encoding="utf8")
    lines = [line for _, language, code in BLOCK.findall(text) if language == "bash" for line in lines_of(code)]
    for line in lines + INLINE.findall(BLOCK.sub("", text)):
        program, *arguments = shlex.split(line, comments=True)
        if program not in OTHERS:
            try:
                CHECKS[program](arguments)
            except AssertionError as err:
                raise AssertionError(f"{path.name}: {line}") from err


@pytest.mark.parametrize("line", ["spacy spert extrct A B", "spacy spert extract A B --rseume", "spacy tarin --help"])
def test_unknown_commands_are_found(line):
    with pytest.raises(AssertionError, match="no (command|option)"):
        check_spacy(shlex.split(line)[1:])


def table_of(path, title="# Commands"):
    """The first table below a title: rows of cells."""
    text = re.split(rf"^{title}$", path.read_text(encoding="utf8"), flags=re.MULTILINE)[1]
    table = re.search(r"^\| ---.*\n((?:\|.*\n)+)", text, re.MULTILINE)[1]
    return [[cell.strip() for cell in line.strip("|").split(" |")] for line in table.splitlines()]


def test_commands_are_described():
    commands = {re.match(r"`spacy spert (\w+)", row[0])[1] for row in table_of(ROOT / "docs" / "commands.md")}
    assert commands == {command.name for command in spacy_spert.cli.app.registered_commands}


@pytest.mark.parametrize(
    "page, title, registry", [("formats", "What is read", readers), ("annotation", "Out and back", writers)]
)
def test_formats_are_described(page, title, registry):
    rows = table_of(ROOT / "docs" / f"{page}.md", f"## {title}")
    assert sorted(name for row in rows for name in re.findall(r"`(.*?)`", row[0])) == format_names(registry)


def defaults_of(rows):
    return {name.strip("`"): srsly.json_loads(default.strip("`")) for name, default, _ in rows}


def test_settings_of_the_component():
    assert defaults_of(table_of(README, "## Settings")) == DEFAULTS
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf8")
    assert defaults_of((*row, "") for row in re.findall(r"^- (`\w+`) \((`.*?`)\):", text, re.MULTILINE)) == DEFAULTS


@pytest.mark.parametrize(
    "title, block",
    [
        ("## Of the model", DEFAULT_MODEL["model"]),
        ("## Of the span head", DEFAULT_MODEL["model"]["span_head"]),
        ("## Of the relation head", DEFAULT_MODEL["model"]["relation_head"]),
    ],
)
def test_settings_of_the_model(title, block):
    plain = {name: value for name, value in block.items() if name[0] != "@" and not isinstance(value, dict)}
    assert defaults_of(table_of(ROOT / "docs" / "settings.md", title)) == plain


def test_settings_of_mixers_and_of_the_mix_of_layers():
    def given(build, *names):
        return {name: signature(build).parameters[name].default for name in names}

    path = ROOT / "docs" / "settings.md"
    expected = given(build_convolutions, "hidden_width", "window", "dropout")
    assert defaults_of(table_of(path, "## Of the mixer")) == expected
    assert given(build_bilstm, "hidden_width", "dropout").items() <= expected.items()
    table = table_of(path, "## Of a transformer that mixes its layers")
    assert defaults_of(table) == given(build_layer_mix_transformer, "layers")


def anchors_of(path):
    titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda path: path.stem)
def test_links_lead_somewhere(page):
    for target, anchor in re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", page.read_text(encoding="utf8")):
        path = (page.parent / target) if target else page
        assert path.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors_of(path), f"{page.name}: {target}#{anchor}"
