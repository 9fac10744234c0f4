"""An analytic head with known lesions, and the scans and DICOM series made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from core.geometry import Grid
from core.headers import ENHANCED_MR_IMAGE_STORAGE, MR_IMAGE_STORAGE
from worker.volumes import SliceReference, Volume

FRAME_OF_REFERENCE_UID = "2.25.1001"
STUDY_UID = "2.25.2001"
SERIES_UID = "2.25.3001"

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
NEGATED_COLUMN = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Sphere:
    """A lesion: it enhances."""

    centre_lps_mm: tuple[float, float, float]
    radius_mm: float


def rigid(turn_deg: Sequence[float], shift_mm: Sequence[float]) -> NDArray[np.float64]:
    """4 x 4: turns about L, P and S (in this order) about the origin, then a shift."""
    matrix = np.eye(4)
    for axis, angle in enumerate(np.deg2rad(turn_deg)):
        turn = np.eye(4)
        a, b = [n for n in range(3) if n != axis]
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    matrix[:3, 3] = shift_mm
    return matrix


def make_grid(
    shape_kji: tuple[int, int, int] = (90, 110, 90),
    spacing_kji_mm: tuple[float, float, float] = (2.0, 2.0, 2.0),
    orientation: Sequence[float] = AXIAL,
    centre_lps_mm: Sequence[float] = (0.0, 0.0, 0.0),
) -> Grid:
    """A grid whose middle lies at ``centre_lps_mm``; orientation as ImageOrientationPatient."""
    row, column = np.reshape(orientation, (2, 3))
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([np.cross(row, column), column, row]) * spacing_kji_mm
    affine[:3, 3] = np.asarray(centre_lps_mm) - affine[:3, :3] @ ((np.array(shape_kji) - 1) / 2)
    return Grid(shape_kji, affine)


def grid_points(grid: Grid) -> Points:
    """LPS mm of every voxel centre, (3, k, j, i)."""
    index = np.indices(grid.shape_kji).reshape(3, -1)
    points = grid.to_lps_mm(index.T).T
    return points.reshape(3, *grid.shape_kji)


def distance_mm(points: Points, sphere: Sphere) -> NDArray[np.float64]:
    """Distance of each point from a sphere's centre in mm."""
    x, y, z = (p - c for p, c in zip(points, sphere.centre_lps_mm, strict=True))
    return np.asarray(np.sqrt(x * x + y * y + z * z))


def brain_depth_mm(points: Points) -> NDArray[np.float64]:
    """How deep a point lies under the brain's surface in mm, negative outside."""
    x, y, z = points
    return (1 - np.sqrt((x / 66) ** 2 + ((y - 5) / 82) ** 2 + ((z - 15) / 62) ** 2)) * 66


def _inside(depth: NDArray[np.float64], width_mm: float = 1.0) -> NDArray[np.float64]:
    return np.clip(depth / width_mm + 0.5, 0, 1)


def _ellipsoid(points: Points, centre: Sequence[float], radii: Sequence[float]) -> NDArray[np.float64]:
    scaled = [(p - c) / r for p, c, r in zip(points, centre, radii, strict=True)]
    return (1 - np.sqrt(scaled[0] ** 2 + scaled[1] ** 2 + scaled[2] ** 2)) * min(radii)


def _folds(points: Points) -> NDArray[np.float64]:
    x, y, z = points
    return (
        np.sin(x / 5.1 + 1.3 * np.sin(y / 17)) + np.sin(y / 5.9 + np.sin(z / 13)) + np.sin(z / 5.3 + x / 29)
    )


def _paint(image: NDArray[np.float64], share: NDArray[np.float64], value: float) -> None:
    image += share * (value - image)


def head(points: Points, *, enhanced: bool, lesions: Sequence[Sphere] = ()) -> NDArray[np.float64]:
    """T1-weighted intensity of the head (white matter 100) at LPS points (3, ...)."""
    depth = brain_depth_mm(points)
    image = np.zeros(points.shape[1:])
    neck = np.minimum(55 - np.hypot(points[0], points[1] - 20), -points[2] - 30)
    scalp = np.maximum(depth + 14, neck)
    nose = _ellipsoid(points, (0, -88, -35), (12, 22, 18))
    _paint(image, _inside(np.maximum(scalp, nose)), 110 if not enhanced else 118)
    _paint(image, _inside(np.minimum(depth + 9, scalp - 4)), 15)
    _paint(image, _inside(depth + 2.5), 20)
    _paint(image, _inside(depth), 62 if not enhanced else 68)
    _paint(image, _inside(np.minimum(depth - 3, depth - 7 + 2.5 * _folds(points))), 100)
    for side in (-1, 1):
        _paint(image, _inside(_ellipsoid(points, (side * 12, 5, 25), (8, 30, 12))), 18)
        _paint(image, _inside(_ellipsoid(points, (side * 30, -78, -25), (12, 12, 12))), 22)
    _paint(image, _inside(_ellipsoid(points, (20, 0, 12), (9, 13, 10))), 75)
    if enhanced:
        _paint(image, _inside(4 - np.hypot(points[0], depth + 1) + np.minimum(points[2] - 20, 0)), 190)
        for lesion in lesions:
            radii = [lesion.radius_mm] * 3
            _paint(image, _inside(_ellipsoid(points, lesion.centre_lps_mm, radii)), 180)
    return image


def make_volume(
    grid: Grid,
    *,
    enhanced: bool = True,
    lesions: Sequence[Sphere] = (),
    world_to_head: NDArray[np.float64] | None = None,
    gain: float = 5.0,
    noise: float = 2.0,
    seed: int = 0,
) -> Volume:
    """A scan of the head with Rician noise; ``world_to_head`` moves the patient (4 x 4, LPS mm)."""
    points = grid_points(grid)
    if world_to_head is not None:
        points = (
            np.einsum("ab,bkji->akji", world_to_head[:3, :3], points) + world_to_head[:3, 3, None, None, None]
        )
    noise_of = np.random.default_rng(seed)
    real = head(points, enhanced=enhanced, lesions=lesions) + noise_of.normal(0, noise, grid.shape_kji)
    voxels = gain * np.hypot(real, noise_of.normal(0, noise, grid.shape_kji))
    return Volume(voxels.astype(np.float32), grid, FRAME_OF_REFERENCE_UID, make_references(grid.shape_kji[0]))


def make_references(count: int) -> tuple[SliceReference, ...]:
    """References to ``count`` classic instances."""
    return tuple(SliceReference(MR_IMAGE_STORAGE, f"{SERIES_UID}.{k + 1}", None) for k in range(count))


def make_series(volume: Volume, series_uid: str = SERIES_UID) -> list[Dataset]:
    """Classic MR instances of a volume, one a slice, pixels rounded to integers."""
    return [_make_slice(volume, k, series_uid) for k in range(volume.grid.shape_kji[0])]


def _make_slice(volume: Volume, k: int, series_uid: str) -> Dataset:
    dataset = _make_instance(MR_IMAGE_STORAGE, f"{series_uid}.{k + 1}", series_uid)
    dataset.ImagePositionPatient = [round(v, 6) for v in volume.grid.to_lps_mm((k, 0, 0)).tolist()]
    dataset.ImageOrientationPatient = _orientation(volume.grid)
    dataset.PixelSpacing = list(volume.grid.spacing_kji_mm[1:])
    dataset.SliceThickness = volume.grid.spacing_kji_mm[0]
    dataset.InstanceNumber = k + 1
    dataset.FrameOfReferenceUID = volume.frame_of_reference_uid
    set_pixels(dataset, volume.voxels_kji[k])
    return dataset


def make_enhanced(volume: Volume, series_uid: str = SERIES_UID) -> Dataset:
    """One Enhanced MR instance of a volume, a frame a slice, rescaled by 1/2 with intercept -10."""
    dataset = _make_instance(ENHANCED_MR_IMAGE_STORAGE, f"{series_uid}.1", series_uid)
    dataset.FrameOfReferenceUID = volume.frame_of_reference_uid
    dataset.NumberOfFrames = volume.grid.shape_kji[0]
    shared, transformation = Dataset(), Dataset()
    transformation.RescaleSlope, transformation.RescaleIntercept = 0.5, -10
    shared.PixelValueTransformationSequence = [transformation]
    shared.PlaneOrientationSequence = [Dataset()]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = _orientation(volume.grid)
    shared.PixelMeasuresSequence = [Dataset()]
    shared.PixelMeasuresSequence[0].PixelSpacing = list(volume.grid.spacing_kji_mm[1:])
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = [
        _make_frame(volume.grid, k) for k in range(volume.grid.shape_kji[0])
    ]
    set_pixels(dataset, (volume.voxels_kji + 10) * 2)
    return dataset


def _make_frame(grid: Grid, k: int) -> Dataset:
    frame, position = Dataset(), Dataset()
    position.ImagePositionPatient = [round(v, 6) for v in grid.to_lps_mm((k, 0, 0)).tolist()]
    frame.PlanePositionSequence = [position]
    return frame


def _make_instance(sop_class_uid: str, sop_instance_uid: str, series_uid: str) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = sop_class_uid
    dataset.SOPInstanceUID = sop_instance_uid
    dataset.StudyInstanceUID = STUDY_UID
    dataset.SeriesInstanceUID = series_uid
    dataset.Modality = "MR"
    return dataset


def _orientation(grid: Grid) -> list[float]:
    return [round(v, 9) + 0.0 for v in grid.directions_lps[:, [2, 1]].T.ravel().tolist()]


def set_pixels(dataset: Dataset, voxels: NDArray[np.float32]) -> None:
    """Store voxels as signed 16-bit pixels."""
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = voxels.shape[-2:]
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 1
    dataset.PixelData = np.rint(voxels).astype("<i2").tobytes()
