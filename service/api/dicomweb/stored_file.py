"""A stored instance as its readers need it: the header parsed, the pixels a place in the file."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag
from pydicom.uid import UID

from core.errors import Defect, Transient

LARGEST_VALUE_READ_AT_ONCE = 64 * 1024
"""Bytes; larger values (documents, tables) stay in the file until somebody asks for them."""

PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
"""Float, Double Float and Pixel Data."""

_UNDEFINED_LENGTH = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class PixelPlace:
    """Where pixel data lies in its file.

    Parameters
    ----------
    value_at
        Offset of the value, in bytes from the start of the file.
    length_bytes
        None when encapsulated in fragments.
    """

    tag: int
    vr: str
    value_at: int
    length_bytes: int | None

    @property
    def end(self) -> int | None:
        """Offset of what follows, where that is known."""
        return None if self.length_bytes is None else self.value_at + self.length_bytes


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An instance in the study store.

    Parameters
    ----------
    header
        Everything before the pixel data; large values are still in the file.
    """

    path: Path
    header: Dataset
    transfer_syntax_uid: UID
    pixels: PixelPlace | None


def read_stored_file(path: Path) -> StoredFile:
    """Read an instance up to its pixels.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with open(os.fspath(path), "rb") as file:  # noqa: PTH123 - pydicom opens it again by this name
        header = read_partial(file, stop_when=_is_pixel_data, defer_size=LARGEST_VALUE_READ_AT_ONCE)
        syntax = UID(str(header.file_meta.TransferSyntaxUID))
        pixels = _pixel_place(file, implicit_vr=syntax.is_implicit_VR)
    return StoredFile(path, header, syntax, pixels)


def open_stored_file(path: Path) -> StoredFile:
    """Read an instance that the database names, up to its pixels.

    Raises
    ------
    Defect
        The file is gone or cannot be understood any more.
    Transient
        The disk cannot be read at present.
    """
    try:
        return read_stored_file(path)
    except FileNotFoundError as error:
        raise Defect(f"the stored file {path.name} is gone") from error
    except OSError as error:
        raise Transient(f"a stored file cannot be read: {error.strerror}") from error


def raw_value(stored: StoredFile, raw: RawDataElement) -> bytes:
    """Return the bytes of an element, from the file where they still lie there."""
    if raw.value is not None:
        return bytes(raw.value)
    with stored.path.open("rb") as file:
        file.seek(raw.value_tell)
        return file.read(raw.length)


def vr_of(raw: RawDataElement) -> str:
    """Return an element's VR; implicit ones are looked up."""
    if raw.VR is not None:
        return str(raw.VR)
    try:
        return dictionary_VR(raw.tag)
    except KeyError:
        return "UN"


def _is_pixel_data(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return int(tag) in PIXEL_TAGS


def _pixel_place(file: BinaryIO, *, implicit_vr: bool) -> PixelPlace | None:
    """Return the pixel data element that starts here, None at the end of the file."""
    at = file.tell()
    head = file.read(12)
    if len(head) < (8 if implicit_vr else 12):
        return None
    group, number = struct.unpack_from("<HH", head)
    vr = "OW" if implicit_vr else head[4:6].decode("ascii", "replace")
    (length,) = struct.unpack_from("<L", head, 4 if implicit_vr else 8)
    value_at = at + (8 if implicit_vr else 12)
    return PixelPlace(group << 16 | number, vr, value_at, None if length == _UNDEFINED_LENGTH else length)
