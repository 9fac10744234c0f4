"""Is the ensemble better than its best member, at equal false positives? Paired bootstrap over anatomies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.figures.pooled import Estimate
from evaluation.figures.sweeps import PairedComparison
from evaluation.scoring.statistics import REPLICATES, resample, sum_by_group
from evaluation.sweep.froc import read_curve
from evaluation.sweep.study import THRESHOLDS, StudyTally, Subset

Floats = NDArray[np.float64]


class _Curves:
    """The FROC curve of one ensemble, over all studies or any resampling of their anatomies."""

    def __init__(self, studies: Sequence[StudyTally], name: str, minimum_voxels: int) -> None:
        anatomies = [study.anatomy for study in studies]

        def by_anatomy(values: list[list[int]]) -> Floats:
            """Return (anatomies, thresholds)."""
            columns = [sum_by_group(anatomies, column) for column in zip(*values, strict=True)]
            return np.stack(columns, axis=1)

        tallies = [study.tallies[name] for study in studies]
        self._found = by_anatomy([[int(t.detected(minimum_voxels).sum()) for t in row] for row in tallies])
        self._invented = by_anatomy([[t.false_positives(minimum_voxels) for t in row] for row in tallies])
        self._lesions = sum_by_group(anatomies, [len(study.lesion_volumes_mm3) for study in studies])
        self._scans = sum_by_group(anatomies, [1] * len(studies))

    def read(self, weights: Floats, fp_per_scan: float) -> Floats:
        """Return the sensitivity of each weighting of the anatomies at so many false positives a scan."""
        lesions = np.maximum(weights @ self._lesions, 1)[:, None]
        scans = (weights @ self._scans)[:, None]
        return read_curve(weights @ self._invented / scans, weights @ self._found / lesions, fp_per_scan)

    def fp_per_scan(self, threshold: float) -> float:
        """Return the false positives a scan of all studies at a threshold, on the line between the swept."""
        rates = self._invented.sum(axis=0) / self._scans.sum()
        return float(np.interp(threshold, THRESHOLDS, rates))


def compare_with_best_member(
    tallies: Sequence[StudyTally],
    ensemble: Subset,
    members: Sequence[Subset],
    threshold: float,
    minimum_voxels: int,
) -> PairedComparison | None:
    """Compare an ensemble with the member that does best where the ensemble operates.

    Parameters
    ----------
    ensemble
        Studies that lack one of its members are left out.
    members
        Each alone.
    threshold, minimum_voxels
        The ensemble's operating point; its false positives a scan are those compared at.

    Returns
    -------
    PairedComparison | None
        None with fewer than two members, or without studies or lesions.
    """
    studies = [tally for tally in tallies if ensemble.name in tally.tallies]
    if len(members) < 2 or not sum(len(study.lesion_volumes_mm3) for study in studies):
        return None
    whole = _Curves(studies, ensemble.name, minimum_voxels)
    alone = {member.name: _Curves(studies, member.name, minimum_voxels) for member in members}
    level = whole.fp_per_scan(threshold)
    groups = len({study.anatomy for study in studies})
    once = np.ones((1, groups))
    found = {name: float(curves.read(once, level)[0]) for name, curves in alone.items()}
    best = max(found, key=lambda name: found[name])
    sensitivity = float(whole.read(once, level)[0])
    weights = resample(groups)
    differences = whole.read(weights, level) - alone[best].read(weights, level)
    low, high = np.percentile(differences, (2.5, 97.5)).tolist()
    return PairedComparison(
        ensemble=ensemble.name,
        best_member=best,
        fp_per_scan=level,
        ensemble_sensitivity=sensitivity,
        member_sensitivity=found[best],
        difference=Estimate(sensitivity - found[best], low, high),
        p_value=_two_sided(differences),
        replicates=REPLICATES,
        n_anatomies=groups,
    )


def _two_sided(differences: Floats) -> float:
    """Return twice the smaller share of replicates on one side of 0, never below what they can resolve."""
    least = 1 / (len(differences) + 1)
    tail = min(float((differences <= 0).mean()), float((differences >= 0).mean()))
    return min(max(2 * tail, least), 1.0)
