"""What is known of an association while it lasts: its rights, what it brought, how often it echoed."""

from __future__ import annotations

from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from pynetdicom.association import Association

from service.receiving.arrivals import Arrivals
from service.receiving.peer_rules import Admission


@dataclass
class Visit:
    """One association's."""

    admission: Admission = field(default_factory=Admission)
    arrivals: Arrivals = field(default_factory=Arrivals)
    echoes: int = 0


_VISITS: WeakKeyDictionary[Association, Visit] = WeakKeyDictionary()


def visit_of(association: Association) -> Visit:
    """Return what is known of an association; it is forgotten with it."""
    return _VISITS.setdefault(association, Visit())
