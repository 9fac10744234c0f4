"""Dural venous sinuses: wedges between skull, falx and tentorium, and the blood beside the sella."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from phantom.fields import Floats, Points, smooth_noise
from phantom.synthesis.anatomy.label_map import Box
from phantom.synthesis.anatomy.structures import Enhancing, Structure
from phantom.synthesis.contrast.bodies import paint_body
from phantom.synthesis.contrast.layers import ContrastLayer, ContrastSettings, Uptake, join, scatter
from phantom.synthesis.contrast.terrain import STEP, Terrain, slide
from phantom.synthesis.contrast.tubes import Tube, densify, lay_tube, log_uniform, paint

SAGITTAL_WIDTH_MM, SAGITTAL_HEIGHT_MM = (1.3, 4.8), (3.0, 9.5)
"""Half the width at the skull and the height of the superior sagittal sinus, from forehead to confluence."""

TRANSVERSE_WIDTH_MM, TRANSVERSE_HEIGHT_MM = 3.6, 8.0
"""Half the width at the skull and the height, along the tentorium, of the greater transverse sinus."""

STRAIGHT_WIDTH_MM = 2.1
"""Radius of the straight sinus, whose cross-section is a lozenge."""

CONFLUENCE_RADIUS_MM = (3.0, 8.0)
"""Of the confluence; log-uniform, before the scale of all sinuses."""

SIGMOID_RADIUS_MM = 3.3

IRREGULARITY = 0.3
"""Relative standard deviation of widths and heights along the sinuses."""

PATCH_VOXELS = 4
"""Distance between independent widths, in cells of the terrain (8 mm)."""

LABELLED_VOXELS = 8000
"""A label map with more sinus than this (8 mL) has drawn the large ones."""

SIGMOID: tuple[tuple[float, float, float], ...] = (
    (-18, 66, 56), (-22, 56, 60), (-32, 47, 58), (-44, 45, 50), (-54, 45, 40), (-60, 42, 32),
)  # fmt: skip
SUPERIOR_PETROSAL: tuple[tuple[float, float, float], ...] = ((-22, 52, 56), (-24, 36, 40), (-27, 20, 24))
"""Waypoints (up, back, left) in standard mm of the left one."""

CAVERNOUS_CENTRE_MM, CAVERNOUS_RADII_MM = (-26.0, -1.0, 12.5), (6.0, 10.5, 4.2)
"""Centre and half axes (up, back, left) of the left cavernous sinus in standard mm."""

CAVERNOUS_IN = frozenset(
    {Structure.CSF, Structure.SOFT_TISSUE, Structure.OTHER, Structure.CORTICAL_BONE, Structure.DIPLOE,
     Structure.SINUS}
)  # fmt: skip
"""What labels call the cavernous sinus: not brain, not air, not the carotid."""


@dataclass(frozen=True, eq=False)
class _Site:
    """Voxels near the skull or the straight sinus, with where they are; arrays of one length."""

    voxels: NDArray[np.int64]
    depth_mm: Points
    midline_mm: Points
    tentorium_mm: Points
    cleft_mm: Points
    standard_mm: Points


def grow_sinuses(
    terrain: Terrain, uptake: Uptake, settings: ContrastSettings, rng: np.random.Generator
) -> tuple[ContrastLayer, ...]:
    """Grow dural sinuses, in and besides those that are labelled, and the cavernous sinuses.

    Parameters
    ----------
    terrain, uptake, settings, rng
        The head, the study's blood, the ranges, and the source of randomness.
    """
    labelled = _labelled(terrain)
    several = int(np.count_nonzero(labelled[1] > 0.5)) > LABELLED_VOXELS
    bounds = settings.labelled_sinus_scale if several else settings.sinus_scale
    scale = float(log_uniform(bounds, 1, rng)[0])
    minor = float(rng.uniform(*settings.transverse_asymmetry))
    sides = (scale, scale * minor) if rng.random() < 0.65 else (scale * minor, scale)  # the right one leads
    box, fraction = join([labelled, _channels(terrain, scale, sides, rng), _tubes(terrain, sides, rng)])
    holes = _granulations(fraction, settings, rng)
    flow = _flow(fraction.shape, settings, rng)
    t1, post = (
        blood * flow * (1 - holes) + fluid * holes
        for blood, fluid in zip(uptake.blood(Enhancing.SINUS), uptake.fluid(), strict=True)
    )
    layers = [ContrastLayer(Enhancing.SINUS, box, fraction, t1, post)]
    if rng.random() < settings.cavernous_share:
        layers.append(_cavernous(terrain, uptake, rng))
    return tuple(layer for layer in layers if layer.fraction.size)


def _labelled(terrain: Terrain) -> tuple[Box, Floats]:
    """Return the labelled sinuses, their borders softened."""
    mask = terrain.labels_kji == Structure.SINUS
    (box,) = ndimage.find_objects(mask.astype(np.uint8)) or [None]
    if box is None:
        return (slice(0, 0),) * 3, np.zeros((0, 0, 0), dtype=np.float32)
    soft = ndimage.gaussian_filter(mask[box].astype(np.float32), 0.6, truncate=2.5)
    soft[soft < 0.1] = 0
    return box, soft


def _channels(
    terrain: Terrain, scale: float, sides: tuple[float, float], rng: np.random.Generator
) -> tuple[Box, Floats]:
    """Paint what lies in the angles of skull, falx and tentorium."""
    site = _survey_site(terrain)
    wander = [np.exp(IRREGULARITY * _noise_at(terrain, site, PATCH_VOXELS, rng)) for _ in range(3)]
    inside = np.max(
        [
            _sagittal(site, scale * wander[0], scale * wander[1]),
            _transverse(site, sides, wander[2], wander[0]),
            _straight(site, scale * wander[1]),
            _confluence(site, scale * wander[2], rng),
        ],
        axis=0,
    )
    walls = np.clip(site.depth_mm + 1.3, 0, 1)  # a little into the groove of the bone
    return scatter(site.voxels, np.clip(0.5 + inside, 0, 1) * walls, terrain.shape)


def _survey_site(terrain: Terrain) -> _Site:
    cells = terrain.depth_mm.shape
    half = np.abs(STEP * np.arange(cells[2]) - terrain.midline_i[:, :, None])
    depth, tent = terrain.depth_mm, np.abs(terrain.tentorium_mm)
    near_skull = (depth > -2.5) & (depth < 16)
    edge = tent + 0.5 * depth < 10
    coarse = near_skull & ((half + 0.5 * depth < 10) | (edge & (terrain.cleft_mm < 36)))
    coarse |= (tent < 6) & (half < 6)
    voxels = terrain.voxels(coarse)
    points = voxels.astype(np.float64)
    return _Site(
        voxels,
        terrain.depth(points),
        terrain.midline(points),
        terrain.tentorium(points),
        terrain.cleft(points),
        terrain.frame.to_standard(points),
    )


def _noise_at(terrain: Terrain, site: _Site, patch: int, rng: np.random.Generator) -> Points:
    k, j, i = terrain.depth_mm.shape
    return terrain.near(smooth_noise(rng, (k, j, i), patch), site.voxels)


def _wedge(depth_mm: Points, aside_mm: Points, width_mm: Points, height_mm: Points) -> Points:
    """Return how far inside a triangle with its base on the skull each voxel is, in mm."""
    lean = width_mm / height_mm
    return np.asarray((width_mm - lean * depth_mm - np.abs(aside_mm)) / np.sqrt(1 + lean**2))


def _sagittal(site: _Site, width: Points, height: Points) -> Points:
    """Superior sagittal sinus: growing from forehead to confluence."""
    up, back = site.standard_mm[:, 0] - 6, site.standard_mm[:, 1] - 17
    angle_deg = np.rad2deg(np.arctan2(up, -back)) % 360  # 0 forwards, 90 up, 180 backwards
    along = np.clip((angle_deg - 5) / 185, 0, 1)
    inside = _wedge(
        site.depth_mm,
        site.midline_mm,
        width * np.interp(along, (0, 1), SAGITTAL_WIDTH_MM),
        height * np.interp(along, (0, 1), SAGITTAL_HEIGHT_MM),
    )
    beyond = (site.tentorium_mm > 3) | (angle_deg > 200) | (angle_deg < 3)
    return np.where(beyond, -1.0, inside)


def _transverse(site: _Site, sides: tuple[float, float], width: Points, height: Points) -> Points:
    """Transverse sinuses: at the outer edge of the tentorium, one larger than the other."""
    side = np.where(site.midline_mm < 0, sides[0], sides[1])
    start = np.clip((site.standard_mm[:, 1] - 46) / 8, 0, 1)  # they leave the tentorium at the petrous bone
    width_mm = np.maximum(TRANSVERSE_WIDTH_MM * side * width * start, 1e-3)
    height_mm = TRANSVERSE_HEIGHT_MM * side * height
    inside = _wedge(site.depth_mm, site.tentorium_mm, width_mm, height_mm)
    return np.where((start == 0) | (site.cleft_mm > 30), -1.0, inside)


def _straight(site: _Site, width: Points) -> Points:
    """Straight sinus: where falx and tentorium meet."""
    inside = STRAIGHT_WIDTH_MM * width - np.abs(site.midline_mm) - 0.75 * np.abs(site.tentorium_mm)
    back = site.standard_mm[:, 1]
    return np.where((back < 46) | (back > 108) | (site.cleft_mm > 26), -1.0, inside)


def _confluence(site: _Site, irregular: Points, rng: np.random.Generator) -> Points:
    """Confluence: a knot with corners where the others meet, often off the midline."""
    radius = float(log_uniform(CONFLUENCE_RADIUS_MM, 1, rng)[0])
    shift_mm = rng.normal(0, 3.0, 2)
    across, along = np.abs(site.midline_mm - shift_mm[0]), np.abs(site.tentorium_mm - shift_mm[1] / 2)
    reach = 0.55 * across + 0.75 * along + 0.7 * np.maximum(site.depth_mm - 1, 0)
    back = site.standard_mm[:, 1]
    return np.where(back < 62, -1.0, 0.8 * (radius * irregular - reach))


def _tubes(terrain: Terrain, sides: tuple[float, float], rng: np.random.Generator) -> tuple[Box, Floats]:
    """Paint sigmoid and superior petrosal sinuses."""
    tubes: list[Tube] = []
    for sign, size in zip((-1, 1), sides, strict=True):
        radius = SIGMOID_RADIUS_MM * size
        path = terrain.frame.to_index(densify(np.array(SIGMOID) * [1, 1, sign]))
        path = slide(path, [(terrain.depth, 0.7 * radius)], rounds=5)
        tubes.append(lay_tube(path, radius, rng, 0.25))
        if rng.random() < 0.6:
            path = terrain.frame.to_index(densify(np.array(SUPERIOR_PETROSAL) * [1, 1, sign]))
            path = slide(path, [(terrain.depth, 1.0)], rounds=5)
            tubes.append(lay_tube(path, float(rng.uniform(0.5, 1.2)), rng))
    return paint(tubes, terrain.shape)


def _granulations(fraction: Floats, settings: ContrastSettings, rng: np.random.Generator) -> Floats:
    """Return the share of each voxel in arachnoid granulations: round, filled with CSF."""
    holes = np.zeros(fraction.shape, dtype=np.float32)
    filled = np.flatnonzero(fraction > 0.9)
    if not len(filled):
        return holes
    for _ in range(int(rng.integers(settings.granulations[0], settings.granulations[1] + 1))):
        centre = np.array(np.unravel_index(int(rng.choice(filled)), fraction.shape))
        radius = float(rng.uniform(*settings.granulation_radius_mm))
        low = np.maximum(centre - int(radius + 2), 0)
        window = tuple(slice(int(a), int(b)) for a, b in zip(low, centre + int(radius + 3), strict=True))
        offsets = np.indices(holes[window].shape) + (low - centre)[:, None, None, None]
        hole = np.clip(radius + 0.5 - np.sqrt((offsets**2).sum(axis=0)), 0, 1)
        holes[window] = np.maximum(holes[window], hole)
    return holes


def _flow(shape: tuple[int, ...], settings: ContrastSettings, rng: np.random.Generator) -> Floats:
    """Return the share of the signal that flow leaves: 1, or less in places."""
    k, j, i = shape
    depth = (1 - settings.flow_void_floor) if rng.random() < settings.flow_void_share else 0.12
    if not k * j * i:
        return np.ones(shape, dtype=np.float32)
    return np.asarray(
        1 - depth * np.clip(0.4 + 0.6 * smooth_noise(rng, (k, j, i), 18), 0, 1), dtype=np.float32
    )


def _cavernous(terrain: Terrain, uptake: Uptake, rng: np.random.Generator) -> ContrastLayer:
    """Paint irregular bodies on either side of the sella, around the carotids."""
    parts = []
    for sign in (-1, 1):
        centre = (np.array(CAVERNOUS_CENTRE_MM) + rng.normal(0, 1.0, 3)) * [1, 1, sign]
        radii = np.array(CAVERNOUS_RADII_MM) * rng.uniform(0.75, 1.2, 3)
        parts.append(paint_body(terrain, centre, radii, rng, CAVERNOUS_IN))
    box, fraction = join(parts)
    t1, post = uptake.blood(Enhancing.CAVERNOUS_SINUS)
    return ContrastLayer(Enhancing.CAVERNOUS_SINUS, box, fraction, t1, post)
