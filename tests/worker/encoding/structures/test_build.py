"""A structure set says what planning systems ask for: names, types, colours, images, volumes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from core.results import StructureStyle
from tests.dicom_sources import (
    AXIAL,
    OBLIQUE,
    SAGITTAL,
    Orientation,
    classic_series,
    enhanced_series,
    make_grid,
    make_patient,
)
from tests.encoded_study import (
    LARGE,
    ON_FIRST_SLICE,
    ONE_VOXEL,
    SMALL,
    Box,
    EncodedStudy,
    SeriesMaker,
    make_study,
)
from tests.judges import validation_errors
from tests.worker.encoding.structures.written import written
from worker.encoding.palette import lesion_colour
from worker.encoding.part10 import from_bytes
from worker.encoding.structures.verify import verify_structure_set

SEVERAL = (LARGE, SMALL, ON_FIRST_SLICE, ONE_VOXEL)
BESIDE_LARGE: Box = (slice(3, 5), slice(9, 12), slice(6, 9))
"""Shares edges with it."""
EIGHTY = tuple(
    (slice(k, k + 2), slice(j, j + 3), slice(i, i + 3))
    for k in (0, 3, 6, 9, 12)
    for j in (2, 8, 14, 20)
    for i in (1, 6, 11, 16)
)
CORONAL: Orientation = ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0))
FEET_ALONG_THE_ROWS: Orientation = ((0.0, 0.0, -1.0), (0.0, 1.0, 0.0))
NEGATED_COSINES: Orientation = ((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0))


@pytest.fixture(scope="module")
def study() -> EncodedStudy:
    return make_study(SEVERAL, make_grid(orientation=OBLIQUE))


@pytest.fixture(scope="module")
def structure_set(study: EncodedStudy) -> Dataset:
    return from_bytes(written(study))


def errors_of(content: bytes, folder: Path) -> list[str]:
    path = folder / "rtstruct.dcm"
    path.write_bytes(content)
    return validation_errors(path)


@pytest.mark.parametrize("series", [classic_series, enhanced_series])
@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL, OBLIQUE, NEGATED_COSINES])
@pytest.mark.parametrize("style", list(StructureStyle))
def test_it_is_valid_and_proven_in_every_orientation(
    series: SeriesMaker, orientation: Orientation, style: StructureStyle, tmp_path: Path
) -> None:
    study = make_study(SEVERAL, make_grid(orientation=orientation), series)
    content = written(study, style)
    assert errors_of(content, tmp_path) == []
    verify_structure_set(content, study.findings, study.sources, style)


@pytest.mark.parametrize(
    "boxes",
    [
        pytest.param((ONE_VOXEL,), id="one voxel"),
        pytest.param((ON_FIRST_SLICE,), id="on the first slice"),
        pytest.param((LARGE, BESIDE_LARGE), id="touching"),
        pytest.param(EIGHTY, id="eighty"),
    ],
)
def test_it_is_valid_and_proven_for_any_lesions(boxes: tuple[Box, ...], tmp_path: Path) -> None:
    study = make_study(boxes, make_grid((16, 24, 20), orientation=OBLIQUE))
    content = written(study)
    assert errors_of(content, tmp_path) == []
    verify_structure_set(content, study.findings, study.sources, StructureStyle.NEUTRAL)


def test_a_patients_name_keeps_its_script(tmp_path: Path) -> None:
    patient = make_patient("Yamada^Tarou=山田^太郎=やまだ^たろう", ["", "ISO 2022 IR 87"])
    content = written(make_study((LARGE,), patient=patient))
    assert errors_of(content, tmp_path) == []
    assert from_bytes(content).PatientName.ideographic == "山田^太郎"


def test_the_same_arguments_give_the_same_bytes(study: EncodedStudy) -> None:
    assert written(study) == written(study)


def test_findings_are_named_neutrally_and_have_no_type(structure_set: Dataset) -> None:
    names = [item.ROIName for item in structure_set.StructureSetROISequence]
    assert names == ["AI_BM01", "AI_BM02", "AI_BM03", "AI_BM04"]
    for item in structure_set.RTROIObservationsSequence:
        assert item.RTROIInterpretedType in (None, "")
        assert item.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
        assert "TherapeuticRoleTypeCodeSequence" not in item


def test_a_site_may_have_targets(study: EncodedStudy) -> None:
    structure_set = from_bytes(written(study, StructureStyle.TARGET))
    assert structure_set.StructureSetROISequence[0].ROIName == "GTV_BM01"
    for item in structure_set.RTROIObservationsSequence:
        assert item.RTROIInterpretedType == "GTV"
        assert item.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "130041"
        assert item.TherapeuticRoleTypeCodeSequence[0].CodeValue == "228791009"


def test_regions_have_volume_in_cubic_centimetres_colour_and_tracking_uid(
    study: EncodedStudy, structure_set: Dataset
) -> None:
    regions = zip(structure_set.StructureSetROISequence, structure_set.ROIContourSequence, strict=True)
    for lesion, (region, contours) in zip(study.report.lesions, regions, strict=True):
        assert float(region.ROIVolume) == pytest.approx(lesion.filled_volume_mm3 / 1000)
        assert region.ROIGenerationAlgorithm == "AUTOMATIC"
        assert lesion.tracking_uid in region.ROIDescription
        assert tuple(contours.ROIDisplayColor) == lesion_colour(lesion.number)


def test_nothing_is_approved(structure_set: Dataset) -> None:
    assert structure_set.ApprovalStatus == "UNAPPROVED"
    assert structure_set.StructureSetDate == "20261123"


@pytest.mark.parametrize("series", [classic_series, enhanced_series])
def test_every_slice_of_the_series_is_referenced(series: SeriesMaker) -> None:
    study = make_study((LARGE,), series=series)
    (frame,) = from_bytes(written(study)).ReferencedFrameOfReferenceSequence
    items = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0].ContourImageSequence
    found = [(i.ReferencedSOPInstanceUID, i.get("ReferencedFrameNumber")) for i in items]
    assert found == [(s.sop_instance_uid, s.frame_number) for s in study.sources.slices]


def test_contours_of_an_axial_slice_are_at_its_position_to_the_last_digit() -> None:
    grid = make_grid(spacing_kji_mm=(1.2345678, 0.9, 0.8), origin_lps_mm=(1.1, 2.2, -33.3333333))
    study = make_study((LARGE,), grid)
    z_of = {str(d.SOPInstanceUID): str(d.ImagePositionPatient[2]) for d in study.sources.t1_post}
    for contour in from_bytes(written(study)).ROIContourSequence[0].ContourSequence:
        uid = contour.ContourImageSequence[0].ReferencedSOPInstanceUID
        assert {float(z) for z in contour.ContourData[2::3]} == {float(z_of[uid])}


@pytest.mark.parametrize("orientation", [SAGITTAL, CORONAL, FEET_ALONG_THE_ROWS])
def test_no_neighbours_along_a_contour_differ_in_z_alone(orientation: Orientation) -> None:
    study = make_study((LARGE, BESIDE_LARGE), make_grid(orientation=orientation))
    content = written(study)
    for region in from_bytes(content).ROIContourSequence:
        for contour in region.ContourSequence:
            points = np.array(contour.ContourData, dtype=float).reshape(-1, 3)
            apart_mm = np.abs(points - np.roll(points, 1, axis=0))[:, :2].max(axis=1)
            assert apart_mm.min() >= 0.001
    verify_structure_set(content, study.findings, study.sources, StructureStyle.NEUTRAL)


def test_contours_follow_a_slice_whose_orientation_differs_in_its_last_digits() -> None:
    study = make_study((LARGE,), make_grid(orientation=OBLIQUE))
    for number, image in enumerate(study.sources.t1_post):
        image.ImageOrientationPatient[2] = 1e-4 * number
    content = written(study)
    verify_structure_set(content, study.findings, study.sources, StructureStyle.NEUTRAL)


def test_every_number_fits_a_decimal_string(structure_set: Dataset) -> None:
    for region in structure_set.ROIContourSequence:
        for contour in region.ContourSequence:
            assert all(len(str(value)) <= 16 for value in contour.ContourData)


def test_a_necrotic_core_is_inside_the_contour() -> None:
    study = make_study((LARGE,))
    labels = study.findings.label_map_kji
    labels[3:5, 5:7, 6:9] = 0  # open to nowhere
    content = written(study)
    regions = from_bytes(content).ROIContourSequence
    assert len(regions[0].ContourSequence) == LARGE[0].stop - LARGE[0].start
    verify_structure_set(content, study.findings, study.sources, StructureStyle.NEUTRAL)
    assert np.count_nonzero(labels) < 4 * 6 * 8
