"""One brain mask onto another: an affine map that brings their surfaces together.

Both surfaces are sampled, each point is carried into the other mask's frame, and its distance to the
surface there is what is made small. Contrast, field strength and lesions play no part in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from core.geometry import Grid
from worker.boxes import bounding_box

FIT_SPACING_MM = 4.0
"""Resolution of the distance maps; interpolated, they place a smooth surface to a fraction of it."""

ROUGH_POINTS, FINE_POINTS = 400, 2000
"""Points of each surface that take part while turns are tried, and in the end."""

START_TURNS_DEG = (-25.0, 25.0)
"""Turned heads are also tried from these, about each axis."""

GOOD_DISTANCE_MM = 2.5
"""Mean distance of the surfaces below which no turned start is tried; whole heads end at 0.9 to 1.6 mm."""

SURFACE_SOFTNESS_MM = 3.0
"""Beyond this a distance counts less than its square: a cut or leaking mask must not bend the whole."""

SHEAR_STIFFNESS_MM = 100.0
"""How strongly the map is held near a similarity: brains differ by 10 % in shape, which costs 10 mm once."""

HALF_SIZE_MM = 70.0
"""Makes radians and scales comparable with millimetres: half a brain."""

BENDINGS = 6
"""Residuals that hold the map near a similarity: three scales, three shears."""


@dataclass(frozen=True, eq=False)
class Solid:
    """A mask as its surface and the distance to it.

    Parameters
    ----------
    distance_mm
        float32 on ``grid``: negative inside.
    points_lps_mm
        Points of the surface, (n, 3).
    centre_lps_mm, size_mm
        Mean of the mask's voxels and the root of their mean squared distance to it.
    """

    distance_mm: NDArray[np.float32]
    grid: Grid
    points_lps_mm: NDArray[np.float64]
    centre_lps_mm: NDArray[np.float64]
    size_mm: float

    @classmethod
    def from_mask(cls, mask_kji: NDArray[np.bool_], grid: Grid) -> Solid:
        """Thin the mask out to ``FIT_SPACING_MM`` and measure it; a ValueError where nothing is left."""
        share_kji, coarse = _thinned(*_cropped(mask_kji, grid))
        inside = share_kji >= 0.5
        if not inside.any():
            raise ValueError(f"the mask fills no block of {FIT_SPACING_MM} mm, expected a body")
        distance_mm = _signed_distance_mm(share_kji, coarse)
        voxels_lps_mm = coarse.to_lps_mm(np.argwhere(inside))
        centre = voxels_lps_mm.mean(axis=0)
        size_mm = float(np.sqrt(((voxels_lps_mm - centre) ** 2).sum(axis=1).mean()))
        surface = np.argwhere(inside & ~ndimage.binary_erosion(inside))
        points = coarse.to_lps_mm(_onto_surface(surface, distance_mm, coarse))
        return cls(distance_mm, coarse, points, centre, size_mm)

    def distances_mm(self, points_lps_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the distance of points to the surface, negative inside; far points get the farthest."""
        index = self.grid.to_index_kji(points_lps_mm)
        values = ndimage.map_coordinates(self.distance_mm, index.T, order=1, mode="nearest")
        return np.asarray(values, dtype=np.float64)

    def some_points_lps_mm(self, count: int) -> NDArray[np.float64]:
        """Return about ``count`` points, evenly taken."""
        return self.points_lps_mm[:: max(len(self.points_lps_mm) // count, 1)]


def fit_affine(moving: Solid, fixed: Solid) -> NDArray[np.float64]:
    """Return the 4 x 4 affine map (LPS mm) of the moving solid onto the fixed one."""
    upright, *turned = _starts(float(np.log(fixed.size_mm / moving.size_mm)))
    rough = _Matching(moving, fixed, ROUGH_POINTS)
    best = rough.solve(upright)
    if rough.mean_distance_mm(best.x) > GOOD_DISTANCE_MM:
        best = min([best, *map(rough.solve, turned)], key=lambda fit: float(fit.cost))
    fine = _Matching(moving, fixed, FINE_POINTS).solve(best.x)
    return _matrix(fine.x, moving, fixed)


def _starts(scale: float) -> list[NDArray[np.float64]]:
    """Return the parameters to begin from: upright, and turned about each axis."""
    upright = np.zeros(12)
    upright[6:9] = scale
    starts = [upright]
    for axis in range(3):
        for turn_deg in START_TURNS_DEG:
            start = upright.copy()
            start[axis] = np.deg2rad(turn_deg)
            starts.append(start)
    return starts


class _Matching:
    """The least squares problem between two solids, with so many points of each."""

    def __init__(self, moving: Solid, fixed: Solid, points: int) -> None:
        self._moving, self._fixed = moving, fixed
        self._moving_points = moving.some_points_lps_mm(points)
        self._fixed_points = fixed.some_points_lps_mm(points)

    def solve(self, start: NDArray[np.float64]) -> optimize.OptimizeResult:
        """Minimise from a start."""
        scales = np.array([1 / HALF_SIZE_MM] * 3 + [1.0] * 3 + [1 / HALF_SIZE_MM] * 6)
        return optimize.least_squares(
            self._residuals_mm,
            start,
            x_scale=scales,
            loss="soft_l1",
            f_scale=SURFACE_SOFTNESS_MM,
            xtol=1e-4,
            ftol=1e-4,
            max_nfev=40,
        )

    def mean_distance_mm(self, parameters: NDArray[np.float64]) -> float:
        """Return how far the surfaces lie apart."""
        return float(np.abs(self._residuals_mm(parameters)[:-BENDINGS]).mean())

    def _residuals_mm(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        matrix = _matrix(parameters, self._moving, self._fixed)
        forth = self._fixed.distances_mm(_mapped(matrix, self._moving_points))
        back = self._moving.distances_mm(
            _mapped(np.asarray(np.linalg.inv(matrix), dtype=np.float64), self._fixed_points)
        )
        scales, shears = parameters[6:9], parameters[9:]
        bent = np.concatenate([scales - scales.mean(), shears]) * SHEAR_STIFFNESS_MM
        return np.concatenate([forth, back, bent])


def _matrix(parameters: NDArray[np.float64], moving: Solid, fixed: Solid) -> NDArray[np.float64]:
    """Turn three angles, three shifts, three logarithms of scale and three shears into a matrix."""
    turn = _rotation(parameters[:3])
    stretch = np.diag(np.exp(parameters[6:9]))
    stretch[0, 1], stretch[0, 2], stretch[1, 2] = parameters[9:]
    linear = stretch @ turn
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = fixed.centre_lps_mm + parameters[3:6] - linear @ moving.centre_lps_mm
    return matrix


def _rotation(angles_rad: NDArray[np.float64]) -> NDArray[np.float64]:
    (sx, sy, sz), (cx, cy, cz) = np.sin(angles_rad), np.cos(angles_rad)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)


def _mapped(matrix: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(points @ matrix[:3, :3].T + matrix[:3, 3])


def _cropped(mask_kji: NDArray[np.bool_], grid: Grid) -> tuple[NDArray[np.bool_], Grid]:
    box = bounding_box(mask_kji)
    part = mask_kji[tuple(slice(n, n + m) for n, m in zip(box.origin, box.extent, strict=True))]
    affine = grid.affine_kji_to_lps_mm.copy()
    affine[:3, 3] = grid.to_lps_mm(box.origin)
    return part, Grid(part.shape, affine)


def _thinned(mask_kji: NDArray[np.bool_], grid: Grid) -> tuple[NDArray[np.float32], Grid]:
    """Return the share of mask in blocks of about ``FIT_SPACING_MM``, with empty blocks all around."""
    factors = np.maximum(np.round(FIT_SPACING_MM / np.array(grid.spacing_kji_mm)).astype(int), 1)
    margins = [(int(f) * 4, int(f) * 4 + int(-n % f)) for f, n in zip(factors, mask_kji.shape, strict=True)]
    padded = np.pad(mask_kji, margins).astype(np.float32)
    blocks = [part for f, n in zip(factors, padded.shape, strict=True) for part in (n // f, f)]
    share_kji = np.asarray(padded.reshape(blocks).mean(axis=(1, 3, 5)), dtype=np.float32)
    affine = grid.affine_kji_to_lps_mm.copy()
    affine[:3, :3] *= factors
    affine[:3, 3] = grid.to_lps_mm((factors - 1) / 2 - 4 * factors)
    return share_kji, Grid(share_kji.shape, affine)


def _signed_distance_mm(share_kji: NDArray[np.float32], grid: Grid) -> NDArray[np.float32]:
    inside = share_kji >= 0.5
    spacing = grid.spacing_kji_mm
    outward = ndimage.distance_transform_edt(~inside, sampling=spacing)
    inward = ndimage.distance_transform_edt(inside, sampling=spacing)
    half = FIT_SPACING_MM / 2
    signed = np.where(inside, half - inward, outward - half)
    return np.asarray(ndimage.gaussian_filter(signed, 1.0), dtype=np.float32)


def _onto_surface(
    index_kji: NDArray[np.int64], distance_mm: NDArray[np.float32], grid: Grid
) -> NDArray[np.float64]:
    """Move voxels of the surface along the gradient to where the distance is zero."""
    spacing = np.array(grid.spacing_kji_mm)
    slopes = [np.asarray(np.gradient(distance_mm, mm, axis=n)) for n, mm in enumerate(spacing.tolist())]
    gradient = np.stack([slope[tuple(index_kji.T)] for slope in slopes], axis=-1)
    length = np.maximum(np.linalg.norm(gradient, axis=1, keepdims=True), 0.5)
    off_mm = np.asarray(distance_mm[tuple(index_kji.T)]).reshape(-1, 1)
    return np.asarray(index_kji - off_mm * gradient / length**2 / spacing)
