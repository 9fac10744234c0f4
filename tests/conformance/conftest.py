"""The matrix's cases, each encoded once, and the figures that the tests leave for the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from tests.conformance.encoded_cases import EncodedCase, encode_case
from tests.conformance.geometries import Geometry

MakeCase = Callable[[Geometry], EncodedCase]
Record = Callable[[str, Mapping[str, object]], None]


@pytest.fixture(scope="session")
def case_of(tmp_path_factory: pytest.TempPathFactory) -> MakeCase:
    """A case by its geometry; its series, loading and results are made once."""
    made: dict[str, EncodedCase] = {}

    def make(geometry: Geometry) -> EncodedCase:
        if geometry.name not in made:
            made[geometry.name] = encode_case(geometry, tmp_path_factory.mktemp(geometry.name))
        return made[geometry.name]

    return make


@pytest.fixture
def record(record_property: Callable[[str, object], None]) -> Record:
    """Leave figures of a case for scripts/conformance.py."""

    def leave(case: str, figures: Mapping[str, object]) -> None:
        record_property("conformance", (case, dict(figures)))

    return leave
