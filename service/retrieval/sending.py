"""Sending stored instances: the bytes as they are, or between the two uncompressed little endian syntaxes.

pynetdicom's C-MOVE and C-GET take data sets from their handler and send each by the association's
``send_c_store``. Here the handler gives references, and the association a ``send_c_store`` that reads
the file fragment by fragment: memory holds one fragment, not the instance.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import _config
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.status import code_to_category

from core.errors import MetserveError
from core.logs import logger
from service.catalogue.instances import StoredInstance

_config.STORE_SEND_CHUNKED_DATASET = True  # a path is sent as its bytes

UNCOMPRESSED = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
"""Between these two a data set is converted for a peer that takes only the other."""

MAX_CONTEXTS = 128
"""Presentation contexts of an association, PS3.8 9.3.2.2."""


class NoCommonSyntax(MetserveError):
    """The peer accepted no presentation context an instance could be sent by."""


class InstanceReference(Dataset):
    """What pynetdicom carries from our handler to our ``send_c_store``, in place of the data set."""

    instance: StoredInstance


def reference_to(instance: StoredInstance) -> InstanceReference:
    """Return a reference; pynetdicom lists its SOP Instance UID if it cannot be sent."""
    reference = InstanceReference()
    reference.SOPInstanceUID = instance.sop_instance_uid
    reference.instance = instance
    return reference


@dataclass(slots=True)
class Dispatch:
    """What became of the instances of one retrieval.

    Parameters
    ----------
    originator
        AE title of the peer that asked for a C-MOVE (PS3.7 9.1.1.1.6); None for C-GET.
    """

    originator: str | None = None
    sent: list[StoredInstance] = field(default_factory=list)
    failed: int = 0

    def take_over(self, association: Association) -> None:
        """Let an association send references."""
        send = association.send_c_store

        def send_referenced(reference: InstanceReference, **parameters: Any) -> Dataset:
            if self.originator is not None:
                parameters["originator_aet"] = self.originator
            status = Dataset()
            try:
                status = send(_sendable(association, reference.instance), **parameters)
                return status
            finally:
                self._note(reference.instance, status)

        association.send_c_store = send_referenced  # type: ignore[method-assign,assignment]

    def _note(self, instance: StoredInstance, status: Dataset) -> None:
        code = status.get("Status")
        if code is not None and code_to_category(code) in {"Success", "Warning"}:
            self.sent.append(instance)
            return
        self.failed += 1
        logger().warning(
            "an instance could not be sent",
            sop_class=instance.sop_class_uid,
            transfer_syntax=instance.transfer_syntax_uid,
            status="none" if code is None else f"0x{code:04X}",
        )


def contexts_for(instances: Iterable[StoredInstance]) -> list[PresentationContext]:
    """Return the contexts to propose: each class in each transfer syntax it is stored in.

    A context for each transfer syntax, so that the peer chooses for every one of them. The other
    uncompressed syntax comes after those, for peers that accept only that.
    """
    stored = dict.fromkeys((one.sop_class_uid, one.transfer_syntax_uid) for one in instances)
    others = dict.fromkeys(
        (sop_class, str(syntax))
        for sop_class, stored_syntax in stored
        if stored_syntax in UNCOMPRESSED
        for syntax in UNCOMPRESSED
    )
    return [build_context(sop_class, syntax) for sop_class, syntax in [*(stored | others)][:MAX_CONTEXTS]]


def _sendable(association: Association, instance: StoredInstance) -> Any:
    """Return the file's path, or the data set where it must be converted.

    Raises
    ------
    NoCommonSyntax
        The peer takes neither.
    """
    accepted = {
        context.transfer_syntax[0]
        for context in association.accepted_contexts
        if context.abstract_syntax == instance.sop_class_uid and context.as_scu
    }
    syntax = UID(instance.transfer_syntax_uid)
    if syntax in accepted:
        return instance.path
    if syntax in UNCOMPRESSED and accepted.intersection(UNCOMPRESSED):
        return dcmread(instance.path)
    raise NoCommonSyntax(f"the peer takes {UID(instance.sop_class_uid).name} not in {syntax.name}")
