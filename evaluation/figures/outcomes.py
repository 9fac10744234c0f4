"""What was found of each lesion and in each scan.

Figures without a value (nothing to divide by) are None. Volumes are in mm3, lengths in mm, on the
T1-post grid. Shares are 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.study import AnalysisMode, QualityFlag, Vector


@dataclass(frozen=True, slots=True)
class LesionOutcome:
    """One reference lesion and what was found of it.

    Parameters
    ----------
    study, anatomy, number
        The number in the reference label map.
    volume_mm3, centroid_lps_mm
        Of the reference's voxels.
    true_volume_mm3
        Of what the synthesis drew, which voxels show roughly where it is small; None where nobody knows.
    equivalent_diameter_mm
        Of the true volume where it is known, else of the voxels'.
    detected
        Any predicted voxel overlaps it (the paper's rule).
    strictly_detected
        It has a predicted lesion to itself: one-to-one matching of highest Dice.
    predicted_volume_mm3
        Of the predicted lesions that overlap it, whole; 0 when not detected.
    dice
        Against the union of those; 0 when not detected.
    hd95_mm
        95th percentile of the distances from the prediction's surface to the reference's (the
        paper's direction); None when not detected.
    hd95_symmetric_mm
        The larger of both directions.
    surface_dice
        Share of both surfaces that lies within 1 mm of the other; None when not detected.
    member_peaks
        Highest output of each member inside the lesion, in the header's order; None where a member
        took no part.
    """

    study: str
    anatomy: str
    number: int
    volume_mm3: float
    true_volume_mm3: float | None
    equivalent_diameter_mm: float
    centroid_lps_mm: Vector
    detected: bool
    strictly_detected: bool
    predicted_volume_mm3: float
    dice: float
    hd95_mm: float | None
    hd95_symmetric_mm: float | None
    surface_dice: float | None
    member_peaks: tuple[float | None, ...]

    @property
    def size_mm3(self) -> float:
        """The volume that decides the size class: the true one where it is known."""
        return self.volume_mm3 if self.true_volume_mm3 is None else self.true_volume_mm3


@dataclass(frozen=True, slots=True)
class FalsePositive:
    """A predicted lesion that overlaps no reference lesion.

    Parameters
    ----------
    number
        In the prediction, 1 is the largest.
    structure
        Name of the ``Enhancing`` it sits on: the one with most voxels in it and its rim of one voxel, if
        these are at least a quarter as many as its own. ``NONE`` on nothing that enhances, None where
        the structures are not known.
    """

    study: str
    number: int
    volume_mm3: float
    centroid_lps_mm: Vector
    peak_probability: float
    structure: str | None


@dataclass(frozen=True, slots=True)
class BratsScore:
    """Lesion-wise means of a scan by the BraTS-METS definition: misses and inventions score 0 and 374 mm.

    None when there is neither a reference lesion (of more than two voxels) nor a prediction.
    """

    dice: float | None
    hd95_mm: float | None


@dataclass(frozen=True, slots=True)
class StudyOutcome:
    """One scan.

    Parameters
    ----------
    mode, threshold
        Members that took part, and the operating point that goes with them.
    seconds
        Preparation and inference, when it was run.
    n_reference, n_predicted, n_detected, n_false_positives
        Lesions.
    n_strictly_detected
        By one-to-one matching.
    sensitivity, fn_rate, fd_rate
        Detected, FN / (TP + FN) and FP / (TP + FN); None without reference lesions.
    dice
        Of the scan's voxels; None without reference lesions.
    """

    name: str
    anatomy: str
    mode: AnalysisMode
    threshold: float
    flags: tuple[QualityFlag, ...]
    brain_volume_mm3: float
    seconds: float
    n_reference: int
    n_predicted: int
    n_detected: int
    n_strictly_detected: int
    n_false_positives: int
    sensitivity: float | None
    fn_rate: float | None
    fd_rate: float | None
    dice: float | None
    reference_volume_mm3: float
    predicted_volume_mm3: float
    brats: BratsScore
