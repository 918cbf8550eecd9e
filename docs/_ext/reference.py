"""Parts of pages that are made of the code: a comment `<!-- made of the code: NAME -->` is replaced by the part."""

import inspect
import re
from importlib.metadata import distribution
from typing import Any, Callable, Dict, Iterator, List, Sequence, Tuple

import spacy
import typer
from thinc.api import Config

import spacy_spert.cli
from spacy_spert.errors import Errors, Warnings
from spacy_spert.formats.errors import Errors as FormatErrors
from spacy_spert.formats.errors import Reasons

PLACE = re.compile(r"^<!-- made of the code: (.+) -->$", re.MULTILINE)
DISTRIBUTION = "spacy-spert"
FACTORIES = "spacy_factories"
# Groups of entry points with names for a config: how the config calls them.
REGISTRIES = {
    "spacy_architectures": "@architectures",
    "spacy_readers": "@readers",
    "spacy_scorers": "@scorers",
    "spacy_callbacks": "@callbacks",
    "spacy_augmenters": "@augmenters",
    "spacy_span_getters": "@span_getters",
    "thinc_optimizers": "@optimizers",
}
FORMATS = {"spacy_spert_readers": "--from", "spacy_spert_writers": "--to"}


def entry_points(group: str) -> List[Tuple[str, str]]:
    """The names that the package declares in a group.

    group (str): The group.
    RETURNS (List[Tuple[str, str]]): Each name with the whole name of its object, sorted.
    """
    entries = distribution(DISTRIBUTION).entry_points
    # An installation that can be edited may be found twice.
    return sorted({(entry.name, entry.value.replace(":", ".")) for entry in entries if entry.group == group})


def documented(name: str, kind: str = "autofunction") -> str:
    """RETURNS (str): The place where autodoc puts the docstring of an object."""
    return f"```{{eval-rst}}\n.. {kind}:: {name}\n```"


def code(text: str, language: str = "ini") -> str:
    """RETURNS (str): A block of code."""
    return f"```{language}\n{text.strip()}\n```"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """RETURNS (str): A table. Bars in cells are escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def factories() -> Iterator[str]:
    """The factories with their default config."""
    for name, function in entry_points(FACTORIES):
        meta = spacy.blank("xx").get_factory_meta(name)
        config = Config({"components": {name: {"factory": name, **meta.default_config}}})
        weights = {key: value for key, value in meta.default_score_weights.items() if value is not None}
        training = Config({"training": {"score_weights": weights}})
        yield f"### {name}"
        yield "The default config, and the weights of the scores that `spacy train` shows:"
        yield code(f"{config.to_str()}\n\n{training.to_str()}")
        yield documented(f"{function}(nlp, name, **settings)")


def registered() -> Iterator[str]:
    """The functions that a config can name."""
    for group, key in REGISTRIES.items():
        for name, function in entry_points(group):
            yield f"### {name}"
            yield f"`{key}`"
            yield documented(function)


def formats() -> Iterator[str]:
    """Readers and writers of formats."""
    for group, option in FORMATS.items():
        for name, function in entry_points(group):
            yield f"### {option} {name}"
            yield documented(function)


def commands() -> Iterator[str]:
    """The commands with all arguments and options."""
    group: Any = typer.main.get_command(spacy_spert.cli.app)
    for name, command in sorted(group.commands.items()):
        arguments = [param for param in command.params if param.param_type_name == "argument"]
        options = [param for param in command.params if param.param_type_name == "option"]
        yield f"## {name}"
        yield code(f"spacy spert {name} {' '.join(_metavar(param) for param in arguments)}", "text")
        yield _plain(inspect.cleandoc(command.help))
        yield table(("argument", "what"), [(_metavar(param), _plain(param.help)) for param in arguments])
        rows = [(_names(param), _default(param), _plain(param.help)) for param in options]
        yield table(("option", "default", "what"), rows)


def codes(*errors: type) -> Iterator[str]:
    """Messages by their codes. They hold places for values in braces."""
    texts = {code: text for each in errors for code, text in vars(each).items() if re.fullmatch(r"[A-Z]\d{3}", code)}
    for name, text in sorted(texts.items()):
        yield f"[**{name}**]{{#{name.lower()}}}\n: {_plain(text)}"


def reasons() -> Iterator[str]:
    """What the counts of lost and assumed things are called."""
    texts = [text for name, text in vars(Reasons).items() if name.isupper()]
    yield "\n".join(f"- {_plain(text)}" for text in sorted(texts))


PARTS: Dict[str, Callable[[], Iterator[str]]] = {
    "factories": factories,
    "registered names": registered,
    "formats": formats,
    "commands": commands,
    "errors": lambda: codes(Errors),
    "errors of formats": lambda: codes(FormatErrors),
    "warnings": lambda: codes(Warnings),
    "reasons": reasons,
}


def fill(text: str) -> str:
    """Put parts that are made of the code into a page.

    text (str): The page.
    RETURNS (str): The page with the parts in place of the comments that name them.
    RAISES (KeyError): If there is no such part.
    """
    return PLACE.sub(lambda match: "\n\n".join(PARTS[match[1]]()), text)


def _metavar(param: Any) -> str:
    return param.metavar or param.name.upper()


def _names(param: Any) -> str:
    return ", ".join(f"`{name}`" for name in (*param.opts, *param.secondary_opts))


def _default(param: Any) -> str:
    if param.required:
        return "required"
    has_none = param.default is None or param.is_flag or callable(param.default)
    return "" if has_none else f"`{param.default}`"


def _plain(text: str) -> str:
    """Text in which nothing has a meaning for Markdown but code in backticks."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(part if i % 2 else re.sub(r"([\\*_\[\]<>{}#])", r"\\\1", part) for i, part in enumerate(parts))


def read_source(app: Any, docname: str, source: List[str]) -> None:
    """Called by Sphinx with the text of each page, which is changed in place."""
    source[0] = fill(source[0])


def setup(app: Any) -> Dict[str, Any]:
    app.connect("source-read", read_source)
    return {"parallel_read_safe": True}
