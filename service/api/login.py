"""Login with a browser: to the OpenID provider and back, then a signed cookie."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.responses import RedirectResponse, Response
from starlette.middleware.sessions import SessionMiddleware

from core.audit import Actor, AuditAction, AuditEvent, AuditKind
from service.access.bearer import principal_of
from service.access.browser_session import FIELD, session_of
from service.access.gate import OWN_ACTOR
from service.access.login import CALLBACK, Login, PendingLogin
from service.access.principal import Principal
from service.access.refusals import Refused
from service.api.parts import ApiParts, PartsOf
from service.api.problems import ApiError, problem_responses

PENDING_FIELD = "pending_login"
DEFAULT_PAGE = "/docs"
LONGEST_TEXT = 4096
"""Characters of what a provider sends back."""

OWN_PATH = r"^/([A-Za-z0-9._~-][A-Za-z0-9/._~-]*)?$"
"""A page of ours; // and /\\ would lead a browser to another host (open redirect)."""

ContinueAt = Annotated[
    str, Query(max_length=500, pattern=OWN_PATH, description="Path of the page to show afterwards.")
]
FromProvider = Annotated[str, Query(max_length=LONGEST_TEXT)]

router = APIRouter(tags=["access"])
logout_router = APIRouter(tags=["access"])
_REDIRECT: dict[int | str, dict[str, Any]] = {
    303: {"description": "Elsewhere: to the provider, or to the page."},
    **problem_responses(
        HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE
    ),
}


def install_session(app: FastAPI, parts: ApiParts) -> None:
    """Read the cookie of a login before the gate does, where there is a login."""
    if parts.login is None:
        return
    is_https = parts.access.login_public_url.startswith("https://")
    app.add_middleware(
        SessionMiddleware,
        secret_key=parts.session_key,
        session_cookie="__Host-metserve" if is_https else "metserve",
        max_age=parts.access.login_session_s,
        same_site="lax",
        https_only=is_https,
    )


@router.get(
    "/login",
    summary="Log in with a browser",
    status_code=HTTPStatus.SEE_OTHER,
    response_class=RedirectResponse,
    responses=_REDIRECT,
)
def log_in(request: Request, parts: PartsOf, continue_at: ContinueAt = DEFAULT_PAGE) -> Response:
    """Send the browser to the OpenID provider."""
    login = _login_of(parts)
    url, pending = login.begin(continue_at)
    request.session.clear()
    request.session[PENDING_FIELD] = asdict(pending)
    return RedirectResponse(url, HTTPStatus.SEE_OTHER)


@router.get(
    CALLBACK,
    summary="Where the provider sends the browser back to",
    status_code=HTTPStatus.SEE_OTHER,
    response_class=RedirectResponse,
    responses={**_REDIRECT, **problem_responses(HTTPStatus.UNAUTHORIZED)},
)
def finish_login(
    request: Request, parts: PartsOf, state: FromProvider = "", code: FromProvider = ""
) -> Response:
    """Take the provider's answer, and remember in a cookie who logged in."""
    login = _login_of(parts)
    kept = request.session.pop(PENDING_FIELD, None)
    try:
        pending = PendingLogin(**kept) if kept else PendingLogin("", "", "", DEFAULT_PAGE)
        claims = login.finish(pending, state=state if kept else "no login", code=code)
        principal = principal_of(claims, parts.access)
    except Refused as refusal:
        address = _address(request)
        parts.gate.tell(AuditKind.USER_AUTHENTICATION, "unknown", address, f"login: {refusal.detail}")
        detail = f"the login did not succeed ({refusal.detail}); start again at /login"
        raise ApiError(HTTPStatus.UNAUTHORIZED, detail) from refusal
    _remember(request, parts, principal, str(claims["sub"]))
    page = parts.access.login_public_url.rstrip("/") + pending.continue_at
    return RedirectResponse(page, HTTPStatus.SEE_OTHER)


@logout_router.post(
    "/logout",
    summary="Forget the login of this browser",
    status_code=HTTPStatus.NO_CONTENT,
)
def log_out(request: Request) -> None:
    """Take the cookie back; the login at the provider itself stays."""
    if "session" in request.scope:
        request.session.clear()


def _login_of(parts: ApiParts) -> Login:
    if parts.login is None:
        raise ApiError(
            HTTPStatus.NOT_FOUND, "no login is set up here (METSERVE_ACCESS_LOGIN_CLIENT_ID is empty)"
        )
    return parts.login


def _remember(request: Request, parts: ApiParts, principal: Principal, subject: str) -> None:
    lifetime = timedelta(seconds=parts.access.login_session_s)
    request.session[FIELD] = session_of(principal, subject, parts.clock(), lifetime)
    actors = (Actor(principal.name, _address(request)), OWN_ACTOR)
    parts.audit.record(
        AuditEvent(AuditKind.USER_AUTHENTICATION, AuditAction.EXECUTE, actors, detail="login by browser")
    )


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
