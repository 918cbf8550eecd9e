"""Long documents and odd ones: what windows cut off, spans across windows, and characters of all kinds."""

import logging
import math
import time

import numpy
import pytest
import spacy
import torch
from families import FAMILIES
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import fix_random_seed
from thinc.api import Adam
from util import (
    DOC_SPANS,
    SENT_SPANS,
    add_transformer,
    entities_of,
    finish_update,
    initialize,
    make_nlp,
    relations_of,
    strided,
    torch_head,
    visible_tokens,
)

from spacy_spert.relations import set_entities

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
# Words, whether a blank follows each (None: not known), and the entities.
ODD = {
    "emoji": (["Ann", "\U0001f600", "\U0001f469\u200d\U0001f469\u200d\U0001f467", "!"], "1100", [(0, 1), (2, 3)]),
    "flags and skin": (["\U0001f1e9\U0001f1ea", "\U0001f44d\U0001f3fd", "Bonn"], "110", [(0, 2)]),
    "arabic": (["\u0645\u0631\u062d\u0628\u0627", "\u0628\u0627\u0644\u0639\u0627\u0644\u0645", "."], "100", [(0, 1)]),
    "hebrew": (["\u05e9\u05dc\u05d5\u05dd", "\u05e2\u05d5\u05dc\u05dd", "Bonn"], "110", [(0, 2)]),
    "both directions": (["Ann", "\u202b", "\u05e9\u05dc\u05d5\u05dd", "\u202c", "Lee"], "10110", [(1, 4), (4, 5)]),
    "combining": (["nai\u0308ve", "cafe\u0301", "A\u030ann"], "110", [(0, 1), (1, 3)]),
    "marks alone": (["Ann", "\u0301", "\u0308\u0323", "Lee"], "0010", [(0, 3)]),
    "tabs": (["Ann", "\t", "Lee", "\t\t", "Bonn"], "00000", [(0, 3)]),
    "newlines": (["\n", "Ann", "\n\n", "Lee", "\r\n", "\u2028", "Bonn", "\n"], "00000000", [(1, 4), (6, 7)]),
    "blanks": ([" ", "Ann", "\u00a0", "\u3000", "Lee", "  "], "010010", [(1, 2), (4, 5)]),
    "zero width": (["Ann\u200bLee", "\u200b", "\u200d", "\ufeff", "Bo\u200dnn"], "10100", [(0, 1), (4, 5)]),
    "control": (["Ann\u0007", "\u0007", "\u0000", "\u001b[0m", "Lee"], "11110", [(0, 1), (4, 5)]),
    "unknown blanks": (["Ann", "Lee", "\n", "works", "\u4e16", "\u754c", "."], None, [(0, 2), (4, 6)]),
    "no blanks": (["Ann", "Lee", "\u4e16", "Bonn"], "0000", [(0, 2), (3, 4)]),
    "characters beyond": (["\U0001d49c\U0001d4ce", "\ue000", "\U000e0041", "\ufffd", "\uffff"], "11111", [(0, 1)]),
    "a blank inside": (["New York", "x \t y", "Bonn"], "110", [(0, 1), (1, 3)]),
}
BLANK = {
    "newline": ["\n"],
    "all kinds": [" ", "\n\n", "\t", "\u00a0", "\u3000", "\u2028", "\r\n"],
}


@pytest.fixture
def caplog(caplog, monkeypatch):
    """spaCy's logger keeps its records to itself."""
    monkeypatch.setattr(logging.getLogger("spacy"), "propagate", True)
    return caplog


def messages(caplog, part=""):
    logged = [record.getMessage() for record in caplog.records if record.name == "spacy.spert"]
    return [message for message in logged if part in message]


def odd_doc(nlp, name):
    words, spaces, _ = ODD[name]
    return Doc(nlp.vocab, words=words, spaces=None if spaces is None else [space == "1" for space in spaces])


def annotate(doc, entities, relations=()):
    set_entities(doc, "spert", [Span(doc, start, end, label="PER") for start, end in entities], relations)
    return doc


def odd_example(nlp, name):
    entities = ODD[name][2]
    relations = [(0, 1, "knows", 1.0)] if len(entities) > 1 else []
    return Example(odd_doc(nlp, name), annotate(odd_doc(nlp, name), entities, relations))


def fit(nlp, examples, steps, enough=0.0):
    """The losses of as many steps, or until they are small enough."""
    fix_random_seed(0)
    optimizer = Adam(0.01)
    losses = []
    for _ in range(steps):
        batch = {}
        nlp.update(
            [Example(example.predicted.copy(), example.reference) for example in examples], sgd=False, losses=batch
        )
        finish_update(nlp, optimizer)
        losses.append(batch["spert"])
        if losses[-1] < enough:
            break
    return losses


def call_everything_an_entity(nlp):
    """As far as there are candidates."""
    with torch.no_grad():
        torch_head(nlp).span_head.output_layer.bias[0] = -100.0
    nlp.get_pipe("spert").cfg["entities_per_token"] = 0.0
    return nlp


def check(doc):
    """Everything that is predicted lies in the document."""
    group = doc.spans["spert"]
    assert len(group) == len(group.attrs["scores"])
    for span, score in zip(group, group.attrs["scores"]):
        assert 0 <= span.start < span.end <= len(doc)
        assert doc.text[span.start_char : span.end_char] == span.text
        assert span.text.strip() and 0.0 < score <= 1.0
    assert set(doc.ents) <= set(group)
    for relation in doc._.relations:
        assert relation.head in group and relation.tail in group and 0.0 <= relation.score <= 1.0


@pytest.fixture(scope="module", params=["bert", "xlm-roberta"])
def folder(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("family") / "tiny"
    path.mkdir()
    FAMILIES[request.param].make(path)
    return path


def initialized(folder, examples):
    nlp = make_nlp(folder, max_span_width=4, model={"dropout": 0.0, "width_embedding": 8})
    fix_random_seed(0)
    nlp.initialize(lambda: examples)
    return nlp


def trimmed(doc, spans):
    """Spans without what the encoder makes no pieces of at their edges, such as marks of direction."""
    seen = [[i for i in visible_tokens(doc) if start <= i < end] for start, end in spans]
    return [(tokens[0], tokens[-1] + 1) for tokens in seen]


class TestOddDocuments:
    @pytest.mark.parametrize("name", ODD)
    def test_candidates_lie_in_the_document(self, folder, name):
        example = odd_example(spacy.blank("xx"), name)
        nlp = call_everything_an_entity(initialized(folder, [example]))
        doc = nlp(odd_doc(nlp, name))
        check(doc)
        assert set(trimmed(doc, ODD[name][2])) <= {(span.start, span.end) for span in doc.spans["spert"]}

    @pytest.mark.parametrize("name", ODD)
    def test_gold_is_learned(self, folder, name):
        nlp = initialized(folder, [odd_example(spacy.blank("xx"), name)])
        losses = fit(nlp, [odd_example(nlp, name)], 100, enough=0.05)
        assert losses[-1] < 0.05
        doc = nlp(odd_doc(nlp, name))
        check(doc)
        expected = trimmed(doc, ODD[name][2])
        assert [(start, end) for start, end, _ in entities_of(doc)] == expected
        assert relations_of(doc) == ([(*expected, "knows")] if len(expected) > 1 else [])

    @pytest.mark.parametrize("name", BLANK)
    def test_only_white_space(self, folder, name):
        nlp = call_everything_an_entity(initialized(folder, [odd_example(spacy.blank("xx"), "tabs")]))
        docs = list(nlp.pipe([Doc(nlp.vocab, words=BLANK[name]), odd_doc(nlp, "tabs"), Doc(nlp.vocab)]))
        assert [bool(doc.spans["spert"]) for doc in docs] == [False, True, False]

    @pytest.mark.parametrize("name", BLANK)
    def test_learning_from_white_space(self, folder, caplog, name):
        """Gold entities on it are counted as lost, and training goes on without them."""
        nlp = make_nlp(folder, max_span_width=4)
        blank = Example(Doc(nlp.vocab, words=BLANK[name]), annotate(Doc(nlp.vocab, words=BLANK[name]), [(0, 1)]))
        with caplog.at_level(logging.INFO, logger="spacy.spert"):
            nlp.initialize(lambda: [blank, odd_example(nlp, "emoji")])
        (table,) = messages(caplog)
        (row,) = [line.split()[2:] for line in table.splitlines() if "PER" in line]
        assert "only white space" in table and row == ["2", "1"]
        assert fit(nlp, [blank], 1) == [0.0]
        assert all(map(math.isfinite, fit(nlp, [blank, odd_example(nlp, "emoji")], 2)))


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_a_word_of_a_million_characters(name, tmp_path):
    """As many as spaCy allows. Most of the time is spent by the tokenizers."""
    (tmp_path / "tiny").mkdir()
    FAMILIES[name].make(tmp_path / "tiny")
    nlp = make_nlp(tmp_path / "tiny", max_span_width=3)
    word = "Bonn" * 249_999 + "Ann"
    assert len(word) == nlp.max_length - 1

    def make_example():
        doc = Doc(nlp.vocab, words=[word, "Ann"], spaces=[False, False])
        return Example(doc, annotate(Doc(nlp.vocab, words=[word, "Ann"], spaces=[False, False]), [(0, 1)]))

    start = time.process_time()
    nlp.initialize(lambda: [make_example()])
    assert math.isfinite(fit(nlp, [make_example()], 1)[0])
    doc = call_everything_an_entity(nlp)(word)
    assert time.process_time() - start < 120
    assert [(span.start, span.end) for span in doc.spans["spert"]] == [(0, 1)]
    check(doc)


# Long documents

NAMES = ["Ann", "Bob", "Eve"]


def long_text(n_sentences):
    """Sentences of ten tokens, with two entities and a relation each."""
    sentence = "{} Lee met {} Ross in Bonn at Zeta ."
    return [sentence.format(NAMES[i % 3], NAMES[(i + 1) % 3]).split() for i in range(n_sentences)]


def long_example(nlp, n_sentences, marked=False):
    sentences = long_text(n_sentences)
    words = [word for sentence in sentences for word in sentence]
    starts = [i % 10 == 0 for i in range(len(words))] if marked else None
    spans = [(10 * i + j, 10 * i + j + 2) for i in range(n_sentences) for j in (0, 3)]
    relations = [(2 * i, 2 * i + 1, "knows", 1.0) for i in range(n_sentences)]
    reference = annotate(Doc(nlp.vocab, words=words, sent_starts=starts), spans, relations)
    return Example(Doc(nlp.vocab, words=words, sent_starts=starts), reference)


class TestLongDocuments:
    """The encoder takes 128 wordpieces, the document has more than 512."""

    @pytest.mark.parametrize(
        "spans", [strided(31, 17), strided(29, 29), SENT_SPANS], ids=["overlapping", "side by side", "sentences"]
    )
    def test_spans_and_pairs_across_windows(self, encoder, spans):
        """Windows begin and end anywhere, within entities and between the two of a relation."""
        nlp = make_nlp(encoder, spans=spans, max_span_width=3, model={"dropout": 0.0, "width_embedding": 8})
        examples = [long_example(nlp, 30, marked=True)]
        fix_random_seed(0)
        nlp.initialize(lambda: examples)
        assert fit(nlp, examples, 30)[-1] < 0.3
        doc = nlp(examples[0].predicted.copy())
        n_pieces = sum(int(n) for n in doc._.trf_data.wordpieces.lengths)
        assert n_pieces > 512 and len(doc._.trf_data.wordpieces) > 10
        gold = entities_of(examples[0].reference)
        assert len(set(entities_of(doc)) & set(gold)) > 0.9 * len(gold)
        assert len(set(relations_of(doc)) & set(relations_of(examples[0].reference))) > 0.9 * 30

    def test_entity_across_two_windows_has_the_vectors_of_both(self, encoder):
        """Whatever window its tokens are in, the span's vector is the maximum over all of their pieces."""
        nlp = initialize(make_nlp(encoder, spans=strided(3, 3), max_span_width=2))
        doc = nlp("Ann met Bob Ross there")
        data = doc._.trf_data
        assert len(data.wordpieces) == 2
        assert [data.wordpieces.strings[i][1] for i in (0, 1)] == ["Ann", "R"]

    def test_sentence_longer_than_the_window(self, encoder, caplog):
        """What is cut off is no candidate, and reported once; a span that begins before the cut is one."""
        nlp = make_nlp(encoder, spans=SENT_SPANS, max_length=16, max_span_width=3)
        words = ["Ann", "met", "Bob", ".", *(["Eve"] * 10), "hello", "Bob", "Ann", "\n", "Zeta", "."]
        starts = [i in (0, 4) for i in range(len(words))]
        predicted = Doc(nlp.vocab, words=words, sent_starts=starts)
        spans = [(0, 1), (4, 5), (13, 15), (15, 17), (18, 19)]
        reference = annotate(Doc(nlp.vocab, words=words), spans, [(0, 1, "r", 1.0), (1, 3, "r", 1.0), (1, 2, "r", 1.0)])
        with caplog.at_level(logging.INFO, logger="spacy.spert"):
            nlp.initialize(lambda: [Example(predicted, reference)])
        (table,) = messages(caplog)
        rows = {line.split()[1]: line.split()[2:] for line in table.splitlines() if "PER" in line or "  r  " in line}
        assert rows == {"PER": ["3", "0", "2", "0"], "r": ["1", "1", "0", "1"]}
        call_everything_an_entity(nlp)
        for _ in range(2):
            doc = nlp(predicted.copy())
            check(doc)
        (message,) = messages(caplog, "can't find entities")
        assert message.startswith(
            "[W003] Component 'spert' can't find entities in 4 of the 20 tokens of document 'Ann met Bob . Eve Eve "
        )
        assert max(span.start for span in doc.spans["spert"]) == 14
        assert max(span.end for span in doc.spans["spert"]) == 15
        assert fit(nlp, [Example(predicted, reference)], 1)[0] > 0.0

    @pytest.mark.parametrize("own", [False, True], ids=["listener", "own transformer"])
    def test_what_is_cut_is_counted_and_reported(self, encoder, caplog, own):
        nlp = make_nlp(encoder, spans=DOC_SPANS, max_length=16)
        if own:
            block = nlp.config["components"]["transformer"]["model"]
            nlp = spacy.blank("xx")
            nlp.add_pipe("spert", config={"model": {"tok2vec": block}})
        doc = Doc(nlp.vocab, words=["Ann", *["hello"] * 4, "Bob"])
        with caplog.at_level(logging.INFO, logger="spacy.spert"):
            nlp.initialize(lambda: [Example(doc, annotate(doc.copy(), [(0, 1), (5, 6)]))])
        assert [line.split() for line in messages(caplog)[0].splitlines() if "PER" in line] == [
            ["entity", "PER", "1", "1"]
        ]
        nlp(doc)
        assert len(messages(caplog, "can't find entities in 2 of the 6 tokens")) == 1

    def test_the_document_that_lost_most_is_reported(self, encoder, caplog):
        nlp = initialize(make_nlp(encoder, spans=DOC_SPANS, max_length=16))
        list(nlp.pipe(["Ann met Bob", "hello " * 3 + "Bob", "hello " * 9, "Eve"]))
        (message,) = messages(caplog, "can't find entities")
        assert message.startswith(
            "[W003] Component 'spert' can't find entities in 6 of the 9 tokens of document 'hello hello"
        )
        assert "get_spans" in message

    def test_nothing_is_reported_if_nothing_is_cut(self, encoder, caplog):
        nlp = initialize(make_nlp(encoder, spans=strided(8, 4), max_length=128))
        list(nlp.pipe(["hello " * 300, "\n\n \t", "", "Ann \u200b\n met \u0007 \U0001f600"]))
        assert messages(caplog, "can't find entities") == []

    def test_predict_changes_nothing(self, encoder):
        nlp = initialize(make_nlp(encoder, spans=DOC_SPANS, max_length=16))
        doc = nlp.get_pipe("transformer")(nlp.make_doc("hello " * 9))
        before = doc.to_bytes(exclude=["user_data"])
        scores = nlp.get_pipe("spert").predict([nlp.make_doc(""), doc])
        assert scores.cut.tolist() == [3, 4, 5, 6, 7, 8]
        assert doc.to_bytes(exclude=["user_data"]) == before and "spert" not in doc.spans

    def test_given_entities_that_are_cut_off_are_not_related(self, encoder):
        nlp = make_nlp(encoder, spans=DOC_SPANS, max_length=16, task="relations", relation_threshold=0.0)
        initialize(nlp)
        nlp.get_pipe("spert").cfg["relations_per_token"] = 0.0
        doc = Doc(nlp.vocab, words=["Ann", "met", "Bob", "hello", "hello", "hello", "Eve"])
        doc.set_ents([Span(doc, i, i + 1, label="PER") for i in (0, 2, 6)])
        nlp(doc)
        assert [(span.start, span.end) for span in doc.spans["spert"]] == [(0, 1), (2, 3), (6, 7)]
        assert {(r.head.start, r.tail.start) for r in doc._.relations} == {(0, 2), (2, 0)}

    def test_windows_that_leave_out_the_last_token(self, encoder):
        nlp = initialize(make_nlp(encoder, spans=strided(4, 6)))
        with pytest.raises(ValueError, match="windows reach over 4 of the 6 tokens of document 'a b c d e f'"):
            nlp("a b c d e f")


def test_odd_tokens_beside_other_listeners(encoder):
    """Their alignment is left as it is."""
    nlp = spacy.blank("xx")
    transformer = add_transformer(nlp, encoder)
    nlp.add_pipe("spert", config={"max_span_width": 3})
    initialize(nlp)
    doc = transformer(nlp.make_doc("Ann \n met"))
    before = doc._.trf_data.align.dataXd.copy()
    nlp.get_pipe("spert")(doc)
    numpy.testing.assert_array_equal(doc._.trf_data.align.dataXd, before)
