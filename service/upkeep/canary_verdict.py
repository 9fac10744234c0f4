"""Whether the canary's results are what is known to be in its images."""

from __future__ import annotations

import math
from collections.abc import Sequence

from core.database import JobRow, LesionRow
from core.job import JobState
from service.upkeep.canary_study import KnownLesion

LEAST_DIAMETER_MM = 8.0
"""Smaller lesions may be missed: the model is known to miss some, and their volumes are rough."""

FARTHEST_MM = 5.0
"""A found lesion belongs to a known one whose centroid is no farther: half of a small lesion's width and
a voxel of the coarse images."""

VOLUME_FACTOR = 2.0
"""A volume may be this many times larger or smaller; the released ensemble is within 0.8 and 1.3."""

MOST_FALSE = 3
"""Findings beside the known lesions: the released ensemble has at most two on the default canary."""


def what_is_wrong(job: JobRow, known: Sequence[KnownLesion]) -> str:
    """Say what is wrong with a finished canary; empty when it is as it should be."""
    if job.state != JobState.DELIVERED:
        return f"the analysis ended as {job.state} ({job.reason or 'no reason given'}), expected results"
    findings = list(job.lesions)
    for lesion in known:
        if lesion.equivalent_diameter_mm >= LEAST_DIAMETER_MM:
            wrong = _what_is_wrong_with(lesion, findings)
            if wrong:
                return wrong
    most = len(known) + MOST_FALSE
    return "" if len(findings) <= most else f"{len(findings)} lesions were found, expected at most {most}"


def _what_is_wrong_with(lesion: KnownLesion, findings: Sequence[LesionRow]) -> str:
    near = [one for one in findings if math.dist(_centroid(one), lesion.centroid_lps_mm) <= FARTHEST_MM]
    if not near:
        return (
            f"lesion {lesion.number} of {lesion.equivalent_diameter_mm:.0f} mm was not found "
            f"within {FARTHEST_MM:.0f} mm of its place"
        )
    volume_mm3 = max(one.volume_mm3 for one in near)
    least, most = lesion.volume_mm3 / VOLUME_FACTOR, lesion.volume_mm3 * VOLUME_FACTOR
    if least <= volume_mm3 <= most:
        return ""
    return f"lesion {lesion.number} has {volume_mm3:.0f} mm3, expected {least:.0f} to {most:.0f}"


def _centroid(lesion: LesionRow) -> tuple[float, float, float]:
    return lesion.centroid_x_lps_mm, lesion.centroid_y_lps_mm, lesion.centroid_z_lps_mm
