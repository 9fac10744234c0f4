"""Login of people: OpenID Connect, authorization code flow with PKCE (RFC 7636), once a browser."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import httpx

from core.errors import Transient
from core.settings import AccessSettings
from service.access.bearer import TokenJudge
from service.access.provider import OpenIdProvider
from service.access.refusals import invalid_credentials

CALLBACK = "/login/callback"

NewSecret = Callable[[], str]
"""43 or more characters nobody can guess, of those a URL may hold."""


@dataclass(frozen=True, slots=True)
class PendingLogin:
    """What is kept, in the signed cookie, while the browser is at the provider.

    Parameters
    ----------
    state
        Ties the answer to this browser.
    nonce
        Ties the ID token to this login.
    verifier
        Proves that we are who began (PKCE).
    continue_at
        Path of the page to show afterwards.
    """

    state: str
    nonce: str
    verifier: str
    continue_at: str


class Login:
    """Sends browsers to the provider, and takes its answer.

    Parameters
    ----------
    client_secret
        None: a public client, PKCE alone.
    """

    def __init__(
        self,
        settings: AccessSettings,
        provider: OpenIdProvider,
        tokens: TokenJudge,
        http: httpx.Client,
        new_secret: NewSecret,
        client_secret: str | None,
    ) -> None:
        self._settings = settings
        self._provider = provider
        self._tokens = tokens
        self._http = http
        self._new_secret = new_secret
        self._client_secret = client_secret

    @property
    def _redirect_uri(self) -> str:
        return self._settings.login_public_url.rstrip("/") + CALLBACK

    def begin(self, continue_at: str) -> tuple[str, PendingLogin]:
        """Return where to send the browser, and what to keep until it is back.

        Raises
        ------
        Transient
            The provider does not answer.
        """
        pending = PendingLogin(self._new_secret(), self._new_secret(), self._new_secret(), continue_at)
        query = {
            "response_type": "code",
            "client_id": self._settings.login_client_id,
            "redirect_uri": self._redirect_uri,
            "scope": self._settings.login_scope,
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": code_challenge(pending.verifier),
            "code_challenge_method": "S256",
        }
        endpoint = self._provider.endpoint("authorization_endpoint")
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}", pending

    def finish(self, pending: PendingLogin, *, state: str, code: str) -> dict[str, Any]:
        """Return the claims of who logged in.

        Raises
        ------
        Refused
            The answer is not of this browser's login, or the provider does not confirm it.
        Transient
            The provider does not answer.
        """
        if not hmac.compare_digest(state.encode(), pending.state.encode()):
            raise invalid_credentials("the answer belongs to another login")
        id_token = self._exchange(code, pending.verifier)
        return self._tokens.claims(id_token, audience=self._settings.login_client_id, nonce=pending.nonce)

    def _exchange(self, code: str, verifier: str) -> str:
        """Return the ID token that the provider gives for a code."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "client_id": self._settings.login_client_id,
            "code_verifier": verifier,
        }
        endpoint = self._provider.endpoint("token_endpoint")
        try:
            answer = self._http.post(endpoint, data=form, headers=self._client_authentication())
            content = answer.json() if answer.is_success else {}
        except (httpx.HTTPError, ValueError) as error:
            raise Transient("the OpenID provider does not answer") from error
        id_token = content.get("id_token")
        if not isinstance(id_token, str):
            raise invalid_credentials("the provider does not confirm the login")
        return id_token

    def _client_authentication(self) -> dict[str, str]:
        """Return client_secret_basic (RFC 6749 section 2.3.1)."""
        if self._client_secret is None:
            return {}
        pair = f"{quote(self._settings.login_client_id, safe='')}:{quote(self._client_secret, safe='')}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def code_challenge(verifier: str) -> str:
    """Return the S256 challenge of a verifier (RFC 7636 section 4.2)."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
