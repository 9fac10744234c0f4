"""Studies whose lesions lie in named parts of the brain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from core.lesion import Location, Region, Side
from tests.encoded_study import EncodedStudy

EVERY_PLACE = (
    Location(),
    Location(Region.BRAIN_STEM),
    *(
        Location(region, side)
        for region in Region
        if region not in (Region.BRAIN, Region.BRAIN_STEM)
        for side in Side
    ),
)


def placed(study: EncodedStudy, locations: Sequence[Location]) -> EncodedStudy:
    lesions = tuple(
        replace(lesion, location=location)
        for lesion, location in zip(study.report.lesions, locations, strict=True)
    )
    return replace(
        study,
        findings=replace(study.findings, lesions=lesions),
        report=replace(study.report, lesions=lesions),
    )
