"""Plots as inline SVG: one look, the colours of the page's theme, the same bytes every time."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK, FAINT, PAPER = "#101112", "#d0d1d2", "#fefdfc"
"""Stand-ins for the page's text, rule and background colour."""

BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY = "#0072b2", "#d55e00", "#009e73", "#e69f00", "#cc79a7", "#56b4e9"
"""Okabe and Ito's palette, told apart by every kind of colour vision."""

CSS_COLOURS = {
    INK: "var(--ink)",
    FAINT: "var(--rule)",
    PAPER: "var(--page)",
    BLUE: "var(--blue)",
    VERMILION: "var(--vermilion)",
    GREEN: "var(--green)",
    ORANGE: "var(--orange)",
    PURPLE: "var(--purple)",
    SKY: "var(--sky)",
}

STYLE: dict[str, Any] = {
    "font.size": 10,
    "font.family": ["DejaVu Sans"],
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
}

PAGE_FONT = "font-family: var(--sans)"
"""Laid out in DejaVu, which is wider than what the page shows: nothing grows into its neighbour."""


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure of the page.

    Parameters
    ----------
    name
        Unique on the page.
    title
        Of the figure, for its caption.
    description
        What it shows, in words, for those who do not see it.
    svg
        The drawing, to be put into HTML.
    """

    name: str
    title: str
    description: str
    svg: str


@dataclass
class Sheet:
    """A figure being drawn; ``svg`` is there once the block of ``sheet`` has ended."""

    figure: Figure
    svg: str = field(default="")


@contextmanager
def sheet(name: str, width_in: float = 5.6, height_in: float = 3.9) -> Iterator[Sheet]:
    """Draw in the page's style; every name on the page gives other identifiers within the drawing."""
    style: Any = STYLE | {"svg.hashsalt": name}
    with mpl.rc_context(style):
        drawn = Sheet(Figure(figsize=(width_in, height_in), layout="constrained"))
        FigureCanvasSVG(drawn.figure)
        yield drawn
        text = io.StringIO()
        drawn.figure.savefig(text, format="svg", metadata={"Date": None})
    drawn.svg = _for_page(text.getvalue(), name)


def _for_page(svg: str, name: str) -> str:
    """Keep the drawing alone: no prologue, no metadata, no fixed size; colours and font are the page's."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sxmlns(:xlink)?="[^"]*"', "", svg)
    svg = re.sub(
        r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', rf'<svg viewBox="\1" id="{name}-drawing">', svg, count=1
    )
    svg = re.sub(r'(?<=\sid=")(?!' + re.escape(name) + r"-)", f"{name}-", svg)
    svg = re.sub(r'xlink:href="#', f'href="#{name}-', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", rf"font-size: \1px; {PAGE_FONT}", svg)
    return re.sub("|".join(CSS_COLOURS), lambda match: CSS_COLOURS[match.group()], svg)
