"""The segmentation: what viewers need of it."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from core.headers import frame_groups
from tests.dicom_sources import FRAME_OF_REFERENCE_UID, OBLIQUE, classic_series, enhanced_series, make_grid
from tests.encoded_study import LARGE, ON_FIRST_SLICE, ONE_VOXEL, EncodedStudy, SeriesMaker, make_study
from worker.encoding.palette import LESION_COLOURS, lesion_colour


def encoded_seg(study: EncodedStudy) -> Dataset:
    seg = study.encode().seg
    assert seg is not None
    return seg


def test_it_is_binary_on_the_t1_post_planes() -> None:
    study = make_study(grid=make_grid(orientation=OBLIQUE))
    seg, source = encoded_seg(study), study.sources.t1_post[0]
    assert (seg.SegmentationType, seg.BitsAllocated) == ("BINARY", 1)
    assert (seg.Rows, seg.Columns) == (source.Rows, source.Columns)
    assert seg.FrameOfReferenceUID == FRAME_OF_REFERENCE_UID
    orientation = seg.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient
    assert orientation == source.ImageOrientationPatient
    assert list(seg.ImageType) == ["DERIVED", "PRIMARY"]


def test_only_the_t1_post_series_is_referenced() -> None:
    study = make_study()
    (series,) = encoded_seg(study).ReferencedSeriesSequence
    assert series.SeriesInstanceUID == study.sources.series_instance_uid
    assert len(series.ReferencedInstanceSequence) == len(study.sources.t1_post)


@pytest.mark.parametrize("series", [classic_series, enhanced_series])
def test_every_frame_names_the_source_at_its_own_position(series: SeriesMaker) -> None:
    study = make_study(grid=make_grid(orientation=OBLIQUE), series=series)
    seg = encoded_seg(study)
    by_uid = {d.SOPInstanceUID: d for d in study.sources.t1_post}
    for group in seg.PerFrameFunctionalGroupsSequence:
        derivation = group.DerivationImageSequence[0]
        assert derivation.DerivationCodeSequence[0].CodeValue == "113076"
        image = derivation.SourceImageSequence[0]
        assert image.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
        source = by_uid[image.ReferencedSOPInstanceUID]
        assert group.PlanePositionSequence[0].ImagePositionPatient == _position(source, image)


def test_an_enhanced_source_is_one_referenced_instance() -> None:
    study = make_study(series=enhanced_series)
    (instance,) = encoded_seg(study).ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert instance.ReferencedSOPInstanceUID == study.sources.t1_post[0].SOPInstanceUID
    assert instance.ReferencedSOPClassUID == study.sources.t1_post[0].SOPClassUID


def test_empty_frames_are_left_out() -> None:
    seg = encoded_seg(make_study(boxes=(LARGE, ON_FIRST_SLICE, ONE_VOXEL)))
    assert seg.NumberOfFrames == 4 + 1 + 1
    numbers = [
        group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        for group in seg.PerFrameFunctionalGroupsSequence
    ]
    assert numbers == [1, 1, 1, 1, 2, 3]


def test_a_segment_says_what_it_is_and_who_found_it() -> None:
    study = make_study()
    first = encoded_seg(study).SegmentSequence[0]
    lesion = study.report.lesions[0]
    assert (first.SegmentNumber, first.TrackingID, first.TrackingUID) == (1, "BM-01", lesion.tracking_uid)
    assert first.SegmentAlgorithmType == "AUTOMATIC"
    assert first.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
    assert first.SegmentedPropertyTypeCodeSequence[0].CodeValue == "14799000"
    assert first.AnatomicRegionSequence[0].CodeValue == "12738006"
    algorithm = first.SegmentationAlgorithmIdentificationSequence[0]
    assert algorithm.AlgorithmFamilyCodeSequence[0].CodeValue == "123110"
    assert algorithm.AlgorithmVersion == "2026.11.0 (full)"


def test_neighbouring_numbers_have_different_colours_and_a_number_keeps_its_own() -> None:
    assert len(set(LESION_COLOURS)) == len(LESION_COLOURS)
    assert all(lesion_colour(n) != lesion_colour(n + 1) for n in range(1, 100))
    few = encoded_seg(make_study(boxes=(LARGE,)))
    many = encoded_seg(make_study(boxes=(LARGE, ONE_VOXEL)))
    colours = [seg.SegmentSequence[0].RecommendedDisplayCIELabValue for seg in (few, many)]
    assert colours[0] == colours[1]


def test_slice_thickness_and_spacing_come_from_the_grid_when_the_header_lacks_them() -> None:
    study = make_study()
    for dataset in study.sources.t1_post:
        dataset.SliceThickness = None
    measures = encoded_seg(study).SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert (measures.SliceThickness, measures.SpacingBetweenSlices) == (2.0, 2.0)


def _position(source: Dataset, reference: Dataset) -> list[float]:
    if "PerFrameFunctionalGroupsSequence" not in source:
        return source.ImagePositionPatient
    groups = frame_groups(source, reference.ReferencedFrameNumber - 1)
    return next(g.ImagePositionPatient for g in groups if "ImagePositionPatient" in g)
