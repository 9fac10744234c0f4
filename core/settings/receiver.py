"""Settings of the DICOM door."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from core.destinations import AETitle, Port
from core.peers import Peer
from core.settings.base import OptionalPort, RoleSettings


class ReceiverSettings(RoleSettings):
    """The Storage SCP."""

    model_config = SettingsConfigDict(env_prefix="METSERVE_RECEIVER_")
    table: ClassVar[str] = "receiver"

    ae_title: AETitle = "METSERVE"
    """Our AE title; a peer must call it."""
    host: str = "127.0.0.1"
    """Address to listen on. Loopback unless changed: nothing is open by accident."""
    port: Port = 11112
    """TCP port (registered for DICOM: 11112)."""
    calling_ae_titles: tuple[AETitle, ...] = ()
    """AE titles that may connect; empty: any."""
    peers: tuple[Peer, ...] = ()
    """JSON list of the nodes that may connect, with their rights. Empty: whoever reaches us may echo and
    store, and query and retrieve where we listen on loopback only."""
    tls_port: OptionalPort = 0
    """TCP port served over TLS (registered for DICOM: 2762); needs METSERVE_TLS_CERTIFICATE. 0: none."""
    plain: bool = True
    """Whether ``port`` is served at all; false: only TLS."""
    processes: int = Field(default=1, ge=1, le=64)
    """Processes that receive side by side on the same ports, each with ``maximum_associations``."""
    maximum_associations: int = Field(default=25, ge=1)
    """Associations served at once."""
    maximum_associations_per_address: int = Field(default=20, ge=1)
    """Connections of one network address, so that a silent peer cannot take every place."""
    maximum_pdu_bytes: int = Field(default=131_072, ge=4096)
    """Largest PDU we ask for, in bytes."""
    acse_timeout_s: float = Field(default=30.0, gt=0)
    """Seconds to wait for association messages."""
    dimse_timeout_s: float = Field(default=30.0, gt=0)
    """Seconds to wait for a DIMSE message."""
    network_timeout_s: float = Field(default=60.0, gt=0)
    """Seconds of silence after which an association is closed."""
    keep_other_storage_classes: bool = True
    """Accept and keep objects that are not MR (never analysed), so that a router's job does not fail."""
    minimum_free_bytes: int = Field(default=2 * 1024**3, ge=0)
    """Below this much free disk a C-STORE is refused with 0xA700 (out of resources)."""
    metrics_port: OptionalPort = 0
    """TCP port, on ``host``, where Prometheus finds this process' own counters; 0: none."""
