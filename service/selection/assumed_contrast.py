"""Two untagged, unnamed scans of one protocol: the later one is taken to be post-contrast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from service.selection.acquisition_times import is_after
from service.selection.series_scores import are_alike
from service.selection.series_traits import Contrast, SeriesTraits

ASSUMED_CONTRAST = "contrast is assumed from the order of acquisition"
"""A motion repeat looks the same: the worker finds no enhancement then and ends the study."""


def assume_contrast(
    usable: Sequence[SeriesTraits], study: Sequence[SeriesTraits]
) -> tuple[SeriesTraits, ...]:
    """Return the usable series, the later of two like 3-D scans with contrast given.

    Nothing is assumed when any MR series of the study says anything about contrast, or when the 3-D
    T1 series are not exactly two acquired stacks of one name, one protocol and different times.
    """
    volumes = [traits for traits in usable if traits.is_3d]
    if any(map(_says_something, study)) or len(volumes) != 2:
        return tuple(usable)
    one, other = volumes
    if one.is_derived or other.is_derived or not are_alike(one, other):
        return tuple(usable)
    is_later = is_after(one.acquired_at, other.acquired_at)
    if is_later is None:
        return tuple(usable)
    post = one if is_later else other
    return tuple(_given(traits) if traits is post else traits for traits in usable)


def _says_something(traits: SeriesTraits) -> bool:
    is_tagged = bool(traits.first.contrast_bolus_agent)
    return traits.is_mr and (is_tagged or traits.contrast is not Contrast.UNKNOWN)


def _given(traits: SeriesTraits) -> SeriesTraits:
    return replace(traits, contrast=Contrast.GIVEN, contrast_source=ASSUMED_CONTRAST)
