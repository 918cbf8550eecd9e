"""The figures of the original implementation, for more than one test module: see test_parity.py.

tests/parity holds a compact copy. The folder they come from may stand beside the repository.
"""

import json
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Tuple

import numpy
import pytest
import srsly
import torch
from safetensors.torch import load_file, save_file
from spacy.language import Language
from spacy.tokens import Doc
from util import entities_of, relations_of, torch_head

from spacy_spert.ml.candidates import all_spans
from spacy_spert.ml.encoders import get_layout

COPY = Path(__file__).parent / "parity"
ORIGINAL = Path(__file__).parents[2] / "shared" / "parity"
DATA = json.loads((COPY / "data.json").read_text(encoding="utf8"))
SENTENCES = DATA["sentences"]

# Widest span in the figures.
MAX_WIDTH = DATA["max_span_width"]

Span = Tuple[int, int]
Pair = Tuple[int, int, int, int]


class Prediction(NamedTuple):
    """What a pipeline says of one sentence, with the probabilities of all spans, and of all pairs of its entities."""

    doc: Doc
    spans: Dict[Span, Any]
    pairs: Dict[Pair, Any]


def load_expected() -> Dict[str, Any]:
    with numpy.load(COPY / "expected.npz") as arrays:
        return dict(arrays)


def load_weights() -> Dict[str, torch.Tensor]:
    """The checkpoint's weights under their own names."""
    encoder = load_file(COPY / "encoder" / "model.safetensors")
    return {**{f"bert.{name}": weight for name, weight in encoder.items()}, **load_file(COPY / "head.safetensors")}


def write_checkpoint(folder: Path, weights: Dict[str, Any], weights_file: str = "pytorch_model.bin") -> Path:
    """The folder of a checkpoint as the original saves it, and the types.json that belongs to it beside it."""
    folder.mkdir()
    for name in ("config.json", "tokenizer_config.json"):
        srsly.write_json(folder / name, srsly.read_json(COPY / "encoder" / name))
    change_json(folder / "config.json", spert_version="1.1")
    (folder / "vocab.txt").write_bytes((COPY / "encoder" / "vocab.txt").read_bytes())
    if weights_file.endswith(".bin"):
        torch.save(weights, folder / weights_file)
    else:
        save_file(weights, folder / weights_file)
    types = {
        "entities": {label: {"short": label, "verbose": label} for label in DATA["entity_labels"]},
        "relations": {
            label: {"short": label, "verbose": label, "symmetric": label in DATA["symmetric_labels"]}
            for label in DATA["relation_labels"]
        },
    }
    srsly.write_json(folder.parent / "types.json", types)
    return folder


def change_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf8")), **changes}), encoding="utf8")


def predict_all(nlp: Language, batch_size: int) -> List[Prediction]:
    """Predict the sentences, with everything that was looked at."""
    spert, transformer = nlp.get_pipe("spert"), nlp.get_pipe("transformer")
    head = torch_head(nlp).eval()
    rows = []
    for first in range(0, len(SENTENCES), batch_size):
        docs = [Doc(nlp.vocab, words=row["tokens"]) for row in SENTENCES[first : first + batch_size]]
        transformer.set_annotations(docs, transformer.predict(docs))
        states, layout = get_layout(spert.model.ops, docs, [doc._.trf_data for doc in docs])
        with torch.no_grad():
            encoded = head.encode([torch.from_numpy(state) for state in states], layout)
            # No token of these sentences is without wordpieces, so that visible tokens are flat ones.
            bounds = zip(layout.sentences[:-1].tolist(), layout.sentences[1:].tolist())
            spans = numpy.concatenate([all_spans(end - start, MAX_WIDTH) + start for start, end in bounds])
            probs = head.classify(encoded, spans, is_train=False)[1].softmax(dim=1).numpy()
            windows = head.classify_all(encoded)
        places = (spans[:, 1] - spans[:, 0] - 1, spans[:, 0])
        numpy.testing.assert_array_equal(windows.labels[places], 1 + probs[:, 1:].argmax(axis=1))
        numpy.testing.assert_allclose(windows.scores[places], probs[:, 1:].max(axis=1), atol=1e-6)
        numpy.testing.assert_allclose(windows.none[places], probs[:, 0], atol=1e-6)
        scores = spert.predict(docs)
        spert.set_annotations(docs, scores)
        offset = 0
        for doc in docs:
            span_probs = {
                (start - offset, end - offset): row
                for (start, end), row in zip(spans.tolist(), probs)
                if offset <= start < offset + len(doc)
            }
            pair_probs = {
                tuple((scores.spans[pair] - offset).reshape(-1).tolist()): row
                for pair, row in zip(scores.pairs, scores.pair_scores)
                if offset <= scores.spans[pair[0], 0] < offset + len(doc)
            }
            rows.append(Prediction(doc, span_probs, pair_probs))
            offset += len(doc)
    return rows


def check_span_probabilities(prediction: Prediction, expected: Dict[str, Any], i: int) -> None:
    spans = [tuple(span) for span in expected[f"spans_{i}"].tolist()]
    assert set(prediction.spans) == set(spans)
    got = numpy.stack([prediction.spans[span] for span in spans])
    numpy.testing.assert_allclose(got, expected[f"span_probs_{i}"], atol=1e-5, rtol=0)


def check_pair_probabilities(prediction: Prediction, expected: Dict[str, Any], i: int) -> None:
    pairs = [tuple(pair) for pair in expected[f"pairs_{i}"].tolist()]
    assert set(prediction.pairs) == set(pairs)
    if pairs:
        got = numpy.stack([prediction.pairs[pair] for pair in pairs])
        numpy.testing.assert_allclose(got, expected[f"pair_probs_{i}"], atol=1e-5, rtol=0)


def check_entities(doc: Doc, i: int) -> None:
    rows = sorted((start, end, label, score) for start, end, label, score in SENTENCES[i]["predicted_entities"])
    assert entities_of(doc) == [tuple(row[:3]) for row in rows]
    group = doc.spans["spert"]
    scores = {(span.start, span.end): score for span, score in zip(group, group.attrs["scores"])}
    assert [scores[start, end] for start, end, _, _ in rows] == pytest.approx([row[3] for row in rows], abs=1e-5)


def check_relations(doc: Doc, i: int) -> None:
    rows = sorted(((a, b), (c, d), label, score) for a, b, c, d, label, score in SENTENCES[i]["predicted_relations"])
    assert relations_of(doc) == [row[:3] for row in rows]
    scores = {((r.head.start, r.head.end), (r.tail.start, r.tail.end), r.label): r.score for r in doc._.relations}
    assert [scores[row[:3]] for row in rows] == pytest.approx([row[3] for row in rows], abs=1e-5)
