"""Intervals, correlations and distributions, each with None where it is not defined."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.figures.pooled import BlandAltman, Distribution, Estimate, Proportion

Floats = NDArray[np.float64]

Z_95 = 1.959963984540054
"""Two-sided 95 % of a normal distribution."""

REPLICATES = 10_000
"""Of every bootstrap, as in the paper."""

BOOTSTRAP_SEED = 20_261
"""Any number: the same studies give the same intervals."""


LEAST_GROUPS = 2
"""Drawn with replacement, one group alone is always the same: its interval would have no width."""


def share(events: int, trials: int) -> float | None:
    """Return events / trials."""
    return events / trials if trials else None


def proportion(events: int, trials: int) -> Proportion:
    """Return a share with Wilson's score interval."""
    if trials == 0:
        return Proportion(events, trials, None, None, None)
    p, square = events / trials, Z_95**2
    centre = (p + square / (2 * trials)) / (1 + square / trials)
    half = Z_95 / (1 + square / trials) * math.sqrt(p * (1 - p) / trials + square / (4 * trials**2))
    # At the ends the bound is the share itself, but for rounding.
    return Proportion(events, trials, p, max(min(centre - half, p), 0.0), min(max(centre + half, p), 1.0))


def distribution(values: Sequence[float]) -> Distribution:
    """Describe values by moments and quartiles."""
    if not values:
        return Distribution(0, None, None, None, None, None)
    q1, median, q3 = np.percentile(values, (25, 50, 75)).tolist()
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Distribution(len(values), float(np.mean(values)), sd, median, q1, q3)


def pearson(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Return Pearson's r; None below two values or where one side is constant."""
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.corrcoef(x, y)[0, 1])


def bland_altman(found_mm3: Sequence[float], reference_mm3: Sequence[float]) -> BlandAltman:
    """Return the mean difference and the limits of agreement."""
    difference = np.subtract(found_mm3, reference_mm3)
    if len(difference) < 2:
        return BlandAltman(float(difference[0]) if len(difference) else None, None, None)
    bias, half = float(difference.mean()), Z_95 * float(difference.std(ddof=1))
    return BlandAltman(bias, bias - half, bias + half)


def resample(groups: int, replicates: int = REPLICATES, seed: int = BOOTSTRAP_SEED) -> Floats:
    """Return (replicates, groups): how often each group is drawn when as many as there are are drawn."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(groups, np.full(groups, 1 / groups), size=replicates).astype(np.float64)


def sum_by_group(groups: Sequence[str], values: Sequence[float]) -> Floats:
    """Return the sum of the values of each group, groups in alphabetical order."""
    _, index = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    sums = np.bincount(index, weights=np.asarray(values, dtype=np.float64))
    return np.asarray(sums, dtype=np.float64)


def bootstrap_ratio(
    groups: Sequence[str], numerators: Sequence[float], denominators: Sequence[float]
) -> Estimate:
    """Return sum / sum with its 95 % interval over resampled groups; no interval below two groups.

    Parameters
    ----------
    groups
        The group of each value: values of a group are drawn together.
    """
    number = len(set(groups))
    if sum(denominators) == 0:
        return Estimate(None, None, None, number)
    above, below = sum_by_group(groups, numerators), sum_by_group(groups, denominators)
    value = float(above.sum() / below.sum())
    if number < LEAST_GROUPS:
        return Estimate(value, None, None, number)
    weights = resample(number)
    totals = weights @ below
    return Estimate(value, *percentile_interval((weights @ above)[totals > 0] / totals[totals > 0]), number)


def percentile_interval(replicates: Floats) -> tuple[float, float]:
    """Return the 95 % interval of a bootstrap."""
    low, high = np.percentile(replicates, (2.5, 97.5)).tolist()
    return low, high
