"""The commands `spacy spert ...`.

One file per command: a thin `*_cli` function, registered with `@app.command`, and a plain function of the same name
for Python. To add a command, write its file and import it at the end of this one. Every `spacy` command imports this
module, so imports that take time (training, torch) belong inside the functions.
"""

import typer
from spacy.cli import app as spacy_app

app = typer.Typer(name="spert", help="Entities and relations with SpERT.", no_args_is_help=True)

if all(group.name != "spert" for group in spacy_app.registered_groups):
    spacy_app.add_typer(app, name="spert")

from . import card, compare, convert, evaluate, extract, import_, init, optimize, select, serve, tune  # noqa: E402, F401
