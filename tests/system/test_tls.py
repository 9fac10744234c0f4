"""DICOM over TLS with dcmtk's tools: who shows the right certificate is served, nobody else."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.chaos.destination import Destination
from tests.chaos.site import Site
from tests.chaos.small_studies import make_small_study
from tests.system.certificates import Hospital, KeyPair
from tests.system.peers import START_LIMIT_S, free_port, listens, wait_until

pytestmark = pytest.mark.system


@dataclass(frozen=True)
class SecureSite:
    """metserve with a TLS port beside the plain one, and the certificates around it."""

    site: Site
    port: int
    hospital: Hospital
    pacs: KeyPair
    revoked: KeyPair


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureSite]:
    folder = tmp_path_factory.mktemp("tls")
    hospital = Hospital(folder / "certificates")
    own, pacs, revoked = (hospital.issue(name) for name in ("metserve", "pacs", "revoked"))
    site, port = Site(folder / "site", Destination()), free_port()
    peers = [
        {"ae_title": "STORESCU", "certificate_names": ["pacs", "revoked", "expired"]},
        {"ae_title": "ECHOSCU", "certificate_names": ["pacs", "revoked", "expired"]},
        {"ae_title": "FINDSCU", "certificate_names": ["pacs"], "rights": ["query"]},
    ]
    site.env |= {
        "METSERVE_RECEIVER_TLS_PORT": str(port),
        "METSERVE_RECEIVER_PEERS": json.dumps(peers),
        "METSERVE_TLS_CERTIFICATE": str(own.certificate),
        "METSERVE_TLS_KEY": str(own.key),
        "METSERVE_TLS_AUTHORITIES": str(hospital.authority),
        "METSERVE_TLS_REVOCATION_LIST": str(hospital.revoke(revoked)),
    }
    site.start("receive")
    wait_until(lambda: listens(port), START_LIMIT_S, "the TLS port listens")
    try:
        yield SecureSite(site, port, hospital, pacs, revoked)
    finally:
        site.stop()


def dcmtk(secure: SecureSite, program: str, pair: KeyPair, *further: str) -> int:
    """Run one of dcmtk's tools over TLS; return its exit status."""
    options = ["+tls", str(pair.key), str(pair.certificate), "+cf", str(secure.hospital.authority)]
    peer = ["-aec", "METSERVE", "127.0.0.1", str(secure.port)]
    command = ["env", "TCP_NODELAY=1", program, *options, *peer, *further]
    return subprocess.run(command, capture_output=True, timeout=60).returncode


def test_a_peer_with_its_certificate_echoes_stores_and_queries(secure: SecureSite, tmp_path: Path) -> None:
    study = make_small_study(1, root="2.25.790")
    for number, dataset in enumerate(study.datasets[:5]):
        dataset.save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
    files = [str(path) for path in sorted(tmp_path.iterdir())]
    assert dcmtk(secure, "echoscu", secure.pacs) == 0
    assert dcmtk(secure, "storescu", secure.pacs, *files) == 0
    assert len(list((secure.site.data / "instances").rglob("*.dcm"))) == 5
    keys = ["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID"]
    assert dcmtk(secure, "findscu", secure.pacs, *keys) == 0


@pytest.mark.parametrize("kind", ["another authority", "expired", "revoked"])
def test_a_certificate_that_is_no_good_is_refused(secure: SecureSite, tmp_path: Path, kind: str) -> None:
    pairs = {
        "another authority": lambda: Hospital(tmp_path / "other", "other").issue("pacs"),
        "expired": lambda: secure.hospital.issue("expired", expired=True),
        "revoked": lambda: secure.revoked,
    }
    assert dcmtk(secure, "echoscu", pairs[kind]()) != 0
    assert dcmtk(secure, "echoscu", secure.pacs) == 0


def test_a_certificate_of_another_peer_is_refused(secure: SecureSite) -> None:
    stranger = secure.hospital.issue("stranger")
    assert dcmtk(secure, "echoscu", stranger) != 0


def test_without_a_certificate_nobody_gets_in(secure: SecureSite) -> None:
    command = [
        "echoscu",
        "+tla",
        "-ic",
        "-to",
        "5",
        "-ta",
        "5",
        "-aec",
        "METSERVE",
        "127.0.0.1",
        str(secure.port),
    ]
    assert subprocess.run(command, capture_output=True, timeout=60).returncode != 0


def test_tls_1_1_is_refused(secure: SecureSite) -> None:
    command = ["openssl", "s_client", "-tls1_1", "-connect", f"127.0.0.1:{secure.port}"]
    finished = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30)
    assert "Cipher is (NONE)" in finished.stdout


def test_plain_dicom_at_the_tls_port_is_refused(secure: SecureSite) -> None:
    command = ["echoscu", "-to", "5", "-ta", "5", "-aec", "METSERVE", "127.0.0.1", str(secure.port)]
    assert subprocess.run(command, capture_output=True, timeout=60).returncode != 0


def test_at_the_plain_port_a_peer_with_a_certificate_is_a_stranger(secure: SecureSite) -> None:
    command = ["echoscu", "-aec", "METSERVE", "127.0.0.1", str(secure.site.port)]
    assert subprocess.run(command, capture_output=True, timeout=60).returncode != 0


def test_silent_connections_hold_nobody_up(secure: SecureSite) -> None:
    silent = [socket.create_connection(("127.0.0.1", secure.port), 10) for _ in range(5)]
    try:
        assert dcmtk(secure, "echoscu", secure.pacs) == 0
    finally:
        for connection in silent:
            connection.close()
