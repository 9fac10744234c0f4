"""Stacks that are no regular grid are refused, each for its reason, whatever their orientation and kind."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
from pydicom import Dataset

from core.errors import UnsuitableReason, UnsuitableStudy
from tests.conformance.conftest import Record
from tests.conformance.geometries import CORONAL, Geometry
from tests.dicom_sources import OBLIQUE, SAGITTAL, classic_series, enhanced_series
from worker.volumes import load_volume

Break = Callable[[list[Dataset]], None]
"""Takes slices (classic instances or groups of frames) in the order of their position."""

BASE = Geometry("refused")


def space_unevenly(slices: list[Dataset]) -> None:
    position = _position(slices[5])
    following = _position(slices[6]).ImagePositionPatient
    middle = zip(position.ImagePositionPatient, following, strict=True)
    position.ImagePositionPatient = [round(float(a) + 0.3 * (float(b) - float(a)), 6) for a, b in middle]


def lose_a_slice(slices: list[Dataset]) -> None:
    del slices[6]


def repeat_a_slice(slices: list[Dataset]) -> None:
    slices.append(copy.deepcopy(slices[4]))


def turn_a_slice(slices: list[Dataset]) -> None:
    _orientation(slices[3]).ImageOrientationPatient = [value for axis in CORONAL for value in axis]


BREAKS = {
    "uneven-spacing": (space_unevenly, "mm apart"),
    "missing-slice": (lose_a_slice, "mm apart"),
    "duplicate-slice": (repeat_a_slice, "two slices lie at"),
    "mixed-orientations": (turn_a_slice, "ImageOrientationPatient differs"),
}


@pytest.mark.parametrize("orientation", [SAGITTAL, OBLIQUE], ids=["sagittal", "double-oblique"])
@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_classic_stack_is_refused_for_its_reason(name: str, orientation, record: Record) -> None:
    break_it, words = BREAKS[name]
    instances = sorted(_classic(orientation), key=lambda d: -int(d.InstanceNumber))
    break_it(instances)
    refused(instances, words)
    record("refused", {f"classic-{name}": UnsuitableReason.IRREGULAR_GEOMETRY.value})


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_enhanced_stack_is_refused_for_its_reason(name: str, record: Record) -> None:
    break_it, words = BREAKS[name]
    (dataset,) = enhanced_series(replace(BASE, orientation=OBLIQUE).grid())[0]
    groups = sorted(
        dataset.PerFrameFunctionalGroupsSequence,
        key=lambda item: item.FrameContentSequence[0].DimensionIndexValues,
    )
    break_it(groups)
    dataset.PerFrameFunctionalGroupsSequence, dataset.NumberOfFrames = groups, len(groups)
    dataset.PixelData = bytes(2 * dataset.Rows * dataset.Columns * len(groups))
    refused([dataset], words)
    record("refused", {f"enhanced-{name}": UnsuitableReason.IRREGULAR_GEOMETRY.value})


def test_two_frames_of_reference_in_one_series_are_refused(record: Record) -> None:
    instances = _classic(OBLIQUE)
    instances[3].FrameOfReferenceUID = "2.25.9"
    refused(instances, "2 frames of reference")
    record("refused", {"mixed-frames-of-reference": UnsuitableReason.IRREGULAR_GEOMETRY.value})


def refused(datasets: list[Dataset], words: str) -> None:
    with pytest.raises(UnsuitableStudy, match=words) as caught:
        load_volume(datasets)
    assert caught.value.reason is UnsuitableReason.IRREGULAR_GEOMETRY


def _classic(orientation) -> list[Dataset]:
    return list(classic_series(replace(BASE, orientation=orientation).grid())[0])


def _position(item: Dataset) -> Dataset:
    return item.PlanePositionSequence[0] if "PlanePositionSequence" in item else item


def _orientation(item: Dataset) -> Dataset:
    return item.PlaneOrientationSequence[0] if "PlaneOrientationSequence" in item else item
