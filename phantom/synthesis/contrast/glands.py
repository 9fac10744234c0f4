"""Tissue without a blood-brain barrier: choroid plexus, pituitary and stalk, pineal, area postrema."""

from __future__ import annotations

import numpy as np

from phantom.fields import Floats, Points
from phantom.synthesis.anatomy.label_map import Box
from phantom.synthesis.anatomy.structures import Enhancing, Structure
from phantom.synthesis.contrast.bodies import paint_body, paint_core
from phantom.synthesis.contrast.layers import ContrastLayer, ContrastSettings, Uptake, join
from phantom.synthesis.contrast.terrain import Terrain
from phantom.synthesis.contrast.tubes import lay_tube, paint

LATERAL = frozenset({Structure.LATERAL_VENTRICLE, Structure.INFERIOR_HORN})
FOURTH = frozenset({Structure.FOURTH_VENTRICLE})

PlexusPiece = tuple[tuple[float, float, float], tuple[float, float, float], frozenset[Structure] | None]

PLEXUS: tuple[PlexusPiece, ...] = (
    ((8, 42, 24), (0.8, 1.0, 0.6), LATERAL),  # trigone (glomus)
    ((2, 38, 28), (0.9, 0.8, 0.5), LATERAL),  # down into the temporal horn
    ((-12, 22, 30), (0.4, 0.9, 0.4), LATERAL),  # temporal horn
    ((18, 20, 10), (0.3, 1.3, 0.45), LATERAL),  # body, on the thalamus
    ((12, 4, 4), (0.5, 0.5, 0.4), LATERAL),  # interventricular foramen
    ((-38, 45, 3), (0.7, 0.4, 0.4), FOURTH),  # roof of the fourth ventricle
    ((-41, 38, 15), (0.4, 0.4, 0.6), None),  # its lateral aperture, beside the medulla
)
"""Centre (up, back, left) of the left piece in standard mm, half axes relative to the glomus, its room."""

SNAP_MM = 12.0
"""A piece of plexus moves to the nearest ventricle up to this far."""

PITUITARY_BELOW_CHIASM_MM = (14.0, 2.0)
"""Down and back from the chiasm to the pituitary."""

PITUITARY_RADII_MM = (3.0, 4.5, 6.0)
"""Half axes (up, back, left)."""

PINEAL_MM = (2.0, 32.0, 0.0)
STALK_RADIUS_MM = (0.8, 1.6)
CHIASM_MM = (-17.0, -1.0, 0.0)
OBEX_MM = (-48.0, 45.0, 0.0)
"""Standard places (up, back, left), used where their label is missing."""


def grow_glands(
    terrain: Terrain, uptake: Uptake, settings: ContrastSettings, rng: np.random.Generator
) -> tuple[ContrastLayer, ...]:
    """Grow choroid plexus, pituitary with its stalk, pineal and area postrema.

    Parameters
    ----------
    terrain, uptake, settings, rng
        The head, the study's concentrations, the ranges, and the source of randomness.
    """
    parts = (
        (Enhancing.CHOROID_PLEXUS, _plexus(terrain, settings, rng)),
        (Enhancing.PITUITARY, _pituitary(terrain, settings, rng)),
        (Enhancing.PINEAL, _pineal(terrain, settings, rng)),
    )
    layers = [ContrastLayer(kind, *join(pieces), *uptake.gland(kind)) for kind, pieces in parts]
    return tuple(layer for layer in layers if layer.fraction.size)


def _plexus(
    terrain: Terrain, settings: ContrastSettings, rng: np.random.Generator
) -> list[tuple[Box, Floats]]:
    """Paint lobules against the walls of the ventricles."""
    ventricles = {where: _ventricle(terrain, where) for where in (LATERAL, FOURTH)}
    pieces = []
    for side in (-1, 1):
        radius = rng.uniform(*settings.plexus_radius_mm)
        for centre, shape, where in PLEXUS:
            radii = radius * np.array(shape) * rng.uniform(0.7, 1.15, 3)
            if rng.random() >= settings.plexus_share:
                continue
            free = np.array(centre) * [1, 1, side] + rng.normal(0, 1.5, 3)
            place = free if where is None else _snap(free, ventricles[where])
            if place is not None:
                pieces.append(paint_body(terrain, place, np.maximum(radii, 0.9), rng, _room(where), 0.35))
    return pieces


def _room(where: frozenset[Structure] | None) -> frozenset[Structure]:
    """Return what a piece may fill; ventricles too narrow to be labelled hold plexus as well."""
    return frozenset({Structure.CSF}) if where is None else where | {Structure.CSF, Structure.HIPPOCAMPUS}


def _ventricle(terrain: Terrain, structures: frozenset[Structure]) -> Points:
    voxels = np.argwhere(np.isin(terrain.labels_kji[::2, ::2, ::2], list(structures)))
    return terrain.frame.to_standard(2.0 * voxels.astype(np.float64))


def _snap(place_mm: Points, ventricle_mm: Points) -> Points | None:
    """Return the nearest point of a ventricle on the same side, None if there is none near."""
    if not len(ventricle_mm):
        return None
    distance = np.linalg.norm(ventricle_mm - place_mm, axis=1)
    nearest = int(np.argmin(distance))
    return np.asarray(ventricle_mm[nearest]) if distance[nearest] < SNAP_MM else None


def _centroid(terrain: Terrain, structure: Structure, otherwise: tuple[float, float, float]) -> Points:
    voxels = np.argwhere(terrain.labels_kji[::2, ::2, ::2] == structure)
    if not len(voxels):
        return np.array(otherwise)
    return np.asarray(terrain.frame.to_standard(2.0 * voxels.astype(np.float64)).mean(axis=0))


def _pituitary(
    terrain: Terrain, settings: ContrastSettings, rng: np.random.Generator
) -> list[tuple[Box, Floats]]:
    """Paint the gland in the sella and its stalk up to the floor of the third ventricle."""
    if rng.random() >= settings.pituitary_share:
        return []
    chiasm = _centroid(terrain, Structure.CHIASM, CHIASM_MM)
    down, back = PITUITARY_BELOW_CHIASM_MM
    gland = chiasm + np.array([-down, back, 0.0]) + rng.normal(0, 0.8, 3)
    radii = np.array(PITUITARY_RADII_MM) * rng.uniform(0.75, 1.25, 3)
    top = chiasm + np.array([-1.0, 5.0, 0.0]) + rng.normal(0, 0.5, 3)
    stalk = lay_tube(
        terrain.frame.to_index(np.stack([top, (top + gland) / 2 + np.array([0.0, 1.0, 0.0]), gland])),
        float(rng.uniform(*STALK_RADIUS_MM)),
        rng,
    )
    return [paint_body(terrain, gland, radii, rng, None, 0.1), paint([stalk], terrain.shape)]


def _pineal(
    terrain: Terrain, settings: ContrastSettings, rng: np.random.Generator
) -> list[tuple[Box, Floats]]:
    """Paint the pineal, solid or around a cyst, and the area postrema at the foot of the fourth ventricle."""
    pieces = []
    if rng.random() < settings.pineal_share:
        centre = np.array(PINEAL_MM) + rng.normal(0, 1.2, 3)
        radii = rng.uniform(*settings.pineal_radius_mm) * rng.uniform(0.8, 1.2, 3)
        box, fraction = paint_body(terrain, centre, radii, rng, None, 0.15)
        if rng.random() < settings.pineal_cyst_share:
            fraction = fraction * (1 - paint_core(terrain, box, centre, 0.6 * radii))
        pieces.append((box, fraction))
    if rng.random() < settings.area_postrema_share:
        lowest = _ventricle(terrain, FOURTH)
        obex = lowest[np.argmin(lowest[:, 0])] if len(lowest) else np.array(OBEX_MM)
        pieces.append(paint_body(terrain, obex, rng.uniform(0.8, 1.6, 3), rng))
    return pieces
