"""Heads of another package: defined here, registered, chosen in the config, and used like our own."""

import pickle
from functools import partial

import numpy
import pytest
import spacy
import torch
from spacy.util import load_model
from torch import nn
from util import CNN, SYMMETRIC, assert_same_predictions, clone, initialize, make_examples, train

from spacy_spert.ml.arrays import Samples
from spacy_spert.ml.model import Training, get_network
from spacy_spert.ml.relation_head import RelationHead

SPAN_HEAD = "tests.NormalizedSpanHead.v1"
RELATION_HEAD = "tests.BilinearRelationHead.v1"
PLAIN_RELATION_HEAD = "tests.PlainRelationHead.v1"


class NormalizedSpanHead(nn.Module):
    """Scores the normalized sum of the terms. Not a subclass of SpanHead: attributes and methods are what counts."""

    uses_edges = False

    def __init__(self, sizes, hidden_width):
        super().__init__()
        self.context_terms = nn.Linear(sizes.width, hidden_width)
        self.span = nn.Linear(sizes.width, hidden_width, bias=False)
        self.width = nn.Linear(sizes.width_embedding, hidden_width, bias=False)
        self.norm = nn.LayerNorm(hidden_width)
        self.output_layer = nn.Linear(hidden_width, 1 + sizes.n_entity_labels)

    def forward(self, contexts, spans, is_train):
        return self.score(self.context_terms(contexts) + self.span_terms(spans.vectors, spans.widths), is_train)

    def span_terms(self, vectors, widths):
        return self.span(vectors) + self.width(widths)

    def score(self, hidden, is_train):
        return self.output_layer(torch.tanh(self.norm(hidden)))


class BilinearRelationHead(RelationHead):
    """Multiplies projections of head and tail, beside the paper's inputs. The terms are kept apart until `score`."""

    def __init__(self, sizes, hidden_width, rank):
        super().__init__(
            sizes, hidden_width, sizes.dropout, 0.0, labels=True, empty_context=True, distance=4, edges=False
        )
        self.rank = rank
        self.factors = nn.ModuleDict({side: nn.Linear(sizes.width, rank) for side in ("head", "tail")})
        self.output.layer = nn.Linear(hidden_width + rank, sizes.n_relation_labels)

    def forward(self, contexts, heads, tails, distances, is_train):
        sides = self.side_terms("head", heads) + self.side_terms("tail", tails)
        return self.score(self.context_terms(contexts, distances) + sides, is_train)

    def side_terms(self, side, spans):
        factor = self.factors[side](spans.vectors)
        empty = torch.zeros_like(factor)
        factors = (factor, empty) if side == "head" else (empty, factor)
        return torch.cat([super().side_terms(side, spans), *factors], dim=1)

    def context_terms(self, contexts, distances):
        return nn.functional.pad(super().context_terms(contexts, distances), (0, 2 * self.rank))

    def score(self, hidden, is_train):
        linear, head, tail = hidden.split([self.layer.out_features, self.rank, self.rank], dim=-1)
        return super().score(torch.cat([linear, head * tail], dim=-1), is_train)


class PlainRelationHead(nn.Module):
    """Scores the sum of the terms, with the widths left out. Not a subclass of RelationHead."""

    uses_labels = uses_edges = False
    empty_context = None

    def __init__(self, sizes, hidden_width):
        super().__init__()
        self.context = nn.Linear(sizes.width, hidden_width)
        self.sides = nn.ModuleDict({side: nn.Linear(sizes.width, hidden_width) for side in ("head", "tail")})
        self.output_layer = nn.Linear(hidden_width, sizes.n_relation_labels)

    def forward(self, contexts, heads, tails, distances, is_train):
        sides = self.side_terms("head", heads) + self.side_terms("tail", tails)
        return self.score(self.context_terms(contexts, distances) + sides, is_train)

    def side_terms(self, side, spans):
        return self.sides[side](spans.vectors)

    def context_terms(self, contexts, distances):
        return self.context(contexts)

    def score(self, hidden, is_train):
        return self.output_layer(torch.tanh(hidden))

    def score_both(self, hidden):
        return self.score(hidden, False)


# Partials instead of functions within functions, as a pipeline must be picklable.


def make_span_head(hidden_width: int):
    return partial(NormalizedSpanHead, hidden_width=hidden_width)


def make_relation_head(hidden_width: int, rank: int):
    return partial(BilinearRelationHead, hidden_width=hidden_width, rank=rank)


def make_plain_relation_head(hidden_width: int):
    return partial(PlainRelationHead, hidden_width=hidden_width)


@pytest.fixture(scope="module")
def registered():
    spacy.registry.architectures.register(SPAN_HEAD, func=make_span_head)
    spacy.registry.architectures.register(RELATION_HEAD, func=make_relation_head)
    spacy.registry.architectures.register(PLAIN_RELATION_HEAD, func=make_plain_relation_head)


def make_trained(relation_head, steps):
    nlp = spacy.blank("xx")
    span_head = {"@architectures": SPAN_HEAD, "hidden_width": 12}
    model = {"tok2vec": CNN, "dropout": 0.0, "span_head": span_head, "relation_head": relation_head}
    nlp.add_pipe("spert", config={"symmetric_labels": SYMMETRIC, "max_span_width": 4, "model": model})
    initialize(nlp)
    return train(nlp, steps), nlp


@pytest.fixture(scope="module")
def losses_and_nlp(registered):
    return make_trained({"@architectures": RELATION_HEAD, "hidden_width": 12, "rank": 6}, 80)


@pytest.fixture
def nlp(losses_and_nlp):
    return losses_and_nlp[1]


def predict(nlp):
    return list(nlp.pipe(example.predicted for example in make_examples(nlp)))


def test_heads_of_the_config_are_used(nlp):
    network = get_network(nlp.get_pipe("spert").model)
    assert type(network.span_head) is NormalizedSpanHead
    assert type(network.relation_head) is BilinearRelationHead


def test_they_learn(losses_and_nlp):
    losses, nlp = losses_and_nlp
    assert losses[-1] < 0.05 * losses[0]
    scores = nlp.evaluate(make_examples(nlp))
    assert scores["spans_spert_f"] == scores["rels_strict_f"] == 1.0


def test_saved_pipeline_predicts_the_same(nlp, tmp_path):
    nlp.to_disk(tmp_path / "saved")
    config = nlp.config["components"]["spert"]["model"]
    assert (config["span_head"]["@architectures"], config["relation_head"]["rank"]) == (SPAN_HEAD, 6)
    assert_same_predictions(predict(nlp), predict(load_model(tmp_path / "saved")))


def test_pickled_pipeline_predicts_the_same(nlp):
    assert_same_predictions(predict(nlp), predict(pickle.loads(pickle.dumps(nlp))))


@pytest.mark.parametrize("head", ["bilinear", "plain"])
def test_training_scores_what_prediction_scores(registered, losses_and_nlp, head):
    _, nlp = losses_and_nlp
    if head == "plain":
        _, nlp = make_trained({"@architectures": PLAIN_RELATION_HEAD, "hidden_width": 12}, 60)
    model = nlp.get_pipe("spert").model
    docs = [example.predicted for example in make_examples(nlp)]
    scores = nlp.get_pipe("spert").predict(docs)
    assert len(scores.spans) > 10 and len(scores.pairs) > 10
    samples = Samples(
        scores.spans,
        scores.span_labels,
        numpy.ones(len(scores.spans), dtype=bool),
        scores.pairs,
        numpy.zeros_like(scores.pair_scores),
    )
    (span_logits, pair_logits, _), _ = model.begin_update((docs, Training(lambda layout: samples)))
    probabilities = torch.from_numpy(span_logits).softmax(dim=1).numpy()
    assert (probabilities.argmax(axis=1) == scores.span_labels).all()
    numpy.testing.assert_allclose(probabilities.max(axis=1), scores.span_scores, atol=1e-5)
    numpy.testing.assert_allclose(torch.from_numpy(pair_logits).sigmoid().numpy(), scores.pair_scores, atol=1e-5)


def test_labels_can_be_added(nlp):
    grown = clone(nlp)
    grown.get_pipe("spert").add_label("DATE", "entity")
    grown.get_pipe("spert").add_label("born_on", "relation")
    network = get_network(grown.get_pipe("spert").model)
    assert network.span_head.output_layer.out_features == 1 + 4
    assert network.relation_head.output_layer.out_features == 4
    # The probabilities of the other labels lose a little.
    for doc, other in zip(predict(nlp), predict(grown)):
        assert [(span.start, span.end, span.label_) for span in doc.spans["spert"]] == [
            (span.start, span.end, span.label_) for span in other.spans["spert"]
        ]
        assert [relation.label for relation in doc._.relations] == [relation.label for relation in other._.relations]
