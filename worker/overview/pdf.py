"""Sheets -> PDF: dark on white, with text that can be selected; the same sheets give the same bytes."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from io import BytesIO

from PIL import Image
from reportlab import rl_config
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfdoc, pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from worker.overview.lettering import BOLD_FONT, REGULAR_FONT, font
from worker.overview.sheet import RGB, SHEET_WIDTH_PX, Ink, Sheet

rl_config.useA85 = 0
"""Images stay binary: as text they take longer to write and a quarter more room."""

COMPRESSION_LEVEL = 3
"""Of the pictures: reportlab's own 6 takes three times as long for a twentieth less."""


class _QuickImage(pdfdoc.PDFImageXObject):
    """An RGB picture, losslessly compressed with little effort."""

    def loadImageFromSRC(self, image: ImageReader) -> None:  # noqa: N802 - reportlab's name
        """Take a picture's size and pixels; called by reportlab."""
        self.width, self.height = image.getSize()
        pixels: bytes = image.getRGBData()  # type: ignore[no-untyped-call]
        self.streamContent = zlib.compress(pixels, COMPRESSION_LEVEL)  # type: ignore[assignment]
        self._filters = ("FlateDecode",)
        self.colorSpace, self.bitsPerComponent, self.mask = "DeviceRGB", 8, None


pdfdoc.PDFImageXObject = _QuickImage  # type: ignore[misc]  # reportlab has no setting for the level

PAGE_WIDTH_PT, PAGE_HEIGHT_PT = A4
SIDE_MARGIN_PT = 27.0
"""Printers leave a border of this width white."""

SCALE = (PAGE_WIDTH_PT - 2 * SIDE_MARGIN_PT) / SHEET_WIDTH_PX
"""Points a pixel."""

REGULAR, BOLD = "metserve-regular", "metserve-bold"
INKS: dict[Ink, RGB] = {Ink.TEXT: (0, 0, 0), Ink.FAINT: (85, 85, 85), Ink.ALERT: (170, 30, 0)}
RULE_COLOUR: RGB = (150, 150, 150)


def draw_pdf(sheets: Sequence[Sheet], title: str, author: str) -> bytes:
    """Return a document with a page a sheet; ``invariant`` keeps clock and chance out of it."""
    pdfmetrics.registerFont(TTFont(REGULAR, str(REGULAR_FONT)))
    pdfmetrics.registerFont(TTFont(BOLD, str(BOLD_FONT)))
    buffer = BytesIO()
    canvas = Canvas(buffer, pagesize=A4, invariant=1, pageCompression=1, lang="en-GB")
    canvas.setTitle(title)
    canvas.setAuthor(author)
    for sheet in sheets:
        _draw(canvas, sheet)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def _draw(canvas: Canvas, sheet: Sheet) -> None:
    for picture in sheet.pictures:
        rows, columns = picture.pixels.shape[:2]
        corner = (_x(picture.x), _y(picture.y + rows))
        image = ImageReader(Image.fromarray(picture.pixels))
        canvas.drawImage(image, *corner, columns * SCALE, rows * SCALE)
    canvas.setStrokeColorRGB(*_shares(RULE_COLOUR))
    canvas.setLineWidth(0.5)
    for rule in sheet.rules:
        canvas.line(_x(rule.x), _y(rule.y), _x(rule.x + rule.width), _y(rule.y))
    for patch in sheet.patches:
        canvas.setFillColorRGB(*_shares(patch.colour))
        side = patch.size * SCALE
        canvas.rect(_x(patch.x), _y(patch.y + patch.size), side, side, stroke=0, fill=1)
    for text in sheet.texts:
        ascent_px, _ = font(text.size, text.bold).getmetrics()
        canvas.setFillColorRGB(*_shares(INKS[text.ink]))
        canvas.setFont(BOLD if text.bold else REGULAR, text.size * SCALE)
        canvas.drawString(_x(text.x), _y(text.y + ascent_px), text.text)


def _x(x_px: float) -> float:
    return SIDE_MARGIN_PT + x_px * SCALE


def _y(y_px: float) -> float:
    """Return the height above the lower edge: PDF counts upwards."""
    return PAGE_HEIGHT_PT - SIDE_MARGIN_PT - y_px * SCALE


def _shares(colour: RGB) -> tuple[float, float, float]:
    red, green, blue = colour
    return red / 255, green / 255, blue / 255
