"""Is the ensemble better than its best member, at equal false positives? Paired bootstrap over anatomies."""

from __future__ import annotations

from collections.abc import Sequence

from evaluation.figures.pooled import Estimate
from evaluation.figures.sweeps import PairedComparison
from evaluation.scoring.statistics import LEAST_GROUPS, REPLICATES, percentile_interval, resample
from evaluation.sweep.curves import Floats, FrocCurve, is_reached, read_curve
from evaluation.sweep.study import StudyTally, Subset


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
    if len(members) < 2 or not sum(len(study.lesion_sizes_mm3) for study in studies):
        return None
    whole = FrocCurve(studies, ensemble.name, minimum_voxels)
    alone = {member.name: FrocCurve(studies, member.name, minimum_voxels) for member in members}
    level = whole.fp_per_scan(threshold)
    found = {name: float(_read_member(curve.points(), level)[0]) for name, curve in alone.items()}
    best = max(found, key=lambda name: found[name])
    sensitivity = float(read_curve(*whole.points(), level)[0])
    difference, p_value = _bootstrap(whole, alone[best], level, sensitivity - found[best])
    return PairedComparison(
        ensemble=ensemble.name,
        best_member=best,
        fp_per_scan=level,
        ensemble_sensitivity=sensitivity,
        member_sensitivity=found[best],
        member_reached=is_reached(*alone[best].points(), level),
        difference=difference,
        p_value=p_value,
        replicates=REPLICATES,
    )


def _read_member(points: tuple[Floats, Floats], level: float) -> Floats:
    """Read a member at no less than it has: where it does not get so low, at its fewest false positives."""
    return read_curve(*points, level, at_fewest=True)


def _bootstrap(
    whole: FrocCurve, member: FrocCurve, level: float, difference: float
) -> tuple[Estimate, float | None]:
    """Return the difference with its interval, and the p-value of none; neither below two anatomies."""
    number = whole.n_anatomies
    if number < LEAST_GROUPS:
        return Estimate(difference, None, None, number), None
    weights = resample(number)
    differences = read_curve(*whole.points(weights), level) - _read_member(member.points(weights), level)
    return Estimate(difference, *percentile_interval(differences), number), _two_sided(differences)


def _two_sided(differences: Floats) -> float:
    """Return twice the smaller share of replicates on one side of 0, never below what they can resolve."""
    least = 1 / (len(differences) + 1)
    tail = min(float((differences <= 0).mean()), float((differences >= 0).mean()))
    return min(max(2 * tail, least), 1.0)
