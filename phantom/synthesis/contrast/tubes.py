"""Tubes: paths with radii, laid along waypoints or walked at random through CSF, and painted sub-voxel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from phantom.fields import Floats, Points, Shape, paint_tube_fractions
from phantom.synthesis.anatomy.label_map import Box
from phantom.synthesis.contrast.terrain import Terrain

POINT_STEP = 0.5
"""Distance between the spheres strung along a tube, in radii: the tube's wall stays smooth."""

CSF_WANTED = 0.55
"""Share of CSF around a point above which a vessel is not drawn further into the CSF."""

STEERING = 12.0
"""How hard missing CSF turns a walk, per unit of share and of its gradient."""

LEAST_CSF = 0.05
"""A walk ends where less CSF than this is around: it has run into the brain or the skull."""


PASSAGE_MM = 2
"""Half the distance a walk goes on without CSF: sulci narrower than a voxel are not labelled as such."""


@dataclass(frozen=True, eq=False)
class Tube:
    """A path as fractional indices (n, 3), with its radius in voxels (of 1 mm) at every point (n,)."""

    points_kji: Points
    radii: Points


def lay_tube(
    points_kji: Points, radius_mm: float, rng: np.random.Generator, irregularity: float = 0.15
) -> Tube:
    """Lay points densely along a path, round its corners, and let the radius wander.

    Parameters
    ----------
    points_kji
        (n, 3) waypoints.
    radius_mm
        Mean radius.
    rng
        Source of randomness.
    irregularity
        Relative standard deviation of the radius along the path.
    """
    path = np.asarray(points_kji, dtype=np.float64)
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    count = int(lengths[-1] / max(POINT_STEP * radius_mm, 0.3)) + 2
    stations = np.linspace(0, lengths[-1], count)
    dense = np.stack([np.interp(stations, lengths, path[:, axis]) for axis in range(3)], axis=1)
    per_mm = count / max(float(lengths[-1]), 0.5)
    dense = ndimage.gaussian_filter1d(dense, 1.5 * per_mm, axis=0, mode="nearest")
    wander = ndimage.gaussian_filter1d(rng.standard_normal(count), 4 * per_mm, mode="nearest")
    wander /= max(float(wander.std()), 1e-6)
    return Tube(dense, radius_mm * np.clip(1 + irregularity * wander, 0.5, 1.6))


def taper(tube: Tube, end: float) -> Tube:
    """Return a tube whose radius falls evenly to a share of it at its end."""
    return Tube(tube.points_kji, tube.radii * np.linspace(1, end, len(tube.radii)))


def draw_into_csf(terrain: Terrain, points_kji: Points, rounds: int = 10) -> Points:
    """Move the points of a path up the share of CSF until enough is around, at most 0.7 mm a round."""
    points = np.array(points_kji, dtype=np.float64)
    for _ in range(rounds):
        missing = np.clip(CSF_WANTED - terrain.csf_share(points), 0, 1)[:, None]
        points += 0.7 * np.minimum(4 * missing, 1) * _unit(terrain.towards_csf(points))
        points = ndimage.gaussian_filter1d(points, 0.5, axis=0, mode="nearest")
    return points


def densify(waypoints: Points, step_mm: float = 3.0) -> Points:
    """Put points every few voxels on the straight lines between waypoints."""
    path = np.asarray(waypoints, dtype=np.float64)
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    stations = np.linspace(0, lengths[-1], max(int(lengths[-1] / step_mm), 2) + 1)
    return np.stack([np.interp(stations, lengths, path[:, axis]) for axis in range(3)], axis=1)


@dataclass(frozen=True, eq=False)
class Walkers:
    """Vessels about to be walked, one a row.

    Parameters
    ----------
    starts_kji
        (n, 3) indices.
    directions
        (n, 3) unit vectors.
    lengths_mm
        (n,) at most this far.
    turning_deg
        (n,) standard deviation of the direction's change per mm.
    pull
        (n, 3) added to the direction each mm: where the vessel drains to.
    """

    starts_kji: Points
    directions: Points
    lengths_mm: Points
    turning_deg: Points
    pull: Points


def walk(terrain: Terrain, walkers: Walkers, rng: np.random.Generator) -> list[Points]:
    """Walk all vessels at once in steps of 1 mm through the CSF; each ends where there is none left.

    Returns
    -------
    list of (n, 3)
        One path a walker; of a single point where it could not leave its start.
    """
    here, heading = walkers.starts_kji.copy(), walkers.directions.copy()
    turning = np.deg2rad(walkers.turning_deg)[:, None]
    trail = [here.copy()]
    for _ in range(int(walkers.lengths_mm.max(initial=0))):
        missing = np.clip(CSF_WANTED - terrain.csf_share(here), 0, 1)[:, None]
        heading += turning * rng.standard_normal(here.shape) + walkers.pull
        heading += STEERING * missing * terrain.towards_csf(here)
        heading = _unit(heading)
        here = here + heading
        trail.append(here.copy())
    paths = np.stack(trail, axis=1)
    share = terrain.csf_share(paths.reshape(-1, 3)).reshape(paths.shape[:2])
    share = ndimage.maximum_filter1d(share, 2 * PASSAGE_MM + 1, axis=1)
    alive = np.cumprod(share >= LEAST_CSF, axis=1).sum(axis=1)
    ends = np.minimum(np.maximum(alive, 1), walkers.lengths_mm.astype(int) + 1)
    return [path[:end] for path, end in zip(paths, ends, strict=True)]


def paint(tubes: list[Tube], shape: Shape) -> tuple[Box, Floats]:
    """Return a box around tubes and the share of each of its voxels inside any of them."""
    if not tubes:
        return (slice(0, 0),) * 3, np.zeros((0, 0, 0), dtype=np.float32)
    points = np.concatenate([tube.points_kji for tube in tubes])
    radii = np.concatenate([tube.radii for tube in tubes])
    reach = float(radii.max()) + 1.5
    low = np.clip(np.floor(points.min(axis=0) - reach), 0, shape).astype(int)
    high = np.maximum(np.clip(np.ceil(points.max(axis=0) + reach) + 1, 0, shape).astype(int), low)
    box = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
    size = (int(high[0] - low[0]), int(high[1] - low[1]), int(high[2] - low[2]))
    if 0 in size:
        return box, np.zeros(size, dtype=np.float32)
    return box, paint_tube_fractions(size, points - low, radii)


def _unit(vectors: Points) -> Points:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-6))


def random_directions(count: int, rng: np.random.Generator) -> Points:
    """Return unit vectors (n, 3), evenly distributed."""
    return _unit(rng.standard_normal((count, 3)))


def log_uniform(bounds: tuple[float, float], count: int, rng: np.random.Generator) -> Points:
    """Return values evenly distributed on a logarithmic scale."""
    return np.asarray(np.exp(rng.uniform(np.log(bounds[0]), np.log(bounds[1]), count)))
