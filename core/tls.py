"""TLS for DICOM, both ends (PS3.15 B, BCP 195 profiles): TLS 1.2 or newer, forward secrecy, AEAD."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import InvalidInput
from core.settings.tls import TlsSettings

TLS_1_2_CIPHERS = (
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
"""RFC 9325 section 4.2; TLS 1.3 has no others to leave out."""


def acceptor_context(settings: TlsSettings) -> ssl.SSLContext:
    """Return the context of a server.

    With authorities configured a peer must show a certificate of theirs (mutual TLS).

    Raises
    ------
    InvalidInput
        Names the setting, the file, and what is wrong with it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _restrict(context)
    if settings.certificate is None or settings.key is None:
        raise InvalidInput("TLS needs METSERVE_TLS_CERTIFICATE and METSERVE_TLS_KEY; one of them is not set")
    _load_own(context, settings.certificate, settings.key)
    if settings.authorities is not None:
        _trust(context, settings, settings.authorities)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def requestor_context(settings: TlsSettings) -> ssl.SSLContext:
    """Return the context of a client: the peer is checked against the authorities and its host name.

    Raises
    ------
    InvalidInput
        Names the setting, the file, and what is wrong with it.
    """
    if settings.authorities is None:
        raise InvalidInput(
            "TLS to a peer needs METSERVE_TLS_AUTHORITIES, the CA its certificate is checked against"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _restrict(context)
    _trust(context, settings, settings.authorities)
    if settings.certificate is not None and settings.key is not None:
        _load_own(context, settings.certificate, settings.key)
    return context


def names_in(certificate: Mapping[str, Any]) -> frozenset[str]:
    """Return common and subject alternative names of a peer's certificate, as ``ssl`` decodes it."""
    subject = certificate.get("subject", ())
    common = {value for part in subject for key, value in part if key == "commonName"}
    alternative = {value for _, value in certificate.get("subjectAltName", ())}
    return frozenset(common | alternative)


def _restrict(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(TLS_1_2_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE


def _load_own(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    for name, path in (("METSERVE_TLS_CERTIFICATE", certificate), ("METSERVE_TLS_KEY", key)):
        _check_readable(name, path)
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        raise InvalidInput(
            f"METSERVE_TLS_CERTIFICATE {certificate} and METSERVE_TLS_KEY {key}: {error}; "
            "expected a PEM certificate and its own PEM key without a password"
        ) from error


def _trust(context: ssl.SSLContext, settings: TlsSettings, authorities: Path) -> None:
    _load_trusted(context, "METSERVE_TLS_AUTHORITIES", authorities, "PEM certificates")
    if settings.revocation_list is not None:
        _load_trusted(
            context, "METSERVE_TLS_REVOCATION_LIST", settings.revocation_list, "a PEM revocation list"
        )
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF


def _load_trusted(context: ssl.SSLContext, name: str, path: Path, expected: str) -> None:
    _check_readable(name, path)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise InvalidInput(f"{name} {path}: {error}; expected {expected}") from error


def _check_readable(name: str, path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise InvalidInput(f"{name} {path}: {error.strerror}; expected a readable PEM file") from error


def _no_password() -> str:
    raise ValueError("the key is encrypted")
