"""The HTTP server: uvicorn with limits on what a client may hold open, and TLS where it is set."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import Counter

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from core.errors import InvalidInput
from core.settings import ApiSettings

SHUTDOWN_GRACE_S = 10
"""How long requests under way may still take once the API is told to stop."""


def open_server(app: FastAPI, settings: ApiSettings) -> uvicorn.Server:
    """Return a server that is ready to run.

    Raises
    ------
    InvalidInput
        Certificate or key cannot be used.
    """
    logging.getLogger("uvicorn.error").addFilter(_is_no_noise)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=_protocol(settings),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        limit_concurrency=settings.maximum_connections,
        h11_max_incomplete_event_size=settings.maximum_header_bytes,
        timeout_graceful_shutdown=SHUTDOWN_GRACE_S,
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.key,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput(
            f"METSERVE_API_CERTIFICATE {str(settings.certificate)!r} and METSERVE_API_KEY "
            f"{str(settings.key)!r}: {error}; expected PEM files that belong together"
        ) from error
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996
    return uvicorn.Server(config)


def _protocol(settings: ApiSettings) -> type[H11Protocol]:
    """Return a protocol with these settings; uvicorn makes one for each connection, from a class."""
    connections: Counter[str] = Counter()

    class LimitedProtocol(_LimitedProtocol):
        header_timeout_s = settings.header_timeout_s
        maximum_per_address = settings.maximum_connections_per_address
        exempt = frozenset(settings.trusted_proxies)
        by_address = connections

    return LimitedProtocol


class _LimitedProtocol(H11Protocol):
    """Closes connections that send no request, and those of an address that has too many.

    uvicorn itself waits for the headers of a first request for ever.
    """

    header_timeout_s: float
    maximum_per_address: int
    exempt: frozenset[str]
    by_address: Counter[str]

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._address = ""
        self._header_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, and expect headers soon."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self.by_address[self._address] += 1
        if self.by_address[self._address] > self.maximum_per_address and self._address not in self.exempt:
            transport.abort()
            return
        self._expect_headers()

    def data_received(self, data: bytes) -> None:
        """Take data; from the first byte of a request its headers are expected soon."""
        super().data_received(data)
        if self._awaits_request():
            self._expect_headers()
        else:
            self._forget_deadline()

    def on_response_complete(self) -> None:
        """Expect the headers of a next request, of which a part may be here already."""
        super().on_response_complete()
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        self.by_address[self._address] -= 1
        if self.by_address[self._address] <= 0:
            del self.by_address[self._address]
        self._forget_deadline()

    def _awaits_request(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _expect_headers(self) -> None:
        if self._header_deadline is None:
            self._header_deadline = self.loop.call_later(self.header_timeout_s, self._close_if_silent)

    def _forget_deadline(self) -> None:
        if self._header_deadline is not None:
            self._header_deadline.cancel()
            self._header_deadline = None

    def _close_if_silent(self) -> None:
        self._header_deadline = None
        if self._awaits_request():
            self.transport.abort()


def _is_no_noise(record: logging.LogRecord) -> bool:
    """Drop what uvicorn says of each malformed request: anybody can send those without end."""
    return not record.getMessage().startswith("Invalid HTTP request received")
