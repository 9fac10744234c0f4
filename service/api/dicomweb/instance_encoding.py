"""An instance as a file for a client: as it is stored, or Implicit turned into Explicit VR Little Endian."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import dcmwrite, write_dataset
from pydicom.uid import ExplicitVRLittleEndian

from service.api.dicomweb.stored_file import PixelPlace, StoredFile, read_stored_file

CHUNK_BYTES = 256 * 1024

_PIXEL_VRS = {0x7FE00008: b"OF", 0x7FE00009: b"OD", 0x7FE00010: b"OW"}
"""Of Implicit VR, PS3.5 A.1."""


def stored_bytes(path: Path) -> Iterator[bytes]:
    """Yield a file as it is."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def explicit_bytes(path: Path) -> Iterator[bytes]:
    """Yield a file of Implicit VR Little Endian in Explicit VR; its pixels pass through piece by piece."""
    stored = read_stored_file(path)
    yield _explicit_header(stored)
    if stored.pixels is None or stored.pixels.length_bytes is None:
        return
    yield _explicit_pixel_head(stored.pixels, stored.pixels.length_bytes)
    with path.open("rb") as file:
        file.seek(stored.pixels.value_at)
        yield from _pieces(file, stored.pixels.length_bytes)
        yield _explicit_rest(file, stored.header)


def _explicit_header(stored: StoredFile) -> bytes:
    header = stored.header
    for _ in header.iterall():  # implicit elements get their VR when they are looked at
        pass
    meta = FileMetaDataset()
    meta.update(stored.header.file_meta)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    copy = Dataset(header)
    copy.file_meta = meta
    buffer = io.BytesIO()
    dcmwrite(buffer, copy, implicit_vr=False, little_endian=True, enforce_file_format=True)
    return buffer.getvalue()


def _explicit_pixel_head(place: PixelPlace, length_bytes: int) -> bytes:
    return struct.pack("<HH2sHL", place.tag >> 16, place.tag & 0xFFFF, _PIXEL_VRS[place.tag], 0, length_bytes)


def _explicit_rest(file: BinaryIO, header: Dataset) -> bytes:
    """Return what follows the pixels: padding, signatures."""
    rest = read_dataset(file, True, True)
    if not len(rest):
        return b""
    for _ in rest.iterall():
        pass
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    write_dataset(buffer, rest, header.get("SpecificCharacterSet", "iso8859"))
    return buffer.getvalue()


def _pieces(file: BinaryIO, length_bytes: int) -> Iterator[bytes]:
    left = length_bytes
    while left and (chunk := file.read(min(left, CHUNK_BYTES))):
        left -= len(chunk)
        yield chunk
