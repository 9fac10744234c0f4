"""What a brain extraction must not stumble over: vessels, lesions and cavities, mostly at the surface.

They are painted over the signals of a training head; the brain they lie in stays brain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phantom.fields import Floats, Mask, smooth_noise
from training.brain.geometry import in_voxels

Box = tuple[slice, slice, slice]

VESSEL_KNOT_MM = 20.0
"""Distance of the knots of the two fields whose common zeros are vessels: about 30 mm between vessels."""

SHAPE_KNOT_MM = 8.0
"""Distance of the knots of a lesion's irregular surface."""

BOX_RADII = 2.0
"""Half the edge of the box a lesion is painted in: room for oedema and bone flap."""

FLUID_SIGNAL = (0.15, 0.4)
"""Necrosis, cyst or resection cavity, relative to white matter (Bloch steady state of fluid, T1-weighted)."""


@dataclass(frozen=True, slots=True)
class FindingSettings:
    """How often what is painted; lengths in mm, signals relative to white matter.

    Parameters
    ----------
    spacing_mm
        Of the voxels rendered.
    vessel_share, vessel_width, vessel_signal, vessel_depth_mm
        Share of heads with bright vessels; their width in units of the fields; signal; and where they lie,
        as distance from the brain's surface (negative inside).
    lesions_mean
        Mean number of lesions (Poisson).
    radius_mm
        Of a lesion, log-uniform: 4 to 40 mm across.
    peripheral_share, peripheral_depth_mm
        Share of lesions whose centre lies at the surface, and how deep that reaches.
    lesion_signal
        Of the enhancing part; below 1 it is dark.
    core_share, core_range
        Share of lesions above 4 mm radius with a dark core, and the core's share of the radius.
    oedema_share, oedema_signal
        Share of lesions with a dark surrounding, and its signal.
    cavity_share, cavity_radius_mm
        Share of heads with a resection cavity, and its size.
    """

    spacing_mm: float = 2.0
    vessel_share: float = 0.55
    vessel_width: tuple[float, float] = (0.06, 0.22)
    vessel_signal: tuple[float, float] = (1.0, 1.9)
    vessel_depth_mm: tuple[float, float] = (-7.0, 3.0)
    lesions_mean: float = 1.5
    radius_mm: tuple[float, float] = (2.0, 20.0)
    peripheral_share: float = 0.6
    peripheral_depth_mm: float = 8.0
    lesion_signal: tuple[float, float] = (0.5, 2.2)
    core_share: float = 0.5
    core_range: tuple[float, float] = (0.4, 0.85)
    oedema_share: float = 0.4
    oedema_signal: tuple[float, float] = (0.5, 0.8)
    cavity_share: float = 0.12
    cavity_radius_mm: tuple[float, float] = (8.0, 25.0)


def paint_findings(
    signal_kji: Floats, depth_mm_kji: Floats, settings: FindingSettings, rng: np.random.Generator
) -> Mask:
    """Paint vessels, lesions and cavities into a head; return where the lesions are.

    Parameters
    ----------
    signal_kji
        Changed in place.
    depth_mm_kji
        Distance to the brain's surface, negative inside.
    """
    if rng.random() < settings.vessel_share:
        _paint_vessels(signal_kji, depth_mm_kji, settings, rng)
    lesions = np.zeros(signal_kji.shape, dtype=np.bool_)
    inside = np.flatnonzero(depth_mm_kji <= 0)
    surface = np.flatnonzero((depth_mm_kji <= 0) & (depth_mm_kji > -settings.peripheral_depth_mm))
    if inside.size == 0:
        return lesions
    for _ in range(rng.poisson(settings.lesions_mean)):
        candidates = surface if rng.random() < settings.peripheral_share else inside
        box, lesion = _paint_lesion(signal_kji, depth_mm_kji, int(rng.choice(candidates)), settings, rng)
        lesions[box] |= lesion
    if rng.random() < settings.cavity_share:
        _paint_cavity(signal_kji, depth_mm_kji, int(rng.choice(surface)), settings, rng)
    return lesions


def _paint_vessels(
    signal: Floats, depth: Floats, settings: FindingSettings, rng: np.random.Generator
) -> None:
    """Vessels are where two smooth random fields vanish together."""
    width = np.float32(rng.uniform(*settings.vessel_width))
    knots = in_voxels(VESSEL_KNOT_MM, settings.spacing_mm)
    first, second = (smooth_noise(rng, signal.shape, knots) for _ in range(2))
    low, high = settings.vessel_depth_mm
    where = (np.abs(first) < width) & (np.abs(second) < width) & (depth > low) & (depth < high)
    signal[where] += np.float32(rng.uniform(0.4, 1)) * (
        np.float32(rng.uniform(*settings.vessel_signal)) - signal[where]
    )


def _paint_lesion(
    signal: Floats, depth: Floats, centre: int, settings: FindingSettings, rng: np.random.Generator
) -> tuple[Box, Mask]:
    low, high = settings.radius_mm
    radius_mm = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    with_oedema = rng.random() < settings.oedema_share
    box, distance = _ball(signal.shape, centre, radius_mm, settings, rng)
    inside = depth[box] <= 0
    if with_oedema:
        swollen = inside & (distance < rng.uniform(1.2, 1.9)) & (signal[box] > 0.6)
        signal[box][swollen] *= np.float32(rng.uniform(*settings.oedema_signal))
    lesion = inside & (distance < 1)
    _fill(signal[box], lesion, rng.uniform(*settings.lesion_signal), rng)
    if radius_mm > 4 and rng.random() < settings.core_share:
        core = inside & (distance < rng.uniform(*settings.core_range))
        _fill(signal[box], core, rng.uniform(*FLUID_SIGNAL), rng)
    return box, lesion


def _paint_cavity(
    signal: Floats, depth: Floats, centre: int, settings: FindingSettings, rng: np.random.Generator
) -> None:
    """Paint fluid with an enhancing rim, and disturb bone and scalp over it as a craniotomy does."""
    radius_mm = rng.uniform(*settings.cavity_radius_mm)
    box, distance = _ball(signal.shape, centre, radius_mm, settings, rng)
    inside = depth[box] <= 0
    _fill(signal[box], inside & (distance < 1), rng.uniform(0.5, 1.5), rng)
    _fill(signal[box], inside & (distance < rng.uniform(0.75, 0.95)), rng.uniform(*FLUID_SIGNAL), rng)
    flap = ~inside & (distance < rng.uniform(1.1, 1.7)) & (depth[box] < 15)
    disturbance = 1 + 0.5 * smooth_noise(rng, distance.shape, in_voxels(SHAPE_KNOT_MM, settings.spacing_mm))
    signal[box][flap] *= np.clip(disturbance[flap], 0, 3)


def _fill(signal: Floats, where: Mask, value: float, rng: np.random.Generator) -> None:
    texture = np.float32(rng.uniform(0, 0.15)) * rng.standard_normal(int(where.sum()), dtype=np.float32)
    signal[where] = np.maximum(np.float32(value) * (1 + texture), 0)


def _ball(
    shape: tuple[int, ...], centre: int, radius_mm: float, settings: FindingSettings, rng: np.random.Generator
) -> tuple[Box, Floats]:
    """Return a box, and in it the distance from a point over an irregular ellipsoid's radius.

    Parameters
    ----------
    shape
        Of the volume.
    centre
        Flat index in it.
    radius_mm
        Before axis ratios of 0.7 to 1.3; the surface is bent by up to a third.
    settings, rng
        Size of the voxels, and the source of chance.
    """
    point = np.unravel_index(centre, shape)
    radius = radius_mm / settings.spacing_mm
    half = int(np.ceil(BOX_RADII * radius * 1.3)) + 1
    box = tuple(
        slice(max(int(c) - half, 0), min(int(c) + half + 1, n)) for c, n in zip(point, shape, strict=True)
    )
    scales = radius * rng.uniform(0.7, 1.3, 3)
    squared = [
        ((np.arange(part.start, part.stop) - c) / scale) ** 2
        for part, c, scale in zip(box, point, scales, strict=True)
    ]
    distance = np.sqrt(sum(np.ix_(*squared))).astype(np.float32)
    distance *= 1 + 0.15 * smooth_noise(rng, distance.shape, in_voxels(SHAPE_KNOT_MM, settings.spacing_mm))
    return (box[0], box[1], box[2]), distance
