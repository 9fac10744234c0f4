"""Refusals: why somebody is not let in, and what the answer says of it."""

from __future__ import annotations

from http import HTTPStatus

CHALLENGE = 'Bearer realm="metserve"'


class Refused(Exception):
    """Ends a request at the gate.

    Parameters
    ----------
    status
        401 (who are you?), 403 (not you), 429 (too often) or 503 (the OpenID provider is out of reach).
    detail
        For the one refused; holds nothing of the token or key.
    headers
        Of the answer.
    """

    def __init__(self, status: HTTPStatus, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}


def unknown_asker(detail: str) -> Refused:
    """Return the refusal of somebody who did not say who he is."""
    return Refused(HTTPStatus.UNAUTHORIZED, detail, {"WWW-Authenticate": CHALLENGE})


def invalid_credentials(detail: str) -> Refused:
    """Return the refusal of a token or key that is not accepted (RFC 6750 section 3.1)."""
    challenge = f'{CHALLENGE}, error="invalid_token", error_description="{detail}"'
    return Refused(HTTPStatus.UNAUTHORIZED, detail, {"WWW-Authenticate": challenge})


def too_many_requests(detail: str, wait_s: int) -> Refused:
    """Return the refusal of somebody who asks too often."""
    return Refused(HTTPStatus.TOO_MANY_REQUESTS, detail, {"Retry-After": str(max(1, wait_s))})
