"""STOW-RS as user agent (PS3.18 10.5): the objects of one result in one request.

The address comes from the settings alone; redirects are not followed, proxies of the environment not used.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx

from core.destinations import WebDestination
from core.errors import Transient
from service.delivery.association import Caller
from service.delivery.multipart import DicomMultipart
from service.delivery.push_report import PushReport, Reply, Verdict, summary, with_fallbacks_sent
from service.delivery.results import ResultObject
from service.delivery.store_response import StoreResponse, is_about_all, read_response, replies_of

MAX_RESPONSE_BYTES = 1 << 20
"""A result has a handful of objects; an answer about them is far smaller."""

DICOM_JSON = "application/dicom+json"


class NotNow(Transient):
    """The server takes nothing at present.

    Parameters
    ----------
    retry_after_s
        How long it asked to be left alone.
    """

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


def stow(
    results: Sequence[ResultObject],
    server: WebDestination,
    caller: Caller,
    spare: Sequence[ResultObject] = (),
) -> PushReport:
    """Send objects to a DICOMweb server; parameters and result are those of ``push``."""
    try:
        with open_client(server, caller.timeout_s) as http:
            replies = _store(http, server, caller, results)
            replies = with_fallbacks_sent(
                replies, spare, lambda result: _store(http, server, caller, [result])[0]
            )
    except NotNow as error:
        return PushReport(Verdict.RETRY, str(error), reachable=False, retry_after_s=error.retry_after_s)
    return summary(replies)


def open_client(server: WebDestination, timeout_s: float) -> httpx.Client:
    """Return a client for one server, with what the server is to be shown.

    Raises
    ------
    NotNow
        A file with credentials or authorities cannot be read at present.
    """
    try:
        context = ssl.create_default_context(cafile=server.ca_file)
        headers, auth = _credentials(server)
    except (OSError, ssl.SSLError, UnicodeError) as error:
        raise NotNow(f"{server.name}: token_file, password_file or ca_file: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return httpx.Client(
        verify=context,
        headers=headers,
        auth=auth,
        timeout=timeout_s,
        follow_redirects=False,
        trust_env=False,
    )


def why_unreachable(server: WebDestination, error: Exception) -> str:
    """Say why there was no answer; never what was sent with the request."""
    return f"{server.where} cannot be reached: {type(error).__name__}: {error}"


def _credentials(server: WebDestination) -> tuple[dict[str, str], httpx.BasicAuth | None]:
    if server.token_file is not None:
        return {"Authorization": f"Bearer {_secret(server.token_file)}"}, None
    if server.password_file is not None:
        return {}, httpx.BasicAuth(server.username, _secret(server.password_file))
    return {}, None


def _secret(file: Path) -> str:
    return file.read_text(encoding="utf-8").strip()


def _store(
    http: httpx.Client, server: WebDestination, caller: Caller, results: Sequence[ResultObject]
) -> list[Reply]:
    """Make one store request.

    Raises
    ------
    NotNow
        No answer, or one that is about the server and not about the objects.
    """
    body = DicomMultipart(results)
    headers = {
        "Accept": DICOM_JSON,
        "Content-Type": body.content_type,
        "Content-Length": str(body.length),
    }
    deadline = time.monotonic() + caller.object_limit_s(body.length)
    try:
        with http.stream("POST", f"{server.url}/studies", content=iter(body), headers=headers) as answer:
            response = read_response(answer.status_code, _read(answer, deadline))
            retry_after_s = _retry_after_s(answer)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NotNow(why_unreachable(server, error)) from error
    if is_about_all(response.status):
        raise NotNow(_why(server, response), retry_after_s)
    return replies_of(response, results)


def _read(answer: httpx.Response, deadline: float) -> bytes:
    """Return the body, as much of it as an honest answer has and as fast as one comes."""
    body = b""
    for chunk in answer.iter_bytes():
        body += chunk
        if len(body) > MAX_RESPONSE_BYTES:
            raise httpx.ReadError(f"an answer of more than {MAX_RESPONSE_BYTES} bytes")
        if time.monotonic() > deadline:
            raise httpx.ReadTimeout("the answer did not end in time")
    return body


def _retry_after_s(answer: httpx.Response) -> float:
    """Return the pause of a Retry-After header (RFC 9110 10.2.3): seconds, or a date."""
    value = answer.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        moment = parsedate_to_datetime(value)
        sent = parsedate_to_datetime(answer.headers["Date"])
        return max(0.0, (moment.replace(tzinfo=UTC) - sent.replace(tzinfo=UTC)).total_seconds())
    except (ValueError, KeyError):
        return 0.0


def _why(server: WebDestination, response: StoreResponse) -> str:
    if 300 <= response.status < 400:
        return f"{server.where} answered HTTP {response.status}; expected the address it redirects to as url"
    return f"{server.where} answered HTTP {response.status}"
