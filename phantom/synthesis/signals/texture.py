"""What keeps tissue from being flat: texture, lesions of white matter, spots bright without contrast."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from phantom.fields import Floats, Mask, Shape, refine, smooth_noise
from phantom.synthesis.anatomy.structures import Structure
from phantom.synthesis.signals.model import SignalModel, SignalSettings
from phantom.synthesis.signals.tissues import TISSUES

Labels = NDArray[np.uint8]

FINE_SIGMA_MM = 0.55
"""Finest texture: 1.3 mm full width at half maximum, as nuclei, small vessels and partial volume make it."""

COARSE_SIGMA_MM = 1.5
"""Coarser texture: 3.5 mm full width at half maximum."""

REGION_MM = 14
"""Distance over which one tissue differs from itself: fibre tracts, myelin of primary cortex."""

TEXTURE_WEIGHTS = (0.5, 0.6, 0.62)
"""Of fine, coarse and regional texture; their squares sum to 1."""

WHITE_HALF_PATCH = (2, 6)
"""Range of the size of patches in white matter, in voxels of half resolution (4 to 12 mm apart)."""

CAP_MM = 24
"""Distance over which the rim about the ventricles grows thicker (caps of the horns) and thinner."""

VENTRICLES = (Structure.LATERAL_VENTRICLE, Structure.INFERIOR_HORN)

SPOT_HOSTS = (
    Structure.WHITE_MATTER,
    Structure.CORTEX,
    Structure.DEEP_GREY,
    Structure.CEREBELLAR_WHITE,
    Structure.CEREBELLAR_CORTEX,
    Structure.CSF,
)
"""Where blood products, fat and melanin lie."""

SPOT_EDGE_MM = 0.4
"""Half the distance over which a spot fades out."""

SPOT_AXES = (0.6, 1.0)
"""Range of the ratio of a spot's axes to its diameter."""


def tissue_texture(labels_kji: Labels, scale: float, rng: np.random.Generator) -> Floats:
    """Return a factor about 1 on the signal of each voxel; ``scale`` multiplies ``Tissue.texture``."""
    shape = labels_kji.shape
    fine = rng.standard_normal(shape, dtype=np.float32)
    fine = ndimage.gaussian_filter(fine, FINE_SIGMA_MM, truncate=3.0)
    half = rng.standard_normal(_half(shape), dtype=np.float32)
    coarse = refine(ndimage.gaussian_filter(half, COARSE_SIGMA_MM / 2, truncate=3.0), 2, shape)
    texture = smooth_noise(rng, shape, REGION_MM)
    texture *= TEXTURE_WEIGHTS[2]
    texture += (TEXTURE_WEIGHTS[0] / max(float(fine.std()), 1e-6)) * fine
    texture += (TEXTURE_WEIGHTS[1] / max(float(coarse.std()), 1e-6)) * coarse
    amplitude = scale * np.array([TISSUES[structure].texture for structure in Structure], dtype=np.float32)
    texture *= amplitude.astype(np.float32)[labels_kji]
    texture += 1
    return np.maximum(texture, 0, out=texture)


def hypointensity(labels_kji: Labels, settings: SignalSettings, rng: np.random.Generator) -> Floats:
    """Return the relative loss of signal of white matter about the ventricles and in patches; 0 elsewhere."""
    half = labels_kji[::2, ::2, ::2]
    depth = np.float32(rng.uniform(*settings.hypointensity_depth))
    loss = np.maximum(_periventricular(half, settings, rng), _patches(half, settings, rng))
    fine = refine(np.asarray(depth * loss, dtype=np.float32), 2, labels_kji.shape)
    fine *= labels_kji == Structure.WHITE_MATTER
    return fine


def _periventricular(half: Labels, settings: SignalSettings, rng: np.random.Generator) -> Floats:
    ventricles = np.isin(half, VENTRICLES)
    if not ventricles.any():
        return np.zeros(half.shape, dtype=np.float32)
    distance_mm = 2 * ndimage.distance_transform_edt(~ventricles).astype(np.float32)
    thickness = 1 + 0.5 * smooth_noise(rng, half.shape, CAP_MM // 2)
    reach_mm = np.maximum(rng.uniform(*settings.periventricular_reach_mm) * thickness, 0.5)
    return np.asarray(np.clip(1.5 - distance_mm / reach_mm, 0, 1), dtype=np.float32)


def _patches(half: Labels, settings: SignalSettings, rng: np.random.Generator) -> Floats:
    white = half == Structure.WHITE_MATTER
    if not white.any():
        return np.zeros(half.shape, dtype=np.float32)
    field = smooth_noise(rng, half.shape, int(rng.integers(*WHITE_HALF_PATCH)))
    edge = float(np.quantile(field[white], 1 - rng.uniform(0, settings.patch_fraction)))
    return np.asarray(np.clip(0.5 + 2 * (field - edge), 0, 1), dtype=np.float32)


def bright_spots(
    t1: Floats,
    t1_post: Floats,
    labels_kji: Labels,
    model: SignalModel,
    settings: SignalSettings,
    rng: np.random.Generator,
) -> Mask:
    """Paint spots of short T1 into both images in some studies; return the voxels more than half full."""
    mask = np.zeros(labels_kji.shape, dtype=bool)
    hosts = np.flatnonzero(np.isin(labels_kji, SPOT_HOSTS))
    if rng.random() >= settings.bright_share or not hosts.size:
        return mask
    low, high = settings.bright_count
    for centre in rng.choice(hosts, int(rng.integers(low, high + 1))):
        where = np.array(np.unravel_index(int(centre), labels_kji.shape))
        axes_mm = rng.uniform(*settings.bright_diameter_mm) / 2 * rng.uniform(*SPOT_AXES, 3)
        box, fraction = _spot(where, axes_mm, labels_kji.shape)
        pre, post = model.signals(float(rng.uniform(*settings.bright_t1_ms)), 0.0)
        t1[box] += fraction * (np.float32(pre) - t1[box])
        t1_post[box] += fraction * (np.float32(post) - t1_post[box])
        mask[box] |= fraction > 0.5
    return mask


def _spot(
    centre: NDArray[np.int64], axes_mm: NDArray[np.float64], shape: Shape
) -> tuple[tuple[slice, ...], Floats]:
    reach = int(np.ceil(axes_mm.max() + SPOT_EDGE_MM)) + 1
    low = np.maximum(centre - reach, 0)
    high = np.minimum(centre + reach + 1, shape)
    offsets = np.meshgrid(
        *(np.arange(a, b) - c for a, b, c in zip(low, high, centre, strict=True)), indexing="ij"
    )
    radius = np.sqrt(sum((offset / axis) ** 2 for offset, axis in zip(offsets, axes_mm, strict=True)))
    inside_mm = (1 - radius) * axes_mm.min()
    fraction = np.clip(0.5 + inside_mm / (2 * SPOT_EDGE_MM), 0, 1).astype(np.float32)
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True)), fraction


def _half(shape: Shape) -> Shape:
    return ((shape[0] + 1) // 2, (shape[1] + 1) // 2, (shape[2] + 1) // 2)
