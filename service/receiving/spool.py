"""Data sets on their way in: written to disk fragment by fragment, never held in memory.

pynetdicom can do this itself (``STORE_RECV_CHUNKED_DATASET``), but a full disk or a malformed command
then ends its reactor thread and leaves the file and the connection behind. Here a full disk becomes a
status for the sender, and anything else ends the association.
"""

from __future__ import annotations

import os
import queue
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import P_DATA

from core.logs import logger
from service.receiving.encoding import file_preamble, store_response

MAX_COMMAND_BYTES = 64 * 1024
"""A C-STORE command has about 200 bytes."""

MAX_IDENTIFIER_BYTES = 4 * 1024**2
"""Data sets of other requests (C-FIND keys, a commitment's references) are held in memory; one that asks
for 20,000 instances has about 2 MB."""

MAX_INSTANCE_BYTES = 8 * 1024**3
"""More than any MR instance; an endless data set must not fill the disk."""

SMALLEST_PDU_BYTES = 1024
"""A response of ours fits into one of these."""

LAST_COMMAND_FRAGMENT = b"\x03"
"""Message control header, PS3.8 E.2."""

IDLE_TURN_S = 0.02
"""How long an association's loop waits for a message before it looks whether the peer has left."""

INVALID_PDU = "Evt19"
"""The state machine's event that answers with A-ABORT, PS3.8 9.2."""


class SpooledDataSet(BytesIO):
    """A data set being received; what is written goes to a file, a failure is kept for the answer.

    Parameters
    ----------
    path
        Where the file grows; made at the first fragment.
    preamble
        Returns what stands before the data set: preamble and file meta information (PS3.10 7.1); None
        for a data set that is no instance to store: it stays in memory.
    minimum_free_bytes
        Nothing is written when the disk has less than this left.
    """

    def __init__(self, path: Path, preamble: Callable[[], bytes | None], minimum_free_bytes: int) -> None:
        super().__init__()
        self.path = path
        self.failure: OSError | None = None
        self._preamble = preamble
        self._minimum_free_bytes = minimum_free_bytes
        self._file: BinaryIO | None = None
        self._written_bytes = 0

    def write(self, fragment: bytes) -> int:  # type: ignore[override]
        """Append a fragment; after a failure the rest of the data set is dropped."""
        if self.failure is None:
            try:
                self._append(fragment)
            except OSError as error:
                self.failure = error
                self.discard()
        return len(fragment)

    def finish(self) -> Path:
        """Close the file and return its path.

        Raises
        ------
        OSError
            Writing failed, now or earlier.
        """
        if self.failure is None and self._file is not None:
            self._file.close()
        if self.failure is not None or self._file is None:
            raise self.failure or OSError("the data set is empty")
        return self.path

    def discard(self) -> None:
        """Remove what was written."""
        if self._file is not None:
            try:
                self._file.close()
            except OSError as error:  # the buffer cannot be flushed to a full disk either
                self.failure = self.failure or error
        self.path.unlink(missing_ok=True)

    def _append(self, fragment: bytes) -> None:
        if self._file is None:
            preamble = self._preamble()
            if preamble is None:
                self._hold(fragment)
                return
            self._check_free_disk()
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self._file = os.fdopen(descriptor, "wb")
            self._file.write(preamble)
        self._written_bytes += len(fragment)
        if self._written_bytes > MAX_INSTANCE_BYTES:
            raise OSError(f"the data set is longer than {MAX_INSTANCE_BYTES} bytes")
        self._file.write(fragment)

    def _hold(self, fragment: bytes) -> None:
        """Keep a fragment of a request's data set in memory."""
        if self.tell() + len(fragment) > MAX_IDENTIFIER_BYTES:
            raise ValueError(f"a request's data set is longer than {MAX_IDENTIFIER_BYTES} bytes")
        super().write(fragment)

    def _check_free_disk(self) -> None:
        free_bytes = shutil.disk_usage(self.path.parent).free
        if free_bytes < self._minimum_free_bytes:
            raise OSError(f"{free_bytes} bytes of disk left, {self._minimum_free_bytes} are kept free")


class SpoolingProvider(DIMSEServiceProvider):
    """An association's DIMSE provider that spools C-STORE data sets to files.

    Parameters
    ----------
    new_path
        Returns an unused path for a file in the making.
    """

    def __init__(
        self, association: Association, new_path: Callable[[], Path], minimum_free_bytes: int
    ) -> None:
        super().__init__(association)
        self._new_path = new_path
        self._minimum_free_bytes = minimum_free_bytes

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take one P-DATA in; whatever it does wrong ends the association, not the thread."""
        if self.message is None:
            self.message = self._new_message()
        message = self.message
        try:
            super().receive_primitive(primitive)
            _check_command_length(message)
        except Exception as error:  # noqa: BLE001 - the peer's bytes can break the decoder in any way
            logger().warning("malformed DIMSE message, association aborted", error=type(error).__name__)
            self.discard_unfinished()
            self.dul.event_queue.put(INVALID_PDU)

    def get_msg(self, block: bool = False) -> Any:
        """Return the next message and its context; (None, None) without one.

        pynetdicom's loop asks a thousand times a second. Here it waits a little instead: a message wakes it
        at once, and idle associations leave the processor to the others.
        """
        if block:
            return super().get_msg(block)
        try:
            return self.msg_queue.get(timeout=IDLE_TURN_S)
        except queue.Empty:
            return None, None

    def send_msg(self, primitive: Any, context_id: int) -> None:
        """Send a message; what answers each instance is encoded without detours."""
        response = None
        if isinstance(primitive, C_STORE) and primitive.MessageIDBeingRespondedTo is not None:
            response = store_response(primitive)
        if response is None or 0 < self.maximum_pdu_size < SMALLEST_PDU_BYTES:
            super().send_msg(primitive, context_id)
            return
        data = P_DATA()
        data.presentation_data_value_list.append((context_id, LAST_COMMAND_FRAGMENT + response))
        self.dul.send_pdu(data)

    def discard_unfinished(self) -> None:
        """Remove the file of a data set that will not be finished."""
        if self.message is not None and isinstance(self.message.data_set, SpooledDataSet):
            self.message.data_set.discard()

    def _new_message(self) -> DIMSEMessage:
        message = DIMSEMessage()
        message.data_set = SpooledDataSet(
            self._new_path(), lambda: self._preamble(message), self._minimum_free_bytes
        )
        return message

    def _preamble(self, message: DIMSEMessage) -> bytes | None:
        if not isinstance(message, C_STORE_RQ):
            return None
        syntax = self.assoc._accepted_cx[message.context_id or 0].transfer_syntax[0]
        command = message.command_set
        return file_preamble(
            str(command.get("AffectedSOPClassUID", "")),
            str(command.get("AffectedSOPInstanceUID", "")),
            syntax,
        )


def _check_command_length(message: DIMSEMessage) -> None:
    length = len(message.encoded_command_set.getbuffer())
    if length > MAX_COMMAND_BYTES:
        raise ValueError(f"a command of {length} bytes, expected at most {MAX_COMMAND_BYTES}")
