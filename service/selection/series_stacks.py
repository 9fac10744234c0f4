"""Which instances of a series form one stack of parallel, equally spaced slices."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

from core.study import InstanceHeader, Vector

DUPLICATE_DISTANCE_MM = 0.01
"""Two slices nearer than this lie at the same position."""

SPACING_TOLERANCE = 0.01
"""Share of the spacing by which two neighbours' distance may differ from it, as the worker demands."""

SPACING_FLOOR_MM = 0.05
"""Positions are rounded to 0.01 mm by some scanners: thin slices are not held to less than this."""

ORIENTATION_DECIMALS = 2
"""Direction cosines that agree to a hundredth belong to one stack; localiser planes differ by one."""

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

    A series that holds several stacks at the same positions is split by echo time, image type,
    acquisition and multi-frame instance, no further than needed.
    """
    placed = [header for header in instances if header.image_orientation and header.frame_positions_lps_mm]
    if not placed:
        return None
    whole = _best_of(placed, _SPLITS[:1])
    chosen = whole
    for depth in range(2, len(_SPLITS) + 1):
        if not chosen.has_duplicates:
            break
        chosen = _best_of(placed, _SPLITS[:depth])
    chosen = whole if chosen.has_duplicates else chosen
    return _with_note(chosen, placed)


def slice_normal(header: InstanceHeader) -> Vector:
    """Return the unit normal of an instance's slices, LPS."""
    if header.image_orientation is None:
        raise ValueError("an instance without Image Orientation (Patient) has no normal")
    ax, ay, az, bx, by, bz = header.image_orientation
    normal = (ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx)
    length = math.hypot(*normal) or 1.0
    return (normal[0] / length, normal[1] / length, normal[2] / length)


def _orientation(header: InstanceHeader) -> Hashable:
    cosines = header.image_orientation or ()
    rounded = tuple(round(value, ORIENTATION_DECIMALS) + 0.0 for value in cosines)
    return rounded, header.rows, header.columns


_SPLITS: tuple[Key, ...] = (
    _orientation,
    lambda header: header.echo_time_ms,
    lambda header: header.image_type,
    lambda header: header.acquisition_number,
    lambda header: header.sop_instance_uid if header.number_of_frames > 1 else "",
)


def _best_of(placed: list[InstanceHeader], keys: tuple[Key, ...]) -> Stack:
    groups: dict[Hashable, list[InstanceHeader]] = {}
    for header in placed:
        groups.setdefault(tuple(key(header) for key in keys), []).append(header)
    return max((_measure(group) for group in groups.values()), key=_preference)


def _preference(stack: Stack) -> tuple[bool, int, float, int, str]:
    """Whole stacks first, then many slices, the short echo (more T1), the later acquisition."""
    first = stack.instances[0]
    echo_time_ms = first.echo_time_ms if first.echo_time_ms is not None else math.inf
    return (
        not stack.has_duplicates,
        stack.slices,
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
