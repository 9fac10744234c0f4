"""The report read from its own bytes with plain pydicom: content items by concept name, no templates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom import Dataset

from core.errors import Defect
from core.lesion import Location
from worker.encoding.locations import CodeKey, code_key, read_location

IMAGING_MEASUREMENTS: CodeKey = ("DCM", "126010")
MEASUREMENT_GROUP: CodeKey = ("DCM", "125007")
TRACKING_UID: CodeKey = ("DCM", "112040")
FINDING_SITE: CodeKey = ("SCT", "363698007")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number and the UCUM code of its unit."""

    value: float
    unit: str


@dataclass(frozen=True, eq=False)
class ReadGroup:
    """One measurement group: ``template`` is its TID, ``items`` its direct children."""

    template: str
    tracking_uid: str
    items: tuple[Dataset, ...]

    def quantity(self, name: CodeKey) -> Quantity:
        """Return the only number with this concept name."""
        items = [item for item in self.items if item.ValueType == "NUM" and concept(item) == name]
        if len(items) != 1:
            raise Defect(f"group {self.tracking_uid} has {len(items)} numbers named {name}, expected 1")
        measured = items[0].MeasuredValueSequence[0]
        return Quantity(float(measured.NumericValue), str(measured.MeasurementUnitsCodeSequence[0].CodeValue))

    def images_of_quantities(self) -> list[list[tuple[str, int | None]]]:
        """Return, for every number of this group, instance and frame of the images it was inferred from."""
        numbers = [item for item in self.items if item.ValueType == "NUM"]
        return [
            [
                _instance_and_frame(image)
                for region in _children(number, "SCOORD")
                for image in _children(region, "IMAGE")
            ]
            for number in numbers
        ]

    def location(self) -> Location:
        """Return what the only finding site states with its modifiers."""
        sites = [item for item in self.items if concept(item) == FINDING_SITE]
        if len(sites) != 1:
            raise Defect(f"group {self.tracking_uid} has {len(sites)} finding sites, expected 1")
        modifiers = [_coded_value(child) for child in sites[0].get("ContentSequence") or []]
        return read_location(_coded_value(sites[0]), modifiers)

    def item_of_type(self, value_type: str) -> Dataset:
        """Return the only direct child of this value type."""
        items = [item for item in self.items if item.ValueType == value_type]
        if len(items) != 1:
            raise Defect(f"group {self.tracking_uid} has {len(items)} {value_type} items, expected 1")
        return items[0]


def concept(item: Dataset) -> CodeKey:
    """Return an item's concept name as scheme and value."""
    return code_key(item.ConceptNameCodeSequence[0])


def read_groups(sr: Dataset) -> list[ReadGroup]:
    """Return the measurement groups in document order."""
    container = next(item for item in sr.ContentSequence if concept(item) == IMAGING_MEASUREMENTS)
    return [_read_group(item) for item in container.ContentSequence if concept(item) == MEASUREMENT_GROUP]


def read_evidence_uids(sr: Dataset) -> set[str]:
    """Return the SOP Instance UIDs listed as evidence."""
    return {
        str(instance.ReferencedSOPInstanceUID)
        for study in sr.get("CurrentRequestedProcedureEvidenceSequence") or []
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }


def read_referenced_uids(sr: Dataset) -> set[str]:
    """Return the SOP Instance UIDs that the content tree refers to."""
    return {
        str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        for item in _walk(sr)
        if item.get("ValueType") in ("IMAGE", "COMPOSITE")
    }


def read_frames_of_reference(sr: Dataset) -> list[str]:
    """Return the Frame of Reference UIDs of the image library, in document order."""
    return [str(item.UID) for item in _walk(sr) if item.get("ValueType") == "UIDREF" and _is_frame(item)]


def _children(item: Dataset, value_type: str) -> list[Dataset]:
    return [child for child in item.get("ContentSequence") or [] if child.ValueType == value_type]


def _instance_and_frame(image: Dataset) -> tuple[str, int | None]:
    reference = image.ReferencedSOPSequence[0]
    frame = reference.get("ReferencedFrameNumber")
    return str(reference.ReferencedSOPInstanceUID), None if frame is None else int(frame)


def _is_frame(item: Dataset) -> bool:
    return concept(item) == ("DCM", "112227")


def _read_group(item: Dataset) -> ReadGroup:
    children = tuple(item.ContentSequence)
    uid = next(str(child.UID) for child in children if concept(child) == TRACKING_UID)
    return ReadGroup(str(item.ContentTemplateSequence[0].TemplateIdentifier), uid, children)


def _coded_value(item: Dataset) -> CodeKey:
    return code_key(item.ConceptCodeSequence[0])


def _walk(item: Dataset) -> Iterator[Dataset]:
    yield item
    for child in item.get("ContentSequence") or []:
        yield from _walk(child)
