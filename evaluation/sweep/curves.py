"""FROC curves of an ensemble, over all studies or any resampling of their anatomies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.scoring.statistics import sum_by_group
from evaluation.sweep.study import THRESHOLDS, StudyTally

Floats = NDArray[np.float64]


class FrocCurve:
    """What one ensemble finds and invents, by anatomy and threshold."""

    def __init__(self, studies: Sequence[StudyTally], name: str, minimum_voxels: int) -> None:
        anatomies = [study.anatomy for study in studies]

        def by_anatomy(values: list[list[int]]) -> Floats:
            """Return (anatomies, thresholds)."""
            columns = [sum_by_group(anatomies, column) for column in zip(*values, strict=True)]
            return np.stack(columns, axis=1)

        tallies = [study.tallies[name] for study in studies]
        self._found = by_anatomy([[int(t.detected(minimum_voxels).sum()) for t in row] for row in tallies])
        self._invented = by_anatomy([[t.false_positives(minimum_voxels) for t in row] for row in tallies])
        self._lesions = sum_by_group(anatomies, [len(study.lesion_sizes_mm3) for study in studies])
        self._scans = sum_by_group(anatomies, [1] * len(studies))

    @property
    def n_anatomies(self) -> int:
        """Heads or patients of the studies."""
        return len(self._scans)

    @property
    def n_lesions(self) -> int:
        """Reference lesions of all studies."""
        return int(self._lesions.sum())

    def points(self, weights: Floats | None = None) -> tuple[Floats, Floats]:
        """Return false positives a scan and sensitivity, each (weightings, thresholds).

        Parameters
        ----------
        weights
            (weightings, anatomies): how often each counts; None counts each once.
        """
        weights = np.ones((1, self.n_anatomies)) if weights is None else weights
        lesions = np.maximum(weights @ self._lesions, 1)[:, None]
        scans = (weights @ self._scans)[:, None]
        return weights @ self._invented / scans, weights @ self._found / lesions

    def fp_per_scan(self, threshold: float) -> float:
        """Return the false positives a scan of all studies at a threshold, on the line between the swept."""
        return float(np.interp(threshold, THRESHOLDS, self.points()[0][0]))


def read_curve(fp_per_scan: Floats, sensitivity: Floats, level: float, *, at_fewest: bool = False) -> Floats:
    """Read FROC curves at a number of false positives a scan.

    A curve is the straight line through its points, its best so far where it falls; beyond its last point
    it stays level. Thresholds that leave nothing at all are no points of it.

    Parameters
    ----------
    fp_per_scan, sensitivity
        (curves, thresholds), by rising threshold.
    at_fewest
        How to go on below the fewest false positives any threshold leaves: with the sensitivity there, more
        than the curve is known to have; or on the line to the origin, which leaving out findings at random
        would give, and so no more than it has.

    Returns
    -------
    NDArray[np.float64]
        (curves,)
    """
    x, y = _by_rising_fp(fp_per_scan, sensitivity)
    rows = np.arange(len(x))
    is_point = (x > 0) | (y > 0)
    start = y[rows, is_point.argmax(axis=1)] if at_fewest else np.zeros(len(x))
    y = np.hstack([start[:, None], np.where(is_point, y, start[:, None])])
    x = np.hstack([np.zeros((len(x), 1)), x])
    left = (x <= level).sum(axis=1) - 1
    right = np.minimum(left + 1, x.shape[1] - 1)
    run = x[rows, right] - x[rows, left]
    part = np.divide(level - x[rows, left], run, out=np.zeros(len(x)), where=run > 0)
    return np.asarray(y[rows, left] + part * (y[rows, right] - y[rows, left]), dtype=np.float64)


def is_reached(fp_per_scan: Floats, sensitivity: Floats, level: float) -> bool:
    """Tell of one curve whether any threshold that leaves findings leaves so few false positives."""
    x, y = _by_rising_fp(fp_per_scan, sensitivity)
    is_point = (x > 0) | (y > 0)
    return not is_point.any() or bool(x[is_point].min() <= level)


def _by_rising_fp(fp_per_scan: Floats, sensitivity: Floats) -> tuple[Floats, Floats]:
    x = np.maximum.accumulate(fp_per_scan[:, ::-1], axis=1)
    return x, np.maximum.accumulate(sensitivity[:, ::-1], axis=1)
