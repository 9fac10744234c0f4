"""Two planning scans of a synthetic head: grids, patient motion between them, coil, noise.

A change here that gives other voxels for the same seed raises ``phantom.synthesis.study.GENERATOR_VERSION``,
as one in the synthesis does: a frozen cohort is fixed by that number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.geometry import Grid
from phantom.fields import Floats, refine, smooth_noise
from phantom.scanner import (
    Matrix,
    Orientation,
    ScannerQuality,
    acquire,
    plan_grid,
    rigid_matrix,
    sample_slices,
)
from phantom.synthesis.anatomy.structures import Enhancing
from phantom.synthesis.lesions.metastases import Metastasis
from phantom.synthesis.lesions.painting import paint_metastases
from phantom.synthesis.study import Scene

DISTORTION_KNOTS_VOXELS = 24
"""Distance of the control points of a distortion: a rigid registration cannot undo what varies over 24 mm."""

COVERAGE_MM = 178.0
"""From the vertex down to the mouth, as planning scans are laid."""

FIELD_MARGIN_MM = 8.0
"""Air around the head within the field of view."""

TISSUE_SIGNAL = 0.08
"""Relative to white matter: above it a voxel is tissue, below it air or bone."""


@dataclass(frozen=True, slots=True)
class PlanningScanSettings:
    """How the pair is scanned; ranges are uniform unless stated otherwise.

    Parameters
    ----------
    in_plane_mm, slice_mm
        Voxel size. Rudie 2021: in plane below 1 mm, slices of at most 1.5 mm in every test scan.
    orientation_shares
        Axial, sagittal, coronal. Chosen: planning scans are mostly axial.
    tilt_deg
        Greatest tilt of the slices.
    signal_to_noise
        Of white matter before contrast, log-uniform.
    bias
        Standard deviation of the logarithm of the coil's shading.
    blur_mm
        Standard deviation of the point spread function.
    rotation_deg, translation_mm
        Greatest rigid motion between T1 and T1-post; a head coil leaves no more.
    distortion_mm
        Root mean square of a smooth displacement of T1 that no rigid registration undoes.
    cut_mm
        How much of the head is missing at the top; of axial slices only, for a sagittal or coronal field of
        view is square and covers the head again.
    """

    in_plane_mm: tuple[float, float] = (0.7, 1.0)
    slice_mm: tuple[float, float] = (1.0, 1.5)
    orientation_shares: tuple[float, float, float] = (0.7, 0.2, 0.1)
    tilt_deg: float = 12.0
    signal_to_noise: tuple[float, float] = (15.0, 50.0)
    bias: tuple[float, float] = (0.0, 0.25)
    blur_mm: tuple[float, float] = (0.2, 0.5)
    rotation_deg: float = 6.0
    translation_mm: float = 8.0
    distortion_mm: float = 0.0
    cut_mm: float = 0.0


@dataclass(frozen=True, eq=False)
class PlanningScan:
    """The pair as it comes from the scanner, and the truth on T1-post's grid.

    Parameters
    ----------
    t1_kji, t1_post_kji
        float32 stored values, each on its own grid.
    labels_kji, structures_kji
        On T1-post's grid: uint16 lesion numbers without gaps, uint8 of ``Enhancing``.
    lesion_volumes_mm3
        Number in ``labels_kji`` -> volume of the whole enhancing part, also of a lesion that the edge of the
        scan cuts; None where nobody knows.
    lesions_outside
        How many lesions of the head have no voxel in the scan; they are no reference lesions.
    """

    t1_kji: Floats
    t1_grid: Grid
    t1_post_kji: Floats
    t1_post_grid: Grid
    labels_kji: NDArray[np.uint16]
    structures_kji: NDArray[np.uint8]
    lesion_volumes_mm3: Mapping[int, float] | None = None
    lesions_outside: int = 0


@dataclass(frozen=True, slots=True)
class _Protocol:
    """What both series of a study share."""

    spacing_kji_mm: tuple[float, float, float]
    orientation: Orientation
    tilt_deg: float
    noise: float
    bias: float
    blur_mm: float


def scan_pair(scene: Scene, settings: PlanningScanSettings, seed: int) -> PlanningScan:
    """Scan a head before and after contrast.

    Parameters
    ----------
    scene
        A whole head.
    settings
        Of the scanner and the protocol.
    seed
        Of everything random here.
    """
    streams = [np.random.default_rng([seed, part]) for part in range(4)]
    protocol = _draw_protocol(settings, streams[0])
    box_lps_mm = _field_of_view(scene, settings.cut_mm)
    motion = rigid_matrix(
        streams[1].uniform(0, settings.rotation_deg),
        streams[1].uniform(0, settings.translation_mm),
        box_lps_mm.mean(axis=0),
        streams[1],
    )
    post_grid = _lay_grid(box_lps_mm, protocol, np.eye(4))
    t1_grid = _lay_grid(box_lps_mm, protocol, motion)
    post = sample_slices(scene.t1_post_kji, scene.grid, post_grid, np.eye(4))
    painted = paint_metastases(None, post, post_grid, scene.metastases)
    labels, volumes_mm3 = _renumber(painted, scene.metastases)
    t1 = sample_slices(_distort(scene.t1_kji, settings, streams[3]), scene.grid, t1_grid, motion)
    paint_metastases(t1, None, t1_grid, scene.metastases, to_head_lps=motion)
    return PlanningScan(
        t1_kji=acquire(t1, t1_grid, _quality(protocol, streams[2]), streams[2]),
        t1_grid=t1_grid,
        t1_post_kji=acquire(post, post_grid, _quality(protocol, streams[2]), streams[2]),
        t1_post_grid=post_grid,
        labels_kji=labels,
        structures_kji=_sample_nearest(scene.structures_kji, scene.grid, post_grid),
        lesion_volumes_mm3=volumes_mm3,
        lesions_outside=len(scene.metastases) - len(volumes_mm3),
    )


def _renumber(
    painted_kji: NDArray[np.uint16], metastases: Sequence[Metastasis]
) -> tuple[NDArray[np.uint16], dict[int, float]]:
    """Return the labels without those outside the scan or a gap for them, and each one's true volume."""
    count = np.bincount(painted_kji.ravel(), minlength=len(metastases) + 1)
    inside = [metastasis for metastasis in metastases if count[metastasis.number]]
    numbers = np.zeros(len(count), dtype=np.uint16)
    numbers[[metastasis.number for metastasis in inside]] = np.arange(len(inside)) + 1
    return numbers[painted_kji], {n + 1: lesion.volume_mm3 for n, lesion in enumerate(inside)}


def _draw_protocol(settings: PlanningScanSettings, rng: np.random.Generator) -> _Protocol:
    in_plane, thickness = rng.uniform(*settings.in_plane_mm), rng.uniform(*settings.slice_mm)
    low, high = np.log(settings.signal_to_noise)
    return _Protocol(
        spacing_kji_mm=(float(thickness), float(in_plane), float(in_plane)),
        orientation=list(Orientation)[rng.choice(3, p=settings.orientation_shares)],
        tilt_deg=float(rng.uniform(0, settings.tilt_deg)),
        noise=float(1 / np.exp(rng.uniform(low, high))),
        bias=float(rng.uniform(*settings.bias)),
        blur_mm=float(rng.uniform(*settings.blur_mm)),
    )


def _field_of_view(scene: Scene, cut_mm: float) -> NDArray[np.float64]:
    """Return the lowest and the highest corner (2, 3) in LPS mm."""
    inside = np.argwhere(scene.t1_kji[::4, ::4, ::4] > TISSUE_SIGNAL) * 4
    ends = scene.grid.to_lps_mm(np.stack([inside.min(axis=0), inside.max(axis=0)]))
    lowest, highest = ends.min(axis=0) - FIELD_MARGIN_MM, ends.max(axis=0) + FIELD_MARGIN_MM
    lowest[2] = max(lowest[2], highest[2] - COVERAGE_MM)
    highest[2] -= cut_mm
    return np.stack([lowest, highest])


def _lay_grid(box_lps_mm: NDArray[np.float64], protocol: _Protocol, to_head_lps: Matrix) -> Grid:
    centre = np.linalg.inv(to_head_lps) @ np.append(box_lps_mm.mean(axis=0), 1)
    extent_mm = np.diff(box_lps_mm, axis=0)[0]
    return plan_grid(extent_mm, centre[:3], protocol.spacing_kji_mm, protocol.orientation, protocol.tilt_deg)


def _distort(t1_kji: Floats, settings: PlanningScanSettings, rng: np.random.Generator) -> Floats:
    if settings.distortion_mm == 0:
        return t1_kji
    step = DISTORTION_KNOTS_VOXELS // 2
    shape = t1_kji.shape
    coarse = tuple(n // step + 2 for n in shape)
    amplitude = settings.distortion_mm / np.sqrt(3)
    moved = [
        np.arange(shape[axis], dtype=np.float32).reshape([-1 if n == axis else 1 for n in range(3)])
        + amplitude
        * refine(
            smooth_noise(rng, (coarse[0], coarse[1], coarse[2]), 2), step, (shape[0], shape[1], shape[2])
        )
        for axis in range(3)
    ]
    return np.asarray(ndimage.map_coordinates(t1_kji, moved, order=1, mode="nearest"), dtype=np.float32)


def _quality(protocol: _Protocol, rng: np.random.Generator) -> ScannerQuality:
    return ScannerQuality(protocol.noise, protocol.bias, protocol.blur_mm, float(rng.uniform(300, 1500)))


def _sample_nearest(structures: NDArray[np.uint8], source: Grid, target: Grid) -> NDArray[np.uint8]:
    step = np.linalg.inv(source.affine_kji_to_lps_mm) @ target.affine_kji_to_lps_mm
    return np.asarray(
        ndimage.affine_transform(
            structures,
            step[:3, :3],
            step[:3, 3],
            output_shape=target.shape_kji,
            order=0,
            cval=Enhancing.NONE,
        )
    )
