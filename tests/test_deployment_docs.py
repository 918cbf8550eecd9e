"""The code blocks of docs/deployment.md are run, with a pipeline that is there already."""

import contextlib
import io
import re

import pytest
from test_docs import ROOT, folder, parts_of, run_block, small_encoder  # noqa: F401
from util import CNN, initialize

PAGE = ROOT / "docs" / "deployment.md"


@pytest.mark.parametrize("blocks", parts_of(PAGE))
def test_deployment(blocks, folder, small_encoder):  # noqa: F811
    import spacy

    nlp = spacy.blank("en")
    nlp.add_pipe("spert", config={"model": {"tok2vec": CNN}})
    (folder / "training").mkdir()
    initialize(nlp).to_disk(folder / "training" / "model-best")
    for language, code in blocks:
        with contextlib.redirect_stdout(io.StringIO()):
            run_block(language, code, small_encoder)


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
