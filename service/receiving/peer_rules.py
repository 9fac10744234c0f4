"""Who may connect, and what for: the peers of the settings against an association (PS3.8 9.3.4)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address

from core.peers import Peer, Right
from core.settings import ReceiverSettings

EVERY_RIGHT = frozenset(Right)
OPEN_RIGHTS = frozenset({Right.ECHO, Right.STORE})
"""What a peer may do that is not listed, where no list is configured."""


class Mismatch(StrEnum):
    """Why an association is not for us to accept."""

    UNKNOWN_AE_TITLE = "unknown_calling_ae_title"
    WRONG_ADDRESS = "known_ae_title_from_another_address"
    WRONG_CERTIFICATE = "certificate_of_another_peer"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks for an association.

    Parameters
    ----------
    certificate_names
        Names of the certificate it showed; None without TLS.
    """

    ae_title: str
    address: str
    certificate_names: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer to a caller: its rights, or why it has none; ``peer`` is None where no peers are listed."""

    rights: frozenset[Right] = frozenset()
    peer: Peer | None = None
    mismatch: Mismatch | None = None


class PeerRules:
    """The settings' peers, asked."""

    def __init__(self, settings: ReceiverSettings) -> None:
        self._settings = settings
        self._is_loopback = _is_loopback(settings.host)

    @property
    def maximum_associations(self) -> int:
        """How many associations are served at once."""
        return self._settings.maximum_associations

    def admit(self, caller: Caller) -> Admission:
        """Judge a caller by AE title, address and certificate; the first peer that fits decides."""
        settings = self._settings
        if settings.calling_ae_titles and caller.ae_title not in settings.calling_ae_titles:
            return Admission(mismatch=Mismatch.UNKNOWN_AE_TITLE)
        if not settings.peers:
            return Admission(EVERY_RIGHT if self._is_loopback else OPEN_RIGHTS)
        named = [peer for peer in settings.peers if peer.ae_title == caller.ae_title]
        there = [peer for peer in named if _is_from(caller.address, peer)]
        for peer in there:
            if _shows_its_name(caller, peer):
                return Admission(frozenset(peer.rights), peer)
        if not named:
            return Admission(mismatch=Mismatch.UNKNOWN_AE_TITLE)
        return Admission(mismatch=Mismatch.WRONG_CERTIFICATE if there else Mismatch.WRONG_ADDRESS)

    def may_come_from(self, address: str) -> bool:
        """Tell whether some peer connects from this address; asked before anything is read."""
        return not self._settings.peers or any(_is_from(address, peer) for peer in self._settings.peers)

    def connections_allowed(self, address: str) -> int:
        """Return how many connections this address may have at once."""
        own = [
            peer.maximum_associations
            for peer in self._settings.peers
            if peer.maximum_associations is not None and _is_from(address, peer)
        ]
        return max(own, default=self._settings.maximum_associations_per_address)


def _is_from(address: str, peer: Peer) -> bool:
    if not peer.addresses:
        return True
    parsed = _parsed(address)
    return parsed is not None and any(
        parsed.version == network.version and parsed in network for network in peer.addresses
    )


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed


def _shows_its_name(caller: Caller, peer: Peer) -> bool:
    if not peer.certificate_names:
        return True
    return caller.certificate_names is not None and bool(
        caller.certificate_names & frozenset(peer.certificate_names)
    )


def _is_loopback(host: str) -> bool:
    parsed = _parsed(host)
    return parsed.is_loopback if parsed is not None else host == "localhost"
