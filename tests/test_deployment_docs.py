"""The page on deployment: what it names is there."""

import re

from test_docs import ROOT

PAGE = ROOT / "docs" / "deployment.md"


def test_pages_and_options_exist():
    """Those that the page names."""
    from spacy_spert.cli.serve import serve_cli

    text = PAGE.read_text(encoding="utf8")
    for target in re.findall(r"\]\((?!http|#)([^)]*)\)", text):
        assert (PAGE.parent / target).exists(), target
    service = text.partition("## A service")[2].partition("## More processes")[0]
    named = set(re.findall(r"`--([a-z-]+)`", service)) - {"host"}
    options = {name.replace("_", "-") for name in serve_cli.__annotations__} - {"model", "return", "host"}
    assert named == options
