"""The probability map: what the ensemble said, at its places, and each way it could lie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.config import disable_value_validation

from core.errors import Defect
from core.geometry import Grid
from core.study import AnalysisMode
from tests.dicom_sources import OBLIQUE, classic_series, enhanced_series, make_grid
from tests.encoded_study import LARGE, ONE_VOXEL, EncodedStudy, SeriesMaker, make_study
from tests.judges import validation_errors
from worker.encoding.codes import DEFAULT_SITE_CODES
from worker.encoding.identity import read_identity
from worker.encoding.part10 import from_bytes, to_bytes
from worker.encoding.provenance import Stamp
from worker.encoding.segmentation.probability import (
    build_probability_map,
    is_worth_a_map,
    probability_on_source,
    verify_probability_map,
)
from worker.ensemble import LesionProbability

Mutation = Callable[[Dataset], None]


def output_of(study: EncodedStudy) -> NDArray[np.float32]:
    """Graded inside two lesions, a little everywhere."""
    values = np.full(study.findings.grid.shape_kji, 0.01, dtype=np.float32)
    for box in (LARGE, ONE_VOXEL):
        size = values[box].size
        values[box] = np.linspace(0.06, 1.0, size).reshape(values[box].shape)
    return values


def written(study: EncodedStudy, probability_kji: NDArray[np.float32]) -> bytes:
    with disable_value_validation():
        seg = build_probability_map(study.findings, probability_kji, study.sources, study.provenance)
        stamp = Stamp(read_identity(study.sources.t1_post[0]), study.provenance, DEFAULT_SITE_CODES)
        return to_bytes(stamp.applied_to(seg))


@pytest.fixture(scope="module")
def study() -> EncodedStudy:
    return make_study((LARGE, ONE_VOXEL), make_grid(orientation=OBLIQUE))


@pytest.fixture(scope="module")
def content(study: EncodedStudy) -> bytes:
    return written(study, output_of(study))


@pytest.mark.parametrize("series", [classic_series, enhanced_series])
def test_the_validator_finds_no_error(series: SeriesMaker, tmp_path: Path) -> None:
    study = make_study((LARGE,), make_grid(orientation=OBLIQUE), series)
    path = tmp_path / "map.dcm"
    path.write_bytes(written(study, output_of(study)))
    assert validation_errors(path) == []


@pytest.mark.parametrize("series", [classic_series, enhanced_series])
def test_a_map_reads_back_as_the_output(series: SeriesMaker) -> None:
    study = make_study((LARGE,), make_grid(orientation=OBLIQUE), series)
    output = output_of(study)
    seg = verify_probability_map(written(study, output), output, study.findings.grid, study.sources)
    assert (seg.SegmentationType, seg.SegmentationFractionalType) == ("FRACTIONAL", "PROBABILITY")
    assert seg.SegmentSequence[0].SegmentLabel == "Lesion probability"
    assert seg.SeriesNumber == 9007


def test_slices_without_a_shown_output_have_no_frame(content: bytes) -> None:
    assert int(from_bytes(content).NumberOfFrames) == 5


def test_the_same_output_gives_the_same_bytes(study: EncodedStudy, content: bytes) -> None:
    assert written(study, output_of(study)) == content


def test_an_output_too_small_to_be_shown_is_not_worth_a_map(study: EncodedStudy) -> None:
    nothing = np.full(study.findings.grid.shape_kji, 0.04, dtype=np.float32)
    assert is_worth_a_map(output_of(study))
    assert not is_worth_a_map(nothing)
    with pytest.raises(Defect, match="runs from"):
        written(study, nothing)


def _fractions(seg: Dataset, change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> None:
    frames = np.frombuffer(seg.PixelData, np.uint8).reshape(-1, seg.Rows, seg.Columns)
    seg.PixelData = np.ascontiguousarray(change(frames)).tobytes()


def mirror_columns(seg: Dataset) -> None:
    _fractions(seg, lambda frames: frames[:, :, ::-1])


def halve_every_value(seg: Dataset) -> None:
    _fractions(seg, lambda frames: frames // 2)


def reverse_frames(seg: Dataset) -> None:
    _fractions(seg, lambda frames: frames[::-1])


def count_to_a_hundred(seg: Dataset) -> None:
    seg.MaximumFractionalValue = 100


def call_it_occupancy(seg: Dataset) -> None:
    seg.SegmentationFractionalType = "OCCUPANCY"


def drop_a_frame(seg: Dataset) -> None:
    del seg.PerFrameFunctionalGroupsSequence[-1]


def move_a_frame(seg: Dataset) -> None:
    first, second, *_ = seg.PerFrameFunctionalGroupsSequence
    first.PlanePositionSequence = second.PlanePositionSequence


def refer_to_a_stranger(seg: Dataset) -> None:
    group = seg.PerFrameFunctionalGroupsSequence[0]
    group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID = "1.2.3"


def take_another_frame_of_reference(seg: Dataset) -> None:
    seg.FrameOfReferenceUID = "1.2.3"


@pytest.mark.parametrize(
    ("mutate", "message"),
    [
        (mirror_columns, "off, expected"),
        (halve_every_value, "off, expected"),
        (reverse_frames, "off, expected"),
        (count_to_a_hundred, "the map"),
        (call_it_occupancy, "the map"),
        (drop_a_frame, "slices without a frame"),
        (move_a_frame, "mm off it"),
        (refer_to_a_stranger, "no slice of the T1-post"),
        (take_another_frame_of_reference, "FrameOfReferenceUID"),
    ],
)
def test_a_wrong_map_is_caught(study: EncodedStudy, content: bytes, mutate: Mutation, message: str) -> None:
    seg = from_bytes(content)
    mutate(seg)
    with pytest.raises(Defect, match=message):
        verify_probability_map(to_bytes(seg), output_of(study), study.findings.grid, study.sources)


def test_an_output_is_carried_to_the_source_grid_where_it_was() -> None:
    analysis = Grid((20, 20, 20), np.eye(4)[[2, 1, 0, 3]])
    mean = np.broadcast_to(np.linspace(0, 0.95, 20, dtype=np.float32), (20, 20, 20)).copy()
    mask = np.ones((20, 20, 20), dtype=np.bool_)
    mask[:, :4] = False
    probability = LesionProbability(
        analysis, mean, ("only",), (mean.astype(np.float16),), mask, AnalysisMode.T1_POST_ONLY
    )
    source = Grid((6, 12, 12), np.diag([1.5, 1.5, 3.0, 1.0])[:, [2, 1, 0, 3]])
    carried = probability_on_source(probability, source)
    assert carried[2, 6, 4] == pytest.approx(0.05 * 6.0, abs=1e-4)  # x = 6 mm, y = 9 mm
    assert carried[2, 0, 4] == 0
