"""What every response gets: the research-use notice, safe headers, a count by route, and an end."""

from __future__ import annotations

from http import HTTPStatus
from traceback import extract_tb

from prometheus_client import CollectorRegistry, Counter
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.logs import logger
from core.provenance import RESEARCH_USE_NOTICE
from service.api.problems import problem_response
from service.api.templates import template_of

NOTICE_HEADER = "Research-Use-Notice"

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'wasm-unsafe-eval'",  # viewers decode images in WebAssembly
        "style-src 'self' 'unsafe-inline'",  # Swagger UI and viewers set styles from scripts
        "img-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
"""What a page of ours may load and do; nothing from another host."""

STRICT_TRANSPORT_SECURITY = "max-age=31536000"
"""A browser that came by HTTPS comes by HTTPS for a year (RFC 6797)."""

HEADERS = {
    NOTICE_HEADER: RESEARCH_USE_NOTICE,
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-site",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",  # patient data must not stay in a proxy or a browser
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}


class ResponseMiddleware:
    """Adds headers to each response and counts it.

    Parameters
    ----------
    registry
        Gets the counter. Labels are method, route template and status: never a UID.
    """

    def __init__(self, app: ASGIApp, registry: CollectorRegistry) -> None:
        self._app = app
        self._requests = Counter(
            "metserve_http_requests",
            "HTTP requests answered, by method, route template and status.",
            ("method", "route", "status"),
            registry=registry,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        response = _Response(scope, send, self._requests)
        try:
            await self._app(scope, receive, response.send)
        except Exception as error:  # noqa: BLE001 - logged by class and place: its text may name a patient
            place = extract_tb(error.__traceback__)[-1]
            logger().error(
                "unexpected error", error=type(error).__name__, place=f"{place.filename}:{place.lineno}"
            )
            if not response.started:
                await _failed(error)(scope, receive, response.send)


class _Response:
    """Sends one response, with the headers every response has."""

    def __init__(self, scope: Scope, send: Send, requests: Counter) -> None:
        self._scope = scope
        self._send = send
        self._requests = requests
        self.started = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            if self._scope.get("scheme") == "https":
                headers.setdefault("Strict-Transport-Security", STRICT_TRANSPORT_SECURITY)
            self._requests.labels(_method(self._scope), template_of(self._scope), message["status"]).inc()
        await self._send(message)


def _failed(error: Exception) -> ASGIApp:
    return problem_response(
        HTTPStatus.INTERNAL_SERVER_ERROR, f"the service failed unexpectedly ({type(error).__name__})"
    )


def _method(scope: Scope) -> str:
    known = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
    return scope["method"] if scope["method"] in known else "other"
