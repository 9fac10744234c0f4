"""A multipart/related body on its way in (RFC 2387): part by part into files, never whole in memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from service.api.dicomweb.media_types import DICOM, MULTIPART, parse_media_type
from service.api.problems import ApiError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks  # defined for the type checker only

LONGEST_BOUNDARY = 200
"""Characters. RFC 2046 5.1.1 allows 70, and Orthanc sends 73."""

NO_TYPE = "text/plain"
"""What a part without a Content-Type is, RFC 2046 5.1."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """How much one request may bring.

    Parameters
    ----------
    maximum_parts
        Instances of one request.
    maximum_part_bytes, maximum_bytes
        Of one instance, and of the whole body.
    """

    maximum_parts: int
    maximum_part_bytes: int
    maximum_bytes: int


class InstanceParts:
    """Writes each part of a body to a file and hands it over as soon as it is whole.

    Parameters
    ----------
    boundary
        As the Content-Type names it.
    new_path
        Returns an unused path for a file in the making.
    take
        Gets the path of each finished file, and is to move or remove it.
    """

    def __init__(
        self, boundary: str, limits: BodyLimits, new_path: Callable[[], Path], take: Callable[[Path], None]
    ) -> None:
        self._limits = limits
        self._new_path = new_path
        self._take = take
        self._path: Path | None = None
        self._file: BinaryIO | None = None
        self._headers: dict[bytes, bytes] = {}
        self._header_name = self._header_value = b""
        self._bytes = self._part_bytes = 0
        self.count = 0
        self._ended = False
        self._parser = MultipartParser(boundary.encode("latin-1"), self._callbacks())

    def feed(self, chunk: bytes) -> None:
        """Take in what arrived.

        Raises
        ------
        ApiError
            400: no multipart body of this boundary; 413: more than the limits; 415: a part is no instance.
        OSError
            The disk is full or failing.
        """
        self._bytes += len(chunk)
        if self._bytes > self._limits.maximum_bytes:
            raise too_large("the body", self._limits.maximum_bytes)
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise ApiError(
                HTTPStatus.BAD_REQUEST,
                f"the body is not multipart with the boundary of its Content-Type: {error}",
            ) from error

    def finish(self) -> None:
        """Check that the body came to its end.

        Raises
        ------
        ApiError
            400.
        """
        if not self._ended:
            raise ApiError(HTTPStatus.BAD_REQUEST, "the body ends before its closing boundary")

    def discard(self) -> None:
        """Remove the file of a part that will not be finished."""
        file, path, self._file, self._path = self._file, self._path, None, None
        try:
            if file is not None:
                file.close()
        except OSError:  # the buffer cannot be flushed to a full disk; the file goes anyway
            pass
        finally:
            if path is not None:
                path.unlink(missing_ok=True)

    def _callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": self._add_header_name,
            "on_header_value": self._add_header_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._open_file,
            "on_part_data": self._write,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }

    def _begin_part(self) -> None:
        self.count += 1
        if self.count > self._limits.maximum_parts:
            raise ApiError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the body has more than {self._limits.maximum_parts} parts; send fewer a request",
            )
        self._headers = {}
        self._part_bytes = 0

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._header_name.lower()] = self._header_value
        self._header_name = self._header_value = b""

    def _open_file(self) -> None:
        text = self._headers.get(b"content-type", NO_TYPE.encode()).decode("latin-1")
        media_type = parse_media_type(text)
        if media_type is None or media_type.name != DICOM:
            raise ApiError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"part {self.count} is {text[:80]!r}, expected Content-Type {DICOM}",
            )
        self._path = self._new_path()
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file = os.fdopen(descriptor, "wb")

    def _write(self, data: bytes, start: int, end: int) -> None:
        self._part_bytes += end - start
        if self._part_bytes > self._limits.maximum_part_bytes:
            raise too_large(f"part {self.count}", self._limits.maximum_part_bytes)
        if self._file is not None:
            self._file.write(data[start:end])

    def _end_part(self) -> None:
        file, path, self._file, self._path = self._file, self._path, None, None
        if file is None or path is None:
            raise ApiError(HTTPStatus.BAD_REQUEST, f"part {self.count} has no headers")
        try:
            file.close()
        except OSError:
            path.unlink(missing_ok=True)
            raise
        self._take(path)

    def _end(self) -> None:
        self._ended = True


def boundary_of(content_type: str) -> str:
    """Return the boundary of a request that brings instances.

    Raises
    ------
    ApiError
        415: another media type; 400: no usable boundary.
    """
    media_type = parse_media_type(content_type)
    kind = media_type.parameters.get("type", "").lower() if media_type else ""
    if media_type is None or media_type.name != MULTIPART or kind != DICOM:
        raise ApiError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f'Content-Type {content_type[:80]!r}, expected {MULTIPART}; type="{DICOM}"; boundary=...',
        )
    boundary = media_type.parameters.get("boundary", "")
    if not 0 < len(boundary) <= LONGEST_BOUNDARY or not boundary.isascii():
        raise ApiError(
            HTTPStatus.BAD_REQUEST,
            f"a boundary of {len(boundary)} characters, expected 1 to {LONGEST_BOUNDARY} of ASCII",
        )
    return boundary


def too_large(what: str, limit_bytes: int) -> ApiError:
    """Return the problem of a body that brings too much."""
    return ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{what} has more than {limit_bytes} bytes")
