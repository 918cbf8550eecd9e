"""What decides, fitted to candidates and applied to them."""

from dataclasses import replace

import numpy
import pytest

from spacy_spert.decoding import Decoder
from spacy_spert.evaluation.calibration import calibration_error, sigmoid
from spacy_spert.evaluation.comparison import bootstrap
from spacy_spert.evaluation.decisions import (
    Decisions,
    apply_decisions,
    read_decisions,
    write_decisions,
)
from spacy_spert.evaluation.scored import DocumentRows, gather
from spacy_spert.evaluation.thresholds import Target
from spacy_spert.evaluation.tuning import (
    PARTS,
    Options,
    deal,
    fit_entity_calibration,
    fit_entity_thresholds,
    fit_relation_calibration,
    fit_relation_thresholds,
    fit_types,
    move_threshold,
    outcome,
    standard_error,
    tune,
)
from spacy_spert.settings import DEFAULTS, check_settings

BEFORE = Decisions(common=0.4)


def document(*relations, entities=(("PER", 0.9, "PER"), ("ORG", 0.8, "ORG")), gold=()):
    """Two entities and relations between them, as (label, score, right) or with head and tail."""
    rows = [row if len(row) > 3 else (*row, 0, 1) for row in relations]
    return DocumentRows(list(entities), rows, [row[2] for row in entities if row[2]], list(gold))


def make_scored(*documents, logits=None, given=False):
    return gather(documents, ["ORG", "PER"], ["likes", "works_for"], logits=logits, given=given)


def noisy(n=200, seed=0, sharp=3.0):
    """Relations of two labels. Their scores are too sure, and those of works_for also too high."""
    generator = numpy.random.default_rng(seed)
    documents = []
    for i in range(n):
        label, offset = (("likes", 0.0), ("works_for", -2.0))[i % 2]
        logit = generator.normal(0.5, 1.5)
        right = bool(generator.random() < sigmoid(logit + offset))
        gold = [(label, "PER", "ORG")] if right else []
        documents.append(document((label, float(sigmoid(sharp * logit)), right), gold=gold))
    return make_scored(*documents)


# Settings


def test_settings_are_read_and_written():
    cfg = {
        **{name: DEFAULTS[name] for name in ("relation_threshold", "relation_types", "calibration")},
        "relation_thresholds": [],
        "entity_thresholds": [],
        "learned_types": [["org:in", "ORG", "LOC"]],
    }
    assert read_decisions(cfg) == BEFORE
    decisions = Decisions(
        0.5, {"x=y": 0.25}, {"PER": 0.75}, 2.0, {"org:in": (0.5, -1.0)}, frozenset({("org:in", "ORG", "LOC")})
    )
    write_decisions(decisions, cfg)
    assert cfg == {
        "relation_threshold": 0.5,
        "relation_thresholds": [["x=y", 0.25]],
        "entity_thresholds": [["PER", 0.75]],
        "calibration": {"entities": 2.0, "relations": [["org:in", 0.5, -1.0]]},
        "relation_types": [["org:in", "ORG", "LOC"]],
        "learned_types": [["org:in", "ORG", "LOC"]],
    }
    check_settings(cfg, "spert")
    assert read_decisions(cfg) == decisions
    # What was learned and is still possible stays as it is said.
    cfg["relation_types"] = "learn"
    assert read_decisions(cfg) == decisions
    write_decisions(decisions, cfg)
    assert cfg["relation_types"] == "learn"
    write_decisions(BEFORE, cfg)
    assert cfg["relation_types"] is None and cfg["calibration"] is None
    assert read_decisions(cfg) == BEFORE


def test_a_relation_needs_its_threshold_and_both_entities():
    scored = make_scored(
        document(("likes", 0.5, True), ("works_for", 0.5, True), ("likes", 0.3, True)),
        document(("likes", 0.5, True), entities=(("PER", 0.9, "PER"), ("ORG", 0.6, "ORG"))),
    )
    applied = apply_decisions(Decisions(0.4, {"works_for": 0.6}, {"ORG": 0.7}), scored)
    assert applied.entities.tolist() == [True, True, True, False]
    assert applied.relations.tolist() == [True, False, False, False]
    # A score at the threshold is enough, in single precision.
    score = float(numpy.float32(0.1))
    scored = make_scored(document(("likes", score, True)))
    assert apply_decisions(Decisions(0.1), scored).relations.all()


def test_calibrated_scores_are_compared():
    logits = numpy.log([[0.1, 0.2, 0.7], [0.25, 0.5, 0.25]])
    scored = make_scored(document(("likes", 0.8, True), ("works_for", 0.8, True)), logits=logits)
    decisions = Decisions(0.5, temperature=0.5, sigmoids={"likes": (1.0, -2.0)}, entities={"ORG": 0.6})
    applied = apply_decisions(decisions, scored)
    assert applied.entity_scores == pytest.approx([0.49 / 0.54, 0.25 / 0.375])
    assert applied.relation_scores == pytest.approx([sigmoid(numpy.log(4) - 2), 0.8])
    assert applied.entities.all() and applied.relations.tolist() == [False, True]


def test_only_possible_types_come_out():
    scored = make_scored(document(("likes", 0.9, True), ("likes", 0.9, True, 1, 0), ("works_for", 0.9, True)))
    types = {("likes", "PER", "ORG")}
    decisions = replace(BEFORE, types=frozenset(types))
    assert apply_decisions(decisions, scored).relations.tolist() == [True, False, False]
    assert apply_decisions(decisions, scored, ["likes"]).relations.tolist() == [True, True, False]


def test_given_entities_have_no_thresholds():
    scored = make_scored(document(("likes", 0.9, True)), given=True)
    assert apply_decisions(replace(BEFORE, entities={"PER": 1.1}), scored).relations.all()


@pytest.mark.parametrize("pairing", [None, 0.4])
def test_decisions_are_those_of_the_decoder(pairing):
    """Random logits of one document, decided here and by the component's decoder."""
    generator = numpy.random.default_rng(0)
    cfg = {
        **DEFAULTS,
        "entity_labels": ["ORG", "PER"],
        "relation_labels": ["likes", "works_for"],
        "learned_types": None,
        "relation_threshold": 0.2,
        "relation_thresholds": [["likes", 0.3]],
        "symmetric_labels": ["likes"],
        "relation_types": [["likes", "PER", "ORG"], ["works_for", "PER", "ORG"]],
        "calibration": {"entities": 1.0, "relations": [["works_for", 0.7, -0.5]]},
        "relations_per_token": 0,
        "pairing_threshold": pairing,
    }
    labels = generator.integers(1, 3, 6)
    # The last two are no entities by themselves, and the last of them none that may be one.
    none = numpy.asarray([0.1, 0.2, 0.1, 0.3, 0.55, 0.7] if pairing else [0.1, 0.2, 0.1, 0.3, 0.2, 0.1])
    probs = numpy.full((6, 3), 0.02)
    probs[:, 0], probs[range(6), labels] = none, 0.98 - none
    pairs = numpy.asarray([(i, j) for i in range(6) for j in range(6) if i < j])
    logits = generator.normal(0, 2, (len(pairs), 2)).astype("float32")
    decoder = Decoder.from_config(cfg)
    ends = probs[range(6), labels][pairs]
    scores = decoder.relation_scores(logits, ends)
    if pairing:
        scores[(pairs == 5).any(axis=1)] = 0.0
    expected = decoder.find_relations(pairs, labels, scores, 10).rows
    raw = sigmoid(logits) * (ends.prod(axis=1, keepdims=True) if pairing else 1.0)
    names = ["likes", "works_for"]
    rows = [
        (names[column], float(raw[i, column]), False, *pair)
        for i, pair in enumerate(pairs.tolist())
        for column in range(2)
    ]
    entities = [(("ORG", "PER")[label - 1], probs[i, label], None) for i, label in enumerate(labels)]
    scored = make_scored(DocumentRows(entities, rows, [], []), logits=numpy.log(probs))
    applied = apply_decisions(read_decisions(cfg), scored, cfg["symmetric_labels"])
    got = [(*rows[i][3:], rows[i][0], applied.relation_scores[i]) for i in numpy.flatnonzero(applied.relations)]
    assert 0 < len(expected) < len(rows)
    assert sorted(row[:3] for row in got) == [row[:3] for row in expected]
    assert [row[3] for row in sorted(got)] == pytest.approx([row[3] for row in expected], abs=1e-5)
    related = {index for row in got for index in row[:2]}
    is_entity = (none < 0.5) | numpy.isin(numpy.arange(6), list(related))
    assert applied.entities.tolist() == is_entity.tolist()
    assert 4 in related and (5 in related) != bool(pairing)


# Parts of the fit


def test_types_of_the_gold_data_are_possible_unless_they_are_too_rare():
    gold = [("works_for", "PER", "ORG")] * 9 + [("works_for", "ORG", "PER")] + [("likes", "PER", "ORG")] * 2
    scored = make_scored(*(document(gold=[row]) for row in gold))
    options = Options(min_share=0.1)
    assert fit_types(BEFORE, scored, options).types == set(gold)
    assert fit_types(BEFORE, scored, Options(min_share=0.2)).types == {gold[0], gold[-1]}
    # Both orders are the same, of which one is written.
    symmetric = Options(min_share=0.2, symmetric_labels=["works_for"])
    assert fit_types(BEFORE, scored, symmetric).types == {gold[9], gold[-1]}
    # No more than was possible before, and than the component knows.
    before = replace(BEFORE, types=frozenset({gold[0], ("works_for", "PER", "PER")}))
    assert fit_types(before, scored, options).types == {gold[0]}
    known = Options(min_share=0.1, known=frozenset({"ORG", "PER", "likes"}))
    assert fit_types(BEFORE, scored, known).types == {gold[-1]}


def test_calibration_of_relations_alone_changes_no_decision():
    scored = noisy()
    before = Decisions(0.4, {"likes": 0.7})
    after = fit_relation_calibration(before, scored, Options())
    for slope, _ in after.sigmoids.values():
        assert 0.1 < slope < 0.5
    assert after.sigmoids["works_for"][1] < after.sigmoids["likes"][1] - 0.5
    one, other = apply_decisions(before, scored), apply_decisions(after, scored)
    assert (one.relations == other.relations).all() and 0 < one.relations.sum() < len(one.relations)
    errors = [calibration_error(each.relation_scores, scored.relations.right) for each in (one, other)]
    assert errors[1] < 0.1 < errors[0]
    # Also from scores that were calibrated before.
    again = fit_relation_calibration(after, noisy(seed=1), Options())
    assert again.sigmoids != after.sigmoids
    assert (apply_decisions(again, scored).relations == one.relations).all()


def test_temperature_alone_has_no_offset():
    after = fit_relation_calibration(BEFORE, noisy(), Options(offset=False))
    assert {offset for _, offset in after.sigmoids.values()} == {0.0}


def test_calibration_of_rare_labels_is_that_of_all():
    documents = [document(("likes", 0.9, i % 2 == 0)) for i in range(200)]
    scored = make_scored(*documents, document(("works_for", 0.9, True)))
    sigmoids = fit_relation_calibration(BEFORE, scored, Options(offset=False)).sigmoids
    assert sigmoids["works_for"] == pytest.approx(sigmoids["likes"], abs=0.25)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 1.0])
def test_threshold_moves_with_the_scores(threshold):
    moved = move_threshold(threshold, (2.0, 1.0), (0.5, -1.0))
    if threshold == 0.3:
        raw = (numpy.log(0.3 / 0.7) - 1.0) / 2.0
        assert moved == pytest.approx(sigmoid(0.5 * raw - 1.0))
    else:
        # All or nothing stays so.
        assert moved == threshold


def entities_with_logits(n=100):
    """Entities whose scores are too sure: 0.9, but three of four are right."""
    rows = [("PER", 0.9, "PER" if i % 4 else None) for i in range(n)]
    logits = numpy.tile([0.0, -50.0, numpy.log(9)], (n, 1))
    return make_scored(*(document(entities=[row]) for row in rows), logits=logits)


def test_temperature_of_entities():
    scored = entities_with_logits()
    after = fit_entity_calibration(BEFORE, scored, Options(strength=0.0))
    assert after.temperature == pytest.approx(2.0, abs=1e-3)
    assert apply_decisions(after, scored).entity_scores == pytest.approx(numpy.full(100, 0.75), abs=1e-3)


def test_temperature_moves_thresholds_or_does_not_change():
    logits = numpy.log([[0.2, 0.1, 0.7], [0.3, 0.1, 0.6], [0.6, 0.1, 0.3]])
    rows = [("PER", 0.7, "PER"), ("PER", 0.6, "PER"), ("PER", 0.3, None)]
    scored = make_scored(*(document(entities=[row]) for row in rows), logits=logits)
    before = replace(BEFORE, entities={"PER": 0.65})
    after = fit_entity_calibration(before, scored, Options())
    assert after.temperature != 1.0
    assert apply_decisions(after, scored).entities.tolist() == [True, False, False]
    # Another temperature puts these two into another order, so that no threshold decides as before.
    logits = numpy.log([[0.01, 0.44, 0.55], [0.46, 0.01, 0.53], [0.9, 0.05, 0.05]])
    rows = [("PER", 0.55, "PER"), ("PER", 0.53, "PER"), ("PER", 0.05, None)]
    crossing = make_scored(*(document(entities=[row]) for row in rows), logits=logits)
    for threshold in (0.54,):
        before = replace(BEFORE, entities={"PER": threshold})
        after = fit_entity_calibration(before, crossing, Options())
        kept = apply_decisions(before, crossing).entities.tolist()
        assert apply_decisions(after, crossing).entities.tolist() == kept == [True, False, False]


def test_without_logits_entities_are_not_calibrated():
    assert fit_entity_calibration(BEFORE, noisy(), Options()) == BEFORE


def test_thresholds_of_entities():
    rows = [("PER", 0.9, "PER"), ("PER", 0.6, None), ("ORG", 0.6, "ORG"), ("ORG", 0.4, "ORG")]
    scored = make_scored(*(document(entities=[row]) for row in rows))
    after = fit_entity_thresholds(BEFORE, scored, Options(shrinkage=0.0))
    assert after.entities == {"PER": pytest.approx(0.75), "ORG": pytest.approx(0.2)}


def test_thresholds_of_relations_are_those_among_entities_that_come_out():
    scored = make_scored(
        document(("likes", 0.8, True), gold=[("likes", "PER", "ORG")]),
        document(("likes", 0.7, False), entities=(("PER", 0.2, None), ("ORG", 0.9, "ORG"))),
        document(("likes", 0.6, True), gold=[("likes", "PER", "ORG")]),
        document(("likes", 0.5, False)),
    )
    options = Options(shrinkage=0.0, floor=0.01)
    before = replace(BEFORE, entities={"PER": 0.5})
    after = fit_relation_thresholds(before, scored, options)
    assert after.common == pytest.approx(0.55) and after.relations == {"likes": pytest.approx(0.55)}
    assert apply_decisions(after, scored).relations.tolist() == [True, False, True, False]


# All together


def test_documents_are_dealt_into_folds():
    folds = deal(11, 4, seed=0)
    assert sorted(int(fold.sum()) for fold in folds) == [2, 3, 3, 3]
    assert numpy.sum(folds, axis=0).tolist() == [1] * 11
    assert [fold.tolist() for fold in folds] == [fold.tolist() for fold in deal(11, 4, seed=0)]
    assert [fold.tolist() for fold in folds] != [fold.tolist() for fold in deal(11, 4, seed=1)]
    assert len(deal(2, 5, seed=0)) == 2


def f1(counts):
    return Target().value(counts.sum(axis=(0, 1)))[0]


def test_tuning_raises_the_target_and_calibrates():
    scored = noisy(400)
    tuning = tune(scored, Decisions(0.9), Options(floor=0.001))
    assert tuning.taken == ["calibration of relations", "thresholds of relations"]
    # The entities are all right, and have no logits.
    assert tuning.refused == ["calibration of entities", "thresholds of entities"]
    assert f1(tuning.expected.relations) > f1(tuning.measured.relations)
    assert tuning.expected.relation_error < 0.1 < tuning.measured.relation_error
    everything = numpy.ones(400, dtype=bool)
    assert f1(outcome(scored, [(everything, tuning.after)], Options()).relations) >= f1(tuning.measured.relations)
    assert tuning.after.relations["works_for"] != tuning.after.relations["likes"]


def test_what_does_not_help_elsewhere_is_refused():
    # The scores say nothing, so that a threshold that fits one half is of no use for the other.
    generator = numpy.random.default_rng(1)
    documents = []
    for _ in range(40):
        score, right = float(generator.random()), bool(generator.random() < 0.8)
        documents.append(document(("likes", score, right), gold=[("likes", "PER", "ORG")] if right else []))
    scored = make_scored(*documents)
    before = Decisions(0.0)
    tuning = tune(scored, before, Options(parts=["relations"], shrinkage=0.0))
    assert tuning.taken == [] and tuning.refused == ["thresholds of relations"]
    assert tuning.after == before and tuning.expected is tuning.measured


def test_thresholds_that_gain_too_little_for_their_standard_error_are_refused():
    scored, options = noisy(400), Options(parts=["relations"], floor=0.001, margin=0.0)
    taken = tune(scored, Decisions(0.1), options)
    gain = f1(taken.expected.relations) - f1(taken.measured.relations)
    margin = gain / standard_error(*(each.relations.sum(axis=1) for each in (taken.measured, taken.expected)))
    assert taken.taken == ["thresholds of relations"] and margin > 0.5
    assert tune(scored, Decisions(0.1), replace(options, margin=margin - 0.01)).taken == taken.taken
    assert tune(scored, Decisions(0.1), replace(options, margin=margin + 0.01)).refused == taken.taken


def test_standard_error_is_that_of_the_bootstrap():
    one, other = numpy.random.default_rng(0).poisson([[3, 1, 1], [3, 2, 1]], (300, 2, 3)).swapaxes(0, 1)
    low, high = bootstrap(one[:, None], other[:, None])["F"][2:]
    assert standard_error(one, other) == pytest.approx((high - low) / (2 * 1.96), rel=0.05)
    assert standard_error(one, one) == standard_error(one[:0], other[:0]) == 0.0


@pytest.mark.parametrize("precision", [None, 0.5, 0.9])
def test_target_is_never_lower(precision):
    target = Target(precision)
    for seed in range(8):
        scored = noisy(60, seed=seed, sharp=1.0)
        tuning = tune(scored, BEFORE, Options(parts=PARTS, target=target, seed=seed))
        values = [target.value(each.relations.sum(axis=(0, 1))) for each in (tuning.measured, tuning.expected)]
        assert values[1] >= values[0]


def test_recall_at_a_precision():
    scored = noisy(400)
    before = Decisions(0.9)
    tuning = tune(scored, before, Options(parts=["relations"], target=Target(0.6)))
    right, wrong, missed = tuning.expected.relations.sum(axis=(0, 1))
    assert right / (right + wrong) >= 0.6
    assert missed < tuning.measured.relations.sum(axis=(0, 1))[2]


def test_types_are_not_learned_unless_asked():
    scored = noisy()
    assert tune(scored, BEFORE, Options()).after.types is None
    tuning = tune(scored, BEFORE, Options(parts=["types"]))
    assert tuning.taken == ["type constraints"]
    assert tuning.after == replace(BEFORE, types=frozenset({("likes", "PER", "ORG"), ("works_for", "PER", "ORG")}))
