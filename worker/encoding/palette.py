"""Display colours of lesions: the same number has the same colour in every object."""

from __future__ import annotations

RGB = tuple[int, int, int]

LESION_COLOURS: tuple[RGB, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
"""The set of Okabe and Ito without its black: told apart with every common colour vision deficiency."""


def lesion_colour(number: int) -> RGB:
    """Return the sRGB colour of the lesion with this number (from 1); colours repeat after seven."""
    return LESION_COLOURS[(number - 1) % len(LESION_COLOURS)]
