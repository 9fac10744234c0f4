"""Who offered an object, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from service.receiving.instance_file import RefusalReason


class ReceptionKind(StrEnum):
    """What became of an object."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    CONFLICT_QUARANTINED = "conflict_quarantined"
    """Another object with this UID is kept; this one lies in quarantine."""
    REFUSED = "refused"
    """Not taken; it lies in quarantine."""


@dataclass(frozen=True, slots=True)
class Reception:
    """The answer to one offered object; ``reason`` is set when it was refused."""

    kind: ReceptionKind
    reason: RefusalReason | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent an object."""

    calling_ae_title: str = ""
    peer_address: str = ""
