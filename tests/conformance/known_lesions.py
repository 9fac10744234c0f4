"""Lesions of known place and volume, painted into images by what the images' own headers say.

The place of a pixel is worked out here from Image Position, Image Orientation and Pixel Spacing alone
(PS3.3 C.7.6.2.1.1): neither the loading nor the writing of results takes part in the truth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from tests.conformance.geometries import Geometry

BACKGROUND = 100
CORE = 60
STEP = 40
"""Pixel values: lesion n is painted BACKGROUND + n * STEP."""

Points = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Shape(Protocol):
    """A lesion in (slice, row, column)."""

    def encloses(self, index_kji: Points) -> Mask:
        """Tell which places, shape (..., 3), lie inside its outer border."""
        ...

    def enhances(self, index_kji: Points) -> Mask:
        """Tell which of them enhance."""
        ...


@dataclass(frozen=True)
class Ellipsoid:
    """With a necrotic core of half its size where asked for."""

    centre_kji: tuple[float, float, float]
    radii_kji: tuple[float, float, float]
    has_core: bool = False

    def _distance(self, index_kji: Points) -> Points:
        return np.asarray(np.linalg.norm((index_kji - self.centre_kji) / self.radii_kji, axis=-1))

    def encloses(self, index_kji: Points) -> Mask:
        return np.asarray(self._distance(index_kji) <= 1)

    def enhances(self, index_kji: Points) -> Mask:
        return np.asarray(self.encloses(index_kji) & (self._distance(index_kji) > 0.5 * self.has_core))


@dataclass(frozen=True)
class Box:
    """From a first to a last voxel."""

    first_kji: tuple[int, int, int]
    last_kji: tuple[int, int, int]

    def encloses(self, index_kji: Points) -> Mask:
        low, high = np.array(self.first_kji) - 0.5, np.array(self.last_kji) + 0.5
        return np.asarray(((index_kji > low) & (index_kji < high)).all(axis=-1))

    def enhances(self, index_kji: Points) -> Mask:
        return self.encloses(index_kji)


NECROTIC = Ellipsoid((7.3, 11.2, 8.4), (3.4, 6.2, 5.3), has_core=True)
TOUCHING = (Box((8, 22, 14), (11, 27, 18)), Box((8, 22, 19), (11, 26, 22)))
SMALL = Ellipsoid((4.0, 8.0, 22.0), (1.6, 2.2, 2.2))
ON_FIRST_SLICE = Box((0, 26, 4), (1, 28, 7))
ONE_VOXEL = Box((12, 4, 18), (12, 4, 18))
KNOWN_LESIONS: tuple[Shape, ...] = (NECROTIC, *TOUCHING, SMALL, ON_FIRST_SLICE, ONE_VOXEL)
"""Largest first; no mirror, turn or reversal of the stack brings them onto themselves."""

EIGHTY: tuple[Shape, ...] = tuple(
    Box((k, j, i), (k + 1, j + 2, i + 2))
    for k in (0, 3, 6, 9, 12)
    for j in (2, 9, 16, 23)
    for i in (1, 8, 15, 22)
)


@dataclass(frozen=True, eq=False)
class KnownLesion:
    """The truth about one lesion: its voxels' centres, (n, 3) LPS mm, and the volume of a voxel."""

    points_lps_mm: Points
    filled_points_lps_mm: Points
    voxel_volume_mm3: float

    @property
    def volume_mm3(self) -> float:
        return len(self.points_lps_mm) * self.voxel_volume_mm3

    @property
    def filled_volume_mm3(self) -> float:
        return len(self.filled_points_lps_mm) * self.voxel_volume_mm3

    @property
    def centroid_lps_mm(self) -> Points:
        return np.asarray(self.points_lps_mm.mean(axis=0))

    @property
    def filled_centroid_lps_mm(self) -> Points:
        return np.asarray(self.filled_points_lps_mm.mean(axis=0))


def paint(instances: Sequence[Dataset], geometry: Geometry, shapes: Sequence[Shape]) -> list[KnownLesion]:
    """Paint lesions into the instances' pixels; return the truth about each."""
    enhancing: list[list[Points]] = [[] for _ in shapes]
    filled: list[list[Points]] = [[] for _ in shapes]
    for dataset in instances:
        frames = []
        for points in _pixel_places(dataset):
            pixels = np.full(points.shape[:2], BACKGROUND, dtype=np.uint16)
            index_kji = geometry.to_index_kji(points)
            for n, shape in enumerate(shapes):
                inside, enhances = shape.encloses(index_kji), shape.enhances(index_kji)
                pixels[inside] = CORE
                pixels[enhances] = BACKGROUND + STEP * (n + 1)
                filled[n].append(points[inside])
                enhancing[n].append(points[enhances])
            frames.append(pixels)
        dataset.PixelData = np.stack(frames).tobytes()
    return [
        KnownLesion(np.concatenate(e), np.concatenate(f), geometry.voxel_volume_mm3)
        for e, f in zip(enhancing, filled, strict=True)
    ]


def label_map(voxels_kji: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return the numbers of the lesions that were painted."""
    return np.asarray(np.clip((voxels_kji - BACKGROUND) / STEP, 0, None).round().astype(np.uint16))


def _pixel_places(dataset: Dataset) -> Iterator[Points]:
    """Yield the places of every frame's pixels, (rows, columns, 3) LPS mm."""
    if "PerFrameFunctionalGroupsSequence" not in dataset:
        yield _frame_places(dataset, dataset.ImagePositionPatient, dataset, dataset)
        return
    shared = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    for groups in dataset.PerFrameFunctionalGroupsSequence:
        position = groups.PlanePositionSequence[0].ImagePositionPatient
        yield _frame_places(dataset, position, groups.PlaneOrientationSequence[0], shared)


def _frame_places(
    dataset: Dataset, position: Sequence[float], oriented: Dataset, measured: Dataset
) -> Points:
    origin = np.array([float(v) for v in position])
    row, column = np.array([float(v) for v in oriented.ImageOrientationPatient]).reshape(2, 3)
    row_distance, column_distance = (float(v) for v in measured.PixelSpacing)
    j, i = np.mgrid[: dataset.Rows, : dataset.Columns][..., None]
    return np.asarray(origin + j * row_distance * column + i * column_distance * row)
