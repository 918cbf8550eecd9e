"""False relations per 100 sentences, and the sentences without relation that they are counted on."""

import json
from pathlib import Path

import pytest
import spacy
from spacy.training import Example
from spacy.vocab import Vocab
from util import make_doc

from spacy_spert.evaluation.negatives import FalseRelations, count_false_relations, related_types, without_relation

ASSETS = Path(__file__).parents[2] / "assets"
TEXT = "Ann Lee works for Acme Labs in Bonn ."
ENTITIES = [(0, 2, "PER"), (4, 6, "ORG"), (7, 8, "LOC")]
TYPES = {
    "works_for": {("PERSON", "ORG")},
    "lives_in": {("PERSON", "PLACE")},
    "based_in": {("ORG", "PLACE")},
    "located_in": {("PLACE", "PLACE")},
    "partner_of": {("ORG", "ORG"), ("PERSON", "PERSON")},
    "treats": {("SUBSTANCE", "CONDITION")},
    "causes": {("SUBSTANCE", "CONDITION"), ("CONDITION", "CONDITION")},
}


def example(gold, predicted=None, sentences=()):
    vocab = Vocab()
    gold, predicted = make_doc(vocab, *gold), make_doc(vocab, *(predicted or gold))
    for start in sentences:
        gold[start].is_sent_start = True
    return Example(predicted, gold)


def test_types_of_head_and_tail_in_the_gold_data():
    examples = [
        example((TEXT, ENTITIES, [(0, 1, "works_for"), (1, 2, "based_in")])),
        example((TEXT, ENTITIES, [(0, 1, "left")])),
    ]
    assert related_types(examples) == {("PER", "ORG"), ("ORG", "LOC")}
    assert related_types([]) == set()


@pytest.mark.parametrize(
    "gold, sentences, fits",
    [
        ((TEXT, ENTITIES), (), True),
        ((TEXT, ENTITIES, [(1, 2, "based_in")]), (), False),
        # Only head and tail in this order fit, whichever comes first in the text.
        ((TEXT, [(0, 2, "ORG"), (4, 6, "PER")]), (), True),
        ((TEXT, [(0, 2, "PER"), (4, 6, "PER")]), (), False),
        ((TEXT, ENTITIES), (4, 6), False),
        ((TEXT, ENTITIES), (6,), True),
        ((TEXT, []), (), False),
    ],
)
def test_documents_with_entities_of_fitting_types_and_no_relation(gold, sentences, fits):
    chosen = example(gold, sentences=sentences)
    assert without_relation([chosen], {("PER", "ORG")}) == ([chosen] if fits else [])


@pytest.mark.parametrize("reach, fits", [(0, False), (1, False), (2, True)])
def test_entities_of_fitting_types_within_reach(reach, fits):
    chosen = example((TEXT, [(0, 2, "PER"), (7, 8, "LOC")]), sentences=(4, 6))
    assert without_relation([chosen], {("PER", "LOC")}, reach=reach) == ([chosen] if fits else [])


def test_an_entity_is_no_pair_with_itself():
    one = example((TEXT, [(0, 2, "PER")]))
    assert without_relation([one], {("PER", "PER")}) == []


def test_false_relations_are_those_that_the_gold_data_does_not_have():
    gold = (TEXT, ENTITIES, [(1, 2, "based_in")])
    predicted = (TEXT, ENTITIES, [(1, 2, "based_in"), (0, 1, "works_for"), (2, 1, "based_in")])
    examples = [example(gold, predicted, sentences=(6,)), example((TEXT, ENTITIES), gold), example(gold)]
    counts = count_false_relations(examples)
    assert counts == FalseRelations(sentences=4, found=3)
    assert counts.rate == 75.0
    assert counts.to_json() == {"sentences": 4, "false_relations": 3, "per_100_sentences": 75.0}
    assert count_false_relations(examples, symmetric_labels=["based_in"]).found == 2


def test_an_entity_of_another_label_makes_no_false_relation():
    gold = (TEXT, ENTITIES, [(1, 2, "based_in")])
    predicted = (TEXT, [(4, 6, "LOC"), (7, 8, "LOC")], [(0, 1, "based_in")])
    assert count_false_relations([example(gold, predicted)]).found == 0


def test_documents_without_annotation_are_no_sentences():
    nlp = spacy.blank("xx")
    counts = count_false_relations([Example(nlp(TEXT), nlp(TEXT))])
    assert counts == FalseRelations(0, 0) and counts.rate is None


def test_hard_negatives_have_entities_of_fitting_types_without_relation():
    nlp = spacy.blank("en")
    lines = (ASSETS / "hard_negatives.jsonl").read_text(encoding="utf8").splitlines()
    records = [json.loads(line) for line in lines]
    assert len(records) == len({record["text"] for record in records}) == 150
    fitting = set().union(*TYPES.values())
    others = "".join((ASSETS / f"{part}.jsonl").read_text(encoding="utf8") for part in ("train", "dev", "test"))
    for record in records:
        text, entities = record["text"], record["entities"]
        labels = [entity["label"] for entity in entities]
        doc = nlp.make_doc(text)
        for entity in entities:
            assert doc.char_span(entity["start"], entity["end"]) is not None, text
            if entity["label"] in ("PERSON", "ORG"):
                assert text[entity["start"] : entity["end"]] not in others
        related = {(relation["head"], relation["tail"]) for relation in record["relations"]}
        for relation in record["relations"]:
            assert (labels[relation["head"]], labels[relation["tail"]]) in TYPES[relation["label"]], text
        pairs = {(i, j) for i, one in enumerate(labels) for j, other in enumerate(labels) if (one, other) in fitting}
        assert {(i, j) for i, j in pairs if i != j and not {(i, j), (j, i)} & related}, text
