import random

import pytest
import spacy
from spacy.tokens import Doc, DocBin, Span, SpanGroup
from spacy.training import Corpus, Example
from spacy.util import registry

from spacy_spert.exchange import make_exchange_mentions
from spacy_spert.relations import get_relations, set_entities

NLP = spacy.blank("en")


def make(words, entities, rows=(), **kwargs):
    doc = Doc(NLP.vocab, words=words, **kwargs)
    set_entities(doc, "spert", [Span(doc, *entity) for entity in entities], list(rows))
    return doc


def first():
    doc = make(["Ann", "Lee", "left", "Oslo", "."], [(0, 2, "PER"), (3, 4, "CITY")], [(0, 1, "left", 1.0)])
    doc.set_ents([Span(doc, 0, 2, "PER"), Span(doc, 3, 4, "CITY")])
    return doc


def second():
    words, tags = ["In", "New", "York", "Bob", "slept", "."], ["IN", "NNP", "NNP", "NNP", "VBD", "."]
    starts = [True, False, False, False, False, False]
    spaces = [True, True, True, True, False, False]
    doc = make(
        words, [(1, 3, "CITY"), (3, 4, "PER")], [(1, 0, "in", 1.0)], tags=tags, spaces=spaces, sent_starts=starts
    )
    doc.set_ents([Span(doc, 1, 3, "CITY"), Span(doc, 3, 4, "PER")])
    return doc


def example(reference):
    return Example(NLP.make_doc(reference.text), reference)


def exchanged(*references, level=1.0, share=1.0, seed=0):
    random.seed(seed)
    augment = make_exchange_mentions(level=level, share=share)
    results = [list(augment(NLP, example(reference))) for reference in references]
    assert all(len(result) == 1 for result in results)
    return [result[0] for result in results]


def content(doc):
    rows = [(r.head.text, r.label, r.tail.text, r.score) for r in get_relations(doc)]
    return doc.text, [(span.text, span.label_) for span in doc.spans["spert"]], rows


def variants():
    return {content(exchanged(first(), second(), seed=seed)[1].reference)[0] for seed in range(20)}


def test_entities_are_exchanged_for_others_of_their_label():
    assert variants() == {
        f"In {city} {person} slept." for city in ("New York", "Oslo") for person in ("Bob", "Ann Lee")
    }


def test_relations_and_marks_go_with_the_entities():
    for seed in range(20):
        changed = exchanged(first(), second(), seed=seed)[1]
        text, entities, relations = content(changed.reference)
        if text == "In Oslo Ann Lee slept.":
            break
    assert entities == [("Oslo", "CITY"), ("Ann Lee", "PER")]
    assert relations == [("Ann Lee", "in", "Oslo", 1.0)]
    assert [(ent.text, ent.label_) for ent in changed.reference.ents] == entities
    assert [token.is_sent_start for token in changed.reference] == [True] + [False] * 5
    assert [token.tag_ for token in changed.reference] == ["IN", "", "", "", "VBD", "."]
    assert [token.text for token in changed.predicted] == [token.text for token in changed.reference]
    assert not changed.predicted.spans and not changed.predicted.ents


def test_nothing_is_seen_yet_but_the_document_itself():
    assert content(exchanged(first())[0].reference) == content(first())


@pytest.mark.parametrize("settings", [{"level": 0.0}, {"share": 0.0}])
def test_no_share_leaves_the_example(settings):
    reference = second()
    assert exchanged(first(), reference, **settings)[1].reference is reference


def test_shares_are_about_as_asked():
    references = [first() if i % 2 else second() for i in range(400)]
    changed = exchanged(*references, level=0.5, share=1.0)
    n = sum(new.reference is not old for new, old in zip(changed, references))
    assert 150 < n < 250


def test_entities_that_touch_others_stay():
    nested = make(["New", "York", "City"], [(0, 3, "CITY"), (0, 2, "CITY")])
    twice = make(["Ann"], [(0, 1, "PER"), (0, 1, "ARTIST")])
    marked = make(["Ann", "Lee", "ran"], [(0, 2, "PER")])
    marked.spans["other"] = SpanGroup(marked, spans=[Span(marked, 1, 3, "x")])
    over = make(["Ann", "Lee", "ran"], [(0, 2, "PER")], sent_starts=[True, True, False])
    references = [nested, twice, marked, over]
    for seed in range(5):
        for new, old in zip(exchanged(first(), second(), *references, seed=seed)[2:], references):
            assert new.reference is old


def test_other_groups_move_along_and_links_of_exchanged_entities_go():
    doc = make(["Bob", "left", "early"], [(0, 1, "PER")])
    doc.spans["sc"] = SpanGroup(
        doc, attrs={"a": 1}, spans=[Span(doc, 0, 1, "PER", kb_id="Q1"), Span(doc, 2, 3, "T", kb_id="Q2")]
    )
    for seed in range(20):
        changed = exchanged(first(), doc, seed=seed)[1].reference
        if changed.text.startswith("Ann Lee"):
            break
    assert [(span.text, span.kb_id_) for span in changed.spans["sc"]] == [("Ann Lee", ""), ("early", "Q2")]
    assert changed.spans["sc"].attrs == {"a": 1}


def test_entities_may_come_from_doc_ents_and_unmarked_tokens_stay_unmarked():
    doc = NLP("Oslo is far")
    doc.set_ents([Span(doc, 0, 1, "CITY")], default="missing")
    texts = set()
    for seed in range(20):
        changed = exchanged(second(), doc, seed=seed)[1].reference
        texts.add(changed.text)
        assert [token.ent_iob_ for token in changed][-2:] == ["", ""]
        assert [ent.label_ for ent in changed.ents] == ["CITY"]
    assert texts == {"Oslo is far", "New York is far"}


@pytest.mark.parametrize("name", ["level", "share"])
def test_shares_are_checked(name):
    with pytest.raises(ValueError, match=f"'{name}' of the augmenter"):
        make_exchange_mentions(**{name: 1.5})


def test_in_a_corpus(tmp_path):
    DocBin(docs=[first(), second()]).to_disk(tmp_path / "train.spacy")
    augmenter = registry.augmenters.get("spacy-spert.exchange_mentions.v1")(level=1.0, share=1.0)
    corpus = Corpus(tmp_path / "train.spacy", augmenter=augmenter)
    random.seed(0)
    texts = {eg.reference.text.strip() for _ in range(10) for eg in corpus(NLP)}
    assert {"Bob left Oslo .", "Ann Lee left Oslo .", "In Oslo Ann Lee slept."} <= texts


def test_empty_and_unannotated_documents():
    for doc in (Doc(NLP.vocab), NLP("Nothing is annotated")):
        assert exchanged(doc)[0].reference is doc
