"""Another head from the same label map: turned, scaled, mirrored and bent smoothly at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import interpolate, spatial

from core.geometry import Grid
from phantom.fields import Floats, Shape, refine
from phantom.synthesis.anatomy.label_map import (
    BRAIN_TISSUES,
    CSF_RIM_MM,
    Anatomy,
    Labels,
    bounding_box,
    canonical_grid,
    crop,
    crop_to_head,
    member_mask,
)

COARSE_MM = 4
"""Where each voxel comes from is computed every so many voxels and interpolated: it is smooth."""

SAMPLING_RESERVE_MM = 4.0
"""Sampled around the predicted place of the brain beyond what the elastic fields' control points can move:
splines overshoot their control points a little, and the box is predicted from every fourth voxel."""

Matrix = NDArray[np.float64]
Point = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WarpSettings:
    """How far a warped head may be from the one it is made from."""

    rotation_deg: float = 15.0
    """Largest turn about each axis, either way (SynthSeg: 15 degrees); heads lie tilted in the scanner."""
    scale: tuple[float, float] = (0.88, 1.12)
    """Range of the scale of each axis (chosen: heads vary by about 5 %, one standard deviation)."""
    shear: float = 0.02
    """Largest shear of each axis along each other one (chosen: SynthSeg has 0.012)."""
    flip_share: float = 0.5
    """Share of heads mirrored left to right (chosen: no preference)."""
    broad_points: int = 5
    """Control points of the broad elastic field along each axis of the head: lobes move. At least 4."""
    broad_mm: float = 6.0
    """Largest displacement of these control points along each axis in mm; each head draws its own limit
    between 0 and this (chosen: far below the distance between the points, so that nothing folds)."""
    fine_points: int = 10
    """Control points of the fine elastic field along each axis of the head: gyri move. At least 4."""
    fine_mm: float = 2.5
    """Largest displacement of these in mm, drawn likewise (chosen: a tenth of the distance between them)."""
    brain_volume_l: tuple[float, float] = (1.05, 1.85)
    """Brain volume in litres within which a head is kept by one more, uniform, scaling. Adults have 1.0 to
    1.9 L with the CSF of a brain mask; the elastic fields may change it by some per cent after that."""


@dataclass(frozen=True, eq=False)
class Deformation:
    """Where the voxels of a warped head come from.

    Parameters
    ----------
    matrix
        3 x 3; takes a displacement in mm from the centre of the head (k, j, i) to the warped one.
    low_mm, high_mm
        Corners of the warped head's box relative to its centre, whole numbers.
    elastic
        Control points (3, n, n, n) over that box, in mm, of each elastic field.
    """

    matrix: Matrix
    low_mm: Point
    high_mm: Point
    elastic: tuple[Matrix, ...]

    @property
    def reach_mm(self) -> float:
        """Largest displacement of all control points together, along one axis."""
        return float(sum(np.abs(field).max(initial=0.0) for field in self.elastic))


def warp_anatomy(
    anatomy: Anatomy,
    settings: WarpSettings,
    rng: np.random.Generator,
    margin_mm: float | None = None,
) -> Anatomy:
    """Warp a head at random and resample its labels once, to the nearest voxel.

    The head turns about the centre of its box, which stays where it is in the world.

    Parameters
    ----------
    anatomy
        The head; not changed.
    settings
        How far the warp may go.
    rng
        Source of randomness; what is drawn does not depend on ``margin_mm``.
    margin_mm
        How much to keep around the warped brain; None keeps the whole head.

    Returns
    -------
    Anatomy
        On a canonical 1 mm grid; air where the map did not reach.

    Raises
    ------
    InvalidInput
        The head has no brain.
    """
    deformation = draw_deformation(anatomy, settings, rng)
    if margin_mm is None:
        return crop_to_head(_resample(anatomy, deformation, deformation.low_mm, deformation.high_mm))
    low, high = _brain_corners(anatomy, deformation, margin_mm)
    return _crop_to_brain(_resample(anatomy, deformation, low, high), margin_mm)


def draw_deformation(anatomy: Anatomy, settings: WarpSettings, rng: np.random.Generator) -> Deformation:
    """Draw the warp of one head."""
    matrix = _within_volume(_draw_matrix(settings, rng), anatomy.brain_volume_l, settings.brain_volume_l)
    last = np.array(anatomy.labels_kji.shape) - 1
    corners = np.indices((2, 2, 2)).reshape(3, -1).T * last - _centre_index(anatomy)
    low, high = _aligned_box(corners @ matrix.T, 0.0)
    fields = (
        _draw_elastic(settings.broad_points, settings.broad_mm, rng),
        _draw_elastic(settings.fine_points, settings.fine_mm, rng),
    )
    return Deformation(matrix, low, high, fields)


def _draw_matrix(settings: WarpSettings, rng: np.random.Generator) -> Matrix:
    angles_deg = rng.uniform(-settings.rotation_deg, settings.rotation_deg, 3)
    rotation = spatial.transform.Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix()
    shear = np.eye(3) + settings.shear * rng.uniform(-1, 1, (3, 3)) * (1 - np.eye(3))
    scale = rng.uniform(*settings.scale, 3)
    mirrored = rng.random() < settings.flip_share
    return np.asarray(rotation @ shear @ np.diag(scale * [1, 1, -1 if mirrored else 1]))


def _within_volume(matrix: Matrix, brain_volume_l: float, bounds_l: tuple[float, float]) -> Matrix:
    """Scale a matrix uniformly so far that the brain's volume comes to lie within bounds."""
    warped_l = brain_volume_l * abs(float(np.linalg.det(matrix)))
    wanted_l = float(np.clip(warped_l, *bounds_l))
    return np.asarray(matrix * (wanted_l / warped_l) ** (1 / 3))


def _draw_elastic(points: int, limit_mm: float, rng: np.random.Generator) -> Matrix:
    amplitude_mm = rng.uniform(0, limit_mm)
    return rng.uniform(-amplitude_mm, amplitude_mm, (3, points, points, points))


def _aligned_box(points_mm: Point, margin_mm: float) -> tuple[Point, Point]:
    """Return the box around points, its low corner on the coarse lattice, its high one a whole number."""
    low = np.floor((points_mm.min(axis=0) - margin_mm) / COARSE_MM) * COARSE_MM
    return low, np.ceil(points_mm.max(axis=0) + margin_mm)


def _brain_corners(anatomy: Anatomy, deformation: Deformation, margin_mm: float) -> tuple[Point, Point]:
    """Predict the box that surely holds the warped brain and its margin."""
    sparse = member_mask(anatomy.labels_kji[::COARSE_MM, ::COARSE_MM, ::COARSE_MM], BRAIN_TISSUES)
    points = COARSE_MM * np.argwhere(sparse) - _centre_index(anatomy)
    reserve_mm = margin_mm + CSF_RIM_MM + deformation.reach_mm + SAMPLING_RESERVE_MM
    return _aligned_box(points @ deformation.matrix.T, reserve_mm)


def _crop_to_brain(anatomy: Anatomy, margin_mm: float) -> Anatomy:
    tissue = member_mask(anatomy.labels_kji, BRAIN_TISSUES)
    return crop(anatomy, bounding_box(tissue, int(np.ceil(margin_mm + CSF_RIM_MM))))


def _resample(anatomy: Anatomy, deformation: Deformation, low_mm: Point, high_mm: Point) -> Anatomy:
    """Fill a box of the warped head, from its low to its high corner."""
    k, j, i = (int(n) for n in high_mm - low_mm + 1)
    sources = _coarse_sources(anatomy, deformation, low_mm, (k, j, i))
    labels = _nearest(anatomy.labels_kji, sources, (k, j, i))
    return Anatomy(anatomy.name, labels, _grid(anatomy, low_mm, (k, j, i)))


def _coarse_sources(
    anatomy: Anatomy, deformation: Deformation, low_mm: Point, shape_kji: Shape
) -> list[Floats]:
    """Return the index in the head, along each of its axes, of every ``COARSE_MM``-th voxel of a box."""
    axes = [low + COARSE_MM * np.arange(n // COARSE_MM + 2) for low, n in zip(low_mm, shape_kji, strict=True)]
    warped = np.stack(np.meshgrid(*axes, indexing="ij"))
    for field in deformation.elastic:
        warped += _interpolate(field, axes, deformation)
    head = np.einsum("ab,bkji->akji", np.linalg.inv(deformation.matrix), warped)
    return [np.asarray(a + c, np.float32) for a, c in zip(head, _centre_index(anatomy), strict=True)]


def _interpolate(field: Matrix, axes: list[Point], deformation: Deformation) -> Matrix:
    """Interpolate control points by cubic splines, axis by axis; constant beyond the warped head's box."""
    for axis, (at, low, high) in enumerate(
        zip(axes, deformation.low_mm, deformation.high_mm, strict=True), start=1
    ):
        knots = np.linspace(low, high, field.shape[axis])
        spline = interpolate.make_interp_spline(knots, field, k=3, axis=axis)
        field = np.asarray(spline(np.clip(at, low, high)))
    return field


def _nearest(labels_kji: Labels, sources: list[Floats], shape_kji: Shape) -> Labels:
    """Look up the labels at the nearest voxel; air outside."""
    padded = np.pad(labels_kji, 1)
    flat = np.zeros(shape_kji, dtype=np.int32)
    for coarse, size in zip(sources, padded.shape, strict=True):
        position = refine(coarse, COARSE_MM, shape_kji)
        position += np.float32(1.5)  # one for the padding, one half to round by truncation
        np.clip(position, 0, size - 1, out=position)
        flat *= size
        flat += position.astype(np.int32)
    return np.asarray(padded.ravel().take(flat))


def _centre_index(anatomy: Anatomy) -> Point:
    """Return the voxel the head turns about: a whole one, so that no warp means no resampling."""
    return np.asarray(np.array(anatomy.labels_kji.shape) // 2, dtype=np.float64)


def _grid(anatomy: Anatomy, low_mm: Point, shape_kji: Shape) -> Grid:
    centre_lps_mm = anatomy.grid.to_lps_mm(_centre_index(anatomy))
    return canonical_grid(shape_kji, centre_lps_mm + low_mm[::-1])
