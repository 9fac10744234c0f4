"""Which segments of a DICOM SEG are metastases: those a person named, or those that say so themselves."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydicom import Dataset

from core.errors import InvalidInput

LESION_TYPES = frozenset({"108369006", "14799000", "128462008", "52988006", "4147007"})
"""SNOMED CT: neoplasm, the same metastatic, metastasis, lesion, mass (PS3.3 C.8.20)."""

LESION_WORDS = re.compile(
    r"metasta|\bmets?\b|neoplas|tumou?r|\blesions?\b|\bmass(es)?\b|enhanc", re.IGNORECASE
)
"""In a segment's label or in the meaning of its type."""

OTHER_WORDS = re.compile(r"o?edema|non.?enhanc|necro|cavity|\bcore\b|whole.?tumou?r", re.IGNORECASE)
"""In a segment's label or in the meaning of its type: of a tumour, but not its enhancing part."""


def lesion_segments(seg: Dataset, named: Sequence[str], source: str) -> tuple[int, ...]:
    """Return the numbers of the segments that are metastases.

    Parameters
    ----------
    seg
        Without pixels.
    named
        Segment labels, in capitals or not; empty for the segments whose label or type says metastasis,
        lesion, mass, neoplasm or enhancing.
    source
        For the message: of which study and file.

    Raises
    ------
    InvalidInput
        No segment is one.
    """
    wanted = {name.casefold() for name in named}
    segments = list(seg.get("SegmentSequence") or [])
    found = [one for one in segments if (_label(one).casefold() in wanted if named else _is_lesion(one))]
    if not found:
        described = ", ".join(_describe(one) for one in segments) or "none"
        expected = f"one of {sorted(named)}" if named else "one that is called a metastasis"
        raise InvalidInput(
            f"{source} has segments {described}; expected {expected} (say segments in cohort.toml)"
        )
    return tuple(int(one.SegmentNumber) for one in found)


def _is_lesion(segment: Dataset) -> bool:
    text = f"{_label(segment)} {_type(segment).get('CodeMeaning', '')}"
    is_lesion = _type(segment).get("CodeValue") in LESION_TYPES or LESION_WORDS.search(text) is not None
    return is_lesion and OTHER_WORDS.search(text) is None


def _label(segment: Dataset) -> str:
    return str(segment.get("SegmentLabel", "")).strip()


def _type(segment: Dataset) -> Dataset:
    for code in segment.get("SegmentedPropertyTypeCodeSequence") or ():
        if isinstance(code, Dataset):
            return code
    return Dataset()


def _describe(segment: Dataset) -> str:
    return f"{_label(segment)!r} ({_type(segment).get('CodeMeaning', 'no type')})"
