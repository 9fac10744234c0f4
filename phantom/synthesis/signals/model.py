"""How bright every tissue is before and after contrast: one random sequence, field and patient at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from phantom.synthesis.anatomy.structures import Structure
from phantom.synthesis.signals.bloch import Protocol, Sequence
from phantom.synthesis.signals.protocols import Contrast, draw_contrast, raw_signal
from phantom.synthesis.signals.tissues import FIELDS_T, TISSUES, t1_ms_at

FloatOrArray = TypeVar("FloatOrArray", float, NDArray[np.float32], NDArray[np.float64])

TUKEY_RANGE = 2.5
"""Jitter further than this many standard deviations is clipped: no tissue leaves what it can be."""


@dataclass(frozen=True, slots=True)
class SignalSettings:
    """Ranges of the contrast and of the variation within tissues.

    Parameters
    ----------
    mprage_share, spgr_share, se_share
        Shares of the studies by sequence; the remaining 10 % have a random contrast that follows no sequence.
        Chosen: what SRS planning protocols use.
    three_tesla_share
        Share of the studies at 3 T, the others at 1.5 T. Chosen.
    random_ordered_share
        Share of the random contrasts in which signal still falls with T1, as in every T1-weighted image.
        Chosen.
    t1_jitter
        Relative standard deviation of T1 of each tissue between patients. Between studies of the same tissue
        T1 is reported to differ by 10 to 15 % (Bojorquez 2017).
    proton_density_jitter
        Relative standard deviation of proton density of each tissue. Chosen.
    random_jitter
        Relative standard deviation of the signal of each tissue under a random contrast (SynthSeg: tissues
        are independent).
    gd_scale
        Range of the factor on all concentrations of a study: dose, delay and relaxivity of the agent. Chosen.
    other_sequence_share
        Share of the studies whose T1 and T1-post were made by different sequences or timings. Chosen.
    gamma_spread, random_gamma_spread
        Standard deviation of the logarithm of the exponent on signals, with a sequence and with a random
        contrast (SynthSeg: 0.5). White matter stays 1.
    border_blur_mm
        Range of the standard deviation of partial volume at borders; a label map has none. Chosen.
    myelin_blur_mm, myelin_share
        Standard deviation and range of the share of a second, wider blur: the myelin of cortex falls off
        over its depth, and white matter under it is greyer. Chosen by eye against an MPRAGE.
    texture_scale
        Range of the factor on the variation within tissues (``Tissue.texture``). Chosen by eye.
    slow_variation
        Range of the standard deviation of the slow variation (40 mm) of each tissue class against the
        others: grey and white matter do not keep one ratio over the brain. Chosen by eye.
    hypointensity_share
        Share of studies with hypointense white matter: most patients are over 55 years. Chosen.
    hypointensity_depth
        Range of the loss of signal at the heart of a patch, relative to white matter. Chosen: not below grey
        matter by much.
    periventricular_reach_mm
        Range of the thickness of the rim about the ventricles. Chosen: up to Fazekas 2.
    patch_fraction
        Upper end of the share of white matter in patches away from the ventricles. Chosen.
    sinus_void_share
        Share of studies with partial flow void in the venous sinuses; the factor runs from 0.3 to 1. Chosen.
    carotid_void_share, carotid_inflow_share
        Shares of studies with dark carotids in both images (flow void), and with bright ones in both (inflow
        into a slab). Chosen. Under a spin echo the share of voids doubles.
    bright_share
        Share of studies with spots bright before contrast that do not enhance: blood products, fat, melanin.
        Chosen.
    bright_diameter_mm, bright_t1_ms
        Ranges of their diameter and T1. Methaemoglobin, melanin and fat have 250 to 500 ms.
    bright_count
        Least and greatest number of them.
    bright_pallidum_share
        Share of studies with bright pallidum: liver disease, retained gadolinium or manganese. Chosen.
    """

    mprage_share: float = 0.45
    spgr_share: float = 0.30
    se_share: float = 0.15
    three_tesla_share: float = 0.6
    random_ordered_share: float = 0.7
    t1_jitter: float = 0.12
    proton_density_jitter: float = 0.04
    random_jitter: float = 0.2
    gd_scale: tuple[float, float] = (0.6, 1.6)
    other_sequence_share: float = 0.15
    gamma_spread: float = 0.15
    random_gamma_spread: float = 0.5
    border_blur_mm: tuple[float, float] = (0.4, 0.7)
    myelin_blur_mm: float = 2.0
    myelin_share: tuple[float, float] = (0.05, 0.2)
    texture_scale: tuple[float, float] = (0.5, 1.6)
    slow_variation: tuple[float, float] = (0.01, 0.05)
    hypointensity_share: float = 0.6
    hypointensity_depth: tuple[float, float] = (0.05, 0.4)
    periventricular_reach_mm: tuple[float, float] = (1.0, 6.0)
    patch_fraction: float = 0.03
    sinus_void_share: float = 0.25
    carotid_void_share: float = 0.3
    carotid_inflow_share: float = 0.2
    bright_share: float = 0.08
    bright_diameter_mm: tuple[float, float] = (2.0, 8.0)
    bright_t1_ms: tuple[float, float] = (250.0, 500.0)
    bright_count: tuple[int, int] = (1, 6)
    bright_pallidum_share: float = 0.1


@dataclass(frozen=True, slots=True)
class SignalModel:
    """Contrast of one study.

    Parameters
    ----------
    pre, post
        How T1 and T1-post were made; equal in most studies.
    field_t
        Field strength in tesla.
    gd_scale
        Factor on all concentrations.
    gamma
        Exponent on signals relative to white matter.
    t1_ms, proton_density
        Of each ``Structure`` in this patient.
    """

    pre: Contrast
    post: Contrast
    field_t: float
    gd_scale: float
    gamma: float
    t1_ms: tuple[float, ...]
    proton_density: tuple[float, ...]

    @property
    def spin_echo(self) -> tuple[bool, bool]:
        """Whether T1 and T1-post are spin echoes."""
        pre, post = (
            isinstance(image, Protocol) and image.sequence is Sequence.SE for image in (self.pre, self.post)
        )
        return pre, post

    def signals(
        self, t1_ms: FloatOrArray, gd_mmol_l: FloatOrArray | float, proton_density: float = 1.0
    ) -> tuple[FloatOrArray, FloatOrArray]:
        """Return the signal in T1 and in T1-post relative to white matter without contrast.

        Parameters
        ----------
        t1_ms
            T1 without contrast; a number or an array.
        gd_mmol_l
            Concentration after a usual dose; the study's dose is applied here.
        proton_density
            Relative to white matter.
        """
        pre = self._relative(self.pre, t1_ms, 0.0, proton_density)
        post = self._relative(self.post, t1_ms, gd_mmol_l, proton_density)
        return pre, post

    def _relative(
        self, contrast: Contrast, t1_ms: FloatOrArray, gd_mmol_l: FloatOrArray | float, proton_density: float
    ) -> FloatOrArray:
        gd = self.gd_scale * np.asarray(gd_mmol_l, dtype=np.float64)
        white = raw_signal(contrast, np.asarray(self.t1_ms[Structure.WHITE_MATTER]), np.zeros(()))
        ratio = raw_signal(contrast, np.asarray(t1_ms, dtype=np.float64), gd) / white
        signal = (proton_density * ratio) ** self.gamma
        if isinstance(t1_ms, np.ndarray) or isinstance(gd_mmol_l, np.ndarray):
            return np.asarray(signal, dtype=np.float32)
        return float(signal)


def draw_signal_model(settings: SignalSettings, rng: np.random.Generator) -> SignalModel:
    """Draw sequence, field, dose and patient of a study."""
    field_t = FIELDS_T[int(rng.random() < settings.three_tesla_share)]
    shares = (settings.mprage_share, settings.spgr_share, settings.se_share)
    kind = int(np.searchsorted(np.cumsum(shares), rng.random(), side="right"))
    sequence = list(Sequence)[kind] if kind < len(shares) else None
    pre = draw_contrast(sequence, field_t, settings.random_ordered_share, rng)
    post = pre
    if rng.random() < settings.other_sequence_share:
        other = None if sequence is None else list(Sequence)[int(rng.integers(len(Sequence)))]
        post = draw_contrast(other, field_t, settings.random_ordered_share, rng)
    spread = settings.random_gamma_spread if sequence is None else settings.gamma_spread
    t1_ms, density = _draw_patient(field_t, sequence is None, settings, rng)
    return SignalModel(
        pre,
        post,
        field_t,
        gd_scale=float(rng.uniform(*settings.gd_scale)),
        gamma=float(np.exp(_jitter(spread, rng))),
        t1_ms=t1_ms,
        proton_density=density,
    )


def _draw_patient(
    field_t: float, random: bool, settings: SignalSettings, rng: np.random.Generator
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    density_jitter = settings.random_jitter if random else settings.proton_density_jitter
    t1_ms, density = [], []
    for structure in Structure:
        tissue = TISSUES[structure]
        t1_ms.append(t1_ms_at(tissue, field_t) * float(np.exp(_jitter(settings.t1_jitter, rng))))
        own = 0.0 if structure is Structure.WHITE_MATTER else _jitter(density_jitter, rng)
        density.append(tissue.proton_density * float(np.exp(own)))
    return tuple(t1_ms), tuple(density)


def _jitter(spread: float, rng: np.random.Generator) -> float:
    return float(np.clip(rng.standard_normal(), -TUKEY_RANGE, TUKEY_RANGE)) * spread
