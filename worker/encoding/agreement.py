"""What every check of an object read back says when it disagrees with the findings."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from core.errors import Defect


def distance_mm(first: ArrayLike, second: ArrayLike) -> float:
    """Return the largest distance between points that belong together, (3,) or (n, 3)."""
    return float(np.linalg.norm(np.asarray(first) - np.asarray(second), axis=-1).max())


def check_same(what: str, found: object, expected: object) -> None:
    """Raise a Defect that names both values, unless they are equal."""
    if found != expected:
        raise Defect(f"{what}: read back {found!r}, expected {expected!r}")
