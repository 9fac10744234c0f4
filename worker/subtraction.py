"""T1-post minus T1: what contrast added, and whether it added anything."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.errors import MetserveError, UnsuitableReason, UnsuitableStudy

ENHANCEMENT_PERCENTILES = (0.1, 99.9)
"""Of the subtraction in the brain. Sinuses, veins, dura and plexus fill far more than 0.1 %, about 1.5 mL."""

TREND_WINDOW_VOXELS = 31
"""Side of the window whose mean is taken off: wider than any vessel, narrower than the coils' shading."""

MIN_ENHANCEMENT = 0.05
"""Least excess of bright over dark subtraction residue, as a share of T1-post's median in the brain.

Motion and noise leave as much dark as bright. Measured on phantoms without a lesion, 1 mm: full contrast 0.80
to 0.85, 30 % of it 0.18 to 0.20, none 0.00 to 0.01; full contrast with fat suppressed in T1-post alone 0.33
to 0.55. With fat suppressed in T1 alone the bright fat at the brain's edge looks like contrast: such a pair
without contrast passes.
"""

COMPARABLE_CORRELATION = 0.62
"""Registered scans of the same kind reach 0.64 to 0.97; with fat suppressed in one of them, 0.54 to 0.61."""


class UnusableT1(MetserveError):
    """T1 cannot be compared with T1-post: go on without it."""


def subtract(
    post_kji: NDArray[np.float32],
    pre_kji: NDArray[np.float32],
    brain_kji: NDArray[np.bool_],
    mask_kji: NDArray[np.bool_],
    correlation: float,
) -> NDArray[np.float32]:
    """Scale T1 to T1-post's median in the brain and subtract it.

    Parameters
    ----------
    post_kji, pre_kji
        On the analysis grid; T1 is NaN where it does not reach.
    brain_kji, mask_kji
        Brain, and the dilated brain in which the medians are taken.
    correlation
        Of both scans after registration, 0..1.

    Returns
    -------
    NDArray[np.float32]
        In T1-post's unit, NaN where T1 does not reach.

    Raises
    ------
    UnsuitableStudy
        No contrast was given, or T1-post's brain is empty.
    UnusableT1
        T1's brain is empty, or it is of another kind than T1-post.
    """
    compared = mask_kji & np.isfinite(pre_kji)
    post_median, pre_median = float(np.median(post_kji[compared])), float(np.median(pre_kji[compared]))
    if post_median <= 0:
        raise UnsuitableStudy(
            UnsuitableReason.UNREADABLE_PIXELS,
            f"the brain's median is {post_median:g} in T1-post, expected a positive value",
        )
    if pre_median <= 0:
        raise UnusableT1(f"the brain's median is {pre_median:g} in T1, expected a positive value")
    difference_kji = post_kji - pre_kji * np.float32(post_median / pre_median)
    _check_enhancement(enhancement(difference_kji, brain_kji) / post_median, correlation)
    return difference_kji


def enhancement(difference_kji: NDArray[np.float32], brain_kji: NDArray[np.bool_]) -> float:
    """Return the excess of bright over dark subtraction residue in the brain, shading taken off.

    Scalp and marrow stay out: fat suppression in one of the scans makes them brighter or darker than vessels.
    """
    compared = brain_kji & np.isfinite(difference_kji)
    inside = np.where(compared, difference_kji, 0)
    share = ndimage.uniform_filter(compared.astype(np.float32), TREND_WINDOW_VOXELS)
    trend = ndimage.uniform_filter(inside, TREND_WINDOW_VOXELS)[compared] / share[compared]
    dark, bright = np.percentile(inside[compared] - trend, ENHANCEMENT_PERCENTILES)
    return float(bright + dark)


def _check_enhancement(excess: float, correlation: float) -> None:
    if excess >= MIN_ENHANCEMENT:
        return
    if correlation < COMPARABLE_CORRELATION:
        raise UnusableT1(
            f"T1 and T1-post correlate by {correlation:.2f} after registration, expected at least "
            f"{COMPARABLE_CORRELATION} where vessels do not show (by {excess:.2f} of the brain's median)"
        )
    raise UnsuitableStudy(
        UnsuitableReason.NO_ENHANCEMENT,
        f"vessels in T1-post exceed T1 by {excess:.2f} of the brain's median, "
        f"expected at least {MIN_ENHANCEMENT}: was contrast given, are the series swapped?",
    )
