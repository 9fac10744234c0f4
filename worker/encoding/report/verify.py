"""The report, read back from its bytes, must say what was found; if it does not, nothing leaves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from core.errors import Defect
from core.geometry import Grid
from core.lesion import NO_LOCATION, FindingsReport, Lesion
from worker.encoding.agreement import check_same
from worker.encoding.locations import CodeKey
from worker.encoding.part10 import from_bytes
from worker.encoding.planes import POSITION_TOLERANCE_MM, departure_mm, read_source_planes
from worker.encoding.report.readback import (
    ReadGroup,
    read_evidence_uids,
    read_frames_of_reference,
    read_groups,
    read_referenced_uids,
)
from worker.encoding.sources import EncodingSources

SUMMARY, VOLUMETRIC, PLANAR = "1501", "1411", "1410"

SUMMARY_NUMBERS = 3
"""Lesions, enhancing volume, filled volume; each names the image a viewer opens it on."""

ROUNDING = 0.0006
"""Sizes are written to three decimals."""

OUTPUT_ROUNDING = 0.00006
"""Network outputs are written to four."""

NUMBER_OF_LESIONS: CodeKey = ("SCT", "246206008")
VOLUME: CodeKey = ("SCT", "118565006")
FILLED_VOLUME: CodeKey = ("99METSERVE", "filled-volume")
LONG_AXIS: CodeKey = ("SCT", "103339001")
SHORT_AXIS: CodeKey = ("SCT", "103340004")
DIAMETER: CodeKey = ("SCT", "81827009")
MEAN_OUTPUT: CodeKey = ("99METSERVE", "mean-output")
PEAK_OUTPUT: CodeKey = ("99METSERVE", "peak-output")
MEMBERS_AGREEING: CodeKey = ("99METSERVE", "members-agreeing")
MEMBERS_TOTAL: CodeKey = ("99METSERVE", "members-total")


def verify_report(
    content: bytes, seg: Dataset | None, grid: Grid, report: FindingsReport, sources: EncodingSources
) -> Dataset:
    """Read an SR back, compare it with the findings, and return it as read.

    Parameters
    ----------
    content
        The PS3.10 file.
    seg
        The segmentation its lesions must refer to, None for a study without lesions.

    Raises
    ------
    Defect
        It has other lesions, numbers, units, places or references than the findings.
    """
    sr = from_bytes(content)
    groups = read_groups(sr)
    _check_references(sr, seg, sources)
    _check_summary(groups, report, sources)
    _check_templates(groups, report)
    tolerance_mm = POSITION_TOLERANCE_MM + departure_mm(sources, grid)
    _check_lesions(groups, seg, report, sources, tolerance_mm)
    return sr


def _check_lesions(
    groups: list[ReadGroup],
    seg: Dataset | None,
    report: FindingsReport,
    sources: EncodingSources,
    tolerance_mm: float,
) -> None:
    by_kind = {(group.template, group.tracking_uid): group for group in groups}
    for lesion in report.lesions:
        for template in (VOLUMETRIC, PLANAR):
            location = by_kind[template, lesion.tracking_uid].location()
            check_same(f"finding site of {lesion.tracking_id}", location, lesion.location)
        _check_numbers(by_kind[VOLUMETRIC, lesion.tracking_uid], lesion)
        _check_segment(by_kind[VOLUMETRIC, lesion.tracking_uid], seg, lesion)
        _check_long_axis(by_kind[PLANAR, lesion.tracking_uid], lesion, sources, tolerance_mm)


def _check_references(sr: Dataset, seg: Dataset | None, sources: EncodingSources) -> None:
    evidence = read_evidence_uids(sr)
    images = {str(dataset.SOPInstanceUID) for dataset in (*sources.t1_post, *(sources.t1 or ()))}
    expected = images if seg is None else {*images, str(seg.SOPInstanceUID)}
    if evidence != expected or not read_referenced_uids(sr) <= evidence:
        raise Defect(f"the report lists {len(evidence)} instances as evidence, expected {len(expected)}")
    frames_of_reference = read_frames_of_reference(sr)
    if frames_of_reference[:1] != [sources.frame_of_reference_uid]:
        raise Defect(
            f"FrameOfReferenceUID: the report has {frames_of_reference}, "
            f"expected {sources.frame_of_reference_uid} first"
        )


def _check_summary(groups: list[ReadGroup], report: FindingsReport, sources: EncodingSources) -> None:
    summaries = [group for group in groups if group.template == SUMMARY]
    if len(summaries) != 1:
        raise Defect(f"the report has {len(summaries)} summary groups, expected 1")
    _check_quantity(summaries[0], NUMBER_OF_LESIONS, len(report.lesions), "{lesions}", 0)
    _check_quantity(summaries[0], VOLUME, report.total_volume_mm3, "mm3", ROUNDING)
    _check_quantity(summaries[0], FILLED_VOLUME, report.total_filled_volume_mm3, "mm3", ROUNDING)
    check_same("the summary's finding site", summaries[0].location(), NO_LOCATION)
    k = report.lesions[0].slice_index_k if report.lesions else len(sources.slices) // 2
    shown = sources.slices[k]
    expected = [[(shown.sop_instance_uid, shown.frame_number)]] * SUMMARY_NUMBERS
    check_same("the images of the summary's numbers", summaries[0].images_of_quantities(), expected)


def _check_templates(groups: list[ReadGroup], report: FindingsReport) -> None:
    expected = [lesion.tracking_uid for lesion in report.lesions]
    for template in (VOLUMETRIC, PLANAR):
        found = [group.tracking_uid for group in groups if group.template == template]
        if found != expected:
            raise Defect(f"the report has {len(found)} groups of TID {template}, expected {len(expected)}")


def _check_numbers(group: ReadGroup, lesion: Lesion) -> None:
    expected: tuple[tuple[CodeKey, float, str, float], ...] = (
        (VOLUME, lesion.volume_mm3, "mm3", ROUNDING),
        (FILLED_VOLUME, lesion.filled_volume_mm3, "mm3", ROUNDING),
        (LONG_AXIS, lesion.long_axis.length_mm, "mm", ROUNDING),
        (SHORT_AXIS, lesion.short_axis.length_mm, "mm", ROUNDING),
        (DIAMETER, lesion.longest_diameter_mm, "mm", ROUNDING),
        (MEAN_OUTPUT, lesion.mean_probability, "1", OUTPUT_ROUNDING),
        (PEAK_OUTPUT, lesion.peak_probability, "1", OUTPUT_ROUNDING),
        (MEMBERS_AGREEING, lesion.members_agreeing, "{members}", 0),
        (MEMBERS_TOTAL, lesion.members_total, "{members}", 0),
    )
    for name, value, unit, tolerance in expected:
        _check_quantity(group, name, value, unit, tolerance)


def _check_quantity(group: ReadGroup, name: CodeKey, value: float, unit: str, tolerance: float) -> None:
    found = group.quantity(name)
    if found.unit != unit or abs(found.value - value) > tolerance:
        raise Defect(f"{name} of {group.tracking_uid}: read back {found}, expected {value} {unit}")


def _check_segment(group: ReadGroup, seg: Dataset | None, lesion: Lesion) -> None:
    referenced = group.item_of_type("IMAGE").ReferencedSOPSequence[0]
    found = (str(referenced.ReferencedSOPInstanceUID), int(referenced.ReferencedSegmentNumber))
    expected = (None if seg is None else str(seg.SOPInstanceUID), lesion.number)
    if found != expected:
        raise Defect(f"{lesion.tracking_id} refers to segment {found}, expected {expected}")


def _check_long_axis(group: ReadGroup, lesion: Lesion, sources: EncodingSources, tolerance_mm: float) -> None:
    region = group.item_of_type("SCOORD")
    ends_lps_mm = _drawn_lps_mm(region, sources)
    expected = np.array([lesion.long_axis.start_lps_mm, lesion.long_axis.end_lps_mm])
    distance_mm = float(np.linalg.norm(ends_lps_mm - expected, axis=1).max())
    if distance_mm > tolerance_mm:
        raise Defect(
            f"the long axis of {lesion.tracking_id} is drawn {distance_mm:.3f} mm off, "
            f"expected {tolerance_mm:.3f} mm"
        )


def _drawn_lps_mm(region: Dataset, sources: EncodingSources) -> NDArray[np.float64]:
    """Return where a region's points lie in the patient, by the header of the image it is drawn on."""
    referenced = region.ContentSequence[0].ReferencedSOPSequence[0]
    uid, frame = str(referenced.ReferencedSOPInstanceUID), referenced.get("ReferencedFrameNumber")
    drawn_on = [s for s in sources.slices if (s.sop_instance_uid, s.frame_number) == (uid, frame)]
    if len(drawn_on) != 1:
        raise Defect(f"an axis is drawn on {uid}, frame {frame}, which is no slice of the T1-post series")
    (plane,) = read_source_planes(sources.t1_post, drawn_on)
    column_row = np.array(region.GraphicData, dtype=float).reshape(-1, 2)
    return plane.to_lps_mm(column_row[:, ::-1] - 0.5)  # the first pixel's centre is (0.5, 0.5)
