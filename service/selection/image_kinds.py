"""What the images of a series are, when they are not simply those of a scan."""

from __future__ import annotations

import re
from enum import StrEnum

from core.study import InstanceHeader


class DixonPart(StrEnum):
    """The images of one Dixon scan."""

    WATER = "a water image"
    IN_PHASE = "an in-phase image"
    OPPOSED_PHASE = "an opposed-phase image"
    FAT = "a fat image"


_NOT_A_SCAN_IMAGE_TYPES = {
    "SUBTRACTION": "a subtraction",
    "SUB": "a subtraction",
    "MIP": "a projection",
    "MAX_IP": "a projection",
    "MIN_IP": "a projection",
    "MNIP": "a projection",
    "PROJECTION IMAGE": "a projection",
    "VOLUME_RENDER": "a projection",
    "LOCALIZER": "a localiser",
    "ADC": "an ADC map",
    "FA": "a diffusion map",
    "TRACEW": "a diffusion map",
    "PHASE": "a phase image",
    "PHASE MAP": "a phase image",
    "P": "a phase image",
    "SCREEN SAVE": "a screen shot",
    "T1 MAP": "a parameter map",
    "PASTED": "a composed image",
}
_DIXON_IMAGE_TYPES = {
    "WATER": DixonPart.WATER,
    "W": DixonPart.WATER,
    "IN_PHASE": DixonPart.IN_PHASE,
    "IP": DixonPart.IN_PHASE,
    "OPP_PHASE": DixonPart.OPPOSED_PHASE,
    "OUT_PHASE": DixonPart.OPPOSED_PHASE,
    "OPP": DixonPart.OPPOSED_PHASE,
    "OP": DixonPart.OPPOSED_PHASE,
    "FAT": DixonPart.FAT,
    "F": DixonPart.FAT,
    "FAT_FRACTION": DixonPart.FAT,
    "FF": DixonPart.FAT,
}
"""Siemens and GE spell them out, Philips abbreviates."""

_DIXON_WORDS = {
    DixonPart.FAT: re.compile(r"^fat ?:| f( nd| dis[23]d)?$|\bfat[ -]?fraction\b"),
    DixonPart.OPPOSED_PHASE: re.compile(r"\bopp(osed)?\b|\bout ?-?(of)?[ -]?phase\b"),
    DixonPart.WATER: re.compile(r"^water ?:| w( nd| dis[23]d)?$"),
    DixonPart.IN_PHASE: re.compile(r"\bin ?-?phase\b| in( nd| dis[23]d)?$"),
}
"""A prefix with a colon, or a suffix after an underscore: ``FAT SAT`` is no fat image."""


def dixon_part(header: InstanceHeader) -> DixonPart | None:
    """Return which image of a Dixon scan an instance belongs to."""
    for value in header.image_type:
        if value.upper() in _DIXON_IMAGE_TYPES:
            return _DIXON_IMAGE_TYPES[value.upper()]
    description = (header.series_description or header.protocol_name).lower().replace("_", " ").strip()
    return next((part for part, pattern in _DIXON_WORDS.items() if pattern.search(description)), None)


def useless_kind(header: InstanceHeader) -> str:
    """Return what an image is when nothing can be found in it; empty when it is of use."""
    for value in header.image_type:
        if value.upper() in _NOT_A_SCAN_IMAGE_TYPES:
            return _NOT_A_SCAN_IMAGE_TYPES[value.upper()]
    part = dixon_part(header)
    return part.value if part in {DixonPart.FAT, DixonPart.OPPOSED_PHASE} else ""


def usefulness(header: InstanceHeader) -> int:
    """Return 2 for a plain or water image, 1 for an in-phase one, 0 for one that is of no use."""
    if useless_kind(header):
        return 0
    return 1 if dixon_part(header) is DixonPart.IN_PHASE else 2
