import math

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.vocab import Vocab
from strategies import SYMMETRIC as KNOWS
from strategies import edges, examples, pairs

from spacy_spert.relations import set_entities
from spacy_spert.scorer import SYMMETRIC, count_spert, make_spert_scorer, score_spert, scores_of, symmetric_of

VOCAB = Vocab()
WORDS = ["Ann", "works", "at", "Acme", "Labs", "in", "Bonn", "with", "Bob", "."]
ANN, ACME, BONN, BOB = (0, 1, "PER"), (3, 5, "ORG"), (6, 7, "LOC"), (8, 9, "PER")
GOLD = ([ANN, ACME, BONN, BOB], [(0, 1, "WORKS"), (1, 2, "IN"), (0, 3, "KNOWS")])


def make(entities=(), relations=(), words=WORDS, spaces=None, key="spert"):
    doc = Doc(VOCAB, words=words, spaces=spaces)
    rows = [(head, tail, label, 1.0) for head, tail, label in relations]
    set_entities(doc, key, [Span(doc, start, end, label) for start, end, label in entities], rows)
    return doc


def score(predicted, gold=GOLD, **settings):
    return score_spert([Example(make(*predicted), make(*gold))], **settings)


def prf(scores, name):
    return tuple(scores[f"{name}_{letter}"] for letter in "prf")


def f1(p, r):
    return 2 * p * r / (p + r) if p + r else 0.0


# Exact values


@pytest.mark.parametrize("name", ["spans_spert", "rels", "rels_strict"])
def test_everything_right(name):
    scores = score(GOLD)
    assert prf(scores, name) == pytest.approx((1.0, 1.0, 1.0))
    assert scores[f"{name}_macro_f"] == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["spans_spert", "rels", "rels_strict"])
def test_nothing_predicted(name):
    scores = score(([], []))
    assert prf(scores, name) == (0.0, 0.0, 0.0)
    assert scores[f"{name}_macro_f"] == 0.0


def test_nothing_predicted_and_no_such_group():
    scores = score_spert([Example(Doc(VOCAB, words=WORDS), make(*GOLD))])
    assert prf(scores, "spans_spert") == (0.0, 0.0, 0.0)
    assert set(scores["rels_per_type"]) == {"WORKS", "IN", "KNOWS"}


@pytest.mark.parametrize("name", ["spans_spert", "rels", "rels_strict"])
@pytest.mark.parametrize("examples", [[], [Example(make(), make())]], ids=["no documents", "no annotation"])
def test_nothing_at_all(name, examples):
    scores = score_spert(examples)
    assert prf(scores, name) == (0.0, 0.0, 0.0)
    assert scores[f"{name}_macro_f"] == 0.0
    assert scores[f"{name}_per_type"] == {}


def test_spans():
    # Right: ANN, BONN. Wrong: a label, a boundary. Missed: ACME, BOB.
    scores = score(([ANN, (3, 5, "LOC"), BONN, (8, 10, "PER")], []))
    assert prf(scores, "spans_spert") == pytest.approx((0.5, 0.5, 0.5))
    types = scores["spans_spert_per_type"]
    assert list(types) == ["LOC", "ORG", "PER"]
    assert types["PER"] == pytest.approx({"p": 0.5, "r": 0.5, "f": 0.5})
    assert types["LOC"] == pytest.approx({"p": 0.5, "r": 1.0, "f": 2 / 3})
    assert types["ORG"] == {"p": 0.0, "r": 0.0, "f": 0.0}
    assert scores["spans_spert_macro_f"] == pytest.approx((0.5 + 2 / 3 + 0.0) / 3)
    assert scores["spans_spert_macro_p"] == pytest.approx((0.5 + 0.5 + 0.0) / 3)
    assert scores["spans_spert_macro_r"] == pytest.approx((0.5 + 1.0 + 0.0) / 3)


def test_relations():
    # Right: WORKS. Wrong: IN reversed, and one more. Missed: IN, KNOWS.
    scores = score(([ANN, ACME, BONN, BOB], [(0, 1, "WORKS"), (2, 1, "IN"), (3, 1, "WORKS"), (3, 2, "IN")]))
    assert prf(scores, "rels") == pytest.approx((1 / 4, 1 / 3, f1(1 / 4, 1 / 3)))
    types = scores["rels_per_type"]
    assert list(types) == ["IN", "KNOWS", "WORKS"]
    assert types["WORKS"] == pytest.approx({"p": 0.5, "r": 1.0, "f": 2 / 3})
    assert types["IN"] == types["KNOWS"] == {"p": 0.0, "r": 0.0, "f": 0.0}
    assert scores["rels_macro_f"] == pytest.approx(2 / 9)
    assert scores["rels_strict_per_type"] == types


def test_strict_needs_the_entity_labels_too():
    scores = score(([ANN, (3, 5, "LOC"), BONN, BOB], GOLD[1]))
    assert prf(scores, "rels") == pytest.approx((1.0, 1.0, 1.0))
    assert prf(scores, "rels_strict") == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert scores["rels_strict_macro_f"] == pytest.approx(1 / 3)
    assert scores["rels_strict_per_type"]["KNOWS"]["f"] == pytest.approx(1.0)


def test_boundaries_of_both_arguments_count():
    scores = score(([ANN, (3, 4, "ORG"), BONN, BOB], GOLD[1]))
    assert prf(scores, "rels") == pytest.approx((1 / 3, 1 / 3, 1 / 3))


def test_relation_label_counts():
    scores = score((GOLD[0], [(0, 1, "IN"), (1, 2, "IN"), (0, 3, "KNOWS")]))
    assert prf(scores, "rels") == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert scores["rels_per_type"]["IN"] == pytest.approx({"p": 0.5, "r": 1.0, "f": 2 / 3})


def test_gold_relation_without_candidate_counts_as_missed():
    """No entity was found that it could be predicted between."""
    scores = score(([ANN, ACME], [(0, 1, "WORKS")]))
    assert prf(scores, "rels") == pytest.approx((1.0, 1 / 3, 0.5))
    assert prf(scores, "rels_strict") == pytest.approx((1.0, 1 / 3, 0.5))


def test_several_documents_are_counted_together():
    one = Example(make(*GOLD), make(*GOLD))
    two = Example(make([ANN], []), make([ANN, BOB], [(0, 1, "KNOWS")]))
    scores = score_spert(iter([one, two]))
    assert prf(scores, "spans_spert") == pytest.approx((1.0, 5 / 6, f1(1, 5 / 6)))
    assert prf(scores, "rels") == pytest.approx((1.0, 3 / 4, f1(1, 3 / 4)))


def test_same_span_in_two_documents_is_two_spans():
    examples = [Example(make([ANN]), make([ANN])), Example(make([]), make([ANN]))]
    assert prf(score_spert(examples), "spans_spert") == pytest.approx((1.0, 0.5, 2 / 3))


def test_duplicates_count_once():
    gold = ([ANN, ACME, ANN], [(0, 1, "WORKS"), (2, 1, "WORKS")])
    scores = score(([ANN, ACME], [(0, 1, "WORKS")]), gold)
    assert prf(scores, "spans_spert") == pytest.approx((1.0, 1.0, 1.0))
    assert prf(scores, "rels") == pytest.approx((1.0, 1.0, 1.0))


def test_nested_entities_that_share_a_start_are_told_apart():
    gold = ([(3, 4, "ORG"), (3, 5, "ORG"), BONN], [(1, 2, "IN"), (0, 1, "PART")])
    scores = score(([(3, 4, "ORG"), (3, 5, "ORG"), BONN], [(0, 2, "IN"), (0, 1, "PART")]), gold)
    assert prf(scores, "spans_spert") == pytest.approx((1.0, 1.0, 1.0))
    assert prf(scores, "rels") == pytest.approx((0.5, 0.5, 0.5))
    assert scores["rels_per_type"]["IN"]["f"] == 0.0


def test_spans_key():
    predicted = make([ANN, ACME], [(0, 1, "WORKS")], key="mine")
    set_entities(
        predicted, "spert", [Span(predicted, 9, 10, "NOISE"), Span(predicted, 1, 2, "NOISE")], [(0, 1, "X", 1)]
    )
    scores = score_spert([Example(predicted, make([ANN, ACME], [(0, 1, "WORKS")], key="mine"))], spans_key="mine")
    for name in ("spans_mine", "rels_mine", "rels_strict_mine"):
        assert prf(scores, name) == pytest.approx((1.0, 1.0, 1.0))
    # Those of another component stay as they are when all are put together.
    assert not set(scores) & {name for name in score(GOLD) if not name.startswith("ents_")}


def test_scores_follow_from_the_counts():
    examples = [Example(make([ANN, BOB], [(0, 1, "KNOWS")]), make(*GOLD))]
    scores = scores_of(count_spert(examples))
    assert scores.items() <= score_spert(examples).items()
    assert scores["rels_macro_r"] == pytest.approx(1 / 3)
    assert "spans_mine_f" in scores_of(count_spert(examples), "mine")


# Annotation


def test_relations_of_other_groups_are_no_gold_where_the_group_is_there():
    """As in training: gold entities and gold relations come from the same place."""
    reference = make([ANN, ACME], [(0, 1, "WORKS")])
    set_entities(reference, "other", [Span(reference, *ANN), Span(reference, *BONN)], [(0, 1, "BORN", 1.0)])
    scores = score_spert([Example(make([ANN, ACME], [(0, 1, "WORKS")]), reference)])
    assert prf(scores, "rels") == pytest.approx((1.0, 1.0, 1.0))
    assert set(scores["rels_per_type"]) == {"WORKS"}


def test_relations_of_any_group_are_gold_where_entities_are_in_doc_ents():
    reference = Doc(VOCAB, words=WORDS)
    set_entities(reference, "other", [Span(reference, *ANN), Span(reference, *ACME)], [(0, 1, "WORKS", 1.0)])
    reference.ents = [Span(reference, *ANN), Span(reference, *ACME)]
    scores = score_spert([Example(make([ANN, ACME], [(0, 1, "WORKS")]), reference)])
    assert prf(scores, "rels") == pytest.approx((1.0, 1.0, 1.0))


def test_references_without_annotation_are_left_out():
    unannotated = Example(make(*GOLD), Doc(VOCAB, words=WORDS))
    scores = score_spert([unannotated, Example(make(*GOLD), make(*GOLD))])
    assert prf(scores, "spans_spert") == pytest.approx((1.0, 1.0, 1.0))
    assert prf(scores, "rels") == pytest.approx((1.0, 1.0, 1.0))


def test_reference_annotated_with_nothing_counts():
    scores = score(([ANN, ACME], [(0, 1, "WORKS")]), ([], []))
    assert prf(scores, "spans_spert") == (0.0, 0.0, 0.0)
    assert scores["spans_spert_per_type"] == {label: {"p": 0.0, "r": 0.0, "f": 0.0} for label in ("ORG", "PER")}
    assert set(scores["rels_per_type"]) == {"WORKS"}


def test_reference_with_doc_ents_only():
    reference = Doc(VOCAB, words=WORDS)
    reference.ents = [Span(reference, *ANN), Span(reference, *BOB)]
    scores = score_spert([Example(make([ANN, BONN]), reference)])
    assert prf(scores, "spans_spert") == pytest.approx((0.5, 0.5, 0.5))


def test_doc_ents_are_scored_as_spacy_does():
    predicted, reference = Doc(VOCAB, words=WORDS), Doc(VOCAB, words=WORDS)
    reference.ents = [Span(reference, *span) for span in (ANN, ACME, BOB)]
    predicted.ents = [Span(predicted, *span) for span in (ANN, BONN)]
    scores = score_spert([Example(predicted, reference)])
    assert prf(scores, "ents") == pytest.approx((1 / 2, 1 / 3, 0.4))
    assert scores["ents_per_type"]["PER"] == pytest.approx({"p": 1.0, "r": 0.5, "f": 2 / 3})


def test_doc_ents_without_annotation_have_no_score():
    scores = score(GOLD)
    assert prf(scores, "ents") == (None, None, None)
    assert scores["ents_per_type"] is None


def test_references_without_annotated_relations_are_left_out_of_theirs():
    entities_only = make(GOLD[0])
    del entities_only.spans["spert"].attrs["relations"]
    scores = score_spert([Example(make([ANN, ACME], [(0, 1, "WORKS")]), entities_only)])
    assert prf(scores, "spans_spert") == pytest.approx((1.0, 0.5, 2 / 3))
    assert scores["rels_per_type"] == scores["rels_strict_per_type"] == {}
    known = score_spert([Example(make([ANN, ACME], [(0, 1, "WORKS")]), make(GOLD[0]))])
    assert known["rels_per_type"] == {"WORKS": {"p": 0.0, "r": 0.0, "f": 0.0}}


def test_predictions_on_tokens_without_annotation_are_not_wrong():
    """Ann, Acme Labs and Bonn are annotated, and what is before 'with': Bob and the rest are not known."""
    reference = make([ANN, ACME, BONN], [(0, 1, "WORKS")])
    reference.set_ents([Span(reference, *span) for span in (ANN, ACME, BONN)], missing=[reference[7:10]])
    spans = [ANN, (1, 2, "PER"), (6, 8, "LOC"), BOB, BONN]
    found = [(0, 3, "KNOWS"), (0, 1, "KNOWS"), (0, 4, "IN"), (2, 3, "IN")]
    scores = score_spert([Example(make(spans, found), reference)])
    # Right: Ann, Bonn. Wrong: 'works'. Missed: Acme Labs.
    assert prf(scores, "spans_spert") == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    # Wrong: Ann knows 'works', Ann in Bonn. Missed: Ann works at Acme Labs.
    assert {label: counts.to_dict() for label, counts in count(reference, spans, found)["rels"].items()} == {
        "IN": {"p": 0.0, "r": 0.0, "f": 0.0},
        "KNOWS": {"p": 0.0, "r": 0.0, "f": 0.0},
        "WORKS": {"p": 0.0, "r": 0.0, "f": 0.0},
    }
    assert {label: (c.tp, c.fp, c.fn) for label, c in count(reference, spans, found)["rels_strict"].items()} == {
        "IN": (0, 1, 0),
        "KNOWS": (0, 1, 0),
        "WORKS": (0, 0, 1),
    }


def count(reference, entities, relations):
    return count_spert([Example(make(entities, relations), reference)])


def test_predictions_on_tokens_without_annotation_can_be_right():
    """Of nested entities doc.ents holds only some, so that tokens of the others may have no annotation there."""
    reference = make([ACME, (3, 4, "ORG"), BONN], [(0, 2, "IN")])
    reference.set_ents([Span(reference, *BONN)], default="missing")
    scores = score_spert([Example(make([ACME, ANN, BONN], [(0, 2, "IN"), (1, 2, "IN")]), reference)])
    assert prf(scores, "spans_spert") == pytest.approx((1.0, 2 / 3, 0.8))
    assert prf(scores, "rels") == pytest.approx((1.0, 1.0, 1.0))


# Tokens


def test_white_space_at_the_edges_makes_no_difference():
    words = ["\n", "Faro", " ", "Lisbon", "\n"]
    gold = make([(0, 2, "LOC"), (3, 4, "LOC")], [(0, 1, "NEAR")], words, [False] * 5)
    predicted = make([(1, 3, "LOC"), (3, 5, "LOC"), (4, 5, "LOC")], [(0, 1, "NEAR")], words, [False] * 5)
    scores = score_spert([Example(predicted, gold)])
    assert prf(scores, "spans_spert") == pytest.approx((2 / 3, 1.0, 0.8))
    assert prf(scores, "rels_strict") == pytest.approx((1.0, 1.0, 1.0))


def test_predictions_on_other_tokens_are_mapped():
    words = ["Ann", "works", "at", "Acme Labs", "in", "Bonn", "with", "B", "ob", "."]
    spaces = [True] * 6 + [True, False, True, False]
    entities = [(0, 1, "PER"), (3, 4, "ORG"), (5, 6, "LOC"), (7, 9, "PER")]
    predicted = make(entities, GOLD[1], words, spaces)
    scores = score_spert([Example(predicted, make(*GOLD, spaces=[True] * 9 + [False]))])
    assert prf(scores, "spans_spert") == pytest.approx((1.0, 1.0, 1.0))
    assert prf(scores, "rels_strict") == pytest.approx((1.0, 1.0, 1.0))


def test_predictions_off_the_tokens_of_the_reference_are_wrong():
    """'An' is no entity of the reference, nor is 'n'; they are two errors, and so are their relations."""
    words = ["An", "n", *WORDS[1:]]
    spaces = [False, *[True] * 10]
    entities = [(0, 1, "PER"), (1, 2, "PER"), (4, 6, "ORG")]
    predicted = make(entities, [(0, 2, "WORKS"), (1, 2, "WORKS")], words, spaces)
    scores = score_spert([Example(predicted, make([ANN, ACME], [(0, 1, "WORKS")]))])
    assert prf(scores, "spans_spert") == pytest.approx((1 / 3, 1 / 2, 0.4))
    assert prf(scores, "rels") == (0.0, 0.0, 0.0)
    assert scores["rels_per_type"]["WORKS"]["p"] == 0.0


def test_off_tokens_do_not_take_each_other_for_gold():
    """Neither is on the tokens of the reference, the entity of which stays missed."""
    reference = make([(0, 1, "X")], words=["abc", "d"], spaces=[False, False])
    predicted = make([(0, 1, "X"), (0, 2, "X")], words=["ab", "cd"], spaces=[False, False])
    scores = score_spert([Example(predicted, reference)])
    assert prf(scores, "spans_spert") == (0.0, 0.0, 0.0)


# Symmetric labels


@pytest.mark.parametrize(
    "symmetric, predicted, expected",
    [
        ("once", [(1, 0, "KNOWS")], (1.0, 0.5)),
        ("once", [(1, 0, "KNOWS"), (0, 1, "KNOWS")], (1.0, 0.5)),
        ("directed", [(1, 0, "KNOWS")], (0.0, 0.0)),
        ("directed", [(0, 1, "KNOWS")], (1.0, 0.5)),
        ("directed", [(1, 0, "KNOWS"), (0, 1, "KNOWS")], (0.5, 0.5)),
        ("twice", [(1, 0, "KNOWS")], (1.0, 2 / 3)),
        ("twice", [(0, 1, "KNOWS"), (0, 1, "LIKES")], (2 / 3, 2 / 3)),
        ("once", [(1, 0, "LIKES")], (1.0, 0.5)),
        ("twice", [(1, 0, "LIKES")], (1.0, 1 / 3)),
        ("once", [(0, 1, "LIKES")], (0.0, 0.0)),
    ],
)
@pytest.mark.parametrize("name", ["rels", "rels_strict"])
def test_symmetric_labels(symmetric, predicted, expected, name):
    gold = ([ANN, BOB], [(0, 1, "KNOWS"), (1, 0, "LIKES")])
    scores = score(([ANN, BOB], predicted), gold, symmetric_labels=["KNOWS"], symmetric=symmetric)
    assert prf(scores, name)[:2] == pytest.approx(expected)


def test_symmetric_labels_are_directed_unless_named():
    gold = ([ANN, BOB], [(0, 1, "KNOWS")])
    assert prf(score(([ANN, BOB], [(1, 0, "KNOWS")]), gold), "rels") == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("value", ["both", "", "ONCE"])
def test_unknown_way_of_counting_is_refused(value):
    with pytest.raises(ValueError, match=f"symmetric = '{value}'.*once.*directed.*twice"):
        make_spert_scorer(value)


@pytest.mark.parametrize("symmetric", SYMMETRIC)
def test_way_of_counting_is_read_from_the_scorer(symmetric):
    assert symmetric_of(make_spert_scorer(symmetric)) == symmetric
    assert symmetric_of(score_spert) == symmetric_of(None) == symmetric_of(lambda examples: {}) == "once"


@pytest.mark.parametrize("symmetric, expected", [("once", 1.0), ("directed", 0.0), ("twice", 1.0)])
def test_scorer_is_registered(symmetric, expected):
    scorer = spacy.registry.scorers.get("spacy-spert.spert_scorer.v1")(symmetric)
    examples = [Example(make([ANN, BOB], [(1, 0, "KNOWS")]), make([ANN, BOB], [(0, 1, "KNOWS")]))]
    # The component passes all of its settings.
    scores = scorer(examples, spans_key="spert", symmetric_labels=["KNOWS"], max_span_width=10)
    assert scores["rels_f"] == pytest.approx(expected)


# Against the obvious


def places(row, gold):
    """Where the entities are without white space at their edges, if that is on tokens of the gold document."""
    gold_starts, gold_ends = edges(gold)
    # The same tokens may have their blanks elsewhere.
    starts, ends = edges(row if row.words != gold.words else gold)
    for start, end, _ in row.entities:
        visible = [i for i in range(start, end) if not row.words[i].isspace()]
        if visible:
            start, end = visible[0], visible[-1] + 1
        on_tokens = starts[start] in gold_starts and ends[end - 1] in gold_ends
        yield (starts[start], ends[end - 1]) if on_tokens else ("not on tokens", start, end)


def facts(row, gold, symmetric, strict):
    """What is said of a document: entities and relations, each with its label."""
    where = list(places(row, gold))
    spans = [(place, label) for place, (_, _, label) in zip(where, row.entities)]
    rels = []
    for head, tail, label in row.relations:
        head, tail = (spans[i] if strict else where[i] for i in (head, tail))
        ends = {(head, tail)}
        if label == KNOWS and symmetric == "twice":
            ends = {(head, tail), (tail, head)}
        if label == KNOWS and symmetric == "once":
            ends = {frozenset((head, tail))}
        rels.extend((pair, label) for pair in ends)
    return set(spans), set(rels)


def obvious(pairs):
    right = sum(item in gold for gold, found in pairs for item in found)
    n_gold, n_found = sum(len(gold) for gold, _ in pairs), sum(len(found) for _, found in pairs)
    p = right / n_found if n_found else 0.0
    r = right / n_gold if n_gold else 0.0
    return p, r, f1(p, r)


def check(scores, name, pairs):
    assert prf(scores, name) == pytest.approx(obvious(pairs))
    labels = sorted({label for sides in pairs for side in sides for _, label in side})
    assert list(scores[f"{name}_per_type"]) == labels
    types = []
    for label in labels:
        chosen = [tuple({item for item in side if item[1] == label} for side in sides) for sides in pairs]
        types.append(obvious(chosen))
        assert scores[f"{name}_per_type"][label] == pytest.approx(dict(zip("prf", types[-1])))
    mean = math.fsum(f for _, _, f in types) / len(types) if types else 0.0
    assert scores[f"{name}_macro_f"] == pytest.approx(mean)


def in_range(scores):
    return all(in_range(value) if isinstance(value, dict) else 0.0 <= value <= 1.0 for value in scores.values())


@given(
    st.lists(pairs(one_label=False), min_size=1, max_size=3),
    st.sampled_from(SYMMETRIC),
    st.integers(0, 3),
)
@examples(150)
def test_scores_equal_the_obvious_ones(batch, symmetric, unannotated):
    """Of any documents, whose tokens are not those of the gold. One of them may have no gold at all."""
    rows = [Example(found.gold(VOCAB), gold.gold(VOCAB)) for found, gold in batch]
    if unannotated < len(batch):
        rows[unannotated] = Example(rows[unannotated].predicted, batch[unannotated][1].tokens(VOCAB))
        batch = [pair for i, pair in enumerate(batch) if i != unannotated]
    scores = score_spert(rows, symmetric_labels=[KNOWS], symmetric=symmetric)
    loose = [[facts(row, gold, symmetric, strict=False) for row in (gold, found)] for found, gold in batch]
    strict = [[facts(row, gold, symmetric, strict=True) for row in (gold, found)] for found, gold in batch]
    check(scores, "spans_spert", [(gold[0], found[0]) for gold, found in loose])
    check(scores, "rels", [(gold[1], found[1]) for gold, found in loose])
    check(scores, "rels_strict", [(gold[1], found[1]) for gold, found in strict])
    assert in_range({name: value for name, value in scores.items() if not name.startswith("ents_")})


@given(st.lists(pairs().filter(lambda pair: pair[0].words and pair[0].words == pair[1].words), min_size=1, max_size=3))
@examples(30)
def test_scores_of_ents_equal_the_obvious_ones(batch):
    rows = [Example(found.ents(VOCAB), gold.ents(VOCAB)) for found, gold in batch]
    sides = [
        [{(ent.start, ent.end, ent.label_) for ent in doc.ents} for doc in (eg.reference, eg.predicted)] for eg in rows
    ]
    scores = score_spert(rows)
    if any(gold or found for gold, found in sides):
        assert prf(scores, "ents") == pytest.approx(obvious(sides))
        assert in_range({name: value for name, value in scores.items() if name.startswith("ents_")})
