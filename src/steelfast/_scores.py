"""How far a figure of a test can be trusted, and how far the probabilities of a classifier can."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["Bin", "calibration_error", "f1_interval", "paired_interval", "reliability_bins", "wilson"]


class Bin(NamedTuple):
    """Rows whose predicted class has a probability in the same range."""

    n_rows: int
    confidence: float  # mean probability of the predicted classes
    accuracy: float  # share of the rows whose predicted class is right
    interval: tuple[float, float]  # of the accuracy, 95 %, by Wilson


def wilson(n_right: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share by Wilson's score, as SciPy has it; NaN where there is nothing to share."""
    from scipy.stats import binomtest

    if n == 0:
        return np.nan, np.nan
    interval = binomtest(n_right, n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def f1_interval(n_right: int, n_true: int, n_predicted: int) -> tuple[float, float]:
    """A 95 % interval of an F1 score.

    F1 = 2 J / (1 + J), where J is the share of right rows among those that are of the class or were taken for it:
    the interval is Wilson's of J, carried over.
    """
    low, high = wilson(n_right, n_true + n_predicted - n_right)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def reliability_bins(right: ArrayLike, confidence: ArrayLike, n_bins: int = 10) -> list[Bin]:
    """How often the predicted class is right, by the probability that it was given.

    Parameters
    ----------
    right : bool array-like of shape (n,)
        Whether the predicted class is the true one.
    confidence : array-like of shape (n,)
        The probability of the predicted class.
    n_bins : int, default 10
        Into how many ranges of equal width 0 … 1 is divided; those without rows are left out.

    Returns
    -------
    list of Bin

    Examples
    --------
    >>> from steelfast._scores import reliability_bins
    >>> [(each.n_rows, each.accuracy) for each in reliability_bins([True, False, True], [0.55, 0.55, 0.95])]
    [(2, 0.5), (1, 1.0)]
    """
    right, confidence = np.asarray(right, bool), np.asarray(confidence, float)
    number = np.minimum((confidence * n_bins).astype(int), n_bins - 1)  # a probability of 1 is in the last
    bins = []
    for k in np.unique(number):
        rows = number == k
        n_rows, n_right = int(rows.sum()), int(right[rows].sum())
        bins.append(Bin(n_rows, float(confidence[rows].mean()), n_right / n_rows, wilson(n_right, n_rows)))
    return bins


def calibration_error(bins: list[Bin]) -> float:
    """The expected calibration error: the mean over the rows of |accuracy − confidence| of their bins.

    References
    ----------
    Naeini, M. P., Cooper, G. F. and Hauskrecht, M. (2015). Obtaining well calibrated probabilities using Bayesian
    binning. AAAI.
    """
    gaps = [each.n_rows * abs(each.accuracy - each.confidence) for each in bins]
    return float(sum(gaps) / sum(each.n_rows for each in bins))


def paired_interval(differences: ArrayLike) -> tuple[float, float]:
    """The 95 % interval of a mean difference between two classifiers in the same folds of a cross-validation.

    The folds share training rows and vary less than new ones would: with n of them the variance of their mean is taken
    for 1/n + 1/(n − 1) times that of the folds, the second part being test rows by training rows.

    References
    ----------
    Nadeau, C. and Bengio, Y. (2003). Inference for the generalization error. Machine Learning 52, 239-281.
    """
    from scipy.stats import t

    folds = np.asarray(differences, float)
    n = len(folds)
    half = t.ppf(0.975, n - 1) * folds.std(ddof=1) * np.sqrt(1 / n + 1 / (n - 1))
    return float(folds.mean() - half), float(folds.mean() + half)
