from typing import Any

import pytest

from core.peers import Peer, Right
from core.settings import ReceiverSettings
from service.receiving.peer_rules import Caller, Mismatch, PeerRules

PACS: dict[str, Any] = {"ae_title": "PACS", "addresses": ["10.1.0.0/16", "2001:db8::/32"]}


def rules(*peers: dict[str, Any], **settings: Any) -> PeerRules:
    return PeerRules(ReceiverSettings(peers=tuple(Peer(**peer) for peer in peers), **settings))


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8::7"])
def test_a_listed_peer_has_its_rights(address: str) -> None:
    admission = rules({**PACS, "rights": ["store", "query"]}).admit(Caller("PACS", address))
    assert admission.rights == {Right.STORE, Right.QUERY}
    assert admission.peer is not None
    assert admission.mismatch is None


@pytest.mark.parametrize(
    ("caller", "mismatch"),
    [
        (Caller("STRANGER", "10.1.2.3"), Mismatch.UNKNOWN_AE_TITLE),
        (Caller("pacs", "10.1.2.3"), Mismatch.UNKNOWN_AE_TITLE),
        (Caller("PACS", "10.2.0.1"), Mismatch.WRONG_ADDRESS),
        (Caller("PACS", "2001:db9::1"), Mismatch.WRONG_ADDRESS),
        (Caller("PACS", "not an address"), Mismatch.WRONG_ADDRESS),
        (Caller("", "10.1.2.3"), Mismatch.UNKNOWN_AE_TITLE),
    ],
)
def test_who_is_not_listed_has_no_rights(caller: Caller, mismatch: Mismatch) -> None:
    admission = rules(PACS).admit(caller)
    assert (admission.rights, admission.mismatch) == (frozenset(), mismatch)


def test_one_ae_title_may_have_two_places_with_rights_of_their_own() -> None:
    both = rules(
        {"ae_title": "PACS", "addresses": ["10.0.0.1"], "rights": ["store"]},
        {"ae_title": "PACS", "addresses": ["10.0.0.2"], "rights": ["echo"]},
    )
    assert both.admit(Caller("PACS", "10.0.0.2")).rights == {Right.ECHO}


@pytest.mark.parametrize(
    ("shown", "mismatch"),
    [
        (frozenset({"pacs.hospital.example"}), None),
        (frozenset({"other.hospital.example"}), Mismatch.WRONG_CERTIFICATE),
        (None, Mismatch.WRONG_CERTIFICATE),
    ],
)
def test_a_peer_with_a_certificate_must_show_it(
    shown: frozenset[str] | None, mismatch: Mismatch | None
) -> None:
    listed = rules({**PACS, "certificate_names": ["pacs.hospital.example"]})
    assert listed.admit(Caller("PACS", "10.1.0.1", shown)).mismatch is mismatch


def test_without_a_list_everybody_may_echo_and_store() -> None:
    admission = rules(host="0.0.0.0").admit(Caller("ANYBODY", "192.0.2.1"))
    assert admission.rights == {Right.ECHO, Right.STORE}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_without_a_list_a_loopback_door_gives_every_right(host: str) -> None:
    assert rules(host=host).admit(Caller("ANYBODY", "127.0.0.1")).rights == frozenset(Right)


def test_the_list_of_ae_titles_still_holds() -> None:
    listed = rules(calling_ae_titles=("PACS",))
    assert listed.admit(Caller("OTHER", "127.0.0.1")).mismatch is Mismatch.UNKNOWN_AE_TITLE
    assert listed.admit(Caller("PACS", "127.0.0.1")).mismatch is None


def test_an_address_no_peer_can_have_is_known_before_anything_is_read() -> None:
    assert rules(PACS).may_come_from("10.1.0.1")
    assert not rules(PACS).may_come_from("10.2.0.1")
    assert rules({"ae_title": "ANYWHERE"}).may_come_from("192.0.2.1")


def test_a_proxy_may_have_more_connections_than_others() -> None:
    proxied = rules({**PACS, "maximum_associations": 200}, maximum_associations_per_address=20)
    assert proxied.connections_allowed("10.1.0.1") == 200
    assert proxied.connections_allowed("192.0.2.1") == 20
