"""The HTTP server under clients that hold on to it, and under TLS."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
import uvicorn
from fastapi import FastAPI, Request

from core.errors import InvalidInput
from core.settings import ApiSettings
from service.main.http_server import open_server
from tests.service.storage_peers import free_port

LIMIT_S = 20.0


def answering() -> FastAPI:
    app = FastAPI()

    @app.get("/")
    def root(request: Request) -> dict[str, Any]:
        assert request.client is not None
        return {"client": request.client.host, "scheme": request.url.scheme}

    return app


@contextmanager
def served(**settings: Any) -> Iterator[int]:
    port = free_port()
    server: uvicorn.Server = open_server(answering(), ApiSettings(port=port, **settings))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        end = time.monotonic() + LIMIT_S
        while not server.started and time.monotonic() < end:
            time.sleep(0.02)
        yield port
    finally:
        server.should_exit = True
        thread.join()


def closed_by_peer(connection: socket.socket) -> bool:
    """Read what still comes; tell whether the connection ends before long."""
    connection.settimeout(LIMIT_S)
    try:
        while connection.recv(4096):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


def get(port: int, **headers: str) -> dict[str, Any]:
    return dict(httpx.get(f"http://127.0.0.1:{port}/", headers=headers, timeout=LIMIT_S).json())


def test_a_connection_that_sends_nothing_is_closed() -> None:
    with served(header_timeout_s=0.3) as port, socket.create_connection(("127.0.0.1", port)) as silent:
        assert closed_by_peer(silent)


def test_a_connection_that_never_ends_its_headers_is_closed() -> None:
    with served(header_timeout_s=0.3) as port, socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: here\r\nX-Slow: ")
        assert closed_by_peer(slow)


def test_a_second_request_must_come_whole_too() -> None:
    with served(header_timeout_s=0.5) as port, socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        assert b"200 OK" in slow.recv(4096)
        slow.sendall(b"GET / HTTP/1.1\r\nHost: here\r\nX-Slow: ")
        assert closed_by_peer(slow)


def test_one_address_cannot_take_every_place() -> None:
    with served(maximum_connections_per_address=3) as port:
        held = [
            socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.2", 0)) for _ in range(10)
        ]
        assert sum(closed_by_peer(connection) for connection in held[3:]) == 7
        assert get(port)["client"] == "127.0.0.1"
        for connection in held:
            connection.close()


def test_headers_without_end_are_not_read() -> None:
    with served(maximum_header_bytes=4096) as port, socket.create_connection(("127.0.0.1", port)) as endless:
        endless.sendall(b"GET / HTTP/1.1\r\n")
        with suppress(ConnectionError):
            for _ in range(1000):
                endless.sendall(b"X-Long: " + b"x" * 4096 + b"\r\n")
        assert closed_by_peer(endless)


def test_random_bytes_get_an_answer_or_none_and_leave_no_line_each(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), served() as port:
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            stranger.sendall(b"\x16\x03\x01\x00\xff" * 50 + b"\r\n\r\n")
            assert stranger.recv(64).startswith(b"HTTP/1.1 400") or closed_by_peer(stranger)
        assert get(port)["client"] == "127.0.0.1"
    assert caplog.messages == []


@pytest.mark.parametrize(("trusted", "client"), [((), "127.0.0.1"), (("127.0.0.1",), "192.0.2.9")])
def test_only_a_proxy_that_is_trusted_says_who_asks(trusted: tuple[str, ...], client: str) -> None:
    with served(trusted_proxies=trusted) as port:
        assert get(port, **{"X-Forwarded-For": "192.0.2.9"})["client"] == client


# --- TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def pem(authority: trustme.CA, tmp_path: Path) -> dict[str, Path]:
    issued = authority.issue_cert("localhost")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    return {"certificate": certificate, "key": key}


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_rest_is_served_over_tls(authority: trustme.CA, pem: dict[str, Path]) -> None:
    with served(**pem) as port:
        reply = httpx.get(f"https://localhost:{port}/", verify=trusting(authority), timeout=LIMIT_S)
    assert reply.json()["scheme"] == "https"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_old_tls_is_refused(authority: trustme.CA, pem: dict[str, Path]) -> None:
    old = trusting(authority)
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with served(**pem) as port, pytest.raises(httpx.ConnectError):
        httpx.get(f"https://localhost:{port}/", verify=old, timeout=LIMIT_S)


def test_a_key_of_another_certificate_is_told(pem: dict[str, Path]) -> None:
    other = trustme.CA().issue_cert("localhost")
    pem["key"].write_bytes(other.private_key_pem.bytes())
    with pytest.raises(InvalidInput, match="METSERVE_API_KEY"):
        open_server(answering(), ApiSettings(**pem))  # type: ignore[arg-type]
