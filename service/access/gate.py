"""The gate: who is let in to REST and DICOMweb. What he may do there, the policy says."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from core.audit import Actor, Audit, AuditAction, AuditEvent, AuditKind, AuditOutcome
from core.errors import Transient
from service.access.api_keys import PREFIX
from service.access.credentials import Identity, Judge
from service.access.limits import WINDOW_S, RateLimits
from service.access.principal import EVERYBODY, Principal
from service.access.refusals import Refused, invalid_credentials, too_many_requests, unknown_asker

PASSER_BY = Principal("anonymous", frozenset())
"""Who asks for something open, and need not say who he is."""

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""They change nothing (RFC 9110 section 9.2.1)."""

OWN_ACTOR = Actor("metserve", is_requestor=False, role="application")


@dataclass(frozen=True, slots=True)
class Asking:
    """What the gate looks at of a request.

    Parameters
    ----------
    is_open
        Whether the route asks nobody who he is.
    authorization, api_key
        The headers Authorization and X-API-Key; empty: none.
    host
        The name in the header Host, without its port.
    own_origin
        Scheme, host and port the request came to.
    origin, fetch_site
        The headers Origin and Sec-Fetch-Site; a browser sends one of them with every unsafe request.
    session
        From the session cookie of a login; its signature was checked.
    """

    method: str
    is_open: bool
    address: str = ""
    authorization: str = ""
    api_key: str = ""
    host: str = ""
    own_origin: str = ""
    origin: str = ""
    fetch_site: str = ""
    session: Identity | None = None


class Gate:
    """Lets principals in.

    Parameters
    ----------
    keys, tokens
        Judges of API keys and of the provider's tokens; None: not configured. Both None: everybody is
        let in.
    loopback_only
        Nothing is configured and REST listens on loopback: a web page that gets a browser to ask us
        under another name (DNS rebinding) is refused.
    """

    def __init__(
        self,
        limits: RateLimits,
        audit: Audit,
        *,
        keys: Judge | None = None,
        tokens: Judge | None = None,
        loopback_only: bool = False,
    ) -> None:
        self._limits = limits
        self._audit = audit
        self._keys = keys
        self._tokens = tokens
        self._loopback_only = loopback_only

    @property
    def asks(self) -> bool:
        """Whether anybody is asked who he is."""
        return self._keys is not None or self._tokens is not None

    def admit(self, asking: Asking) -> Principal:
        """Return who asks.

        Raises
        ------
        Refused
            He is not known, or asks too often.
        """
        identity = self._identify(asking)
        if not self._limits.may_ask(identity.counted_as):
            raise too_many_requests(f"{identity.principal.name} asks too often", WINDOW_S)
        return identity.principal

    def tell(self, kind: AuditKind, name: str, address: str, detail: str) -> None:
        """Leave a refusal in the audit trail, unless one address had many this minute."""
        if not self._limits.is_told(address):
            return
        actors = (Actor(name, address), OWN_ACTOR)
        outcome = AuditOutcome.SERIOUS_FAILURE
        self._audit.record(AuditEvent(kind, AuditAction.EXECUTE, actors, outcome, detail=detail))

    def _identify(self, asking: Asking) -> Identity:
        by_address = f"address:{asking.address}"
        if asking.is_open:
            return Identity(PASSER_BY, by_address)
        if not self.asks:
            self._check_browser(asking)
            return Identity(EVERYBODY, by_address)
        if asking.authorization or asking.api_key:
            return self._judge(asking)
        if asking.session is not None:
            _check_same_origin(asking)
            return asking.session
        if not self._limits.may_ask(by_address):
            raise too_many_requests("too many requests without a token", WINDOW_S)
        raise unknown_asker("a token or an API key is needed; see docs/access.md")

    def _judge(self, asking: Asking) -> Identity:
        if self._limits.fails_too_often(asking.address):
            raise too_many_requests("too many tokens or keys that were not accepted", WINDOW_S)
        try:
            return self._judge_of(_credentials(asking))
        except Transient as error:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, str(error), {"Retry-After": "30"}) from error
        except Refused as refusal:
            self._limits.failed(asking.address)
            self.tell(AuditKind.USER_AUTHENTICATION, "unknown", asking.address, refusal.detail)
            raise

    def _judge_of(self, credentials: str) -> Identity:
        judge = self._keys if credentials.startswith(PREFIX) else self._tokens
        if judge is None:
            raise invalid_credentials(
                "API keys are not accepted here" if self._tokens else "only API keys are accepted here"
            )
        return judge.judge(credentials)

    def _check_browser(self, asking: Asking) -> None:
        """Keep web pages of others away from a service that asks nobody."""
        if self._loopback_only and asking.host and asking.host not in LOOPBACK_NAMES:
            raise self._told(
                asking,
                f"asked for as {asking.host[:80]!r}, expected localhost or 127.0.0.1; behind a proxy "
                "that asks its users who they are, set METSERVE_ACCESS_OPEN=true",
            )
        if asking.method not in SAFE_METHODS and _comes_from_elsewhere(asking):
            raise self._told(asking, "a web page of another origin asks; expected one of our own")

    def _told(self, asking: Asking, detail: str) -> Refused:
        self.tell(AuditKind.SECURITY_ALERT, EVERYBODY.name, asking.address, detail)
        return Refused(HTTPStatus.FORBIDDEN, detail)


def _credentials(asking: Asking) -> str:
    if not asking.authorization:
        return asking.api_key
    scheme, _, credentials = asking.authorization.partition(" ")
    if scheme.lower() != "bearer" or not credentials:
        raise invalid_credentials("the Authorization header is not of the kind Bearer")
    return credentials.strip()


def _comes_from_elsewhere(asking: Asking) -> bool:
    """Tell whether a browser says that a page of another origin asks."""
    if asking.origin:
        return asking.origin != asking.own_origin
    return asking.fetch_site not in {"", "same-origin", "none"}


def _check_same_origin(asking: Asking) -> None:
    """Refuse what another site's page does with the cookie of a login (CSRF)."""
    if asking.method in SAFE_METHODS:
        return
    is_said = bool(asking.origin) or bool(asking.fetch_site)
    if not is_said or _comes_from_elsewhere(asking):
        raise Refused(HTTPStatus.FORBIDDEN, "a login by browser may only be used by our own pages")
