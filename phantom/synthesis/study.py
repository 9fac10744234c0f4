"""One synthetic study from an anatomy and a seed: the page to read first."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.geometry import Grid
from phantom.fields import Floats, Mask
from phantom.synthesis.anatomy.label_map import Anatomy, brain_mask, member_mask
from phantom.synthesis.anatomy.structures import Enhancing, Structure
from phantom.synthesis.anatomy.warp import WarpSettings, warp_anatomy
from phantom.synthesis.contrast.growth import ContrastLayer, ContrastSettings, grow_contrast
from phantom.synthesis.lesions.metastases import Metastasis, MetastasisSettings, draw_metastases
from phantom.synthesis.lesions.painting import paint_metastases, paint_oedema
from phantom.synthesis.scanning.scanner import ScanSettings, draw_scans, imperfect_mask, misregister, scan
from phantom.synthesis.signals.rendering import SignalSettings, draw_signal_model, render

GENERATOR_VERSION = 2
"""Changes whenever the same seed and settings would give another study, prepared or as a planning scan.

It stands for ``phantom.synthesis``, what that imports, and ``evaluation.cohorts.synthetic.planning_scan``.
"""

TRAINING_MARGIN_MM = 14.0
"""Kept around the brain for training: the dilated mask, and what blur and motion bring in from beyond it."""

MARKED_FRACTION = 0.3
"""A voxel belongs to an enhancing structure that fills this share of it: thin vessels never fill one half."""

SINUS_FRACTION = 0.5
"""No lesion lies where a venous sinus fills this share of a voxel."""

PULSATING = frozenset({Structure.SINUS, Structure.CAROTID, Structure.EYE})
BLOOD_VESSELS = frozenset({Enhancing.SINUS, Enhancing.ARTERY, Enhancing.CAVERNOUS_SINUS})
"""What moves with the pulse, or looks around, makes ghosts; no lesion lies in the vessels among it."""

EXTRACEREBRAL = frozenset(
    {
        Structure.EYE,
        Structure.SOFT_TISSUE,
        Structure.MUCOSA,
        Structure.SKIN,
        Structure.CORTICAL_BONE,
        Structure.DIPLOE,
    }
)


@dataclass(frozen=True, slots=True)
class SynthesisSettings:
    """Every knob of the synthesis, by part."""

    warp: WarpSettings = field(default_factory=WarpSettings)
    signals: SignalSettings = field(default_factory=SignalSettings)
    contrast: ContrastSettings = field(default_factory=ContrastSettings)
    metastases: MetastasisSettings = field(default_factory=MetastasisSettings)
    scan: ScanSettings = field(default_factory=ScanSettings)


@dataclass(frozen=True, eq=False)
class Scene:
    """A head with its lesions before any scanner saw it.

    Parameters
    ----------
    anatomy
        Warped.
    t1_kji, t1_post_kji
        float32, relative to white matter before contrast; with vessels and oedema, without the lesions.
    structures_kji
        uint8 of ``Enhancing``.
    brain_kji
        The brain.
    ghost_t1_kji, ghost_t1_post_kji
        Signal of what pulsates, 0 elsewhere.
    metastases
        Where they are; painted on the grid they are looked at.
    """

    anatomy: Anatomy
    t1_kji: Floats
    t1_post_kji: Floats
    structures_kji: NDArray[np.uint8]
    brain_kji: Mask
    ghost_t1_kji: Floats
    ghost_t1_post_kji: Floats
    metastases: tuple[Metastasis, ...]

    @property
    def grid(self) -> Grid:
        """Canonical, 1 mm."""
        return self.anatomy.grid


@dataclass(frozen=True, eq=False)
class SyntheticStudy:
    """A pair as it lies before the networks: on one 1 mm grid, T1 nearly registered.

    Parameters
    ----------
    grid
        Canonical, 1 mm.
    t1_kji, t1_post_kji
        float32, arbitrary unit.
    mask_kji
        Brain mask as a brain extraction would give it, dilated.
    labels_kji
        uint16: number of the lesion whose enhancing part fills half of the voxel.
    structures_kji
        uint8 of ``Enhancing``.
    metastases
        By number, largest first.
    """

    grid: Grid
    t1_kji: Floats
    t1_post_kji: Floats
    mask_kji: Mask
    labels_kji: NDArray[np.uint16]
    structures_kji: NDArray[np.uint8]
    metastases: tuple[Metastasis, ...]


def build_scene(
    anatomy: Anatomy, seed: int, settings: SynthesisSettings, margin_mm: float | None = None
) -> Scene:
    """Warp the head, render its tissues, grow what enhances, place the lesions.

    Vessels and other layers are mixed in over the oedema of the lesions: they run through it.

    Parameters
    ----------
    anatomy
        One of the label maps.
    seed
        Everything random comes from it.
    settings
        All knobs.
    margin_mm
        Crop to the brain and this much around it; None keeps the whole head.
    """
    streams = [np.random.default_rng(stream) for stream in np.random.SeedSequence(seed).spawn(6)]
    warped = warp_anatomy(anatomy, settings.warp, streams[0], margin_mm)
    model = draw_signal_model(settings.signals, streams[1])
    rendering = render(warped.labels_kji, model, settings.signals, streams[2])
    layers = grow_contrast(warped, model, settings.contrast, streams[3])
    structures = _mark(warped, rendering.bright_kji, layers)
    t1, post = rendering.t1_kji, rendering.t1_post_kji
    metastases = draw_metastases(warped, _blocked(warped, layers), model, settings.metastases, streams[4])
    paint_oedema(t1, post, warped, metastases, model, streams[5])
    ghost_t1, ghost_post = _mix(t1, post, layers, member_mask(warped.labels_kji, PULSATING))
    return Scene(
        warped, t1, post, structures, brain_mask(warped.labels_kji), ghost_t1, ghost_post, metastases
    )


def synthesize(anatomy: Anatomy, seed: int, settings: SynthesisSettings) -> SyntheticStudy:
    """Make one study for training, cropped to the brain.

    Parameters
    ----------
    anatomy, seed, settings
        As in ``build_scene``; the same three give the same study, bit for bit.
    """
    scene = build_scene(anatomy, seed, settings, TRAINING_MARGIN_MM)
    moving, scanning, masking = (np.random.default_rng([seed, part]) for part in range(3))
    t1, post = scene.t1_kji.copy(), scene.t1_post_kji.copy()
    labels = paint_metastases(t1, post, scene.grid, scene.metastases)
    t1, _ = misregister(t1, settings.scan, moving)
    draw_t1, draw_post = draw_scans(settings.scan, scanning)
    return SyntheticStudy(
        grid=scene.grid,
        t1_kji=scan(t1, scene.ghost_t1_kji, draw_t1, scanning),
        t1_post_kji=scan(post, scene.ghost_t1_post_kji, draw_post, scanning),
        mask_kji=imperfect_mask(scene.brain_kji, settings.scan, masking),
        labels_kji=labels,
        structures_kji=scene.structures_kji,
        metastases=scene.metastases,
    )


def _mark(anatomy: Anatomy, bright_kji: Mask, layers: tuple[ContrastLayer, ...]) -> NDArray[np.uint8]:
    """Name what every voxel is for the table of false positives; later layers cover earlier ones."""
    structures = np.zeros(anatomy.labels_kji.shape, dtype=np.uint8)
    structures[member_mask(anatomy.labels_kji, EXTRACEREBRAL)] = Enhancing.EXTRACEREBRAL
    structures[bright_kji] = Enhancing.T1_BRIGHT
    structures[anatomy.labels_kji == Structure.SINUS] = Enhancing.SINUS
    structures[anatomy.labels_kji == Structure.CAROTID] = Enhancing.ARTERY
    for layer in layers:
        structures[layer.box][layer.fraction >= MARKED_FRACTION] = layer.structure
    return structures


def _mix(
    t1: Floats, post: Floats, layers: tuple[ContrastLayer, ...], pulsating_kji: Mask
) -> tuple[Floats, Floats]:
    """Mix the layers into both signals, in place; return the signal of what pulsates."""
    ghosts = np.where(pulsating_kji, t1, 0), np.where(pulsating_kji, post, 0)
    for layer in layers:
        for signal, ghost, covering in zip((t1, post), ghosts, (layer.t1, layer.t1_post), strict=True):
            here = signal[layer.box]
            here += layer.fraction * (np.asarray(covering, dtype=np.float32) - here)
            if layer.structure in BLOOD_VESSELS:
                ghost[layer.box] = np.maximum(ghost[layer.box], layer.fraction * np.float32(covering))
    return ghosts


def _blocked(anatomy: Anatomy, layers: tuple[ContrastLayer, ...]) -> Mask:
    blocked = member_mask(anatomy.labels_kji, PULSATING)
    for layer in layers:
        if layer.structure in BLOOD_VESSELS:
            blocked[layer.box] |= layer.fraction >= SINUS_FRACTION
    return blocked
