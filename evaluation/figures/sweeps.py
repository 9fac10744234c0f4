"""What other thresholds and other ensembles give, and how members and truth agree.

Figures without a value (nothing to divide by) are None. Volumes are in mm3, lengths in mm, on the
T1-post grid. Shares are 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.figures.pooled import Estimate


@dataclass(frozen=True, slots=True)
class SummarySensitivity:
    """Detected share of the reference lesions, by equivalent diameter."""

    all: float | None
    ge_3mm: float | None
    ge_5mm: float | None
    ge_6mm: float | None


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """One ensemble at one threshold, over the scans in which all of its members took part."""

    threshold: float
    n_studies: int
    n_lesions: int
    detected: int
    false_positives: int
    sensitivity: SummarySensitivity
    fp_per_scan: float
    ppv: float | None
    median_dice: float | None
    mean_fn_rate: float | None
    mean_fd_rate: float | None


@dataclass(frozen=True, slots=True)
class FalsePositiveLevel:
    """Sensitivity where the FROC curve has this many false positives a scan.

    Parameters
    ----------
    sensitivity
        Without an interval where the level is not reached.
    reached
        Whether any threshold leaves so few; otherwise the sensitivity is that at the fewest, which more
        than reaches it.
    """

    fp_per_scan: float
    sensitivity: Estimate
    reached: bool


@dataclass(frozen=True, slots=True)
class EnsembleSweep:
    """One ensemble over the thresholds 0.05 .. 0.9995: its sweep and, read as a curve, its FROC.

    Parameters
    ----------
    name
        ``all``, ``t1_post``, ``subtraction``, a loss, or a member's own name.
    points
        By rising threshold.
    levels
        Sensitivity at 0.25, 0.5, 1, 2 and 4 false positives a scan.
    """

    name: str
    members: tuple[str, ...]
    points: tuple[SweepPoint, ...]
    levels: tuple[FalsePositiveLevel, ...]

    def at(self, threshold: float) -> SweepPoint:
        """Return the point nearest to a threshold."""
        return min(self.points, key=lambda point: abs(point.threshold - threshold))


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """The ensemble against its best member, both at the ensemble's false positives a scan.

    Parameters
    ----------
    best_member
        Of all members the one with the highest sensitivity there, chosen on the same scans (in its favour).
    member_reached
        Whether any threshold leaves that member so few false positives; if not, it is given its
        sensitivity at its fewest (in its favour).
    difference
        Ensemble's minus member's sensitivity, 95 % interval of the paired bootstrap over anatomies.
    p_value
        Two-sided, of no difference; None, as the interval, below two anatomies.
    """

    ensemble: str
    best_member: str
    fp_per_scan: float
    ensemble_sensitivity: float
    member_sensitivity: float
    member_reached: bool
    difference: Estimate
    p_value: float | None
    replicates: int


@dataclass(frozen=True, slots=True)
class MemberCorrelation:
    """Pearson's r between members, rows and columns in the order of ``members``; None where undefined.

    Parameters
    ----------
    lesion_peaks
        Over reference lesions: highest output inside.
    voxels
        Over the voxels that any member gives at least 0.05.
    """

    members: tuple[str, ...]
    lesion_peaks: tuple[tuple[float | None, ...], ...]
    voxels: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Voxels whose mean output lies in [low, high), and how many of them are lesion."""

    low: float
    high: float
    voxels: int
    mean_output: float | None
    lesion_share: float | None


@dataclass(frozen=True, slots=True)
class Reliability:
    """Output against truth, voxels of the T1-post grid with a mean output of at least ``floor``."""

    floor: float
    bins: tuple[ReliabilityBin, ...]
    expected_calibration_error: float | None


@dataclass(frozen=True, slots=True)
class OperatingPointChoice:
    """The most sensitive threshold and component size within a number of false positives a scan.

    Parameters
    ----------
    ensemble
        Name of a sweep.
    max_fp_per_scan
        What was allowed.
    threshold, minimum_component_voxels
        None when no threshold of the sweep stays within it.
    sensitivity, fp_per_scan
        What they give on these studies.
    """

    ensemble: str
    max_fp_per_scan: float
    threshold: float | None
    minimum_component_voxels: int | None
    sensitivity: float | None
    fp_per_scan: float | None
