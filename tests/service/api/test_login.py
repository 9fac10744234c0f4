"""Login with a browser: to the provider and back, a cookie, and the way out."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from core.audit import AuditKind
from service.access.bearer import TokenJudge
from service.access.gate import Gate
from service.access.login import Login
from service.api.app import create_app
from tests.service.api_client import CollectedAudit, api_parts, rate_limits
from tests.service.openid import FakeProvider, access_settings
from tests.service.service_records import MovedClock, Records

PUBLIC = "https://metserve.hospital.example"
SECRETS = ("state-0", "nonce-0", "verifier-0", "state-1", "nonce-1", "verifier-1")


class Browser:
    """Keeps cookies, and follows nothing by itself."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.clock = MovedClock()
        self.provider = FakeProvider(self.clock)
        self.audit = CollectedAudit()
        access = access_settings(login_client_id="metserve-web", login_public_url=PUBLIC, **settings)
        http, known = self.provider.http(), self.provider.provider()
        tokens = TokenJudge(access, known, self.clock)
        given = iter(SECRETS)
        parts = api_parts(
            Records(folder),
            folder,
            clock=self.clock,
            audit=self.audit,
            access=access,
            gate=Gate(rate_limits(), self.audit, tokens=tokens),
            login=Login(access, known, tokens, http, lambda: next(given), "client-secret"),
            session_key="k" * 32,
        )
        self.app = create_app(parts)
        self.cookies = httpx.Cookies()

    def ask(self, method: str, url: str, **arguments: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(
                transport=transport, base_url=PUBLIC, cookies=self.cookies
            ) as client:
                reply = await client.request(method, url, **arguments)
                self.cookies = client.cookies
                return reply

        return asyncio.run(ask())

    def begin(self, url: str = "/login") -> dict[str, str]:
        """Ask to log in; return what the provider is sent."""
        reply = self.ask("GET", url)
        assert reply.status_code == 303, reply.text
        sent = urlsplit(reply.headers["location"])
        assert reply.headers["location"].startswith(f"{self.provider.issuer}/authorize?")
        return {name: values[0] for name, values in parse_qs(sent.query).items()}

    def come_back(self, state: str, **claims: Any) -> httpx.Response:
        values = {"aud": "metserve-web", "nonce": "nonce-0", "roles": ["operator"]} | claims
        self.provider.id_token = self.provider.token(**values)
        return self.ask("GET", f"/login/callback?state={state}&code=a-code")


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    return Browser(tmp_path)


def test_a_page_leads_to_the_provider_and_back_to_itself(browser: Browser) -> None:
    first = browser.ask("GET", "/docs", headers={"Accept": "text/html"})
    assert (first.status_code, first.headers["location"]) == (303, "/login?continue_at=/docs")
    sent = browser.begin(first.headers["location"])
    back = browser.come_back(sent["state"])
    assert (back.status_code, back.headers["location"]) == (303, f"{PUBLIC}/docs")
    assert browser.ask("GET", "/docs").status_code == 200
    assert browser.ask("GET", "/api/v1/principal").json()["roles"] == ["operator"]


def test_the_code_is_asked_for_with_pkce_and_redeemed_with_the_secret(browser: Browser) -> None:
    sent = browser.begin()
    challenge = base64.urlsafe_b64encode(hashlib.sha256(b"verifier-0").digest()).decode().rstrip("=")
    assert sent | {"code_challenge": challenge, "code_challenge_method": "S256"} == sent
    assert sent["redirect_uri"] == f"{PUBLIC}/login/callback"
    browser.come_back(sent["state"])
    (request,) = browser.provider.token_requests
    form = parse_qs(request.content.decode())
    assert form["code_verifier"] == ["verifier-0"]
    assert form["code"] == ["a-code"]
    assert base64.b64decode(request.headers["Authorization"].split()[1]) == b"metserve-web:client-secret"


def test_the_cookie_is_for_this_host_over_https_and_no_script(browser: Browser) -> None:
    browser.come_back(browser.begin()["state"])
    cookie = browser.ask("GET", "/login").headers["set-cookie"].lower()
    assert cookie.startswith("__host-metserve=")
    assert all(word in cookie for word in ("httponly", "secure", "samesite=lax", "path=/"))


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "of-another-login"},
        {"nonce": None},
        {"aud": "another-client"},
        {"iss": "https://elsewhere.example"},
        {"exp": 1},
    ],
)
def test_an_answer_that_was_not_made_for_this_login_is_refused(
    browser: Browser, claims: dict[str, Any]
) -> None:
    back = browser.come_back(browser.begin()["state"], **claims)
    assert back.status_code == 401
    assert browser.ask("GET", "/api/v1/principal").status_code == 401
    assert browser.audit.events[-1].kind is AuditKind.USER_AUTHENTICATION


def test_an_answer_with_another_state_is_refused(browser: Browser) -> None:
    browser.begin()
    assert browser.come_back("state-of-a-stranger").status_code == 401
    assert browser.provider.token_requests == []


def test_an_answer_nobody_asked_for_is_refused(browser: Browser) -> None:
    assert browser.come_back("").status_code == 401


def test_an_answer_serves_once(browser: Browser) -> None:
    state = browser.begin()["state"]
    browser.come_back(state)
    assert browser.come_back(state).status_code == 401


@pytest.mark.parametrize(
    "target",
    ["https://evil.example", "//evil.example", "/\\evil.example", "evil", "/docs?x=//e", "/%5Cevil", "/a\nb"],
)
def test_a_login_leads_to_no_other_host(browser: Browser, target: str) -> None:
    reply = browser.ask("GET", "/login", params={"continue_at": target})
    assert reply.status_code == 422


def test_a_login_ends_after_its_time(browser: Browser) -> None:
    browser.come_back(browser.begin()["state"])
    browser.clock.advance(8 * 3600 - 1)
    assert browser.ask("GET", "/api/v1/principal").status_code == 200
    browser.clock.advance(2)
    assert browser.ask("GET", "/api/v1/principal").status_code == 401


def test_a_changed_cookie_opens_nothing(browser: Browser) -> None:
    browser.come_back(browser.begin()["state"])
    (cookie,) = browser.cookies.jar
    payload, signature = str(cookie.value).split(".", 1)
    text = base64.b64decode(payload).replace(b"operator", b"admin")
    browser.cookies = httpx.Cookies({cookie.name: f"{base64.b64encode(text).decode()}.{signature}"})
    assert browser.ask("GET", "/api/v1/principal").status_code == 401


def test_only_our_own_pages_act_with_the_cookie(browser: Browser) -> None:
    browser.come_back(browser.begin()["state"])
    assert browser.ask("POST", "/logout").status_code == 403
    assert browser.ask("POST", "/logout", headers={"Origin": "https://evil.example"}).status_code == 403
    assert browser.ask("GET", "/api/v1/principal").status_code == 200
    assert browser.ask("POST", "/logout", headers={"Origin": PUBLIC}).status_code == 204
    assert browser.ask("GET", "/api/v1/principal").status_code == 401


def test_a_login_and_a_failure_stand_in_the_audit_trail(browser: Browser) -> None:
    browser.come_back(browser.begin()["state"])
    (event,) = browser.audit.events
    assert (event.kind, event.actors[0].user_id) == (AuditKind.USER_AUTHENTICATION, "user-1")


def test_a_provider_that_is_down_is_told_and_not_a_traceback(browser: Browser) -> None:
    browser.provider.is_down = True
    assert browser.ask("GET", "/login").status_code == 503


def test_a_program_is_not_led_to_a_login(browser: Browser) -> None:
    assert browser.ask("GET", "/docs").status_code == 401
    assert browser.ask("GET", "/api/v1/studies", headers={"Accept": "application/json"}).status_code == 401
