"""Bodies and headers: no larger and no slower than the settings allow."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.settings import ApiSettings
from service.access.policy import DICOMWEB
from service.api.problems import problem_response
from service.api.templates import route_path


class BodyLimitMiddleware:
    """Ends requests whose body is too large, or does not come.

    Bodies of STOW-RS are counted by its own route, instance by instance; here they must only keep
    coming.
    """

    def __init__(self, app: ASGIApp, settings: ApiSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _header_bytes(scope) > self._settings.maximum_header_bytes:
            most = self._settings.maximum_header_bytes
            detail = f"request line and headers are too long, expected at most {most} bytes"
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            await problem_response(status, detail)(scope, receive, send)
            return
        is_upload = scope["method"] == "POST" and route_path(scope).startswith(f"{DICOMWEB}/studies")
        body = _Body(receive, self._settings, is_upload=is_upload)
        announced = Headers(scope=scope).get("Content-Length", "")
        if announced.isdecimal() and body.is_too_large(int(announced)):
            await problem_response(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, body.too_large)(scope, receive, send)
            return
        await self._app(scope, body.receive, send)


class _Body:
    """Counts one request's body while it comes."""

    def __init__(self, receive: Receive, settings: ApiSettings, *, is_upload: bool) -> None:
        self._receive = receive
        self._most_bytes = settings.stow_maximum_bytes if is_upload else settings.maximum_body_bytes
        self._timeout_s = settings.body_timeout_s
        self._whole_by = None if is_upload else asyncio.get_running_loop().time() + settings.body_timeout_s
        self._bytes = 0
        self._is_whole = False

    @property
    def too_large(self) -> str:
        """Say what was expected."""
        return f"the body is too large, expected at most {self._most_bytes} bytes"

    def is_too_large(self, size_bytes: int) -> bool:
        """Tell whether a body of a size is refused."""
        return size_bytes > self._most_bytes

    async def receive(self) -> Message:
        """Return the next piece; after the last one, wait for the end of the connection for ever."""
        if self._is_whole:
            return await self._receive()
        try:
            async with asyncio.timeout(self._timeout_s), asyncio.timeout_at(self._whole_by):
                message = await self._receive()
        except TimeoutError as error:
            raise HTTPException(
                HTTPStatus.REQUEST_TIMEOUT, f"the body did not come within {self._timeout_s:g} s"
            ) from error
        self._bytes += len(message.get("body", b""))
        self._is_whole = message["type"] != "http.request" or not message.get("more_body", False)
        if self.is_too_large(self._bytes):
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, self.too_large)
        return message


def _header_bytes(scope: Scope) -> int:
    """Return the length of request line and headers; the server itself ends those that do not end."""
    line = len(scope.get("raw_path", b"")) + len(scope.get("query_string", b""))
    return line + sum(len(name) + len(value) for name, value in scope["headers"])
