"""Each way a segmentation could lie about a lesion is broken in once; each must be caught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset

from core.errors import Defect
from core.lesion import Location, Region, Side
from tests.dicom_sources import OBLIQUE, classic_series, enhanced_series, make_grid
from tests.encoded_study import LARGE, SMALL, EncodedStudy, SeriesMaker, make_study
from tests.located_study import placed
from worker.encoding import to_bytes
from worker.encoding.part10 import from_bytes
from worker.encoding.segmentation.verify import verify_segmentation

Mutation = Callable[[Dataset], None]


@pytest.fixture(scope="module")
def study() -> EncodedStudy:
    places = [Location(Region.TEMPORAL_LOBE, Side.LEFT), Location(Region.DEEP_GREY_MATTER, Side.RIGHT)]
    return placed(make_study(boxes=(LARGE, SMALL), grid=make_grid(orientation=OBLIQUE)), places)


@pytest.fixture(scope="module")
def content(study: EncodedStudy) -> bytes:
    seg = study.encode().seg
    assert seg is not None
    return to_bytes(seg)


def check_seg(study: EncodedStudy, content: bytes, mutate: Mutation) -> None:
    seg = from_bytes(content)
    mutate(seg)
    verify_segmentation(to_bytes(seg), study.findings, study.sources)


def test_an_untouched_segmentation_passes(study, content) -> None:
    check_seg(study, content, lambda seg: None)


def _repack(seg: Dataset, change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> None:
    shape = (int(seg.NumberOfFrames), seg.Rows, seg.Columns)
    bits = np.unpackbits(np.frombuffer(seg.PixelData, np.uint8), bitorder="little")[: np.prod(shape)]
    packed = np.packbits(change(bits.reshape(shape)).ravel(), bitorder="little").tobytes()
    seg.PixelData = packed + b"\0" * (len(packed) % 2)


def mirror_columns(seg: Dataset) -> None:
    _repack(seg, lambda frames: frames[:, :, ::-1])


def mirror_rows(seg: Dataset) -> None:
    _repack(seg, lambda frames: frames[:, ::-1, :])


def shift_by_a_column(seg: Dataset) -> None:
    _repack(seg, lambda frames: np.roll(frames, 1, axis=2))


def lose_a_voxel(seg: Dataset) -> None:
    def without_first(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        changed = frames.copy()
        changed[tuple(np.argwhere(frames)[0])] = 0
        return changed

    _repack(seg, without_first)


def reverse_frames(seg: Dataset) -> None:
    _repack(seg, lambda frames: frames[::-1])


def negate_row_direction(seg: Dataset) -> None:
    item = seg.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    x, y, z, *column = item.ImageOrientationPatient
    item.ImageOrientationPatient = [-x, -y, -z, *column]


def swap_row_and_column_direction(seg: Dataset) -> None:
    item = seg.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    item.ImageOrientationPatient = [*item.ImageOrientationPatient[3:], *item.ImageOrientationPatient[:3]]


def swap_positions_of_two_frames(seg: Dataset) -> None:
    first, second = (g.PlanePositionSequence[0] for g in seg.PerFrameFunctionalGroupsSequence[:2])
    first.ImagePositionPatient, second.ImagePositionPatient = (
        second.ImagePositionPatient,
        first.ImagePositionPatient,
    )


def swap_sources_of_two_frames(seg: Dataset) -> None:
    images = [
        g.DerivationImageSequence[0].SourceImageSequence[0] for g in seg.PerFrameFunctionalGroupsSequence
    ]
    first, second = images[0].ReferencedSOPInstanceUID, images[1].ReferencedSOPInstanceUID
    images[0].ReferencedSOPInstanceUID, images[1].ReferencedSOPInstanceUID = second, first


def refer_to_a_stranger(seg: Dataset) -> None:
    image = seg.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0]
    image.ReferencedSOPInstanceUID = "1.2.3"


def take_another_frame_of_reference(seg: Dataset) -> None:
    seg.FrameOfReferenceUID = "1.2.3"


def swap_segments(seg: Dataset) -> None:
    for group in seg.PerFrameFunctionalGroupsSequence:
        item = group.SegmentIdentificationSequence[0]
        item.ReferencedSegmentNumber = 3 - item.ReferencedSegmentNumber


def swap_tracking_uids(seg: Dataset) -> None:
    first, second = seg.SegmentSequence
    first.TrackingUID, second.TrackingUID = second.TrackingUID, first.TrackingUID


def drop_a_segment(seg: Dataset) -> None:
    del seg.SegmentSequence[1]


def drop_a_frame(seg: Dataset) -> None:
    _repack(seg, lambda frames: frames[:-1])
    del seg.PerFrameFunctionalGroupsSequence[-1]
    seg.NumberOfFrames -= 1


def write_spacing_in_centimetres(seg: Dataset) -> None:
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.PixelSpacing = [float(v) / 10 for v in measures.PixelSpacing]


def take_slice_distance_without_the_gap(seg: Dataset) -> None:
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.SpacingBetweenSlices = float(measures.SpacingBetweenSlices) * 0.9


def move_to_the_other_side(seg: Dataset) -> None:
    region = seg.SegmentSequence[0].AnatomicRegionSequence[0]
    region.AnatomicRegionModifierSequence[0].CodeValue = "24028007"


def call_it_brain_without_saying_where(seg: Dataset) -> None:
    del seg.SegmentSequence[1].AnatomicRegionSequence[0].AnatomicRegionModifierSequence


@pytest.mark.parametrize(
    ("mutate", "message"),
    [
        (mirror_columns, "same places"),
        (mirror_rows, "same places"),
        (shift_by_a_column, "same places"),
        (lose_a_voxel, "same places"),
        (reverse_frames, "same places"),
        (negate_row_direction, "mm off it"),
        (swap_row_and_column_direction, "mm off it"),
        (swap_positions_of_two_frames, "mm off it"),
        (swap_sources_of_two_frames, "mm off it"),
        (refer_to_a_stranger, "no slice of the T1-post"),
        (take_another_frame_of_reference, "FrameOfReferenceUID"),
        (swap_segments, "same places"),
        (swap_tracking_uids, "segments"),
        (drop_a_segment, "segments"),
        (move_to_the_other_side, "region of BM-01"),
        (call_it_brain_without_saying_where, "region of BM-02"),
        (drop_a_frame, "voxels of BM-02"),
        (write_spacing_in_centimetres, "mm off it"),
        (take_slice_distance_without_the_gap, "mm3, expected"),
    ],
)
def test_a_wrong_segmentation_is_caught(study, content, mutate: Mutation, message: str) -> None:
    with pytest.raises(Defect, match=message):
        check_seg(study, content, mutate)


@pytest.mark.parametrize("series", [classic_series, enhanced_series])
def test_slices_in_the_wrong_order_are_caught(series: SeriesMaker) -> None:
    study = make_study(series=series)
    reversed_slices = replace(study.sources, slices=study.sources.slices[::-1])
    with pytest.raises(Defect, match="the source of slice 0 lies at index"):
        study.with_sources(reversed_slices).encode()


def test_a_label_map_flipped_against_its_measures_is_caught(study) -> None:
    flipped = replace(study.findings, label_map_kji=study.findings.label_map_kji[:, :, ::-1].copy())
    with pytest.raises(Defect, match="BM-01 lies at"):
        replace(study, findings=flipped).encode()


def test_slices_swapped_in_a_study_without_lesions_are_caught_too() -> None:
    study = make_study(boxes=())
    first, second, *rest = study.sources.slices
    with pytest.raises(Defect, match="the source of slice 0 lies at index"):
        study.with_sources(replace(study.sources, slices=(second, first, *rest))).encode()
