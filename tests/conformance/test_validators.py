"""Every object of every kind of study: what validators by other people say of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from core.results import ResultKind
from tests.conformance.conftest import MakeCase, Record
from tests.conformance.encoded_cases import EncodedCase, encode_case
from tests.conformance.geometries import CLASSIC, GEOMETRIES, Geometry, Kind
from tests.conformance.known_lesions import (
    EIGHTY,
    KNOWN_LESIONS,
    NECROTIC,
    ON_FIRST_SLICE,
    ONE_VOXEL,
    TOUCHING,
    Shape,
)
from tests.conformance.outside_judges import remarks_of_dcentvfy, remarks_of_pixelmed
from tests.judges import validation_errors

DOUBLE_OBLIQUE = next(geometry for geometry in CLASSIC if geometry.name == "double-oblique")

STUDIES: dict[str, Sequence[Shape]] = {
    "no-lesion": (),
    "one-lesion": (NECROTIC,),
    "one-voxel": (ONE_VOXEL,),
    "first-slice": (ON_FIRST_SLICE,),
    "touching": TOUCHING,
    "eighty-lesions": EIGHTY,
}
"""Besides the matrix, whose studies have all of these but none and eighty."""

PIXELMED_STUDIES: dict[str, Sequence[Shape]] = {
    "no-lesion": (),
    "several-lesions": KNOWN_LESIONS,
}
"""The program takes most of a minute for a report, and more than 6 GB of memory for one of eighty lesions."""

EXPECTED_OF_DCENTVFY = "Different information entities for attribute - Element=<AccessionNumber>"
"""The program files the number under the study in one class and under the series in another."""

_SUMMARY = r"Error: Template 1411 .*in group 1: Missing conditional content item"
_ALGORITHM = (
    r"Warning: (TEXT|CODE) \((111000|111001|111002|111003|122405),DCM,.*: Content Item not in template"
)
_COMMENT = r"Warning: TEXT \(121106,DCM,\"Comment\"\): Content Item not in template"
_MEANING = r"Warning: .*\(121232,DCM,.* has different code meaning .*"
_SUMMARY_IMAGE = r"Warning: (?:IMAGE|SCOORD) \(260753009,SCT,\"Source\"\): Content Item not in template"
EXPECTED_OF_PIXELMED = re.compile("|".join([_SUMMARY, _ALGORITHM, _COMMENT, _MEANING, _SUMMARY_IMAGE]))
"""Its remarks; docs/conformance/README.md gives the reason for each."""


@pytest.mark.parametrize("geometry", [pytest.param(g, id=g.name) for g in GEOMETRIES])
def test_every_object_is_valid_and_of_one_study_with_its_sources(
    geometry: Geometry, case_of: MakeCase, record: Record
) -> None:
    judge_objects(case_of(geometry), geometry.name, record)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("study", STUDIES)
def test_every_number_and_place_of_lesions_is_valid(
    kind: Kind, study: str, record: Record, tmp_path: Path
) -> None:
    case = encode_case(
        replace(DOUBLE_OBLIQUE, kind=kind), tmp_path, STUDIES[study], pictures=kind is Kind.CLASSIC
    )
    assert (ResultKind.SEG in case.objects) == (ResultKind.RTSTRUCT in case.objects) == bool(STUDIES[study])
    judge_objects(case, f"{kind}-{study}", record)


def test_a_second_revision_is_valid_beside_its_sources(record: Record, tmp_path: Path) -> None:
    case = encode_case(DOUBLE_OBLIQUE, tmp_path, predecessor=True, pictures=True)
    judge_objects(case, "second-revision", record)


def judge_objects(case: EncodedCase, name: str, record: Record) -> None:
    """Assert that no validator finds an error; leave what was judged."""
    errors = {kind: validation_errors(path) for kind, path in case.files.items()}
    remarks = remarks_of_dcentvfy([*case.source_files, *case.files.values()])
    unexpected = [line for line in remarks if EXPECTED_OF_DCENTVFY not in line]
    figures = {
        "dciodvfy_errors": {str(kind): len(lines) for kind, lines in errors.items()},
        "dcentvfy_unexpected": len(unexpected),
    }
    record(name, {"validators": figures})
    assert {kind: lines for kind, lines in errors.items() if lines} == {}
    assert unexpected == []


@pytest.fixture(scope="module")
def pixelmed_remarks(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[str]]:
    """What PixelMed says of a study's report: it takes long, so the studies are judged side by side."""
    futures: dict[str, Future[list[str]]] = {}
    pool = ThreadPoolExecutor(2)
    for name, shapes in PIXELMED_STUDIES.items():
        case = encode_case(DOUBLE_OBLIQUE, tmp_path_factory.mktemp(name), shapes)
        futures[name] = pool.submit(remarks_of_pixelmed, case.files[ResultKind.SR])
    return lambda name: futures[name].result()


@pytest.mark.parametrize("study", PIXELMED_STUDIES)
def test_pixelmed_finds_nothing_but_what_is_explained(
    study: str, pixelmed_remarks: Callable[[str], list[str]], record: Record
) -> None:
    remarks = pixelmed_remarks(study)
    unexpected = [line for line in remarks if not EXPECTED_OF_PIXELMED.fullmatch(line)]
    record(f"pixelmed-{study}", {"pixelmed_unexpected": len(unexpected), "pixelmed_explained": remarks})
    assert unexpected == []
