"""What all scans give together at one operating point.

Figures without a value (nothing to divide by) are None. Volumes are in mm3, lengths in mm, on the
T1-post grid. Shares are 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.figures.outcomes import FalsePositive, LesionOutcome, StudyOutcome


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval; None where there is nothing to estimate it from.

    Parameters
    ----------
    n_anatomies
        Heads or patients the interval comes from; below two there is none.
    """

    value: float | None
    low: float | None
    high: float | None
    n_anatomies: int


@dataclass(frozen=True, slots=True)
class Proportion:
    """``events`` of ``trials``, with Wilson's 95 % interval."""

    events: int
    trials: int
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Distribution:
    """Of ``n`` values; ``sd`` is the sample's, None below two values."""

    n: int
    mean: float | None
    sd: float | None
    median: float | None
    q1: float | None
    q3: float | None


@dataclass(frozen=True, slots=True)
class SizeSensitivity:
    """Detected lesions of one size class.

    Parameters
    ----------
    size
        Name in ``evaluation.figures.size_classes``.
    detected
        With Wilson's interval: lesions as if independent.
    bootstrap
        95 % interval of the share over resampled anatomies: lesions of a head go together.
    """

    size: str
    detected: Proportion
    bootstrap: Estimate


@dataclass(frozen=True, slots=True)
class BlandAltman:
    """Found minus reference volume a scan: mean, and mean -+ 1.96 standard deviations."""

    bias_mm3: float | None
    low_mm3: float | None
    high_mm3: float | None


@dataclass(frozen=True, slots=True)
class PooledFigures:
    """All scans together.

    Parameters
    ----------
    sensitivity
        By size class.
    strict_sensitivity
        Of all lesions by one-to-one matching.
    ppv
        Detected reference lesions / (those + false positives), as the paper counts.
    fp_per_scan
        With a bootstrap interval over anatomies.
    fp_per_scan_without_lesions
        Over scans whose reference is empty; None without any.
    dice, hd95_mm, hd95_symmetric_mm
        Dice a scan; distances of the detected lesions.
    lesion_dice
        Of the detected lesions.
    surface_dice
        At 1 mm, of the detected lesions.
    case_sensitivity, case_fn_rate, case_fd_rate
        Over scans with lesions.
    volume_r, count_r
        Pearson, found against reference, totals of a scan, over scans with lesions as in the paper.
    volume_r_all_scans, count_r_all_scans
        Those without lesions among them.
    log_volume_dice_r, log_lesion_volume_dice_r
        Pearson of log10 volume and Dice, over scans with lesions, over detected lesions.
    volume_agreement
        Bland-Altman of a scan's total volume.
    brats_dice, brats_hd95_mm
        Mean over scans of the BraTS-METS lesion-wise scores.
    """

    n_studies: int
    n_lesions: int
    n_false_positives: int
    sensitivity: tuple[SizeSensitivity, ...]
    strict_sensitivity: Proportion
    ppv: Proportion
    fp_per_scan: Estimate
    fp_per_scan_without_lesions: float | None
    dice: Distribution
    hd95_mm: Distribution
    hd95_symmetric_mm: Distribution
    lesion_dice: Distribution
    surface_dice: Distribution
    case_sensitivity: Distribution
    case_fn_rate: Distribution
    case_fd_rate: Distribution
    volume_r: float | None
    count_r: float | None
    volume_r_all_scans: float | None
    count_r_all_scans: float | None
    log_volume_dice_r: float | None
    log_lesion_volume_dice_r: float | None
    volume_agreement: BlandAltman
    brats_dice: float | None
    brats_hd95_mm: float | None


@dataclass(frozen=True, slots=True)
class StructureCount:
    """How many false positives sit on a structure that takes up contrast."""

    structure: str
    false_positives: int
    share: float


@dataclass(frozen=True, slots=True)
class OperatingFigures:
    """Everything at one operating point.

    Parameters
    ----------
    members
        Names of those that take part.
    false_positive_structures
        Most frequent first; None where no structures are known.
    """

    threshold: float
    minimum_component_voxels: int
    members: tuple[str, ...]
    pooled: PooledFigures
    studies: tuple[StudyOutcome, ...]
    lesions: tuple[LesionOutcome, ...]
    false_positives: tuple[FalsePositive, ...]
    false_positive_structures: tuple[StructureCount, ...] | None
