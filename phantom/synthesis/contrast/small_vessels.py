"""Vessels at the limit of resolution: threads in sulci, veins in white matter, lesion-like pieces."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from phantom.fields import Floats, Mask, Points, smooth_noise
from phantom.synthesis.anatomy.label_map import Box
from phantom.synthesis.anatomy.structures import Enhancing, Structure
from phantom.synthesis.contrast.layers import ContrastLayer, ContrastSettings, Uptake, scatter
from phantom.synthesis.contrast.terrain import STEP, Terrain
from phantom.synthesis.contrast.tubes import Tube, lay_tube, log_uniform, paint, random_directions, taper

NEAR_ZERO = 0.45
"""Cells where a thread's fields are further from 0 than this, in standard deviations, hold no thread."""

RESOLVED_RADIUS_MM = 0.56
"""A thread of this radius has the cross-section of a voxel; a thinner one never fills one."""

VENTRICLE_MM = (15.0, 16.0, 14.0)
"""Where transmedullary veins drain to: the wall of the left lateral ventricle, in standard mm."""


def grow_small_vessels(
    terrain: Terrain, uptake: Uptake, settings: ContrastSettings, rng: np.random.Generator
) -> tuple[ContrastLayer, ...]:
    """Grow transmedullary veins, developmental venous anomalies and dot mimics.

    Parameters
    ----------
    terrain, uptake, settings, rng
        The head, the study's blood, the ranges, and the source of randomness.
    """
    anomaly = _venous_anomaly(terrain, rng) if rng.random() < settings.venous_anomaly_share else []
    parts = (
        (Enhancing.VEIN, _transmedullary(terrain, settings, rng)),
        (Enhancing.VENOUS_ANOMALY, anomaly),
        (Enhancing.DOT_MIMIC, _dot_mimics(terrain, settings, rng)),
    )
    layers = [ContrastLayer(kind, *paint(tubes, terrain.shape), *uptake.blood(kind)) for kind, tubes in parts]
    return tuple(layer for layer in layers if layer.fraction.size)


def threads(terrain: Terrain, settings: ContrastSettings, rng: np.random.Generator) -> tuple[Box, Floats]:
    """Paint the common zeros of two smooth random fields in CSF and along the cortex: tubes without ends.

    Parameters
    ----------
    terrain, settings, rng
        The head, the ranges, and the source of randomness.
    """
    k, j, i = terrain.depth_mm.shape
    knots = max(settings.thread_knots_mm // STEP, 2)
    first, second = (ndimage.gaussian_filter(smooth_noise(rng, (k, j, i), knots), 1.2) for _ in range(2))
    patches = smooth_noise(rng, (k, j, i), 12)
    near = (np.abs(first) < NEAR_ZERO) & (np.abs(second) < NEAR_ZERO) & (terrain.csf > 0.12)
    near &= (terrain.depth_mm > 0.5) & (patches > -1)
    near[[0, -1]] = near[:, [0, -1]] = near[:, :, [0, -1]] = False  # slopes need neighbours
    voxels = STEP * np.argwhere(near)[:, None, :] + _CORNERS
    voxels = voxels.reshape(-1, 3)
    thickest = float(rng.uniform(*settings.thread_radius_mm))
    radius = thickest * np.clip(0.6 + 0.5 * terrain.near(patches, voxels), 0, 1)
    inside = np.clip(0.5 + radius - _distance_to_common_zero(first, second, near), 0, 1)
    filled = inside * np.clip(radius / RESOLVED_RADIUS_MM, 0, 1) ** 2
    filled *= np.clip(terrain.csf_share(voxels.astype(np.float64)) / 0.3, 0, 1)
    return scatter(voxels, np.where(filled > 0.03, filled, 0), terrain.shape)


def _distance_to_common_zero(first: Floats, second: Floats, cells: Mask) -> Points:
    """Return the distance in mm from the voxels of cells to where both fields vanish."""
    values, slopes = zip(*(_at_voxels(field, cells) for field in (first, second)), strict=True)
    aa, bb, ab = ((slopes[m] * slopes[n]).sum(axis=1) for m, n in ((0, 0), (1, 1), (0, 1)))
    f, g = values
    square = bb[:, None] * f**2 - 2 * ab[:, None] * f * g + aa[:, None] * g**2
    return np.asarray(np.sqrt(square / np.maximum(aa * bb - ab**2, 1e-6)[:, None]).ravel())


def _at_voxels(field: Floats, cells: Mask) -> tuple[Points, Points]:
    """Return a field at the voxels of cells (n, 8), linear within each, and its slope per mm (n, 3)."""
    index = np.argwhere(cells)
    steps = np.eye(3, dtype=np.int64)
    slope = np.stack([field[tuple((index + e).T)] - field[tuple((index - e).T)] for e in steps], axis=1)
    slope = slope.astype(np.float64) / (2 * STEP)
    return field[cells][:, None] + slope @ _CORNERS.T, slope


_CORNERS = np.indices((STEP,) * 3).reshape(3, -1).T
"""Offsets of a cell's voxels from its first."""


def _transmedullary(terrain: Terrain, settings: ContrastSettings, rng: np.random.Generator) -> list[Tube]:
    """Draw thin straight veins through white matter towards the ventricle."""
    low, high = settings.transmedullary_veins
    return _towards_ventricle(
        terrain, int(rng.integers(low, high + 1)), settings.transmedullary_radius_mm, rng
    )


def _towards_ventricle(
    terrain: Terrain, count: int, radius_mm: tuple[float, float], rng: np.random.Generator
) -> list[Tube]:
    tubes = []
    for start in _white_matter(terrain, count, rng):
        side = float(np.sign(terrain.midline(start[None]))[0]) or 1.0
        goal = terrain.frame.to_index(np.array(VENTRICLE_MM) * [1, 1, side] + rng.normal(0, (3, 14, 3)))
        path = start + np.linspace(0, 1, 16)[:, None] * (goal - start)
        path += np.cumsum(rng.normal(0, 0.25, path.shape), axis=0)
        inside = terrain.label_at(path) == Structure.WHITE_MATTER
        end = len(path) if inside.all() else int(np.argmin(inside))
        if end > 2:
            tubes.append(lay_tube(path[:end], float(log_uniform(radius_mm, 1, rng)[0]), rng))
    return tubes


def _white_matter(terrain: Terrain, count: int, rng: np.random.Generator) -> Points:
    """Choose places in cerebral white matter, well under the surface."""
    coarse = terrain.labels_kji[::STEP, ::STEP, ::STEP] == Structure.WHITE_MATTER
    cells = STEP * np.argwhere(coarse & (terrain.depth_mm > 12))
    return cells[rng.integers(len(cells), size=count)].astype(np.float64) if len(cells) else np.zeros((0, 3))


def _venous_anomaly(terrain: Terrain, rng: np.random.Generator) -> list[Tube]:
    """Draw a fan of 4 to 8 veins that meet in a collector running to the surface or to the ventricle."""
    tubes: list[Tube] = []
    for hub in _white_matter(terrain, 1, rng):
        outwards = random_directions(1, rng)[0]
        length = float(rng.uniform(10, 25))
        path = hub + np.linspace(0, length, 8)[:, None] * outwards + rng.normal(0, 0.6, (8, 3))
        path[0] = hub
        tubes.append(lay_tube(path, float(rng.uniform(0.7, 1.5)), rng))
        for spread in random_directions(int(rng.integers(4, 9)), rng):
            heading = -outwards + 1.1 * spread
            tip = hub + rng.uniform(6, 16) * heading / np.linalg.norm(heading)
            tubes.append(taper(lay_tube(np.stack([hub, tip]), float(rng.uniform(0.35, 0.7)), rng), 0.5))
    return tubes


def _dot_mimics(terrain: Terrain, settings: ContrastSettings, rng: np.random.Generator) -> list[Tube]:
    """Draw short pieces of vessel from the CSF of a sulcus across the cortex."""
    low, high = settings.dot_mimics
    if rng.random() < settings.many_dots_share:
        low, high = high, settings.most_dot_mimics
    sulci = (terrain.csf > 0.25) & (terrain.csf < 0.8) & (terrain.depth_mm > 5)
    cells = STEP * np.argwhere(sulci)
    if not len(cells):
        return []
    starts = cells[rng.integers(len(cells), size=int(rng.integers(low, high + 1)))].astype(np.float64)
    tubes = []
    for start, inwards, aside in zip(
        starts, -terrain.towards_csf(starts), random_directions(len(starts), rng), strict=True
    ):
        heading = inwards / max(float(np.linalg.norm(inwards)), 1e-6) + 0.7 * aside
        heading /= np.linalg.norm(heading)
        stations = np.linspace(-0.8, rng.uniform(*settings.dot_length_mm), 5)[:, None]
        bend = rng.normal(0, 0.3, (5, 3)) * np.abs(stations) / 3
        radius = float(rng.uniform(*settings.dot_radius_mm))
        tubes.append(lay_tube(start + stations * heading + bend, radius, rng))
    return tubes
