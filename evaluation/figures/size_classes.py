"""The paper's size classes: limits of volume that stand for diameters of spheres."""

from __future__ import annotations

import math
from types import MappingProxyType

VOLUME_LIMIT_MM3 = MappingProxyType({3: 14.0, 5: 65.0, 6: 113.0, 10: 523.0})
"""Diameter in mm -> the volume a lesion of at least that diameter exceeds (0.014, 0.065, 0.113 cm3
in the paper; 10 mm by the same rounding)."""

SIZE_CLASSES = MappingProxyType(
    {
        "all": (0.0, math.inf),
        "lt_3mm": (0.0, VOLUME_LIMIT_MM3[3]),
        "lt_5mm": (0.0, VOLUME_LIMIT_MM3[5]),
        "lt_6mm": (0.0, VOLUME_LIMIT_MM3[6]),
        "from_3_to_6mm": (VOLUME_LIMIT_MM3[3], VOLUME_LIMIT_MM3[6]),
        "from_6_to_10mm": (VOLUME_LIMIT_MM3[6], VOLUME_LIMIT_MM3[10]),
        "ge_3mm": (VOLUME_LIMIT_MM3[3], math.inf),
        "ge_5mm": (VOLUME_LIMIT_MM3[5], math.inf),
        "ge_6mm": (VOLUME_LIMIT_MM3[6], math.inf),
        "ge_10mm": (VOLUME_LIMIT_MM3[10], math.inf),
    }
)
"""Name -> volumes in mm3: above the first, up to and with the second."""


def in_size_class(volume_mm3: float, size: str) -> bool:
    """Tell whether a lesion of this volume belongs to a size class."""
    low, high = SIZE_CLASSES[size]
    return low < volume_mm3 <= high
