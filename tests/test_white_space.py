"""White space neither begins nor ends a span and counts in no width, distance, limit or window."""

import tempfile
from functools import cache

import numpy
import pytest
import spacy
from families import FAMILIES
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Span
from spacy.training import Example
from spacy.util import fix_random_seed
from strategies import ENTITY_LABELS, RELATION_LABELS, SYMMETRIC, WORDS, Annotated, examples
from util import CNN, add_transformer, torch_head

from spacy_spert import Extractor, get_relations

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
WINDOWS = {"@span_getters": "spacy-spert.strided_spans.v1", "window": 5, "stride": 3}
# WordPiece makes no pieces of white space, so that nothing at all may change.
EXACT = {
    "joint": ("bert", {}),
    "limits": ("bert", {"max_relation_distance": 2, "entities_per_token": 0.5, "relations_per_token": 0.4}),
    "mean": ("bert", {"model": {"pooling": "mean", "context": "sentence"}}),
    "heads": ("bert", {"model": {"relation_head": {"labels": True, "distance": 4, "hidden_width": 8, "edges": True}}}),
    "given": ("bert", {"task": "relations", "entities_key": "given"}),
}
OTHERS = {"bytes": ("roberta", {}), "pieces": ("xlm-roberta", {}), "vectors": (None, {"model": {"tok2vec": CNN}})}
GAPS = st.sampled_from(["", "\n", " ", "\n\n", " \n ", "\t", "  "])
TEXTS = st.lists(st.sampled_from([word for word in WORDS if word.isalpha()]), min_size=1, max_size=12)


def make(family, config, folder):
    nlp = spacy.blank("xx")
    if family is not None:
        FAMILIES[family].make(folder)
        add_transformer(nlp, folder, spans=WINDOWS)
    nlp.add_pipe("spert", config={"max_span_width": 3, "symmetric_labels": [SYMMETRIC], **config})
    entities = [(i, i + 1, label) for i, label in enumerate(ENTITY_LABELS)]
    gold = Annotated(["a"] * 3, [True] * 3, None, entities, [(0, 1, label) for label in RELATION_LABELS])
    fix_random_seed(0)
    nlp.initialize(lambda: [Example(gold.tokens(nlp.vocab), gold.gold(nlp.vocab))])
    cfg = nlp.get_pipe("spert").cfg
    limit = cfg["entities_per_token"]
    cfg.update(relation_threshold=0.5, entities_per_token=0.0)
    none = torch_head(nlp).span_head.output_layer.bias.detach()[:1]
    while config.get("task") != "relations" and len(nlp(" ".join(WORDS[:10])).spans["spert"]) < 12:
        none -= 0.05
    cfg["entities_per_token"] = limit
    return nlp


@pytest.fixture(scope="module", params=EXACT)
def exact(request, tmp_path_factory):
    return make(*EXACT[request.param], tmp_path_factory.mktemp("family"))


@pytest.fixture(scope="module", params=OTHERS)
def other(request, tmp_path_factory):
    return make(*OTHERS[request.param], tmp_path_factory.mktemp("family"))


def spread(words, gaps):
    """A text of words with a blank and more white space between them, before and behind."""
    return gaps[0] + "".join(f"{word} {gap}" for word, gap in zip(words[:-1], gaps[1:])) + words[-1] + gaps[-1]


def predict(nlp, text, spans=()):
    """Run a pipeline; the given entities are in words."""
    doc = nlp.make_doc(text)
    words = [token.i for token in doc if not token.is_space]
    # They may begin and end with white space.
    doc.spans["given"] = [Span(doc, words[i - 1] + 1 if i else 0, words[i] + 1, label="X") for i in spans]
    return nlp(doc)


def found(doc):
    """Entities and relations by the words of the document, with their scores."""
    words = [token.i for token in doc if not token.is_space]
    group = doc.spans["spert"]
    places = [tuple(numpy.searchsorted(words, [span.start, span.end]).tolist()) for span in group]
    scores = group.attrs.get("scores", numpy.ones(len(group)))
    entities = sorted((*place, span.label_, float(score)) for place, span, score in zip(places, group, scores))
    relations = sorted(
        (*numpy.searchsorted(words, [r.head.start, r.head.end, r.tail.start, r.tail.end]).tolist(), r.label, r.score)
        for r in get_relations(doc)
    )
    return [row[:-1] for row in entities], [row[:-1] for row in relations], [row[-1] for row in entities + relations]


@examples(25)
@given(words=TEXTS, gaps=st.lists(GAPS, min_size=13, max_size=13))
def test_nothing_changes(exact, words, gaps):
    given_words = range(0, len(words), 2)
    plain = predict(exact, " ".join(words), given_words)
    spaced = predict(exact, spread(words, gaps[: len(words) + 1]), given_words)
    *expected, scores = found(plain)
    *got, new_scores = found(spaced)
    assert got == expected
    assert new_scores == pytest.approx(scores, abs=1e-5)
    assert [ent.text for ent in spaced.ents if not ent.text.strip()] == []


@pytest.mark.parametrize("char", list("\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f\x85\xa0\u2028\u3000"))
def test_any_white_space_in_place_of_a_blank(exact, char):
    """Also such as BERT's tokenizer would delete, which would make one word of two; and as the pipeline is stored."""
    words = [word for word in WORDS if word.isalpha()][:8]
    plain = predict(exact, " ".join(words), range(0, 8, 2))
    *expected, scores = found(plain)
    stored = make_copy(exact)
    for nlp in (exact, stored):
        *got, new_scores = found(predict(nlp, char.join(words), range(0, 8, 2)))
        assert got == expected
        assert new_scores == pytest.approx(scores, abs=1e-5)


@cache
def make_copy(nlp):
    with tempfile.TemporaryDirectory() as folder:
        nlp.to_disk(folder)
        return spacy.load(folder)


@examples(15)
@given(words=TEXTS, gaps=st.lists(GAPS, min_size=13, max_size=13))
def test_no_entity_has_white_space_at_an_edge_and_none_is_doubled(other, words, gaps):
    doc = predict(other, spread(words, gaps[: len(words) + 1]))
    spans = list(doc.spans["spert"])
    assert all(span.text == span.text.strip() for span in [*spans, *doc.ents])
    entities, relations, _ = found(doc)
    assert len(set(entities)) == len(entities) and len(set(relations)) == len(relations)


@pytest.mark.parametrize("text, offsets", [("\nAnn", (1, 4)), ("Ann\n", (0, 3)), ("  Ann ", (2, 5))])
def test_an_entity_beside_white_space(overfitted, text, offsets):
    nlp = overfitted[0]
    (record,) = Extractor(nlp).records([{"text": text}])
    assert [(row["start"], row["end"]) for row in record["entities"]] in ([], [offsets])
    spaced, plain = nlp("Ann  works\nfor Acme  Labs ."), nlp("Ann works for Acme Labs .")
    assert found(spaced)[:2] == found(plain)[:2]
