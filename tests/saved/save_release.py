"""Save tiny pipelines and annotated documents of this release, which all later ones must be able to load.

    python tests/saved/save_release.py

Run it once for each release, before it is published, and never again: `tests/test_saved.py` loads what it leaves in a
folder with the release's number.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import spacy
import srsly
from spacy.language import Language
from spacy.tokens import DocBin

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

from util import CNN, SYMMETRIC, TEXTS, add_transformer, initialize, make_doc, make_encoder, prediction, train  # noqa: E402

import spacy_spert  # noqa: E402

SETTINGS = {"symmetric_labels": SYMMETRIC, "max_span_width": 4}
STEPS = 100
# The versions of spaCy that are allowed, so that none of them warns.
SPACY = ">=3.8.2,<3.9.0"


def main() -> None:
    spacy_spert.install_extension()
    path = FOLDER / spacy_spert.__version__
    path.mkdir()
    for name, make in (("tok2vec", with_tok2vec), ("transformer", with_transformer)):
        nlp = make()
        train(nlp, STEPS)
        nlp.meta["spacy_version"] = SPACY
        nlp.to_disk(path / name)
        srsly.write_json(path / f"{name}.json", [prediction(nlp(text)) for text, _, _ in TEXTS])
    vocab = spacy.blank("xx").vocab
    DocBin(docs=[make_doc(vocab, *text) for text in TEXTS]).to_disk(path / "docs.spacy")


def with_tok2vec() -> Language:
    nlp = spacy.blank("xx")
    model = {"tok2vec": {**CNN, "width": 8, "embed_size": 50}, "width_embedding": 4, "dropout": 0.0}
    nlp.add_pipe("spert", config={**SETTINGS, "model": model})
    return initialize(nlp)


def with_transformer() -> Language:
    nlp = spacy.blank("xx")
    with TemporaryDirectory() as folder:
        encoder = Path(folder) / "tiny"
        sizes = {"hidden_size": 8, "num_hidden_layers": 1, "intermediate_size": 8, "max_position_embeddings": 32}
        make_encoder(encoder, [word for text, _, _ in TEXTS for word in text.split()], **sizes)
        add_transformer(nlp, encoder, max_length=32)
        nlp.add_pipe("spert", config={**SETTINGS, "model": {"width_embedding": 4, "dropout": 0.0}})
        initialize(nlp)
    nlp.get_pipe_config("transformer")["model"]["name"] = encoder.name
    return nlp


if __name__ == "__main__":
    main()
