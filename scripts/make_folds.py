"""Split a corpus for cross-validation."""

from pathlib import Path

import spacy
import typer
from spacy.tokens import DocBin
from thinc.api import fix_random_seed
from wasabi import msg


def main(corpus: Path, target: Path, folds: int = 10, seed: int = 0) -> None:
    """
    Write fold_0_train.spacy, fold_0_test.spacy and so on. Every document is in one test part.
    """
    import numpy

    docs = list(DocBin().from_disk(corpus).get_docs(spacy.blank("en").vocab))
    fix_random_seed(seed)
    fold_of = numpy.random.permutation(len(docs)) % folds
    target.mkdir(parents=True, exist_ok=True)
    for fold in range(folds):
        for part, chosen in (("train", fold_of != fold), ("test", fold_of == fold)):
            kept = [doc for doc, is_in in zip(docs, chosen) if is_in]
            DocBin(docs=kept, store_user_data=True).to_disk(target / f"fold_{fold}_{part}.spacy")
    msg.good(f"Split {len(docs)} documents into {folds} folds in {target}")


if __name__ == "__main__":
    typer.run(main)
