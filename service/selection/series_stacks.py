"""Which instances of a series form one stack of parallel, equally spaced slices."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

from core.study import InstanceHeader, Vector
from service.selection.image_kinds import usefulness

DUPLICATE_DISTANCE_MM = 0.01
"""Two slices nearer than this lie at the same position."""

SPACING_TOLERANCE = 0.01
"""Share of the spacing by which two neighbours' distance may differ from it, as the worker demands."""

SPACING_FLOOR_MM = 0.05
"""Positions are rounded to 0.01 mm by some scanners: thin slices are not held to less than this."""

COSINE_TOLERANCE = 1e-3
"""How far direction cosines of one stack may differ, as the worker demands."""

LIKE_ORIENTATION_TOLERANCE = 0.05
"""Slices tilted by less (three degrees) show the same anatomy: between others, they belong to them."""

Key = Callable[[InstanceHeader], Hashable]


@dataclass(frozen=True, slots=True)
class Stack:
    """Slices of one orientation, sorted along their normal.

    Parameters
    ----------
    spacing_mm
        Median distance of neighbouring slices; 0 for a single one.
    coverage_mm
        From the first slice's centre to the last one's, plus one spacing.
    has_duplicates
        Several slices lie at one position.
    irregularity
        What breaks the equal spacing, in words; empty when nothing does.
    note
        Why this is not the whole series; empty when it is.
    """

    instances: tuple[InstanceHeader, ...]
    slices: int
    spacing_mm: float
    coverage_mm: float
    has_duplicates: bool
    irregularity: str
    note: str = ""


def find_stack(instances: Iterable[InstanceHeader]) -> Stack | None:
    """Return the best stack of a series, None when no instance says where it lies.

    A series that holds several stacks at the same positions is split by image type, echo time,
    acquisition and multi-frame instance, no further than needed.
    """
    placed = [header for header in instances if header.image_orientation and header.frame_positions_lps_mm]
    if not placed:
        return None
    planes = _planes(placed)
    whole = _best_of(planes, ())
    chosen = whole
    for depth in range(1, len(_SPLITS) + 1):
        if not chosen.has_duplicates:
            break
        chosen = _best_of(planes, _SPLITS[:depth])
    chosen = whole if chosen.has_duplicates else chosen
    return _with_note(_without_gaps(chosen, placed), placed)


def slice_normal(header: InstanceHeader) -> Vector:
    """Return the unit normal of an instance's slices, LPS."""
    if header.image_orientation is None:
        raise ValueError("an instance without Image Orientation (Patient) has no normal")
    ax, ay, az, bx, by, bz = header.image_orientation
    normal = (ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx)
    length = math.hypot(*normal) or 1.0
    return (normal[0] / length, normal[1] / length, normal[2] / length)


def _planes(placed: list[InstanceHeader]) -> list[list[InstanceHeader]]:
    """Group instances of one matrix and one orientation, each compared with its group's first."""
    planes: list[list[InstanceHeader]] = []
    for header in sorted(placed, key=lambda header: header.sop_instance_uid):
        plane = next((p for p in planes if _are_in_plane(p[0], header, COSINE_TOLERANCE)), None)
        if plane is None:
            planes.append([header])
        else:
            plane.append(header)
    return planes


def _are_in_plane(one: InstanceHeader, other: InstanceHeader, tolerance: float) -> bool:
    cosines = zip(one.image_orientation or (), other.image_orientation or (), strict=True)
    same_matrix = (one.rows, one.columns) == (other.rows, other.columns)
    return same_matrix and all(abs(a - b) <= tolerance for a, b in cosines)


_SPLITS: tuple[Key, ...] = (
    lambda header: header.image_type,
    lambda header: header.echo_time_ms,
    lambda header: header.acquisition_number,
    lambda header: header.sop_instance_uid if header.number_of_frames > 1 else "",
)


def _best_of(planes: list[list[InstanceHeader]], keys: tuple[Key, ...]) -> Stack:
    groups: dict[Hashable, list[InstanceHeader]] = {}
    for number, plane in enumerate(planes):
        for header in plane:
            groups.setdefault((number, *(key(header) for key in keys)), []).append(header)
    return max((_measure(group) for group in groups.values()), key=_preference)


def _preference(stack: Stack) -> tuple[bool, int, int, float, int, str]:
    """Whole stacks first, then many slices, water, the short echo (more T1), the later acquisition."""
    first = stack.instances[0]
    echo_time_ms = first.echo_time_ms if first.echo_time_ms is not None else math.inf
    return (
        not stack.has_duplicates,
        stack.slices,
        usefulness(first),
        -echo_time_ms,
        first.acquisition_number or 0,
        first.sop_instance_uid,
    )


def _measure(group: list[InstanceHeader]) -> Stack:
    normal = slice_normal(group[0])
    placed = sorted(
        ((_dot(position, normal), header) for header in group for position in header.frame_positions_lps_mm),
        key=lambda pair: (pair[0], pair[1].sop_instance_uid),
    )
    distances_mm = [distance for distance, _ in placed]
    steps_mm = [b - a for a, b in pairwise(distances_mm)]
    spacing_mm = _median(steps_mm)
    return Stack(
        instances=tuple(dict.fromkeys(header for _, header in placed)),
        slices=len(placed),
        spacing_mm=spacing_mm,
        coverage_mm=distances_mm[-1] - distances_mm[0] + spacing_mm,
        has_duplicates=any(step < DUPLICATE_DISTANCE_MM for step in steps_mm),
        irregularity=_irregularity(steps_mm, spacing_mm),
    )


def _irregularity(steps_mm: list[float], spacing_mm: float) -> str:
    duplicates = sum(step < DUPLICATE_DISTANCE_MM for step in steps_mm)
    if duplicates:
        return f"{duplicates} of {len(steps_mm) + 1} slices lie where another lies, expected one a position"
    tolerance_mm = max(SPACING_TOLERANCE * spacing_mm, SPACING_FLOOR_MM)
    if steps_mm and max(abs(step - spacing_mm) for step in steps_mm) > tolerance_mm:
        return f"slices are {min(steps_mm):.2f} to {max(steps_mm):.2f} mm apart, expected {spacing_mm:.2f}"
    return ""


def _without_gaps(stack: Stack, placed: list[InstanceHeader]) -> Stack:
    """Mark a stack irregular when slices of its own scan, a little tilted, lie between its slices."""
    first, last, normal = stack.instances[0], stack.instances[-1], slice_normal(stack.instances[0])
    lowest_mm = min(_dot(position, normal) for position in first.frame_positions_lps_mm)
    highest_mm = max(_dot(position, normal) for position in last.frame_positions_lps_mm)
    between = sum(
        lowest_mm < _dot(position, normal) < highest_mm
        for header in set(placed).difference(stack.instances)
        if _are_of_one_scan(first, header)
        for position in header.frame_positions_lps_mm
    )
    if not between:
        return stack
    irregularity = f"{between} slices between the others are tilted against them, expected one orientation"
    return replace(stack, irregularity=stack.irregularity or irregularity)


def _are_of_one_scan(one: InstanceHeader, other: InstanceHeader) -> bool:
    """Tell whether two instances differ in nothing but a small tilt."""
    is_tilted = not _are_in_plane(one, other, COSINE_TOLERANCE)
    same_scan = all(key(one) == key(other) for key in _SPLITS[:2])
    return is_tilted and same_scan and _are_in_plane(one, other, LIKE_ORIENTATION_TOLERANCE)


def _with_note(stack: Stack, placed: list[InstanceHeader]) -> Stack:
    left_out = len(placed) - len(stack.instances)
    if not left_out:
        return stack
    first = stack.instances[0]
    echo = "" if first.echo_time_ms is None else f", echo time {first.echo_time_ms:g} ms"
    note = f"holds several stacks; used: {len(stack.instances)} of {len(placed)} instances{echo}"
    return replace(stack, note=note)


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2] if values else 0.0


def _dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
