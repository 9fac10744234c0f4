"""Star-shaped bodies: smooth, irregular, and with a volume that is an integral rather than a voxel count."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from phantom.fields import Points

SURFACE_DIRECTIONS = 4000
"""Quadrature points on the sphere: volumes are right to 1e-4."""

SMOOTH_BELOW_MM = 4.0
"""A body of a few voxels has no visible shape: it stays an ellipsoid."""

ROUGHNESS = 0.30
"""Amplitude of the waves on the surface; their mean over eight leaves dents of a tenth of the radius."""

WAVE_NUMBER = 3.0
"""Waves across the unit sphere, radians: two or three lobes, never spikes."""


@dataclass(frozen=True, eq=False)
class StarBody:
    """A star-shaped body: a centre, and a radius for every direction.

    ``radius(u) = size_mm * ellipsoid(u) * (1 + roughness * waves(u))``.
    """

    centre_lps_mm: Points
    size_mm: float
    axes: Points
    inverse_radii: Points
    wave_vectors: Points
    wave_phases: Points
    roughness: float

    def radius_mm(self, directions: Points) -> Points:
        """Return the radius in mm for unit vectors (n, 3)."""
        ellipsoid = 1 / np.linalg.norm(directions @ self.axes * self.inverse_radii, axis=1)
        waves = np.cos(directions @ self.wave_vectors.T + self.wave_phases).mean(axis=1)
        return np.asarray(self.size_mm * ellipsoid * (1 + self.roughness * waves))

    def wall_centroid_offset_mm(self, core_share: float) -> Points:
        """Return where the wall's centroid lies, relative to the centre.

        The wall is what lies between ``core_share`` of the radius and the radius: its first moment is
        the integral of r^4/4 u over all directions u, its volume that of r^3/3.
        """
        directions = even_directions(SURFACE_DIRECTIONS)
        radii = self.radius_mm(directions)
        moment = (radii[:, None] ** 4 / 4 * directions).mean(axis=0) * (1 - core_share**4)
        return np.asarray(moment / ((radii**3 / 3).mean() * (1 - core_share**3)))


def random_star(diameter_mm: float, rng: np.random.Generator) -> tuple[StarBody, float]:
    """Return a body at the origin with exactly the sphere's volume, and its greatest radius."""
    axes, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    waves = rng.standard_normal((8, 3))
    body = StarBody(
        centre_lps_mm=np.zeros(3),
        size_mm=1.0,
        axes=axes,
        inverse_radii=1 / np.array([1.0, rng.uniform(0.75, 1.0), rng.uniform(0.65, 1.0)]),
        wave_vectors=WAVE_NUMBER * waves / np.linalg.norm(waves, axis=1, keepdims=True),
        wave_phases=rng.uniform(0, 2 * np.pi, 8),
        roughness=0.0 if diameter_mm < SMOOTH_BELOW_MM else ROUGHNESS,
    )
    radii = body.radius_mm(even_directions(SURFACE_DIRECTIONS))
    size = float((np.pi / 6 * diameter_mm**3 / (4 / 3 * np.pi * np.mean(radii**3))) ** (1 / 3))
    return replace(body, size_mm=size), float(radii.max() * size)


def even_directions(count: int) -> Points:
    """Return unit vectors spread evenly (Fibonacci lattice)."""
    n = np.arange(count) + 0.5
    polar, azimuth = np.arccos(1 - 2 * n / count), np.pi * (1 + 5**0.5) * n
    return np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=1)
