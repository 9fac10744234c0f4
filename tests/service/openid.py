"""An OpenID provider in this process: keys, tokens, and a network of its own."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import timedelta
from typing import Any

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey, Key, KeySet, RSAKey

from core.settings import AccessSettings
from service.access.bearer import TokenJudge
from service.access.provider import OpenIdProvider
from tests.service.service_records import MovedClock

ISSUER = "https://login.hospital.example/realms/main"
AUDIENCE = "metserve"


class FakeProvider:
    """Signs tokens, and answers for its configuration and keys as a provider does."""

    def __init__(self, clock: MovedClock, issuer: str = ISSUER) -> None:
        self.clock = clock
        self.issuer = issuer
        self.keys: dict[str, Key] = {"rsa": RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})}
        self.is_down = False
        self.asked: list[str] = []
        self.id_token = ""
        self.token_requests: list[httpx.Request] = []

    def http(self) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(self._answer))

    def judge(self, **settings: Any) -> TokenJudge:
        access = access_settings(oidc_issuer=self.issuer, **settings)
        return TokenJudge(access, self.provider(), self.clock)

    def provider(self) -> OpenIdProvider:
        return OpenIdProvider(self.issuer, self.http(), self.seconds)

    def seconds(self) -> float:
        return self.clock.now.timestamp()

    def token(self, *, kid: str = "rsa", alg: str = "RS256", key: Key | None = None, **claims: Any) -> str:
        """Return a token; a claim that is None is left out."""
        now = self.clock.now
        values = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": "user-1",
            "exp": int((now + timedelta(minutes=5)).timestamp()),
            "roles": ["viewer"],
            **claims,
        }
        kept = {name: value for name, value in values.items() if value is not None}
        header = {"alg": alg, "kid": kid} if kid else {"alg": alg}
        return jwt.encode(header, kept, key or self.keys[kid or "rsa"], algorithms=[alg])

    def forged_with_the_public_key(self) -> str:
        """Return a token that is signed with HS256 and the public key, which everybody has."""
        payload = self.token().split(".")[1]
        header = json.dumps({"alg": "HS256", "kid": "rsa"}).encode()
        signed = f"{base64url(header)}.{payload}"
        secret = bytes(self.keys["rsa"].as_pem(private=False))
        return f"{signed}.{base64url(hmac.digest(secret, signed.encode(), 'sha256'))}"

    def add_key(self, kid: str) -> None:
        self.keys[kid] = ECKey.generate_key("P-256", {"kid": kid, "use": "sig"})

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        if self.is_down:
            raise httpx.ConnectError("down", request=request)
        if request.url.path.endswith("/token"):
            self.token_requests.append(request)
            return httpx.Response(200, json={"id_token": self.id_token, "access_token": "opaque"})
        if request.url.path.endswith("/keys"):
            return httpx.Response(200, json=KeySet(list(self.keys.values())).as_dict(private=False))
        return httpx.Response(
            200,
            json={
                "issuer": self.issuer,
                "jwks_uri": f"{self.issuer}/keys",
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
            },
        )


def access_settings(**settings: Any) -> AccessSettings:
    return AccessSettings(**({"oidc_issuer": ISSUER, "oidc_audience": AUDIENCE} | settings))


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
