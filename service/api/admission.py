"""Admission: each request passes the gate before anything reads its body, and its route asks for a right."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote

from fastapi import Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import URL, Headers
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from core.audit import AuditKind
from core.clock import Clock
from core.errors import Defect
from service.access.browser_session import identity_of
from service.access.credentials import Identity
from service.access.gate import Asking, Gate
from service.access.policy import METRICS, has, is_open, right_for
from service.access.refusals import Refused
from service.api.parts import PartsOf, PrincipalOf
from service.api.problems import ApiError, problem_response
from service.api.templates import route_path, template_of

API_KEY_HEADER = "X-API-Key"

BEARER = HTTPBearer(auto_error=False, description="A token of the OpenID provider, or an API key.")
KEY = APIKeyHeader(name=API_KEY_HEADER, auto_error=False, description="An API key.")


class AdmissionMiddleware:
    """Puts the principal on the request, or ends it.

    Parameters
    ----------
    metrics_open
        Whether /metrics asks nobody who he is.
    logs_in
        Whether people can log in with a browser: a page they ask for leads them there.
    """

    def __init__(self, app: ASGIApp, gate: Gate, clock: Clock, *, metrics_open: bool, logs_in: bool) -> None:
        self._app = app
        self._gate = gate
        self._clock = clock
        self._metrics_open = metrics_open
        self._logs_in = logs_in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # nothing here speaks WebSocket
        try:
            principal = await run_in_threadpool(self._gate.admit, self._asking(scope))
        except Refused as refusal:
            await self._refused(scope, refusal)(scope, receive, send)
            return
        scope.setdefault("state", {})["principal"] = principal
        await self._app(scope, receive, send)

    def _asking(self, scope: Scope) -> Asking:
        headers, url, path = Headers(scope=scope), URL(scope=scope), route_path(scope)
        return Asking(
            method=scope["method"],
            is_open=is_open(path) or (self._metrics_open and path == METRICS),
            address=scope["client"][0] if scope.get("client") else "",
            authorization=headers.get("Authorization", ""),
            api_key=headers.get(API_KEY_HEADER, ""),
            host=(url.hostname or "").lower(),
            own_origin=f"{url.scheme}://{url.netloc}",
            origin=headers.get("Origin", ""),
            fetch_site=headers.get("Sec-Fetch-Site", ""),
            session=self._session(scope),
        )

    def _session(self, scope: Scope) -> Identity | None:
        session: Mapping[str, object] | None = scope.get("session")
        return identity_of(session, self._clock()) if session else None

    def _refused(self, scope: Scope, refusal: Refused) -> ASGIApp:
        headers = Headers(scope=scope)
        is_page = scope["method"] == "GET" and "text/html" in headers.get("Accept", "")
        if self._logs_in and is_page and refusal.status == HTTPStatus.UNAUTHORIZED:
            root = scope.get("root_path", "").rstrip("/")
            there = quote(route_path(scope), safe="/")
            return RedirectResponse(f"{root}/login?continue_at={there}", HTTPStatus.SEE_OTHER)
        return problem_response(refusal.status, refusal.detail, refusal.headers)


def needs_credentials(
    _token: Annotated[object, Security(BEARER)], _key: Annotated[object, Security(KEY)]
) -> None:
    """Say in OpenAPI what a route is asked with."""


def authorise(request: Request, parts: PartsOf, principal: PrincipalOf) -> None:
    """Refuse a principal without the right that the route asks for."""
    template = template_of(request.scope)
    right = right_for(request.method, template)
    if right is None:
        raise Defect(f"{request.method} {template} has no entry in service/access/policy.py")
    if has(principal, right):
        return
    address = request.client.host if request.client else ""
    parts.gate.tell(
        AuditKind.SECURITY_ALERT, principal.name, address, f"no right to {right.value}: {template}"
    )
    held = ", ".join(sorted(principal.roles)) or "none"
    raise ApiError(HTTPStatus.FORBIDDEN, f"this needs the right to {right.value}; your roles: {held}")
