import logging

import pytest
import spacy
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from spacy.util import registry

from spacy_spert.corpus import give_sentences
from spacy_spert.relations import get_relations, set_entities

NLP = spacy.blank("en")
WORDS = ["Ann", "met", "Bob", ".", "Eve", "left", "."]


def make(
    words=WORDS, starts=(0, 4), entities=((0, 1, "PER"), (2, 3, "PER"), (4, 5, "PER")), rows=((0, 1, "met", 1.0),)
):
    sent_starts = None if starts is None else [i in starts for i in range(len(words))]
    doc = Doc(NLP.vocab, words=words, sent_starts=sent_starts)
    set_entities(doc, "spert", [Span(doc, *entity) for entity in entities], rows)
    return doc


def read(path, docs, **settings):
    DocBin(docs=docs).to_disk(path / "a.spacy")
    corpus = {"@readers": "spacy-spert.Corpus.v1", "path": str(path / "a.spacy"), **settings}
    return list(registry.resolve({"corpus": corpus})["corpus"](NLP))


def starts_of(doc):
    return [token.i for token in doc if token.is_sent_start] if doc.has_annotation("SENT_START") else None


@pytest.mark.parametrize("starts", [(0, 4), (0,), None])
def test_sentence_marks_of_the_data(tmp_path, starts):
    (example,) = read(tmp_path, [make(starts=starts)])
    assert starts_of(example.predicted) == (None if starts is None else list(starts))
    assert not example.predicted.spans and get_relations(example.reference)


def test_marks_on_other_tokens():
    words = ["Ann", "met", "Bob", ".", "\n", "\n", "Eve-Lyn", "left", "."]
    reference = Doc(NLP.vocab, words=words, sent_starts=[i in (0, 4, 7) for i in range(9)])
    predicted = Doc(NLP.vocab, words=["Ann met", "Bob", ".", "Eve", "-", "Lyn", "left."])
    give_sentences(Example(predicted, reference))
    assert starts_of(predicted) == [0, 3, 6]


def test_white_space_at_the_end_marks_nothing():
    reference = Doc(NLP.vocab, words=["Ann", "left", "\n"], sent_starts=[True, False, True])
    predicted = Doc(NLP.vocab, words=["Ann", "left"])
    give_sentences(Example(predicted, reference))
    assert starts_of(predicted) == [0]


def test_limit_and_augmenter(tmp_path):
    augmenter = {
        "@augmenters": "spacy-spert.keep_relations.v1",
        "augmenter": {"@augmenters": "spacy.lower_case.v1", "level": 1.0},
    }
    (example,) = read(tmp_path, [make(), make()], limit=1, augmenter=augmenter)
    assert example.predicted.text == "ann met bob . eve left . "
    assert starts_of(example.predicted) == [0, 4]
    assert len(get_relations(example.reference)) == 1


@pytest.mark.parametrize("settings", [{"max_length": 5}, {"gold_preproc": True}])
def test_sentences_as_documents_keep_their_relations(tmp_path, settings):
    examples = read(tmp_path, [make()], **settings)
    assert [example.reference.text for example in examples] == ["Ann met Bob . ", "Eve left . "]
    assert [len(get_relations(example.reference)) for example in examples] == [1, 0]
    assert [starts_of(example.predicted) for example in examples] == [[0], [0]]


def test_sentences_that_are_left_out_are_counted(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(logging.getLogger("spacy"), "propagate", True)
    with caplog.at_level(logging.WARNING, logger="spacy.spert"):
        examples = read(tmp_path, [make(), make(starts=None), Doc(NLP.vocab, words=["Yes", "."])], max_length=4)
    assert [example.reference.text for example in examples] == ["Eve left . ", "Yes . "]
    (message,) = [record.getMessage() for record in caplog.records]
    assert "2 parts of documents" in message and "a.spacy" in message


@pytest.mark.parametrize("in_memory", [True, False])
def test_read_once_or_each_time(tmp_path, in_memory):
    DocBin(docs=[make()]).to_disk(tmp_path / "a.spacy")
    settings = {"@readers": "spacy-spert.Corpus.v1", "path": str(tmp_path / "a.spacy"), "in_memory": in_memory}
    corpus = registry.resolve({"corpus": settings})["corpus"]
    (first,) = corpus(NLP)
    DocBin(docs=[make(starts=(0,))] * 2).to_disk(tmp_path / "a.spacy")
    again = list(corpus(NLP))
    assert len(again) == (1 if in_memory else 2)
    assert (again[0].reference is first.reference) is in_memory
    # What a pipeline annotates is new each time.
    assert again[0].predicted is not first.predicted and not again[0].predicted.spans
    # Documents belong to a vocabulary.
    other = spacy.blank("en")
    assert [example.reference.vocab for example in corpus(other)] == [other.vocab] * 2


def test_no_path():
    with pytest.raises(ValueError, match="E913"):
        registry.readers.get("spacy-spert.Corpus.v1")(None)
