import logging
import random

import numpy
import pytest
import spacy
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Corpus, Example
from spacy.util import fix_random_seed, registry
from util import TEXTS, make_doc

from spacy_spert.alignment import align_gold
from spacy_spert.relations import get_relations, related_groups, set_entities

NLP = spacy.blank("en")
WORDS = ["Ann", "Lee", "works", "at", "Acme", ".", "Bob", "too", "."]
ENTITIES = [(0, 2, "PER"), (1, 2, "NAME"), (4, 5, "ORG"), (6, 7, "PER")]
ROWS = [(0, 2, "works_at", 1.0), (3, 2, "works_at", 0.5)]


def make(words=WORDS, entities=ENTITIES, rows=ROWS, **kwargs):
    doc = Doc(NLP.vocab, words=words, **kwargs)
    set_entities(doc, "spert", [Span(doc, *entity) for entity in entities], rows)
    doc.set_ents([Span(doc, *entity) for entity in entities if entity[2] != "NAME"])
    return doc


def keep(augmenter):
    return registry.augmenters.get("spacy-spert.keep_relations.v1")(augmenter)


def augment(augmenter, reference, n=1):
    examples = list(keep(augmenter)(NLP, Example(NLP.make_doc(reference.text), reference)))
    assert len(examples) == n
    return examples[0]


def texts_of(doc):
    spans = [(" ".join(span.text.split()), span.label_) for span in doc.spans["spert"]]
    return spans, [(" ".join(r.head.text.split()), r.label, r.tail.text, r.score) for r in get_relations(doc)]


EXPECTED = (
    [("Ann Lee", "PER"), ("Lee", "NAME"), ("Acme", "ORG"), ("Bob", "PER")],
    [("Ann Lee", "works_at", "Acme", 1.0), ("Bob", "works_at", "Acme", 0.5)],
)


def lowered(expected):
    return [(text.lower(), label) for text, label in expected[0]], [
        (h.lower(), x, t.lower(), s) for h, x, t, s in expected[1]
    ]


def test_lower_case():
    reference = make()
    reference.spans["spert"].attrs["source"] = "me"
    for token in reference:
        token.is_sent_start = token.i in (0, 6)
    changed = augment(registry.augmenters.get("spacy.lower_case.v1")(level=1.0), reference)
    assert changed.predicted.text == changed.reference.text == reference.text.lower()
    assert texts_of(changed.reference) == lowered(EXPECTED)
    assert changed.reference.spans["spert"].attrs["source"] == "me"
    # spaCy loses them as well.
    assert [sentence.start for sentence in changed.reference.sents] == [0, 6]
    assert [ent.text for ent in changed.reference.ents] == ["ann lee", "acme", "bob"]
    assert texts_of(reference) == EXPECTED


def test_letters_that_become_two():
    """The offsets of what is behind them move."""
    words = ["\u0130rem", "met", "\u0130pek"]
    reference = make(words, [(0, 1, "PER"), (2, 3, "PER")], [(0, 1, "met", 1.0)])
    changed = augment(registry.augmenters.get("spacy.lower_case.v1")(level=1.0), reference)
    assert [span.start for span in changed.reference.spans["spert"]] == [0, 2]
    assert get_relations(changed.reference)[0].tail.text == "\u0130pek".lower()


@pytest.mark.parametrize("seed", range(5))
def test_white_space_inserted_anywhere(seed):
    """Also inside of entities, by spaCy's augmenter, which does nothing to documents with span groups."""
    random.seed(seed)
    augmenter = registry.augmenters.get("spacy.combined_augmenter.v1")(
        lower_level=0.0,
        orth_level=0.0,
        orth_variants=None,
        whitespace_level=1.0,
        whitespace_per_token=1.0,
        whitespace_variants=["\n", " "],
    )
    reference = make()
    changed = augment(augmenter, reference)
    assert len(changed.reference) == 2 * len(reference)
    assert texts_of(changed.reference) == EXPECTED
    assert all(not (span[0].is_space or span[-1].is_space) for span in changed.reference.spans["spert"])


def test_other_words():
    reference = make(tags=["A"] * len(WORDS))
    variants = {"single": [{"tags": ["A"], "variants": ["Acme", "Acme Incorporated"]}], "paired": []}
    augmenter = registry.augmenters.get("spacy.orth_variants.v1")(level=1.0, lower=0.0, orth_variants=variants)
    fix_random_seed(1)
    changed = [augment(augmenter, reference).reference for _ in range(20)]
    found = {doc.spans["spert"][2].text for doc in changed}
    assert found == {"Acme", "Acme Incorporated"}


def test_other_tokens():
    """A variant of the same text in which a name is one token."""

    def merge(nlp, example):
        words = ["Ann Lee", *WORDS[2:4], "Acme.", *WORDS[6:]]
        yield Example(nlp.make_doc(example.text), Doc(nlp.vocab, words=words))

    reference = make(entities=[(0, 2, "PER"), (6, 7, "PER")], rows=[(1, 0, "knows", 1.0)])
    changed = augment(merge, reference)
    assert [(span.start, span.end) for span in changed.reference.spans["spert"]] == [(0, 1), (4, 5)]
    assert get_relations(changed.reference)[0].head.text == "Bob"


def test_several_variants():
    def both(nlp, example):
        yield example
        yield from registry.augmenters.get("spacy.lower_case.v1")(level=1.0)(nlp, example)

    examples = list(keep(both)(NLP, Example(NLP.make_doc("x"), make())))
    assert [texts_of(example.reference) for example in examples] == [EXPECTED, lowered(EXPECTED)]


def test_document_whose_entities_are_lost_is_taken_as_it_was(monkeypatch, caplog):
    monkeypatch.setattr(logging.getLogger("spacy"), "propagate", True)

    def shorten(nlp, example):
        for n in (3, 4):
            words = WORDS[:n]
            yield Example(Doc(nlp.vocab, words=words), Doc(nlp.vocab, words=words))

    augmenter = keep(shorten)
    references = [make(), make()]
    with caplog.at_level(logging.WARNING, logger="spacy.spert"):
        examples = [eg for doc in references for eg in augmenter(NLP, Example(NLP.make_doc(doc.text), doc))]
    assert [example.reference for example in examples] == references
    (message,) = [record.getMessage() for record in caplog.records]
    assert "'Ann Lee works '" in message and "'Ann Lee works at Acme . Bob too . '" in message


def test_what_is_not_known_stays_so():
    reference = make(rows=None)
    reference.set_ents([Span(reference, 0, 2, "PER")], missing=[reference[4:6]])
    changed = augment(registry.augmenters.get("spacy.lower_case.v1")(level=1.0), reference).reference
    assert related_groups(changed) == {}
    assert [token.ent_iob for token in changed] == [3, 1, 2, 2, 0, 0, 2, 2, 2]


def test_in_a_corpus(tmp_path):
    """As written in a config. Without it all relations of the documents in lower case are lost."""
    DocBin(docs=[make_doc(NLP.vocab, *text) for text in TEXTS]).to_disk(tmp_path / "a.spacy")
    lower = {"@augmenters": "spacy.lower_case.v1", "level": 0.5}
    kept = {"@augmenters": "spacy-spert.keep_relations.v1", "augmenter": lower}
    counts = []
    for augmenter in (lower, kept):
        random.seed(0)
        augmenter = registry.resolve({"augmenter": augmenter})["augmenter"]
        examples = list(Corpus(tmp_path / "a.spacy", augmenter=augmenter)(NLP))
        golds = [align_gold(eg, "spert", numpy.zeros(len(eg.predicted), dtype="int64")) for eg in examples]
        counts.append((sum(gold.relations_known for gold in golds), sum(len(gold.relations) for gold in golds)))
    n = sum(len(relations) for _, _, relations in TEXTS)
    assert counts[0][0] < len(TEXTS) and counts[0][1] < n and counts[1] == (len(TEXTS), n)
