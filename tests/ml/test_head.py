"""The fast paths of the head against the plain formula: concatenate, then linear."""

from dataclasses import replace

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_spert.candidates import Samples, Search, all_spans, both_orders
from spacy_spert.ml import head as head_module
from spacy_spert.ml.head import Layout, MaxTable, SpertHead

WIDTH, N_ENTITIES, N_RELATIONS, MAX_WIDTH = 6, 3, 2, 4

CHOICES = {
    "context": ["localized", "sentence", "cls"],
    "pooling": ["max", "mean", "sum"],
    # No special tokens, one for each sentence, or several for some and none for others.
    "specials": [None, "one", "some"],
}
CONTEXTS, POOLINGS, SPECIALS = (pytest.mark.parametrize(name, values) for name, values in CHOICES.items())
ANY_OF_EACH = [st.sampled_from(values) for values in CHOICES.values()]

# Wordpieces of each token of each sentence. There are tokens, and a sentence, without any.
SENTENCES = [[2, 0, 1, 1, 3], [1], [0, 0], [1, 1, 0, 2, 0, 1, 1], [0, 2]]


@pytest.fixture(scope="module", autouse=True, params=["table", "directly"])
def maxima(request):
    """Everything here is so small that it would only ever be done directly."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "table":
            patch.setattr(head_module, "FEW_NUMBERS", -1)
        yield request.param


def make_head(seed=0, n_relations=N_RELATIONS, max_width=MAX_WIDTH, **settings):
    """A head in double precision with weights large enough to matter."""
    head = SpertHead(WIDTH, N_ENTITIES, n_relations, max_width, 5, **settings).double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.7)
    return head


def make_layout(sentences=SENTENCES, specials="one", seed=0):
    """A layout with the rows in random order, some of them unused, and embeddings for it."""
    rng = numpy.random.default_rng(seed)
    counts = numpy.asarray([count for sentence in sentences for count in sentence])
    n_pieces, n_sentences = int(counts.sum()), len(sentences)
    n_specials = {None: numpy.zeros, "one": numpy.ones, "some": lambda n, dtype: rng.integers(0, 4, n)}[specials]
    owners = numpy.repeat(numpy.arange(n_sentences), n_specials(n_sentences, dtype="int64"))
    rows = rng.permutation(n_pieces + len(owners) + 3)
    layout = Layout(
        rows=rows[:n_pieces],
        offsets=numpy.concatenate([[0], numpy.cumsum(counts)]),
        sentences=numpy.cumsum([0, *(len(sentence) for sentence in sentences)]),
        cls_rows=rows[n_pieces : n_pieces + len(owners)],
        cls_sentences=owners,
    )
    return torch.from_numpy(rng.normal(size=(len(rows), WIDTH))), layout


def random_samples(layout, seed=0, n_spans=25, n_pairs=30):
    """Spans in one sentence each, some wider than the limit, and pairs of spans of the same sentence."""
    rng = numpy.random.default_rng(seed)
    spans = []
    for start, end in zip(layout.sentences[:-1], layout.sentences[1:]):
        spans.extend((all_spans(end - start, MAX_WIDTH + 2) + start).tolist())
    spans = numpy.asarray(spans)[rng.integers(0, len(spans), n_spans)]
    owners = layout.sentence_of(spans[:, 0])
    pairs = [(i, j) for i in range(n_spans) for j in range(n_spans) if i != j and owners[i] == owners[j]]
    pairs = numpy.asarray(pairs).reshape(-1, 2)
    pairs = pairs[rng.permutation(len(pairs))[:n_pairs]]
    return Samples(
        spans, numpy.zeros(n_spans, dtype="int64"), pairs, numpy.zeros((len(pairs), N_RELATIONS), dtype="float32")
    )


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


def plain_span_parts(head, embeddings, layout, span):
    vector = plain_pool(plain_pieces(embeddings, layout, *span), head.pooling)
    return vector, head.width_embedding.weight[min(span[1] - span[0], head.max_span_width) - 1]


def plain_span_logits(head, embeddings, layout, spans):
    inputs = []
    for span in spans.tolist():
        sentence = int(layout.sentence_of(numpy.asarray(span[0])))
        inputs.append(
            torch.cat([plain_context(embeddings, layout, sentence), *plain_span_parts(head, embeddings, layout, span)])
        )
    return head.span_classifier(torch.stack(inputs))


def plain_pair_context(head, embeddings, layout, one, two):
    sentence = int(layout.sentence_of(numpy.asarray(one[0])))
    if head.context == "cls":
        return plain_context(embeddings, layout, sentence)
    start, end = layout.sentences[sentence : sentence + 2]
    if head.context == "localized":
        start, end = min(one[1], two[1]), max(one[0], two[0])
    return plain_pool(plain_pieces(embeddings, layout, start, max(start, end)), "max")


def plain_pair_logits(head, embeddings, layout, spans, pairs):
    inputs = []
    for one, two in spans[pairs].tolist():
        (one_vector, one_width), (two_vector, two_width) = (
            plain_span_parts(head, embeddings, layout, span) for span in (one, two)
        )
        context = plain_pair_context(head, embeddings, layout, one, two)
        inputs.append(torch.cat([context, one_vector, two_vector, one_width, two_width]))
    if not inputs:
        return embeddings.new_zeros(0, head.n_relation_labels)
    return head.relation_classifier(torch.stack(inputs))


def plain_search(head, embeddings, layout, max_distance=0):
    """All spans and pairs, one at a time."""
    spans, labels, scores = [], [], []
    for start in range(layout.sentences[-1]):
        limit = layout.sentences[layout.sentence_of(numpy.asarray(start)) + 1]
        for end in range(start + 1, min(start + head.max_span_width, limit) + 1):
            if layout.offsets[end] > layout.offsets[start]:
                span = numpy.asarray([[start, end]])
                probs = plain_span_logits(head, embeddings, layout, span)[0].softmax(dim=0)
                if probs.argmax():
                    spans.append((start, end))
                    labels.append(int(probs.argmax()))
                    scores.append(float(probs.max()))
    pairs = []
    for i, one in enumerate(spans):
        for j, two in enumerate(spans[i + 1 :], start=i + 1):
            same = layout.sentence_of(numpy.asarray(one[0])) == layout.sentence_of(numpy.asarray(two[0]))
            if same and (not max_distance or two[0] - one[1] <= max_distance):
                pairs.extend([(i, j), (j, i)])
    spans, pairs = (numpy.asarray(rows, dtype="int64").reshape(-1, 2) for rows in (spans, pairs))
    return spans, labels, scores, pairs


@torch.no_grad()
def search(head, embeddings, layout, **settings):
    return head([embeddings], layout, Search(**settings))


def same(scores, others):
    for field in ("spans", "span_labels", "pairs", "dropped"):
        assert getattr(scores, field).tolist() == getattr(others, field).tolist(), field
    assert scores.span_scores == pytest.approx(others.span_scores, abs=1e-6)
    assert scores.pair_scores == pytest.approx(others.pair_scores, abs=1e-6)


# Maxima


def naive_max(rows, start, end, empty):
    return rows[start:end].amax(dim=0) if end > start else torch.full_like(rows[0], empty)


@given(st.data())
@settings(deadline=None, max_examples=40)
def test_query_equals_naive_max(data):
    n_rows = data.draw(st.integers(1, 40))
    stretch = st.tuples(st.integers(0, n_rows), st.integers(0, n_rows)).map(sorted)
    stretches = numpy.asarray(data.draw(st.lists(stretch, min_size=1, max_size=12)))
    empty = data.draw(st.sampled_from([0.0, -torch.inf]))
    rows = torch.randn(n_rows, 3, generator=torch.Generator().manual_seed(n_rows)) - 2.0
    starts, ends = stretches.T
    found = MaxTable(rows).query(starts, ends, empty)
    expected = torch.stack([naive_max(rows, start, end, empty) for start, end in stretches])
    assert torch.equal(found, expected)


def test_query_of_nothing():
    nothing = numpy.zeros(0, dtype="int64")
    assert MaxTable(torch.ones(4, 3)).query(nothing, nothing).shape == (0, 3)


def test_query_without_rows():
    starts = numpy.zeros(2, dtype="int64")
    assert torch.equal(MaxTable(torch.ones(0, 3)).query(starts, starts), torch.zeros(2, 3))


def test_levels_are_made_once_and_when_asked_for(monkeypatch):
    monkeypatch.setattr(head_module, "FEW_NUMBERS", -1)
    table = MaxTable(torch.arange(20.0)[:, None])
    assert len(table.levels) == 1
    found = table.query(numpy.asarray([0, 3, 5]), numpy.asarray([16, 4, 10]))
    assert found[:, 0].tolist() == [15.0, 3.0, 9.0]
    levels = list(table.levels)
    assert [len(level) for level in levels] == [20, 19, 17, 13, 5]
    table.query(numpy.asarray([4]), numpy.asarray([7]))
    assert all(one is two for one, two in zip(table.levels, levels)) and len(table.levels) == 5


def test_few_numbers_need_no_levels(maxima):
    rows = torch.ones(head_module.FEW_NUMBERS // 8 if maxima == "directly" else 100, 8)
    table = MaxTable(rows)
    table.query(numpy.asarray([0]), numpy.asarray([len(rows)]))
    assert len(table.levels) == (1 if maxima == "directly" else 7)
    table.query(numpy.asarray([0, 0]), numpy.asarray([len(rows), 2]))
    assert len(table.levels) > 1


@POOLINGS
@given(
    st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=1, max_size=4),
    st.integers(1, 8),
    st.integers(1, 500),
)
@settings(deadline=None, max_examples=30)
def test_windows_equal_pooled_spans(pooling, sentences, max_width, numbers):
    head = make_head(pooling=pooling)
    embeddings, layout = make_layout(sentences)
    n_tokens = len(layout.offsets) - 1
    max_width = min(max_width, n_tokens)
    widths = []
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(head_module, "CHUNK_NUMBERS", numbers)
        for first, group in head._windows(head.encode(embeddings, layout), max_width):
            assert group.shape == (len(group), n_tokens, WIDTH)
            assert len(group) == 1 or group.numel() <= numbers
            for width, vectors in enumerate(group, start=first + 1):
                widths.append(width)
                for start in range(n_tokens - width + 1):
                    pieces = plain_pieces(embeddings, layout, start, start + width)
                    if len(pieces):
                        torch.testing.assert_close(vectors[start], plain_pool(pieces, pooling), rtol=1e-6, atol=1e-6)
    assert widths == list(range(1, max_width + 1))


# Pooling


@POOLINGS
def test_pool_spans(pooling):
    head = make_head(pooling=pooling)
    embeddings, layout = make_layout()
    spans = random_samples(layout, n_spans=40).spans
    expected = [plain_span_parts(head, embeddings, layout, span)[0] for span in spans.tolist()]
    found = head.pool_spans(head.encode(embeddings, layout), spans)
    torch.testing.assert_close(found, torch.stack(expected))


@POOLINGS
def test_span_without_wordpieces_is_zero(pooling):
    head = make_head(pooling=pooling)
    embeddings, layout = make_layout()
    found = head.pool_spans(head.encode(embeddings, layout), numpy.asarray([[1, 2], [6, 8]]))
    assert not found.any()


@pytest.mark.parametrize("pooling", ["mean", "sum"])
def test_sums_stay_exact_behind_large_numbers(pooling):
    """Differences of sums over the whole batch must not lose the digits of a small span."""
    pieces = torch.cat([torch.full((5000, WIDTH), 1e5), torch.full((4, WIDTH), 0.125)])
    n = len(pieces)
    layout = Layout(numpy.arange(n), numpy.arange(n + 1), numpy.asarray([0, n]))
    head = make_head(pooling=pooling).float()
    with torch.no_grad():
        found = head.pool_spans(head.encode(pieces, layout), numpy.asarray([[n - 3, n - 1]]))
    assert found.dtype == torch.float32
    assert found.tolist() == [[0.25 if pooling == "sum" else 0.125] * WIDTH]


@CONTEXTS
@SPECIALS
def test_pool_contexts(context, specials):
    head = make_head(context=context)
    embeddings, layout = make_layout(specials=specials)
    samples = random_samples(layout)
    expected = [
        plain_pair_context(head, embeddings, layout, one, two) for one, two in samples.spans[samples.pairs].tolist()
    ]
    found = head.pool_contexts(head.encode(embeddings, layout), samples.spans, samples.pairs)
    torch.testing.assert_close(found, torch.stack(expected))


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
def test_localized_context_is_what_lies_strictly_between(one, two, between):
    layout = Layout(numpy.arange(5), numpy.arange(6), numpy.asarray([0, 5]))
    embeddings = -torch.eye(5, WIDTH, dtype=torch.float64) - 1.0
    head = make_head()
    found = head.pool_contexts(head.encode(embeddings, layout), numpy.asarray([one, two]), numpy.asarray([[0, 1]]))
    expected = embeddings[between].amax(dim=0) if between else torch.zeros(WIDTH)
    assert found[0].tolist() == expected.tolist()


@SPECIALS
def test_context_vectors(specials):
    head = make_head()
    embeddings, layout = make_layout(specials=specials)
    expected = [plain_context(embeddings, layout, i) for i in range(len(SENTENCES))]
    torch.testing.assert_close(head.encode(embeddings, layout).contexts, torch.stack(expected), rtol=1e-6, atol=1e-7)


@SPECIALS
@pytest.mark.parametrize("first, last", [(0, 1), (1, 4), (2, 3), (3, 5)])
def test_encoding_some_sentences_is_a_part_of_all(specials, first, last):
    head = make_head()
    embeddings, layout = make_layout(specials=specials)
    whole, part = head.encode(embeddings, layout), head.encode(embeddings, layout, first, last)
    start, end = layout.sentences[[first, last]]
    torch.testing.assert_close(part.contexts, whole.contexts[first:last], rtol=1e-6, atol=1e-7)
    assert torch.equal(part.pieces, whole.pieces[layout.offsets[start] : layout.offsets[end]])
    assert part.offsets.tolist() == (layout.offsets[start : end + 1] - layout.offsets[start]).tolist()
    assert part.sentences.tolist() == (layout.sentences[first : last + 1] - start).tolist()


# Training


@CONTEXTS
@POOLINGS
@SPECIALS
def test_logits_of_samples(context, pooling, specials):
    head = make_head(context=context, pooling=pooling)
    embeddings, layout = make_layout(specials=specials)
    samples = random_samples(layout)
    span_logits, pair_logits = head([embeddings], layout, samples)
    expected_spans = plain_span_logits(head, embeddings, layout, samples.spans)
    expected_pairs = plain_pair_logits(head, embeddings, layout, samples.spans, samples.pairs)
    torch.testing.assert_close(span_logits, expected_spans, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(pair_logits, expected_pairs, rtol=1e-6, atol=1e-6)


def gradients(head, embeddings, logits, seed):
    """Gradients of a random weighting of the logits, for the embeddings and all weights of the head."""
    generator = torch.Generator().manual_seed(seed)
    weights = [torch.randn(part.shape, generator=generator, dtype=torch.float64) for part in logits]
    loss = sum((part * weight).sum() for part, weight in zip(logits, weights))
    return torch.autograd.grad(loss, [embeddings, *head.parameters()])


@given(
    *ANY_OF_EACH,
    st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=7), min_size=1, max_size=3),
    st.integers(0, 1000),
)
@settings(deadline=None, max_examples=25)
def test_gradients_equal_those_of_the_plain_formula(context, pooling, specials, sentences, seed):
    sentences = [*sentences, [1, 2, 1]]
    head = make_head(seed, context=context, pooling=pooling)
    embeddings, layout = make_layout(sentences, specials, seed)
    embeddings.requires_grad_()
    samples = random_samples(layout, seed, n_spans=12, n_pairs=8)
    if not len(samples.pairs):
        return
    found = gradients(head, embeddings, head([embeddings], layout, samples), seed)
    plain = (
        plain_span_logits(head, embeddings, layout, samples.spans),
        plain_pair_logits(head, embeddings, layout, samples.spans, samples.pairs),
    )
    for one, two in zip(found, gradients(head, embeddings, plain, seed)):
        torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-6)


def test_no_pairs_to_train_on():
    head = make_head()
    embeddings, layout = make_layout()
    samples = random_samples(layout, n_pairs=0)
    span_logits, pair_logits = head([embeddings], layout, samples)
    assert pair_logits.shape == (0, N_RELATIONS)
    assert len(span_logits) == len(samples.spans)


def test_nothing_to_train_on():
    embeddings, layout = make_layout()
    span_logits, pair_logits = make_head()([embeddings], layout, Samples.empty(N_RELATIONS))
    assert span_logits.shape == (0, 1 + N_ENTITIES)
    assert pair_logits.shape == (0, N_RELATIONS)


def test_embeddings_in_several_arrays_are_one():
    head = make_head()
    embeddings, layout = make_layout()
    samples = random_samples(layout)
    whole = head([embeddings], layout, samples)
    parts = head([embeddings[:5], embeddings[5:5], embeddings[5:]], layout, samples)
    assert all(torch.equal(one, two) for one, two in zip(whole, parts))


def test_dropout_in_training_only():
    embeddings, layout = make_layout()
    samples = random_samples(layout)
    head = make_head(dropout=0.5)
    assert torch.equal(head([embeddings], layout, samples)[0], head([embeddings], layout, samples)[0])
    head.train()
    one, two = head([embeddings], layout, samples), head([embeddings], layout, samples)
    assert not torch.equal(one[0], two[0])
    assert not torch.equal(one[1], two[1])


# Prediction


@CONTEXTS
@POOLINGS
@SPECIALS
def test_search_equals_the_plain_formula(context, pooling, specials):
    head = make_head(context=context, pooling=pooling)
    embeddings, layout = make_layout(specials=specials)
    assert len(equals_plain_search(head, embeddings, layout).pairs) > 20


@given(
    *ANY_OF_EACH,
    st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=10), min_size=1, max_size=3),
    st.integers(1, 6),
    st.integers(0, 3),
    st.integers(1, 12),
    st.integers(0, 1000),
)
@settings(deadline=None, max_examples=40)
def test_search_of_anything_equals_the_plain_formula(
    context, pooling, specials, sentences, max_width, max_distance, chunk, seed
):
    """Random pieces, widths and chunks, which are often shorter than a sentence."""
    head = make_head(seed, context=context, pooling=pooling, max_width=max_width)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(head_module, "CHUNK_TOKENS", chunk)
        patch.setattr(head_module, "CHUNK_NUMBERS", chunk * WIDTH)
        equals_plain_search(head, *make_layout(sentences, specials, seed), max_distance)


def equals_plain_search(head, embeddings, layout, max_distance=0):
    scores = search(head, embeddings, layout, entities_per_token=0.0, max_distance=max_distance)
    with torch.no_grad():
        spans, labels, span_scores, pairs = plain_search(head, embeddings, layout, max_distance)
        pair_scores = plain_pair_logits(head, embeddings, layout, spans, pairs).sigmoid()
    assert scores.spans.tolist() == spans.tolist()
    assert scores.span_labels.tolist() == labels
    assert scores.span_scores == pytest.approx(numpy.asarray(span_scores), abs=1e-6)
    assert sorted(map(tuple, scores.pairs.tolist())) == sorted(map(tuple, pairs.tolist()))
    order = numpy.lexsort((scores.pairs[:, 1], scores.pairs[:, 0]))
    plain_order = numpy.lexsort((pairs[:, 1], pairs[:, 0]))
    assert scores.pair_scores[order] == pytest.approx(pair_scores.numpy()[plain_order], abs=1e-6)
    assert scores.dropped.tolist() == [0] * (len(layout.sentences) - 1)
    return scores


@POOLINGS
@SPECIALS
def test_score_all_spans_gives_every_span_with_a_wordpiece(pooling, specials):
    head = make_head(pooling=pooling)
    embeddings, layout = make_layout(specials=specials)
    with torch.no_grad():
        logits, valid = head.score_all_spans(head.encode(embeddings, layout))
        starts, widths = valid.T.nonzero()
        spans = numpy.stack([starts, starts + widths + 1], axis=1)
        expected = plain_span_logits(head, embeddings, layout, spans)
    candidates = [
        (int(start + one), int(start + two))
        for start, end in zip(layout.sentences[:-1], layout.sentences[1:])
        for one, two in all_spans(end - start, MAX_WIDTH)
        if layout.offsets[start + two] > layout.offsets[start + one]
    ]
    assert list(map(tuple, spans.tolist())) == sorted(candidates)
    torch.testing.assert_close(logits[:, widths, starts].T, expected, rtol=1e-6, atol=1e-6)


@CONTEXTS
@POOLINGS
def test_training_and_prediction_agree(context, pooling):
    head = make_head(context=context, pooling=pooling)
    embeddings, layout = make_layout(specials="some")
    scores = search(head, embeddings, layout)
    samples = replace(Samples.empty(N_RELATIONS), spans=scores.spans, pairs=scores.pairs)
    with torch.no_grad():
        span_logits, pair_logits = head([embeddings], layout, samples)
    probs = span_logits.softmax(dim=1).numpy()
    assert probs.argmax(axis=1).tolist() == scores.span_labels.tolist()
    assert probs.max(axis=1) == pytest.approx(scores.span_scores, abs=1e-6)
    assert pair_logits.sigmoid().numpy() == pytest.approx(scores.pair_scores, abs=1e-6)


def test_single_precision():
    head = make_head()
    embeddings, layout = make_layout()
    double = search(head, embeddings, layout)
    single = search(head.float(), embeddings.float(), layout)
    assert single.span_scores.dtype == single.pair_scores.dtype == "float32"
    assert single.spans.tolist() == double.spans.tolist()
    assert single.span_scores == pytest.approx(double.span_scores, abs=1e-4)
    assert single.pair_scores == pytest.approx(double.pair_scores, abs=1e-4)


@pytest.mark.parametrize("max_distance", [1, 2])
def test_search_keeps_to_the_distance(max_distance):
    head = make_head()
    embeddings, layout = make_layout()
    scores = search(head, embeddings, layout, max_distance=max_distance, entities_per_token=0.0)
    with torch.no_grad():
        *_, pairs = plain_search(head, embeddings, layout, max_distance)
    assert sorted(map(tuple, scores.pairs.tolist())) == sorted(map(tuple, pairs.tolist()))


def test_search_without_relations():
    head = make_head()
    embeddings, layout = make_layout()
    scores = search(head, embeddings, layout, relations=False)
    assert len(scores.spans)
    assert scores.pairs.shape == (0, 2)
    assert scores.pair_scores.shape == (0, N_RELATIONS)


def test_no_relation_labels():
    head = make_head(n_relations=0)
    embeddings, layout = make_layout()
    scores = search(head, embeddings, layout)
    assert scores.pairs.shape == (0, 2)
    assert scores.pair_scores.shape == (0, 0)
    samples = random_samples(layout)
    span_logits, pair_logits = head([embeddings], layout, samples)
    assert pair_logits.shape == (len(samples.pairs), 0)
    torch.testing.assert_close(span_logits, plain_span_logits(head, embeddings, layout, samples.spans))


def test_search_of_text_without_wordpieces():
    embeddings, layout = make_layout([[0, 0], [0]])
    scores = search(make_head(), embeddings, layout)
    assert scores.spans.shape == scores.pairs.shape == (0, 2)
    assert scores.dropped.tolist() == [0, 0]


@pytest.mark.parametrize("per_token", [0.25, 0.5, 1.0])
def test_entities_per_token_keeps_the_best_of_each_sentence(per_token):
    head = make_head()
    embeddings, layout = make_layout()
    everything = search(head, embeddings, layout, entities_per_token=0.0)
    limited = search(head, embeddings, layout, entities_per_token=per_token)
    owners = layout.sentence_of(everything.spans[:, 0])
    expected, dropped = [], []
    for sentence, pieces in enumerate(SENTENCES):
        found = numpy.nonzero(owners == sentence)[0]
        best = sorted(found, key=lambda i: -everything.span_scores[i])[: int(numpy.ceil(len(pieces) * per_token))]
        expected.extend(sorted(best))
        dropped.append(len(found) - len(best))
    assert sum(dropped)
    assert limited.spans.tolist() == everything.spans[expected].tolist()
    assert limited.span_labels.tolist() == everything.span_labels[expected].tolist()
    assert limited.dropped.tolist() == dropped
    new = {old: i for i, old in enumerate(expected)}
    kept = [(new[i], new[j]) for i, j in everything.pairs.tolist() if i in new and j in new]
    assert sorted(map(tuple, limited.pairs.tolist())) == sorted(kept)


GIVEN = numpy.asarray([[0, 1], [0, 5], [1, 2], [3, 5], [5, 6], [8, 14], [8, 9], [8, 9], [12, 15], [16, 17]])


@CONTEXTS
@POOLINGS
def test_given_spans_are_paired_whatever_they_look_like(context, pooling):
    """But not one without wordpieces. Among them a span twice, and two that are wider than any width embedding."""
    head = make_head(context=context, pooling=pooling)
    embeddings, layout = make_layout(specials="some")
    scores = search(head, embeddings, layout, spans=GIVEN)
    assert scores.spans.tolist() == GIVEN.tolist()
    assert scores.span_labels.tolist() == [0] * len(GIVEN)
    assert scores.span_scores.tolist() == [1.0] * len(GIVEN)
    assert scores.dropped.tolist() == [0] * len(SENTENCES)
    assert layout.covered(GIVEN).nonzero()[0].tolist() == [0, 1, 3, 4, 5, 6, 7, 8, 9]
    first = [(0, 1), (0, 3), (1, 3)]
    fourth = [(i, j) for i in range(5, 9) for j in range(i + 1, 9) if (i, j) != (6, 7)]
    assert scores.pairs.tolist() == both_orders(numpy.asarray(first + fourth)).tolist()
    with torch.no_grad():
        expected = plain_pair_logits(head, embeddings, layout, GIVEN, scores.pairs).sigmoid()
    assert scores.pair_scores == pytest.approx(expected.numpy(), abs=1e-6)


def test_no_given_spans():
    embeddings, layout = make_layout()
    scores = search(make_head(), embeddings, layout, spans=numpy.zeros((0, 2), dtype="int64"))
    assert scores.spans.shape == scores.pairs.shape == (0, 2)


# Chunks


@pytest.mark.parametrize("given_spans", [None, GIVEN], ids=["found", "given"])
@CONTEXTS
@POOLINGS
@SPECIALS
@pytest.mark.parametrize("tokens, numbers", [(1, 1), (6, 3 * WIDTH), (9, 7 * WIDTH)])
def test_small_chunks_change_nothing(monkeypatch, given_spans, context, pooling, specials, tokens, numbers):
    head = make_head(context=context, pooling=pooling)
    embeddings, layout = make_layout(specials=specials)
    whole = search(head, embeddings, layout, spans=given_spans)
    monkeypatch.setattr(head_module, "CHUNK_TOKENS", tokens)
    monkeypatch.setattr(head_module, "CHUNK_NUMBERS", numbers)
    same(search(head, embeddings, layout, spans=given_spans), whole)


def test_sentence_longer_than_a_chunk(monkeypatch):
    """With the constants as they are: one long sentence between short ones, and many that fill several chunks."""
    head = make_head()
    sentences = [[1, 2], [1, 0, 2] * (head_module.CHUNK_TOKENS // 2), *([1, 1, 2, 0, 1] for _ in range(300))]
    embeddings, layout = make_layout(sentences, "some")
    assert len(sentences[1]) > head_module.CHUNK_TOKENS
    found = search(head, embeddings, layout, max_distance=2)
    assert len(found.spans) > len(sentences)
    monkeypatch.setattr(head_module, "CHUNK_TOKENS", 10**9)
    monkeypatch.setattr(head_module, "CHUNK_NUMBERS", 100 * WIDTH)
    same(search(head, embeddings, layout, max_distance=2), found)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=20), st.integers(1, 20))
@settings(deadline=None, max_examples=50)
def test_chunks_are_runs_of_whole_sentences(lengths, size):
    bounds = numpy.cumsum([0, *lengths])
    chunks = list(head_module._chunks(bounds, size))
    assert [i for first, last in chunks for i in range(first, last)] == list(range(len(lengths)))
    for first, last in chunks:
        assert bounds[last] - bounds[first] <= size or last == first + 1
    for (first, _), (_, last) in zip(chunks, chunks[1:]):
        # A chunk takes as many sentences as fit.
        assert bounds[last] - bounds[first] > size


# Layout


def test_sentence_of():
    _, layout = make_layout()
    owners = [i for i, sentence in enumerate(SENTENCES) for _ in sentence]
    assert layout.sentence_of(numpy.arange(len(owners))).tolist() == owners


def test_covered():
    _, layout = make_layout()
    spans = numpy.asarray([[0, 1], [1, 2], [1, 3], [6, 7], [6, 8], [15, 16], [15, 17]])
    assert layout.covered(spans).tolist() == [True, False, True, False, False, False, True]
