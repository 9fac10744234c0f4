"""Whoami: what the service takes one for."""

from __future__ import annotations

from fastapi import APIRouter

from service.access.principal import Role
from service.api.models import Reply
from service.api.parts import PrincipalOf

router = APIRouter(tags=["access"])


class PrincipalReply(Reply):
    """Who asks, as the service knows him."""

    name: str
    roles: tuple[Role, ...]
    sources: tuple[str, ...] | None
    """AE titles whose studies are visible; null: every study."""


@router.get("/principal", summary="Who am I, and what may I see?")
def get_principal(principal: PrincipalOf) -> PrincipalReply:
    """Show name, roles and sources of the token, key or login that asks."""
    return PrincipalReply(
        name=principal.name,
        roles=tuple(sorted(principal.roles)),
        sources=None if principal.sources is None else tuple(sorted(principal.sources)),
    )
