"""Principals: who asks, in which roles, and whose studies they may see."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a principal may do; ADMIN includes OPERATOR includes VIEWER, SERVICE stands beside them."""

    VIEWER = "viewer"
    """Reads studies, findings, results."""
    OPERATOR = "operator"
    """Also: analyse now, replay, redeliver."""
    ADMIN = "admin"
    """Also: purge, keys, audit trail."""
    SERVICE = "service"
    """A program that sends studies by STOW-RS and reads results."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody, or a program, that asks.

    Parameters
    ----------
    name
        For the audit trail: subject of the token, or name of the key.
    sources
        AE titles; only studies with an instance that one of them sent are visible. None: every study.
    """

    name: str
    roles: frozenset[Role]
    sources: frozenset[str] | None = None


EVERYBODY = Principal("anonymous", frozenset(Role))
"""Who asks when no access is configured: then REST listens on loopback only."""
