"""docs/dicom-conformance.md says what the objects hold: every attribute, in both directions."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.datadict import dictionary_description, dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag

from core.errors import UnsuitableReason
from core.geometry import Grid
from core.lesion import Location, Region, Side
from core.results import ResultKind, StructureStyle
from core.study import QualityFlag
from tests.dicom_sources import classic_series, enhanced_series, make_patient
from tests.encoded_study import LARGE, SMALL, EncodedStudy, make_study
from tests.located_study import placed
from worker.encoding import Pictures, SiteChoices, encode
from worker.encoding.captures.notice import encode_notice
from worker.volumes import SliceReference

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import conformance_statement  # noqa: E402

PAGE = (ROOT / "docs" / "dicom-conformance.md").read_text(encoding="utf-8")

TABLE = re.compile(r"<!-- (?P<what>attributes|tree): (?P<name>[\w ]+) -->\n(?P<rows>(?:\|.*\n)+)")
TAG = re.compile(r"\(([0-9A-F]{4}),([0-9A-F]{4})\)")
LITERAL = re.compile(r"`(.+)`")
CODE_ATTRIBUTES = {Tag("CodeValue"), Tag("CodingSchemeDesignator"), Tag("CodeMeaning")}
GROUP_LENGTH = Tag(0x0002, 0x0000)


@dataclass
class Row:
    """One line of an attribute table, with the attributes of the sequence's items below it."""

    name: str
    tag: BaseTag
    vr: str
    presence: str
    source: str
    value: str
    items: list[Row] = field(default_factory=list)


def tables(what: str) -> dict[str, list[list[str]]]:
    """Return the lines of the tables of each object; one table may belong to several."""
    found: dict[str, list[list[str]]] = {}
    for match in TABLE.finditer(PAGE):
        lines = match["rows"].splitlines()[2:] if match["what"] == what else []
        for name in match["name"].split():
            found.setdefault(name, []).extend(
                [cell.strip() for cell in line.strip().strip("|").split(" | ")] for line in lines
            )
    return found


def attribute_rows(lines: list[list[str]]) -> list[Row]:
    levels: list[list[Row]] = [[]]
    for cells in lines:
        name, tag, vr, presence, source, value = [*cells, ""][:6]
        depth = len(name) - len(name.lstrip(">"))
        group, element = TAG.fullmatch(tag).groups()
        row = Row(name[depth:], Tag(int(group, 16), int(element, 16)), vr, presence, source, value)
        del levels[depth + 1 :]
        levels[depth].append(row)
        levels.append(row.items)
    return levels[0]


ATTRIBUTES = {name: attribute_rows(lines) for name, lines in tables("attributes").items()}


def every_row(rows: Sequence[Row]) -> Iterator[Row]:
    for row in rows:
        yield row
        yield from every_row(row.items)


def studies() -> Iterator[EncodedStudy]:
    """Studies that differ in all that an object's attributes can depend on."""
    places = [Location(Region.DEEP_GREY_MATTER, Side.LEFT), Location(Region.CEREBELLUM)]
    yield placed(make_study((LARGE, SMALL), flags=tuple(QualityFlag)), places)
    yield make_study((LARGE,), series=enhanced_series)
    yield make_study((), with_t1=False)
    yield make_study((SMALL,), patient=make_patient("Müller^Jörg", "ISO_IR 100"), series=lossy_series)
    first = make_study((LARGE,))
    superseded = tuple(dict(encode_everything(first, StructureStyle.NEUTRAL)).values())
    sources = replace(first.sources, predecessor=first.encode().sr, superseded=superseded)
    yield replace(first.with_sources(sources), provenance=replace(first.provenance, revision=2))


def lossy_series(
    grid: Grid, name: str = "t1 post", patient: Dataset | None = None
) -> tuple[tuple[Dataset, ...], tuple[SliceReference, ...]]:
    instances, slices = classic_series(grid, name, patient)
    for instance in instances:
        instance.LossyImageCompression = "01"
        instance.LossyImageCompressionRatio = "4.5"
        instance.LossyImageCompressionMethod = "ISO_10918_1"
    return instances, slices


def encode_everything(study: EncodedStudy, style: StructureStyle) -> Iterator[tuple[ResultKind, Dataset]]:
    """Encode a study with all that a site can ask for, and the notice it could have got instead."""
    grid = study.findings.grid
    pixels = np.linspace(0, 900, math.prod(grid.shape_kji), dtype=np.float32).reshape(grid.shape_kji)
    probability = np.where(study.findings.label_map_kji > 0, np.float32(0.8), np.float32(0))
    site = SiteChoices(structure_style=style, probability_map=True, rejection_note=True)
    results = encode(
        study.findings, study.report, study.sources, study.provenance, Pictures(pixels, probability), site
    )
    yield from results.objects.items()
    source, reason = study.sources.t1_post[0], UnsuitableReason.NO_BRAIN_FOUND
    yield ResultKind.NOTICE, encode_notice(source, reason.value, "no brain was found", study.provenance)


@pytest.fixture(scope="module")
def encoded() -> dict[ResultKind, list[Dataset]]:
    objects: dict[ResultKind, list[Dataset]] = {}
    for study, style in zip(studies(), cycle(StructureStyle), strict=False):
        for kind, dataset in encode_everything(study, style):
            objects.setdefault(kind, []).append(dataset)
    return objects


def test_every_row_names_its_attribute_as_the_standard_does() -> None:
    wrong = [
        f"{row.name} {row.tag} {row.vr}"
        for rows in ATTRIBUTES.values()
        for row in every_row(rows)
        if (row.name, row.vr)
        not in {(dictionary_description(row.tag), vr) for vr in dictionary_VR(row.tag).split(" or ")}
    ]
    assert wrong == []


def test_every_row_says_presence_and_source_in_the_words_that_are_explained() -> None:
    words = {(row.presence, row.source) for rows in ATTRIBUTES.values() for row in every_row(rows)}
    assert {presence for presence, _ in words} <= {"ALWAYS", "EMPTY", "VNAP", "ANAP"}
    assert {source for _, source in words} <= {"FIXED", "COPY", "AUTO", "CONFIG"}


def test_every_kind_of_result_is_encoded_and_has_its_table(
    encoded: dict[ResultKind, list[Dataset]],
) -> None:
    assert set(encoded) == set(ResultKind)
    assert {kind.value for kind in encoded} <= set(ATTRIBUTES)


def test_objects_hold_what_the_tables_say_and_nothing_else(encoded: dict[ResultKind, list[Dataset]]) -> None:
    assert [e for kind, datasets in encoded.items() for d in datasets for e in departures(kind, d)] == []


@pytest.mark.parametrize("kind", [ResultKind.SR, ResultKind.REJECTION])
def test_the_content_tree_is_the_one_described(
    encoded: dict[ResultKind, list[Dataset]], kind: ResultKind
) -> None:
    described = tree_rows(tables("tree")[kind])
    trees = [list(content_items(dataset)) for dataset in encoded[kind]]
    assert {item for tree in trees for item in tree} == set(described)


@pytest.mark.parametrize("keyword", ["SegmentSequence", "SegmentationType", "PatientID"])
def test_a_missing_attribute_is_noticed(encoded: dict[ResultKind, list[Dataset]], keyword: str) -> None:
    dataset = copied(encoded[ResultKind.SEG][0])
    del dataset[keyword]
    assert len(departures(ResultKind.SEG, dataset)) == 1


def test_an_attribute_nobody_described_is_noticed(encoded: dict[ResultKind, list[Dataset]]) -> None:
    dataset = copied(encoded[ResultKind.SEG][0])
    dataset.StationName = "MR1"
    assert departures(ResultKind.SEG, dataset) == ["seg: Station Name is not described"]


def test_a_block_the_code_does_not_fill_is_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        conformance_statement.filled("<!-- generated: nonsense -->\n<!-- end: nonsense -->\n")


def test_the_generated_tables_are_up_to_date() -> None:
    assert conformance_statement.filled(PAGE) == PAGE


def copied(dataset: Dataset) -> Dataset:
    """Return a data set whose attributes can come and go without touching the original."""
    copy = Dataset()
    copy.update(dataset)
    copy.file_meta = dataset.file_meta
    return copy


def departures(kind: ResultKind, dataset: Dataset) -> list[str]:
    """Return where an object and its tables disagree."""
    whole = copied(dataset)
    whole.update({element.tag: element for element in dataset.file_meta if element.tag != GROUP_LENGTH})
    return [f"{kind}: {text}" for text in _compare([*ATTRIBUTES["common"], *ATTRIBUTES[kind]], whole)]


def _compare(rows: Sequence[Row], dataset: Dataset) -> Iterator[str]:
    described = {row.tag for row in rows}
    yield from (f"{e.name} is not described" for e in dataset if e.tag not in described)
    for row in rows:
        element = dataset.get(row.tag)
        if element is None:
            if row.presence != "ANAP":
                yield f"{row.name} is absent"
        elif not fits(row, element):
            yield f"{row.name} is {element.value!r}, described as {row.presence} {row.value}"
        elif row.vr == "SQ" and row.value != "see below":
            for item in element.value:
                yield from (f"{row.name} > {text}" for text in _compare(row.items, without_code(item)))


def fits(row: Row, element: DataElement) -> bool:
    is_empty = not element.value if element.VR == "SQ" else element.is_empty
    if row.vr != element.VR or is_empty != (row.presence == "EMPTY"):
        return row.vr == element.VR and row.presence == "VNAP"
    literal = LITERAL.search(row.value) if row.source in {"FIXED", "CONFIG"} else None
    return literal is None or literal[1] == text_of(element)


def without_code(item: Dataset) -> Dataset:
    """Return an item without the attributes that every code has: the column Value names the code."""
    if "CodeValue" not in item:
        return item
    rest = Dataset()
    rest.update({element.tag: element for element in item if element.tag not in CODE_ATTRIBUTES})
    return rest


def text_of(element: DataElement) -> str:
    if element.VR == "SQ":
        return code_of(element.value[0])
    values = element.value if isinstance(element.value, MultiValue) else [element.value]
    return "\\".join(str(value) for value in values)


def code_of(item: Dataset) -> str:
    return f'({item.CodeValue}, {item.CodingSchemeDesignator}, "{item.CodeMeaning}")'


def tree_rows(lines: list[list[str]]) -> list[tuple[int, str, str, str]]:
    return [(len(level), relation, kind, concept) for level, relation, kind, concept, *_ in lines]


def content_items(dataset: Dataset, depth: int = 1) -> Iterator[tuple[int, str, str, str]]:
    for item in dataset.get("ContentSequence", []):
        yield depth, item.RelationshipType, item.ValueType, code_of(item.ConceptNameCodeSequence[0])
        yield from content_items(item, depth + 1)
