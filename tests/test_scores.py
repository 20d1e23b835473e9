"""Intervals and calibration, against closed forms, another library's figures and simulation."""

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.metrics import f1_score

from steelfast._scores import calibration_error, f1_interval, paired_interval, reliability_bins, wilson


@pytest.mark.parametrize(("n_right", "n"), [(0, 5), (5, 5), (12, 20), (283, 389), (1, 1000)])
def test_wilson_is_where_the_score_is_1_96_deviations_off(n_right, n):
    low, high = wilson(n_right, n)
    for bound in (low, high):
        if 0 < bound < 1:
            assert abs(n_right / n - bound) == pytest.approx(1.959963985 * np.sqrt(bound * (1 - bound) / n))
    assert 0 <= low <= n_right / n <= high <= 1


def test_a_share_of_nothing_is_unknown():
    assert np.isnan(wilson(0, 0)).all()
    assert np.isnan(f1_interval(0, 0, 0)).all()


def test_f1_lies_in_its_interval():
    rng = np.random.default_rng(0)
    for _ in range(20):
        target, predicted = rng.random((2, 50)) < rng.random((2, 1))
        low, high = f1_interval((target & predicted).sum(), target.sum(), predicted.sum())
        assert low - 1e-12 <= f1_score(target, predicted, zero_division=0.0) <= high + 1e-12


def test_the_interval_of_f1_covers_it_95_times_in_100():
    rng = np.random.default_rng(1)
    shares = {"both": 0.1, "target": 0.05, "predicted": 0.08, "neither": 0.77}
    f1 = 2 * 0.1 / (2 * 0.1 + 0.05 + 0.08)
    counts = rng.multinomial(400, list(shares.values()), size=1000)
    covered = [low <= f1 <= high for low, high in (f1_interval(b, b + t, b + p) for b, t, p, _ in counts)]
    assert binom.cdf(sum(covered), 1000, 0.95) > 1e-4
    assert binom.sf(sum(covered), 1000, 0.95) > 1e-4


def test_bins_count_each_row_once():
    rng = np.random.default_rng(2)
    confidence = np.concatenate([rng.random(200), [0.0, 0.3, 1.0]])
    right = rng.random(203) < confidence
    bins = reliability_bins(right, confidence, n_bins=7)
    assert sum(each.n_rows for each in bins) == 203
    for each in bins:
        k = int(each.confidence * 7)
        rows = (confidence >= k / 7) & ((confidence < (k + 1) / 7) | (k == 6))
        assert each.n_rows == rows.sum()
        assert each.accuracy == right[rows].mean()
        assert each.confidence == pytest.approx(confidence[rows].mean())
        assert each.interval == wilson(right[rows].sum(), rows.sum())


def test_the_calibration_error_is_the_mean_gap():
    # 4 rows at 0.55 of which 1 is right, 6 at 0.95 of which all are
    bins = reliability_bins([True] + [False] * 3 + [True] * 6, [0.55] * 4 + [0.95] * 6)
    assert calibration_error(bins) == pytest.approx((4 * 0.30 + 6 * 0.05) / 10)


def test_who_is_as_often_right_as_he_says_has_no_calibration_error():
    rng = np.random.default_rng(3)
    confidence = rng.random(200_000)
    assert calibration_error(reliability_bins(rng.random(200_000) < confidence, confidence)) < 0.005


def test_paired_interval_is_that_of_nadeau_and_bengio():
    # by hand: mean 0.02, variance 0.0001, factor 1/4 + 1/3, Student's t with 3 degrees of freedom 3.182446
    differences = [0.01, 0.02, 0.02, 0.03]
    half = 3.182446305 * np.sqrt(np.var(differences, ddof=1) * (1 / 4 + 1 / 3))
    assert paired_interval(differences) == pytest.approx((0.02 - half, 0.02 + half))
    assert paired_interval([0.1, 0.1]) == pytest.approx((0.1, 0.1))
