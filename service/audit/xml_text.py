"""Text and codes inside audit messages."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from service.audit.codes import Code


def coded(parent: ET.Element, name: str, code: Code) -> None:
    """Append a coded value."""
    ET.SubElement(parent, name, code.attributes())


def xml_text(text: str) -> str:
    """Leave out what XML 1.0 cannot hold (its section 2.2); names come from peers."""
    return "".join(c for c in text if _is_allowed(c))


def _is_allowed(character: str) -> bool:
    if character < " ":
        return character in "\t\n\r"
    return not "\ud800" <= character <= "\udfff" and character not in "\ufffe\uffff"
