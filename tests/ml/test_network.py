"""The stages of the network against the plain formula: concatenate, then the layers."""

from dataclasses import replace

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.measure import peak_memory
from spacy_spert.decoding import Decoder
from spacy_spert.ml import network as network_module
from spacy_spert.ml import pooling
from spacy_spert.ml.arrays import Given, Layout, Samples
from spacy_spert.ml.candidates import all_spans, both_orders
from spacy_spert.ml.heads import Sizes
from spacy_spert.ml.network import SpertNetwork
from spacy_spert.ml.relation_head import build_relation_head, distance_buckets
from spacy_spert.ml.span_head import build_span_head
from spacy_spert.sampling import Pairing
from spacy_spert.sentences import reach_of

WIDTH, N_ENTITIES, N_RELATIONS, MAX_WIDTH = 6, 3, 2, 4

CHOICES = {
    "context": ["localized", "sentence", "cls"],
    "pooling": ["max", "mean", "sum"],
    # No special tokens, one for each sentence, or several for some and none for others.
    "specials": [None, "one", "some"],
    # The paper's heads, and with everything they may have.
    "heads": ["linear", "rich", "inverse"],
}
SCOPES = pytest.mark.parametrize("scope", [1, 2, "document"])
CONTEXTS, POOLINGS, SPECIALS, HEADS = (pytest.mark.parametrize(name, values) for name, values in CHOICES.items())
ANY_OF_EACH = [st.sampled_from(values) for values in CHOICES.values()]
RICH_SPANS = {"hidden_width": 7, "edges": True}
RICH_PAIRS = {"hidden_width": 5, "labels": True, "empty_context": True, "distance": 3, "edges": True}

# Wordpieces of each token of each sentence.
SENTENCES = [[2, 1, 1, 3], [1], [1, 1, 2, 1, 1], [2]]


@pytest.fixture(scope="module", autouse=True, params=["table", "directly"])
def maxima(request):
    """Everything here is so small that maxima would only ever be taken directly."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "table":
            patch.setattr(pooling, "FEW_NUMBERS", -1)
        yield request.param


def make_network(seed=0, n_relations=N_RELATIONS, max_width=MAX_WIDTH, heads="linear", dropout=0.1, **config):
    """A network in double precision with weights large enough to matter."""
    sizes = Sizes(WIDTH, N_ENTITIES, n_relations, max_width, 5, dropout)
    span_head = build_span_head(**({} if heads == "linear" else RICH_SPANS))
    relation_head = build_relation_head(**({} if heads == "linear" else RICH_PAIRS), inverse=heads == "inverse")
    network = SpertNetwork(sizes, span_head, relation_head, **config).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.7)
    return network


def make_layout(sentences=SENTENCES, specials="one", seed=0, documents=(0,)):
    """A layout with the rows in random order, some of them unused, and embeddings for it."""
    rng = numpy.random.default_rng(seed)
    counts = numpy.asarray([count for sentence in sentences for count in sentence])
    n_pieces, n_sentences = int(counts.sum()), len(sentences)
    n_specials = {None: numpy.zeros, "one": numpy.ones, "some": lambda n, dtype: rng.integers(0, 4, n)}[specials]
    owners = numpy.repeat(numpy.arange(n_sentences), n_specials(n_sentences, dtype="int64"))
    rows = rng.permutation(n_pieces + len(owners) + 3)
    layout = Layout(
        # Between the tokens are others without wordpieces.
        tokens=numpy.cumsum(rng.integers(1, 3, len(counts))),
        rows=rows[:n_pieces],
        offsets=numpy.concatenate([[0], numpy.cumsum(counts)]),
        sentences=numpy.cumsum([0, *(len(sentence) for sentence in sentences)]),
        cls_rows=rows[n_pieces : n_pieces + len(owners)],
        cls_sentences=owners,
        documents=numpy.cumsum([0, *(len(sentence) for sentence in sentences)])[list(documents)],
    )
    return torch.from_numpy(rng.normal(size=(len(rows), WIDTH))), layout


def random_samples(layout, seed=0, n_spans=25, n_pairs=30, across=False):
    """Spans in one sentence each, some wider than the limit, and pairs of spans of the same sentence, or of any."""
    rng = numpy.random.default_rng(seed)
    spans = []
    for start, end in zip(layout.sentences[:-1], layout.sentences[1:]):
        spans.extend((all_spans(end - start, MAX_WIDTH + 2) + start).tolist())
    spans = numpy.asarray(spans)[rng.integers(0, len(spans), n_spans)]
    owners = layout.sentence_of(spans[:, 0])
    pairs = [(i, j) for i in range(n_spans) for j in range(n_spans) if i != j and (across or owners[i] == owners[j])]
    pairs = numpy.asarray(pairs).reshape(-1, 2)
    pairs = pairs[rng.permutation(len(pairs))[:n_pairs]]
    labels = numpy.zeros((len(pairs), N_RELATIONS), dtype="float32")
    span_labels = rng.integers(0, 1 + N_ENTITIES, n_spans)
    return Samples(spans, span_labels, numpy.ones(n_spans, dtype=bool), pairs, labels)


# The plain formula


def plain_pieces(embeddings, layout, start, end):
    return embeddings[torch.from_numpy(layout.rows[layout.offsets[start] : layout.offsets[end]])]


def plain_pool(pieces, pooling):
    if not len(pieces):
        return pieces.new_zeros(pieces.shape[1])
    return {"max": pieces.amax(dim=0), "mean": pieces.mean(dim=0), "sum": pieces.sum(dim=0)}[pooling]


def plain_context(embeddings, layout, sentence):
    if sentence not in layout.cls_sentences:
        return plain_pool(plain_pieces(embeddings, layout, *layout.sentences[sentence : sentence + 2]), "max")
    return plain_pool(embeddings[torch.from_numpy(layout.cls_rows[layout.cls_sentences == sentence])], "mean")


def plain_span_parts(network, embeddings, layout, span):
    """The pooled wordpieces, the embedding of the width, the first and the last wordpiece."""
    pieces = plain_pieces(embeddings, layout, *span)
    width = network.width_embedding.weight[min(span[1] - span[0], network.sizes.max_span_width) - 1]
    return plain_pool(pieces, network.pooling), width, pieces[0], pieces[-1]


def plain_output(head, inputs, output="output"):
    """The layers of a head over the whole input."""
    hidden, last = head.layer(torch.stack(inputs)), getattr(head, output).layer
    return hidden if last is None else last(torch.nn.functional.gelu(hidden))


def plain_span_logits(network, embeddings, layout, spans):
    inputs = []
    for span in spans.tolist():
        vector, width, first, last = plain_span_parts(network, embeddings, layout, span)
        context = plain_context(embeddings, layout, int(layout.sentence_of(numpy.asarray(span[0]))))
        edges = [first, last] if network.span_head.uses_edges else []
        inputs.append(torch.cat([context, vector, width, *edges]))
    return plain_output(network.span_head, inputs) if inputs else embeddings.new_zeros(0, 1 + N_ENTITIES)


def plain_pair_context(network, embeddings, layout, one, two):
    first, last = sorted(int(layout.sentence_of(numpy.asarray(span[0]))) for span in (one, two))
    if network.context == "cls":
        return (plain_context(embeddings, layout, first) + plain_context(embeddings, layout, last)) / 2
    start, end = layout.sentences[first], layout.sentences[last + 1]
    if network.context == "localized":
        start, end = min(one[1], two[1]), max(one[0], two[0])
    if start >= end and network.relation_head.empty_context is not None:
        return network.relation_head.empty_context
    return plain_pool(plain_pieces(embeddings, layout, start, max(start, end)), "max")


def plain_pair_logits(network, embeddings, layout, spans, pairs, labels=None):
    head = network.relation_head
    if labels is None:
        probs = plain_span_logits(network, embeddings, layout, spans).detach().softmax(dim=1)[:, 1:]
    else:
        probs = torch.nn.functional.one_hot(torch.from_numpy(labels), 1 + N_ENTITIES)[:, 1:].double()

    def row(i, j):
        one, two = spans[[i, j]].tolist()
        parts = [plain_span_parts(network, embeddings, layout, span) for span in (one, two)]
        context = plain_pair_context(network, embeddings, layout, one, two)
        inputs = [context, parts[0][0], parts[1][0], parts[0][1], parts[1][1]]
        if head.uses_labels:
            inputs += [probs[i], probs[j], parts[0][2], parts[1][2], parts[0][3], parts[1][3]]
            gap = max(max(one[0], two[0]) - min(one[1], two[1]), 0)
            inputs.append(head.distance_embedding.weight[int(distance_buckets(numpy.asarray(gap)))])
        return torch.cat(inputs)

    if not len(pairs):
        return embeddings.new_zeros(0, network.sizes.n_relation_labels)
    logits = plain_output(head, [row(i, j) for i, j in pairs.tolist()])
    if head.inverse is not None:
        logits = logits + plain_output(head, [row(j, i) for i, j in pairs.tolist()], "inverse")
    return logits


def plain_search(network, embeddings, layout, max_distance=0, scope="sentence"):
    """All spans and pairs, one at a time."""
    spans, labels, scores = [], [], []
    for start in range(layout.sentences[-1]):
        limit = layout.sentences[layout.sentence_of(numpy.asarray(start)) + 1]
        for end in range(start + 1, min(start + network.sizes.max_span_width, limit) + 1):
            probs = plain_span_logits(network, embeddings, layout, numpy.asarray([[start, end]]))[0].softmax(dim=0)
            if probs.argmax():
                spans.append((start, end))
                labels.append(int(probs.argmax()))
                scores.append(float(probs.max()))
    pairs = []
    for i, one in enumerate(spans):
        for j, two in enumerate(spans[i + 1 :], start=i + 1):
            first, last = (int(layout.sentence_of(numpy.asarray(span[0]))) for span in (one, two))
            same_document = len({sum(token >= start for start in layout.documents) for token in (one[0], two[0])}) == 1
            if (
                same_document
                and last - first <= reach_of(scope)
                and (not max_distance or two[0] - one[1] <= max_distance)
            ):
                pairs.extend([(i, j), (j, i)])
    spans, pairs = (numpy.asarray(rows, dtype="int64").reshape(-1, 2) for rows in (spans, pairs))
    return spans, labels, scores, pairs


def search(network, embeddings, layout, spans=None, labels=None, **decisions):
    task = None
    if spans is not None:
        task = Given(layout.flat(spans), numpy.zeros(len(spans), dtype="int64") if labels is None else labels)
    return network.search([embeddings], layout, Decoder(**decisions), task)


def same(scores, others):
    for field in ("spans", "span_labels", "pairs", "over_limit", "tokens"):
        assert getattr(scores, field).tolist() == getattr(others, field).tolist(), field
    assert scores.span_scores == pytest.approx(others.span_scores, abs=1e-6)
    assert scores.pair_scores == pytest.approx(others.pair_scores, abs=1e-6)


# Pooling


@CONTEXTS
@POOLINGS
def test_features_of_spans(context, pooling):
    network = make_network(pooling=pooling, context=context, heads="rich")
    embeddings, layout = make_layout()
    spans = random_samples(layout, n_spans=40).spans
    parts = [plain_span_parts(network, embeddings, layout, span) for span in spans.tolist()]
    features, _ = network.classify(network.encode([embeddings], layout), spans, is_train=False)
    found = (features.vectors, features.widths, features.first, features.last)
    for part, expected in zip(found, zip(*parts)):
        torch.testing.assert_close(part, torch.stack(expected))


@pytest.mark.parametrize(
    "one, two, between",
    [
        ((0, 1), (3, 4), [1, 2]),
        ((3, 4), (0, 1), [1, 2]),
        ((0, 2), (2, 4), []),
        ((0, 3), (1, 4), []),
        ((0, 5), (2, 3), []),
        ((0, 1), (4, 5), [1, 2, 3]),
    ],
    ids=["apart", "reversed", "adjacent", "overlapping", "nested", "far"],
)
@HEADS
def test_localized_context_is_what_lies_strictly_between(one, two, between, heads):
    layout = Layout(numpy.arange(5), numpy.arange(5), numpy.arange(6), numpy.asarray([0, 5]))
    embeddings = -torch.eye(5, WIDTH, dtype=torch.float64) - 1.0
    network = make_network(heads=heads)
    empty = network.relation_head.empty_context
    seen = []
    network.relation_head.forward = lambda contexts, *_: seen.append(contexts)
    encoded = network.encode([embeddings], layout)
    spans = numpy.asarray([one, two])
    features, _ = network.classify(encoded, spans, is_train=False)
    network.score_pairs(encoded, spans, features, numpy.asarray([[0, 1]]), is_train=False)
    nothing = torch.zeros(WIDTH) if empty is None else empty
    assert seen[0][0].tolist() == (embeddings[between].amax(dim=0) if between else nothing).tolist()


@SPECIALS
def test_context_vectors(specials):
    embeddings, layout = make_layout(specials=specials)
    expected = [plain_context(embeddings, layout, i) for i in range(len(SENTENCES))]
    found = make_network().encode([embeddings], layout).contexts
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-6, atol=1e-7)


def test_distances_are_grouped():
    distances = numpy.asarray([0, 1, 2, 3, 4, 5, 6, 8, 9, 12, 13, 20, 21, 40, 41, 1000])
    assert distance_buckets(distances).tolist() == [0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9]


# Training


@CONTEXTS
@POOLINGS
@SPECIALS
@HEADS
@pytest.mark.parametrize("given_labels", [False, True])
def test_logits_of_samples(context, pooling, specials, heads, given_labels):
    network = make_network(context=context, pooling=pooling, heads=heads, dropout=0.0)
    embeddings, layout = make_layout(specials=specials)
    samples = replace(random_samples(layout), given=given_labels)
    span_logits, pair_logits, _ = network([embeddings], layout, samples)
    expected_spans = plain_span_logits(network, embeddings, layout, samples.spans)
    labels = samples.span_labels if given_labels else None
    expected_pairs = plain_pair_logits(network, embeddings, layout, samples.spans, samples.pairs, labels)
    torch.testing.assert_close(span_logits, expected_spans, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(pair_logits, expected_pairs, rtol=1e-6, atol=1e-6)


def gradients(network, embeddings, logits, seed):
    """Gradients of a random weighting of the logits, for the embeddings and all weights of the network."""
    generator = torch.Generator().manual_seed(seed)
    weights = [torch.randn(part.shape, generator=generator, dtype=torch.float64) for part in logits]
    loss = sum((part * weight).sum() for part, weight in zip(logits, weights))
    return torch.autograd.grad(loss, [embeddings, *network.parameters()], allow_unused=True)


@given(
    *ANY_OF_EACH,
    st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=7), min_size=1, max_size=3),
    st.integers(0, 1000),
    st.booleans(),
)
@settings(deadline=None, max_examples=40)
def test_gradients_equal_those_of_the_plain_formula(context, pooling, specials, heads, sentences, seed, across):
    sentences = [*sentences, [1, 2, 1]]
    network = make_network(seed, context=context, pooling=pooling, heads=heads, dropout=0.0)
    embeddings, layout = make_layout(sentences, specials, seed)
    embeddings.requires_grad_()
    samples = random_samples(layout, seed, n_spans=12, n_pairs=8, across=across)
    if not len(samples.pairs):
        return
    found = gradients(network, embeddings, network([embeddings], layout, samples)[:2], seed)
    plain = (
        plain_span_logits(network, embeddings, layout, samples.spans),
        plain_pair_logits(network, embeddings, layout, samples.spans, samples.pairs),
    )
    for one, two in zip(found, gradients(network, embeddings, plain, seed)):
        # Where no context is empty, nothing flows into what stands for it.
        zeros = torch.zeros(())
        torch.testing.assert_close(zeros if one is None else one, zeros if two is None else two, rtol=1e-6, atol=1e-6)


@HEADS
def test_no_pairs_to_train_on(heads):
    embeddings, layout = make_layout()
    samples = random_samples(layout, n_pairs=0)
    span_logits, pair_logits, _ = make_network(heads=heads)([embeddings], layout, samples)
    assert pair_logits.shape == (0, N_RELATIONS)
    assert len(span_logits) == len(samples.spans)


@HEADS
def test_near_misses_are_chosen_by_the_probability_of_none(heads):
    embeddings, layout = make_layout()
    samples = random_samples(layout)
    pairing = Pairing(negatives=0, near_misses=2, max_none=0.8)
    span_logits, pair_logits, chosen = make_network(heads=heads, dropout=0.0)([embeddings], layout, samples, pairing)
    expected, other = (
        pairing.choose_pairs(samples, span_logits.softmax(dim=1)[:, label].detach().numpy(), layout).pairs.tolist()
        for label in (0, 1)
    )
    assert chosen.pairs.tolist() == expected != other
    assert len(pair_logits) == len(expected) > len(samples.pairs)


@HEADS
@POOLINGS
def test_nothing_to_train_on(heads, pooling):
    embeddings, layout = make_layout()
    network = make_network(heads=heads, pooling=pooling)
    span_logits, pair_logits, _ = network([embeddings], layout, Samples.empty(N_RELATIONS))
    assert span_logits.shape == (0, 1 + N_ENTITIES)
    assert pair_logits.shape == (0, N_RELATIONS)


def test_embeddings_in_several_arrays_are_one():
    network = make_network(dropout=0.0)
    embeddings, layout = make_layout()
    samples = random_samples(layout)
    whole = network([embeddings], layout, samples)[:2]
    parts = network([embeddings[:5], embeddings[5:5], embeddings[5:]], layout, samples)[:2]
    assert all(torch.equal(one, two) for one, two in zip(whole, parts))


@pytest.mark.parametrize("mode", [True, False])
@HEADS
def test_dropout_in_training_only(heads, mode):
    """Whatever the mode of the module, which other threads may change: whether to train comes with the call."""
    embeddings, layout = make_layout()
    samples = random_samples(layout)
    network = make_network(dropout=0.5, heads=heads).train(mode)
    encoded = network.encode([embeddings], layout)
    one, two = (network.classify(encoded, samples.spans, is_train=False)[1] for _ in range(2))
    assert torch.equal(one, two)
    same(search(network, embeddings, layout), search(network, embeddings, layout))
    one, two = network([embeddings], layout, samples), network([embeddings], layout, samples)
    assert not torch.equal(one[0], two[0])
    assert not torch.equal(one[1], two[1])


def test_dropout_of_logits():
    embeddings, layout = make_layout()
    sizes = Sizes(WIDTH, N_ENTITIES, N_RELATIONS, MAX_WIDTH, 5, 0.0)
    network = SpertNetwork(sizes, build_span_head(logit_dropout=0.5), build_relation_head(logit_dropout=0.5)).double()
    logits = network([embeddings], layout, random_samples(layout))
    for part in logits[:2]:
        assert 0.2 < (part == 0.0).double().mean() < 0.8
    # Nothing flows through what is dropped, and twice as much through the rest.
    (gradient,) = torch.autograd.grad(logits[0].sum(), [network.span_head.layer.bias])
    torch.testing.assert_close(gradient, 2.0 * (logits[0] != 0.0).sum(dim=0).double())
    same(search(network, embeddings, layout), search(network, embeddings, layout))
    encoded = network.encode([embeddings], layout)
    assert (network.classify(encoded, random_samples(layout).spans, is_train=False)[1] != 0.0).all()


@pytest.mark.parametrize("spans, pairs", [(0.5, 0.0), (0.0, 0.5), (None, 0.0), (0.0, None)])
def test_heads_have_a_dropout_of_their_own(spans, pairs):
    """In place of the model's, which stands in for None."""
    embeddings, layout = make_layout()
    samples = random_samples(layout)
    sizes = Sizes(WIDTH, N_ENTITIES, N_RELATIONS, MAX_WIDTH, 5, dropout=0.5)
    # Without label features: they would hand the spans' dropout on to the pairs.
    relation_head = build_relation_head(**{**RICH_PAIRS, "dropout": pairs, "labels": False})
    network = SpertNetwork(sizes, build_span_head(**RICH_SPANS, dropout=spans), relation_head).double()
    one, two = (network([embeddings], layout, samples)[:2] for _ in range(2))
    assert torch.equal(one[0], two[0]) is (spans == 0.0)
    assert torch.equal(one[1], two[1]) is (pairs == 0.0)


@pytest.mark.parametrize(
    "build, name, setting, value",
    [
        (build_span_head, "span_head", "hidden_width", -3),
        (build_span_head, "span_head", "dropout", 1.0),
        (build_span_head, "span_head", "logit_dropout", 1.5),
        (build_relation_head, "relation_head", "hidden_width", -1),
        (build_relation_head, "relation_head", "distance", -1),
        (build_relation_head, "relation_head", "dropout", -0.1),
        (build_relation_head, "relation_head", "logit_dropout", 1.0),
    ],
)
def test_settings_of_heads_out_of_range(build, name, setting, value):
    with pytest.raises(ValueError, match=rf"\[S031\] Setting {name}.{setting} .* must be at least 0.*, got: {value}"):
        build(**{setting: value})


# Prediction


@CONTEXTS
@POOLINGS
@SPECIALS
@HEADS
def test_search_equals_the_plain_formula(context, pooling, specials, heads):
    network = make_network(context=context, pooling=pooling, heads=heads)
    embeddings, layout = make_layout(specials=specials)
    assert len(equals_plain_search(network, embeddings, layout).pairs) > 10


@given(
    *ANY_OF_EACH,
    st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=10), min_size=1, max_size=3),
    st.integers(1, 6),
    st.integers(0, 3),
    st.integers(1, 12),
    st.integers(0, 1000),
)
@settings(deadline=None, max_examples=40)
def test_search_of_anything_equals_the_plain_formula(
    context, pooling, specials, heads, sentences, max_width, max_distance, block, seed
):
    """Random pieces, widths and blocks, which are often shorter than a sentence."""
    network = make_network(seed, context=context, pooling=pooling, heads=heads, max_width=max_width)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network_module, "BLOCK_TOKENS", block)
        patch.setattr(network_module, "BLOCK_NUMBERS", block * WIDTH)
        equals_plain_search(network, *make_layout(sentences, specials, seed), max_distance)


@torch.no_grad()
def equals_plain_search(network, embeddings, layout, max_distance=0, scope="sentence"):
    scores = search(network, embeddings, layout, max_relation_distance=max_distance, relation_scope=scope)
    spans, labels, span_scores, pairs = plain_search(network, embeddings, layout, max_distance, scope)
    pair_scores = plain_pair_logits(network, embeddings, layout, spans, pairs).sigmoid()
    assert scores.spans.tolist() == (layout.flat(spans).tolist() if len(spans) else [])
    assert scores.span_labels.tolist() == labels
    assert scores.span_scores == pytest.approx(numpy.asarray(span_scores), abs=1e-6)
    assert sorted(map(tuple, scores.pairs.tolist())) == sorted(map(tuple, pairs.tolist()))
    order = numpy.lexsort((scores.pairs[:, 1], scores.pairs[:, 0]))
    plain_order = numpy.lexsort((pairs[:, 1], pairs[:, 0]))
    assert scores.pair_scores[order] == pytest.approx(pair_scores.numpy()[plain_order], abs=1e-6)
    assert not len(scores.over_limit)
    return scores


@pytest.mark.parametrize("context, specials", [("localized", None), ("sentence", "some"), ("cls", "one")])
@HEADS
@SCOPES
def test_search_within_a_wider_scope_equals_the_plain_formula(monkeypatch, context, specials, heads, scope):
    """In two documents, the first of one sentence, and in blocks shorter than a sentence."""
    monkeypatch.setattr(network_module, "BLOCK_TOKENS", 4)
    monkeypatch.setattr(network_module, "BLOCK_NUMBERS", 5 * WIDTH)
    network = make_network(context=context, heads=heads)
    embeddings, layout = make_layout([[1, 2], *SENTENCES], specials, documents=[0, 1])
    scores = equals_plain_search(network, embeddings, layout, scope=scope)
    owners = layout.sentence_of(layout.visible(scores.spans)[:, 0])[scores.pairs]
    assert (owners[:, 0] != owners[:, 1]).sum() > 10
    assert ((owners > 0).all(axis=1) | (owners == 0).all(axis=1)).all()


@torch.no_grad()
def test_memory_within_a_document():
    """It grows with the document, not with its square, as long as the distance of relations has a limit."""
    network = make_network(heads="inverse")
    network.span_head.output_layer.bias[0] -= 3.0
    peaks, n_pairs = [], []
    for n_sentences in (100, 200):
        embeddings, layout = make_layout([[1, 2, 1, 1, 1]] * n_sentences)
        task = {"relation_scope": "document", "max_relation_distance": 12}
        n_pairs.append(len(search(network, embeddings, layout, **task).pairs))
        peaks.append(peak_memory(lambda: search(network, embeddings, layout, **task)))  # noqa: B023
    assert n_pairs[0] > 5000
    assert max(peaks[1] / peaks[0], n_pairs[1] / n_pairs[0]) < 2.3


@POOLINGS
@SPECIALS
@HEADS
@pytest.mark.parametrize("temperature", [1.0, 2.5])
@torch.no_grad()
def test_all_windows_equal_given_spans(pooling, specials, heads, temperature):
    network = make_network(pooling=pooling, heads=heads)
    embeddings, layout = make_layout(specials=specials)
    windows = network.classify_all(network.encode([embeddings], layout), temperature)
    assert windows.labels.shape == windows.scores.shape == windows.none.shape == (MAX_WIDTH, sum(map(len, SENTENCES)))
    bounds = zip(layout.sentences[:-1], layout.sentences[1:])
    spans = numpy.concatenate([all_spans(end - start, MAX_WIDTH) + start for start, end in bounds])
    logits = plain_span_logits(network, embeddings, layout, spans)
    probs, raw = ((logits / divisor).softmax(dim=1).numpy() for divisor in (temperature, 1.0))
    places = spans[:, 1] - spans[:, 0] - 1, spans[:, 0]
    assert windows.labels[places].tolist() == (1 + probs[:, 1:].argmax(axis=1)).tolist()
    assert windows.scores[places] == pytest.approx(probs[:, 1:].max(axis=1), abs=1e-6)
    assert windows.raw[places] == pytest.approx(raw[:, 1:].max(axis=1), abs=1e-6)
    assert windows.none[places] == pytest.approx(raw[:, 0], abs=1e-6)


@HEADS
@pytest.mark.parametrize("temperature", [1.0, 2.5])
@torch.no_grad()
def test_spans_above_a_probability_are_paired_and_scores_joined(heads, temperature):
    network = make_network(heads=heads)
    network.span_head.output_layer.bias[0] += 2.0
    embeddings, layout = make_layout()
    decisions = {"calibration": {"entities": temperature}, "relation_labels": ["a", "b"]}
    scores = search(network, embeddings, layout, pairing_threshold=0.02, **decisions)
    entities = search(network, embeddings, layout, **decisions)
    assert scores.spans[scores.is_entity].tolist() == entities.spans.tolist()
    assert not scores.is_entity.all() and entities.is_entity.all()
    probs = plain_span_logits(network, embeddings, layout, layout.visible(scores.spans)).softmax(dim=1).numpy()
    assert (1 - probs[~scores.is_entity, 0] >= 0.02).all() and (probs[~scores.is_entity].argmax(axis=1) == 0).all()
    logits = plain_pair_logits(network, embeddings, layout, layout.visible(scores.spans), scores.pairs)
    ends = probs[:, 1:].max(axis=1)[scores.pairs].prod(axis=1)
    assert scores.pair_scores == pytest.approx(logits.sigmoid().numpy() * ends[:, None], abs=1e-6)


@CONTEXTS
@POOLINGS
@HEADS
@pytest.mark.parametrize("scope", ["sentence", "document"])
@torch.no_grad()
def test_training_and_prediction_agree(context, pooling, heads, scope):
    network = make_network(context=context, pooling=pooling, heads=heads, dropout=0.0)
    embeddings, layout = make_layout(specials="some")
    scores = search(network, embeddings, layout, relation_scope=scope)
    samples = replace(Samples.empty(N_RELATIONS), spans=layout.visible(scores.spans), pairs=scores.pairs)
    span_logits, pair_logits, _ = network([embeddings], layout, samples)
    probs = span_logits.softmax(dim=1).numpy()
    assert probs.argmax(axis=1).tolist() == scores.span_labels.tolist()
    assert probs.max(axis=1) == pytest.approx(scores.span_scores, abs=1e-6)
    assert pair_logits.sigmoid().numpy() == pytest.approx(scores.pair_scores, abs=1e-6)


@pytest.mark.parametrize("dtype, precision", [(torch.float32, 1e-4), (torch.float16, 1e-1), (torch.bfloat16, 1e-1)])
@HEADS
def test_precision_of_the_embeddings(dtype, precision, heads):
    """An encoder may work in half precision; the heads don't."""
    network = make_network(heads=heads)
    embeddings, layout = make_layout()
    double = search(network, embeddings, layout)
    network = network.float()
    states = network.encode([embeddings.to(dtype)], layout)
    assert states.wordpieces.dtype == torch.float32
    found = search(network, embeddings.to(dtype), layout)
    assert found.span_scores.dtype == found.pair_scores.dtype == "float32"
    if dtype == torch.float32:
        assert found.spans.tolist() == double.spans.tolist()
        assert found.span_scores == pytest.approx(double.span_scores, abs=precision)
        assert found.pair_scores == pytest.approx(double.pair_scores, abs=precision)


@pytest.mark.parametrize("max_distance", [1, 2])
@torch.no_grad()
def test_search_keeps_to_the_distance(max_distance):
    network = make_network()
    embeddings, layout = make_layout()
    scores = search(network, embeddings, layout, max_relation_distance=max_distance)
    *_, pairs = plain_search(network, embeddings, layout, max_distance)
    assert sorted(map(tuple, scores.pairs.tolist())) == sorted(map(tuple, pairs.tolist()))


def test_search_without_relations():
    scores = search(make_network(), *make_layout(), relations=False)
    assert len(scores.spans)
    assert scores.pairs.shape == (0, 2)
    assert scores.pair_scores.shape == (0, N_RELATIONS)


@HEADS
def test_no_relation_labels(heads):
    network = make_network(n_relations=0, heads=heads, dropout=0.0)
    embeddings, layout = make_layout()
    scores = search(network, embeddings, layout)
    assert scores.pairs.shape == (0, 2)
    assert scores.pair_scores.shape == (0, 0)
    samples = random_samples(layout)
    span_logits, pair_logits, _ = network([embeddings], layout, samples)
    assert pair_logits.shape == (len(samples.pairs), 0)
    torch.testing.assert_close(span_logits, plain_span_logits(network, embeddings, layout, samples.spans))


@HEADS
@POOLINGS
def test_search_of_text_without_wordpieces(heads, pooling):
    nothing = numpy.zeros(0, dtype="int64")
    layout = Layout(nothing, nothing, numpy.asarray([0]), numpy.asarray([0]), cut=numpy.asarray([3]))
    scores = search(make_network(heads=heads, pooling=pooling), torch.ones(2, WIDTH, dtype=torch.float64), layout)
    assert scores.spans.shape == scores.pairs.shape == (0, 2)
    assert scores.over_limit.shape == (0, 3)
    assert scores.cut.tolist() == [3]


@pytest.mark.parametrize("per_token", [0.25, 0.5, 1.0])
def test_entities_per_token_keeps_the_best_of_each_sentence(per_token):
    network = make_network(seed=3)
    embeddings, layout = make_layout()
    everything = search(network, embeddings, layout)
    limited = search(network, embeddings, layout, entities_per_token=per_token)
    owners = layout.sentence_of(layout.visible(everything.spans)[:, 0])
    expected, over_limit = [], []
    for sentence, pieces in enumerate(SENTENCES):
        found = numpy.nonzero(owners == sentence)[0]
        best = sorted(found, key=lambda i: -everything.span_scores[i])[: int(numpy.ceil(len(pieces) * per_token))]
        expected.extend(sorted(best))
        if len(found) > len(best):
            first = int(layout.tokens[layout.sentences[sentence]])
            over_limit.append([first, len(pieces), len(found) - len(best)])
    assert over_limit
    assert limited.spans.tolist() == everything.spans[expected].tolist()
    assert limited.span_labels.tolist() == everything.span_labels[expected].tolist()
    assert limited.over_limit.tolist() == over_limit
    new = {old: i for i, old in enumerate(expected)}
    kept = [(new[i], new[j]) for i, j in everything.pairs.tolist() if i in new and j in new]
    assert sorted(map(tuple, limited.pairs.tolist())) == sorted(kept)


GIVEN = numpy.asarray([[0, 1], [0, 4], [2, 3], [4, 5], [5, 10], [5, 6], [5, 6], [7, 9], [10, 11]])
GIVEN_LABELS = numpy.asarray([1, 0, 2, 3, 0, 1, 1, 2, 3])


@CONTEXTS
@POOLINGS
@HEADS
@torch.no_grad()
def test_given_spans_are_paired_whatever_they_look_like(context, pooling, heads):
    """Among them a span twice, and one that is wider than any width embedding. Unknown labels are zeros."""
    network = make_network(context=context, pooling=pooling, heads=heads)
    embeddings, layout = make_layout(specials="some")
    scores = search(network, embeddings, layout, GIVEN, GIVEN_LABELS)
    assert scores.spans.tolist() == layout.flat(GIVEN).tolist()
    assert scores.span_labels.tolist() == GIVEN_LABELS.tolist()
    assert scores.span_scores.tolist() == [1.0] * len(GIVEN)
    first = [(0, 1), (0, 2), (1, 2)]
    third = [(i, j) for i in range(4, 8) for j in range(i + 1, 8) if (i, j) != (5, 6)]
    assert scores.pairs.tolist() == both_orders(numpy.asarray(first + third)).tolist()
    expected = plain_pair_logits(network, embeddings, layout, GIVEN, scores.pairs, GIVEN_LABELS).sigmoid()
    assert scores.pair_scores == pytest.approx(expected.numpy(), abs=1e-6)


@HEADS
def test_a_given_span_without_wordpieces_is_not_paired(heads):
    embeddings, layout = make_layout()
    layout.tokens = numpy.arange(len(layout.tokens)) * 2
    flat = numpy.asarray([[0, 1], [1, 2], [2, 3]])
    scores = make_network(heads=heads).search(
        [embeddings], layout, Decoder(), Given(flat, numpy.ones(3, dtype="int64"))
    )
    assert scores.spans.tolist() == flat.tolist()
    assert scores.pairs.tolist() == [[0, 2], [2, 0]]


def test_no_given_spans():
    scores = search(make_network(), *make_layout(), numpy.zeros((0, 2), dtype="int64"))
    assert scores.spans.shape == scores.pairs.shape == (0, 2)


# Blocks


@pytest.mark.parametrize("given_spans", [None, GIVEN], ids=["found", "given"])
@CONTEXTS
@POOLINGS
@HEADS
@pytest.mark.parametrize("tokens, numbers", [(1, 1), (6, 3 * WIDTH), (9, 7 * WIDTH)])
def test_small_blocks_change_nothing(monkeypatch, given_spans, context, pooling, heads, tokens, numbers):
    network = make_network(context=context, pooling=pooling, heads=heads)
    embeddings, layout = make_layout(specials="some")
    whole = search(network, embeddings, layout, given_spans)
    monkeypatch.setattr(network_module, "BLOCK_TOKENS", tokens)
    monkeypatch.setattr(network_module, "BLOCK_NUMBERS", numbers)
    same(search(network, embeddings, layout, given_spans), whole)


@pytest.mark.parametrize("maxima", ["directly"], indirect=True)
@HEADS
def test_sentence_longer_than_a_block(monkeypatch, heads):
    """With the constants as they are: one long sentence between short ones, and many that fill several blocks."""
    network = make_network(heads=heads)
    sentences = [[1, 2], [1, 1, 2] * (network_module.BLOCK_TOKENS // 2), *([1, 1, 2, 3, 1] for _ in range(300))]
    embeddings, layout = make_layout(sentences, "some")
    assert len(sentences[1]) > network_module.BLOCK_TOKENS
    found = search(network, embeddings, layout, max_relation_distance=2)
    assert len(found.spans) > len(sentences)
    monkeypatch.setattr(network_module, "BLOCK_TOKENS", 10**9)
    monkeypatch.setattr(network_module, "BLOCK_NUMBERS", 100 * WIDTH)
    same(search(network, embeddings, layout, max_relation_distance=2), found)


@HEADS
@pytest.mark.parametrize("blocks", [1, 9])
def test_copies_to_and_from_the_device(monkeypatch, heads, blocks):
    """However many sentences, widths, lengths and blocks there are."""
    counts = {"to_device": 0, "to_host": 0}

    def count(function):
        def counted(*args):
            counts[function.__name__] += 1
            return function(*args)

        return counted

    monkeypatch.setattr(pooling, "to_device", count(pooling.to_device))
    monkeypatch.setattr(network_module, "to_host", count(pooling.to_host))
    network = make_network(heads=heads)
    embeddings, layout = make_layout(SENTENCES * 5, "some")
    monkeypatch.setattr(network_module, "BLOCK_TOKENS", -(-len(layout.tokens) // blocks))
    assert len(search(network, embeddings, layout).pairs)
    assert counts["to_device"] <= 8 and counts["to_host"] <= 2
    counts.update(to_device=0, to_host=0)
    network([embeddings], layout, random_samples(layout))
    assert counts["to_device"] <= 8 and counts["to_host"] <= 2


# Layout


def test_sentence_of():
    _, layout = make_layout()
    owners = [i for i, sentence in enumerate(SENTENCES) for _ in sentence]
    assert layout.sentence_of(numpy.arange(len(owners))).tolist() == owners


def test_spans_are_trimmed_to_visible_tokens():
    nothing = numpy.zeros(0, dtype="int64")
    layout = Layout(numpy.asarray([1, 2, 5]), nothing, nothing, nothing)
    spans = numpy.asarray([[0, 1], [0, 2], [1, 3], [2, 6], [3, 5], [5, 6], [4, 9]])
    visible = layout.visible(spans)
    assert visible.tolist() == [[0, 0], [0, 1], [0, 2], [1, 3], [2, 2], [2, 3], [2, 3]]
    full = visible[visible[:, 0] < visible[:, 1]]
    assert layout.flat(full).tolist() == [[1, 2], [1, 3], [2, 6], [5, 6], [5, 6]]
