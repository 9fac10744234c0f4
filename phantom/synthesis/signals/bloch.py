"""Steady-state signal of the T1-weighted sequences used after contrast: what T1 becomes in an image."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

RELAXIVITY_PER_MMOL_L_S = 4.5
"""Longitudinal relaxivity r1 in L/(mmol s): between gadoterate (3.6) and gadobutrol (5.2) in plasma at 1.5 T,
both nearly unchanged at 3 T (Rohrer 2005). Loss by T2* (about 4 % of blood's signal at an echo time of 10 ms)
is left out."""


class Sequence(StrEnum):
    """How the signal comes about."""

    MPRAGE = "mprage"
    """Inversion-prepared gradient echo."""
    SPGR = "spgr"
    """Spoiled gradient echo without preparation (BRAVO, FLASH, T1-FFE)."""
    SE = "se"
    """Spin echo; 3-D turbo spin echo of short echo train behaves alike."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """A sequence and its timing.

    Parameters
    ----------
    sequence
        Kind.
    tr_ms
        Repetition time: from inversion to inversion (MPRAGE) or from excitation to excitation.
    flip_deg
        Excitation angle; not used by the spin echo, which is taken as 90 degrees.
    ti_ms
        MPRAGE: from inversion to the middle of the readout, which holds the centre of k-space.
    echo_spacing_ms, pulses
        MPRAGE: distance between the excitations of a readout, and their number.
    """

    sequence: Sequence
    tr_ms: float
    flip_deg: float = 90.0
    ti_ms: float = 0.0
    echo_spacing_ms: float = 0.0
    pulses: int = 0

    def signal(self, t1_ms: Values) -> Values:
        """Return the magnitude for tissue of unit proton density."""
        match self.sequence:
            case Sequence.MPRAGE:
                return np.abs(_mprage(self, t1_ms))
            case Sequence.SPGR:
                return _spoiled(self, t1_ms)
            case Sequence.SE:
                return np.asarray(1.0 - np.exp(-self.tr_ms / t1_ms))


def shortened_t1_ms(t1_ms: Values, gd_mmol_l: Values) -> Values:
    """Return T1 in the presence of gadolinium: relaxation rates add."""
    return np.asarray(1.0 / (1.0 / t1_ms + RELAXIVITY_PER_MMOL_L_S * gd_mmol_l / 1000.0))


def _spoiled(protocol: Protocol, t1_ms: Values) -> Values:
    """Return the steady state of Ernst 1966."""
    flip = np.deg2rad(protocol.flip_deg)
    decay = np.exp(-protocol.tr_ms / t1_ms)
    return np.asarray((1.0 - decay) * np.sin(flip) / (1.0 - np.cos(flip) * decay))


def _mprage(protocol: Protocol, t1_ms: Values) -> Values:
    """Return the magnetisation at the middle of the readout in the cyclic steady state (Deichmann 2000).

    Every step of the cycle maps longitudinal magnetisation m to ``gain * m + offset``; a whole cycle must
    map m to itself.
    """
    flip = np.deg2rad(protocol.flip_deg)
    half = protocol.pulses // 2
    rest = protocol.pulses - half
    before_ms = protocol.ti_ms - half * protocol.echo_spacing_ms
    after_ms = protocol.tr_ms - protocol.ti_ms - rest * protocol.echo_spacing_ms
    recovery = np.exp(-protocol.echo_spacing_ms / t1_ms)
    per_pulse = np.cos(flip) * recovery
    saturated = (1.0 - recovery) / (1.0 - per_pulse)

    gain, offset = _recover(-np.ones_like(t1_ms), np.zeros_like(t1_ms), before_ms, t1_ms)
    gain, offset = gain * per_pulse**half, saturated + (offset - saturated) * per_pulse**half
    centre_gain, centre_offset = gain, offset
    gain, offset = gain * per_pulse**rest, saturated + (offset - saturated) * per_pulse**rest
    gain, offset = _recover(gain, offset, after_ms, t1_ms)
    steady = offset / (1.0 - gain)
    return np.asarray((centre_gain * steady + centre_offset) * np.sin(flip))


def _recover(gain: Values, offset: Values, time_ms: float, t1_ms: Values) -> tuple[Values, Values]:
    decay = np.exp(-time_ms / t1_ms)
    return gain * decay, 1.0 + (offset - 1.0) * decay
