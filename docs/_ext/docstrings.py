"""Docstrings in the style of this project (`name (type): text`, `RETURNS`, `YIELDS`, `RAISES`) as Sphinx reads them.

Apart from these fields, docstrings are plain text with code in single backticks.
"""

import re
from typing import Any, Dict, List

FIELD = re.compile(r"(\*{0,2}\w+) \((.+?)\): (.*)")
CODE = re.compile(r"`([^`]+)`")
# What Python says of named tuples.
OF_TUPLES = "Create new instance of "
SPECIAL = re.compile(r"([\\*_|])")


def to_fields(lines: List[str]) -> List[str]:
    """Turn a docstring into reStructuredText.

    lines (List[str]): The lines of the docstring.
    RETURNS (List[str]): The same text, with a list of fields for parameters, what is returned and what is raised.
    """
    fields: List[str] = []
    for line in lines:
        match = FIELD.match(line)
        if match is None:
            if not line.startswith(OF_TUPLES):
                fields.append(_escape(line))
            continue
        name, kind, text = match[1].replace("*", r"\*"), match[2], _escape(match[3])
        if name == "RAISES":
            fields.append(f":raises {kind}: {text}")
        elif name in ("RETURNS", "YIELDS"):
            fields += [f":rtype: {kind}", f":{name.lower()}: {text}"]
        else:
            fields += [f":type {name}: {kind}", f":param {name}: {text}"]
    return fields


def described(docstring: str) -> Dict[str, str]:
    """Read what a docstring describes.

    docstring (str): The docstring.
    RETURNS (Dict[str, str]): The first line of the text on each parameter, by its name without asterisks; also on
        "RETURNS", "YIELDS" and "RAISES".
    """
    matches = [FIELD.match(line.strip()) for line in docstring.splitlines()]
    return {match[1].lstrip("*"): match[3] for match in matches if match}


def _escape(text: str) -> str:
    """Code in the backticks of reStructuredText, and no other sign with a meaning."""
    parts = CODE.split(text)
    return "".join(f"``{part}``" if i % 2 else SPECIAL.sub(r"\\\1", part) for i, part in enumerate(parts))


def process(app: Any, what: str, name: str, obj: Any, options: Any, lines: List[str]) -> None:
    """Called by autodoc with the lines of each docstring, which are changed in place."""
    lines[:] = to_fields(lines)


def setup(app: Any) -> Dict[str, Any]:
    app.connect("autodoc-process-docstring", process)
    return {"parallel_read_safe": True}
