"""The structure set, read back from its bytes, must say what was found; if it does not, nothing leaves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from scipy import ndimage

from core.errors import Defect
from core.lesion import Lesion
from core.results import SOP_CLASSES, ResultKind, StructureStyle
from worker.encoding.agreement import check_same, distance_mm
from worker.encoding.palette import lesion_colour
from worker.encoding.part10 import from_bytes
from worker.encoding.planes import POSITION_TOLERANCE_MM, Plane, departure_mm, read_source_planes
from worker.encoding.sources import EncodingSources
from worker.encoding.structures.readback import (
    Region,
    centres_inside,
    read_reference,
    read_regions,
    to_plane_ji,
)
from worker.filling import fill_lesions
from worker.lesions import Findings

VOLUME_TOLERANCE = 0.02
"""Share of a lesion's filled volume, of the smallest one too: outlines are drawn to the voxels' area."""

STATED_VOLUME_TOLERANCE = 0.001
"""Share of a lesion's filled volume, for the decimals of ROI Volume."""

PLANE_TOLERANCE_MM = 1e-3
"""Of a point to its image's plane: viewers hide contours that lie off it, and some look at a thousandth."""

CENTROID_TOLERANCE_PIXELS = 0.25
"""Rounding off the steps of a mask moves its centre in the slice, by less than this of a pixel; a place
half a pixel off, as between centre and corner, is more."""

NAMES_AND_TYPES = {
    StructureStyle.NEUTRAL: ("AI_BM{:02d}", ""),
    StructureStyle.TARGET: ("GTV_BM{:02d}", "GTV"),
}
"""Said here once more: a reader does not ask the writer."""

MAX_NAME_LENGTH = 16
"""Planning systems cut longer names off, and two may become one."""


def verify_structure_set(
    content: bytes, findings: Findings, sources: EncodingSources, style: StructureStyle
) -> Dataset:
    """Read an RTSTRUCT back, compare it with the findings, and return it as read.

    Parameters
    ----------
    content
        The PS3.10 file.

    Raises
    ------
    Defect
        It has other regions, names, volumes, places, planes or source images than the findings.
    """
    structure_set = from_bytes(content)
    check_same("SOPClassUID", str(structure_set.SOPClassUID), SOP_CLASSES[ResultKind.RTSTRUCT])
    check_same("ApprovalStatus", str(structure_set.ApprovalStatus), "UNAPPROVED")
    _check_references(structure_set, sources)
    regions = read_regions(structure_set)
    _check_regions(regions, findings, sources, style)
    tolerance_mm = POSITION_TOLERANCE_MM + departure_mm(sources, findings.grid)
    filled_kji = fill_lesions(findings.label_map_kji)
    boxes = ndimage.find_objects(filled_kji)
    planes = read_source_planes(sources.t1_post, sources.slices)
    for region, lesion in zip(regions, findings.lesions, strict=True):
        voxels_kji = np.argwhere(filled_kji[boxes[lesion.number - 1]] == lesion.number)
        voxels_kji += [edge.start for edge in boxes[lesion.number - 1]]
        _check_planes(region, findings, sources, tolerance_mm)
        _check_place(region, voxels_kji, planes, sources, findings.grid.shape_kji[1:])
        _check_size(region, lesion, findings, voxels_kji, tolerance_mm)
    return structure_set


def _check_references(structure_set: Dataset, sources: EncodingSources) -> None:
    expected = sources.frame_of_reference_uid
    check_same("FrameOfReferenceUID", str(structure_set.FrameOfReferenceUID), expected)
    (frame_of_reference,) = structure_set.ReferencedFrameOfReferenceSequence
    check_same("referenced FrameOfReferenceUID", str(frame_of_reference.FrameOfReferenceUID), expected)
    (study,) = frame_of_reference.RTReferencedStudySequence
    study_uid = str(sources.t1_post[0].StudyInstanceUID)
    check_same("referenced study", str(study.ReferencedSOPInstanceUID), study_uid)
    (series,) = study.RTReferencedSeriesSequence
    check_same("referenced series", str(series.SeriesInstanceUID), sources.series_instance_uid)
    images = tuple(read_reference(item) for item in series.ContourImageSequence)
    check_same("referenced images", images, sources.slices)


def _check_regions(
    regions: list[Region], findings: Findings, sources: EncodingSources, style: StructureStyle
) -> None:
    name, interpreted_type = NAMES_AND_TYPES[style]
    found = [(r.number, r.name, r.interpreted_type, r.label, r.colour) for r in regions]
    expected = [
        (n.number, name.format(n.number), interpreted_type, n.tracking_id, lesion_colour(n.number))
        for n in findings.lesions
    ]
    check_same("regions", found, expected)
    if any(len(region.name) > MAX_NAME_LENGTH for region in regions):
        raise Defect(f"a region's name is longer than {MAX_NAME_LENGTH} characters: {found}")
    for region, lesion in zip(regions, findings.lesions, strict=True):
        expected_uid = sources.frame_of_reference_uid
        check_same(f"FrameOfReferenceUID of {region.name}", region.frame_of_reference_uid, expected_uid)
        if lesion.tracking_uid not in region.description:
            raise Defect(f"{region.name} is {region.description!r}, expected {lesion.tracking_uid} in it")


def _check_planes(region: Region, findings: Findings, sources: EncodingSources, tolerance_mm: float) -> None:
    """Check that contours lie on the slices of the grid that they refer to, whatever the headers say."""
    for contour in region.contours:
        if contour.source not in sources.slices:
            raise Defect(f"{region.name} refers to {contour.source}, which is no slice of the T1-post series")
        k = sources.slices.index(contour.source)
        off = findings.grid.to_index_kji(contour.points_lps_mm)[:, 0] - k
        off_mm = float(np.abs(off).max()) * findings.grid.spacing_kji_mm[0]
        if off_mm > tolerance_mm:
            raise Defect(f"a contour of {region.name} lies {off_mm:.3f} mm off slice {k} that it refers to")


def _check_place(
    region: Region,
    voxels_kji: NDArray[np.int64],
    planes: list[Plane],
    sources: EncodingSources,
    shape_ji: tuple[int, int],
) -> None:
    """Check that contours lie in their images' planes, around the lesion's voxel centres and no other."""
    enclosed = [np.empty((0, 3), dtype=np.int64)]
    for contour in region.contours:
        k = sources.slices.index(contour.source)
        points_ji, off_mm = to_plane_ji(planes[k], contour.points_lps_mm)
        if off_mm > PLANE_TOLERANCE_MM:
            raise Defect(f"a contour of {region.name} lies {off_mm:.4f} mm off the image it refers to")
        voxels_ji = np.argwhere(centres_inside(points_ji, shape_ji))
        enclosed.append(np.insert(voxels_ji, 0, k, axis=1))
    found_kji = np.unique(np.concatenate(enclosed), axis=0)
    if not np.array_equal(found_kji, np.unique(voxels_kji, axis=0)):
        raise Defect(
            f"contours of {region.name} enclose {len(found_kji)} voxel centres, "
            f"expected {len(voxels_kji)} at the same places"
        )


def _check_size(
    region: Region, lesion: Lesion, findings: Findings, voxels_kji: NDArray[np.int64], tolerance_mm: float
) -> None:
    grid = findings.grid
    slice_distance_mm = grid.voxel_volume_mm3 / (grid.spacing_kji_mm[1] * grid.spacing_kji_mm[2])
    areas_mm2 = [float(np.linalg.norm(contour.area_vector_mm2())) for contour in region.contours]
    expected_mm3 = lesion.filled_volume_mm3
    for what, volume_mm3, tolerance in (
        ("encloses", sum(areas_mm2) * slice_distance_mm, VOLUME_TOLERANCE),
        ("states", region.volume_mm3, STATED_VOLUME_TOLERANCE),
    ):
        if abs(volume_mm3 - expected_mm3) > tolerance * expected_mm3:
            raise Defect(f"{region.name} {what} {volume_mm3:.3f} mm3, expected {expected_mm3:.3f} mm3")
    moments = [contour.moment_mm3() for contour in region.contours]
    centroid_lps_mm = np.sum(moments, axis=0) / sum(areas_mm2)
    expected_lps_mm = grid.to_lps_mm(voxels_kji).mean(axis=0)
    off_mm = distance_mm(centroid_lps_mm, expected_lps_mm)
    if off_mm > tolerance_mm + CENTROID_TOLERANCE_PIXELS * max(grid.spacing_kji_mm[1:]):
        raise Defect(f"{region.name} lies {off_mm:.3f} mm from the lesion's centre")
