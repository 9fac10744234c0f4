"""What a QIDO-RS request asks for, as the keys of a C-FIND (PS3.18 8.3.4)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from pydicom import Dataset
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement

from service.api.problems import ApiError

MOST_RESULTS = 1000
"""Of one answer; a client that wants more asks again with an offset (PS3.18 8.3.4.4)."""

LARGEST_OFFSET = 10_000_000

LONGEST_VALUE = 1024
"""Characters: 15 UIDs, or any name."""

MOST_ATTRIBUTES = 100

OWN_PARAMETERS = frozenset({"limit", "offset", "fuzzymatching", "includefield", "accept"})
"""Not attributes, PS3.18 table 8.3.4-1."""

EVERY_FIELD = "all"

TOO_MANY = (
    "The number of results exceeded the maximum supported by the server. Additional results can be requested."
)
NO_FUZZY = "The fuzzymatching parameter is not supported. Only literal matching has been performed."
NO_SEQUENCES = "Matching of attributes within sequences is not supported; they did not restrict the search."
"""Texts of Warning headers; the first two as PS3.18 8.3.4 words them."""

_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_NUMBER_VRS = frozenset({"IS", "DS", "US", "SS", "UL", "SL", "FL", "FD"})


@dataclass(frozen=True, slots=True)
class SearchKeys:
    """What is searched for.

    Parameters
    ----------
    keys
        Values to match; an empty one asks only that the attribute be in the answer.
    warnings
        What the answer is to warn of.
    """

    keys: Dataset
    warnings: list[str] = field(default_factory=list)


def parse_search(parameters: Iterable[tuple[str, str]], *, fuzzy: bool, include: Iterable[str]) -> SearchKeys:
    """Read the parameters of a search.

    Parameters
    ----------
    parameters
        Names and values, decoded, in any order; a name may come twice.
    include
        Values of ``includefield``.

    Raises
    ------
    ApiError
        400: a name is no attribute, or a value cannot be one of its VR. The value is not repeated: it may
        be a patient's.
    """
    search = SearchKeys(Dataset())
    attributes = [(name, value) for name, value in parameters if name not in OWN_PARAMETERS]
    if len(attributes) > MOST_ATTRIBUTES:
        raise _bad(f"{len(attributes)} attributes, expected at most {MOST_ATTRIBUTES}")
    for name, value in attributes:
        _add(search, name, value)
    for name in (part.strip() for text in include for part in text.split(",")):
        if name and name != EVERY_FIELD and "." not in name:
            tag = _tag(name)
            if tag not in search.keys:
                search.keys.add(_element(name, tag, ""))
    if fuzzy:
        search.warnings.append(NO_FUZZY)
    return search


def warning_header(texts: Iterable[str]) -> dict[str, str]:
    """Return the Warning header (PS3.18 8.3.4) of an answer, if it needs one."""
    value = ", ".join(f'299 metserve: "{text}"' for text in texts)
    return {"Warning": value} if value else {}


def unmatched_warning(names: Iterable[str]) -> str:
    """Return what an answer says of attributes that are known, but not searched by."""
    return f"These attributes are not matched and did not restrict the search: {', '.join(names)}"


def _add(search: SearchKeys, name: str, value: str) -> None:
    if "." in name:
        for part in name.split("."):
            _tag(part)
        search.warnings.append(NO_SEQUENCES)
        return
    if len(value) > LONGEST_VALUE:
        raise _bad(f"{name[:80]}: {len(value)} characters, expected at most {LONGEST_VALUE}")
    tag = _tag(name)
    if tag in search.keys:
        raise _bad(f"{name[:80]} comes twice; several UIDs are separated by commas")
    search.keys.add(_element(name, tag, value))


def _element(name: str, tag: int, value: str) -> DataElement:
    vr = _vr(tag)
    if vr == "SQ":
        return DataElement(tag, "SQ", [])
    try:
        return DataElement(tag, vr, _value(vr, value), validation_mode=IGNORE)
    except Exception:  # noqa: BLE001 - pydicom raises anything for a value that is none
        raise _bad(f"{name[:80]}: the value cannot be a {vr}") from None


def _value(vr: str, text: str) -> Any:
    if text == "":
        return None
    if "\0" in text:
        raise ValueError("NUL is in no value of DICOM")
    if vr == "UI":
        uids = re.split(r"[,\\]", text)
        return uids if len(uids) > 1 else uids[0]
    if vr in _NUMBER_VRS:
        return text if vr in ("IS", "DS") else float(text) if vr in ("FL", "FD") else int(text)
    return text


def _tag(name: str) -> int:
    if _TAG.fullmatch(name):
        return int(name, 16)
    tag = tag_for_keyword(name)
    if tag is None:
        raise _bad(f"{name[:80]!r} is no attribute, expected a keyword or a tag such as 0020000D")
    return tag


def _vr(tag: int) -> str:
    try:
        vr = dictionary_VR(tag)
    except KeyError:
        return "LO"  # a private attribute; nobody has an index of those
    return vr.split(" or ")[0]


def _bad(detail: str) -> ApiError:
    return ApiError(HTTPStatus.BAD_REQUEST, detail)
