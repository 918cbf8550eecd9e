"""The unchanging parts of pages, and what lets a page run nothing but its own."""

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files


def read_asset(name: str, package: str = "spacy_spert.evaluation") -> str:
    """RETURNS (str): A file in the folder page/ of a package."""
    return (files(package) / "page" / name).read_text(encoding="utf8")


def policy(style: str, script: str, *others: str) -> str:
    """What a page may do, for its Content-Security-Policy.

    style (str): Its style sheet.
    script (str): Its script.
    others (str): Further rules.
    RETURNS (str): The policy: no other style or script, and nothing loaded.
    """
    rules = ["default-src 'none'", f"style-src {_hash(style)}", f"script-src {_hash(script)}", "base-uri 'none'"]
    return "; ".join([*rules, *others])


def _hash(content: str) -> str:
    return f"'sha256-{b64encode(sha256(content.encode('utf8')).digest()).decode('ascii')}'"
