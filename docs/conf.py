"""The site of the documentation: `make docs`."""

import sys
from pathlib import Path

from spacy_spert import __version__

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

project = "spacy-spert"
version = release = __version__
copyright = "the contributors of spacy-spert"
extensions = ["sphinx.ext.autodoc", "myst_parser", "docstrings", "reference"]
# Quotes are part of many values.
smartquotes = False

myst_enable_extensions = ["attrs_inline", "deflist"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autoclass_content = "both"

html_theme = "furo"
html_title = f"{project} {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
