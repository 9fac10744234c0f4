"""How measures and places are said on a page."""

from __future__ import annotations

from core.lesion import Lesion, Location, Region

CUBIC_CENTIMETRE_MM3 = 1000.0
SMALL_MM3 = 10.0
"""Below this a volume is a few voxels: a decimal tells them apart."""


def volume(volume_mm3: float) -> str:
    """Return a volume with its unit: mm³ for small ones, else cm³."""
    if volume_mm3 >= CUBIC_CENTIMETRE_MM3:
        return f"{volume_mm3 / CUBIC_CENTIMETRE_MM3:.2f} cm³"
    return f"{volume_mm3:.1f} mm³" if 0 < volume_mm3 < SMALL_MM3 else f"{volume_mm3:.0f} mm³"


def axes(lesion: Lesion) -> str:
    """Return long and short axis."""
    return f"{lesion.long_axis.length_mm:.1f} × {lesion.short_axis.length_mm:.1f} mm"


def place(location: Location) -> str:
    """Return part of the brain and side; nothing finer is claimed than was found."""
    region = location.region.value.replace("_", " ")
    if location.side is None:
        return region
    return (
        f"{location.side.value} side"
        if location.region is Region.BRAIN
        else f"{location.side.value} {region}"
    )


def members(lesion: Lesion) -> str:
    """Return how many members agree."""
    return f"{lesion.members_agreeing} of {lesion.members_total}"


def counted(number: int) -> str:
    """Return how many lesions there are."""
    return "No lesion found" if number == 0 else f"{number} lesion{'' if number == 1 else 's'}"
