"""Who offered an object, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from core.job import Lane
from service.receiving.instance_file import InstanceFile, RefusalReason


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
    """The answer to one offered object.

    Parameters
    ----------
    reason
        Set when it was refused.
    file
        Set when it was stored now.
    """

    kind: ReceptionKind
    reason: RefusalReason | None = None
    message: str = ""
    file: InstanceFile | None = None


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent an object."""

    calling_ae_title: str = ""
    peer_address: str = ""
    lane: Lane = Lane.ROUTINE
