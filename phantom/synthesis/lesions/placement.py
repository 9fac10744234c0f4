"""Where metastases lie: within the brain, apart from each other, at the places emboli go to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy import ndimage

from core.errors import InvalidInput
from phantom.fields import Floats, Mask, Points
from phantom.star import even_directions
from phantom.synthesis.anatomy.label_map import Anatomy, brain_mask, member_mask
from phantom.synthesis.anatomy.morphology import grow
from phantom.synthesis.anatomy.structures import Structure
from phantom.synthesis.lesions.room import CSF, Indices, Room, footprint_of
from phantom.synthesis.lesions.settings import MetastasisSettings
from phantom.synthesis.lesions.shape import LesionBody

TISSUE_SHARE = (0.72, 1.0)
"""Least and greatest share of tissue within a body: large ones span sulci."""

TISSUE_SHARE_AT_SURFACE = (0.45, 0.995)
"""The same for one that touches CSF."""

COARSE_STEP = 2
"""Maps of places are kept at every second voxel: eight times faster, and 2 mm decide nothing."""

TRIES = 1500
"""Places tried for one body in one kind of location."""

TOUCH_TRIES = 20
REDRAWS = 40
"""Sizes tried before a brain is called full."""


class MetastasisLocation(StrEnum):
    """Where a metastasis lies."""

    JUNCTION = "grey_white_junction"
    DEEP_WHITE = "deep_white_matter"
    CEREBELLUM = "cerebellum"
    CENTRAL = "brainstem_or_deep_grey"
    SURFACE = "touching_csf_or_dura"


MEMBERS = {
    MetastasisLocation.CEREBELLUM: frozenset({Structure.CEREBELLAR_WHITE, Structure.CEREBELLAR_CORTEX}),
    MetastasisLocation.CENTRAL: frozenset(
        {
            Structure.BRAINSTEM,
            Structure.THALAMUS,
            Structure.DEEP_GREY,
            Structure.PALLIDUM,
            Structure.HIPPOCAMPUS,
        }
    ),
}


@dataclass(frozen=True, eq=False)
class PlacedBody:
    """A body in a head.

    Parameters
    ----------
    body
        Its centre is in the head's LPS.
    location
        The kind of place it was put in.
    redrawn
        The size first drawn fitted nowhere; this is a smaller one.
    """

    body: LesionBody
    location: MetastasisLocation
    redrawn: bool


@dataclass(frozen=True, eq=False)
class _Places:
    """Where centres may lie, at every second voxel of the head."""

    pools: dict[MetastasisLocation, Indices]
    """Per location (n, 3) indices into the head."""
    free_depth_mm: Floats
    """Distance to what is not brain or is blocked."""
    wet_distance_mm: Floats
    """Distance to CSF or to what is not brain or is blocked."""


def place_bodies(
    anatomy: Anatomy,
    blocked: Mask,
    bodies: Sequence[LesionBody],
    redraw_below: Callable[[LesionBody], LesionBody],
    settings: MetastasisSettings,
    rng: np.random.Generator,
) -> tuple[PlacedBody, ...]:
    """Put every body into the brain, in the order given: largest first leaves room for all.

    Parameters
    ----------
    anatomy
        The head.
    blocked
        On the head's grid: where no lesion may lie.
    bodies
        Shapes at the origin.
    redraw_below
        Gives a smaller body in place of one that fits nowhere.
    settings
        Locations and gaps.

    Raises
    ------
    InvalidInput
        The brain has no room even for small bodies.
    """
    brain = brain_mask(anatomy.labels_kji)
    places, room = _find_places(anatomy, brain, blocked, settings), Room(anatomy, brain, blocked)
    placed: list[PlacedBody] = []
    for first_drawn in bodies:
        body = first_drawn
        for _ in range(REDRAWS):
            found = _place(anatomy, body, places, room, placed, settings, rng)
            if found is not None:
                placed.append(PlacedBody(*found, redrawn=body is not first_drawn))
                break
            body = redraw_below(body)
        else:
            raise InvalidInput(
                f"no room for lesion {len(placed) + 1} of {len(bodies)} in the brain of {anatomy.name!r}; "
                "expected fewer lesions, or more brain that is not blocked"
            )
    return tuple(placed)


def _place(
    anatomy: Anatomy,
    body: LesionBody,
    places: _Places,
    room: Room,
    placed: Sequence[PlacedBody],
    settings: MetastasisSettings,
    rng: np.random.Generator,
) -> tuple[LesionBody, MetastasisLocation] | None:
    if placed and rng.random() < settings.touching_share:
        partner = int(rng.integers(len(placed)))
        touching = _place_against(anatomy, body, placed[partner].body, partner + 1, room, settings, rng)
        if touching is not None:
            return touching, placed[partner].location
    footprint = footprint_of(anatomy, body, rng.uniform(-0.5, 0.5, 3), settings.gap_mm)
    for location in _locations(settings, rng):
        centres = _candidates(places, location, body, rng)
        at_surface = location is MetastasisLocation.SURFACE
        share = TISSUE_SHARE_AT_SURFACE if at_surface else TISSUE_SHARE
        centre = room.first_fit(centres, footprint, share)
        if centre is not None:
            room.take(centre, footprint)
            return body.at(anatomy.grid.to_lps_mm(centre + footprint.jitter_voxels)), location
    return None


def _place_against(
    anatomy: Anatomy,
    body: LesionBody,
    partner: LesionBody,
    partner_number: int,
    room: Room,
    settings: MetastasisSettings,
    rng: np.random.Generator,
) -> LesionBody | None:
    directions = even_directions(TOUCH_TRIES)[rng.permutation(TOUCH_TRIES)]
    contact_mm = partner.radius_mm(directions) + body.radius_mm(-directions)
    for direction, distance_mm in zip(directions, contact_mm, strict=True):
        here = body.at(partner.star.centre_lps_mm + direction * distance_mm)
        index = anatomy.grid.to_index_kji(here.star.centre_lps_mm)
        centre = np.rint(index).astype(np.intp)
        footprint = footprint_of(anatomy, body, index - centre, settings.gap_mm)
        points_mm = anatomy.grid.to_lps_mm(centre + footprint.body) - partner.star.centre_lps_mm
        rays = partner.rays(points_mm)
        overlaps = (rays.distance_mm < rays.radius_mm).any()
        if not overlaps and room.fits_against(centre, footprint, TISSUE_SHARE[0], partner_number):
            room.take(centre, footprint)
            return here
    return None


def _locations(settings: MetastasisSettings, rng: np.random.Generator) -> list[MetastasisLocation]:
    """Return the drawn location, then the others in drawn order, for bodies that do not fit the first."""
    keys = rng.exponential(size=len(MetastasisLocation)) / np.maximum(settings.location_shares, 1e-9)
    return [list(MetastasisLocation)[n] for n in np.argsort(keys)]


def _candidates(
    places: _Places, location: MetastasisLocation, body: LesionBody, rng: np.random.Generator
) -> Indices:
    """Draw centres of a location that are deep enough for a body."""
    pool = places.pools[location]
    coarse = tuple((pool // COARSE_STEP).T)
    least_mm = body.radius_mm(even_directions(100)).min()
    suitable = places.free_depth_mm[coarse] >= least_mm - COARSE_STEP
    if location is MetastasisLocation.SURFACE:
        wet_mm = places.wet_distance_mm[coarse]
        suitable &= (wet_mm >= 0.5 * least_mm) & (wet_mm <= body.reach_mm + COARSE_STEP)
    pool = pool[suitable]
    if not len(pool):
        return np.zeros((0, 3), dtype=np.intp)
    return np.asarray(pool[rng.integers(len(pool), size=TRIES)] + rng.integers(0, COARSE_STEP, (TRIES, 3)))


def _find_places(anatomy: Anatomy, brain: Mask, blocked: Mask, settings: MetastasisSettings) -> _Places:
    every = (slice(None, None, COARSE_STEP),) * 3
    labels, free = anatomy.labels_kji[every], (brain & ~blocked)[every]
    spacing = np.array(anatomy.grid.spacing_kji_mm) * COARSE_STEP
    white, tissue = labels == Structure.WHITE_MATTER, free & ~member_mask(labels, CSF)
    junction = white & ndimage.binary_dilation(labels == Structure.CORTEX)
    near = grow(junction, settings.junction_reach_mm / float(spacing.mean()))
    cerebrum = white | (labels == Structure.CORTEX)
    masks = {
        MetastasisLocation.JUNCTION: cerebrum & near,
        MetastasisLocation.DEEP_WHITE: white & ~near,
        MetastasisLocation.SURFACE: tissue,
        **{location: member_mask(labels, members) for location, members in MEMBERS.items()},
    }
    return _Places(
        pools={location: np.argwhere(mask & free) * COARSE_STEP for location, mask in masks.items()},
        free_depth_mm=_distance_mm(free, spacing),
        wet_distance_mm=_distance_mm(tissue, spacing),
    )


def _distance_mm(mask: Mask, spacing_kji_mm: Points) -> Floats:
    """Return the distance of each voxel of a mask to the nearest voxel outside it."""
    return np.asarray(ndimage.distance_transform_edt(mask, sampling=spacing_kji_mm), dtype=np.float32)
