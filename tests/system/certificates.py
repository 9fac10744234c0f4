"""Certificates of a hospital that exists for one test: its CA, what it issued, and some that are no good."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its key, PEM files."""

    certificate: Path
    key: Path


class Hospital:
    """A certificate authority and what it issues.

    Parameters
    ----------
    folder
        Where the files go.
    """

    def __init__(self, folder: Path, name: str = "hospital") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._ca = trustme.CA(organization_name=name, key_type=trustme.KeyType.RSA)
        self.authority = folder / f"{name}-ca.pem"
        self._ca.cert_pem.write_to_path(str(self.authority))

    def issue(self, name: str, *, expired: bool = False) -> KeyPair:
        """Issue a certificate for a host name, and 127.0.0.1."""
        yesterday = datetime.now(UTC) - timedelta(days=1)
        issued = self._ca.issue_cert(
            name,
            "127.0.0.1",
            common_name=name,
            not_after=yesterday if expired else None,
            key_type=trustme.KeyType.RSA,
        )
        pair = KeyPair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        issued.cert_chain_pems[0].write_to_path(str(pair.certificate))
        issued.private_key_pem.write_to_path(str(pair.key))
        return pair

    def revoke(self, *pairs: KeyPair) -> Path:
        """Return a revocation list that names these certificates."""
        key = serialization.load_pem_private_key(self._ca.private_key_pem.bytes(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        now = datetime.now(UTC)
        issuer = x509.load_pem_x509_certificate(self._ca.cert_pem.bytes()).subject
        builder = x509.CertificateRevocationListBuilder().issuer_name(issuer)
        builder = builder.last_update(now - timedelta(hours=1)).next_update(now + timedelta(days=1))
        for pair in pairs:
            serial = x509.load_pem_x509_certificate(pair.certificate.read_bytes()).serial_number
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
            builder = builder.add_revoked_certificate(entry.build())
        path = self._folder / "revoked.pem"
        path.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return path
