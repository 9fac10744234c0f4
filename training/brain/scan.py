"""What scanning and archiving do to a training head: bias, thick slices, noise, missing and folded parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from phantom.fields import Floats, Mask, refine, smooth_noise
from training.brain.geometry import in_voxels

BIAS_KNOT_MM = 64.0
"""Distance of the knots of the bias field: about the reach of a coil element."""

FOLDED_MM = (16, 48)
"""How much of a head comes back on the other side."""

STRIP_KNOT_MM = 16.0
"""Distance of the knots of the error of a given brain mask."""


@dataclass(frozen=True, slots=True)
class BrainScanSettings:
    """Ranges and shares of what happens to a head; lengths in mm, signals relative to white matter.

    Parameters
    ----------
    spacing_mm
        Of the voxels rendered.
    bias_range
        Standard deviation of the logarithm of the bias field (SynthSeg: up to 0.7).
    blur_range_mm
        Gaussian sigma of the resolution along each axis.
    thick_share, thickness_range_mm
        Share of scans with thick slices, along one axis, and their thickness.
    noise_range
        Standard deviation of Gaussian noise in each quadrature channel.
    clean_air_share
        Share of scans whose background was set to 0.
    ghost_share, ghost_range
        Share of scans with a ghost, and its signal.
    folded_share
        Share of scans whose nose or neck comes back on the other side.
    defaced_share
        Share of scans without a face.
    stripped_share, strip_error_mm
        Share of scans of which only the brain is left, and how far beyond its surface they end.
    narrow_share
        Share of scans whose field of view cuts scalp or nose, in plane.
    """

    spacing_mm: float = 2.0
    bias_range: tuple[float, float] = (0.0, 0.4)
    blur_range_mm: tuple[float, float] = (0.6, 1.4)
    thick_share: float = 0.3
    thickness_range_mm: tuple[float, float] = (2.0, 7.0)
    noise_range: tuple[float, float] = (0.0, 0.07)
    clean_air_share: float = 0.4
    ghost_share: float = 0.15
    ghost_range: tuple[float, float] = (0.02, 0.12)
    folded_share: float = 0.06
    defaced_share: float = 0.12
    stripped_share: float = 0.08
    strip_error_mm: tuple[float, float] = (-1.0, 6.0)
    narrow_share: float = 0.15


def scan(
    signal_kji: Floats, depth_mm_kji: Floats, settings: BrainScanSettings, rng: np.random.Generator
) -> Floats:
    """Turn signals into an image.

    Parameters
    ----------
    signal_kji
        Signals of the tissues, air 0.
    depth_mm_kji
        Distance to the brain's surface, negative inside: what may be cut away is outside.
    settings, rng
        What may happen, and the source of chance.
    """
    air = signal_kji <= 0
    image = _remove_parts(signal_kji, depth_mm_kji, settings, rng)
    image *= _bias(image.shape, settings, rng)
    image = _resolve(image, settings, rng)
    image = _repeat_parts(image, settings, rng)
    return _add_noise(image, air, settings, rng)


def _remove_parts(
    signal: Floats, depth: Floats, settings: BrainScanSettings, rng: np.random.Generator
) -> Floats:
    image = signal.copy()
    if rng.random() < settings.stripped_share:
        error = rng.uniform(*settings.strip_error_mm)
        knots = in_voxels(STRIP_KNOT_MM, settings.spacing_mm)
        image[depth > error + smooth_noise(rng, image.shape, knots)] = 0
        return image
    if rng.random() < settings.defaced_share:
        image[_face(depth, settings, rng)] = 0
    if rng.random() < settings.narrow_share:
        image[_beyond_view(depth, settings, rng)] = 0
    return image


def _face(depth: Floats, settings: BrainScanSettings, rng: np.random.Generator) -> Mask:
    """Return what lies before and below an oblique plane in front of the brain, as defacing tools cut."""
    k, j = np.indices(depth.shape[:2], dtype=np.float32)
    brain = depth[:, :, ::4] <= 0
    front = float(np.flatnonzero(brain.any(axis=(0, 2)))[0])
    bottom = float(np.flatnonzero(brain.any(axis=(1, 2)))[0])
    slope = rng.uniform(0.3, 1.2)
    before = np.asarray((j - front) + slope * (k - bottom) < rng.uniform(-10, 50) / settings.spacing_mm)
    return np.asarray(before[:, :, None] & (depth > rng.uniform(4, 12)))


def _beyond_view(depth: Floats, settings: BrainScanSettings, rng: np.random.Generator) -> Mask:
    """Return what lies beyond an edge of the field of view next to the brain, at one or both sides."""
    axis = int(rng.integers(1, 3))
    others = tuple(a for a in range(3) if a != axis)
    inside = np.flatnonzero((depth <= 0).any(axis=others))
    margins = rng.uniform(2, 20, 2) / settings.spacing_mm
    index = np.arange(depth.shape[axis])
    beyond = (index < inside[0] - margins[0]) | (index > inside[-1] + margins[1])
    shape = [1, 1, 1]
    shape[axis] = -1
    return np.broadcast_to(beyond.reshape(shape), depth.shape)


def _bias(shape: tuple[int, ...], settings: BrainScanSettings, rng: np.random.Generator) -> Floats:
    knots_voxels = in_voxels(BIAS_KNOT_MM, settings.spacing_mm)
    knots = [n // knots_voxels + 2 for n in shape]
    strength = rng.uniform(*settings.bias_range)
    coarse = (strength * rng.standard_normal(knots)).astype(np.float32)
    slices, rows, columns = shape
    return np.exp(refine(coarse, knots_voxels, (slices, rows, columns)))


def _resolve(image: Floats, settings: BrainScanSettings, rng: np.random.Generator) -> Floats:
    """Blur along each axis; where slices are thick, sample them and interpolate as a viewer would."""
    sigmas = rng.uniform(*settings.blur_range_mm, 3) / settings.spacing_mm
    thick_axis = int(rng.integers(3)) if rng.random() < settings.thick_share else -1
    for axis in range(3):
        if axis == thick_axis:
            thickness = rng.uniform(*settings.thickness_range_mm) / settings.spacing_mm
            image = _along(image, _thick_slices(image.shape[axis], thickness, rng), axis)
        else:
            image = ndimage.gaussian_filter1d(image, sigmas[axis], axis=axis, truncate=3.0)
    return image


def _thick_slices(size: int, thickness: float, rng: np.random.Generator) -> Floats:
    """Return the (size, size) operator: average over slices ``thickness`` apart, interpolate linearly."""
    centres = np.arange(rng.uniform(0, thickness), size + thickness, thickness)
    index = np.arange(size)
    sigma = max(thickness / 2.355, 0.3)
    profile = np.exp(-0.5 * ((index - centres[:, None]) / sigma) ** 2)
    profile /= np.maximum(profile.sum(axis=1, keepdims=True), 1e-6)
    hats = np.clip(1 - np.abs(index[:, None] - centres) / thickness, 0, None)
    hats /= np.maximum(hats.sum(axis=1, keepdims=True), 1e-6)
    return np.asarray(hats @ profile, dtype=np.float32)


def _along(image: Floats, operator: Floats, axis: int) -> Floats:
    return np.moveaxis(np.tensordot(operator, image, axes=(1, axis)), 0, axis)


def _repeat_parts(image: Floats, settings: BrainScanSettings, rng: np.random.Generator) -> Floats:
    if rng.random() < settings.ghost_share:
        shift = int(rng.integers(image.shape[1] // 6, image.shape[1] // 2))
        image = image + rng.uniform(*settings.ghost_range) * np.roll(image, shift, axis=1)
    if rng.random() < settings.folded_share:
        image = image + _folded(image, settings, rng)
    return np.asarray(image, dtype=np.float32)


def _folded(image: Floats, settings: BrainScanSettings, rng: np.random.Generator) -> Floats:
    """Return the front of the head, come back behind it, or its back before it."""
    width = int(rng.integers(*FOLDED_MM) / settings.spacing_mm)
    rows = np.flatnonzero(image.max(axis=(0, 2)) > 0.1)
    folded = np.zeros_like(image)
    if rows.size < 3 * width:
        return folded
    first, last = int(rows[0]), int(rows[-1]) + 1
    folded[:, last - width : last] = image[:, first : first + width]
    return folded * np.float32(rng.uniform(0.3, 1.0))


def _add_noise(image: Floats, air: Mask, settings: BrainScanSettings, rng: np.random.Generator) -> Floats:
    """Add Rician noise; the air of some scans is clean."""
    sigma = np.float32(rng.uniform(*settings.noise_range))
    real = image + sigma * rng.standard_normal(image.shape, dtype=np.float32)
    imaginary = sigma * rng.standard_normal(image.shape, dtype=np.float32)
    noisy = np.hypot(real, imaginary)
    if rng.random() < settings.clean_air_share:
        noisy[air & (image < 3 * sigma)] = 0
    return noisy
