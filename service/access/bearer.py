"""Bearer tokens of the hospital's OpenID provider: signature, audience, dates, roles."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import GuestProtocol, Key

from core.clock import Clock
from core.settings import AccessSettings
from service.access.credentials import Identity
from service.access.principal import Principal, Role
from service.access.provider import OpenIdProvider
from service.access.refusals import invalid_credentials

EVERY_SOURCE = "*"
LONGEST_NAME = 256
"""Characters; it goes into the audit trail."""


class TokenJudge:
    """Judges access tokens (RFC 9068, or any JWT with iss, aud, sub and exp)."""

    def __init__(self, settings: AccessSettings, provider: OpenIdProvider, clock: Clock) -> None:
        self._settings = settings
        self._provider = provider
        self._clock = clock

    def judge(self, text: str) -> Identity:
        """Return whose access token it is.

        Raises
        ------
        Refused
            It is not a token of our provider, not for us, or not valid now.
        Transient
            The provider does not answer, so that it cannot be judged.
        """
        claims = self.claims(text, audience=self._settings.oidc_audience)
        return Identity(principal_of(claims, self._settings), f"user:{claims['sub']}")

    def claims(self, text: str, *, audience: str, **expected: str) -> dict[str, Any]:
        """Return the claims of a token that is for ``audience`` and has the ``expected`` ones.

        Raises
        ------
        Refused
            It is not a token of our provider, not for the audience, or not valid now.
        Transient
            The provider does not answer, so that it cannot be judged.
        """
        rules = jwt.JWTClaimsRegistry(
            now=int(self._clock().timestamp()),
            leeway=self._settings.oidc_leeway_s,
            iss={"essential": True, "value": self._settings.oidc_issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
            **{name: jwt.ClaimsOption(essential=True, value=value) for name, value in expected.items()},
        )
        try:
            token = jwt.decode(text, self._key, algorithms=list(self._settings.oidc_algorithms))
            rules.validate(token.claims)
        except ExpiredTokenError as error:
            raise invalid_credentials("the token has expired") from error
        except (JoseError, ValueError, RecursionError) as error:
            raise invalid_credentials("the token is not accepted") from error
        return token.claims

    def _key(self, token: GuestProtocol) -> Key:
        key_id = token.headers().get("kid")
        key = self._provider.key(key_id) if key_id is None or isinstance(key_id, str) else None
        if key is None:
            raise invalid_credentials("the token is not accepted")
        return key


def principal_of(claims: Mapping[str, Any], settings: AccessSettings) -> Principal:
    """Return what a user's claims stand for.

    Raises
    ------
    Refused
        The claim that names the user is missing.
    """
    name = claim_of(claims, settings.oidc_name_claim)
    if not isinstance(name, str) or not name:
        raise invalid_credentials("the token does not name its user")
    printable = "".join(character for character in name if character.isprintable())
    return Principal(
        name=printable[:LONGEST_NAME], roles=_roles(claims, settings), sources=_sources(claims, settings)
    )


def claim_of(claims: Mapping[str, Any], name: str) -> object:
    """Return a claim by its whole name, or by a path with dots."""
    if name in claims:
        return claims[name]
    first, dot, rest = name.partition(".")
    inner = claims.get(first)
    return claim_of(inner, rest) if dot and isinstance(inner, dict) else None


def _roles(claims: Mapping[str, Any], settings: AccessSettings) -> frozenset[Role]:
    given = _texts(claim_of(claims, settings.oidc_roles_claim))
    names = settings.oidc_role_names or {role.value: role.value for role in Role}
    return frozenset(Role(names[name]) for name in given if name in names)


def _sources(claims: Mapping[str, Any], settings: AccessSettings) -> frozenset[str] | None:
    """Return whose studies are visible; none at all where the claim is missing."""
    if not settings.oidc_sources_claim:
        return None
    titles = _texts(claim_of(claims, settings.oidc_sources_claim))
    return None if EVERY_SOURCE in titles else frozenset(titles)


def _texts(claim: object) -> Collection[str]:
    """Return a claim's texts: a list, or one text with spaces between."""
    if isinstance(claim, str):
        return claim.split()
    return [item for item in claim if isinstance(item, str)] if isinstance(claim, list) else []
