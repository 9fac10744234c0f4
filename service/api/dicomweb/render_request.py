"""How a picture of an image is to look (PS3.18 8.3.5), checked before anything is decoded."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass

from core.errors import InvalidInput

LARGEST_VIEWPORT = 8192
"""Pixels of a side; beyond any screen."""

DEFAULT_QUALITY = 90
"""Of JPEG."""

WINDOW_FUNCTIONS = ("linear", "linear-exact", "sigmoid")
"""PS3.3 C.11.2.1.2 and C.11.2.1.3."""


@dataclass(frozen=True, slots=True)
class Window:
    """Center, width and function of a window, in modality units."""

    center: float
    width: float
    function: str = "linear"


@dataclass(frozen=True, slots=True)
class Viewport:
    """The size a picture must fit into, and the part of the image it shows; in pixels.

    Parameters
    ----------
    source
        x, y, width, height of the part; None for all of it.
    """

    width: int
    height: int
    source: tuple[int, int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class RenderRequest:
    """A picture of one frame.

    Parameters
    ----------
    frame_index
        From 0; None for the representative frame, or the middle one.
    media_type
        ``image/jpeg`` or ``image/png``.
    window
        None: as the header says.
    """

    frame_index: int | None
    media_type: str
    quality: int = DEFAULT_QUALITY
    window: Window | None = None
    viewport: Viewport | None = None

    def to_json(self) -> str:
        """Return it for another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> RenderRequest:
        """Read what ``to_json`` wrote."""
        fields = json.loads(text)
        window, viewport = fields.pop("window"), fields.pop("viewport")
        if viewport and viewport["source"]:
            viewport["source"] = tuple(viewport["source"])
        return cls(
            **fields,
            window=Window(**window) if window else None,
            viewport=Viewport(**viewport) if viewport else None,
        )


def parse_window(text: str) -> Window:
    """Read ``center,width[,function]``.

    Raises
    ------
    InvalidInput
        It is none.
    """
    center, width, *function = text.lower().split(",")[:4] if "," in text else ("", "")
    try:
        window = Window(float(center), float(width), *function)
    except (TypeError, ValueError):
        raise InvalidInput(f"window {text[:80]!r}, expected center,width,function") from None
    least = 1 if window.function == "linear" else 0
    if not (math.isfinite(window.center) and math.isfinite(window.width)) or window.width < max(least, 1e-9):
        raise InvalidInput(f"window {text[:80]!r}, expected a finite center and a width of at least {least}")
    if window.function not in WINDOW_FUNCTIONS:
        raise InvalidInput(
            f"window function {window.function[:80]!r}, expected {', '.join(WINDOW_FUNCTIONS)}"
        )
    return window


def parse_viewport(text: str) -> Viewport:
    """Read ``width,height[,x,y,source width,source height]``.

    Raises
    ------
    InvalidInput
        It is none, or larger than ``LARGEST_VIEWPORT``.
    """
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    sizes_fit = all(0 < size <= LARGEST_VIEWPORT for size in numbers[:2])
    if len(numbers) not in (2, 6) or not sizes_fit or min(numbers[2:], default=0) < 0:
        raise InvalidInput(
            f"viewport {text[:80]!r}, expected width,height or width,height,x,y,width,height in pixels,"
            f" sizes from 1 to {LARGEST_VIEWPORT}"
        )
    if len(numbers) == 2:
        return Viewport(numbers[0], numbers[1])
    x, y, width, height = numbers[2:]
    return Viewport(numbers[0], numbers[1], (x, y, width, height))
