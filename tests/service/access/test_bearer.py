"""Tokens: only those of our provider, for us, now."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from core.errors import Transient
from service.access.principal import Principal, Role
from service.access.refusals import Refused
from tests.service.openid import FakeProvider
from tests.service.service_records import MovedClock


@pytest.fixture
def provider() -> FakeProvider:
    return FakeProvider(MovedClock())


def unsigned(provider: FakeProvider, header: dict[str, str]) -> str:
    _, payload, _ = provider.token().split(".")
    return f"{base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip('=')}.{payload}."


def test_a_token_names_its_user_and_his_roles(provider: FakeProvider) -> None:
    identity = provider.judge().judge(provider.token(roles=["operator", "something else"]))
    assert identity.principal == Principal("user-1", frozenset({Role.OPERATOR}))


def test_a_token_without_roles_is_of_somebody_who_may_nothing(provider: FakeProvider) -> None:
    assert provider.judge().judge(provider.token(roles=None)).principal.roles == frozenset()


def test_roles_are_found_deep_in_the_token_and_translated(provider: FakeProvider) -> None:
    judge = provider.judge(
        oidc_roles_claim="realm_access.roles", oidc_role_names={"Neuro-Admins": "admin", "all": "viewer"}
    )
    token = provider.token(realm_access={"roles": ["Neuro-Admins", "admin", "all"]})
    assert judge.judge(token).principal.roles == {Role.ADMIN, Role.VIEWER}


def test_a_translation_replaces_the_names_that_would_count_otherwise(provider: FakeProvider) -> None:
    judge = provider.judge(oidc_role_names={"Neuro-Admins": "admin"})
    assert judge.judge(provider.token(roles=["admin"])).principal.roles == frozenset()


@pytest.mark.parametrize(
    ("claim", "sources"),
    [(["MRI1", "MRI2"], {"MRI1", "MRI2"}), (["*"], None), (None, frozenset()), (7, frozenset())],
)
def test_sources_are_those_of_the_token_and_none_where_it_names_none(
    provider: FakeProvider, claim: object, sources: object
) -> None:
    judge = provider.judge(oidc_sources_claim="scanners")
    assert judge.judge(provider.token(scanners=claim)).principal.sources == sources


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another-service"},
        {"aud": None},
        {"iss": "https://login.elsewhere.example"},
        {"iss": None},
        {"exp": None},
        {"exp": "soon"},
        {"sub": None},
    ],
)
def test_a_token_that_is_not_for_us_is_refused(provider: FakeProvider, claims: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refusal:
        provider.judge().judge(provider.token(**claims))
    assert refusal.value.status == 401
    assert "invalid_token" in refusal.value.headers["WWW-Authenticate"]


def test_dates_hold_but_for_the_leeway(provider: FakeProvider) -> None:
    judge, now = provider.judge(oidc_leeway_s=30), int(provider.clock.now.timestamp())
    judge.judge(provider.token(exp=now - 20))
    judge.judge(provider.token(nbf=now + 20))
    late: tuple[dict[str, Any], ...] = ({"exp": now - 40}, {"nbf": now + 40})
    for claims in late:
        with pytest.raises(Refused):
            judge.judge(provider.token(**claims))


@pytest.mark.parametrize(
    "header", [{"alg": "none"}, {"alg": "none", "kid": "rsa"}, {"alg": "None", "kid": "rsa"}]
)
def test_a_token_nobody_signed_is_refused(provider: FakeProvider, header: dict[str, str]) -> None:
    with pytest.raises(Refused):
        provider.judge().judge(unsigned(provider, header))


def test_a_token_signed_with_the_public_key_as_a_secret_is_refused(provider: FakeProvider) -> None:
    with pytest.raises(Refused):
        provider.judge().judge(provider.forged_with_the_public_key())


def test_a_token_signed_with_another_key_of_the_same_name_is_refused(provider: FakeProvider) -> None:
    with pytest.raises(Refused):
        provider.judge().judge(provider.token(key=RSAKey.generate_key(2048)))


@pytest.mark.parametrize("text", ["", ".", "a.b.c", "e30.e30.e30", "é.é.é", "[" * 3000])
def test_nonsense_is_refused(provider: FakeProvider, text: str) -> None:
    with pytest.raises(Refused):
        provider.judge().judge(text)


def test_a_header_nested_without_end_is_refused(provider: FakeProvider) -> None:
    bomb = base64.urlsafe_b64encode(b'{"alg":"RS256","kid":"rsa","x":' + b"[" * 20_000).decode().rstrip("=")
    with pytest.raises(Refused):
        provider.judge().judge(f"{bomb}.e30.e30")


def test_a_token_need_not_name_the_only_key_but_one_of_several(provider: FakeProvider) -> None:
    provider.judge().judge(provider.token(kid=""))
    provider.add_key("ec")
    with pytest.raises(Refused):
        provider.judge().judge(provider.token(kid=""))


def test_a_new_key_is_fetched_when_a_token_names_it(provider: FakeProvider) -> None:
    judge = provider.judge(oidc_algorithms=["RS256", "ES256"])
    judge.judge(provider.token())
    provider.add_key("ec")
    provider.clock.advance(60)
    judge.judge(provider.token(kid="ec", alg="ES256"))


def test_invented_key_ids_do_not_make_us_ask_for_each(provider: FakeProvider) -> None:
    judge = provider.judge()
    stranger = RSAKey.generate_key(2048)
    for number in range(20):
        provider.keys[f"invented-{number}"] = stranger
        token = provider.token(kid=f"invented-{number}")
        del provider.keys[f"invented-{number}"]
        with pytest.raises(Refused):
            judge.judge(token)
    assert provider.asked.count("/realms/main/keys") == 1


def test_a_withdrawn_key_opens_nothing_after_an_hour(provider: FakeProvider) -> None:
    judge, key = provider.judge(), provider.keys["rsa"]
    judge.judge(provider.token())
    provider.add_key("ec")
    del provider.keys["rsa"]
    provider.clock.advance(3601)
    with pytest.raises(Refused):
        judge.judge(provider.token(key=key))


def test_known_keys_serve_while_the_provider_is_down(provider: FakeProvider) -> None:
    judge = provider.judge()
    judge.judge(provider.token())
    provider.is_down = True
    provider.clock.advance(4000)
    judge.judge(provider.token())


def test_without_any_key_nothing_can_be_judged_and_the_provider_is_not_asked_each_time(
    provider: FakeProvider,
) -> None:
    provider.is_down = True
    judge = provider.judge()
    for _ in range(5):
        with pytest.raises(Transient, match="does not answer"):
            judge.judge(provider.token())
    assert len(provider.asked) == 1


def test_a_provider_that_calls_itself_otherwise_is_not_believed(provider: FakeProvider) -> None:
    judge = provider.judge()
    provider.issuer = "https://login.elsewhere.example"
    with pytest.raises(Transient):
        judge.judge(provider.token())
