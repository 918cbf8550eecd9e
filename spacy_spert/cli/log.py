"""What the commands of spaCy show of the log.

spaCy imports this module when one of its commands is run (entry point `spacy_cli`), so that `spacy train` shows the
table of the training data. Nothing else does: a program that uses the package decides about its log itself.
"""

import logging


def show_info() -> None:
    """Show more than warnings."""
    logging.getLogger("spacy.spert").setLevel(logging.INFO)


show_info()
