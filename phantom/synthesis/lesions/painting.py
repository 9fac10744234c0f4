"""Painting metastases into any grid: shares of voxels, texture, labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.geometry import Grid
from phantom.fields import Floats
from phantom.synthesis.lesions.metastases import Metastasis
from phantom.synthesis.lesions.oedema import paint_oedema
from phantom.synthesis.lesions.raster import BodyFractions, rasterise_body

__all__ = ["paint_metastases", "paint_oedema"]

LABEL_FRACTION = 0.5
"""A voxel belongs to a lesion whose enhancing part fills half of it."""

LEAST_VOXELS, LEAST_FRACTION = 3, 0.25
"""A lesion of fewer labelled voxels is topped up with its fullest ones of at least this fraction."""

TEXTURE_WAVES = 48
"""Plane waves a texture is the sum of."""

TEXTURE_LIMIT = 2.5
"""Textures are clipped at this many standard deviations."""

T1_TEXTURE, CORE_TEXTURE = 0.3, 0.35
"""Texture before contrast and in the core, relative to that of the enhancement."""

SOFT_MARGIN = 3.0
"""The blur of a soft edge is painted this many standard deviations beyond the body."""

Labels = NDArray[np.uint16]


def paint_metastases(
    t1_kji: Floats | None,
    t1_post_kji: Floats | None,
    grid: Grid,
    metastases: Sequence[Metastasis],
    *,
    to_head_lps: NDArray[np.float64] | None = None,
) -> Labels:
    """Paint metastases into the volumes that are given, in place; return who fills which voxel.

    Nothing is drawn here: a lesion looks the same in whatever grid and how often it is painted.

    Parameters
    ----------
    t1_kji, t1_post_kji
        float32 on ``grid``; None where that volume lies on another grid.
    grid
        Any grid.
    metastases
        In the head's LPS.
    to_head_lps
        4 x 4 from the grid's LPS to the head's; identity by default.

    Returns
    -------
    uint16 on ``grid``
        Number of the metastasis whose enhancing part fills half of the voxel; one too small for that keeps
        its fullest voxels; 0 elsewhere.
    """
    to_head = np.eye(4) if to_head_lps is None else to_head_lps
    lattice = Grid(grid.shape_kji, to_head @ grid.affine_kji_to_lps_mm)
    labels = np.zeros(grid.shape_kji, dtype=np.uint16)
    fullest = np.zeros(grid.shape_kji, dtype=np.float32)
    for metastasis in metastases:
        margin_mm = SOFT_MARGIN * metastasis.signals.soft_sigma_mm
        fractions = rasterise_body(metastasis.body, lattice, margin_mm)
        if fractions is None:
            continue
        _mix(t1_kji, t1_post_kji, metastasis, fractions, lattice)
        _label(labels, fullest, metastasis.number, fractions)
    return labels


def _mix(
    t1_kji: Floats | None,
    t1_post_kji: Floats | None,
    metastasis: Metastasis,
    fractions: BodyFractions,
    grid: Grid,
) -> None:
    signals = metastasis.signals
    texture = _texture(metastasis, fractions, grid)
    wall_t1 = signals.wall_t1 * (1 + T1_TEXTURE * texture)
    uptake = (1 + texture) * (1 - signals.centre_dip * (1 - np.minimum(fractions.depth, 1) ** 2))
    wall_post = wall_t1 + (signals.wall_t1_post - signals.wall_t1) * uptake
    core_texture = 1 + CORE_TEXTURE * texture
    enhancing, core = (
        _softened(f, signals.soft_sigma_mm, grid) for f in (fractions.enhancing, fractions.core)
    )
    for volume, wall, core_signal in (
        (t1_kji, wall_t1, signals.core_t1),
        (t1_post_kji, wall_post, signals.core_t1_post),
    ):
        if volume is not None:
            here = volume[fractions.box]
            here += enhancing * (wall - here) + core * (core_signal * core_texture - here)


def _texture(metastasis: Metastasis, fractions: BodyFractions, grid: Grid) -> Floats:
    """Return the texture averaged over each voxel: a sum of plane waves in the head's coordinates."""
    rng = np.random.default_rng(metastasis.signals.seed)
    # A field of Gaussian correlation of this width has normally distributed wave vectors.
    sigma_mm = metastasis.signals.texture_fwhm_mm / 2.355
    waves = rng.standard_normal((TEXTURE_WAVES, 3)) / (np.sqrt(2) * sigma_mm)
    phases = rng.uniform(0, 2 * np.pi, TEXTURE_WAVES)
    steps_mm = grid.affine_kji_to_lps_mm[:3, :3]
    averaging = np.sinc(waves @ steps_mm / (2 * np.pi)).prod(axis=1) * np.sqrt(2 / TEXTURE_WAVES)
    points, shape = fractions.points_mm.astype(np.float32), fractions.enhancing.shape
    field = np.cos(points @ waves.T.astype(np.float32) + phases.astype(np.float32)) @ averaging.astype(
        np.float32
    )
    clipped = np.clip(field, -TEXTURE_LIMIT, TEXTURE_LIMIT) * np.float32(metastasis.signals.texture)
    return np.asarray(clipped.reshape(shape), dtype=np.float32)


def _softened(fraction: Floats, sigma_mm: float, grid: Grid) -> Floats:
    if sigma_mm <= 0:
        return fraction
    sigma_voxels = sigma_mm / np.array(grid.spacing_kji_mm)
    return np.asarray(ndimage.gaussian_filter(fraction, sigma_voxels, mode="nearest"), dtype=np.float32)


def _label(labels: Labels, fullest: Floats, number: int, fractions: BodyFractions) -> None:
    enhancing, best = fractions.enhancing, fullest[fractions.box]
    chosen = enhancing >= LABEL_FRACTION
    if np.count_nonzero(chosen) < LEAST_VOXELS:
        least = np.sort(enhancing, axis=None)[-min(LEAST_VOXELS, enhancing.size)]
        chosen = enhancing >= min(max(least, LEAST_FRACTION), enhancing.max())
    chosen &= (enhancing > best) & (enhancing > 0)
    labels[fractions.box][chosen] = number
    best[chosen] = enhancing[chosen]
