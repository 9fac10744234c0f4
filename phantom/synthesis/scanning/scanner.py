"""The scanner of a synthetic study, and what registration and masking leave of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from phantom.fields import Floats, Mask, refine, signed_distance, smooth_noise
from phantom.synthesis.scanning.acquisition import Matrix, apply_along
from phantom.synthesis.scanning.artefacts import add_ghosts, move_during_scan, smooth_field
from phantom.synthesis.scanning.displacement import displace, rigid_about_centre
from phantom.synthesis.scanning.settings import CUBIC, LINEAR, Resolution, ScanDraw, ScanSettings, draw_scans

__all__ = ["Resolution", "ScanDraw", "ScanSettings", "draw_scans", "imperfect_mask", "misregister", "scan"]

DISTORTION_MM = 32
"""Distance over which distortion changes."""

MASK_ERROR_HALF_MM = 12
"""Distance over which the error of a mask changes, in voxels of 2 mm."""

MASK_SMOOTHING = 0.6
"""Voxels of 2 mm by which the distance from the mask is smoothed: its steps are not the network's."""


def scan(signal_kji: Floats, ghost_source_kji: Floats, draw: ScanDraw, rng: np.random.Generator) -> Floats:
    """Acquire a signal and bring it back to its 1 mm grid.

    Parameters
    ----------
    signal_kji
        Ideal signal, white matter before contrast = 1; float32 of any shape.
    ghost_source_kji
        Signal of what pulsates, 0 elsewhere.
    draw
        The scanner.
    rng
        Noise.

    Returns
    -------
    float32 (k, j, i)
        Stored values, not negative.
    """
    signal = signal_kji
    if draw.motion is not None:
        signal = move_during_scan(signal, draw.motion, draw.phase_axis)
    signal = add_ghosts(signal, ghost_source_kji, draw.ghosts, draw.phase_axis)
    shading = smooth_field(draw.bias, signal.shape)
    signal = signal * np.exp(shading, out=shading)
    for axis, sampled in enumerate(draw.axes):
        signal = apply_along(sampled.response(signal_kji.shape[axis]), signal, axis)
    signal = _with_noise(signal, draw, rng)
    np.power(signal, np.float32(draw.gamma), out=signal)
    signal *= np.float32(draw.gain)
    return signal


def _with_noise(signal: Floats, draw: ScanDraw, rng: np.random.Generator) -> Floats:
    """Return the magnitude of a complex signal with noise in both channels (Rice).

    It is taken after the interpolation, as in zero filling; before it, only the noise of air would differ.
    """
    spread = smooth_field(draw.g_factor, signal.shape)
    np.exp(spread, out=spread)
    spread *= np.float32(draw.noise)
    shaping = [
        axis.noise_shaping(size, draw.noise_fwhm_mm)
        for axis, size in zip(draw.axes, signal.shape, strict=True)
    ]
    in_phase = _noise(shaping, rng)
    in_phase *= spread
    in_phase += signal
    quadrature = _noise(shaping, rng)
    quadrature *= spread
    return np.hypot(in_phase, quadrature, out=in_phase)


def _noise(shaping: list[Matrix], rng: np.random.Generator) -> Floats:
    noise: Floats = rng.standard_normal([matrix.shape[1] for matrix in shaping], dtype=np.float32)
    for axis, matrix in enumerate(shaping):
        noise = apply_along(matrix, noise, axis)
    return noise


def misregister(
    t1_kji: Floats, settings: ScanSettings, rng: np.random.Generator
) -> tuple[Floats, NDArray[np.float64]]:
    """Leave T1 off T1-post by what registration leaves, and resample it once.

    Parameters
    ----------
    t1_kji
        float32 on the 1 mm grid.
    settings, rng
        Ranges and source of randomness.

    Returns
    -------
    moved_kji
        float32.
    rigid
        4 x 4, from an index of ``moved_kji`` to the index of ``t1_kji`` it is taken from. It turns about the
        centre of the volume; the distortion comes on top.
    """
    rotation_deg = rng.normal(0, settings.residual_rotation_deg, 3)
    translation_mm = rng.normal(0, settings.residual_translation_mm, 3)
    if rng.random() < settings.outlier_share:
        rotation_deg = _unit(rng) * rng.uniform(0, settings.outlier_rotation_deg)
        translation_mm = _unit(rng) * rng.uniform(*settings.outlier_translation_mm)
    angle_deg = float(np.linalg.norm(rotation_deg))
    axis = rotation_deg if angle_deg > 0 else np.ones(3)
    rigid = rigid_about_centre(t1_kji.shape, axis, angle_deg, translation_mm)
    order = CUBIC if rng.random() < settings.cubic_share else LINEAR
    return displace(t1_kji, rigid, order, _distortion(t1_kji.shape, settings, rng)), rigid


def _unit(rng: np.random.Generator) -> NDArray[np.float64]:
    direction = rng.standard_normal(3)
    return np.asarray(direction / np.linalg.norm(direction))


def _distortion(
    shape: tuple[int, int, int], settings: ScanSettings, rng: np.random.Generator
) -> tuple[Floats | None, Floats | None, Floats | None]:
    """Distort along one axis, as differing gradients and susceptibility do along the readout."""
    fields: list[Floats | None] = [None, None, None]
    field = smooth_noise(rng, shape, DISTORTION_MM)
    greatest = max(float(np.abs(field).max()), 1e-6)
    field *= np.float32(rng.uniform(0, settings.distortion_mm) / greatest)
    fields[int(rng.integers(3))] = field
    return fields[0], fields[1], fields[2]


def imperfect_mask(brain_mask: Mask, settings: ScanSettings, rng: np.random.Generator) -> Mask:
    """Return a brain mask as brain extraction and the service's dilation leave it.

    Parameters
    ----------
    brain_mask
        The true brain, bool (k, j, i) on the 1 mm grid.
    settings, rng
        Ranges and source of randomness.
    """
    half = brain_mask[::2, ::2, ::2]
    if not half.any():
        return brain_mask.copy()
    distance_mm = signed_distance(half, (2.0, 2.0, 2.0))
    distance_mm -= np.sign(distance_mm)  # to the surface, 1 mm before the first voxel of 2 mm beyond it
    distance_mm = ndimage.gaussian_filter(distance_mm, MASK_SMOOTHING)
    scale = rng.uniform(0, settings.mask_error_mm / 2)
    error_mm = scale * (rng.normal() + smooth_noise(rng, half.shape, MASK_ERROR_HALF_MM))
    np.clip(error_mm, -settings.mask_error_mm, settings.mask_error_mm, out=error_mm)
    outside_mm = distance_mm - error_mm - settings.mask_dilation_mm
    if rng.random() < settings.mask_hole_share:
        outside_mm = np.maximum(outside_mm, _hole_mm(half, settings, rng))
    return np.asarray(refine(outside_mm.astype(np.float32), 2, brain_mask.shape) < 0)


def _hole_mm(half: Mask, settings: ScanSettings, rng: np.random.Generator) -> Floats:
    """Return how deep within a hole about a random voxel of the brain each voxel of 2 mm lies."""
    centre = np.array(np.unravel_index(int(rng.choice(np.flatnonzero(half))), half.shape))
    squares = [(2.0 * (np.arange(n) - c)) ** 2 for n, c in zip(half.shape, centre, strict=True)]
    radius = np.sqrt(squares[0][:, None, None] + squares[1][:, None] + squares[2])
    return np.asarray(rng.uniform(*settings.mask_hole_mm) - radius, dtype=np.float32)
