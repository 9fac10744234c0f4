from pathlib import Path

import pytest
import trustme

from core.errors import InvalidInput
from core.settings import TlsSettings
from core.tls import acceptor_context, names_in, requestor_context


@pytest.fixture
def files(tmp_path: Path) -> TlsSettings:
    authority = trustme.CA()
    issued = authority.issue_cert("metserve.hospital.example")
    paths = {name: tmp_path / f"{name}.pem" for name in ("certificate", "key", "authorities")}
    issued.cert_chain_pems[0].write_to_path(str(paths["certificate"]))
    issued.private_key_pem.write_to_path(str(paths["key"]))
    authority.cert_pem.write_to_path(str(paths["authorities"]))
    return TlsSettings(**paths)


def test_nothing_older_than_tls_1_2_and_nothing_without_forward_secrecy(files: TlsSettings) -> None:
    for context in (acceptor_context(files), requestor_context(files)):
        assert context.minimum_version.name == "TLSv1_2"
        older = [cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] == "TLSv1.2"]
        assert older
        assert all(name.startswith("ECDHE-") and ("GCM" in name or "CHACHA" in name) for name in older)


def test_with_authorities_a_peer_must_show_a_certificate(files: TlsSettings) -> None:
    assert acceptor_context(files).verify_mode.name == "CERT_REQUIRED"
    alone = files.model_copy(update={"authorities": None})
    assert acceptor_context(alone).verify_mode.name == "CERT_NONE"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"key": None}, "METSERVE_TLS_KEY"),
        ({"certificate": Path("/nowhere/a.pem")}, "METSERVE_TLS_CERTIFICATE /nowhere/a.pem: No such file"),
        ({"authorities": Path("/nowhere/ca.pem")}, "METSERVE_TLS_AUTHORITIES /nowhere/ca.pem: No such file"),
    ],
)
def test_a_wrong_file_is_named(files: TlsSettings, change: dict[str, Path | None], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        acceptor_context(files.model_copy(update=change))


def test_a_key_of_another_certificate_is_told(files: TlsSettings, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().issue_cert("other").private_key_pem.write_to_path(str(other))
    with pytest.raises(InvalidInput, match="expected a PEM certificate and its own PEM key"):
        acceptor_context(files.model_copy(update={"key": other}))


def test_a_file_that_is_no_certificate_is_told(files: TlsSettings, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    with pytest.raises(InvalidInput, match="expected PEM certificates"):
        acceptor_context(files.model_copy(update={"authorities": wrong}))


def test_a_client_without_authorities_trusts_nobody() -> None:
    with pytest.raises(InvalidInput, match="METSERVE_TLS_AUTHORITIES"):
        requestor_context(TlsSettings())


def test_names_are_common_and_alternative_ones() -> None:
    certificate = {
        "subject": ((("commonName", "PACS"),),),
        "subjectAltName": (("DNS", "pacs.example"), ("IP Address", "10.0.0.1")),
    }
    assert names_in(certificate) == {"PACS", "pacs.example", "10.0.0.1"}
