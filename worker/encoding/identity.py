"""Whose study it is: Patient, Patient Study and General Study modules, cleaned for our objects.

The source's values are copied because a PACS files results by them. A malformed value in a source
must not cost the patient the result, so that it is left out of our object; the source is never
touched.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from copy import deepcopy
from datetime import datetime
from io import BytesIO

from pydicom import Dataset, config
from pydicom.charset import python_encoding
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import validate_value

KEPT_AS_THEY_ARE = ("StudyInstanceUID", "PatientID")
"""Without these a result cannot be filed: kept even when not conformant."""

TYPE_2 = (
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
)
"""Must be present, may be empty (PS3.3 C.7.1.1, C.7.2.1)."""

OPTIONAL = ("IssuerOfPatientID", "PatientAge", "PatientSize", "PatientWeight", "StudyDescription")
"""Present only with a good value."""

UTF_8 = "ISO_IR 192"

ASCII_ONLY = {"", "ISO_IR 6", "ISO 2022 IR 6"}
"""Terms of the default repertoire (PS3.3 C.12.1.1.2); readers guess what lies beyond it."""

PATIENT_SEXES = ("M", "F", "O")


def read_identity(source: Dataset) -> Dataset:
    """Return the identifying modules of a source instance, without malformed values.

    Parameters
    ----------
    source
        Any instance of the study, pixels not needed.
    """
    identity = Dataset()
    for keyword in KEPT_AS_THEY_ARE:
        _put(identity, keyword, _text(source, keyword))
    for keyword in TYPE_2:
        _put(identity, keyword, _valid_text(source, keyword))
    for keyword in OPTIONAL:
        if text := _valid_text(source, keyword):
            _put(identity, keyword, text)
    _declare_character_set(identity, source)
    return identity


def apply_identity(identity: Dataset, target: Dataset) -> None:
    """Replace the identifying modules of ``target``, character set included."""
    for keyword in ("SpecificCharacterSet", *KEPT_AS_THEY_ARE, *TYPE_2, *OPTIONAL):
        if keyword in target:
            del target[keyword]
        if keyword in identity:
            target.add(deepcopy(identity[keyword]))


def _put(target: Dataset, keyword: str, value: str) -> None:
    tag = tag_for_keyword(keyword)
    assert tag is not None  # noqa: S101 - the keywords are ours
    vr = dictionary_VR(tag)
    target.add(DataElement(tag, vr, value or None, validation_mode=config.IGNORE))


def _text(source: Dataset, keyword: str) -> str:
    """Return an element's text as the source has it; '' when it is absent, multi-valued or unreadable."""
    with config.disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is wrong with it is decided here, not by the reader
        try:
            value = source[keyword].value if keyword in source else None
        except (ValueError, TypeError, LookupError, ArithmeticError, NotImplementedError):
            return ""
        return "" if value is None or isinstance(value, MultiValue) else str(value).strip("\0 ")


def _valid_text(source: Dataset, keyword: str) -> str:
    text = _text(source, keyword)
    vr = dictionary_VR(keyword)
    try:
        validate_value(vr, text, config.RAISE)
    except ValueError:
        return ""
    is_good = _EXTRA_CHECKS.get(keyword) or _EXTRA_CHECKS.get(vr)
    return text if is_good is None or is_good(text) else ""


def _is_date(text: str) -> bool:
    try:
        return datetime.strptime(text, "%Y%m%d").year > 0  # noqa: DTZ007 - a calendar date has no zone
    except ValueError:
        return False


def _is_decimal(text: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", text) is not None and len(text) <= 16


_EXTRA_CHECKS: dict[str, Callable[[str], bool]] = {
    "DA": _is_date,
    "DS": _is_decimal,
    "PatientSex": PATIENT_SEXES.__contains__,
}
"""What pydicom's validators leave open, by keyword or value representation."""


def _declare_character_set(identity: Dataset, source: Dataset) -> None:
    """Keep the source's character set where it can write these texts, else declare UTF-8."""
    terms = source.get("SpecificCharacterSet") or ""
    declared = [terms] if isinstance(terms, str) else [str(term) for term in terms]
    if any(declared):
        identity.SpecificCharacterSet = declared if len(declared) > 1 else declared[0]
    if not _can_be_written(identity, declared):
        identity.SpecificCharacterSet = UTF_8


def _can_be_written(identity: Dataset, declared: list[str]) -> bool:
    texts = _texts(identity)
    if set(declared) <= ASCII_ONLY:
        return all(text.isascii() for text in texts)
    if not all(term in python_encoding for term in declared):
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns and writes '?': seen by the comparison
        buffer = DicomBytesIO()
        buffer.is_little_endian, buffer.is_implicit_VR = True, False
        write_dataset(buffer, deepcopy(identity))  # a PersonName keeps the bytes it was first written as
        read = read_dataset(BytesIO(buffer.getvalue()), is_implicit_VR=False, is_little_endian=True)
        return _texts(read) == texts


def _texts(dataset: Dataset) -> list[str]:
    return [str(element.value or "") for element in dataset if element.keyword != "SpecificCharacterSet"]
