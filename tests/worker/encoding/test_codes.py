"""Codes: the public ones are those of the dictionaries, the private ones stay private."""

from __future__ import annotations

import pytest
from pydicom.sr._concepts_dict import concepts
from pydicom.sr.coding import Code

from worker.encoding import codes

ALL_CODES = {name: value for name, value in vars(codes).items() if isinstance(value, Code)}
IN_DICTIONARY = {n: c for n, c in ALL_CODES.items() if c.scheme_designator in ("DCM", "SCT")}


@pytest.mark.parametrize("name", IN_DICTIONARY)
def test_a_public_code_means_what_the_dictionary_says(name: str) -> None:
    code = IN_DICTIONARY[name]
    meanings = {
        entry[code.value][0].lower()
        for entry in concepts[code.scheme_designator].values()
        if code.value in entry
    }
    assert any(meaning.startswith(code.meaning.lower()) for meaning in meanings), meanings


@pytest.mark.parametrize("name", ALL_CODES)
def test_a_code_fits_its_elements(name: str) -> None:
    code = ALL_CODES[name]
    assert len(code.value) <= 16
    assert len(code.scheme_designator) <= 16
    assert len(code.meaning) <= 64
