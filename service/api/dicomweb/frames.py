"""Single frames of an image, as they are stored (PS3.5 8 and A.4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice

import numpy as np
from pydicom import Dataset
from pydicom.encaps import generate_frames, get_frame

from service.api.dicomweb.stored_file import PixelPlace, StoredFile
from service.api.problems import ApiError

COLOURS = 3
"""Samples of a pixel that is not grey."""


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """The shape of pixel data.

    Parameters
    ----------
    bits_allocated
        Of one sample.
    samples
        Stored for a pixel; 2 where two pixels share their chrominance.
    """

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    frames: int

    @property
    def frame_bits(self) -> int:
        """Bits of one native frame."""
        return self.rows * self.columns * self.samples * self.bits_allocated

    @property
    def decoded_frame_bytes(self) -> int:
        """Bytes of one frame as an array: bits become bytes, shared chrominance is written out."""
        samples = COLOURS if self.samples > 1 else 1
        return self.rows * self.columns * samples * max(self.bits_allocated // 8, 1)


def pixels_of(stored: StoredFile) -> tuple[PixelPlace, PixelLayout]:
    """Return where an image's pixels lie, and their shape.

    Raises
    ------
    ApiError
        406: the object has no pixels, or its header does not say how they lie.
    """
    if stored.pixels is None:
        raise ApiError(HTTPStatus.NOT_ACCEPTABLE, "the object has no pixel data: retrieve the instance")
    layout = _layout(stored.header)
    if layout is None or layout.frame_bits == 0:
        raise ApiError(HTTPStatus.NOT_ACCEPTABLE, "the header does not say how the pixel data lies")
    return stored.pixels, layout


def check_frames(layout: PixelLayout, indices: Sequence[int]) -> None:
    """End the request with 404 unless every frame exists.

    Raises
    ------
    ApiError
        404.
    """
    beyond = [index + 1 for index in indices if index >= layout.frames]
    if beyond:
        raise ApiError(
            HTTPStatus.NOT_FOUND, f"there is no frame {beyond[0]}: the instance has {layout.frames}"
        )


def stored_frames(stored: StoredFile, indices: Sequence[int]) -> Iterator[bytes]:
    """Yield frames (from 0) as they are stored, one after the other.

    Raises
    ------
    ApiError
        406: the fragments do not make so many frames.
    """
    place, layout = pixels_of(stored)
    if place.length_bytes is None:
        yield from _encapsulated(stored, place, layout, indices)
        return
    for index in indices:
        yield _native(stored, place, layout, index)


def _layout(header: Dataset) -> PixelLayout | None:
    try:
        samples = int(header.get("SamplesPerPixel") or 1)
        if header.get("PhotometricInterpretation") == "YBR_FULL_422":
            samples = 2  # PS3.3 C.7.6.3.1.2
        return PixelLayout(
            rows=int(header.Rows),
            columns=int(header.Columns),
            samples=samples,
            bits_allocated=int(header.BitsAllocated),
            frames=max(int(header.get("NumberOfFrames") or 1), 1),
        )
    except (AttributeError, TypeError, ValueError):
        return None


def _native(stored: StoredFile, place: PixelPlace, layout: PixelLayout, index: int) -> bytes:
    """Read one frame; those of single bits may begin within a byte and are moved to its start."""
    first_bit, end_bit = index * layout.frame_bits, (index + 1) * layout.frame_bits
    first_byte, end_byte = first_bit // 8, (end_bit + 7) // 8
    if end_byte > (place.length_bytes or 0):
        raise ApiError(HTTPStatus.NOT_ACCEPTABLE, f"the pixel data ends before frame {index + 1}")
    with stored.path.open("rb") as file:
        file.seek(place.value_at + first_byte)
        content = file.read(end_byte - first_byte)
    if first_bit % 8 == 0 and end_bit % 8 == 0:
        return content
    bits = np.unpackbits(np.frombuffer(content, np.uint8), bitorder="little")
    start = first_bit - 8 * first_byte
    return np.packbits(bits[start : start + layout.frame_bits], bitorder="little").tobytes()


def _encapsulated(
    stored: StoredFile, place: PixelPlace, layout: PixelLayout, indices: Sequence[int]
) -> Iterator[bytes]:
    offsets = _extended_offsets(stored.header)
    with stored.path.open("rb") as file:
        file.seek(place.value_at)
        try:
            if list(indices) == sorted(set(indices)):
                every = generate_frames(file, number_of_frames=layout.frames, extended_offsets=offsets)
                yield from (frame for n, frame in enumerate(islice(every, indices[-1] + 1)) if n in indices)
                return
            for index in indices:
                file.seek(place.value_at)
                yield get_frame(file, index, number_of_frames=layout.frames, extended_offsets=offsets)
        except (ValueError, IndexError) as error:
            raise ApiError(
                HTTPStatus.NOT_ACCEPTABLE, f"the fragments do not make {layout.frames} frames"
            ) from error


def _extended_offsets(header: Dataset) -> tuple[bytes, bytes] | None:
    """Return the tables of PS3.3 C.7.6.3.1.8, where the object has them."""
    offsets, lengths = header.get("ExtendedOffsetTable"), header.get("ExtendedOffsetTableLengths")
    return (bytes(offsets), bytes(lengths)) if offsets and lengths else None
