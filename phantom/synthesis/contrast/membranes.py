"""Dura, falx and tentorium: thin sheets that enhance in patches, sometimes thickened to nodules."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phantom.fields import Mask, Points, smooth_noise
from phantom.synthesis.anatomy.structures import Enhancing, Structure
from phantom.synthesis.contrast.layers import ContrastLayer, ContrastSettings, Uptake, scatter
from phantom.synthesis.contrast.terrain import STEP, Terrain
from phantom.synthesis.contrast.tubes import log_uniform

FALX_DEPTH_MM = (22.0, 48.0)
"""How far the falx reaches inwards from the skull, at the forehead and at the back."""

INCISURA_MM = (20.0, 42.0)
"""Half width and greatest distance behind the origin, in standard mm, of the opening for the midbrain."""

LOWEST_DURA_MM = -62.0
"""Below this, in standard mm, is the spinal canal."""

PATCH_VOXELS = 7
"""Distance between independent values of what is on and off, in cells of the terrain (14 mm)."""

NODULE_VOXELS = 4
"""Likewise of the thickening."""

EDGE = 2.0
"""How abruptly enhancement ends: share gained per standard deviation of the field."""

UNCOVERED = frozenset(
    {Structure.WHITE_MATTER, Structure.CEREBELLAR_WHITE, Structure.BRAINSTEM, Structure.THALAMUS,
     Structure.DEEP_GREY, Structure.LATERAL_VENTRICLE, Structure.THIRD_VENTRICLE, Structure.FOURTH_VENTRICLE,
     Structure.HIPPOCAMPUS, Structure.CHIASM, Structure.AIR}
)  # fmt: skip
"""No membrane lies here, whatever the fitted surfaces say."""


def grow_membranes(
    terrain: Terrain, uptake: Uptake, settings: ContrastSettings, rng: np.random.Generator
) -> tuple[ContrastLayer, ...]:
    """Grow the dura under the skull, the falx and the tentorium.

    Parameters
    ----------
    terrain, uptake, settings, rng
        The head, the study's concentrations, the ranges, and the source of randomness.
    """
    nodular = bool(rng.random() < settings.nodular_share)
    sheets = (_dura(terrain), _falx(terrain), _tentorium(terrain))
    layers = [_layer(terrain, *sheet, uptake, settings, nodular, rng) for sheet in sheets]
    return tuple(layer for layer in layers if layer.fraction.size)


def _dura(terrain: Terrain) -> tuple[NDArray[np.int64], Points]:
    voxels = _allowed(terrain, (terrain.depth_mm > -2) & (terrain.depth_mm < 5))
    points = voxels.astype(np.float64)
    kept = terrain.frame.to_standard(points)[:, 0] > LOWEST_DURA_MM
    return voxels[kept], terrain.depth(points[kept])


def _falx(terrain: Terrain) -> tuple[NDArray[np.int64], Points]:
    half = np.abs(STEP * np.arange(terrain.depth_mm.shape[2]) - terrain.midline_i[:, :, None])
    voxels = _allowed(terrain, (half < 5) & (terrain.depth_mm > 0) & (terrain.tentorium_mm < -1))
    points = voxels.astype(np.float64)
    standard = terrain.frame.to_standard(points)
    reach = np.interp(standard[:, 1], (-50, 80), FALX_DEPTH_MM)
    kept = (terrain.depth(points) < reach) & (standard[:, 0] > -12)
    return voxels[kept], np.abs(terrain.midline(points[kept]))


def _tentorium(terrain: Terrain) -> tuple[NDArray[np.int64], Points]:
    voxels = _allowed(
        terrain, (np.abs(terrain.tentorium_mm) < 4) & (terrain.cleft_mm < 12) & (terrain.depth_mm > 0)
    )
    points = voxels.astype(np.float64)
    standard = terrain.frame.to_standard(points)
    half_mm, back_mm = INCISURA_MM
    kept = (np.abs(standard[:, 2]) > half_mm) | (standard[:, 1] > back_mm)
    return voxels[kept], np.abs(terrain.tentorium(points[kept]))


def _allowed(terrain: Terrain, coarse: Mask) -> NDArray[np.int64]:
    voxels = terrain.voxels(coarse)
    kept = ~np.isin(terrain.labels_kji[tuple(voxels.T)], list(UNCOVERED))
    return voxels[kept]


def _layer(
    terrain: Terrain,
    voxels: NDArray[np.int64],
    aside_mm: Points,
    uptake: Uptake,
    settings: ContrastSettings,
    nodular: bool,
    rng: np.random.Generator,
) -> ContrastLayer:
    """Paint the voxels less than half the thickness from a sheet, where it is on."""
    thickness = np.full(len(voxels), log_uniform(settings.dura_thickness_mm, 1, rng)[0])
    if nodular:
        swelling = np.clip(_noise_at(terrain, voxels, NODULE_VOXELS, rng) - 1.6, 0, 1)
        thickness += swelling * rng.uniform(*settings.nodule_thickness_mm)
    cover = rng.uniform(*settings.dura_cover)
    patchy = _noise_at(terrain, voxels, PATCH_VOXELS, rng)
    on = np.clip(0.5 + EDGE * (patchy + 3.0 * (cover - 0.5)), 0, 1)
    inside = np.minimum(thickness, 0.5 + thickness / 2 - np.abs(aside_mm))
    box, fraction = scatter(voxels, np.clip(inside, 0, 1) * on, terrain.shape)
    t1, post = uptake.dura()
    return ContrastLayer(Enhancing.DURA, box, fraction, t1, post)


def _noise_at(terrain: Terrain, voxels: NDArray[np.int64], patch: int, rng: np.random.Generator) -> Points:
    k, j, i = terrain.depth_mm.shape
    return terrain.near(smooth_noise(rng, (k, j, i), patch), voxels)
