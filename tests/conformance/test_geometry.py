"""Every geometry: lesions painted into the images are where, and as large as, other programs read them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import KDTree

from core.results import ResultKind
from tests.conformance.conftest import MakeCase, Record
from tests.conformance.geometries import GEOMETRIES, Geometry
from tests.conformance.known_lesions import KnownLesion
from tests.conformance.outside_judges import regions_read_by_plastimatch
from tests.judges import masks_read_by_dcmqi, measurements_read_by_dcmqi, values_of, voxels_lps_mm

CENTROID_TOLERANCE_MM = 0.5
"""What the results must keep to, in every geometry."""

VOXEL_TOLERANCE_MM = 0.01
"""The decimals of a header: a segment's voxel is the voxel that was painted."""

SEGMENT_VOLUME_TOLERANCE_PERCENT = 0.1
REGION_VOLUME_TOLERANCE_PERCENT = 5.0
"""A contour runs between voxels; the reader decides which ones it holds."""

MIDLINE_MM = 0.5
"""Nearer than this to x = 0 a lesion is on neither side."""

VOLUME = "118565006"

in_every_geometry = pytest.mark.parametrize(
    "geometry", [pytest.param(geometry, id=geometry.name) for geometry in GEOMETRIES]
)


@in_every_geometry
def test_every_segment_is_the_lesion_that_was_painted(
    geometry: Geometry, case_of: MakeCase, record: Record, tmp_path: Path
) -> None:
    case = case_of(geometry)
    masks = masks_read_by_dcmqi(case.files[ResultKind.SEG], tmp_path)
    assert len(masks) == len(case.truth)
    found = [voxels_lps_mm(masks[lesion.tracking_id]) for lesion in case.lesions]
    volumes_mm3 = [
        len(points) * float(np.prod(masks[lesion.tracking_id].GetSpacing()))
        for points, lesion in zip(found, case.lesions, strict=True)
    ]
    figures = place_and_size(
        found,
        [t.centroid_lps_mm for t in case.truth],
        volumes_mm3,
        [t.volume_mm3 for t in case.truth],
    )
    figures["voxel_error_mm"] = round(max(map(_farthest_mm, found, case.truth)), 4)
    record(geometry.name, {"seg": figures})
    assert figures["lateralities_right"]
    assert figures["voxel_error_mm"] <= VOXEL_TOLERANCE_MM
    assert figures["centroid_error_mm"] <= CENTROID_TOLERANCE_MM
    assert figures["volume_error_percent"] <= SEGMENT_VOLUME_TOLERANCE_PERCENT


@in_every_geometry
def test_every_region_is_the_filled_lesion_that_was_painted(
    geometry: Geometry, case_of: MakeCase, record: Record, tmp_path: Path
) -> None:
    case = case_of(geometry)
    masks = regions_read_by_plastimatch(case.files[ResultKind.RTSTRUCT], case.classic_folder, tmp_path)
    names = [f"AI_BM{lesion.number:02d}" for lesion in case.lesions]
    assert sorted(masks) == names
    found = [voxels_lps_mm(masks[name]) for name in names]
    figures = place_and_size(
        found,
        [t.filled_centroid_lps_mm for t in case.truth],
        [
            len(points) * float(np.prod(masks[name].GetSpacing()))
            for points, name in zip(found, names, strict=True)
        ],
        [t.filled_volume_mm3 for t in case.truth],
    )
    record(geometry.name, {"rtstruct": figures})
    assert figures["lateralities_right"]
    assert figures["centroid_error_mm"] <= CENTROID_TOLERANCE_MM
    assert figures["volume_error_percent"] <= REGION_VOLUME_TOLERANCE_PERCENT


@in_every_geometry
def test_the_report_says_the_volume_that_was_painted_and_names_its_segment(
    geometry: Geometry, case_of: MakeCase, record: Record, tmp_path: Path
) -> None:
    case = case_of(geometry)
    summary, *groups = measurements_read_by_dcmqi(case.files[ResultKind.SR], tmp_path)
    assert values_of(summary)["246206008"] == (len(case.truth), "{lesions}")
    by_uid = {group["TrackingUniqueIdentifier"]: group for group in groups if group.get("measurementItems")}
    assert len(by_uid) == len(case.truth)
    errors_percent = []
    for lesion, truth in zip(case.lesions, case.truth, strict=True):
        group = by_uid[lesion.tracking_uid]
        assert group["ReferencedSegment"] == lesion.number
        assert group["segmentationSOPInstanceUID"] == case.objects[ResultKind.SEG].SOPInstanceUID
        volume_mm3, unit = values_of(group)[VOLUME]
        assert unit == "mm3"
        errors_percent.append(_off_percent(volume_mm3, truth.volume_mm3))
    record(geometry.name, {"sr": {"volume_error_percent": round(max(errors_percent), 3)}})
    assert max(errors_percent) <= SEGMENT_VOLUME_TOLERANCE_PERCENT


def place_and_size(
    found: Sequence[NDArray[np.float64]],
    centroids_lps_mm: Sequence[NDArray[np.float64]],
    volumes_mm3: Sequence[float],
    true_volumes_mm3: Sequence[float],
) -> dict[str, float]:
    """Return the largest error of a case's lesions, and whether each lies on its side."""
    assert all(len(points) for points in found), "every lesion is read back"
    read = [points.mean(axis=0) for points in found]
    pairs = list(zip(read, centroids_lps_mm, strict=True))
    sided = [(a[0], b[0]) for a, b in pairs if abs(b[0]) > MIDLINE_MM]
    return {
        "centroid_error_mm": round(max(float(np.linalg.norm(a - b)) for a, b in pairs), 3),
        "volume_error_percent": round(max(map(_off_percent, volumes_mm3, true_volumes_mm3)), 2),
        "lateralities_right": all(np.sign(a) == np.sign(b) for a, b in sided),
    }


def _off_percent(found: float, expected: float) -> float:
    return 100 * abs(found - expected) / expected


def _farthest_mm(found: NDArray[np.float64], truth: KnownLesion) -> float:
    """Return how far the voxel that is worst off lies from its counterpart; infinite if one is missing."""
    if len(found) != len(truth.points_lps_mm):
        return float("inf")
    there = KDTree(truth.points_lps_mm).query(found)[0].max()
    back = KDTree(found).query(truth.points_lps_mm)[0].max()
    return float(max(there, back))
