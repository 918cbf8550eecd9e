"""The figures of the original implementation: a tiny SpERT checkpoint, what it says of six sentences, its gradients.

tests/parity holds a compact copy. Where the original folder stands beside the repository, the copy is checked too.
"""

import json

import numpy
import pytest
import spacy
import torch
from original import (
    COPY,
    DATA,
    ORIGINAL,
    SENTENCES,
    check_entities,
    check_pair_probabilities,
    check_relations,
    check_span_probabilities,
    load_expected,
    load_weights,
    predict_all,
)
from safetensors.torch import load_file
from spacy.tokens import Doc
from spacy.training import Example
from util import DOC_SPANS, add_transformer, make_doc, switch_off_dropout, torch_encoder, torch_head

from spacy_spert.ml.loss import relation_loss, span_loss

NUMBERS = ["one batch", "one by one"]
# Names of the original, and ours.
HEAD_WEIGHTS = {
    "entity_classifier.weight": "span_head.layer.weight",
    "entity_classifier.bias": "span_head.layer.bias",
    "rel_classifier.weight": "relation_head.layer.weight",
    "rel_classifier.bias": "relation_head.layer.bias",
    "size_embeddings.weight": "width_embedding.weight",
}


def original_rows(name, array):
    """Our rows of an original weight: its width embedding begins with width 0 and goes on to 99."""
    return array[1 : DATA["max_span_width"] + 1] if name == "size_embeddings.weight" else array


def load_head(head, path):
    """Put the weights of an original checkpoint into our head."""
    weights = load_file(path)
    with torch.no_grad():
        for name, own in HEAD_WEIGHTS.items():
            head.get_parameter(own).copy_(original_rows(name, weights[name]))


def make_parity_nlp():
    nlp = spacy.blank("xx")
    add_transformer(nlp, COPY / "encoder", spans=DOC_SPANS, max_length=512)
    everything = 10**6
    settings = {
        "max_span_width": DATA["max_span_width"],
        "relation_threshold": DATA["relation_threshold"],
        "symmetric_labels": DATA["symmetric_labels"],
        "negative_spans": everything,
        "negative_relations": everything,
        "max_relation_distance": 0,
        "entities_per_token": 0.0,
        "model": {"width_embedding": DATA["width_embedding"], "dropout": 0.0},
    }
    nlp.add_pipe("spert", config=settings)
    labels = {"entities": DATA["entity_labels"], "relations": DATA["relation_labels"]}
    nlp.config["initialize"]["components"]["spert"] = {"labels": labels}
    nlp.initialize(lambda: parity_examples(nlp))
    load_head(torch_head(nlp), COPY / "head.safetensors")
    switch_off_dropout(torch_encoder(nlp))
    return nlp


def parity_examples(nlp):
    return [
        Example(
            Doc(nlp.vocab, words=row["tokens"]),
            make_doc(nlp.vocab, " ".join(row["tokens"]), row["entities"], row["relations"]),
        )
        for row in SENTENCES
    ]


@pytest.fixture(scope="module")
def expected():
    return load_expected()


@pytest.fixture(scope="module")
def nlp():
    return make_parity_nlp()


@pytest.fixture(scope="module", params=[len(SENTENCES), 1], ids=NUMBERS)
def results(nlp, request):
    return predict_all(nlp, request.param)


@pytest.fixture(scope="module")
def training(nlp):
    """One batch of all sentences: samples, logits and the gradients of all weights under their original names."""
    transformer, spert = nlp.get_pipe("transformer"), nlp.get_pipe("spert")
    examples = parity_examples(nlp)
    transformer.update(examples)
    task = spert._training(examples)
    scores, backprop = spert.model.begin_update(([eg.predicted for eg in examples], task))
    _, d_scores = spert.get_loss(examples, scores)
    backprop(d_scores)
    head = torch_head(nlp)
    gradients = {name: head.get_parameter(own).grad for name, own in HEAD_WEIGHTS.items()}
    gradients.update({f"bert.{name}": weight.grad for name, weight in torch_encoder(nlp).named_parameters()})
    return scores[2], scores, {name: grad.numpy() for name, grad in gradients.items() if grad is not None}


@pytest.mark.parametrize("i", range(len(SENTENCES)))
def test_encoder_states(nlp, results, expected, i):
    data = results[i].doc._.trf_data
    n = len(expected[f"pieces_{i}"])
    assert nlp.get_pipe("transformer").model.tokenizer.convert_tokens_to_ids(data.wordpieces.strings[0][:n]) == list(
        expected[f"pieces_{i}"]
    )
    numpy.testing.assert_allclose(
        data.model_output["last_hidden_state"][0, :n], expected[f"states_{i}"], atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("i", range(len(SENTENCES)))
def test_span_probabilities(results, expected, i):
    check_span_probabilities(results[i], expected, i)


@pytest.mark.parametrize("i", range(len(SENTENCES)))
def test_pair_probabilities(results, expected, i):
    check_pair_probabilities(results[i], expected, i)


@pytest.mark.parametrize("i", range(len(SENTENCES)))
def test_predicted_entities(results, i):
    check_entities(results[i].doc, i)


@pytest.mark.parametrize("i", range(len(SENTENCES)))
def test_predicted_relations(results, i):
    check_relations(results[i].doc, i)


def test_something_is_predicted():
    """The comparisons above are not of empty lists."""
    assert sum(len(row["predicted_entities"]) for row in SENTENCES) == 24
    assert sum(len(row["predicted_relations"]) for row in SENTENCES) == 63


@pytest.mark.parametrize("kind, array", [("entity_samples", "spans"), ("relation_samples", "pairs")])
def test_sample_counts(training, kind, array):
    samples, _, _ = training
    assert len(getattr(samples, array)) == DATA["train"][kind]


def test_entity_loss(training):
    samples, (logits, _, _), _ = training
    assert span_loss(logits, samples.span_labels)[0] == pytest.approx(DATA["train"]["entity_loss"], abs=1e-5)


def test_relation_loss(training):
    samples, (_, logits, _), _ = training
    assert relation_loss(logits, samples.pair_labels)[0] == pytest.approx(DATA["train"]["relation_loss"], abs=1e-5)


def test_full_gradients(training, expected):
    _, _, gradients = training
    names = [name[len("grad:") :] for name in expected if name.startswith("grad:")]
    assert len(names) == 7
    for name in names:
        numpy.testing.assert_allclose(
            gradients[name], original_rows(name, expected[f"grad:{name}"]), atol=1e-5, rtol=0, err_msg=name
        )


def test_gradient_norms(training):
    _, _, gradients = training
    assert {name: numpy.linalg.norm(gradients[name]) for name in DATA["grad_norms"]} == pytest.approx(
        DATA["grad_norms"], abs=1e-5
    )


def test_no_gradient_besides_the_original_ones(training):
    """Every weight that has a gradient here has one there; the pooler has none."""
    _, _, gradients = training
    assert set(gradients) == set(DATA["grad_norms"])


def test_the_copy_is_small():
    assert sum(path.stat().st_size for path in COPY.rglob("*") if path.is_file()) < 400_000


@pytest.fixture(scope="module")
def figures():
    return json.loads((ORIGINAL / "expected.json").read_text(encoding="utf8"))


@pytest.mark.skipif(not ORIGINAL.is_dir(), reason="the original figures are not beside the repository")
class TestCopyEqualsOriginal:
    def test_weights(self):
        original = torch.load(ORIGINAL / "checkpoint" / "pytorch_model.bin")
        copy = load_weights()
        assert set(copy) == set(original)
        assert all(torch.equal(copy[name], original[name]) for name in copy)

    @pytest.mark.parametrize("name", ["vocab.txt", "tokenizer_config.json", "config.json"])
    def test_encoder_files(self, name):
        read = json.loads if name.endswith(".json") else str
        original, copy = (
            read((path / name).read_text(encoding="utf8")) for path in (ORIGINAL / "checkpoint", COPY / "encoder")
        )
        if name == "config.json":
            del original["spert_version"]
        assert copy == original

    def test_sentences(self):
        original = json.loads((ORIGINAL / "sentences.json").read_text(encoding="utf8"))
        for row, copy in zip(original, SENTENCES, strict=True):
            assert copy["tokens"] == row["tokens"]
            assert copy["entities"] == [[e["start"], e["end"], e["type"]] for e in row["entities"]]
            assert copy["relations"] == [[r["head"], r["tail"], r["type"]] for r in row["relations"]]

    def test_labels(self, figures):
        types = json.loads((ORIGINAL / "types.json").read_text(encoding="utf8"))
        assert DATA["entity_labels"] == figures["entity_labels"][1:] == list(types["entities"])
        assert DATA["relation_labels"] == figures["relation_labels"] == list(types["relations"])
        assert DATA["symmetric_labels"] == [name for name, row in types["relations"].items() if row["symmetric"]]
        assert DATA["max_span_width"] == figures["max_span_size"]
        assert DATA["relation_threshold"] == figures["rel_filter_threshold"]

    def test_probabilities(self, figures, expected):
        for i, row in enumerate(figures["sentences"]):
            assert expected[f"spans_{i}"].tolist() == [[span["start"], span["end"]] for span in row["spans"]]
            assert expected[f"pairs_{i}"].tolist() == [pair["head"] + pair["tail"] for pair in row["pairs"]]
            for name, rows in (("span_probs", row["spans"]), ("pair_probs", row["pairs"])):
                probs = numpy.asarray([item["probs"] for item in rows])
                numpy.testing.assert_allclose(
                    expected[f"{name}_{i}"], probs.reshape(expected[f"{name}_{i}"].shape), atol=1e-6, rtol=0
                )

    def test_predictions(self, figures):
        for row, copy in zip(figures["sentences"], SENTENCES, strict=True):
            assert copy["predicted_entities"] == [
                [entity["start"], entity["end"], entity["type"], pytest.approx(entity["score"], abs=1e-6)]
                for entity in row["predicted_entities"]
            ]
            assert copy["predicted_relations"] == [
                [
                    *(relation[side][bound] for side in ("head", "tail") for bound in ("start", "end")),
                    relation["type"],
                    pytest.approx(relation["score"], abs=1e-6),
                ]
                for relation in row["predicted_relations"]
            ]

    def test_training_figures(self, figures, expected):
        original = figures["train"]
        assert DATA["train"] == {name: original[name] for name in DATA["train"]}
        assert DATA["grad_norms"] == pytest.approx(original["grad_norms"], abs=1e-8)
        for name, grad in original["grads"].items():
            numpy.testing.assert_allclose(expected[f"grad:{name}"], numpy.asarray(grad), atol=1e-6, rtol=0)
