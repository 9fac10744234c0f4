"""Datasets -> Volume: slices sorted by position, spacing checked, one affine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from core.errors import UnsuitableReason, UnsuitableStudy
from core.geometry import Grid
from core.headers import frame_groups
from worker.pixels import check_decoded_size, read_frames

MIN_SLICES = 10
"""Fewer slices cannot hold a head, even at 10 mm: a localiser or the rest of a series."""

MAX_SLICES = 4096
"""More slices than any head scan has: a header that claims more is not believed."""

COSINE_TOLERANCE = 1e-3
"""How far direction cosines may be from unit length, from a right angle, and from slice to slice.

Scanners write four to six decimals; 1e-3 moves the edge of a 256 mm field of view by 0.25 mm.
"""

PIXEL_SPACING_TOLERANCE_MM = 1e-3
"""Slices of one series whose Pixel Spacing differs by less have the same spacing."""

SLICE_SPACING_TOLERANCE = 0.01
"""Share of the spacing by which the distance of two neighbouring slices may differ from the mean."""

SLICE_SPACING_FLOOR_MM = 0.05
"""Positions are rounded to 0.01 mm by some scanners: thin slices are not held to less than this."""

DUPLICATE_DISTANCE_MM = 0.01
"""Two slices nearer than this lie at the same position."""

IN_PLANE_DRIFT_TOLERANCE_MM = 0.25
"""Slices must be stacked along their normal: a quarter of the analysis' voxel over the whole stack."""


@dataclass(frozen=True, slots=True)
class SliceReference:
    """Where the pixels of one slice of a volume came from.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid
        The source instance.
    frame_number
        1-based frame of an Enhanced MR instance, None for a classic one.
    """

    sop_class_uid: str
    sop_instance_uid: str
    frame_number: int | None


@dataclass(frozen=True, eq=False)
class Volume:
    """A scan in memory.

    Parameters
    ----------
    voxels_kji
        float32, (slices, rows, columns); modality values (rescale slope and intercept applied).
    grid
        Slice k lies at increasing position along the slice normal (row direction x column direction).
    frame_of_reference_uid
        Of the source series.
    slices
        One reference per k, in the order of ``voxels_kji``.
    """

    voxels_kji: NDArray[np.float32]
    grid: Grid
    frame_of_reference_uid: str
    slices: tuple[SliceReference, ...]


@dataclass(frozen=True, eq=False)
class SourceImages:
    """The instances a job is bound to, as datasets with pixels; ``t1`` is None without a usable T1."""

    t1_post: tuple[Dataset, ...]
    t1: tuple[Dataset, ...] | None


@dataclass(frozen=True, eq=False)
class _Frame:
    """One slice before sorting: its geometry, and where its pixels are."""

    dataset_index: int
    frame_index: int
    reference: SliceReference
    position_lps_mm: NDArray[np.float64]
    orientation: NDArray[np.float64]
    spacing_ji_mm: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Stack:
    """Frames sorted along their normal."""

    frames: tuple[_Frame, ...]
    distances_mm: NDArray[np.float64]
    normal_lps: NDArray[np.float64]

    @property
    def spacing_mm(self) -> float:
        return float((self.distances_mm[-1] - self.distances_mm[0]) / (len(self.frames) - 1))


def load_volume(datasets: Sequence[Dataset]) -> Volume:
    """Stack the frames of one series into a volume.

    Parameters
    ----------
    datasets
        Classic or Enhanced MR instances of one series with pixels, in any order and orientation.

    Raises
    ------
    UnsuitableStudy
        The frames are not one regular, untilted stack, or their pixels cannot be read.
    """
    check_decoded_size(datasets)
    frames = _list_frames(datasets)
    frame_of_reference_uid = _check_uniform(datasets, frames)
    stack = _sort_along_normal(frames)
    _check_regular(stack)
    _check_untilted(stack)
    voxels_kji = _read_voxels(datasets, stack)
    references = tuple(frame.reference for frame in stack.frames)
    return Volume(voxels_kji, _grid(stack, voxels_kji.shape), frame_of_reference_uid, references)


def _list_frames(datasets: Sequence[Dataset]) -> list[_Frame]:
    count = sum(int(dataset.get("NumberOfFrames") or 1) for dataset in datasets)
    if not MIN_SLICES <= count <= MAX_SLICES:
        raise _unsupported(f"the series has {count} slices, expected {MIN_SLICES} to {MAX_SLICES}")
    return [
        _describe_frame(dataset, dataset_index, frame_index)
        for dataset_index, dataset in enumerate(datasets)
        for frame_index in range(int(dataset.get("NumberOfFrames") or 1))
    ]


def _describe_frame(dataset: Dataset, dataset_index: int, frame_index: int) -> _Frame:
    is_enhanced = "PerFrameFunctionalGroupsSequence" in dataset
    places = [*frame_groups(dataset, frame_index), dataset] if is_enhanced else [dataset]
    return _Frame(
        dataset_index=dataset_index,
        frame_index=frame_index,
        reference=SliceReference(
            str(dataset.get("SOPClassUID", "")),
            str(dataset.get("SOPInstanceUID", "")),
            frame_index + 1 if is_enhanced else None,
        ),
        position_lps_mm=_numbers(places, "ImagePositionPatient", 3),
        orientation=_numbers(places, "ImageOrientationPatient", 6),
        spacing_ji_mm=_numbers(places, "PixelSpacing", 2),
    )


def _numbers(places: Sequence[Dataset], keyword: str, count: int) -> NDArray[np.float64]:
    value: Any = next((place[keyword].value for place in places if place.get(keyword) is not None), None)
    try:
        numbers = np.array([float(v) for v in value], dtype=np.float64)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise _unsupported(f"{keyword} is {value!r}, expected {count} numbers")
    return numbers


def _check_uniform(datasets: Sequence[Dataset], frames: Sequence[_Frame]) -> str:
    """Check size, orientation and spacing against each other; return the frame of reference's UID."""
    sizes = {(int(dataset.Rows), int(dataset.Columns)) for dataset in datasets}
    if len(sizes) != 1:
        raise _irregular(f"slices have sizes {sorted(sizes)}, expected one size")
    frame_of_reference_uids = {str(dataset.get("FrameOfReferenceUID", "")) for dataset in datasets}
    if len(frame_of_reference_uids) != 1:
        raise _irregular(f"the series has {len(frame_of_reference_uids)} frames of reference, expected 1")
    _check_same("ImageOrientationPatient", [f.orientation for f in frames], COSINE_TOLERANCE)
    _check_same("PixelSpacing", [f.spacing_ji_mm for f in frames], PIXEL_SPACING_TOLERANCE_MM)
    if frames[0].spacing_ji_mm.min() <= 0:
        raise _unsupported(f"PixelSpacing is {frames[0].spacing_ji_mm.tolist()}, expected positive numbers")
    return frame_of_reference_uids.pop()


def _check_same(keyword: str, values: Sequence[NDArray[np.float64]], tolerance: float) -> None:
    spread = np.ptp(np.array(values), axis=0).max()
    if spread > tolerance:
        raise _irregular(f"{keyword} differs between slices by {spread:.4g}, expected at most {tolerance}")


def _sort_along_normal(frames: Sequence[_Frame]) -> _Stack:
    row, column = frames[0].orientation.reshape(2, 3)
    lengths_and_angle = np.array([np.linalg.norm(row) - 1, np.linalg.norm(column) - 1, row @ column])
    if np.abs(lengths_and_angle).max() > COSINE_TOLERANCE:
        raise _unsupported(f"ImageOrientationPatient {frames[0].orientation.tolist()} is not orthonormal")
    normal = np.cross(row, column)
    normal /= np.linalg.norm(normal)
    distances = np.array([frame.position_lps_mm @ normal for frame in frames])
    order = np.argsort(distances, kind="stable")
    return _Stack(tuple(frames[n] for n in order), distances[order], normal)


def _check_regular(stack: _Stack) -> None:
    steps = np.diff(stack.distances_mm)
    if steps.min() < DUPLICATE_DISTANCE_MM:
        at_mm = stack.distances_mm[int(steps.argmin())]
        raise _irregular(f"two slices lie at {at_mm:.2f} mm along the normal, expected one a position")
    tolerance = max(SLICE_SPACING_TOLERANCE * float(np.median(steps)), SLICE_SPACING_FLOOR_MM)
    if np.abs(steps - np.median(steps)).max() > tolerance:
        raise _irregular(
            f"slices lie {steps.min():.3f} to {steps.max():.3f} mm apart, "
            f"expected {np.median(steps):.3f} mm within {tolerance:.3f} mm"
        )


def _check_untilted(stack: _Stack) -> None:
    positions = np.array([frame.position_lps_mm for frame in stack.frames])
    offsets = positions - positions[0]
    in_plane = offsets - np.outer(offsets @ stack.normal_lps, stack.normal_lps)
    drift = float(np.linalg.norm(in_plane, axis=1).max())
    if drift > IN_PLANE_DRIFT_TOLERANCE_MM:
        raise _unsupported(
            f"slices drift {drift:.2f} mm off their normal (a tilted or sheared stack), "
            f"expected at most {IN_PLANE_DRIFT_TOLERANCE_MM} mm"
        )


def _read_voxels(datasets: Sequence[Dataset], stack: _Stack) -> NDArray[np.float32]:
    shape = (len(stack.frames), int(datasets[0].Rows), int(datasets[0].Columns))
    voxels_kji = np.empty(shape, dtype=np.float32)
    place_of = {(f.dataset_index, f.frame_index): k for k, f in enumerate(stack.frames)}
    for dataset_index, dataset in enumerate(datasets):
        for frame_index, frame in enumerate(read_frames(dataset)):
            voxels_kji[place_of[dataset_index, frame_index]] = frame
    return voxels_kji


def _grid(stack: _Stack, shape_kji: tuple[int, ...]) -> Grid:
    first = stack.frames[0]
    row, column = first.orientation.reshape(2, 3)
    affine = np.eye(4)
    affine[:3, 0] = stack.normal_lps * stack.spacing_mm
    affine[:3, 1] = column / np.linalg.norm(column) * first.spacing_ji_mm[0]
    affine[:3, 2] = row / np.linalg.norm(row) * first.spacing_ji_mm[1]
    affine[:3, 3] = first.position_lps_mm
    slices, rows, columns = shape_kji
    return Grid((slices, rows, columns), affine)


def _irregular(message: str) -> UnsuitableStudy:
    return UnsuitableStudy(UnsuitableReason.IRREGULAR_GEOMETRY, message)


def _unsupported(message: str) -> UnsuitableStudy:
    return UnsuitableStudy(UnsuitableReason.UNSUPPORTED_GEOMETRY, message)
