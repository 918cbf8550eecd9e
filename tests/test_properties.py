"""What holds for any documents, any annotation and any tokens."""

import math
from contextlib import contextmanager
from itertools import combinations

import numpy
import pytest
import spacy
from families import FAMILIES
from hypothesis import assume, given
from hypothesis import strategies as st
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import fix_random_seed
from spacy.vocab import Vocab
from strategies import ENTITY_LABELS, RELATION_LABELS, SYMMETRIC, WORDS, Annotated, documents, examples, pairs
from thinc.api import Model
from util import CNN, SENT_SPANS, add_transformer, assert_same_predictions, strided, torch_head, visible_tokens

from spacy_spert.ml.arrays import Scores
from spacy_spert.ml.candidates import both_orders
from spacy_spert.pipeline import Spert
from spacy_spert.relations import get_relations
from spacy_spert.sentences import reach_of, sentence_bounds

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
# Family, windows and settings.
PIPELINES = {
    "one window": ("bert", strided(64, 64), {}),
    "windows": ("xlm-roberta", strided(5, 3), {"negative_sampling": "weak"}),
    "sentences": ("bert", SENT_SPANS, {"overwrite_ents": False, "model": {"context": "sentence", "pooling": "mean"}}),
    "entities": ("bert", strided(8, 8), {"task": "entities"}),
    "relations": ("bert", strided(8, 8), {"task": "relations", "model": {"context": "cls"}}),
    "relations of a group": ("xlm-roberta", strided(8, 8), {"task": "relations", "entities_key": "given"}),
    "no transformer": (None, None, {"model": {"tok2vec": CNN}}),
}
# Limits that bite, and none.
SETTINGS = st.fixed_dictionaries(
    {
        "relation_threshold": st.sampled_from([0.0, 0.4, 0.5, 0.6]),
        "relation_scope": st.sampled_from(["sentence", "sentence", 1, "document"]),
        "max_relation_distance": st.sampled_from([0, 1, 2]),
        "entities_per_token": st.sampled_from([0.0, 0.4, 1.0]),
        "relations_per_token": st.sampled_from([0.0, 0.4, 2.0]),
        "negative_spans": st.sampled_from([0, 3, 100]),
        "negative_relations": st.sampled_from([0, 3, 100]),
    }
)
NO_LIMITS = {
    "relation_threshold": 0.0,
    "max_relation_distance": 0,
    "entities_per_token": 0.0,
    "relations_per_token": 0.0,
}
BATCH_SIZES = st.sampled_from([1, 2, 3, 100])


@pytest.fixture(scope="module", params=PIPELINES)
def nlp(request, tmp_path_factory):
    """An untrained pipeline, which takes about half of all spans for entities."""
    family, windows, config = PIPELINES[request.param]
    nlp = spacy.blank("xx")
    if family is not None:
        path = tmp_path_factory.mktemp("family") / "tiny"
        path.mkdir()
        FAMILIES[family].make(path)
        if windows is SENT_SPANS:
            nlp.add_pipe("sentencizer")
        add_transformer(nlp, path, spans=windows)
    symmetric = [SYMMETRIC] if config.get("task") != "entities" else []
    nlp.add_pipe("spert", config={"max_span_width": 4, "symmetric_labels": symmetric, **config})
    entities = [(i, i + 1, label) for i, label in enumerate(ENTITY_LABELS)]
    gold = Annotated(["a"] * 3, [True] * 3, None, entities, [(0, 1, label) for label in RELATION_LABELS])
    fix_random_seed(0)
    nlp.initialize(lambda: [Example(gold.tokens(nlp.vocab), gold.gold(nlp.vocab))])
    none = torch_head(nlp).span_head.output_layer.bias.detach()[:1]
    with using(nlp, NO_LIMITS):
        # Of ten words there are 34 spans.
        while config.get("task") != "relations" and len(nlp(" ".join(WORDS[:10])).spans["spert"]) < 17:
            none -= 0.05
    return nlp


@contextmanager
def using(nlp, settings):
    """Other settings for a while, of which everything is reported."""
    pipe = nlp.get_pipe("spert")
    before = dict(pipe.cfg)
    pipe.cfg.update(settings)
    pipe._reported.clear()
    yield pipe
    pipe.cfg.update(before)


def rows_of(spans):
    return [(span.start, span.end, span.label_) for span in spans]


def overlap(one, two):
    return one[0] < two[1] and two[0] < one[1]


# Learning


@pytest.fixture(scope="module")
def modules(nlp):
    """All that has weights in torch."""
    trained = [pipe for _, pipe in nlp.pipeline if hasattr(pipe, "model")]
    return [shim._model for pipe in trained for node in pipe.model.walk() for shim in node.shims]


@examples(15)
@given(batch=st.lists(pairs(), min_size=1, max_size=4), kinds=st.lists(st.sampled_from("gge0")), settings=SETTINGS)
def test_any_documents_can_be_learned_from(nlp, modules, batch, kinds, settings):
    """Whatever the gold and its tokens, the loss is a number, and so are all gradients."""
    rows = []
    for i, (predicted, gold) in enumerate(batch):
        makers = {"g": gold.gold, "e": gold.ents, "0": gold.tokens}
        reference = makers[(kinds + ["g"] * len(batch))[i]](nlp.vocab)
        rows.append(Example(predicted.ents(nlp.vocab), reference))
    before = [eg.reference.to_bytes() for eg in rows]
    with using(nlp, settings):
        loss = nlp.update(rows, sgd=False, annotates=["sentencizer"])["spert"]
    assert math.isfinite(loss) and loss >= 0.0
    for module in modules:
        assert all(p.grad.isfinite().all() for p in module.parameters() if p.grad is not None)
        module.zero_grad()
    assert [eg.reference.to_bytes() for eg in rows] == before


# Predicting


@examples(40)
@given(batch=st.lists(pairs(), min_size=1, max_size=3), settings=SETTINGS, batch_size=BATCH_SIZES)
def test_predictions_hold_together(nlp, batch, settings, batch_size):
    with using(nlp, settings) as pipe:
        docs = list(nlp.pipe((row.ents(nlp.vocab) for row, _ in batch), batch_size=batch_size))
        for doc, (row, _) in zip(docs, batch):
            check_entities(pipe.cfg, doc, row.ents(nlp.vocab))
            check_relations(pipe.cfg, doc)
        check_scores(pipe.score([Example(doc, gold.gold(nlp.vocab)) for doc, (_, gold) in zip(docs, batch)]))


def check_entities(cfg, doc, before):
    found, ents, earlier = rows_of(doc.spans["spert"]), rows_of(doc.ents), rows_of(before.ents)
    assert not any(overlap(*pair) for pair in combinations(ents, 2))
    if cfg["task"] == "relations":
        given = earlier if cfg["entities_key"] is None else rows_of(before.spans[cfg["entities_key"]])
        # Those that are the same but for white space are one.
        visible = visible_tokens(doc)
        seen = [
            {(tuple(i for i in visible if start <= i < end), label) for start, end, label in rows}
            for rows in (found, given)
        ]
        assert set(found) <= set(given) and len(set(found)) == len(found) and seen[0] == seen[1] and ents == earlier
        return
    assert [row[:2] for row in found] == sorted({row[:2] for row in found})
    scores = doc.spans["spert"].attrs["scores"]
    assert len(scores) == len(found) and all(0.0 < score <= 1.0 for score in scores)
    sentences = sentences_of(doc)
    visible = visible_tokens(doc)
    for start, end, label in found:
        assert start in visible and end - 1 in visible and label in ENTITY_LABELS
        assert sum(start <= i < end for i in visible) <= cfg["max_span_width"]
        assert sentences[start] == sentences[end - 1]
    if cfg["entities_per_token"]:
        for i in set(sentences):
            n_tokens = sum(sentences[token] == i for token in visible)
            limit = math.ceil(n_tokens * cfg["entities_per_token"])
            assert sum(sentences[start] == i for start, _, _ in found) <= limit
    kept = [] if cfg["overwrite_ents"] else earlier
    assert set(kept) <= set(ents) <= {*kept, *found}
    # What is left out is left out for something.
    assert all(any(overlap(row, ent) for ent in ents) for row in found)


def check_relations(cfg, doc):
    found, sentences = rows_of(doc.spans["spert"]), sentences_of(doc)
    # A component for entities says nothing of relations.
    rows = doc.spans["spert"].attrs["relations"] if cfg["task"] != "entities" else []
    assert ("relations" in doc.spans["spert"].attrs) == (cfg["task"] != "entities")
    relations, visible = doc._.relations, visible_tokens(doc)
    # Sentences that the encoder does not see don't count.
    numbers = sorted({sentences[i] for i in visible})
    assert len(relations) == len(rows)
    assert len({(head, tail, label) for head, tail, label, _ in rows}) == len(rows)
    for (i, j, label, score), relation in zip(rows, relations):
        assert (i, j) == (min(i, j), max(i, j)) or label != SYMMETRIC
        head, tail = found[i], found[j]
        ends = [next(i for i in visible if i >= start) for start, _, _ in (head, tail)]
        first, last = sorted(numbers.index(sentences[i]) for i in ends)
        assert head[:2] != tail[:2] and last - first <= reach_of(cfg["relation_scope"])
        assert rows_of([relation.head, relation.tail]) == [head, tail] and relation.head.doc is doc
        assert relation.label == label and label in RELATION_LABELS
        assert relation.score == score and cfg["relation_threshold"] <= score <= 1.0
        if cfg["max_relation_distance"]:
            between = range(min(head[1], tail[1]), max(head[0], tail[0]))
            assert sum(i in between for i in visible) <= cfg["max_relation_distance"]
    if cfg["relations_per_token"]:
        assert len(rows) <= math.ceil(len(visible) * cfg["relations_per_token"])


def sentences_of(doc):
    """The number of each token's sentence."""
    bounds = sentence_bounds([doc])
    return numpy.repeat(numpy.arange(len(bounds) - 1), numpy.diff(bounds)).tolist()


def check_scores(scores):
    for name, value in scores.items():
        if isinstance(value, dict):
            check_scores(value)
        elif value is not None or not name.startswith("ents_"):
            assert 0.0 <= value <= 1.0


# Two batches may differ in the last digits of what they add up. What hangs on less than this, is no difference.
CLOSE = 1e-5


@examples(15)
@given(rows=st.lists(documents(), min_size=1, max_size=5), data=st.data(), sizes=st.tuples(BATCH_SIZES, BATCH_SIZES))
def test_a_permuted_batch_gives_permuted_answers(nlp, rows, data, sizes):
    """Also in batches of another size. Without limits, so that fewer answers hang on the last digit of a score."""
    order = data.draw(st.permutations(range(len(rows))))
    with using(nlp, NO_LIMITS), margins(nlp) as decided_by:
        expected = list(nlp.pipe((row.ents(nlp.vocab) for row in rows), batch_size=sizes[0]))
        permuted = list(nlp.pipe((rows[i].ents(nlp.vocab) for i in order), batch_size=sizes[1]))
    assume(min(decided_by, default=1.0) > CLOSE)
    expected = [expected[i] for i in order]
    for one, two in zip(expected, permuted):
        if has_close_rivals(one):
            one.ents = two.ents = []
    assert_same_predictions(expected, permuted)


@contextmanager
def margins(nlp):
    """By how much the best label of a candidate was better than the second, for the closest of each batch."""
    head = torch_head(nlp).span_head
    score = head.score
    smallest = []

    def note_margin(hidden, is_train):
        logits = score(hidden, is_train)
        best, second = logits.topk(2).values.unbind(dim=-1)
        smallest.extend((best - second).numpy().reshape(-1).min(initial=1.0, keepdims=True).tolist())
        return logits

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(head, "score", note_margin)
        yield smallest


def has_close_rivals(doc):
    """Whether two found spans overlap of which neither is clearly the better, as with blanks at their edges."""
    group = doc.spans["spert"]
    found = list(zip(rows_of(group), group.attrs.get("scores", ())))
    return any(overlap(one, two) and abs(x - y) < CLOSE for (one, x), (two, y) in combinations(found, 2))


# Writing down any scores

SCORES = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])


@st.composite
def scored_batches(draw):
    """Documents, the spans and pairs of each, and all of it as the model gives it."""
    lengths = draw(st.lists(st.integers(0, 6), max_size=4))
    found = []
    for n in lengths:
        places = [(start, end) for start in range(n) for end in range(start + 1, n + 1)]
        spans = sorted(draw(st.sets(st.sampled_from(places), max_size=6))) if places else []
        chosen = [pair for pair in combinations(range(len(spans)), 2) if draw(st.booleans())]
        pairs = [tuple(pair) for pair in both_orders(numpy.asarray(chosen, dtype="int64").reshape(-1, 2)).tolist()]
        labels = [draw(st.integers(1, len(ENTITY_LABELS))) for _ in spans]
        scores = [draw(SCORES.filter(bool)) for _ in spans]
        found.append((spans, labels, scores, pairs, [[draw(SCORES) for _ in RELATION_LABELS] for _ in pairs]))
    return lengths, found


def as_scores(lengths, found):
    tokens = numpy.cumsum([0, *lengths])
    first = numpy.cumsum([0, *(len(row[0]) for row in found)])

    def flat(column, width, dtype, offsets=None):
        rows = [
            numpy.asarray(row[column], dtype=dtype).reshape(-1, width) + (0 if offsets is None else offsets[i])
            for i, row in enumerate(found)
        ]
        return numpy.concatenate([numpy.zeros((0, width), dtype=dtype), *rows])

    return Scores(
        spans=flat(0, 2, "int64", tokens),
        span_labels=flat(1, 1, "int64")[:, 0],
        span_scores=flat(2, 1, "float32")[:, 0],
        pairs=flat(3, 2, "int64", first),
        pair_scores=flat(4, len(RELATION_LABELS), "float32"),
        is_entity=numpy.ones(first[-1], dtype=bool),
        tokens=numpy.arange(sum(lengths)),
    )


def obvious_relations(pairs, scores, threshold, limit):
    rows = [
        (score, head, tail, label)
        for (head, tail), values in zip(pairs, scores)
        for label, score in zip(RELATION_LABELS, values)
        if score >= threshold
    ]
    best = {}
    for score, head, tail, label in sorted(rows, key=lambda row: -row[0])[: limit or None]:
        if label == SYMMETRIC and tail < head:
            head, tail = tail, head
        best[head, tail, label] = max(score, best.get((head, tail, label), 0.0))
    return sorted((*row, score) for row, score in best.items())


def obvious_ents(spans, scores):
    chosen = []
    for _, _, row in sorted((-score, row[0] - row[1], row) for row, score in zip(spans, scores)):
        if not any(overlap(row, other) for other in chosen):
            chosen.append(row)
    return sorted(chosen)


@examples(150)
@given(batch=scored_batches(), threshold=SCORES, per_token=st.sampled_from([0.0, 0.5, 2.0]))
def test_any_scores_are_written_down_as_the_obvious_way_does(batch, threshold, per_token):
    lengths, found = batch
    settings = {"relation_threshold": threshold, "relations_per_token": per_token, "symmetric_labels": [SYMMETRIC]}
    pipe = Spert(Vocab(), Model("no model", lambda *args: None), **settings)
    for kind, labels in (("entity", ENTITY_LABELS), ("relation", RELATION_LABELS)):
        for label in labels:
            pipe.add_label(label, kind)
    docs = [Doc(pipe.vocab, words=["a"] * n) for n in lengths]
    pipe.set_annotations(docs, as_scores(lengths, found))
    for doc, (spans, labels, scores, related, related_scores) in zip(docs, found):
        group = doc.spans["spert"]
        assert rows_of(group) == [(*span, ENTITY_LABELS[label - 1]) for span, label in zip(spans, labels)]
        assert group.attrs["scores"].tolist() == scores
        assert [(ent.start, ent.end) for ent in doc.ents] == obvious_ents(spans, scores)
        limit = math.ceil(len(doc) * per_token)
        expected = obvious_relations(related, related_scores, threshold, limit)
        assert [tuple(row) for row in group.attrs["relations"]] == expected
        assert len(get_relations(doc)) == len(expected)
