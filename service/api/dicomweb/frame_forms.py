"""In which form a client takes frames: as they are stored, or decoded (PS3.18 8.7.3.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pydicom.uid import (
    JPEG2000,
    UID,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from service.api.dicomweb.media_types import ANY_TRANSFER_SYNTAX, ANYTHING, OCTET_STREAM, Choice

COMPRESSED_MEDIA_TYPES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        JPEGBaseline8Bit: ("image/jpeg",),
        JPEGExtended12Bit: ("image/jpeg",),
        JPEGLossless: ("image/jpeg",),
        JPEGLosslessSV1: ("image/jpeg",),
        JPEGLSLossless: ("image/jls", "image/x-jls"),
        JPEGLSNearLossless: ("image/jls", "image/x-jls"),
        JPEG2000Lossless: ("image/jp2", "image/j2c"),
        JPEG2000: ("image/jp2", "image/j2c"),
        RLELossless: ("image/dicom-rle", "image/x-dicom-rle"),
    }
)
"""Names of the media type of a frame, the standard's first."""


@dataclass(frozen=True, slots=True)
class FrameForm:
    """How frames are given.

    Parameters
    ----------
    is_decoded
        They are stored compressed and wanted native.
    is_multipart
        False: one frame by itself.
    """

    media_type: str
    transfer_syntax_uid: str
    is_decoded: bool
    is_multipart: bool

    @property
    def content_type(self) -> str:
        """Media type with the transfer syntax."""
        return f"{self.media_type}; transfer-syntax={self.transfer_syntax_uid}"


def frame_form(stored_syntax: str, accepted: Sequence[Choice], *, frames: int) -> FrameForm | None:
    """Return in which form a client takes frames; None if it takes them in none.

    Parameters
    ----------
    frames
        How many are asked for: only one can be given outside a multipart answer.
    """
    for choice in accepted:
        if choice.is_multipart is False and frames > 1:
            continue
        form = _form(UID(stored_syntax), choice)
        if form is not None:
            return form
    return None


def _form(stored: UID, choice: Choice) -> FrameForm | None:
    asked = choice.transfer_syntax_uid
    multipart = choice.is_multipart is not False
    if stored.is_compressed:
        names = COMPRESSED_MEDIA_TYPES.get(stored, ())
        name = next((name for name in names if choice.includes(name)), None)
        if name is None and choice.includes(OCTET_STREAM) and asked in (ANY_TRANSFER_SYNTAX, stored):
            name = OCTET_STREAM
        if name is not None and asked in (None, ANY_TRANSFER_SYNTAX, stored):
            return FrameForm(name, stored, is_decoded=False, is_multipart=multipart)
    if not choice.includes(OCTET_STREAM) or asked not in (
        None,
        ANY_TRANSFER_SYNTAX,
        ExplicitVRLittleEndian,
        stored,
    ):
        return None
    return FrameForm(
        OCTET_STREAM, ExplicitVRLittleEndian, is_decoded=stored.is_compressed, is_multipart=multipart
    )


def offered_forms(stored_syntax: str) -> tuple[str, ...]:
    """Return the media types frames can be given in, for a client that took none."""
    names = COMPRESSED_MEDIA_TYPES.get(stored_syntax, ())[:1]
    return (*names, OCTET_STREAM, ANYTHING)
