"""The published corpora: every gold entity and relation is kept or counted.

Here the files are read a second time, as simply as possible, and compared with what the readers give.
"""

import json
from collections import Counter
from pathlib import Path

import pytest
import spacy

from spacy_spert.formats import Losses
from spacy_spert.formats.ade import read_ade
from spacy_spert.formats.errors import Reasons
from spacy_spert.formats.scierc import read_scierc
from spacy_spert.formats.spert_json import read_spert_json

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"
NLP = spacy.blank("en")

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the corpora are not here")


def spans(doc):
    return [(span.start, span.end, span.label_) for span in doc.spans["spert"]]


def triples(doc):
    return [((r.head.start, r.head.end), (r.tail.start, r.tail.end), r.label) for r in doc._.relations]


@pytest.mark.parametrize("part,entities,relations", [("train", 3377, 1283), ("dev", 893, 343)])
def test_conll04_loses_nothing(part, entities, relations):
    path = DATA / "conll04" / f"{part}.json"
    docs = list(read_spert_json(path, NLP, types=DATA / "conll04" / "types.json"))
    records = json.loads(path.read_text())
    assert sum(len(spans(doc)) for doc in docs) == entities
    assert sum(len(triples(doc)) for doc in docs) == relations
    for doc, record in zip(docs, records, strict=True):
        assert [token.text for token in doc] == record["tokens"]
        assert spans(doc) == [(e["start"], e["end"], e["type"]) for e in record["entities"]]
        ends = [(e["start"], e["end"]) for e in record["entities"]]
        assert triples(doc) == [(ends[r["head"]], ends[r["tail"]], r["type"]) for r in record["relations"]]
        assert sorted(spans(doc)) == [(ent.start, ent.end, ent.label_) for ent in doc.ents]


@pytest.mark.parametrize("part,entities,relations,twice", [("train", 5598, 3219, 4), ("dev", 811, 455, 0)])
def test_scierc_loses_nothing(part, entities, relations, twice):
    path = DATA / "scierc" / f"{part}.json"
    losses = Losses(strict=True)
    docs = list(read_scierc(path, NLP, losses))
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert sum(len(spans(doc)) for doc in docs) == entities
    assert sum(len(triples(doc)) for doc in docs) == relations - twice
    expected = {"record: field 'clusters' not kept": len(records), "relation: given twice, merged": twice}
    assert losses.counts == {reason: n for reason, n in expected.items() if n}
    labels: Counter[str] = Counter()
    for doc, record in zip(docs, records, strict=True):
        assert [[token.text for token in sent] for sent in doc.sents] == record["sentences"]
        assert spans(doc) == [(start, end + 1, label) for entry in record["ner"] for start, end, label in entry]
        gold = [((a, b + 1), (c, d + 1), label) for entry in record["relations"] for a, b, c, d, label in entry]
        assert triples(doc) == list(dict.fromkeys(gold))
        labels.update(label for *_, label in triples(doc))
    assert labels["CONJUNCTION"] > 50
    assert labels["COMPARE"] > 20


def test_scierc_nested_entities_are_kept():
    docs = list(read_scierc(DATA / "scierc" / "train.json", NLP))
    nested = [doc for doc in docs if len(doc.ents) < len(doc.spans["spert"])]
    assert len(nested) > 20


def test_scierc_per_sentence_loses_nothing():
    path = DATA / "scierc" / "dev.json"
    docs = list(read_scierc(path, NLP, Losses(strict=True), per_sentence=True))
    assert (len(docs), sum(len(spans(doc)) for doc in docs), sum(len(triples(doc)) for doc in docs)) == (275, 811, 455)
    (whole, *_) = read_scierc(path, NLP)
    assert [token.text for doc in docs[:5] for token in doc] == [token.text for token in whole]


def test_ade_loses_less_than_one_percent_and_says_why():
    path = DATA / "ade" / "DRUG-AE.rel"
    losses = Losses()
    docs = list(read_ade(path, NLP, losses))
    lines = [line.split("|") for line in path.read_text(encoding="utf-8").splitlines()]
    sentences = {(line[0], line[1]) for line in lines}
    assert {(doc.user_data["meta"]["pmid"], doc.text) for doc in docs} == sentences
    assert len(docs) == len(sentences)
    assert set(losses.counts) <= {Reasons.MISALIGNED, Reasons.ENTITY_LOST, Reasons.TRIMMED}

    # Each line is a relation, each kept or counted.
    kept = sum(len(triples(doc)) for doc in docs)
    assert kept + losses.counts[Reasons.ENTITY_LOST] == len(lines) == 4578
    assert losses.counts[Reasons.ENTITY_LOST] == 29

    # Offsets in the abstract tell mentions apart.
    effects = {(line[0], line[1], "Adverse-Effect", int(line[3]), int(line[4])) for line in lines}
    drugs = {(line[0], line[1], "Drug", int(line[6]), int(line[7])) for line in lines}
    entities = sum(len(spans(doc)) for doc in docs)
    assert entities + losses.counts[Reasons.MISALIGNED] == len(effects | drugs)
    assert losses.counts[Reasons.MISALIGNED] == 16 < 0.01 * entities

    # What is kept is where the file says: as far from the sentence's other mentions as in the abstract.
    by_sentence = {(doc.user_data["meta"]["pmid"], doc.text): doc for doc in docs}
    found = 0
    for pmid, sentence, effect, start, _, drug, drug_start, _ in lines:
        apart = int(drug_start) - int(start)
        found += any(
            relation.head.text == effect
            and relation.tail.text == drug
            and relation.tail.start_char - relation.head.start_char == apart
            for relation in by_sentence[(pmid, sentence)]._.relations
        )
    trimmed = sum(line[2] != line[2].strip() or line[5] != line[5].strip() for line in lines)
    assert found == kept - trimmed
