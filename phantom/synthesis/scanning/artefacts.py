"""Shading, ghosts and motion during the scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from phantom.fields import Floats, Shape
from phantom.synthesis.scanning.displacement import displace, rigid_about_centre

Weights = NDArray[np.float32]

FIELD_COSINES = 4
"""Cosines per axis of the fields of bias and noise: like 4 control points an axis, half a head apart."""

FIELD_DECAY = 1.5
"""Weights of the cosines fall with this power of their order: a coil's sensitivity has no sharp steps."""


@dataclass(frozen=True, slots=True)
class Ghost:
    """A faint copy of what pulsates, displaced along the phase axis; it adds or, out of phase, takes away.

    Parameters
    ----------
    amplitude
        Relative to the source; negative out of phase.
    shift_mm, field_of_view_mm
        Displacement, and the length after which the image wraps around.
    """

    amplitude: float
    shift_mm: int
    field_of_view_mm: int


@dataclass(frozen=True, slots=True)
class Motion:
    """One movement of the head during the scan.

    Parameters
    ----------
    axis_kji, angle_deg, translation_kji_mm
        The movement.
    moment
        Distance from the centre of k-space, 0 to 1, beyond which one side was filled after it.
    """

    axis_kji: tuple[float, float, float]
    angle_deg: float
    translation_kji_mm: tuple[float, float, float]
    moment: float


def draw_field(rng: np.random.Generator) -> Weights:
    """Draw the weights of a smooth field of standard deviation 1 and no constant."""
    order = np.arange(FIELD_COSINES)
    decay = (1.0 + order) ** -FIELD_DECAY
    weights = rng.standard_normal((FIELD_COSINES,) * 3) * np.einsum("a,b,c->abc", decay, decay, decay)
    weights[0, 0, 0] = 0
    power = np.where(order > 0, 0.5, 1.0)  # mean square of a cosine and of a constant
    variance = np.einsum("abc,a,b,c->", weights**2, power, power, power)
    return np.asarray(weights / np.sqrt(variance), dtype=np.float32)


def smooth_field(weights: Weights, shape_kji: Shape) -> Floats:
    """Return the sum of the cosines over a volume."""
    waves = [
        np.cos(np.pi * np.outer((np.arange(n) + 0.5) / n, np.arange(FIELD_COSINES))).astype(np.float32)
        for n in shape_kji
    ]
    lines = np.einsum("abc,ka,jb->kjc", weights, waves[0], waves[1], optimize=True)
    return np.asarray(lines @ waves[2].T, dtype=np.float32)


def add_ghosts(signal: Floats, source: Floats, ghosts: tuple[Ghost, ...], phase_axis: int) -> Floats:
    """Return the signal with the displaced copies of a source; a copy that leaves the field of view wraps."""
    if not ghosts:
        return signal
    ghosted = signal.copy()
    size = signal.shape[phase_axis]
    along = (slice(None),) * phase_axis
    for ghost in ghosts:
        for wrap in (-1, 0, 1):
            shift = ghost.shift_mm + wrap * ghost.field_of_view_mm
            if abs(shift) >= size:
                continue
            target = (*along, slice(max(shift, 0), size + min(shift, 0)))
            origin = (*along, slice(max(-shift, 0), size - max(shift, 0)))
            ghosted[target] += np.float32(ghost.amplitude) * source[origin]
    return np.abs(ghosted)


def move_during_scan(signal: Floats, motion: Motion, phase_axis: int) -> Floats:
    """Return the magnitude of an image whose outer lines of one side were filled after the head moved."""
    rigid = rigid_about_centre(
        signal.shape, np.array(motion.axis_kji), motion.angle_deg, np.array(motion.translation_kji_mm)
    )
    change = displace(signal, rigid, 1, (None, None, None)) - signal
    spectrum = fft.fft(change, axis=phase_axis, overwrite_x=True)
    frequency = 2 * fft.fftfreq(signal.shape[phase_axis])
    shape = [1, 1, 1]
    shape[phase_axis] = -1
    spectrum *= (frequency > motion.moment).reshape(shape)
    late = fft.ifft(spectrum, axis=phase_axis, overwrite_x=True)
    return np.asarray(np.abs(signal + late), dtype=np.float32)
