"""Peers: the DICOM nodes that may connect, where from, and what each of them may do."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network

from pydantic import BaseModel, ConfigDict, Field

from core.destinations import AETitle, Port
from core.job import Lane


class Right(StrEnum):
    """What a peer may ask of us."""

    ECHO = "echo"
    STORE = "store"
    """C-STORE of studies to us, and storage commitment for what it sent."""
    QUERY = "query"
    """C-FIND."""
    RETRIEVE = "retrieve"
    """C-GET, and C-MOVE to a peer that has an address of its own."""


class Peer(BaseModel):
    """A DICOM node that is known to us."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    ae_title: AETitle
    """Its AE title."""
    addresses: tuple[IPv4Network | IPv6Network, ...] = ()
    """Where it connects from: addresses or networks (``10.1.2.3``, ``10.1.0.0/16``); empty: anywhere."""
    certificate_names: tuple[str, ...] = ()
    """Over TLS: common or subject alternative names, one of which its certificate must have; empty: any."""
    rights: tuple[Right, ...] = (Right.ECHO, Right.STORE)
    """What it may do."""
    host: str = ""
    """Where it listens itself, as a C-MOVE destination and for storage commitment reports; empty: nowhere."""
    port: Port | None = None
    """TCP port it listens on."""
    tls: bool = False
    """Whether it listens with TLS."""
    maximum_associations: int | None = Field(default=None, ge=1)
    """Connections of one of its addresses; None: the receiver's limit. A proxy needs more."""
    lane: Lane = Lane.ROUTINE
    """Lane of the studies it sends."""
