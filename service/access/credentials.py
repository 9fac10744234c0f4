"""Who a request is from, once its token, key or session was judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from service.access.principal import Principal


@dataclass(frozen=True, slots=True)
class Identity:
    """A principal, and what its requests are counted by.

    Parameters
    ----------
    counted_as
        Differs between a user and a key of the same name.
    """

    principal: Principal
    counted_as: str


class Judge(Protocol):
    """Judges one kind of credentials."""

    def judge(self, text: str) -> Identity:
        """Return whose they are.

        Raises
        ------
        Refused
            They are not accepted.
        """
