"""Sheet -> pixels: light on black, as the images around it in a viewer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from worker.overview.lettering import font
from worker.overview.sheet import RGB, SHEET_HEIGHT_PX, SHEET_WIDTH_PX, Ink, Sheet

BACKGROUND: RGB = (0, 0, 0)
RULE_COLOUR: RGB = (90, 90, 90)
INKS: dict[Ink, RGB] = {Ink.TEXT: (235, 235, 235), Ink.FAINT: (165, 165, 165), Ink.ALERT: (255, 196, 64)}


def draw_pixels(sheet: Sheet) -> NDArray[np.uint8]:
    """Return a sheet as RGB, shape (rows, columns, 3), uint8."""
    image = Image.new("RGB", (SHEET_WIDTH_PX, SHEET_HEIGHT_PX), BACKGROUND)
    drawing = ImageDraw.Draw(image)
    for picture in sheet.pictures:
        image.paste(Image.fromarray(picture.pixels), (round(picture.x), round(picture.y)))
    for rule in sheet.rules:
        drawing.line([(rule.x, rule.y), (rule.x + rule.width, rule.y)], RULE_COLOUR)
    for patch in sheet.patches:
        corner = (patch.x + patch.size, patch.y + patch.size)
        drawing.rectangle([(patch.x, patch.y), corner], patch.colour)
    for text in sheet.texts:
        place = (round(text.x), round(text.y))
        drawing.text(place, text.text, INKS[text.ink], font(text.size, text.bold))
    return np.asarray(image).copy()
