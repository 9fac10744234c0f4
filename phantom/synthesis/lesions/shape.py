"""Shapes of metastases: lobed star bodies with cores, gaps and septa, their volumes integrals over direction.

Along every direction from the centre a body is: septum, core, wall. So volume and centroid of what enhances
are integrals over the sphere, exact whatever grid the body is painted on later.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from scipy import optimize

from phantom.fields import Points
from phantom.lesions import equivalent_diameter_mm
from phantom.star import SURFACE_DIRECTIONS, StarBody, even_directions
from phantom.synthesis.lesions.settings import MetastasisSettings, share_at

DIRECTIONS = even_directions(SURFACE_DIRECTIONS)
"""Where the integrals are evaluated."""

COARSE_WAVES, FINE_WAVES = (6, 2.8), (4, 6.0)
"""Waves on the surface: how many, and their length in radians: lobes, and finer knobbles between them."""

WAVES = COARSE_WAVES[0] + FINE_WAVES[0]

CORE_ROUGHNESS = 0.7
"""Amplitude of the waves on a core's surface; their mean over ten leaves dents of a sixth: nodular walls."""

CYST_SMOOTHING = 0.4
"""A cyst's surfaces are smoother than those of necrosis by this factor."""

LOBE_OFFSET, THIRD_LOBE_SHARE = (0.60, 0.80), 0.35
"""Lobes' distance from the common centre in lobe radii: waists of 80 to 60 %; share with three lobes."""

GAP_HALF_ANGLE_DEG, GAP_EDGE = (25.0, 60.0), 0.12
"""Half the opening of an interrupted wall; width of its edge as a cosine: the wall thins out."""

GREATEST_SWELLING = 6.0
"""A core never makes a body larger than this, relative to the solid one of the same enhancing volume."""

SEPTUM_MM = (1.0, 1.8)
"""Thickness of septa."""


class MetastasisKind(StrEnum):
    """How a metastasis looks after contrast."""

    SOLID = "solid"
    NECROTIC = "necrotic"
    """Irregular wall around necrosis."""
    CYSTIC = "cystic"
    """Smooth wall around fluid."""
    OPEN_RING = "open_ring"
    """The wall is interrupted on one side."""
    SEPTATE = "septate"
    """Several chambers."""


@dataclass(frozen=True, eq=False)
class LesionCore:
    """What does not enhance within a body.

    Parameters
    ----------
    outline
        Its radius in every direction, in units of the body's.
    rim_mm
        Least thickness of the wall around it.
    gap_direction, gap_cosine
        Unit vector, and cosine of the half angle around it, where the wall is missing; cosine 2 for no gap.
    septum_normals
        (n, 3) unit normals of enhancing sheets through the centre.
    septum_mm
        Their thickness.
    """

    outline: StarBody
    rim_mm: float
    gap_direction: Points
    gap_cosine: float
    septum_normals: Points
    septum_mm: float

    @property
    def share(self) -> float:
        """Mean radius in units of the body's."""
        return self.outline.size_mm

    def shell_mm(self, directions: Points, radii_mm: Points) -> tuple[Points, Points]:
        """Return from where to where the core lies along unit vectors (n, 3), in mm from the centre."""
        outer = np.minimum(radii_mm * self.outline.radius_mm(directions), radii_mm - self.rim_mm)
        missing = np.clip((directions @ self.gap_direction - self.gap_cosine) / GAP_EDGE, 0, 1)
        outer = np.maximum(outer, 0) + missing * (radii_mm - np.maximum(outer, 0))
        if not len(self.septum_normals):
            return np.zeros_like(outer), outer
        flattest = np.abs(directions @ self.septum_normals.T).min(axis=1)
        return np.minimum(self.septum_mm / 2 / np.maximum(flattest, 1e-6), outer), outer


@dataclass(frozen=True, eq=False)
class Rays:
    """Points seen from a body's centre, all (n,) in mm.

    Parameters
    ----------
    distance_mm
        From the centre.
    radius_mm
        Of the body in the point's direction.
    core_from_mm, core_to_mm
        Where the core lies in that direction; equal where there is none.
    """

    distance_mm: Points
    radius_mm: Points
    core_from_mm: Points
    core_to_mm: Points


@dataclass(frozen=True, eq=False)
class LesionBody:
    """A metastasis's shape.

    Parameters
    ----------
    kind
        What it looks like.
    star
        Centre and outline before lobes.
    lobes
        (n, 3) centres of unit spheres whose union scales the outline; all hold the origin. Empty: one lobe.
    core
        None if solid.
    reach_mm
        Greatest radius.
    """

    kind: MetastasisKind
    star: StarBody
    lobes: Points
    core: LesionCore | None
    reach_mm: float

    def at(self, centre_lps_mm: Points) -> LesionBody:
        """Return the same body elsewhere."""
        return replace(self, star=replace(self.star, centre_lps_mm=np.asarray(centre_lps_mm)))

    def radius_mm(self, directions: Points) -> Points:
        """Return the radius in mm for unit vectors (n, 3)."""
        radii = self.star.radius_mm(directions)
        if not len(self.lobes):
            return radii
        along = directions @ self.lobes.T
        chord = along**2 + 1 - (self.lobes**2).sum(axis=1)
        return np.asarray(radii * (along + np.sqrt(np.maximum(chord, 0))).max(axis=1))

    def rays(self, offsets_mm: Points) -> Rays:
        """Look at points given relative to the centre (n, 3)."""
        distance = np.maximum(np.linalg.norm(offsets_mm, axis=1), 1e-6)
        directions = offsets_mm / distance[:, None]
        directions[distance <= 1e-6] = (1.0, 0.0, 0.0)  # the centre itself has no direction
        radius = self.radius_mm(directions)
        start, stop = self._core_mm(directions, radius)
        return Rays(distance, radius, start, stop)

    def volumes_mm3(self) -> tuple[float, float]:
        """Return the volume of what enhances, and of the whole."""
        _, radius, start, stop = self._surfaces()
        filled = _ball_mm3(radius)
        return filled - _ball_mm3(stop) + _ball_mm3(start), filled

    def enhancing_centroid_offset_mm(self) -> Points:
        """Return where the centroid of what enhances lies, relative to the centre."""
        directions, radius, start, stop = self._surfaces()
        moment = ((radius**4 - stop**4 + start**4)[:, None] / 4 * directions).mean(axis=0)
        return np.asarray(moment / ((radius**3 - stop**3 + start**3) / 3).mean())

    def _surfaces(self) -> tuple[Points, Points, Points, Points]:
        radius = self.radius_mm(DIRECTIONS)
        return DIRECTIONS, radius, *self._core_mm(DIRECTIONS, radius)

    def _core_mm(self, directions: Points, radius_mm: Points) -> tuple[Points, Points]:
        if self.core is None:
            return np.zeros_like(radius_mm), np.zeros_like(radius_mm)
        return self.core.shell_mm(directions, radius_mm)


def draw_body(volume_mm3: float, settings: MetastasisSettings, rng: np.random.Generator) -> LesionBody:
    """Draw a body at the origin whose enhancing part has exactly a volume.

    Parameters
    ----------
    volume_mm3
        Of what enhances.
    settings
        Shapes and cores.
    """
    diameter_mm = equivalent_diameter_mm(volume_mm3)
    is_ring = rng.random() < share_at(settings.ring_shares, diameter_mm)
    kind = _ring_kind(diameter_mm, settings, rng) if is_ring else MetastasisKind.SOLID
    smoothing = CYST_SMOOTHING if kind is MetastasisKind.CYSTIC else 1.0
    body = LesionBody(
        kind=kind,
        star=_outline(diameter_mm, smoothing, settings, rng),
        lobes=_lobes(settings, rng),
        core=_core(kind, volume_mm3, settings, rng) if is_ring else None,
        reach_mm=0.0,
    )
    return _scaled_to(body, volume_mm3)


def _ring_kind(diameter_mm: float, settings: MetastasisSettings, rng: np.random.Generator) -> MetastasisKind:
    chance = rng.random()
    if chance < settings.open_ring_share:
        return MetastasisKind.OPEN_RING
    if chance < settings.open_ring_share + settings.cystic_share:
        return MetastasisKind.CYSTIC
    septate = diameter_mm >= settings.septate_from_mm and rng.random() < settings.septate_share
    return MetastasisKind.SEPTATE if septate else MetastasisKind.NECROTIC


def _outline(
    diameter_mm: float, smoothing: float, settings: MetastasisSettings, rng: np.random.Generator
) -> StarBody:
    axes, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    noise = rng.uniform(*settings.surface_noise) if diameter_mm >= settings.surface_noise_from_mm else 0.0
    ratios = [1.0, *rng.uniform(*settings.axis_ratios, 2)]
    return _waved(1.0, axes, 1 / np.array(ratios), noise * smoothing * np.sqrt(2 * WAVES), rng)


def _waved(
    size: float, axes: Points, inverse_radii: Points, roughness: float, rng: np.random.Generator
) -> StarBody:
    lengths = np.repeat([COARSE_WAVES[1], FINE_WAVES[1]], [COARSE_WAVES[0], FINE_WAVES[0]])
    waves = rng.standard_normal((WAVES, 3))
    return StarBody(
        centre_lps_mm=np.zeros(3),
        size_mm=size,
        axes=axes,
        inverse_radii=inverse_radii,
        wave_vectors=waves * (lengths / np.linalg.norm(waves, axis=1))[:, None],
        wave_phases=rng.uniform(0, 2 * np.pi, WAVES),
        roughness=min(float(roughness), 0.9),  # below 1 the radius stays positive
    )


def _lobes(settings: MetastasisSettings, rng: np.random.Generator) -> Points:
    if rng.random() >= settings.lobed_share:
        return np.zeros((0, 3))
    count = 3 if rng.random() < THIRD_LOBE_SHARE else 2
    frame, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    turns = 2 * np.pi * (np.arange(count) + rng.uniform(-0.12, 0.12, count)) / count
    around = np.cos(turns)[:, None] * frame[:, 0] + np.sin(turns)[:, None] * frame[:, 1]
    return np.asarray(around * rng.uniform(*LOBE_OFFSET, (count, 1)))


def _core(
    kind: MetastasisKind, volume_mm3: float, settings: MetastasisSettings, rng: np.random.Generator
) -> LesionCore:
    roomiest = max(1 - volume_mm3 / (settings.filled_max_cm3 * 1000), 0.1) ** (1 / 3)
    share = min(rng.uniform(*settings.core_share), roomiest)
    roughness = CORE_ROUGHNESS * (CYST_SMOOTHING if kind is MetastasisKind.CYSTIC else 1.0)
    normals = (
        rng.standard_normal((rng.integers(1, 4), 3)) if kind is MetastasisKind.SEPTATE else np.zeros((0, 3))
    )
    gap = rng.standard_normal(3)
    half_angle_deg = rng.uniform(*GAP_HALF_ANGLE_DEG)
    return LesionCore(
        outline=_waved(share, np.eye(3), np.ones(3), roughness, rng),
        rim_mm=float(rng.uniform(*settings.rim_mm)),
        gap_direction=gap / np.linalg.norm(gap),
        gap_cosine=float(np.cos(np.radians(half_angle_deg))) if kind is MetastasisKind.OPEN_RING else 2.0,
        septum_normals=normals / np.linalg.norm(normals, axis=1, keepdims=True),
        septum_mm=float(rng.uniform(*SEPTUM_MM)),
    )


def _scaled_to(body: LesionBody, volume_mm3: float) -> LesionBody:
    """Find the size at which what enhances has a volume: the wall's least thickness forbids mere scaling."""
    radii = body.radius_mm(DIRECTIONS)  # of size 1
    core = body.core

    def excess_mm3(size_mm: float) -> float:
        shell = core.shell_mm(DIRECTIONS, size_mm * radii) if core else (np.zeros(1), np.zeros(1))
        return _ball_mm3(size_mm * radii) - _ball_mm3(shell[1]) + _ball_mm3(shell[0]) - volume_mm3

    solid_mm = float((volume_mm3 / _ball_mm3(radii)) ** (1 / 3))
    size_mm = optimize.brentq(excess_mm3, solid_mm * 0.99, solid_mm * GREATEST_SWELLING, rtol=1e-6)
    return replace(
        body, star=replace(body.star, size_mm=float(size_mm)), reach_mm=float(size_mm * radii.max())
    )


def _ball_mm3(radii_mm: Points) -> float:
    """Return the volume of a body from its radii in evenly spread directions."""
    return float(4 / 3 * np.pi * (radii_mm**3).mean())
