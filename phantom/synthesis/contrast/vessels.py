"""Arteries and veins: the named ones along their cisterns, the cortical ones as walks through the sulci."""

from __future__ import annotations

import numpy as np

from phantom.fields import Mask, Points
from phantom.synthesis.anatomy.structures import Enhancing, Structure
from phantom.synthesis.contrast.layers import ContrastLayer, ContrastSettings, Uptake, join
from phantom.synthesis.contrast.small_vessels import threads
from phantom.synthesis.contrast.terrain import STEP, Terrain
from phantom.synthesis.contrast.tubes import (
    Tube,
    Walkers,
    densify,
    draw_into_csf,
    lay_tube,
    log_uniform,
    paint,
    random_directions,
    taper,
    walk,
)

Path = tuple[tuple[float, float, float], ...]

SIPHON: Path = ((-40, 12, 20), (-31, 8, 14), (-30, -4, 12), (-23, -7, 13), (-20, 0, 13), (-16, -2, 14))
MIDDLE_CEREBRAL: Path = (
    (-15, -2, 14), (-17, -2, 26), (-12, -4, 37), (-2, 4, 43), (8, 18, 44), (14, 34, 48),
)  # fmt: skip
ANTERIOR_CEREBRAL: Path = (
    (-15, -2, 14), (-16, -14, 5), (-10, -30, 3), (2, -42, 3), (22, -34, 3), (34, -14, 3), (42, 12, 3),
)  # fmt: skip
POSTERIOR_CEREBRAL: Path = ((-20, 13, 0), (-18, 18, 14), (-10, 30, 23), (-4, 50, 18), (0, 70, 11))
SUPERIOR_CEREBELLAR: Path = ((-23, 14, 0), (-25, 22, 15), (-23, 36, 20), (-20, 54, 14))
VERTEBRAL: Path = ((-76, 34, 16), (-64, 24, 10), (-53, 18, 1))
BASILAR: Path = ((-53, 18, 0), (-38, 13, 1), (-20, 13, 0))
"""Waypoints (up, back, left) in standard mm of the left artery."""

PAIRED_ARTERIES: tuple[tuple[Path, float], ...] = (
    (MIDDLE_CEREBRAL, 1.3), (ANTERIOR_CEREBRAL, 1.05), (POSTERIOR_CEREBRAL, 1.05),
    (SUPERIOR_CEREBELLAR, 0.7), (VERTEBRAL, 1.4),
)  # fmt: skip
"""(left path, radius in mm)."""

BASILAR_RADIUS_MM, SIPHON_RADIUS_MM = 1.6, 2.2

INTERNAL_CEREBRAL: Path = ((13, 6, 2), (13, 22, 2), (8, 34, 1.5), (5, 40, 0))
BASAL: Path = ((-14, 4, 14), (-12, 18, 18), (-6, 32, 16), (3, 43, 2))
THALAMOSTRIATE: Path = ((13, 6, 2), (18, 2, 9), (21, 10, 15), (21, 20, 17))
LABBE: Path = ((-2, 22, 62), (-8, 40, 62), (-14, 56, 58), (-17, 64, 56))
GREAT_VEIN: Path = ((5, 38, 0), (7, 44, 0), (3, 52, 0))
INFERIOR_SAGITTAL: Path = ((44, -6, 0), (38, 22, 0), (22, 40, 0), (6, 48, 0))

PAIRED_VEINS: tuple[tuple[Path, float], ...] = (
    (INTERNAL_CEREBRAL, 1.1), (BASAL, 0.9), (THALAMOSTRIATE, 0.5), (LABBE, 1.1),
)  # fmt: skip
MEDIAN_VEINS: tuple[tuple[Path, float], ...] = ((GREAT_VEIN, 2.1), (INFERIOR_SAGITTAL, 0.6))

VEIN_SHARE = 0.85
"""Chance of each named vein to be seen."""

WAYPOINT_JITTER_MM = 1.5
"""Standard deviation of waypoints but the ends."""

LABELLED_CAROTID_VOXELS = 1500
"""A label map with more carotid than this (1.5 mL) needs no siphon drawn."""

SYLVIAN_MM = (3.0, 8.0, 42.0)
"""Middle of the insular part of the middle cerebral artery, in standard mm."""

SUPERFICIAL_SHARE = 0.55
"""Cortical vessels that start on the surface rather than in a sulcus."""

BRIDGING_SHARE = 0.5
"""Cortical vessels pulled up and towards the midline: they drain into the superior sagittal sinus."""

BRIDGING_PULL = 0.12
"""Pull per mm of such a vessel."""


def grow_vessels(
    terrain: Terrain, uptake: Uptake, settings: ContrastSettings, rng: np.random.Generator
) -> tuple[ContrastLayer, ...]:
    """Grow veins and arteries.

    Parameters
    ----------
    terrain, uptake, settings, rng
        The head, the study's blood, the ranges, and the source of randomness.
    """
    arteries, veins = _arteries(terrain, settings, rng), _named_veins(terrain, rng)
    for tube in _cortical(terrain, settings, rng):
        (arteries if rng.random() < 0.3 else veins).append(tube)
    venous = [paint(veins, terrain.shape)]
    if rng.random() < settings.thread_share:
        venous.append(threads(terrain, settings, rng))
    layers = (
        ContrastLayer(Enhancing.VEIN, *join(venous), *uptake.blood(Enhancing.VEIN)),
        ContrastLayer(
            Enhancing.ARTERY, *paint(arteries, terrain.shape), *_arterial_blood(uptake, settings, rng)
        ),
    )
    return tuple(layer for layer in layers if layer.fraction.size)


def _arterial_blood(
    uptake: Uptake, settings: ContrastSettings, rng: np.random.Generator
) -> tuple[float, float]:
    """Let flow brighten arteries in gradient echoes and void them in spin echoes, each image by its own."""
    gain = float(rng.uniform(*settings.inflow_gain)) if rng.random() < settings.inflow_share else 1.0
    left = float(rng.uniform(*settings.arterial_void_signal))
    chance = rng.random()  # one for both: what is void after contrast is void before
    factors = [
        (left if chance < void_share else 1.0) if spin_echo else inflow
        for spin_echo, void_share, inflow in zip(
            uptake.spin_echo, settings.arterial_void_shares, (gain, 0.5 + 0.5 * gain), strict=True
        )
    ]
    t1, post = uptake.blood(Enhancing.ARTERY)
    return t1 * factors[0], post * factors[1]


def _arteries(terrain: Terrain, settings: ContrastSettings, rng: np.random.Generator) -> list[Tube]:
    size = float(rng.uniform(*settings.arterial_radius_mm))
    tubes = [_named(terrain, BASILAR, size * BASILAR_RADIUS_MM, 1, rng)]
    siphon = np.count_nonzero(terrain.labels_kji == Structure.CAROTID) < LABELLED_CAROTID_VOXELS
    for side in (-1, 1):
        for path, radius in PAIRED_ARTERIES:
            own = size * radius * rng.uniform(0.75, 1.2)
            tubes.append(taper(_named(terrain, path, own, side, rng), 0.7))
        if siphon:
            points = terrain.frame.to_index(_jittered(SIPHON, side, rng))
            tubes.append(lay_tube(points, size * SIPHON_RADIUS_MM, rng))
        tubes.extend(_sylvian_loops(terrain, side, size, settings, rng))
    return tubes


def _named_veins(terrain: Terrain, rng: np.random.Generator) -> list[Tube]:
    named = [(path, radius, side) for path, radius in PAIRED_VEINS for side in (-1, 1)]
    named += [(path, radius, 1) for path, radius in MEDIAN_VEINS]
    return [
        _named(terrain, path, radius * float(rng.uniform(0.7, 1.3)), side, rng)
        for path, radius, side in named
        if rng.random() < VEIN_SHARE
    ]


def _named(terrain: Terrain, path: Path, radius_mm: float, side: int, rng: np.random.Generator) -> Tube:
    """Lay a vessel along its waypoints, drawn into the CSF that is nearest."""
    points = terrain.frame.to_index(densify(_jittered(path, side, rng)))
    points = draw_into_csf(terrain, points + rng.normal(0, 0.4, points.shape))
    return lay_tube(points, radius_mm, rng)


def _jittered(path: Path, side: int, rng: np.random.Generator) -> Points:
    jitter = rng.normal(0, WAYPOINT_JITTER_MM, (len(path), 3))
    jitter[[0, -1]] = 0
    return (np.array(path) + jitter) * [1, 1, side]


def _sylvian_loops(
    terrain: Terrain, side: int, size: float, settings: ContrastSettings, rng: np.random.Generator
) -> list[Tube]:
    """Walk the winding branches over the insula and out of the Sylvian fissure."""
    count = int(rng.integers(settings.sylvian_loops[0], settings.sylvian_loops[1] + 1))
    starts = np.array(SYLVIAN_MM) * [1, 1, side] + rng.normal(0, (5, 9, 2.5), (count, 3))
    starts_kji = (
        draw_into_csf(terrain, terrain.frame.to_index(starts), rounds=6) if count else np.zeros((0, 3))
    )
    walkers = Walkers(
        starts_kji,
        random_directions(count, rng),
        rng.uniform(12, 50, count),
        rng.uniform(20, 35, count),
        np.zeros((count, 3)),
    )
    radii = size * rng.uniform(0.4, 0.9, count)
    return _tubes(walk(terrain, walkers, rng), radii, rng)


def _cortical(terrain: Terrain, settings: ContrastSettings, rng: np.random.Generator) -> list[Tube]:
    """Walk cortical vessels and their branches."""
    count = int(rng.integers(settings.cortical_vessels[0], settings.cortical_vessels[1] + 1))
    starts = _cortical_starts(terrain, count, rng)
    count = len(starts)
    bridging = (rng.random(count) < BRIDGING_SHARE)[:, None]
    up, _, left = terrain.frame.axes
    across = np.sign(terrain.midline(starts))[:, None] * left
    walkers = Walkers(
        starts,
        random_directions(count, rng),
        log_uniform(settings.cortical_length_mm, count, rng),
        rng.uniform(*settings.cortical_turning_deg, count),
        BRIDGING_PULL * bridging * (up - 0.6 * across),
    )
    radii = log_uniform(settings.cortical_radius_mm, count, rng)
    trunks = walk(terrain, walkers, rng)
    branches, thinner = _branches(terrain, trunks, radii, settings, rng)
    return _tubes([*trunks, *branches], np.concatenate([radii, thinner]), rng)


def _cortical_starts(terrain: Terrain, count: int, rng: np.random.Generator) -> Points:
    """Choose places in the CSF near the surface of the brain and in sulci."""
    near_brain = (terrain.csf > 0.4) & (np.abs(terrain.csf_slope).max(axis=0) > 0.02)
    shallow = near_brain & (terrain.depth_mm > 1) & (terrain.depth_mm < 7)
    deep = near_brain & (terrain.depth_mm >= 7)
    superficial = round(count * SUPERFICIAL_SHARE)
    return np.concatenate(
        [pick(terrain, shallow, superficial, rng), pick(terrain, deep, count - superficial, rng)]
    )


def pick(terrain: Terrain, coarse: Mask, count: int, rng: np.random.Generator) -> Points:
    """Choose places (n, 3) in the cells of a mask on the terrain's lattice, above the skull base."""
    cells = STEP * np.argwhere(coarse)
    if not len(cells) or count == 0:
        return np.zeros((0, 3))
    chosen = cells[rng.integers(len(cells), size=4 * count)] + rng.uniform(0, STEP, (4 * count, 3))
    above = terrain.frame.to_standard(chosen)[:, 0] > -50  # not down the spinal canal
    return np.asarray(chosen[above][:count])


def _branches(
    terrain: Terrain,
    trunks: list[Points],
    radii: Points,
    settings: ContrastSettings,
    rng: np.random.Generator,
) -> tuple[list[Points], Points]:
    """Walk branches off the trunks; return them with their radii."""
    long = [n for n, trunk in enumerate(trunks) if len(trunk) > 6]
    count = int(settings.branches * len(trunks)) if long else 0
    parents = rng.choice(long, count) if count else np.zeros(0, dtype=int)
    starts, headings = np.zeros((count, 3)), np.zeros((count, 3))
    for row, parent in enumerate(parents):
        at = int(rng.integers(1, len(trunks[parent]) - 1))
        starts[row] = trunks[parent][at]
        headings[row] = trunks[parent][at] - trunks[parent][at - 1]
    walkers = Walkers(
        starts,
        headings + 0.9 * random_directions(count, rng),
        rng.uniform(5, 30, count),
        rng.uniform(*settings.cortical_turning_deg, count),
        np.zeros((count, 3)),
    )
    return walk(terrain, walkers, rng), radii[parents] * rng.uniform(0.5, 0.8, count)


def _tubes(paths: list[Points], radii: Points, rng: np.random.Generator) -> list[Tube]:
    """Give walked paths their girth; they taper."""
    return [
        taper(lay_tube(path, float(radius), rng), float(rng.uniform(0.4, 0.9)))
        for path, radius in zip(paths, radii, strict=True)
        if len(path) > 2
    ]
