"""From a label map to the signal of its tissues before and after contrast, without vessels and lesions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from phantom.fields import Floats, Mask, refine, smooth_noise
from phantom.synthesis.anatomy.structures import Structure
from phantom.synthesis.signals.model import SignalModel, SignalSettings, draw_signal_model
from phantom.synthesis.signals.texture import bright_spots, hypointensity, tissue_texture
from phantom.synthesis.signals.tissues import FAT, TISSUES, t1_ms_at

__all__ = ["Rendered", "SignalModel", "SignalSettings", "draw_signal_model", "render"]

Labels = NDArray[np.uint8]

GREY = (
    Structure.CORTEX,
    Structure.DEEP_GREY,
    Structure.THALAMUS,
    Structure.PALLIDUM,
    Structure.HIPPOCAMPUS,
    Structure.CEREBELLAR_CORTEX,
)
"""Whose ratio to white matter drifts over the brain."""

SLOW_MM = 40
"""Distance over which that ratio changes."""

UPTAKE_PATCH_MM = 6
"""Distance over which the enhancement of a tissue changes."""

FAT_PATCH_MM = 5
"""Distance over which fat gives way to muscle or skin."""

FAT_SHARPNESS = 0.6
"""How abruptly it does: share of fat gained per standard deviation of the field that separates them."""

FAT_OFFSET = 2.5
"""Standard deviations of that field per share of fat about one half: the slope of the normal quantile."""

FAT_JITTER = 0.3
"""Standard deviation between patients, in those of the field: some are lean."""

VOID_PATCH_MM = 20
"""Distance over which flow void in a sinus changes."""

VOID_FLOOR = 0.3
"""Least signal left of partial flow void in a sinus; in a carotid, 0.05 to this."""

CAROTID_VOID_FLOOR = 0.05

INFLOW = (1.5, 3.0)
"""Factor on the signal of a carotid by fresh spins, before contrast; after it, half as much is gained."""

PALLIDUM_BRIGHTNESS = (1.1, 1.6)
"""Factor on the signal of a bright pallidum in both images."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """Signals (float32, white matter without contrast = 1), and where it is bright without enhancing."""

    t1_kji: Floats
    t1_post_kji: Floats
    bright_kji: Mask


@dataclass(frozen=True, slots=True)
class _Palette:
    """Signal of each Structure (n,): T1, T1-post as without gadolinium, and what gadolinium adds."""

    t1: Floats
    t1_post: Floats
    uptake: Floats


def render(
    labels_kji: Labels, model: SignalModel, settings: SignalSettings, rng: np.random.Generator
) -> Rendered:
    """Paint every tissue, blur its borders, give it texture, and add what is bright without enhancing.

    Parameters
    ----------
    labels_kji
        ``Structure`` of each voxel of 1 mm.
    model, settings
        Contrast of the study, ranges of the variation.
    rng
        Source of randomness.
    """
    pallidum_bright = bool(rng.random() < settings.bright_pallidum_share)
    palette = _with_flow(_palette(model), model, settings, rng)
    if pallidum_bright:
        palette = _brighten(palette, Structure.PALLIDUM, float(rng.uniform(*PALLIDUM_BRIGHTNESS)))
    t1, t1_post = _paint(labels_kji, palette, settings, rng)
    _mix_fat(t1, t1_post, labels_kji, model, rng)
    t1, t1_post = _soften(t1, t1_post, settings, rng)
    texture = tissue_texture(labels_kji, float(rng.uniform(*settings.texture_scale)), rng)
    t1 *= texture
    t1_post *= texture
    bright = bright_spots(t1, t1_post, labels_kji, model, settings, rng)
    if pallidum_bright:
        bright |= labels_kji == Structure.PALLIDUM
    return Rendered(t1, t1_post, bright)


def _palette(model: SignalModel) -> _Palette:
    signals = []
    for structure in Structure:
        t1_ms, density = model.t1_ms[structure], model.proton_density[structure]
        pre, unenhanced = model.signals(t1_ms, 0.0, density)
        _, post = model.signals(t1_ms, TISSUES[structure].gd_mmol_l, density)
        signals.append((pre, unenhanced, post - unenhanced))
    return _Palette(*np.array(signals, dtype=np.float32).T)


def _with_flow(
    palette: _Palette, model: SignalModel, settings: SignalSettings, rng: np.random.Generator
) -> _Palette:
    """Let the blood of the carotids be dark, bright by inflow, or as still blood."""
    _, spin_echo = model.spin_echo
    void_share = settings.carotid_void_share * (2 if spin_echo else 1)
    kind = rng.random()
    if kind < void_share:
        return _brighten(palette, Structure.CAROTID, float(rng.uniform(CAROTID_VOID_FLOOR, VOID_FLOOR)))
    if kind < void_share + settings.carotid_inflow_share and not spin_echo:
        inflow = float(rng.uniform(*INFLOW))
        palette.t1[Structure.CAROTID] *= inflow
        palette.t1_post[Structure.CAROTID] *= 0.5 + 0.5 * inflow
    return palette


def _brighten(palette: _Palette, structure: Structure, factor: float) -> _Palette:
    for signals in (palette.t1, palette.t1_post, palette.uptake):
        signals[structure] *= factor
    return palette


def _paint(
    labels_kji: Labels, palette: _Palette, settings: SignalSettings, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    variation = _variation(labels_kji, settings, rng)
    spread = np.array([TISSUES[structure].uptake_spread for structure in Structure], dtype=np.float32)
    uptake = smooth_noise(rng, labels_kji.shape, UPTAKE_PATCH_MM)
    uptake *= spread[labels_kji]
    uptake += 1
    np.maximum(uptake, 0, out=uptake)
    uptake *= palette.uptake[labels_kji]
    t1_post = (palette.t1_post[labels_kji] + uptake) * variation
    return palette.t1[labels_kji] * variation, t1_post


def _variation(labels_kji: Labels, settings: SignalSettings, rng: np.random.Generator) -> Floats:
    """Return the factor common to both images: drift of grey matter, lesions of white matter, flow void."""
    variation = smooth_noise(rng, labels_kji.shape, SLOW_MM)
    variation *= _indicator(GREY)[labels_kji] * np.float32(rng.uniform(*settings.slow_variation))
    variation += 1
    if rng.random() < settings.hypointensity_share:
        variation -= hypointensity(labels_kji, settings, rng)
    if rng.random() < settings.sinus_void_share:
        sinus = labels_kji == Structure.SINUS
        flow = smooth_noise(rng, labels_kji.shape, VOID_PATCH_MM)[sinus]
        variation[sinus] *= np.clip(0.65 + 0.35 * flow, VOID_FLOOR, 1)
    return variation


def _mix_fat(
    t1: Floats, t1_post: Floats, labels_kji: Labels, model: SignalModel, rng: np.random.Generator
) -> None:
    """Turn part of scalp, soft tissue and marrow into fat, in patches."""
    shares = np.array([TISSUES[structure].fat_share for structure in Structure], dtype=np.float32)
    fatty = (shares > 0)[labels_kji]
    pre, post = model.signals(t1_ms_at(FAT, model.field_t), FAT.gd_mmol_l, FAT.proton_density)
    separation = smooth_noise(rng, labels_kji.shape, FAT_PATCH_MM)[fatty]
    surplus = np.float32(rng.normal(0, FAT_JITTER)) + FAT_OFFSET * (shares[labels_kji[fatty]] - 0.5)
    fat = np.clip(0.5 + FAT_SHARPNESS * (separation + surplus), 0, 1).astype(np.float32)
    t1[fatty] += fat * (pre - t1[fatty])
    t1_post[fatty] += fat * (post - t1_post[fatty])


def _soften(
    t1: Floats, t1_post: Floats, settings: SignalSettings, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Give borders their partial volume, and grey and white matter the gradual step between them."""
    border = float(rng.uniform(*settings.border_blur_mm))
    share = np.float32(rng.uniform(*settings.myelin_share))
    softened = []
    for signal in (t1, t1_post):
        wide = ndimage.gaussian_filter(signal[::2, ::2, ::2], settings.myelin_blur_mm / 2, truncate=2.5)
        sharp = ndimage.gaussian_filter(signal, border, truncate=3.0)
        sharp += share * (refine(wide, 2, signal.shape) - sharp)
        softened.append(sharp)
    return softened[0], softened[1]


def _indicator(structures: tuple[Structure, ...]) -> Floats:
    lookup = np.zeros(len(Structure), dtype=np.float32)
    lookup[list(structures)] = 1
    return lookup
