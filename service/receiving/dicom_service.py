"""What the DICOM door can be asked beside storage: services that bring their contexts and handlers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pynetdicom import evt
from pynetdicom.presentation import PresentationContext

from core.peers import Right


@dataclass(frozen=True, slots=True)
class DicomService:
    """A DIMSE service of the same AE title and port as storage.

    Parameters
    ----------
    right
        A peer without it is not offered these presentation contexts.
    contexts
        Presentation contexts of the service, with SCP/SCU roles set where they differ from the default.
    handlers
        ``(event, handler)`` for pynetdicom; a handler must not raise.
    """

    right: Right
    contexts: Sequence[PresentationContext]
    handlers: Sequence[tuple[evt.InterventionEvent, Callable[..., Any]]]
