"""Metastases of a synthetic study: numbers and sizes as published, shapes, places and signals drawn anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, SupportsFloat

import numpy as np
from scipy import special

from phantom.fields import Mask, Points
from phantom.lesions import equivalent_diameter_mm
from phantom.synthesis.anatomy.label_map import Anatomy
from phantom.synthesis.lesions.placement import MetastasisLocation, PlacedBody, place_bodies
from phantom.synthesis.lesions.settings import MetastasisSettings, share_at
from phantom.synthesis.lesions.shape import LesionBody, MetastasisKind, draw_body

__all__ = [
    "LesionSignalModel",
    "Metastasis",
    "MetastasisKind",
    "MetastasisLocation",
    "MetastasisSettings",
    "MetastasisSignals",
    "draw_count",
    "draw_metastases",
    "draw_volumes_mm3",
]

SMALLER = 0.7
"""A body that fits nowhere is replaced by one of less than this share of its volume."""

OEDEMA_PER_DIAMETER = 1.5
"""Oedema runs at most this many diameters of the lesion, and ``OEDEMA_FREE_MM`` more."""

OEDEMA_FREE_MM = 2.5


class LesionSignalModel(Protocol):
    """What a lesion needs to know of the sequence."""

    def signals(self, t1_ms: float, gd_mmol_l: float) -> tuple[SupportsFloat, SupportsFloat]:
        """Return the signal before and after contrast, relative to white matter before."""
        ...


@dataclass(frozen=True, slots=True)
class MetastasisSignals:
    """How a metastasis shines, relative to white matter before contrast.

    Parameters
    ----------
    wall_t1, wall_t1_post
        Mean signal of what enhances.
    core_t1, core_t1_post
        Signal of the core.
    t1_ms
        Longitudinal relaxation time of what enhances.
    texture
        Relative standard deviation of the enhancement.
    texture_fwhm_mm
        Its grain.
    centre_dip
        Share by which the centre enhances less than the edge.
    soft_sigma_mm
        Blur of the edge; 0 for a sharp one.
    seed
        Of the texture, so that it is the same in whatever grid the lesion is painted on.
    """

    wall_t1: float
    wall_t1_post: float
    core_t1: float
    core_t1_post: float
    t1_ms: float
    texture: float
    texture_fwhm_mm: float
    centre_dip: float
    soft_sigma_mm: float
    seed: int


@dataclass(frozen=True, eq=False)
class Metastasis:
    """A metastasis as it lies in the head; its number is its value in a label map.

    Parameters
    ----------
    number
        1..n, largest enhancing volume first.
    body
        Shape and place, in the head's LPS.
    core_share
        Mean radius of the core relative to the body's, 0 if solid.
    centroid_lps_mm
        Of the enhancing part, in the head's LPS.
    volume_mm3
        Of the enhancing part: the reference volume.
    filled_volume_mm3
        With the core.
    equivalent_diameter_mm
        Diameter of the sphere of ``volume_mm3``.
    kind
        What it looks like.
    location
        What kind of place it lies in.
    redrawn
        It is smaller than the one first drawn, which fitted nowhere.
    concentration_mmol_l
        Gadolinium in the wall.
    oedema_mm
        How far oedema runs from its surface through white matter; 0 for none.
    oedema_t1_ms
        Longitudinal relaxation time of that white matter.
    signals
        How it shines.
    """

    number: int
    body: LesionBody
    core_share: float
    centroid_lps_mm: tuple[float, float, float]
    volume_mm3: float
    filled_volume_mm3: float
    equivalent_diameter_mm: float
    kind: MetastasisKind
    location: MetastasisLocation
    redrawn: bool
    concentration_mmol_l: float
    oedema_mm: float
    oedema_t1_ms: float
    signals: MetastasisSignals


def draw_metastases(
    anatomy: Anatomy,
    blocked_kji: Mask,
    model: LesionSignalModel,
    settings: MetastasisSettings,
    rng: np.random.Generator,
) -> tuple[Metastasis, ...]:
    """Draw the metastases of a study, numbered from the largest.

    Parameters
    ----------
    anatomy
        The head.
    blocked_kji
        On the head's grid: large vessels, where no lesion lies.
    model
        The sequence.
    settings
        Numbers, sizes, places, shapes, signals.

    Raises
    ------
    InvalidInput
        The brain has no room for them.
    """
    volumes = np.sort(draw_volumes_mm3(settings, draw_count(settings, rng), rng))[::-1]
    if not len(volumes):
        return ()
    bodies = [draw_body(volume, settings, rng) for volume in volumes]
    placed = place_bodies(anatomy, blocked_kji, bodies, _smaller_bodies(settings, rng), settings, rng)
    return _numbered([_metastasis(one, model, settings, rng) for one in placed])


def draw_count(settings: MetastasisSettings, rng: np.random.Generator) -> int:
    """Draw how many metastases a study has."""
    if rng.random() < settings.empty_share:
        return 0
    k = settings.count_dispersion
    more = rng.negative_binomial(k, k / (k + settings.count_mean))
    return int(min(1 + more, settings.count_max))


def draw_volumes_mm3(settings: MetastasisSettings, count: int, rng: np.random.Generator) -> Points:
    """Draw enhancing volumes in mm3, shape (count,): the published distribution, some log-uniform ones."""
    low, high = (np.log(v / settings.volume_median_cm3) for v in settings.volume_range_cm3)
    bounds = special.ndtr([_normal(low, settings), _normal(high, settings)])
    normal = special.ndtri(rng.uniform(bounds[0], bounds[1], count))
    spread = np.where(normal < 0, settings.volume_sigma_low, settings.volume_sigma_high)
    published_mm3 = 1000 * settings.volume_median_cm3 * np.exp(spread * normal)
    least, greatest = (float(np.log(d)) for d in settings.log_uniform_diameter_mm)
    diameters_mm = np.exp(rng.uniform(least, greatest, count))
    is_uniform = rng.random(count) < settings.log_uniform_share
    return np.asarray(np.where(is_uniform, np.pi / 6 * diameters_mm**3, published_mm3))


def _normal(log_ratio: float, settings: MetastasisSettings) -> float:
    return log_ratio / (settings.volume_sigma_low if log_ratio < 0 else settings.volume_sigma_high)


def _smaller_bodies(
    settings: MetastasisSettings, rng: np.random.Generator
) -> Callable[[LesionBody], LesionBody]:
    def redraw_below(body: LesionBody) -> LesionBody:
        limit_mm3 = SMALLER * body.volumes_mm3()[0]
        below = [v for v in draw_volumes_mm3(settings, 50, rng) if v < limit_mm3]
        return draw_body(float(max(below, default=limit_mm3)), settings, rng)

    return redraw_below


def _metastasis(
    placed: PlacedBody, model: LesionSignalModel, settings: MetastasisSettings, rng: np.random.Generator
) -> Metastasis:
    body = placed.body
    volume_mm3, filled_mm3 = body.volumes_mm3()
    diameter_mm = equivalent_diameter_mm(volume_mm3)
    centroid = body.star.centre_lps_mm + body.enhancing_centroid_offset_mm()
    drawn = settings.concentration_median_mmol_l * np.exp(
        settings.concentration_sigma * rng.standard_normal()
    )
    concentration = float(np.clip(drawn, *settings.concentration_range_mmol_l))
    return Metastasis(
        number=0,
        body=body,
        core_share=body.core.share if body.core else 0.0,
        centroid_lps_mm=(float(centroid[0]), float(centroid[1]), float(centroid[2])),
        volume_mm3=volume_mm3,
        filled_volume_mm3=filled_mm3,
        equivalent_diameter_mm=diameter_mm,
        kind=body.kind,
        location=placed.location,
        redrawn=placed.redrawn,
        concentration_mmol_l=concentration,
        oedema_mm=_draw_oedema_mm(equivalent_diameter_mm(filled_mm3), settings, rng),
        oedema_t1_ms=float(rng.uniform(*settings.oedema_t1_ms)),
        signals=_draw_signals(body.kind, concentration, model, settings, rng),
    )


def _draw_oedema_mm(diameter_mm: float, settings: MetastasisSettings, rng: np.random.Generator) -> float:
    low, high = settings.oedema_mm
    high = max(min(high, OEDEMA_FREE_MM + OEDEMA_PER_DIAMETER * diameter_mm), low)
    thickness_mm = float(rng.uniform(low, high))
    return thickness_mm if rng.random() < share_at(settings.oedema_shares, diameter_mm) else 0.0


def _draw_signals(
    kind: MetastasisKind,
    concentration_mmol_l: float,
    model: LesionSignalModel,
    settings: MetastasisSettings,
    rng: np.random.Generator,
) -> MetastasisSignals:
    t1_ms = _draw_t1_ms(settings, rng)
    is_cyst = kind is MetastasisKind.CYSTIC
    core_t1_ms = rng.uniform(*(settings.cyst_t1_ms if is_cyst else settings.necrosis_t1_ms))
    wall = model.signals(t1_ms, concentration_mmol_l)
    core = model.signals(core_t1_ms, rng.uniform(*settings.core_concentration_mmol_l))
    soft_mm = rng.uniform(*settings.soft_sigma_mm) if rng.random() < settings.soft_share else 0.0
    return MetastasisSignals(
        wall_t1=float(wall[0]),
        wall_t1_post=float(wall[1]),
        core_t1=float(core[0]),
        core_t1_post=float(core[1]),
        t1_ms=t1_ms,
        texture=float(rng.uniform(*settings.texture)),
        texture_fwhm_mm=float(rng.uniform(*settings.texture_fwhm_mm)),
        centre_dip=float(rng.uniform(*settings.centre_dip)) if kind is MetastasisKind.SOLID else 0.0,
        soft_sigma_mm=float(soft_mm),
        seed=int(rng.integers(2**63)),
    )


def _draw_t1_ms(settings: MetastasisSettings, rng: np.random.Generator) -> float:
    chance = rng.random()
    if chance < settings.bright_share:
        return float(rng.uniform(*settings.bright_t1_ms))
    if chance < settings.bright_share + settings.intermediate_share:
        return float(rng.uniform(*settings.intermediate_t1_ms))
    return float(rng.uniform(*settings.t1_ms))


def _numbered(lesions: list[Metastasis]) -> tuple[Metastasis, ...]:
    ordered = sorted(lesions, key=lambda lesion: -lesion.volume_mm3)
    return tuple(replace(lesion, number=number) for number, lesion in enumerate(ordered, start=1))
