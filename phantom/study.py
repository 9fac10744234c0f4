"""A study with known truth: the phantom's public interface."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidInput
from core.geometry import Grid
from phantom.anatomy import template_head
from phantom.fields import Floats, Mask, smooth_noise
from phantom.head import Head
from phantom.lesions import CORE_T1, TEXTURE, LesionTruth, PlacedLesion, place_lesions, rasterise
from phantom.scanner import (
    Matrix,
    Orientation,
    ScannerQuality,
    acquire,
    plan_grid,
    rigid_matrix,
    sample_slices,
)
from phantom.vessels import add_blood, grow_vessels

RANDOM_ROTATION_DEG, RANDOM_TRANSLATION_MM = 6.0, 8.0
"""Greatest offset between T1 and T1-post when none is asked for: a patient who moved within a head coil."""

COVERAGE_MM = 178.0
"""From the vertex down to the mouth, as planning scans are laid."""

FIELD_MARGIN_MM = 8.0
"""Air around the head within the field of view."""

WHITE_MATTER_STORED = 900.0
"""Stored value of white matter before each series' own gain."""

GAIN_SPREAD = 0.25
"""Standard deviation of the logarithm of a series' gain: receivers are set anew for each."""


@dataclass(frozen=True)
class PhantomSpec:
    """What study to make; the same specification gives the same study, bit for bit.

    Parameters
    ----------
    seed
        Everything random comes from it.
    large_lesions, small_lesions
        How many with an equivalent diameter above and below 6 mm.
    spacing_kji_mm
        Of T1-post; of T1 too unless ``t1_spacing_kji_mm`` is given.
    orientation, oblique_deg
        Plane of the slices, and their tilt.
    rotation_deg, translation_mm
        Size of the rigid offset between T1 and T1-post; None for a small random one.
    noise, bias, blur_mm
        See ``ScannerQuality``.
    with_t1
        Whether the study has a T1 at all.
    with_vessels
        Whether vessels, sinuses, glands and dura enhance.
    """

    seed: int = 0
    large_lesions: int = 12
    small_lesions: int = 12
    spacing_kji_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)
    t1_spacing_kji_mm: tuple[float, float, float] | None = None
    orientation: Orientation | str = Orientation.AXIAL
    oblique_deg: float = 0.0
    rotation_deg: float | None = None
    translation_mm: float | None = None
    noise: float = 0.03
    bias: float = 0.10
    blur_mm: float = 0.35
    with_t1: bool = True
    with_vessels: bool = True

    def __post_init__(self) -> None:
        if self.large_lesions < 0 or self.small_lesions < 0:
            raise InvalidInput(
                f"{self.large_lesions} large, {self.small_lesions} small lesions; expected 0 or more of each"
            )
        spacings = (*self.spacing_kji_mm, *(self.t1_spacing_kji_mm or ()))
        if min(spacings) < 0.4 or max(spacings) > 10:  # finer fills memory, coarser shows no lesion
            raise InvalidInput(f"spacing {spacings} mm, expected 0.4 to 10 mm")
        if self.orientation not in list(Orientation):
            raise InvalidInput(
                f"orientation {self.orientation!r}, expected one of {[*map(str, Orientation)]}"
            )

    @classmethod
    def small(cls, seed: int = 0) -> PhantomSpec:
        """Return a coarse study with few lesions: a whole head, made and analysed quickly."""
        return cls(seed=seed, large_lesions=4, small_lesions=2, spacing_kji_mm=(2.5, 1.5, 1.5))


class Scan(NamedTuple):
    """One series: float32 stored values (slices, rows, columns), and where they lie."""

    voxels_kji: Floats
    grid: Grid


@dataclass(frozen=True, eq=False)
class PhantomTruth:
    """What is known of the study.

    Parameters
    ----------
    lesions
        By number, largest first.
    t1_to_t1_post_lps
        4 x 4: a point of the patient in T1's frame to the same point in T1-post's, LPS mm.
    label_map
        uint16 on T1-post's grid: the number of the lesion whose enhancing part fills half of the voxel.
    brain_mask
        On T1-post's grid.
    """

    lesions: tuple[LesionTruth, ...]
    t1_to_t1_post_lps: NDArray[np.float64]
    label_map: NDArray[np.uint16]
    brain_mask: Mask


@dataclass(frozen=True, eq=False)
class PhantomStudy:
    """Two scans of one head, and the truth about them; ``t1`` is None without one."""

    spec: PhantomSpec
    t1: Scan | None
    t1_post: Scan
    truth: PhantomTruth


def generate_study(spec: PhantomSpec, head: Head | None = None) -> PhantomStudy:
    """Make a study: grow the anatomy, lay lesions into it, scan it twice.

    Parameters
    ----------
    spec
        What to make.
    head
        Anatomy to use in place of the public one.

    Raises
    ------
    InvalidInput
        The package with the public anatomy is missing, or the brain has no room for the lesions.
    """
    streams = random_streams(spec.seed)
    head = template_head(streams[0]) if head is None else head
    t1_signal, post_signal, sinus = _with_vessels(spec, head, streams[1])
    lesions = place_lesions(head, sinus, spec.large_lesions, spec.small_lesions, streams[2])
    offset = _offset(spec, head, streams[3])
    post_grid, label_map, post = _scan(spec, head, post_signal, lesions, np.eye(4), streams[4], is_post=True)
    t1 = None
    if spec.with_t1:
        t1_grid, _, voxels = _scan(spec, head, t1_signal, lesions, offset, streams[5], is_post=False)
        t1 = Scan(voxels, t1_grid)
    truth = PhantomTruth(
        lesions=tuple(lesion.truth for lesion in lesions),
        t1_to_t1_post_lps=offset,
        label_map=label_map,
        brain_mask=sample_slices(head.brain_mask.astype(np.float32), head.grid, post_grid, np.eye(4)) >= 0.5,
    )
    return PhantomStudy(spec, t1, Scan(post, post_grid), truth)


def random_streams(seed: int) -> list[np.random.Generator]:
    """Return independent streams for anatomy, vessels, lesions, offset, T1-post and T1, in this order.

    One part's draws never shift another's: a study without T1 has the same T1-post.
    """
    return [np.random.default_rng(stream) for stream in np.random.SeedSequence(seed).spawn(6)]


def _with_vessels(spec: PhantomSpec, head: Head, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Return T1 signal, T1-post signal, and the venous sinuses, where no lesion may lie."""
    if not spec.with_vessels:
        return head.t1, head.t1_post, np.zeros(head.grid.shape_kji, dtype=np.float32)
    contrast = grow_vessels(head, rng)
    return *add_blood(head, contrast), contrast.sinus


def _offset(spec: PhantomSpec, head: Head, rng: np.random.Generator) -> Matrix:
    rotation, translation = rng.uniform(0, RANDOM_ROTATION_DEG), rng.uniform(0, RANDOM_TRANSLATION_MM)
    centre = head.grid.to_lps_mm((np.array(head.grid.shape_kji) - 1) / 2)
    return rigid_matrix(
        rotation if spec.rotation_deg is None else spec.rotation_deg,
        translation if spec.translation_mm is None else spec.translation_mm,
        centre,
        rng,
    )


def _scan(
    spec: PhantomSpec,
    head: Head,
    signal: Floats,
    lesions: tuple[PlacedLesion, ...],
    to_head_lps: Matrix,
    rng: np.random.Generator,
    *,
    is_post: bool,
) -> tuple[Grid, NDArray[np.uint16], Floats]:
    """Scan the head in one position: grid, labels of the lesions on it, stored values."""
    spacing = spec.spacing_kji_mm if is_post else spec.t1_spacing_kji_mm or spec.spacing_kji_mm
    extent, centre = _field_of_view(head)
    centre_here = np.linalg.inv(to_head_lps) @ np.append(centre, 1)
    grid = plan_grid(extent, centre_here[:3], spacing, Orientation(spec.orientation), spec.oblique_deg)
    ideal = sample_slices(signal, head.grid, grid, to_head_lps)
    labels = paint_lesions(ideal, grid, lesions, to_head_lps, rng, is_post=is_post)
    gain = WHITE_MATTER_STORED * float(np.exp(GAIN_SPREAD * rng.standard_normal()))
    quality = ScannerQuality(spec.noise, spec.bias, spec.blur_mm, gain)
    return grid, labels, acquire(ideal, grid, quality, rng)


def _field_of_view(head: Head) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return edges (L, P, S) and centre of the box to scan: all of the head but what lies below the mouth."""
    inside = np.argwhere(head.t1[::4, ::4, ::4] > 0.05) * 4  # tissue, not air
    ends = head.grid.to_lps_mm(np.stack([inside.min(axis=0), inside.max(axis=0)]))
    lowest, highest = ends.min(axis=0) - FIELD_MARGIN_MM, ends.max(axis=0) + FIELD_MARGIN_MM
    lowest[2] = max(lowest[2], highest[2] - COVERAGE_MM)
    return highest - lowest, (lowest + highest) / 2


def paint_lesions(
    ideal: Floats,
    grid: Grid,
    lesions: tuple[PlacedLesion, ...],
    to_t1_post_lps: Matrix,
    rng: np.random.Generator,
    *,
    is_post: bool,
) -> NDArray[np.uint16]:
    """Paint lesions into an ideal signal, in place, and return their label map."""
    labels = np.zeros(grid.shape_kji, dtype=np.uint16)
    for lesion in lesions:
        fractions = rasterise(lesion, grid, to_t1_post_lps)
        if fractions is None:
            continue
        enhancing, core = fractions.enhancing, fractions.core
        contrast = lesion.truth.contrast if is_post else 0.0
        texture = 1 + TEXTURE * smooth_noise(
            rng, (enhancing.shape[0], enhancing.shape[1], enhancing.shape[2]), 2
        )
        wall = lesion.signal_t1 + contrast * texture
        here = ideal[fractions.box]
        ideal[fractions.box] = here * (1 - enhancing - core) + wall * enhancing + CORE_T1 * core
        label_half_filled(labels[fractions.box], enhancing, lesion.truth.number)
    return labels


def label_half_filled(labels: NDArray[np.uint16], enhancing: Floats, number: int) -> None:
    """Label voxels that are half enhancing; a lesion too thin for any keeps its fullest voxel."""
    if enhancing.size:
        labels[enhancing >= min(0.5, float(enhancing.max()))] = number


def without_t1(study: PhantomStudy) -> PhantomStudy:
    """Return the study as it is when the T1 was never sent."""
    return replace(study, spec=replace(study.spec, with_t1=False), t1=None)
