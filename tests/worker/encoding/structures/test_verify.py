"""Each way a structure set could lie about a lesion is broken in once; each must be caught."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset

from core.errors import Defect
from core.results import StructureStyle
from tests.dicom_sources import OBLIQUE, classic_series, enhanced_series, make_grid
from tests.encoded_study import LARGE, SMALL, EncodedStudy, SeriesMaker, make_study
from tests.worker.encoding.structures.written import written
from worker.encoding import to_bytes
from worker.encoding.part10 import from_bytes
from worker.encoding.structures.readback import centres_inside
from worker.encoding.structures.verify import verify_structure_set

Mutation = Callable[[Dataset], None]
Points = NDArray[np.float64]


@pytest.fixture(scope="module")
def study() -> EncodedStudy:
    return make_study(boxes=(LARGE, SMALL), grid=make_grid(orientation=OBLIQUE))


@pytest.fixture(scope="module")
def content(study: EncodedStudy) -> bytes:
    return written(study)


def check(study: EncodedStudy, content: bytes, mutate: Mutation) -> None:
    structure_set = from_bytes(content)
    mutate(structure_set)
    verify_structure_set(to_bytes(structure_set), study.findings, study.sources, StructureStyle.NEUTRAL)


@pytest.mark.parametrize("series", [classic_series, enhanced_series])
def test_an_untouched_structure_set_passes(series: SeriesMaker) -> None:
    study = make_study(grid=make_grid(orientation=OBLIQUE), series=series)
    check(study, written(study), lambda structure_set: None)


def contours(structure_set: Dataset) -> Iterator[Dataset]:
    for region in structure_set.ROIContourSequence:
        yield from region.ContourSequence


def move(structure_set: Dataset, change: Callable[[Points], Points]) -> None:
    for contour in contours(structure_set):
        points = np.array([float(v) for v in contour.ContourData]).reshape(-1, 3)
        contour.ContourData = [f"{v:.4f}" for v in change(points).ravel()]


def slice_axes() -> tuple[Points, Points]:
    row, column = np.array(OBLIQUE[0]), np.array(OBLIQUE[1])
    return row, np.cross(row, column)


def mirror_along_the_rows(structure_set: Dataset) -> None:
    row, _ = slice_axes()
    grid = make_grid(orientation=OBLIQUE)
    middle = grid.to_lps_mm([0, 0, (grid.shape_kji[2] - 1) / 2]) @ row
    move(structure_set, lambda p: p - 2 * np.outer(p @ row - middle, row))


def swap_x_and_y(structure_set: Dataset) -> None:
    move(structure_set, lambda p: p[:, [1, 0, 2]])


def negate_x_and_y_as_ras(structure_set: Dataset) -> None:
    move(structure_set, lambda p: p * [-1, -1, 1])


def shift_half_a_pixel(structure_set: Dataset) -> None:
    row, _ = slice_axes()
    move(structure_set, lambda p: p + 0.4 * row)


def shift_off_the_plane(structure_set: Dataset) -> None:
    _, normal = slice_axes()
    move(structure_set, lambda p: p + 0.05 * normal)


def shift_a_little_off_the_plane(structure_set: Dataset) -> None:
    _, normal = slice_axes()
    move(structure_set, lambda p: p + 0.005 * normal)


def shift_by_a_slice(structure_set: Dataset) -> None:
    _, normal = slice_axes()
    move(structure_set, lambda p: p + 2.0 * normal)


def write_centimetres(structure_set: Dataset) -> None:
    move(structure_set, lambda p: p / 10)


def shrink(structure_set: Dataset) -> None:
    move(structure_set, lambda p: p.mean(axis=0) + 0.97 * (p - p.mean(axis=0)))


def reverse_the_slices(structure_set: Dataset) -> None:
    """Images in the wrong order: the contour of the first slice refers to the last one, and so on."""
    own = structure_set.ROIContourSequence[0].ContourSequence
    references = [contour.ContourImageSequence for contour in own]
    for contour, reference in zip(own, reversed(references), strict=True):
        contour.ContourImageSequence = reference


def refer_to_a_stranger(structure_set: Dataset) -> None:
    next(contours(structure_set)).ContourImageSequence[0].ReferencedSOPInstanceUID = "1.2.3"


def take_another_frame_of_reference(structure_set: Dataset) -> None:
    structure_set.FrameOfReferenceUID = "1.2.3"


def refer_to_another_frame_of_reference(structure_set: Dataset) -> None:
    structure_set.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID = "1.2.3"


def draw_a_region_in_another_frame_of_reference(structure_set: Dataset) -> None:
    structure_set.StructureSetROISequence[1].ReferencedFrameOfReferenceUID = "1.2.3"


def _series(structure_set: Dataset) -> Dataset:
    study = structure_set.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    return study.RTReferencedSeriesSequence[0]


def refer_to_another_series(structure_set: Dataset) -> None:
    _series(structure_set).SeriesInstanceUID = "1.2.3"


def leave_a_slice_out(structure_set: Dataset) -> None:
    del _series(structure_set).ContourImageSequence[0]


def swap_the_regions_contours(structure_set: Dataset) -> None:
    first, second = structure_set.ROIContourSequence
    first.ContourSequence, second.ContourSequence = second.ContourSequence, first.ContourSequence


def swap_the_regions_numbers(structure_set: Dataset) -> None:
    for item in structure_set.ROIContourSequence:
        item.ReferencedROINumber = 3 - item.ReferencedROINumber


def swap_the_names(structure_set: Dataset) -> None:
    first, second = structure_set.StructureSetROISequence
    first.ROIName, second.ROIName = second.ROIName, first.ROIName


def swap_the_tracking_uids(structure_set: Dataset) -> None:
    first, second = structure_set.StructureSetROISequence
    first.ROIDescription, second.ROIDescription = second.ROIDescription, first.ROIDescription


def drop_a_region(structure_set: Dataset) -> None:
    for name in ("StructureSetROISequence", "ROIContourSequence", "RTROIObservationsSequence"):
        del structure_set[name].value[1]


def drop_the_contours_of_a_region(structure_set: Dataset) -> None:
    del structure_set.ROIContourSequence[1]


def drop_a_contour(structure_set: Dataset) -> None:
    del structure_set.ROIContourSequence[0].ContourSequence[0]


def write_a_contour_twice(structure_set: Dataset) -> None:
    own = structure_set.ROIContourSequence[0].ContourSequence
    own.append(own[0])


def write_the_volume_in_mm3(structure_set: Dataset) -> None:
    region = structure_set.StructureSetROISequence[0]
    region.ROIVolume = float(region.ROIVolume) * 1000


def take_another_colour(structure_set: Dataset) -> None:
    structure_set.ROIContourSequence[0].ROIDisplayColor = [1, 2, 3]


def call_it_a_target(structure_set: Dataset) -> None:
    structure_set.RTROIObservationsSequence[0].RTROIInterpretedType = "GTV"


def approve(structure_set: Dataset) -> None:
    structure_set.ApprovalStatus = "APPROVED"


def leave_the_polygon_open(structure_set: Dataset) -> None:
    next(contours(structure_set)).ContourGeometricType = "OPEN_PLANAR"


def miscount_the_points(structure_set: Dataset) -> None:
    next(contours(structure_set)).NumberOfContourPoints += 1


def leave_two_points(structure_set: Dataset) -> None:
    contour = next(contours(structure_set))
    contour.ContourData, contour.NumberOfContourPoints = contour.ContourData[:6], 2


@pytest.mark.parametrize(
    ("mutate", "message"),
    [
        (mirror_along_the_rows, "same places"),
        (swap_x_and_y, "mm off slice"),
        (negate_x_and_y_as_ras, "mm off slice"),
        (shift_half_a_pixel, "same places|from the lesion's centre"),
        (shift_off_the_plane, "mm off slice"),
        (shift_a_little_off_the_plane, "mm off the image"),
        (shift_by_a_slice, "mm off slice"),
        (write_centimetres, "mm off slice"),
        (shrink, "encloses"),
        (reverse_the_slices, "mm off slice"),
        (refer_to_a_stranger, "no slice of the T1-post"),
        (take_another_frame_of_reference, "FrameOfReferenceUID"),
        (refer_to_another_frame_of_reference, "referenced FrameOfReferenceUID"),
        (draw_a_region_in_another_frame_of_reference, "FrameOfReferenceUID of AI_BM02"),
        (refer_to_another_series, "referenced series"),
        (leave_a_slice_out, "referenced images"),
        (swap_the_regions_contours, "same places"),
        (swap_the_regions_numbers, "regions"),
        (swap_the_names, "regions"),
        (swap_the_tracking_uids, "AI_BM01 is"),
        (drop_a_region, "regions"),
        (drop_the_contours_of_a_region, "have contours"),
        (drop_a_contour, "same places"),
        (write_a_contour_twice, "encloses"),
        (write_the_volume_in_mm3, "states"),
        (take_another_colour, "regions"),
        (call_it_a_target, "regions"),
        (approve, "ApprovalStatus"),
        (leave_the_polygon_open, "OPEN_PLANAR contour"),
        (miscount_the_points, "numbers for"),
        (leave_two_points, "for 2 points"),
    ],
)
def test_a_wrong_structure_set_is_caught(study, content, mutate: Mutation, message: str) -> None:
    with pytest.raises(Defect, match=message):
        check(study, content, mutate)


@pytest.mark.parametrize("series", [classic_series, enhanced_series])
def test_slices_in_the_wrong_order_are_caught(series: SeriesMaker) -> None:
    study = make_study(series=series)
    study = study.with_sources(replace(study.sources, slices=study.sources.slices[::-1]))
    with pytest.raises(Defect, match="the source of slice 0 lies at index"):
        check(study, written(study), lambda structure_set: None)


def test_another_style_than_the_sites_is_caught(study, content) -> None:
    with pytest.raises(Defect, match="regions"):
        verify_structure_set(content, study.findings, study.sources, StructureStyle.TARGET)


def test_contours_of_less_than_the_filled_volume_are_caught() -> None:
    study = make_study((LARGE,))
    content = written(study)
    volume_mm3 = 1.1 * study.findings.lesions[0].filled_volume_mm3
    larger = replace(study.findings.lesions[0], filled_volume_mm3=volume_mm3)
    with pytest.raises(Defect, match="encloses"):
        verify_structure_set(
            content, replace(study.findings, lesions=(larger,)), study.sources, StructureStyle.NEUTRAL
        )


def test_the_two_ways_of_a_keyhole_enclose_nothing() -> None:
    outer, hole = [(0, 0), (0, 6), (6, 6), (6, 0)], [(2, 2), (4, 2), (4, 4), (2, 4)]
    points = np.array([outer[0], *hole, hole[0], outer[0], *outer[1:]], dtype=float) - 0.5
    inside = centres_inside(points, (6, 6))
    expected = np.ones((6, 6), dtype=bool)
    expected[2:4, 2:4] = False
    np.testing.assert_array_equal(inside, expected)
