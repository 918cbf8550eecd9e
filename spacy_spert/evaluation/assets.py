"""The unchanging parts of pages, and what lets a page run nothing but its own."""

from base64 import b64encode
from hashlib import sha256
from html import escape
from importlib.resources import files
from string import Template


def read_asset(name: str, package: str = "spacy_spert.evaluation") -> str:
    """RETURNS (str): A file in the folder page/ of a package."""
    return (files(package) / "page" / name).read_text(encoding="utf8")


def make_page(body: str, title: str, style: str, script: str, *rules: str, **parts: str) -> str:
    """Make a page that loads nothing, and runs nothing but its script.

    body (str): The markup of the body, a template.
    title (str): The title.
    style (str): The style sheet.
    script (str): The script.
    rules (str): Further rules of its Content-Security-Policy.
    parts (str): The changing parts of the body, as HTML.
    RETURNS (str): The page as HTML.
    """
    title = escape(title)
    return Template(read_asset("frame.html")).substitute(
        # Should anything slip through the escaping, it could neither run nor load anything.
        policy=_policy(style, script, *rules),
        style=style,
        script=script,
        title=title,
        body=Template(body).substitute(title=title, **parts),
    )


def _policy(style: str, script: str, *others: str) -> str:
    rules = ["default-src 'none'", f"style-src {_hash(style)}", f"script-src {_hash(script)}", "base-uri 'none'"]
    return "; ".join([*rules, *others])


def _hash(content: str) -> str:
    return f"'sha256-{b64encode(sha256(content.encode('utf8')).digest()).decode('ascii')}'"
