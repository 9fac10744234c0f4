"""Fallbacks: what a peer is sent in place of an object whose SOP class it does not accept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from core.results import ResultKind

FALLBACKS: Mapping[str, tuple[ResultKind, ...]] = MappingProxyType(
    {
        ResultKind.SEG: (ResultKind.OVERVIEW,),
        ResultKind.SR: (ResultKind.PDF, ResultKind.OVERVIEW),
        ResultKind.OVERVIEW: (ResultKind.PDF, ResultKind.SEG, ResultKind.SR),
        ResultKind.PDF: (ResultKind.OVERVIEW,),
    }
)
"""kind -> kinds that say the same, the best first; one that arrives is enough. A structure set has
none: a planning system can do nothing with a picture."""


def with_fallbacks(kinds: Iterable[str]) -> tuple[str, ...]:
    """Return the kinds, and after them those that may be sent in their place, each once."""
    wanted = tuple(kinds)
    return tuple(dict.fromkeys([*wanted, *(other for kind in wanted for other in FALLBACKS.get(kind, ()))]))
