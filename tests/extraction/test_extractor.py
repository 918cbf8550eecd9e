"""Records in, records out."""

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Span
from util import CNN, SYMMETRIC, TEXTS, initialize, train, uncoded

from spacy_spert import Extractor, to_json
from spacy_spert.extraction.codec import encode
from spacy_spert.sentences import sentence_bounds
from spacy_spert.serving.page import draw_record

WORDS = [text for text, _, _ in TEXTS]


def make(*names, **settings):
    nlp = spacy.blank("xx")
    for name in names:
        nlp.add_pipe("spert", name, config={"symmetric_labels": SYMMETRIC, "model": {"tok2vec": CNN}, **settings})
    return initialize(nlp)


@pytest.fixture(scope="module")
def nlp():
    """A pipeline that knows TEXTS."""
    nlp = spacy.blank("xx")
    tok2vec = {**CNN, "width": 32, "window_size": 2}
    nlp.add_pipe("spert", config={"symmetric_labels": SYMMETRIC, "model": {"dropout": 0.0, "tok2vec": tok2vec}})
    initialize(nlp)
    train(nlp, 60)
    return nlp


@Language.component("test_fails_on_eve")
def fails_on_eve(doc):
    if doc.text.startswith("Eve"):
        raise RuntimeError("no Eve here")
    return doc


@Language.component("test_merges_names", retokenizes=True)
def merges_names(doc):
    with doc.retokenize() as retokenizer:
        for ent in doc.ents:
            retokenizer.merge(ent)
    return doc


def labels(record):
    return [
        (record["entities"][r["head"]]["label"], r["label"], record["entities"][r["tail"]]["label"])
        for r in record["relations"]
    ]


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_one_record_for_each_in_their_order(nlp, batch_size):
    records = [{"text": text, "id": i, "meta": {"n": [i]}} for i, text in enumerate(WORDS)]
    records.insert(1, {"text": 7, "id": "bad", "meta": {"x": 1}})
    records.insert(3, "no record")
    found = list(Extractor(nlp, batch_size=batch_size).records(iter(records)))
    assert len(found) == len(records)
    assert uncoded(found.pop(3)) == {"error": "Expected the record to be an object, got: 'no record'"}
    bad = found.pop(1)
    assert {**bad, "error": uncoded(bad["error"])} == {
        "error": "Expected 'text' to be a string, got: 7",
        "id": "bad",
        "meta": {"x": 1},
    }
    for i, (record, (text, entities, relations)) in enumerate(zip(found, TEXTS)):
        assert list(record) == ["id", "text", "entities", "relations", "meta"]
        assert (record["id"], record["text"], record["meta"]) == (i, text, {"n": [i]})
        assert sorted(labels(record)) == sorted(
            (entities[head][2], label, entities[tail][2]) for head, tail, label in relations
        )
        assert [text[e["start"] : e["end"]] for e in record["entities"]] == [
            " ".join(text.split()[start:end]) for start, end, _ in sorted(entities)
        ]


def test_entities_alone_say_nothing_of_relations():
    """An empty list would say that there are none."""
    nlp = spacy.blank("xx")
    nlp.add_pipe("spert", config={"task": "entities", "model": {"tok2vec": CNN}})
    initialize(nlp).get_pipe("spert").cfg["spans_key"] = "mine"
    record = {"text": WORDS[0], "id": 1}
    (found,) = Extractor(nlp).records([record])
    assert list(found) == ["id", "text", "entities"]
    # The scores depend on what else was in the batch.
    assert to_json(nlp(WORDS[0])) == {key: found[key] for key in ("text", "entities")}
    assert encode(found, "csv", 1) == b""
    assert draw_record({**found, "entities": [{"start": 0, "end": 3, "label": "A"}]}, {"A": 0}, []).startswith("<p")


def test_nothing_in_nothing_out(nlp):
    assert list(Extractor(nlp).records([])) == []
    (record,) = Extractor(nlp).records([{"text": ""}])
    assert record == {"text": "", "entities": [], "relations": []}


def test_the_next_batch_is_read_when_it_is_asked_for(nlp):
    read = []
    found = Extractor(nlp, batch_size=2).records(read.append(i) or {"text": WORDS[0]} for i in range(6))
    assert next(found)["text"] == WORDS[0] and next(found) and read == [0, 1]


def test_text_that_a_component_fails_on(nlp):
    nlp.add_pipe("test_fails_on_eve", last=True)
    try:
        found = list(Extractor(nlp).records({"text": text, "id": i} for i, text in enumerate(WORDS)))
    finally:
        nlp.remove_pipe("test_fails_on_eve")
    assert found[4] == {"error": "RuntimeError: no Eve here", "id": 4}
    assert [record["id"] for record in found if "error" not in record] == [0, 1, 2, 3, 5, 6, 7]


def test_words_are_forgotten(nlp):
    strings = set(nlp.vocab.strings)
    assert len(list(Extractor(nlp, batch_size=3).records({"text": f"New{i} met Old{i} ."} for i in range(9)))) == 9
    assert set(nlp.vocab.strings) == strings


def test_other_form_of_record(nlp):
    """As the formats of annotation tools need it: what a document says, and its meta data."""

    def to_record(doc):
        return {"n": len(doc), "found": [r.label for r in doc._.relations], **doc.user_data["meta"]}

    extractor = Extractor(nlp, to_record=to_record)
    found = list(extractor.records([{"text": WORDS[1], "meta": {"page": 3}}, {"text": WORDS[0]}]))
    assert found == [{"n": 6, "found": ["partner_of"], "page": 3}, {"error": "KeyError: 'meta'"}]


def test_several_components():
    nlp = make("one", "two")
    with pytest.raises(ValueError, match=r"several 'spert' components: \['one', 'two'\].*--component"):
        Extractor(nlp)
    assert Extractor(nlp, component="one").component is nlp.get_pipe("one")
    with pytest.raises(ValueError, match="'three' is not a 'spert' component"):
        Extractor(nlp, component="three")


def test_spans_that_moved(nlp):
    """A component behind merges tokens: what it does not touch comes out, the rest is an error of its own."""
    nlp.add_pipe("test_merges_names", last=True)
    nlp.add_pipe("sentencizer", last=True)
    try:
        found = list(Extractor(nlp).records([{"text": WORDS[0], "id": 1}, {"text": WORDS[1]}, {"tokens": ["Bonn"]}]))
    finally:
        nlp.remove_pipe("test_merges_names")
        nlp.remove_pipe("sentencizer")
    assert uncoded(found[0]["error"]) == (
        "The tokens were merged or split after component 'spert' (by ['test_merges_names']), so that its entities lie "
        "on other words now. Place 'spert' after the components that change tokens."
    )
    assert found[0]["id"] == 1 and labels(found[1]) == [("PER", "partner_of", "PER")] and "error" not in found[2]


@Language.component("test_splits_last")
def splits_last(doc):
    """What was one span at the end reaches less far than it did, with all indices in range."""
    with doc.retokenize() as retokenizer:
        retokenizer.split(doc[0], ["A", "nn"], [(doc[0], 1), doc[1]])
    return doc


def test_split_tokens_by_a_component_that_does_not_say_so(nlp):
    nlp.add_pipe("test_splits_last", last=True)
    try:
        (record,) = Extractor(nlp).records([{"text": WORDS[0]}])
    finally:
        nlp.remove_pipe("test_splits_last")
    assert "by ['test_splits_last']" in record["error"]


@Language.component("test_entity_for_each_sentence")
def entity_for_each_sentence(doc):
    bounds = sentence_bounds([doc]).tolist()
    spans = [Span(doc, start, end, "SENT") for start, end in zip(bounds[:-1], bounds[1:])]
    doc.spans["spert"] = spans
    doc.spans["spert"].attrs["relations"] = []
    return doc


@pytest.mark.parametrize("sentencizer", [False, True])
def test_sentence_marks_of_the_records(nlp, sentencizer):
    """The pipeline's own marks count, unless those of the records are asked for. A text without any is one sentence."""
    if sentencizer:
        nlp.add_pipe("sentencizer", first=True)
    nlp.add_pipe("test_entity_for_each_sentence", last=True)
    tokens = {"tokens": ["Ann", ".", "Bob", "!", "Eve"]}
    records = [{**tokens, "sent_starts": [0, 3]}, {"text": "Ann . Bob", "sent_starts": [0, 6]}, tokens]
    try:
        found = [list(Extractor(nlp, given_sentences=given).records(records)) for given in (False, True)]
    finally:
        nlp.remove_pipe("test_entity_for_each_sentence")
        if sentencizer:
            nlp.remove_pipe("sentencizer")
    bounds = [[[(e["start"], e["end"]) for e in record["entities"]] for record in side] for side in found]
    by_rule = [(0, 2), (2, 4), (4, 5)]
    without = by_rule if sentencizer else [(0, 5)]
    assert bounds[0] == [without, [(0, 5), (6, 9)] if sentencizer else [(0, 9)], without]
    assert bounds[1] == [[(0, 3), (3, 5)], [(0, 5), (6, 9)], without]
