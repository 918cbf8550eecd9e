import json

import numpy
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, DocBin, Span
from spacy.util import filter_spans
from util import uncoded

from spacy_spert.formats import Losses, StrictError
from spacy_spert.formats.errors import Reasons
from spacy_spert.formats.jsonl import read_jsonl, write_jsonl
from spacy_spert.formats.spert_json import read_spert_json, read_types, write_spert_json
from spacy_spert.relations import set_entities

NLP = spacy.blank("en")
GOOD = {
    "text": "Ann lives in Bonn.",
    "entities": [{"start": 13, "end": 17, "label": "LOC"}, {"start": 0, "end": 3, "label": "PER"}],
    "relations": [{"head": 1, "tail": 0, "label": "LIVES_IN"}],
}
TOKENS = {
    "tokens": ["Ann", "lives", "in", "Bonn", "."],
    "entities": [{"start": 3, "end": 4, "label": "LOC"}, {"start": 0, "end": 1, "label": "PER"}],
    "relations": [{"head": 1, "tail": 0, "label": "LIVES_IN"}],
}


def lines(path, *records):
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records), encoding="utf-8")
    return path


def spans(doc):
    return [(span.start, span.end, span.label_) for span in doc.spans["spert"]]


def rows(doc):
    return [tuple(row) for row in doc.spans["spert"].attrs["relations"]]


def snapshot(doc):
    """Everything a conversion must keep."""
    scores = doc.spans["spert"].attrs.get("scores")
    return {
        "words": [token.text for token in doc],
        "spaces": None if doc.has_unknown_spaces else [token.whitespace_ for token in doc],
        "sents": [token.is_sent_start for token in doc] if doc.has_annotation("SENT_START") else None,
        "spans": spans(doc),
        "scores": None if scores is None else scores.tolist(),
        "rows": rows(doc),
        "ents": [(ent.start, ent.end, ent.label_) for ent in doc.ents],
        "meta": doc.user_data.get("meta"),
    }


def test_text(tmp_path):
    (doc,) = read_jsonl(lines(tmp_path / "a.jsonl", {**GOOD, "meta": {"id": 7}}))
    assert spans(doc) == [(3, 4, "LOC"), (0, 1, "PER")]
    assert [(r.head.text, r.tail.text, r.label, r.score) for r in doc._.relations] == [("Ann", "Bonn", "LIVES_IN", 1.0)]
    assert [ent.text for ent in doc.ents] == ["Ann", "Bonn"]
    assert [token.ent_iob_ for token in doc] == ["B", "O", "O", "B", "O"]
    assert doc.user_data["meta"] == {"id": 7}
    assert not doc.has_unknown_spaces


def test_tokens(tmp_path):
    (doc,) = read_jsonl(lines(tmp_path / "a.jsonl", TOKENS))
    assert spans(doc) == [(3, 4, "LOC"), (0, 1, "PER")]
    assert rows(doc) == [(1, 0, "LIVES_IN", 1.0)]
    assert doc.has_unknown_spaces
    assert "meta" not in doc.user_data


def test_without_entities_every_token_is_annotated(tmp_path):
    (doc,) = read_jsonl(lines(tmp_path / "a.jsonl", {"tokens": ["a", "b"], "entities": []}))
    assert [token.ent_iob_ for token in doc] == ["O", "O"]
    assert spans(doc) == []


@pytest.mark.parametrize("record", [{"text": ""}, {"tokens": []}, {"text": "", "token_offsets": []}])
def test_document_without_tokens(tmp_path, record):
    (doc,) = read_jsonl(lines(tmp_path / "a.jsonl", {**record, "entities": [], "relations": []}))
    (stored,) = DocBin(docs=[doc], store_user_data=True).get_docs(NLP.vocab)
    assert (len(stored), spans(stored), rows(stored)) == (0, [], [])


def test_nested_entities_are_all_kept_and_the_longest_are_ents(tmp_path):
    entities = [{"start": 0, "end": 1, "label": "A"}, {"start": 0, "end": 2, "label": "B"}]
    (doc,) = read_jsonl(lines(tmp_path / "a.jsonl", {"tokens": ["x", "y"], "entities": entities}))
    assert spans(doc) == [(0, 1, "A"), (0, 2, "B")]
    assert [(ent.start, ent.end, ent.label_) for ent in doc.ents] == [(0, 2, "B")]


def test_language_of_the_tokenizer(tmp_path):
    record = {"text": "don't go", "entities": [{"start": 2, "end": 5, "label": "NEG"}], "relations": []}
    path = lines(tmp_path / "a.jsonl", record)
    (doc,) = read_jsonl(path, spacy.blank("en"))
    assert spans(doc) == [(1, 2, "NEG")]
    losses = Losses()
    list(read_jsonl(path, spacy.blank("de"), losses))
    assert losses.counts == {Reasons.MISALIGNED: 1}


def entity(start, end, label="X"):
    return {"start": start, "end": end, "label": label}


def relation(head, tail, label="R"):
    return {"head": head, "tail": tail, "label": label}


def token_record(entities, relations=(), **more):
    return {"tokens": ["a", "b", "c"], "entities": list(entities), "relations": list(relations), **more}


PAIR = (entity(0, 1), entity(1, 2))


def strict_message(path):
    """What is said where nothing may be lost."""
    messages = []
    for losses in (None, Losses(strict=True)):
        with pytest.raises(StrictError) as err:
            list(read_jsonl(path, NLP, losses))
        messages.append(str(err.value))
    assert messages[0] == messages[1]
    return messages[0]


@pytest.mark.parametrize(
    "record,reason,expected",
    [
        (token_record(PAIR, [relation(0, 2)]), Reasons.NO_ENTITY, "Relation 0 -> 2 ('R'): its tail is not an entity"),
        (token_record(PAIR, [relation(-1, 1)]), Reasons.NO_ENTITY, "Relation -1 -> 1 ('R'): its head is not an entity"),
        (token_record(PAIR, [relation(1, 1)]), Reasons.SELF, "Relation 1 -> 1 ('R') relates an entity to itself"),
        (token_record([{"start": 0, "end": 1}]), "entity: can't be read", "'label' is missing from 'entities'[0]"),
        (token_record([entity(0, 1, "")]), "entity: no label", "Entity 0 (0-1, '') has no label"),
        (
            token_record([entity(0, 1, None)]),
            "entity: can't be read",
            "Expected 'label' of 'entities'[0] to be a string, got: None",
        ),
        (token_record([entity(0, 1, "\ud800")]), "entity: can't be read", "surrogates not allowed"),
        (token_record(PAIR, [relation(0, 1, "\ud800")]), "relation: can't be read", "surrogates not allowed"),
        (
            token_record(PAIR, [{"head": 0, "tail": 1}]),
            "relation: can't be read",
            "'label' is missing from 'relations'[0]",
        ),
        (token_record(PAIR, [relation(0, 1, " ")]), "relation: no label", "Relation 0 -> 1 (' ') has no label"),
        (token_record([entity(2, 4)]), Reasons.OUTSIDE, "Entity 0 (2-4, 'X') lies outside the 3 tokens"),
        (token_record([entity(-1, 1)]), Reasons.OUTSIDE, "Entity 0 (-1-1, 'X') lies outside the 3 tokens"),
        (token_record([entity(1, 1)]), Reasons.OUTSIDE, "Entity 0 (1-1, 'X') lies outside the 3 tokens"),
        (
            {"text": "a b", "entities": [entity(2, 4)], "relations": []},
            Reasons.OUTSIDE,
            "Entity 0 (2-4, 'X') lies outside the 3 characters",
        ),
        (
            {"text": "a b", "entities": [entity(2, 2)], "relations": []},
            Reasons.OUTSIDE,
            "Entity 0 (2-2, 'X') lies outside the 3 characters",
        ),
        (
            token_record([entity(0, 1), entity(0, 1, "Y")]),
            Reasons.CONFLICT,
            "Entity 1 (0-1, 'Y') covers the same tokens as entity 0",
        ),
        (
            token_record([entity(0.0, 1)]),
            "entity: can't be read",
            "Expected 'start' of 'entities'[0] to be a whole number, got: 0.0",
        ),
        (
            token_record([entity(0, True)]),
            "entity: can't be read",
            "Expected 'end' of 'entities'[0] to be a whole number, got: True",
        ),
        (
            token_record([[0, 1, "X"]]),
            "entity: can't be read",
            "Expected 'entities'[0] to be an object, got: [0, 1, 'X']",
        ),
        (
            token_record(PAIR, [relation("0", 1)]),
            "relation: can't be read",
            "Expected 'head' of 'relations'[0] to be a whole number, got: '0'",
        ),
    ],
)
def test_odd_entry_loses_itself_or_is_an_error(tmp_path, record, reason, expected):
    """What is good in the same record is kept."""
    good = [entity(1, 2, "Z"), entity(2, 3, "Z")] if "tokens" in record else [entity(0, 1, "Z"), entity(2, 3, "Z")]
    n = 0 if record["relations"] else len(record["entities"])
    more = {
        **record,
        "entities": record["entities"] + (good if n else []),
        "relations": [*record["relations"], relation(n, n + 1, "GOOD")],
    }
    path = lines(tmp_path / "a.jsonl", TOKENS, more)
    losses = Losses()
    _, doc = read_jsonl(path, NLP, losses)
    assert [label for *_, label, _ in rows(doc)] == ["GOOD"]
    assert losses.counts == {reason: 1}
    message = uncoded(losses.places[reason][0])
    assert message.startswith(f"{path}:2: ")
    assert expected in message
    assert uncoded(strict_message(path)) == message


def test_relations_of_an_odd_entity_are_lost_with_it(tmp_path):
    record = token_record([entity(0, 1), {"start": 1}, entity(2, 3)], [relation(0, 1), relation(2, 0)])
    losses = Losses()
    (doc,) = read_jsonl(lines(tmp_path / "a.jsonl", record), NLP, losses)
    assert rows(doc) == [(1, 0, "R", 1.0)]
    assert losses.counts == {"entity: can't be read": 1, Reasons.ENTITY_LOST: 1}


@pytest.mark.parametrize(
    "record,expected",
    [
        ({**token_record(PAIR), "relations": 3}, "Expected 'relations' of the record to be a list, got: 3"),
        ({"tokens": ["a"], "entities": {}}, "Expected 'entities' of the record to be a list, got: {}"),
        ({"tokens": ["a"]}, "'entities' is missing from the record"),
        ({"tokens": ["a", ""], "entities": []}, "Token 1 is '', but a token is a string"),
        ({"tokens": ["a", 3], "entities": []}, "Token 1 is 3, but a token is a string"),
        ({"tokens": "a b", "entities": []}, "Expected 'tokens' to be a list, got: 'a b'"),
        ({"text": ["a"], "entities": []}, "Expected 'text' to be a string, got: ['a']"),
        ({"text": "a", "tokens": ["a"], "entities": []}, "Exactly one of 'text' and 'tokens' is needed, got both"),
        ({"entities": []}, "Exactly one of 'text' and 'tokens' is needed, got neither"),
        ({"text": "ab c", "token_offsets": [[0, 1]], "entities": []}, "Token 1 (1-4) doesn't follow"),
        ({"text": "ab c", "token_offsets": [[0, 2], [1, 4]], "entities": []}, "Token 1 (1-4) doesn't follow"),
        ({"text": "ab c", "token_offsets": [[0]], "entities": []}, "Expected the offsets of token 0 to be 2 whole"),
        ('{"tokens": ["a"], "entities": [], "meta": {"x": NaN}}', "NaN is no JSON number"),
        ('{"text": "Ann lives in Bonn.", "enti', "Not valid JSON: Unterminated string starting at (column 32)"),
        ("[1, 2]", "Expected the record to be an object, got: [1, 2]"),
        ('{"tokens": ["\\ud800"], "entities": []}', "surrogates not allowed"),
        ("[" * 100_000, "Not valid JSON"),
    ],
)
def test_broken_record_is_named_and_skipped_or_an_error(tmp_path, record, expected):
    path = lines(tmp_path / "a.jsonl", TOKENS, record, TOKENS)
    losses = Losses()
    docs = list(read_jsonl(path, NLP, losses))
    assert [rows(doc) for doc in docs] == [[(1, 0, "LIVES_IN", 1.0)]] * 2
    assert list(uncoded(losses.places)) == [Reasons.BROKEN]
    (message,) = uncoded(losses.places[Reasons.BROKEN])
    assert message.startswith(f"{path}:2: ")
    assert expected in message
    assert uncoded(strict_message(path)) == message


@pytest.mark.parametrize(
    "part,kind,expected",
    [
        ({"meta": 3}, "meta data", "Expected 'meta' of the record to be an object, got: 3"),
        ({"meta": {"n": 2**70}}, "meta data", "'meta' can't be stored"),
        ({"sent_starts": 3}, "sentence marks", "Expected 'sent_starts' of the record to be a list, got: 3"),
        ({"sent_starts": [9]}, "sentence start", "Sentence start 9 is not the start of a token"),
        ({"sent_starts": [0, None]}, "sentence start", "Expected a value of 'sent_starts' to be a whole number"),
    ],
)
def test_odd_parts_lose_themselves(tmp_path, part, kind, expected):
    path, losses = lines(tmp_path / "a.jsonl", token_record(PAIR, [relation(0, 1)], **part)), Losses()
    (doc,) = read_jsonl(path, NLP, losses)
    assert len(rows(doc)) == 1 and "meta" not in doc.user_data
    # Where no mark is left nothing is known of sentences.
    assert doc.has_annotation("SENT_START") == (part == {"sent_starts": [0, None]})
    assert losses.counts == {f"{kind}: can't be read": 1}
    assert expected in losses.places[f"{kind}: can't be read"][0]
    assert uncoded(strict_message(path)).startswith(f"{path}:1: ")


def test_odd_sentence_starts_leave_the_others(tmp_path):
    record = token_record(PAIR, sent_starts=[0, 9, 2, "x"])
    losses = Losses()
    (doc,) = read_jsonl(lines(tmp_path / "a.jsonl", record), NLP, losses)
    assert [token.i for token in doc if token.is_sent_start] == [0, 2]
    assert losses.counts["sentence start: can't be read"] == 2


def test_what_a_broken_record_held_is_counted(tmp_path):
    record = token_record([*PAIR, 3], [relation(0, 1), {}], tokens=3)
    losses = Losses()
    assert list(read_jsonl(lines(tmp_path / "a.jsonl", record), NLP, losses)) == []
    assert losses.counts == {
        Reasons.BROKEN: 1,
        "entity: in a broken record": 3,
        "relation: in a broken record": 2,
    }


def test_relations_that_are_not_given_are_not_known(tmp_path):
    """An empty list says that there are none."""
    not_given, null, none = ({**TOKENS}, {**TOKENS, "relations": None}, {**TOKENS, "relations": []})
    del not_given["relations"]
    path, losses = lines(tmp_path / "a.jsonl", not_given, null, none), Losses()
    docs = list(read_jsonl(path, NLP, losses))
    assert [doc.spans["spert"].attrs.get("relations") for doc in docs] == [None, None, []]
    assert losses.counts == {"record: no 'relations', taken as not annotated": 2}
    write_jsonl(docs, tmp_path / "b.jsonl")
    written = [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()]
    assert written == [not_given, not_given, none]


@pytest.mark.parametrize(
    "unit,tokens",
    [
        ("characters", [[0, 2], [3, 4], [5, 7], [7, 8]]),
        ("utf16", [[0, 4], [5, 6], [7, 9], [9, 10]]),
        ("bytes", [[0, 8], [9, 10], [11, 14], [14, 15]]),
    ],
)
def test_units_of_offsets(tmp_path, unit, tokens):
    record = {
        "text": "🚢🚢 x Äx!",
        "token_offsets": tokens,
        "sent_starts": [0, tokens[2][0]],
        "entities": [entity(*tokens[1]), entity(*tokens[2], "Y"), entity(1, 2)],
        "relations": [],
    }
    losses = Losses()
    (doc,) = read_jsonl(lines(tmp_path / "a.jsonl", record), NLP, losses, offsets=unit)
    assert [token.text for token in doc] == ["🚢🚢", "x", "Äx", "!"]
    assert spans(doc) == [(1, 2, "X"), (2, 3, "Y")]
    assert [token.i for token in doc if token.is_sent_start] == [0, 2]
    assert losses.counts == {Reasons.MISALIGNED: 1}
    within = "begins or ends within a character. Offsets were taken as"
    assert (within in uncoded(losses.places[Reasons.MISALIGNED][0])) == (unit != "characters")


def test_unknown_unit(tmp_path):
    with pytest.raises(ValueError, match="Unknown unit of offsets 'utf32'. Choose one of: characters, utf16, bytes"):
        list(read_jsonl(lines(tmp_path / "a.jsonl", GOOD), NLP, Losses(), offsets="utf32"))


def test_misaligned_entity_is_lost_with_its_relations(tmp_path):
    record = {**GOOD, "entities": [entity(13, 17, "LOC"), entity(1, 3, "PER"), entity(4, 9, "VERB")]}
    record["relations"] = [relation(1, 0), relation(2, 0), relation(0, 1)]
    path = lines(tmp_path / "a.jsonl", record)
    losses = Losses()
    (doc,) = read_jsonl(path, NLP, losses)
    assert spans(doc) == [(3, 4, "LOC"), (1, 2, "VERB")]
    assert rows(doc) == [(1, 0, "R", 1.0)]
    assert losses.counts == {Reasons.MISALIGNED: 1, Reasons.ENTITY_LOST: 2}
    (message,) = uncoded(losses.places[Reasons.MISALIGNED])
    assert uncoded(message).startswith(f"{path}:1: Entity 1 (1-3, 'PER') is not on token boundaries ('nn')")
    assert "Relation 1 -> 0 ('R'): its head could not be kept." in uncoded(losses.places[Reasons.ENTITY_LOST][0])
    with pytest.raises(StrictError) as err:
        list(read_jsonl(path))
    assert uncoded(str(err.value)) == message


def test_blanks_around_an_entity_are_cut_off(tmp_path):
    losses = Losses(strict=True)
    record = {"text": "Ann lives", "entities": [entity(0, 4)], "relations": []}
    (doc,) = read_jsonl(lines(tmp_path / "a.jsonl", record), NLP, losses)
    assert spans(doc) == [(0, 1, "X")]
    assert losses.counts == {Reasons.TRIMMED: 1}


def test_entities_and_relations_given_twice_are_merged(tmp_path):
    record = token_record(
        [entity(0, 1), entity(1, 2), entity(0, 1)], [relation(0, 1), relation(2, 1), relation(2, 1, "S")]
    )
    losses = Losses(strict=True)
    (doc,) = read_jsonl(lines(tmp_path / "a.jsonl", record), NLP, losses)
    assert spans(doc) == [(0, 1, "X"), (1, 2, "X")]
    assert rows(doc) == [(0, 1, "R", 1.0), (0, 1, "S", 1.0)]
    assert losses.counts == {"entity: given twice, merged": 1, "relation: given twice, merged": 1}


def test_unknown_fields_are_counted(tmp_path):
    record = token_record([{**entity(0, 1), "id": 4}], entites=[])
    losses = Losses(strict=True)
    list(read_jsonl(lines(tmp_path / "a.jsonl", record), NLP, losses))
    assert losses.counts == {"record: field 'entites' not kept": 1, "entity: field 'id' not kept": 1}


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_empty_file(tmp_path, content):
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    losses = Losses()
    assert list(read_jsonl(path, NLP, losses)) == []
    assert losses.counts == {Reasons.BROKEN: 1}
    assert uncoded(losses.places[Reasons.BROKEN][0]).startswith(f"{path}: No records.")
    with pytest.raises(StrictError, match="No records"):
        list(read_jsonl(path))


def test_byte_order_mark_and_bad_encoding(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(TOKENS).encode() + b"\r\n\xff\xfe\n")
    losses = Losses()
    assert len(list(read_jsonl(path, NLP, losses))) == 1
    assert uncoded(losses.places[Reasons.BROKEN][0]).startswith(f"{path}:2: Not valid JSON: 'utf-8' codec can't decode")


SPERT = {
    "tokens": TOKENS["tokens"],
    "entities": [{"type": "LOC", "start": 3, "end": 4}, {"type": "PER", "start": 0, "end": 1}],
    "relations": [{"type": "LIVES_IN", "head": 1, "tail": 0}],
    "orig_id": 12,
}
TYPES = {
    "entities": {"LOC": {"short": "Loc"}, "PER": {}},
    "relations": {"LIVES_IN": {"symmetric": False}, "NEAR": {"symmetric": True}},
}


def as_json(path, value):
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def test_spert_json(tmp_path):
    (doc,) = read_spert_json(as_json(tmp_path / "a.json", [SPERT]))
    assert spans(doc) == [(3, 4, "LOC"), (0, 1, "PER")]
    assert rows(doc) == [(1, 0, "LIVES_IN", 1.0)]
    assert doc.user_data["meta"] == {"orig_id": 12}
    assert doc.has_unknown_spaces
    write_spert_json([doc], tmp_path / "b.json")
    assert json.loads((tmp_path / "b.json").read_text()) == [SPERT]


def test_spert_json_odd_relation_and_broken_record(tmp_path):
    path = as_json(
        tmp_path / "a.json",
        [SPERT, {**SPERT, "relations": [{"type": "X", "head": 0, "tail": 9}, *SPERT["relations"]]}, 3],
    )
    losses = Losses()
    docs = list(read_spert_json(path, NLP, losses))
    assert [rows(doc) for doc in docs] == [[(1, 0, "LIVES_IN", 1.0)]] * 2
    assert uncoded(losses.places) == {
        Reasons.NO_ENTITY: [f"{path}, record 2: Relation 0 -> 9 ('X'): its tail is not an entity of this record."],
        Reasons.BROKEN: [f"{path}, record 3: Expected the record to be an object, got: 3"],
    }


@pytest.mark.parametrize(
    "content,expected",
    [
        ('[{"tokens": ["a"],\n "ent', "Not valid JSON: Unterminated string starting at (line 2, column 2)"),
        ('{"tokens": []}', "Expected the file to be a list"),
        ("[]", "No records"),
        ("", "Not valid JSON"),
    ],
)
def test_spert_json_broken_file(tmp_path, content, expected):
    path = tmp_path / "a.json"
    path.write_text(content)
    losses = Losses()
    assert list(read_spert_json(path, NLP, losses)) == []
    assert f"{path}: {expected}" in uncoded(losses.places[Reasons.BROKEN][0])


@pytest.mark.parametrize(
    "part,kind",
    [
        ({"spaces": [True]}, "blanks between tokens"),
        ({"spaces": 3}, "blanks between tokens"),
        ({"spaces": [1] * 4}, "blanks between tokens"),
        ({"sent_starts": [0, 99]}, "sentence start"),
        ({"sent_starts": {}}, "sentence marks"),
        ({"meta": 3}, "meta data"),
    ],
)
def test_spert_json_odd_parts_lose_themselves(tmp_path, part, kind):
    losses = Losses()
    (doc,) = read_spert_json(as_json(tmp_path / "a.json", [{**SPERT, **part}]), NLP, losses)
    assert rows(doc) == [(1, 0, "LIVES_IN", 1.0)]
    assert doc.user_data["meta"] == {"orig_id": 12}
    assert doc.has_unknown_spaces
    assert losses.counts == {f"{kind}: can't be read": 1}


def test_spert_json_types(tmp_path):
    types = as_json(tmp_path / "types.json", TYPES)
    assert read_types(types) == (["LOC", "PER"], ["LIVES_IN", "NEAR"], ["NEAR"])
    other_entity = {**SPERT, "entities": [{"type": "ORG", "start": 3, "end": 4}, SPERT["entities"][1]]}
    other_relation = {**SPERT, "relations": [{"type": "FAR", "head": 1, "tail": 0}]}
    path = as_json(tmp_path / "a.json", [SPERT, other_entity, other_relation])
    losses = Losses()
    docs = list(read_spert_json(path, NLP, losses, types=types))
    assert [(len(spans(doc)), len(rows(doc))) for doc in docs] == [(2, 1), (1, 0), (2, 0)]
    assert uncoded(losses.places) == {
        "entity: label is not in the types file": [
            f"{path}, record 2: Entity 0 (3-4, 'ORG'): its label is not in the types file. It has: ['LOC', 'PER']"
        ],
        Reasons.ENTITY_LOST: [f"{path}, record 2: Relation 1 -> 0 ('LIVES_IN'): its tail could not be kept."],
        "relation: label is not in the types file": [
            f"{path}, record 3: Relation 1 -> 0 ('FAR'): its label is not in the types file. "
            "It has: ['LIVES_IN', 'NEAR']"
        ],
    }
    with pytest.raises(ValueError, match="types.json: .*'relations' is missing from the record"):
        read_types(as_json(types, {"entities": {}}))


def test_written_text_is_readable(tmp_path):
    (doc,) = read_jsonl(lines(tmp_path / "a.jsonl", {**GOOD, "text": "Änn lives in Bonn."}))
    doc.spans["spert"].attrs["relations"] = [[1, 0, "LIVES_IN", 0.125]]
    assert write_jsonl([doc], tmp_path / "b.jsonl") == {"documents": 1, "entities": 2, "relations": 1}
    text = (tmp_path / "b.jsonl").read_text(encoding="utf-8")
    assert "Änn" in text
    assert json.loads(text) == {
        "text": "Änn lives in Bonn.",
        "token_offsets": [[0, 3], [4, 9], [10, 12], [13, 17], [17, 18]],
        "entities": GOOD["entities"],
        "relations": [{"head": 1, "tail": 0, "label": "LIVES_IN", "score": 0.125}],
    }


@pytest.mark.parametrize("write", [write_jsonl, write_spert_json])
def test_writer_takes_ents_without_span_group_and_counts_what_it_leaves_out(tmp_path, write):
    doc = Doc(NLP.vocab, words=["Ann", "sings"], tags=["NNP", "VBZ"])
    doc.ents = [Span(doc, 0, 1, "PER", kb_id="Q1")]
    doc.spans["other"] = [doc[0:1]]
    doc.cats["music"] = 1.0
    doc.user_data["source"] = "radio"
    losses = Losses(strict=True)
    assert write([doc], tmp_path / "a", losses) == {"documents": 1, "entities": 1, "relations": 0}
    assert losses.counts == {
        "document: TAG not kept": 1,
        "document: span group 'other' not kept": 1,
        "document: cats not kept": 1,
        "document: other user data not kept": 1,
        "document: ids of entities not kept": 1,
    }


@pytest.mark.parametrize("write", [write_jsonl, write_spert_json])
def test_writer_leaves_nothing_behind_on_an_error(tmp_path, write):
    good, bad = (Doc(NLP.vocab, words=["a", "b"]) for _ in range(2))
    set_entities(bad, "spert", [Span(bad, 0, 1, "A"), Span(bad, 0, 1, "B")], [])
    path = tmp_path / "out"
    path.write_text("before")
    with pytest.raises(StrictError, match="document 2, 'a b ': .*Entity 1 .* covers the same tokens as entity 0"):
        write([good, bad], path)
    with pytest.raises(ValueError, match="no document to write"):
        write([], path)
    good.user_data["meta"] = {"when": object()}
    with pytest.raises(StrictError, match="document 1, 'a b ': .*Object of type object is not JSON serializable"):
        write([good], path)
    assert [file.name for file in tmp_path.iterdir()] == ["out"]
    assert path.read_text() == "before"
    losses = Losses()
    del good.user_data["meta"]
    assert write([good, bad], path, losses) == {"documents": 2, "entities": 1, "relations": 0}
    assert losses.counts[Reasons.CONFLICT] == 1


# What a gold document can hold: any tokens, nested and overlapping spans, several relations per pair.
WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)
LABELS = st.sampled_from(["A", "B-c", "Ü"])
SCORES = st.floats(0, 1)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS,
    lambda inner: st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=4,
)


@st.composite
def documents(draw):
    words = draw(st.lists(WORDS, max_size=6))
    n = len(words)
    spaces = draw(st.none() | st.lists(st.booleans(), min_size=n, max_size=n))
    starts = draw(st.none() | st.lists(st.booleans(), min_size=n, max_size=n))
    doc = Doc(NLP.vocab, words=words, spaces=spaces, sent_starts=starts and [True, *starts[1:]])
    places = [(start, end) for start in range(n) for end in range(start + 1, n + 1)]
    chosen = draw(st.lists(st.sampled_from(places), unique=True, max_size=5)) if places else []
    entities = [Span(doc, start, end, draw(LABELS)) for start, end in chosen]
    scores = None
    if entities and draw(st.booleans()):
        scores = numpy.asarray([draw(SCORES) for _ in entities], dtype="float32")
    pairs = [(head, tail, label) for head in range(len(chosen)) for tail in range(len(chosen)) for label in "RS"]
    pairs = [pair for pair in pairs if pair[0] != pair[1]]
    related = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=4)) if pairs else []
    set_entities(doc, "spert", entities, [(*pair, draw(st.just(1.0) | SCORES)) for pair in related], scores)
    doc.set_ents(filter_spans(entities))
    meta = draw(st.none() | st.dictionaries(WORDS | st.just("orig_id"), VALUES, max_size=3))
    if meta is not None:
        doc.user_data["meta"] = meta
    return doc


@pytest.mark.parametrize(
    "write,read", [(write_jsonl, read_jsonl), (write_spert_json, read_spert_json)], ids=["jsonl", "spert-json"]
)
@settings(max_examples=60, deadline=None)
@given(docs=st.lists(documents(), min_size=1, max_size=3))
def test_round_trip_loses_nothing(tmp_path_factory, write, read, docs):
    path = tmp_path_factory.mktemp("round") / "trip"
    expected = [snapshot(doc) for doc in docs]
    stored = DocBin(docs=docs, store_user_data=True).to_bytes()
    write(DocBin().from_bytes(stored).get_docs(NLP.vocab), path)
    assert [snapshot(doc) for doc in read(path, NLP)] == expected


@settings(max_examples=30, deadline=None, derandomize=True)
@given(docs=st.lists(documents(), min_size=1, max_size=3))
def test_round_trip_through_both_formats(tmp_path_factory, docs):
    """Whatever one of them writes for itself alone, the other keeps."""
    folder = tmp_path_factory.mktemp("chain")
    expected = [snapshot(doc) for doc in docs]
    write_jsonl(docs, folder / "one.jsonl")
    write_spert_json(read_jsonl(folder / "one.jsonl", NLP), folder / "two.json")
    write_jsonl(read_spert_json(folder / "two.json", NLP), folder / "three.jsonl")
    assert [snapshot(doc) for doc in read_spert_json(folder / "two.json", NLP)] == expected
    assert [snapshot(doc) for doc in read_jsonl(folder / "three.jsonl", NLP)] == expected
