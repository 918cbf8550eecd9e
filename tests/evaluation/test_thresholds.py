"""The best thresholds, against values worked out by hand and against all others."""

import itertools

import numpy
import pytest

from spacy_spert.evaluation.thresholds import Target, best_thresholds


def best(scores, right, columns, gold, target=None, **settings):
    arrays = numpy.asarray(scores, dtype="float64"), numpy.asarray(right, dtype=bool), numpy.asarray(columns, dtype=int)
    settings = {"shrinkage": 0.0, **settings}
    common, values = best_thresholds(*arrays, numpy.asarray(gold), target or Target(), **settings)
    return common, values.tolist()


def test_targets_rate_counts():
    assert Target().value((3, 1, 2)) == (6 / 9,)
    assert Target().value((0, 0, 0)) == (0.0,)
    precise = Target(0.75)
    assert precise.value((3, 1, 3)) == (1.0, 0.5)
    assert precise.value((3, 2, 0)) == (0.0, 0.6)
    # Nothing comes out: the precision is reached, the recall is the lowest.
    assert precise.value((0, 0, 3)) == (1.0, 0.0)
    assert precise.value((0, 0, 3)) > precise.value((3, 2, 0))


def test_threshold_lies_between_scores():
    # With two out F1 is 1, with one 2/3, with three 4/5.
    common, values = best([0.9, 0.5, 0.25], [1, 1, 0], [0, 0, 0], [2])
    assert common == pytest.approx(0.375) and values == [pytest.approx(0.375)]


def test_everything_or_nothing():
    assert best([0.5, 0.75], [1, 1], [0, 0], [2], floor=0.25)[1] == [pytest.approx(0.375)]
    assert best([0.5, 0.75], [1, 1], [0, 0], [2])[1] == [pytest.approx(0.25)]
    # One label has nothing that is right: its threshold is above all.
    assert best([0.5, 0.75], [1, 0], [0, 1], [1, 1])[1] == [pytest.approx(0.25), pytest.approx(0.875)]


def test_equal_scores_come_out_together():
    common, _ = best([0.8, 0.5, 0.5, 0.5], [1, 1, 0, 1], [0] * 4, [3])
    assert common == pytest.approx(0.25)


def test_no_thresholds_are_better_over_all_labels():
    generator = numpy.random.default_rng(0)
    for _ in range(20):
        scores, right = generator.random(12), generator.random(12) < 0.5
        columns, gold = numpy.repeat([0, 1, 2], 4), numpy.asarray([3, 5, 4])

        def f1(thresholds, scores=scores, right=right, columns=columns, gold=gold):
            kept = scores >= numpy.asarray(thresholds)[columns]
            return 2 * (kept & right).sum() / (kept.sum() + gold.sum())

        def f_at(thresholds, scores=scores, right=right, columns=columns):
            kept = scores >= numpy.asarray(thresholds)[columns]
            return (kept & right).sum(), kept.sum()

        every = [numpy.append(scores[columns == i], 1.0) for i in range(3)]
        _, values = best(scores, right, columns, gold)
        assert f1(values) == pytest.approx(max(map(f1, itertools.product(*every))))
        common, _ = best(scores, right, columns, gold)
        assert f1([common] * 3) == pytest.approx(max(f1([value] * 3) for value in [*scores, 1.0]))
        _, values = best(scores, right, columns, gold, Target(0.75))
        n_right, n = f_at(values)
        assert n_right >= 0.75 * n


def test_recall_is_highest_at_the_precision():
    scores, right = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4], [1, 1, 0, 1, 0, 0]
    # Three of four are right down to 0.6; below there are fewer.
    assert best(scores, right, [0] * 6, [3], Target(0.75))[0] == pytest.approx(0.55)
    assert best(scores, right, [0] * 6, [3], Target(0.9))[0] == pytest.approx(0.75)
    # Any precision will do, but what finds nothing more does not come out.
    assert best(scores, right, [0] * 6, [3], Target(0.0))[0] == pytest.approx(0.55)
    # Nothing is precise enough.
    assert best([0.9, 0.8], [0, 0], [0, 0], [1], Target(0.5))[0] == pytest.approx(0.95)


def test_thresholds_of_rare_labels_lie_near_the_common_one():
    scores, right, columns = [0.9, 0.5, 0.8, 0.3], [1, 1, 1, 1], [0, 0, 1, 1]
    gold = [2, 2]
    own = best(scores, right, columns, gold)[1]
    assert own == [pytest.approx(0.25), pytest.approx(0.15)]
    common, values = best(scores, right, columns, gold, shrinkage=2.0)
    assert common == pytest.approx(0.15)

    def logit(value):
        return numpy.log(value / (1 - value))

    assert logit(values[0]) == pytest.approx((logit(0.25) + logit(0.15)) / 2)
    assert best(scores, right, columns, gold, shrinkage=1e9)[1] == pytest.approx([0.15, 0.15])


def test_labels_without_candidates_or_gold_have_the_common_threshold():
    common, values = best([0.9, 0.5, 0.3], [1, 1, 0], [0, 0, 2], [2, 3, 0], shrinkage=1.0)
    assert values[1] == values[2] == common


def test_nothing_to_choose_from():
    common, values = best([], [], [], [0, 1])
    assert common == values[0] == values[1] and 0.0 <= common <= 1.0


def test_each_label_has_its_floor():
    assert best([0.5, 0.5], [1, 1], [0, 1], [1, 1], floor=[0.1, 0.3])[1] == [pytest.approx(0.3), pytest.approx(0.4)]
