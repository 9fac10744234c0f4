"""REST is never open to strangers by accident."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import InvalidInput
from core.settings import AccessSettings, ApiSettings, load
from service.access.exposure import check_exposure
from tests.service.openid import access_settings

NOTHING = AccessSettings()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_loopback_needs_no_access(host: str) -> None:
    check_exposure(ApiSettings(host=host), NOTHING)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "metserve.hospital.example", ""])
def test_any_other_address_needs_access_and_the_error_names_the_settings(host: str) -> None:
    with pytest.raises(InvalidInput) as error:
        check_exposure(ApiSettings(host=host), NOTHING)
    for name in (
        "METSERVE_API_HOST",
        "METSERVE_ACCESS_OIDC_ISSUER",
        "METSERVE_ACCESS_API_KEYS",
        "METSERVE_ACCESS_OPEN",
    ):
        assert name in str(error.value)


@pytest.mark.parametrize("access", [{"api_keys": True}, {"open": True}])
def test_with_access_or_a_word_that_none_is_needed_it_may_be_reached(access: dict[str, Any]) -> None:
    check_exposure(ApiSettings(host="0.0.0.0"), AccessSettings(**access))


def test_a_provider_will_do() -> None:
    check_exposure(ApiSettings(host="0.0.0.0"), access_settings())


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"open": True, "api_keys": True}, "one or the other"),
        ({"oidc_issuer": "https://login.example"}, "METSERVE_ACCESS_OIDC_AUDIENCE"),
        ({"oidc_issuer": "http://login.example", "oidc_audience": "metserve"}, "expected https://"),
        ({"login_client_id": "metserve"}, "METSERVE_ACCESS_LOGIN_PUBLIC_URL"),
        ({"oidc_algorithms": ["HS256"]}, "HS256"),
        ({"oidc_algorithms": ["none"]}, "none"),
        ({"oidc_role_names": {"doctors": "superuser"}}, "superuser"),
    ],
)
def test_settings_that_cannot_be_meant_are_told(settings: dict[str, Any], wrong: str) -> None:
    with pytest.raises(InvalidInput, match=wrong):
        load(AccessSettings, **settings)


def test_a_certificate_needs_its_key() -> None:
    with pytest.raises(InvalidInput, match="METSERVE_API_KEY is not set"):
        load(ApiSettings, certificate="rest.pem")
