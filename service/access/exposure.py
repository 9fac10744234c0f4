"""Exposure: where REST may listen while nobody is asked who he is."""

from __future__ import annotations

import ipaddress

from core.errors import InvalidInput
from core.settings import AccessSettings, ApiSettings


def check_exposure(api: ApiSettings, access: AccessSettings) -> None:
    """Refuse to let strangers in by accident.

    Raises
    ------
    InvalidInput
        REST would listen beyond loopback and ask nobody who he is.
    """
    if is_loopback(api.host) or access.is_configured or access.open:
        return
    raise InvalidInput(
        f"METSERVE_API_HOST is {api.host!r}, which others can reach, but nobody would be asked who they "
        "are; expected METSERVE_ACCESS_OIDC_ISSUER or METSERVE_ACCESS_API_KEYS=true, or, behind a proxy "
        "that asks, METSERVE_ACCESS_OPEN=true"
    )


def is_loopback(host: str) -> bool:
    """Tell whether an address is reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
