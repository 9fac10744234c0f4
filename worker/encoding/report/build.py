"""FindingsReport -> Comprehensive 3D SR after TID 1500."""

from __future__ import annotations

from typing import Any

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import (
    Comprehensive3DSR,
    MeasurementReport,
    ObservationContext,
)
from highdicom.sr.coding import CodedConcept
from pydicom import Dataset

from core.geometry import Grid
from core.lesion import FindingsReport
from core.provenance import MANUFACTURER, Provenance
from worker.encoding import codes
from worker.encoding.codes import SiteCodes
from worker.encoding.provenance import (
    algorithm_of_measurements,
    device_observer,
    equipment_attributes,
    series_description,
)
from worker.encoding.report.image_library import image_library
from worker.encoding.report.measurement_groups import lesion_group, long_axis_group, summary_group
from worker.encoding.sources import EncodingSources, instance_references

SR_SERIES_NUMBER = 9002
"""After the segmentation."""


def build_report(
    report: FindingsReport,
    grid: Grid,
    segmentation: Dataset | None,
    sources: EncodingSources,
    provenance: Provenance,
    site_codes: SiteCodes,
) -> Comprehensive3DSR:
    """Return the SR of a study, not yet stamped.

    Parameters
    ----------
    grid
        The T1-post grid, in which the lesions' axes are placed on their slices.
    segmentation
        The SEG the lesions are segments of; None for a study without lesions.
    """
    evidence = [*instance_references(sources.t1_post), *instance_references(sources.t1 or ())]
    document = Comprehensive3DSR(
        evidence=evidence if segmentation is None else [*evidence, segmentation],
        content=_content(report, sources, provenance, site_codes)[0],
        coding_schemes=[_private_scheme()],
        previous_versions=None if sources.predecessor is None else [sources.predecessor],
        is_complete=True,
        is_verified=False,
        is_final=False,
        **_series_attributes(provenance),
        **equipment_attributes(provenance),
    )
    library = image_library([sources.t1_post] if sources.t1 is None else [sources.t1_post, sources.t1])
    *_, measurements = document.ContentSequence
    # Only now: highdicom copies and walks what it is given, and these are nearly all of it.
    document.ContentSequence.insert(len(document.ContentSequence) - 1, library)  # TID 1500
    if segmentation is not None:
        algorithm = algorithm_of_measurements(provenance)
        for lesion in report.lesions:
            measurements.ContentSequence.extend(lesion_group(lesion, segmentation, sources, algorithm))
            measurements.ContentSequence.extend(long_axis_group(lesion, sources, grid))
    return document


def _series_attributes(provenance: Provenance) -> dict[str, Any]:
    return {
        "series_instance_uid": provenance.uid("sr", "series"),
        "series_number": SR_SERIES_NUMBER,
        "series_description": series_description("metserve measurements", provenance),
        "sop_instance_uid": provenance.uid("sr", "instance"),
        "instance_number": 1,
    }


def _content(
    report: FindingsReport, sources: EncodingSources, provenance: Provenance, site_codes: SiteCodes
) -> MeasurementReport:
    """Return the content tree with the summary as its only measurement group."""
    return MeasurementReport(
        observation_context=ObservationContext(observer_device_context=device_observer(provenance)),
        procedure_reported=CodedConcept.from_code(site_codes.procedure_reported),
        imaging_measurements=[summary_group(report, sources, provenance)],
        title=CodedConcept.from_code(codes.IMAGING_MEASUREMENT_REPORT),
    )


def _private_scheme() -> CodingSchemeIdentificationItem:
    return CodingSchemeIdentificationItem(
        designator=codes.PRIVATE_SCHEME,
        name=codes.PRIVATE_SCHEME_NAME,
        responsible_organization=MANUFACTURER,
    )
