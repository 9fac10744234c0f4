"""Sequences and timings as hospitals use them, and contrasts that follow no sequence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phantom.synthesis.anatomy.structures import Structure
from phantom.synthesis.signals.bloch import Protocol, Sequence, Values, shortened_t1_ms
from phantom.synthesis.signals.tissues import FIELDS_T, TISSUES

RANDOM_KNOTS_T1_MS = (200.0, 500.0, 800.0, 1200.0, 1800.0, 3000.0, 4500.0)
"""T1 at which a random contrast has independent signals; linear in the logarithm of T1 between them."""

RANDOM_SIGNAL = (0.1, 1.5)
"""Range of those signals before they are divided by that of white matter (SynthSeg: means of 25 to 225)."""

RANDOM_FLOOR = 0.3
"""Least signal of white matter they are divided by: keeps the others within a few times white matter."""


@dataclass(frozen=True, slots=True)
class RandomContrast:
    """A contrast that follows no sequence, so that no sequence is learnt by heart.

    Parameters
    ----------
    knots
        Signal at each of ``RANDOM_KNOTS_T1_MS``.
    uptake, half_mmol_l
        Signal gained by a saturating dose of gadolinium, and the concentration that gains half of it.
    """

    knots: tuple[float, ...]
    uptake: float
    half_mmol_l: float

    def signal(self, t1_ms: Values, gd_mmol_l: Values) -> Values:
        """Return the signal: any order of the tissues, but more gadolinium is always brighter."""
        base = np.interp(np.log(t1_ms), np.log(RANDOM_KNOTS_T1_MS), self.knots)
        return np.asarray(base + self.uptake * gd_mmol_l / (gd_mmol_l + self.half_mmol_l))


Contrast = Protocol | RandomContrast


def raw_signal(contrast: Contrast, t1_ms: Values, gd_mmol_l: Values) -> Values:
    """Return the signal of tissue of unit proton density at a concentration of gadolinium."""
    if isinstance(contrast, RandomContrast):
        return contrast.signal(t1_ms, gd_mmol_l)
    return contrast.signal(shortened_t1_ms(t1_ms, gd_mmol_l))


def draw_contrast(
    sequence: Sequence | None, field_t: float, random_ordered_share: float, rng: np.random.Generator
) -> Contrast:
    """Draw the timing of a sequence, or a contrast that follows none.

    Timings are chosen to span the usual protocols of each field; larger angles belong to 1.5 T.
    """
    low_field = field_t < FIELDS_T[1]
    match sequence:
        case Sequence.MPRAGE:
            return Protocol(
                sequence,
                tr_ms=float(rng.uniform(1900, 2100) if low_field else rng.uniform(2000, 2500)),
                flip_deg=float(rng.uniform(9, 15) if low_field else rng.uniform(8, 10)),
                ti_ms=float(rng.uniform(900, 1100)),
                echo_spacing_ms=float(rng.uniform(6.5, 8.5)),
                pulses=int(rng.integers(160, 193)),
            )
        case Sequence.SPGR:
            slow = low_field and bool(rng.random() < 0.5)
            tr_ms, flip_deg = (
                (rng.uniform(18, 30), rng.uniform(22, 32))
                if slow
                else (rng.uniform(6, 10), rng.uniform(11, 16))
            )
            return Protocol(sequence, tr_ms=float(tr_ms), flip_deg=float(flip_deg))
        case Sequence.SE:
            return Protocol(sequence, tr_ms=float(rng.uniform(450, 750)))
        case None:
            return _draw_random_contrast(random_ordered_share, rng)


def _draw_random_contrast(random_ordered_share: float, rng: np.random.Generator) -> RandomContrast:
    knots = rng.uniform(*RANDOM_SIGNAL, len(RANDOM_KNOTS_T1_MS))
    if rng.random() < random_ordered_share:
        knots = np.sort(knots)[::-1]
    white = np.interp(np.log(TISSUES[Structure.WHITE_MATTER].t1_ms[1]), np.log(RANDOM_KNOTS_T1_MS), knots)
    knots = knots / max(float(white), RANDOM_FLOOR)
    return RandomContrast(
        tuple(float(knot) for knot in knots),
        uptake=float(rng.uniform(1.2, 3.0)),
        half_mmol_l=float(rng.uniform(0.3, 1.0)),
    )
