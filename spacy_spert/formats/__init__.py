"""Reading and writing corpora, one file per format.

A reader is a function `read_x(path, nlp=None, losses=None)` that yields Docs with entities in `doc.spans["spert"]` and
`doc.ents` and relations in `doc._.relations`. A writer is a function `write_x(docs, path, losses=None)` that returns
the number of "documents", "entities" and "relations" written. What can't be kept is counted in a `Losses` object;
without one, or with `Losses(strict=True)`, it is an error. Further parameters, with defaults, are options of the
format.

To add a format: write its module (`doccano.py` is a short example) and name its functions in pyproject.toml, in the
groups of entry points `spacy_spert_readers` and `spacy_spert_writers`. Those of other packages are found in the same
way, and `@readers.register("name")` does it without a package. A writer of one record per document is made of a
`RecordWriter` (`writing.py`). This goes to the group `spacy_spert_records` as well, where extract and select find it.
"""

from .losses import Losses, StrictError
from .registry import format_names, load, load_records, readers, records, writers

__all__ = ["Losses", "StrictError", "format_names", "load", "load_records", "readers", "records", "writers"]
