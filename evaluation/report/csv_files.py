"""lesions.csv and scans.csv: one row a reference lesion, one row a scan, for people's own statistics."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from evaluation.figures.outcomes import LesionOutcome, StudyOutcome
from evaluation.figures.pooled import OperatingFigures

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet runs a text that begins so; names of studies come from folders."""

LESION_COLUMNS = (
    "study", "anatomy", "number", "volume_mm3", "true_volume_mm3", "equivalent_diameter_mm", "centroid_l_mm",
    "centroid_p_mm", "centroid_s_mm", "detected", "strictly_detected", "predicted_volume_mm3", "dice",
    "hd95_mm", "hd95_symmetric_mm", "surface_dice",
)  # fmt: skip

SCAN_COLUMNS = (
    "study", "anatomy", "mode", "threshold", "flags", "brain_volume_mm3", "n_reference", "n_predicted",
    "n_detected", "n_strictly_detected", "n_false_positives", "sensitivity", "fn_rate", "fd_rate", "dice",
    "reference_volume_mm3", "predicted_volume_mm3", "brats_dice", "brats_hd95_mm", "seconds",
)  # fmt: skip


def lesions_csv(figures: OperatingFigures, members: Sequence[str]) -> str:
    """Write every reference lesion, with the highest output of each member inside it."""
    columns = (*LESION_COLUMNS, *(f"peak {member}" for member in members))
    return _write(columns, (_lesion_row(lesion) for lesion in figures.lesions))


def scans_csv(figures: OperatingFigures) -> str:
    """Write every scan."""
    return _write(SCAN_COLUMNS, (_scan_row(study) for study in figures.studies))


def _write(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    if isinstance(value, float):
        return f"{value:.6g}"
    return int(value) if isinstance(value, bool) else value


def _lesion_row(lesion: LesionOutcome) -> tuple[object, ...]:
    return (
        lesion.study, lesion.anatomy, lesion.number, lesion.volume_mm3, lesion.true_volume_mm3,
        lesion.equivalent_diameter_mm, *lesion.centroid_lps_mm, lesion.detected, lesion.strictly_detected,
        lesion.predicted_volume_mm3, lesion.dice, lesion.hd95_mm, lesion.hd95_symmetric_mm,
        lesion.surface_dice, *lesion.member_peaks,
    )  # fmt: skip


def _scan_row(study: StudyOutcome) -> tuple[object, ...]:
    return (
        study.name, study.anatomy, study.mode.value, study.threshold, " ".join(study.flags),
        study.brain_volume_mm3, study.n_reference, study.n_predicted, study.n_detected,
        study.n_strictly_detected, study.n_false_positives, study.sensitivity, study.fn_rate, study.fd_rate,
        study.dice, study.reference_volume_mm3, study.predicted_volume_mm3, study.brats.dice,
        study.brats.hd95_mm, study.seconds,
    )  # fmt: skip
