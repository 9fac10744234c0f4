"""The gate: who is let in, who is told what, and who is asked to wait."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from limits.storage import MemoryStorage

from core.audit import AuditKind, AuditOutcome
from service.access.credentials import Identity
from service.access.gate import Asking, Gate
from service.access.limits import RateLimits
from service.access.principal import EVERYBODY, Principal, Role
from service.access.refusals import Refused, invalid_credentials
from tests.service.api_client import CollectedAudit, rate_limits

USER = Identity(Principal("user-1", frozenset({Role.VIEWER})), "user:1")
PROGRAM = Identity(Principal("ris", frozenset({Role.SERVICE})), "key:1")
KEY = "metserve_000000000000_secret"


class Knows:
    """Accepts one text."""

    def __init__(self, accepted: str, identity: Identity) -> None:
        self.accepted, self.identity, self.asked = accepted, identity, 0

    def judge(self, text: str) -> Identity:
        self.asked += 1
        if text != self.accepted:
            raise invalid_credentials("not accepted")
        return self.identity


class BrokenStorage(MemoryStorage):
    """A Redis that is down."""

    def incr(self, *_: Any, **__: Any) -> int:
        raise ConnectionError

    def get(self, *_: Any, **__: Any) -> int:
        raise ConnectionError


@pytest.fixture
def audit() -> CollectedAudit:
    return CollectedAudit()


@pytest.fixture
def gate(audit: CollectedAudit) -> Gate:
    return Gate(rate_limits(), audit, keys=Knows(KEY, PROGRAM), tokens=Knows("token", USER))


def asking(**fields: Any) -> Asking:
    values: dict[str, Any] = {
        "method": "GET",
        "is_open": False,
        "address": "192.0.2.7",
        "own_origin": "https://here",
    }
    return Asking(**(values | fields))


def refusal(gate: Gate, **fields: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        gate.admit(asking(**fields))
    return caught.value


@pytest.mark.parametrize("headers", [{"authorization": f"Bearer {KEY}"}, {"api_key": KEY}])
def test_a_key_is_taken_from_either_header(gate: Gate, headers: dict[str, str]) -> None:
    assert gate.admit(asking(**headers)) == PROGRAM.principal


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_token_is_taken_whatever_the_case_of_its_scheme(gate: Gate, scheme: str) -> None:
    assert gate.admit(asking(authorization=f"{scheme} token")) == USER.principal


def test_without_credentials_the_answer_says_how_to_come_back(gate: Gate) -> None:
    refused = refusal(gate)
    assert refused.status == 401
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "authorization", ["Basic dXNlcjpwYXNz", "Bearer", "Bearer ", "token", "Bearer wrong"]
)
def test_other_credentials_are_refused(gate: Gate, authorization: str) -> None:
    assert refusal(gate, authorization=authorization).status == 401


def test_a_wrong_token_is_not_saved_by_a_session(gate: Gate) -> None:
    assert refusal(gate, authorization="Bearer wrong", session=USER).status == 401


def test_a_refused_token_stands_in_the_audit_trail(gate: Gate, audit: CollectedAudit) -> None:
    refusal(gate, authorization="Bearer wrong")
    (event,) = audit.events
    assert event.kind is AuditKind.USER_AUTHENTICATION
    assert event.outcome is not AuditOutcome.SUCCESS
    assert event.actors[0].network_address == "192.0.2.7"
    assert "wrong" not in event.detail


def test_a_flood_of_refusals_does_not_drown_the_audit_trail(gate: Gate, audit: CollectedAudit) -> None:
    for _ in range(50):
        refusal(gate, authorization="Bearer wrong")
    assert len(audit.events) == 10


def test_an_open_route_asks_nobody(gate: Gate) -> None:
    assert gate.admit(asking(is_open=True, authorization="Bearer wrong")).roles == frozenset()


def test_who_guesses_too_often_waits_even_with_the_right_token(audit: CollectedAudit) -> None:
    tokens = Knows("token", USER)
    gate = Gate(rate_limits(failures_per_minute=3), audit, tokens=tokens)
    for _ in range(3):
        assert refusal(gate, authorization="Bearer wrong").status == 401
    late = refusal(gate, authorization="Bearer token")
    assert late.status == 429
    assert int(late.headers["Retry-After"]) > 0
    assert tokens.asked == 3
    assert gate.admit(asking(address="192.0.2.8", authorization="Bearer token")) == USER.principal


def test_requests_are_counted_for_each_user_and_not_for_an_address(audit: CollectedAudit) -> None:
    gate = Gate(
        rate_limits(requests_per_minute=2), audit, keys=Knows(KEY, PROGRAM), tokens=Knows("token", USER)
    )
    for address in ("192.0.2.7", "192.0.2.8"):
        gate.admit(asking(authorization="Bearer token", address=address))
    assert refusal(gate, authorization="Bearer token").status == 429
    gate.admit(asking(api_key=KEY))


@pytest.mark.parametrize("fields", [{}, {"is_open": True}])
def test_who_does_not_say_who_he_is_is_counted_by_his_address(
    audit: CollectedAudit, fields: dict[str, bool]
) -> None:
    gate = Gate(rate_limits(requests_per_minute=2), audit, tokens=Knows("token", USER))
    for _ in range(2):
        with suppress(Refused):
            gate.admit(asking(**fields))
    assert refusal(gate, **fields).status == 429


def test_where_counting_together_fails_each_process_counts_for_itself(audit: CollectedAudit) -> None:
    limits = RateLimits(BrokenStorage(), requests_per_minute=2, failures_per_minute=2)
    gate = Gate(limits, audit, tokens=Knows("token", USER))
    for _ in range(2):
        gate.admit(asking(authorization="Bearer token"))
    assert refusal(gate, authorization="Bearer token").status == 429


def test_only_what_is_configured_is_accepted(audit: CollectedAudit) -> None:
    with_keys = Gate(rate_limits(), audit, keys=Knows(KEY, PROGRAM))
    with_tokens = Gate(rate_limits(), audit, tokens=Knows("token", USER))
    assert refusal(with_keys, authorization="Bearer token").status == 401
    assert refusal(with_tokens, api_key=KEY).status == 401


# --- a login by browser


def test_a_session_opens_what_only_reads(gate: Gate) -> None:
    assert gate.admit(asking(session=USER)) == USER.principal


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"origin": "https://elsewhere"},
        {"origin": "null"},
        {"origin": "http://here"},
        {"fetch_site": "cross-site"},
        {"fetch_site": "same-site"},
        {"origin": "https://elsewhere", "fetch_site": "same-origin"},
    ],
)
def test_another_sites_page_can_do_nothing_with_a_session(gate: Gate, fields: dict[str, str]) -> None:
    assert refusal(gate, method="POST", session=USER, **fields).status == 403


@pytest.mark.parametrize("fields", [{"origin": "https://here"}, {"fetch_site": "same-origin"}])
def test_our_own_page_can(gate: Gate, fields: dict[str, str]) -> None:
    assert gate.admit(asking(method="POST", session=USER, **fields)) == USER.principal


def test_a_program_with_a_token_needs_no_origin(gate: Gate) -> None:
    assert gate.admit(asking(method="POST", authorization="Bearer token")) == USER.principal


# --- nothing configured: loopback, and everybody


@pytest.fixture
def open_gate(audit: CollectedAudit) -> Gate:
    return Gate(rate_limits(), audit, loopback_only=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", ""])
def test_everybody_on_this_machine_is_everybody(open_gate: Gate, host: str) -> None:
    assert open_gate.admit(asking(host=host)) == EVERYBODY


def test_a_name_that_leads_here_from_a_web_page_is_refused(open_gate: Gate, audit: CollectedAudit) -> None:
    refused = refusal(open_gate, host="rebound.example")
    assert refused.status == 403
    assert "METSERVE_ACCESS_OPEN" in refused.detail
    assert audit.events[0].kind is AuditKind.SECURITY_ALERT


@pytest.mark.parametrize("fields", [{"origin": "https://elsewhere"}, {"fetch_site": "cross-site"}])
def test_a_web_page_of_others_changes_nothing(open_gate: Gate, fields: dict[str, str]) -> None:
    assert refusal(open_gate, method="POST", host="localhost", **fields).status == 403
    assert open_gate.admit(asking(method="POST", host="localhost")) == EVERYBODY


def test_behind_a_proxy_that_asks_any_name_will_do(audit: CollectedAudit) -> None:
    assert Gate(rate_limits(), audit).admit(asking(host="metserve.hospital.example")) == EVERYBODY
