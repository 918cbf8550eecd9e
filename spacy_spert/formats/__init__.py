"""Reading and writing corpora, one file per format.

A reader is a function `read_x(path, nlp=None, losses=None)` that yields Docs with entities in `doc.spans["spert"]` and
`doc.ents` and relations in `doc._.relations`. What can't be kept is counted in a `Losses` object; without one, or with
`Losses(strict=True)`, it is an error. A writer is a function `write_x(docs, path, losses=None)`.

To add a format: write its module (`doccano.py` is a short example) and add a line here.
"""

from importlib import import_module
from typing import Any, Callable, Dict

from .losses import Losses, StrictError

# Imported when used: every `spacy` command imports the package.
READERS: Dict[str, str] = {
    "jsonl": "jsonl:read_jsonl",
    "spert-json": "spert_json:read_spert_json",
    "scierc": "scierc:read_scierc",
    "ade": "ade:read_ade",
    "conll04": "conll04:read_conll04",
    "prodigy": "prodigy:read_prodigy",
    "brat": "brat:read_brat",
    "labelstudio": "labelstudio:read_labelstudio",
    "doccano": "doccano:read_doccano",
}
WRITERS: Dict[str, str] = {
    "jsonl": "jsonl:write_jsonl",
    "spert-json": "spert_json:write_spert_json",
}

__all__ = ["Losses", "StrictError", "READERS", "WRITERS", "load"]


def load(target: str) -> Callable[..., Any]:
    """Import a reader or a writer.

    target (str): Its module and name, as in READERS and WRITERS.
    RETURNS (Callable): The function.
    """
    module, name = target.split(":")
    function: Callable[..., Any] = getattr(import_module(f".{module}", __name__), name)
    return function
