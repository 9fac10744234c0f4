"""A sheet: texts, pictures, patches and rules at their places, before anything is drawn.

One description serves both the secondary capture and the PDF, so that they cannot say different things.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray

SHEET_WIDTH_PX, SHEET_HEIGHT_PX = 1024, 1280
"""A viewport's size on the displays radiologists use; near to a sheet of paper's shape."""

MARGIN_PX = 24

RGB = tuple[int, int, int]


class Ink(Enum):
    """What a text is for; its colour depends on the background."""

    TEXT = auto()
    FAINT = auto()
    ALERT = auto()


@dataclass(frozen=True, slots=True)
class Text:
    """One line of text; ``y`` is the top of the line, ``size`` the font's height, all in pixels."""

    x: float
    y: float
    text: str
    size: float
    ink: Ink = Ink.TEXT
    bold: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """A thin horizontal line from ``x`` over ``width`` pixels."""

    x: float
    y: float
    width: float


@dataclass(frozen=True, slots=True)
class Patch:
    """A filled square in a lesion's colour."""

    x: float
    y: float
    size: float
    colour: RGB


@dataclass(frozen=True, eq=False)
class Picture:
    """An image at its own size; ``pixels`` has shape (rows, columns, 3), uint8."""

    x: float
    y: float
    pixels: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Sheet:
    """One page; the origin is the top left corner, x to the right, y down, in pixels."""

    texts: tuple[Text, ...] = ()
    rules: tuple[Rule, ...] = ()
    patches: tuple[Patch, ...] = ()
    pictures: tuple[Picture, ...] = ()

    def __add__(self, other: Sheet) -> Sheet:
        """Return both on one sheet."""
        return Sheet(
            self.texts + other.texts,
            self.rules + other.rules,
            self.patches + other.patches,
            self.pictures + other.pictures,
        )
