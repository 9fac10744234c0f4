"""How well a series fits a role: rules with points, and the words people read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from core.study import Vector
from service.selection.acquisition_times import are_equal, is_after
from service.selection.image_kinds import DixonPart
from service.selection.series_stacks import Stack, slice_normal
from service.selection.series_traits import MIN_SLICES, Anatomy, Contrast, Correction, SeriesTraits
from service.selection.series_weighting import Family

MAX_SPACING_MM = 6.0
"""A lesion of a few millimetres falls between slices further apart."""

MIN_COVERAGE_MM = 80.0
"""A brain is about 130 mm high: less is a slab (pituitary, orbits, angiography)."""

MAX_PIXEL_SPACING_MM = 2.0
"""In the plane of the slices."""

PARALLEL_COSINE = 0.95
"""Slice normals within 18 degrees count as one orientation."""


class Obstacle(Enum):
    """Why a series cannot be a source, most fundamental first."""

    RESULT = "result"
    NOT_MR = "not MR"
    NOT_A_SCAN = "not a scan"
    NOT_T1 = "not T1"
    WRONG_ANATOMY = "wrong anatomy"
    UNSUPPORTED_GEOMETRY = "unsupported geometry"
    IRREGULAR_GEOMETRY = "irregular geometry"


@dataclass(frozen=True, slots=True)
class Hindrance:
    """An obstacle, and what was found and expected."""

    obstacle: Obstacle
    words: str


@dataclass(frozen=True, slots=True)
class Score:
    """Points, and the rules that gave them."""

    points: float
    reasons: tuple[str, ...]


NO_FRAME_OF_REFERENCE_POINTS = -100.0
"""More than all else together: planning systems cannot place results without one."""

_NO_FRAME_OF_REFERENCE = "no Frame of Reference UID: any T1 post-contrast that has one is preferred"

Rule = tuple[float, Callable[[SeriesTraits], bool], str]
PairRule = tuple[float, Callable[[SeriesTraits, SeriesTraits], bool], str]


def find_hindrance(traits: SeriesTraits) -> Hindrance | None:
    """Return what keeps a series from being a T1 or T1-post, or None."""
    for obstacle, applies, describe in _OBSTACLES:
        if applies(traits):
            return Hindrance(obstacle, describe(traits))
    return _geometric_hindrance(traits)


def score_series(traits: SeriesTraits) -> Score:
    """Return how well a T1-weighted series serves planning."""
    met = [(points, reason) for points, applies, reason in _RULES if applies(traits)]
    return Score(sum(points for points, _ in met), tuple(reason for _, reason in met))


def score_t1_post(traits: SeriesTraits) -> Score:
    """Return how well a series serves as T1-post, the grid that all results lie on."""
    score = score_series(traits)
    if traits.first.frame_of_reference_uid:
        return score
    return Score(score.points + NO_FRAME_OF_REFERENCE_POINTS, (*score.reasons, _NO_FRAME_OF_REFERENCE))


def score_pair(t1: SeriesTraits, t1_post: SeriesTraits) -> Score:
    """Return how well a T1 fits beside a T1-post: the subtraction wants two alike scans."""
    met = [(points, reason) for points, applies, reason in _PAIR_RULES if applies(t1, t1_post)]
    return Score(sum(points for points, _ in met), tuple(reason for _, reason in met))


def is_same_acquisition(one: SeriesTraits, other: SeriesTraits) -> bool:
    """Tell whether two series are reconstructions of one acquisition (ND and DIS3D, a reformat)."""
    if one.is_reformatted or other.is_reformatted:
        return True
    return are_equal(one.acquired_at, other.acquired_at)


def why_of_post(traits: SeriesTraits, post: SeriesTraits) -> str:
    """Return why a series not known to be native shows the T1-post's contrast; empty when it may not.

    A series is known to precede the contrast by its time only; a computed one may come from either.
    """
    if traits.contrast is not Contrast.UNKNOWN:
        return ""
    if are_equal(traits.acquired_at, post.acquired_at):
        return "a reconstruction of the T1 post-contrast, acquired at the same time: no T1"
    is_after_post = is_after(traits.acquired_at, post.acquired_at)
    if is_after_post:
        return "acquired after the T1 post-contrast: shows contrast agent, no T1"
    if traits.is_derived and is_after_post is None:
        return "a derived series not known to be native, perhaps of the T1 post-contrast: no T1"
    return ""


def are_alike(one: SeriesTraits, other: SeriesTraits) -> bool:
    """Tell whether two series are one protocol, run twice."""
    same = (one.line, one.family, one.correction) == (other.line, other.family, other.correction)
    return same and _are_parallel(one, other) and _have_like_spacing(one, other)


def _stack(traits: SeriesTraits) -> Stack:
    if traits.stack is None:
        raise ValueError("a series without geometry is never scored")
    return traits.stack


_OBSTACLES: Sequence[tuple[Obstacle, Callable[[SeriesTraits], bool], Callable[[SeriesTraits], str]]] = (
    (Obstacle.RESULT, lambda t: t.is_result, lambda _: "a result of an analysis, never a source"),
    (
        Obstacle.NOT_MR,
        lambda t: not t.is_mr,
        lambda t: f"modality {t.first.modality or 'unknown'}, not an MR image",
    ),
    (Obstacle.NOT_A_SCAN, lambda t: bool(t.not_a_scan), lambda t: f"{t.not_a_scan}, not an acquired stack"),
    (Obstacle.NOT_T1, lambda t: not t.weighting.is_t1, lambda t: f"not T1: {t.weighting.words}"),
    (
        Obstacle.WRONG_ANATOMY,
        lambda t: t.anatomy is Anatomy.OTHER,
        lambda t: f"body part {t.first.body_part_examined or 'by its description'}, expected the head",
    ),
)


def _geometric_hindrance(traits: SeriesTraits) -> Hindrance | None:
    stack = traits.stack
    if stack is None or traits.first.pixel_spacing_mm is None:
        return Hindrance(Obstacle.UNSUPPORTED_GEOMETRY, "its headers do not say where its slices lie")
    pixel_mm = max(traits.first.pixel_spacing_mm)
    limits = (
        (stack.slices < MIN_SLICES, f"{stack.slices} slices, expected at least {MIN_SLICES}"),
        (
            stack.spacing_mm > MAX_SPACING_MM,
            f"slices {stack.spacing_mm:.1f} mm apart, expected at most {MAX_SPACING_MM:g}",
        ),
        (
            pixel_mm > MAX_PIXEL_SPACING_MM,
            f"pixels of {pixel_mm:.1f} mm, expected at most {MAX_PIXEL_SPACING_MM:g}",
        ),
    )
    for exceeded, description in limits:
        if exceeded:
            return Hindrance(Obstacle.UNSUPPORTED_GEOMETRY, description)
    if stack.irregularity:
        return Hindrance(Obstacle.IRREGULAR_GEOMETRY, stack.irregularity)
    if stack.coverage_mm < MIN_COVERAGE_MM:
        description = f"covers {stack.coverage_mm:.0f} mm, expected at least {MIN_COVERAGE_MM:g}"
        return Hindrance(Obstacle.UNSUPPORTED_GEOMETRY, description)
    return None


_RULES: Sequence[Rule] = (
    (30, lambda t: t.is_3d, "3-D acquisition"),
    (16, lambda t: t.correction is Correction.THREE_D, Correction.THREE_D.value),
    (8, lambda t: t.correction is Correction.TWO_D, Correction.TWO_D.value),
    (6, lambda t: t.correction is Correction.UNKNOWN, Correction.UNKNOWN.value),
    (0, lambda t: t.correction is Correction.NONE, Correction.NONE.value),
    (25, lambda t: _stack(t).spacing_mm <= 1.25, "slices at most 1.25 mm apart"),
    (18, lambda t: 1.25 < _stack(t).spacing_mm <= 2.0, "slices at most 2 mm apart"),
    (8, lambda t: 2.0 < _stack(t).spacing_mm <= 3.5, "slices at most 3.5 mm apart"),
    (0, lambda t: _stack(t).spacing_mm > 3.5, "thick slices"),
    (10, lambda t: _stack(t).coverage_mm >= 140.0, "covers the head"),
    (5, lambda t: 110.0 <= _stack(t).coverage_mm < 140.0, "covers the brain, barely"),
    (6, lambda t: t.family is Family.PREPARED_GRADIENT_ECHO, Family.PREPARED_GRADIENT_ECHO.value),
    (4, lambda t: t.anatomy is Anatomy.HEAD, "of the head"),
    (-2, lambda t: t.dixon_part is DixonPart.IN_PHASE, "in-phase image of a Dixon scan"),
    (-20, lambda t: t.is_reformatted, "a reformat, not as acquired"),
)
"""Points for planning: geometry that is true and fine counts most; ties go to the later scan."""


def _are_parallel(one: SeriesTraits, other: SeriesTraits) -> bool:
    a: Vector = slice_normal(one.first)
    b: Vector = slice_normal(other.first)
    return abs(a[0] * b[0] + a[1] * b[1] + a[2] * b[2]) >= PARALLEL_COSINE


def _have_like_spacing(one: SeriesTraits, other: SeriesTraits) -> bool:
    narrow, wide = sorted((_stack(one).spacing_mm, _stack(other).spacing_mm))
    return wide <= 1.5 * narrow


_PAIR_RULES: Sequence[PairRule] = (
    (
        20,
        lambda t1, post: t1.first.frame_of_reference_uid == post.first.frame_of_reference_uid != "",
        "in the frame of reference of the T1 post-contrast",
    ),
    (20, lambda t1, post: t1.family is post.family, "same kind of sequence"),
    (18, lambda t1, post: t1.correction is post.correction, "same distortion correction"),
    (10, _are_parallel, "same orientation"),
    (10, _have_like_spacing, "like slice spacing"),
    (10, lambda t1, _: t1.contrast is Contrast.NOT_GIVEN, "known to be native"),
    (
        10,
        lambda t1, post: is_after(post.acquired_at, t1.acquired_at) is True,
        "acquired before the T1 post-contrast",
    ),
)
