"""What each tissue of a training head shines like: T1-like order, or no order at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phantom.synthesis.anatomy.structures import Structure
from training.brain.anatomy import INNER_TABLE, LABELS, MENINGES, SCALP_FAT

Table = NDArray[np.float32]
"""One value a label."""

T1_SIGNALS: dict[int, float] = {
    Structure.WHITE_MATTER: 1.0,
    Structure.CORTEX: 0.70,
    Structure.DEEP_GREY: 0.78,
    Structure.THALAMUS: 0.84,
    Structure.PALLIDUM: 0.90,
    Structure.HIPPOCAMPUS: 0.70,
    Structure.CEREBELLAR_WHITE: 0.96,
    Structure.CEREBELLAR_CORTEX: 0.70,
    Structure.BRAINSTEM: 0.93,
    Structure.LATERAL_VENTRICLE: 0.25,
    Structure.INFERIOR_HORN: 0.27,
    Structure.THIRD_VENTRICLE: 0.27,
    Structure.FOURTH_VENTRICLE: 0.27,
    Structure.CSF: 0.25,
    Structure.CHIASM: 0.88,
    Structure.CAROTID: 0.5,
    Structure.SINUS: 0.35,
    Structure.EYE: 0.25,
    Structure.SOFT_TISSUE: 0.65,
    Structure.MUCOSA: 0.55,
    Structure.SKIN: 0.8,
    Structure.CORD: 0.85,
    Structure.CORTICAL_BONE: 0.10,
    Structure.DIPLOE: 0.65,
    Structure.OTHER: 0.6,
    MENINGES: 0.32,
    INNER_TABLE: 0.15,
    SCALP_FAT: 1.35,
}
"""Signals on a T1-weighted gradient echo relative to white matter (Bloch steady state at 3 T, rounded)."""

ENHANCED_SIGNALS: dict[int, float] = {
    Structure.SINUS: 1.6,
    Structure.CAROTID: 1.5,
    Structure.MUCOSA: 1.3,
    Structure.SOFT_TISSUE: 0.85,
    Structure.SKIN: 1.1,
    Structure.DIPLOE: 0.9,
    MENINGES: 0.9,
    INNER_TABLE: 0.4,
}
"""Where contrast medium brings them, relative to white matter."""

BRAIN_LABELS = tuple(int(s) for s in Structure if Structure.WHITE_MATTER <= s <= Structure.CHIASM)
FATTY_LABELS = (SCALP_FAT, int(Structure.DIPLOE), int(Structure.SOFT_TISSUE))


@dataclass(frozen=True, slots=True)
class TissueSettings:
    """How the signals of the tissues are drawn.

    Parameters
    ----------
    t1_order_share
        Share of heads with T1-like signals; the others draw every tissue anew (SynthSeg).
    contrast_range
        Factor on the distance of each tissue from white matter.
    brain_jitter
        Standard deviation added to each brain tissue.
    outer_jitter
        Standard deviation of the logarithm of the factor on each tissue outside the brain.
    enhanced_share
        Share of T1-like heads after contrast medium.
    fat_suppressed_share, fat_suppression_range
        Share of heads with suppressed fat, and what is left of its signal.
    random_range
        Signals without order, SynthSeg's uniform prior.
    noise_range
        Standard deviation of the texture within one tissue.
    """

    t1_order_share: float = 0.6
    contrast_range: tuple[float, float] = (0.5, 1.3)
    brain_jitter: float = 0.05
    outer_jitter: float = 0.3
    enhanced_share: float = 0.65
    fat_suppressed_share: float = 0.25
    fat_suppression_range: tuple[float, float] = (0.1, 0.6)
    random_range: tuple[float, float] = (0.0, 1.3)
    noise_range: tuple[float, float] = (0.0, 0.12)


@dataclass(frozen=True, slots=True, eq=False)
class Tissues:
    """Signal and texture of each label."""

    means: Table
    noises: Table


def draw_tissues(settings: TissueSettings, rng: np.random.Generator) -> Tissues:
    """Draw one head's signals; air is 0."""
    ordered = rng.random() < settings.t1_order_share
    means = _t1_like(settings, rng) if ordered else _unordered(settings, rng)
    _loosen_layers(means, rng)
    if rng.random() < settings.fat_suppressed_share:
        means[list(FATTY_LABELS)] *= rng.uniform(*settings.fat_suppression_range)
    noises = rng.uniform(*settings.noise_range, LABELS) * rng.uniform()
    means[Structure.AIR] = noises[Structure.AIR] = 0
    return Tissues(means.astype(np.float32), noises.astype(np.float32))


def _t1_like(settings: TissueSettings, rng: np.random.Generator) -> NDArray[np.float64]:
    signals = T1_SIGNALS | (_enhancement(rng) if rng.random() < settings.enhanced_share else {})
    means = np.zeros(LABELS)
    means[list(signals)] = list(signals.values())
    brain = list(BRAIN_LABELS)
    outer = [label for label in signals if label not in BRAIN_LABELS]
    means[brain] = 1 + (means[brain] - 1) * rng.uniform(*settings.contrast_range)
    means[brain] += rng.normal(0, settings.brain_jitter, len(brain))
    means[outer] *= np.exp(rng.normal(0, settings.outer_jitter, len(outer)))
    return np.maximum(means, 0)


def _enhancement(rng: np.random.Generator) -> dict[int, float]:
    """Return how far each place that may enhance has come towards its enhanced signal."""
    shares = rng.uniform(0, 1.2, len(ENHANCED_SIGNALS))
    return {
        label: T1_SIGNALS[label] + share * (enhanced - T1_SIGNALS[label])
        for (label, enhanced), share in zip(ENHANCED_SIGNALS.items(), shares, strict=True)
    }


def _unordered(settings: TissueSettings, rng: np.random.Generator) -> NDArray[np.float64]:
    return rng.uniform(*settings.random_range, LABELS)


def _loosen_layers(means: NDArray[np.float64], rng: np.random.Generator) -> None:
    """Give a layer the signal of what it is a layer of, half the time: then nobody sees it."""
    layers = ((MENINGES, Structure.CSF), (INNER_TABLE, Structure.CORTICAL_BONE), (SCALP_FAT, Structure.SKIN))
    for layer, whole in layers:
        if rng.random() < 0.5:
            means[layer] = means[whole]
