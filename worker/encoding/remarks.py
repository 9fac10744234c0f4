"""What a reader must know about a result, in sentences."""

from __future__ import annotations

from core.lesion import NO_LOCATION, FindingsReport
from core.provenance import RESEARCH_USE_NOTICE
from core.study import AnalysisMode, QualityFlag

PRELIMINARY_NOTICE = (
    "Preliminary: made by software, not reviewed. To be checked by a physician before any use."
)

LOCATION_NOTICE = (
    "Regions and sides come from a coarse atlas laid on the brain and may be wrong near borders."
)

FLAG_SENTENCES: dict[QualityFlag, str] = {
    QualityFlag.T1_POST_ONLY: (
        "T1-post only: no usable T1, so that only the members for T1-post took part, at their own threshold."
    ),
    QualityFlag.REGISTRATION_FAILED: "T1 could not be registered to T1-post and was not used.",
    QualityFlag.REGISTRATION_POOR: "T1 fits T1-post poorly after registration: subtraction may mislead.",
    QualityFlag.T1_UNUSABLE: "T1 could not be read or compared with T1-post and was not used.",
    QualityFlag.T1_COVERS_PART: "T1 covers only a part of the brain and was not used.",
    QualityFlag.BRAIN_TOUCHES_FIRST_SLICE: "The brain reaches the first slice: coverage may be incomplete.",
    QualityFlag.BRAIN_TOUCHES_LAST_SLICE: "The brain reaches the last slice: coverage may be incomplete.",
    QualityFlag.THICK_SLICES: "Thick slices: small lesions may be missed and volumes are less exact.",
    QualityFlag.NOT_DISTORTION_CORRECTED: "The T1-post series is not corrected for gradient distortion.",
    QualityFlag.SEVERAL_POST_CONTRAST_SERIES: "Several post-contrast series; one of them was analysed.",
    QualityFlag.PREVIEW_PROFILE: "Preview profile: a quick look with fewer members, never measured.",
    QualityFlag.IMPLAUSIBLE_BRAIN_VOLUME: "Implausible brain volume: findings may be missing.",
}
"""Every flag has its sentence; a test holds it."""


def remarks_of(report: FindingsReport) -> tuple[str, ...]:
    """Return the remarks that travel with a report: notices first, then mode, flags and places."""
    mode = (
        f"Analysis mode {report.mode.value}, profile {report.model.profile}, threshold {report.threshold:g}."
    )
    flags = list(report.flags)
    if report.mode is AnalysisMode.T1_POST_ONLY and QualityFlag.T1_POST_ONLY not in flags:
        flags.insert(0, QualityFlag.T1_POST_ONLY)
    sentences = (FLAG_SENTENCES[flag] for flag in flags)
    located = any(lesion.location != NO_LOCATION for lesion in report.lesions)
    places = (LOCATION_NOTICE,) if located else ()
    return (RESEARCH_USE_NOTICE, PRELIMINARY_NOTICE, mode, *sentences, *places)
