"""When a series was acquired, and which of two was first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from core.study import InstanceHeader

HALF_DAY_S = 43_200.0
"""Two times of one examination without dates that lie further apart were taken around midnight."""


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """A point in time as the scanner's clock showed it.

    Parameters
    ----------
    day
        Proleptic ordinal of the date; 0 when no date is known.
    second_s
        Seconds since midnight.
    """

    day: int
    second_s: float


def earliest_acquisition(headers: Iterable[InstanceHeader]) -> Moment | None:
    """Return when a series' first instance was acquired; slices of 2-D scans have times of their own."""
    moments = (_moment(header) for header in headers)
    return min((moment for moment in moments if moment), default=None)


def is_after(one: Moment | None, other: Moment | None) -> bool | None:
    """Tell whether one moment is after another; None when one is missing or they are equal."""
    if one is None or other is None or are_equal(one, other):
        return None
    if one.day and other.day:
        return one > other
    around_midnight = abs(one.second_s - other.second_s) > HALF_DAY_S
    return (one.second_s > other.second_s) != around_midnight


def are_equal(one: Moment | None, other: Moment | None) -> bool:
    """Tell whether two moments are one; a missing date equals every date."""
    if one is None or other is None:
        return False
    return one.second_s == other.second_s and (one.day == other.day or not (one.day and other.day))


def _moment(header: InstanceHeader) -> Moment | None:
    second_s = _seconds(header.acquisition_time)
    return None if second_s is None else Moment(_day(header.acquisition_date), second_s)


def _seconds(time: str) -> float | None:
    """Return a DICOM TM (PS3.5 6.2) as seconds since midnight."""
    try:
        return int(time[0:2]) * 3600 + int(time[2:4] or 0) * 60 + float(time[4:] or 0)
    except ValueError:
        return None


def _day(text: str) -> int:
    """Return the ordinal of a DICOM DA (PS3.5 6.2), 0 when there is none."""
    try:
        return date(int(text[0:4]), int(text[4:6]), int(text[6:8])).toordinal()
    except ValueError:
        return 0
