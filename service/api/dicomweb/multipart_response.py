"""Multipart answers (PS3.18 8.6), written as they are read: never whole in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from uuid import uuid4

from fastapi.responses import StreamingResponse

from service.api.dicomweb.media_types import MULTIPART


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an answer."""

    content_type: str
    chunks: Iterable[bytes]
    location: str = ""
    """Content-Location: where it can be fetched by itself."""


def multipart_response(
    media_type: str,
    parts: Iterable[Part],
    *,
    status: HTTPStatus = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
) -> StreamingResponse:
    """Return parts of one media type as an answer.

    Parameters
    ----------
    media_type
        Of the parts.
    """
    boundary = f"metserve-{uuid4().hex}"
    kind = f'{MULTIPART}; type="{media_type}"; boundary={boundary}'
    return StreamingResponse(
        _encoded(parts, boundary.encode()), status_code=status, media_type=kind, headers=dict(headers or {})
    )


def _encoded(parts: Iterable[Part], boundary: bytes) -> Iterator[bytes]:
    for part in parts:
        location = f"Content-Location: {part.location}\r\n" if part.location else ""
        yield b"\r\n--%b\r\nContent-Type: %b\r\n%b\r\n" % (
            boundary,
            part.content_type.encode(),
            location.encode(),
        )
        yield from part.chunks
    yield b"\r\n--%b--\r\n" % boundary
