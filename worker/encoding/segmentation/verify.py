"""The segmentation, read back from its bytes, must say what was found; if it does not, nothing leaves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from core.errors import Defect
from core.lesion import Lesion
from worker.encoding.agreement import check_same, distance_mm
from worker.encoding.part10 import from_bytes
from worker.encoding.planes import (
    POSITION_TOLERANCE_MM,
    departure_mm,
    grid_corners_lps_mm,
    plane_corners_lps_mm,
)
from worker.encoding.segmentation.readback import (
    SegmentFrame,
    read_segment_frames,
    read_segment_location,
    read_voxel_volume_mm3,
)
from worker.encoding.sources import EncodingSources
from worker.lesions import Findings

VOLUME_TOLERANCE = 0.005
"""Share of a lesion's volume: the decimals of Pixel Spacing and of the slice distance."""


def verify_segmentation(content: bytes, findings: Findings, sources: EncodingSources) -> Dataset:
    """Read a SEG back, compare it with the findings, and return it as read.

    Parameters
    ----------
    content
        The PS3.10 file.

    Raises
    ------
    Defect
        It has other segments, voxels, volumes, places or source images than the findings.
    """
    seg = from_bytes(content)
    check_same("FrameOfReferenceUID", str(seg.FrameOfReferenceUID), sources.frame_of_reference_uid)
    _check_segments(seg, findings)
    tolerance_mm = POSITION_TOLERANCE_MM + departure_mm(sources, findings.grid)
    frames = list(read_segment_frames(seg))
    for frame in frames:
        _check_frame(frame, findings, sources, tolerance_mm)
    for lesion in findings.lesions:
        own = [frame for frame in frames if frame.segment_number == lesion.number]
        _check_lesion(lesion, own, findings, read_voxel_volume_mm3(seg), tolerance_mm)
    return seg


def _check_segments(seg: Dataset, findings: Findings) -> None:
    found = [(int(s.SegmentNumber), str(s.TrackingUID), str(s.TrackingID)) for s in seg.SegmentSequence]
    expected = [(lesion.number, lesion.tracking_uid, lesion.tracking_id) for lesion in findings.lesions]
    check_same("segments", found, expected)
    for segment, lesion in zip(seg.SegmentSequence, findings.lesions, strict=True):
        check_same(f"region of {lesion.tracking_id}", read_segment_location(segment), lesion.location)


def _check_frame(
    frame: SegmentFrame, findings: Findings, sources: EncodingSources, tolerance_mm: float
) -> None:
    """Check that a frame lies on the slice it refers to and holds the voxels of its lesion there."""
    if frame.source not in sources.slices:
        raise Defect(f"a frame refers to {frame.source}, which is no slice of the T1-post series")
    k = sources.slices.index(frame.source)
    corners_lps_mm = plane_corners_lps_mm(frame.plane, findings.grid)
    off_mm = distance_mm(corners_lps_mm, grid_corners_lps_mm(k, findings.grid))
    if off_mm > tolerance_mm:
        raise Defect(f"a frame of slice {k} lies {off_mm:.3f} mm off it, expected {tolerance_mm:.3f} mm")
    expected = findings.label_map_kji[k] == frame.segment_number
    if not np.array_equal(frame.mask_ji, expected):
        raise Defect(
            f"segment {frame.segment_number} has {int(frame.mask_ji.sum())} voxels on slice {k}, "
            f"expected {int(expected.sum())} at the same places"
        )


def _check_lesion(
    lesion: Lesion,
    frames: list[SegmentFrame],
    findings: Findings,
    voxel_volume_mm3: float,
    tolerance_mm: float,
) -> None:
    points_lps_mm = _voxels_lps_mm(frames)
    expected_voxels = int(np.count_nonzero(findings.label_map_kji == lesion.number))
    check_same(f"voxels of {lesion.tracking_id}", len(points_lps_mm), expected_voxels)
    volume_mm3 = len(points_lps_mm) * voxel_volume_mm3
    if abs(volume_mm3 - lesion.volume_mm3) > VOLUME_TOLERANCE * lesion.volume_mm3:
        raise Defect(f"{lesion.tracking_id} has {volume_mm3:.3f} mm3, expected {lesion.volume_mm3:.3f} mm3")
    centroid_lps_mm = points_lps_mm.mean(axis=0)
    if distance_mm(centroid_lps_mm, lesion.centroid_lps_mm) > tolerance_mm:
        raise Defect(
            f"{lesion.tracking_id} lies at {centroid_lps_mm.round(3).tolist()} mm, "
            f"expected {lesion.centroid_lps_mm}"
        )


def _voxels_lps_mm(frames: list[SegmentFrame]) -> NDArray[np.float64]:
    points = [frame.plane.to_lps_mm(np.argwhere(frame.mask_ji).astype(float)) for frame in frames]
    return np.concatenate(points) if points else np.empty((0, 3))
