"""Codes read from an object -> the location they state: nothing here is shared with the writers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pydicom import Dataset

from core.errors import Defect
from core.lesion import Location, Region, Side

CodeKey = tuple[str, str]
"""Coding scheme designator and code value."""

_REGIONS: Mapping[CodeKey, Region] = MappingProxyType(
    {
        ("SCT", "12738006"): Region.BRAIN,
        ("SCT", "83251001"): Region.FRONTAL_LOBE,
        ("SCT", "16630005"): Region.PARIETAL_LOBE,
        ("SCT", "78277001"): Region.TEMPORAL_LOBE,
        ("SCT", "31065004"): Region.OCCIPITAL_LOBE,
        ("SCT", "36169008"): Region.INSULA,
        ("SCT", "113305005"): Region.CEREBELLUM,
        ("SCT", "119238007"): Region.BRAIN_STEM,
    }
)
_SIDES: Mapping[CodeKey, Side] = MappingProxyType(
    {("SCT", "7771000"): Side.LEFT, ("SCT", "24028007"): Side.RIGHT}
)
_DEEP_GREY_MATTER: CodeKey = ("99METSERVE", "deep-grey-matter")


def code_key(code: Dataset) -> CodeKey:
    """Return the scheme and value of a code sequence item."""
    return str(code.CodingSchemeDesignator), str(code.CodeValue)


def read_location(site: CodeKey, modifiers: Sequence[CodeKey]) -> Location:
    """Return the location that a site and its modifiers state.

    Raises
    ------
    Defect
        A code is none of ours, or says what another one contradicts.
    """
    sides = [_SIDES[key] for key in modifiers if key in _SIDES]
    others = [key for key in modifiers if key not in _SIDES]
    if site not in _REGIONS or len(sides) > 1 or others not in ([], [_DEEP_GREY_MATTER]):
        raise Defect(f"a site is read back as {site} with modifiers {list(modifiers)}, which is no location")
    region = _REGIONS[site]
    if others and region is not Region.BRAIN:
        raise Defect(f"a site is read back as deep grey matter of {region}, expected of {Region.BRAIN}")
    return Location(Region.DEEP_GREY_MATTER if others else region, sides[0] if sides else None)
