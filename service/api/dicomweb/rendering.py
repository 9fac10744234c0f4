"""From a decoded frame to a picture, as a viewer would show it at first (PS3.4 N.2)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset
from pydicom.pixels.processing import apply_color_lut

from service.api.dicomweb.render_request import RenderRequest, Viewport, Window

PILLOW_FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG"}

WHITE = 255.0


def representative_frame(dataset: Dataset, frames: int) -> int:
    """Return the index of the frame that stands for all: the one the object names, or the middle one."""
    named = int(dataset.get("RepresentativeFrameNumber") or 0)
    return named - 1 if 1 <= named <= frames else frames // 2


def draw(frame: NDArray[Any], dataset: Dataset, frame_index: int, request: RenderRequest) -> bytes:
    """Return a picture of a frame.

    Parameters
    ----------
    frame
        Stored values, (rows, columns) or (rows, columns, RGB).
    dataset
        The instance without its pixels.
    """
    grey = frame.ndim == 2 and dataset.get("PhotometricInterpretation") != "PALETTE COLOR"
    shown = _windowed(frame, dataset, frame_index, request.window) if grey else _colours(frame, dataset)
    picture = Image.fromarray(shown)
    if request.viewport is not None:
        picture = _fitted(picture, request.viewport)
    return _encoded(picture, request)


def _windowed(
    frame: NDArray[Any], dataset: Dataset, frame_index: int, asked: Window | None
) -> NDArray[np.uint8]:
    places = list(_places(dataset, frame_index))
    slope = _number(places, "RescaleSlope")
    values = frame.astype(np.float32) * np.float32(1.0 if slope is None else slope)
    values += np.float32(_number(places, "RescaleIntercept") or 0.0)
    window = asked or _header_window(places) or _whole_range(values)
    share = _share_of_white(values, window)
    if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
        share = 1 - share
    return np.asarray((share * WHITE).round(), dtype=np.uint8)


def _share_of_white(values: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
    """Apply a window, PS3.3 C.11.2.1.2 and C.11.2.1.3.

    Returns
    -------
    From 0 (black) to 1.
    """
    if window.function == "sigmoid":
        exponent = np.clip(-4 * (values - window.center) / window.width, -60, 60)
        return np.asarray(1 / (1 + np.exp(exponent)), dtype=np.float32)
    if window.function == "linear-exact":
        return np.asarray(np.clip((values - window.center) / window.width + 0.5, 0, 1))
    width = max(window.width - 1, 1e-6)
    return np.asarray(np.clip((values - (window.center - 0.5)) / width + 0.5, 0, 1))


def _header_window(places: list[Dataset]) -> Window | None:
    center, width = _number(places, "WindowCenter"), _number(places, "WindowWidth")
    function = next((str(place.VOILUTFunction) for place in places if place.get("VOILUTFunction")), "LINEAR")
    function = {"SIGMOID": "sigmoid", "LINEAR_EXACT": "linear-exact"}.get(function, "linear")
    if center is None or width is None or width < 1:
        return None
    return Window(center, width, function)


def _whole_range(values: NDArray[np.float32]) -> Window:
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    return Window((low + high) / 2, max(high - low, 1e-6), "linear-exact")


def _colours(frame: NDArray[Any], dataset: Dataset) -> NDArray[np.uint8]:
    if frame.ndim == 2:
        frame = apply_color_lut(frame, dataset)
    if frame.dtype == np.uint8:
        return np.ascontiguousarray(frame[..., :3])
    bits = int(dataset.get("BitsStored") or 8 * frame.dtype.itemsize)
    return np.asarray(frame[..., :3] >> max(bits - 8, 0), dtype=np.uint8)


def _fitted(picture: Image.Image, viewport: Viewport) -> Image.Image:
    """Cut out what is asked for, and fit it into the viewport with its proportions kept."""
    if viewport.source is not None:
        x, y, width, height = viewport.source
        right, bottom = min(x + width, picture.width), min(y + height, picture.height)
        if x >= right or y >= bottom:
            raise ValueError("the part asked for lies outside the image")
        picture = picture.crop((x, y, right, bottom))
    scale = min(viewport.width / picture.width, viewport.height / picture.height)
    size = (max(round(picture.width * scale), 1), max(round(picture.height * scale), 1))
    return picture.resize(size, Image.Resampling.BILINEAR)


def _encoded(picture: Image.Image, request: RenderRequest) -> bytes:
    buffer = io.BytesIO()
    options = {"quality": request.quality} if request.media_type == "image/jpeg" else {}
    picture.save(buffer, PILLOW_FORMATS[request.media_type], **options)
    return buffer.getvalue()


def _places(dataset: Dataset, frame_index: int) -> Iterator[Dataset]:
    """Yield where a frame's attributes may stand: its functional groups, those of all frames, the top."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    for groups in [*per_frame[frame_index : frame_index + 1], *shared[:1]]:
        for element in groups:
            if element.VR == "SQ" and element.value:
                yield element.value[0]
    yield dataset


def _number(places: list[Dataset], keyword: str) -> float | None:
    """Return an attribute's (first) number, None where there is none that can be used."""
    for place in places:
        value: Any = place.get(keyword)
        try:
            number = float(value if isinstance(value, str | int | float) else value[0])
        except (TypeError, ValueError, IndexError):
            continue
        if np.isfinite(number):
            return number
    return None
