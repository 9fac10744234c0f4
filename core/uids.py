"""UIDs derived from content, so that a retry writes the same object and a PACS recognises it."""

from __future__ import annotations

import hashlib
import re

UUID_UID_ROOT = "2.25"
"""UUID-derived UIDs, PS3.5 B.2."""

MAX_UID_LENGTH = 64
"""PS3.5 9.1."""

_ACCEPTED_UID = re.compile(r"[0-9.]{1,64}")
_CONFORMANT_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")


def derive_uid(*parts: str) -> str:
    """Return a 2.25 UID that depends on nothing but the parts.

    Parameters
    ----------
    *parts
        Whatever identifies the object: study UID, model digest, revision, kind.
    """
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()
    return f"{UUID_UID_ROOT}.{int.from_bytes(digest[:16], 'big')}"


IMPLEMENTATION_CLASS_UID = derive_uid("metserve", "implementation class")
"""Names this implementation in every file it writes and every association it negotiates (PS3.7 D.3.3.2)."""

IMPLEMENTATION_VERSION_NAME = "METSERVE"
"""Goes with it: SH, 16 characters at most."""


def is_acceptable_uid(uid: str) -> bool:
    """Tell whether a peer's UID can be kept: digits and dots, 1 to 64 of them.

    Scanners that write leading zeros exist; their studies are kept. Anything else (path
    separators, NUL, letters) is refused.
    """
    return _ACCEPTED_UID.fullmatch(uid) is not None and any(c.isdigit() for c in uid)


def is_conformant_uid(uid: str) -> bool:
    """Tell whether a UID follows PS3.5 9.1 to the letter."""
    return len(uid) <= MAX_UID_LENGTH and _CONFORMANT_UID.fullmatch(uid) is not None
