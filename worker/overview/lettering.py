"""Lettering: the typeface of every page, how wide a text is, and where it breaks."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import reportlab
from PIL import ImageFont
from PIL.ImageFont import FreeTypeFont, Layout

from worker.overview.sheet import Ink, Sheet, Text

FONT_FOLDER = Path(reportlab.__file__).parent / "fonts"
"""Bitstream Vera comes with reportlab, under a free licence: no font of the machine is needed."""

REGULAR_FONT, BOLD_FONT = FONT_FOLDER / "Vera.ttf", FONT_FOLDER / "VeraBd.ttf"

LINE_HEIGHT = 1.45
"""Of the font's size."""

ELLIPSIS = "..."


@cache
def font(size: float, bold: bool) -> FreeTypeFont:
    """Return the typeface at a size in pixels; the same glyphs whatever library shapes text here."""
    return ImageFont.truetype(BOLD_FONT if bold else REGULAR_FONT, size, layout_engine=Layout.BASIC)


def width_px(text: str, size: float, bold: bool = False) -> float:
    """Return how wide a text is."""
    return float(font(size, bold).getlength(text))


def fitted(text: str, size: float, limit_px: float, bold: bool = False) -> str:
    """Return the text, cut with an ellipsis where it is too wide."""
    if width_px(text, size, bold) <= limit_px:
        return text
    kept = len(text)
    while kept and width_px(text[:kept] + ELLIPSIS, size, bold) > limit_px:
        kept -= 1
    return text[:kept] + ELLIPSIS


def wrapped(text: str, size: float, limit_px: float, bold: bool = False) -> list[str]:
    """Return the lines of a text; a word too long for a line is broken."""
    lines: list[str] = []
    for word in _breakable(text.split(), size, limit_px, bold):
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and width_px(joined, size, bold) <= limit_px:
            lines[-1] = joined
        else:
            lines.append(word)
    return lines


def _breakable(words: Iterable[str], size: float, limit_px: float, bold: bool) -> Iterable[str]:
    for word in words:
        rest = word
        while width_px(rest, size, bold) > limit_px:
            kept = len(rest) - 1
            while kept > 1 and width_px(rest[:kept], size, bold) > limit_px:
                kept -= 1
            yield rest[:kept]
            rest = rest[kept:]
        yield rest


def paragraph(
    text: str,
    top: tuple[float, float],
    limit_px: float,
    size: float,
    ink: Ink = Ink.TEXT,
    *,
    bold: bool = False,
) -> tuple[Sheet, float]:
    """Return a wrapped text that starts at ``top`` (x, y), and the y below it."""
    x, y = top
    lines = wrapped(text, size, limit_px, bold)
    step = size * LINE_HEIGHT
    texts = tuple(Text(x, y + n * step, line, size, ink, bold) for n, line in enumerate(lines))
    return Sheet(texts), y + len(lines) * step
