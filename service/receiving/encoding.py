"""What is encoded for every instance, by hand: pydicom and pynetdicom take a millisecond for each."""

from __future__ import annotations

import struct

from pynetdicom.dimse_primitives import C_STORE

from core.uids import IMPLEMENTATION_CLASS_UID, is_acceptable_uid

C_STORE_RSP = 0x8001
"""Command Field, PS3.7 E.1-1."""

NO_DATA_SET = 0x0101
"""Command Data Set Type, PS3.7 E.1-1."""


def file_preamble(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Return preamble and file meta information (PS3.10 7.1); UIDs nobody accepts are left out."""
    elements = [(0x0001, b"OB\0\0" + struct.pack("<L", 2) + b"\x00\x01")]
    if is_acceptable_uid(sop_class_uid) and is_acceptable_uid(sop_instance_uid):
        elements += [(0x0002, _explicit_uid(sop_class_uid)), (0x0003, _explicit_uid(sop_instance_uid))]
    elements += [
        (0x0010, _explicit_uid(transfer_syntax_uid)),
        (0x0012, _explicit_uid(IMPLEMENTATION_CLASS_UID)),
    ]
    meta = b"".join(struct.pack("<HH", 0x0002, element) + rest for element, rest in elements)
    return b"\x00" * 128 + b"DICM" + meta


def store_response(response: C_STORE) -> bytes | None:
    """Return the command set of a C-STORE response (PS3.7 9.3.1.2), Implicit VR Little Endian.

    None when it is not the plain kind: UIDs that are none, or a comment.
    """
    sop_class, instance = str(response.AffectedSOPClassUID), str(response.AffectedSOPInstanceUID)
    is_commented = any(getattr(response, name) for name in ("ErrorComment", "OffendingElement"))
    if is_commented or not (is_acceptable_uid(sop_class) and is_acceptable_uid(instance)):
        return None
    elements = b"".join(
        (
            _implicit(0x0002, _padded(sop_class)),
            _implicit(0x0100, struct.pack("<H", C_STORE_RSP)),
            _implicit(0x0120, struct.pack("<H", response.MessageIDBeingRespondedTo)),
            _implicit(0x0800, struct.pack("<H", NO_DATA_SET)),
            _implicit(0x0900, struct.pack("<H", response.Status)),
            _implicit(0x1000, _padded(instance)),
        )
    )
    return _implicit(0x0000, struct.pack("<L", len(elements))) + elements


def _implicit(element: int, value: bytes) -> bytes:
    return struct.pack("<HHL", 0x0000, element, len(value)) + value


def _explicit_uid(uid: str) -> bytes:
    value = _padded(uid)
    return b"UI" + struct.pack("<H", len(value)) + value


def _padded(uid: str) -> bytes:
    return (uid + "\0" * (len(uid) % 2)).encode("ascii")
