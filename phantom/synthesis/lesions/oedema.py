"""Oedema around metastases: fluid that spreads from them through white matter and spares the cortex."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from core.geometry import Grid
from phantom.fields import Floats, Mask, refine, smooth_noise
from phantom.synthesis.anatomy.label_map import Anatomy, Box, member_mask
from phantom.synthesis.anatomy.structures import Structure
from phantom.synthesis.lesions.metastases import LesionSignalModel, Metastasis
from phantom.synthesis.lesions.raster import box_around

OEDEMA_STEP = 2
"""Oedema spreads on every second voxel: it is smooth."""

OEDEMA_EDGE_MM, OEDEMA_EDGE_SHARE = 3.0, 0.5
"""Width of its edge: at least, and as a share of its thickness: it fades rather than ends."""

OEDEMA_WAVES_VOXELS, OEDEMA_IRREGULARITY = 3, 0.5
"""Grain (in steps) and amplitude of the waves on its extent, which give it fingers."""

OEDEMA_BLUR_STEPS = 0.7
"""Standard deviation of the blur that hides the lattice it spread on."""

OEDEMA_STRENGTH = (0.55, 1.0)
"""How much of the white matter's signal it replaces."""

OEDEMA_BORDER_VOXELS = 0.6
"""Standard deviation of its partial volume at cortex and ventricles: about that of the tissues' borders."""

WHITE_MATTER = frozenset({Structure.WHITE_MATTER, Structure.CEREBELLAR_WHITE})


def paint_oedema(
    t1_kji: Floats,
    t1_post_kji: Floats,
    anatomy: Anatomy,
    metastases: Sequence[Metastasis],
    model: LesionSignalModel,
    rng: np.random.Generator,
) -> None:
    """Darken the white matter around metastases in both volumes, in place.

    It takes away a share of the signal, so that what is brighter than white matter stays so. Vessels run
    through oedema with their own blood: they are mixed in afterwards.

    Parameters
    ----------
    t1_kji, t1_post_kji
        float32 on the head's grid, relative to white matter without contrast.
    anatomy
        The head.
    metastases
        Those with ``oedema_mm`` above 0 have oedema.
    model
        The sequence.
    rng
        Of the irregular edges.
    """
    for metastasis in metastases:
        if metastasis.oedema_mm <= 0:
            continue
        box = _oedema_box(metastasis, anatomy.grid)
        share = _oedema_share(metastasis, anatomy, box, rng) * np.float32(rng.uniform(*OEDEMA_STRENGTH))
        signals = model.signals(metastasis.oedema_t1_ms, 0.0)
        for volume, signal in zip((t1_kji, t1_post_kji), signals, strict=True):
            volume[box] *= 1 - share * np.float32(max(1 - float(signal), 0))  # white matter is 1


def _oedema_box(metastasis: Metastasis, grid: Grid) -> Box:
    body = metastasis.body
    reach_mm = body.reach_mm + (1 + 2 * OEDEMA_IRREGULARITY) * metastasis.oedema_mm + OEDEMA_EDGE_MM
    return box_around(body.star.centre_lps_mm, reach_mm, grid)


def _oedema_share(metastasis: Metastasis, anatomy: Anatomy, box: Box, rng: np.random.Generator) -> Floats:
    """Return how oedematous the voxels of a box are: spread from the lesion through white matter."""
    white = member_mask(anatomy.labels_kji[box], WHITE_MATTER)
    every = (slice(None, None, OEDEMA_STEP),) * 3
    arrival_mm = _arrival_mm(metastasis, anatomy.grid, box, white[every])
    shape = arrival_mm.shape
    waves = 1 + OEDEMA_IRREGULARITY * smooth_noise(rng, shape, OEDEMA_WAVES_VOXELS)
    reach_mm = metastasis.oedema_mm * np.maximum(waves, 0.2)
    edge_mm = max(OEDEMA_EDGE_MM, OEDEMA_EDGE_SHARE * metastasis.oedema_mm)
    share = np.clip((reach_mm - arrival_mm) / edge_mm + 0.5, 0, 1).astype(np.float32)
    filled = ndimage.gaussian_filter(white.astype(np.float32), OEDEMA_BORDER_VOXELS, truncate=3.0)
    return np.asarray(refine(_smoothed_within(share, white[every]), OEDEMA_STEP, white.shape) * filled)


def _smoothed_within(share: Floats, white: Mask) -> Floats:
    """Smooth over white matter and lesion alone: the cortex next to them takes nothing away."""
    weight = (white | (share > 0)).astype(np.float32)
    blurred = ndimage.gaussian_filter(share, OEDEMA_BLUR_STEPS)
    return np.asarray(blurred / np.maximum(ndimage.gaussian_filter(weight, OEDEMA_BLUR_STEPS), 0.2))


def _arrival_mm(metastasis: Metastasis, grid: Grid, box: Box, white: Mask) -> Floats:
    """Return the way through white matter from the lesion's surface, infinite where there is none."""
    axes = [np.arange(s.start, s.stop, OEDEMA_STEP) for s in box]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    body = metastasis.body
    rays = body.rays((grid.to_lps_mm(index) - body.star.centre_lps_mm).reshape(-1, 3))
    step_mm = OEDEMA_STEP * float(np.mean(grid.spacing_kji_mm))
    reached = (rays.distance_mm < rays.radius_mm + step_mm).reshape(white.shape)
    arrival = np.where(reached, np.float32(0), np.float32(np.inf))
    steps = int((1 + 2 * OEDEMA_IRREGULARITY) * metastasis.oedema_mm / step_mm) + 2
    for step in range(1, steps):
        structure = ndimage.generate_binary_structure(3, 1 + step % 2)  # between octahedron and cube
        grown = reached | (ndimage.binary_dilation(reached, structure) & white)
        arrival[grown & ~reached] = step * step_mm
        reached = grown
    return arrival
