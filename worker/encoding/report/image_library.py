"""TID 1600 Image Library: which images the report speaks of.

highdicom repeats some twenty descriptors for every image (seconds and megabytes for two series of
180 slices) and reads them where an Enhanced instance has none. Here what the images of a series
share stands once, in the group, as TID 1600 allows.
"""

from __future__ import annotations

from collections.abc import Sequence

from highdicom.sr import (
    CodeContentItem,
    CodedConcept,
    ContainerContentItem,
    ContentSequence,
    NumContentItem,
    RelationshipTypeValues,
    UIDRefContentItem,
    ValueTypeValues,
)
from highdicom.sr.value_types import ContentItem
from pydicom import Dataset
from pydicom.sr.coding import Code

from worker.encoding import codes
from worker.encoding.sources import first_plane

SHARED = RelationshipTypeValues.HAS_ACQ_CONTEXT


def image_library(series: Sequence[Sequence[Dataset]]) -> ContainerContentItem:
    """Return the library with one group a series.

    Parameters
    ----------
    series
        Instances of each series; the first one is what viewers show the measurements on.
    """
    library = ContainerContentItem(
        name=codes.IMAGE_LIBRARY, relationship_type=RelationshipTypeValues.CONTAINS
    )
    library.ContentSequence = ContentSequence([_group(instances) for instances in series])
    return library


def _group(instances: Sequence[Dataset]) -> ContainerContentItem:
    group = ContainerContentItem(
        name=codes.IMAGE_LIBRARY_GROUP, relationship_type=RelationshipTypeValues.CONTAINS
    )
    source = CodedConcept.from_code(codes.SOURCE)
    images = [_image(instance, source) for instance in instances]
    group.add_new("ContentSequence", "SQ", [*_shared_descriptors(instances), *images])
    return group


def _shared_descriptors(instances: Sequence[Dataset]) -> list[ContentItem]:
    """Return what holds for every image of the series (TID 1602, TID 1604)."""
    first = instances[0]
    descriptors: list[ContentItem] = [
        CodeContentItem(codes.MODALITY, codes.MAGNETIC_RESONANCE, SHARED),
        _number(codes.PIXEL_DATA_ROWS, int(first.Rows), codes.PIXELS),
        _number(codes.PIXEL_DATA_COLUMNS, int(first.Columns), codes.PIXELS),
    ]
    if first.get("FrameOfReferenceUID"):
        uid = str(first.FrameOfReferenceUID)
        descriptors.insert(1, UIDRefContentItem(codes.FRAME_OF_REFERENCE_UID, uid, SHARED))
    spacing = next((p.PixelSpacing for p in first_plane(instances) if p.get("PixelSpacing")), None)
    if spacing is not None:
        descriptors.append(_number(codes.HORIZONTAL_PIXEL_SPACING, float(spacing[1]), codes.MILLIMETER))
        descriptors.append(_number(codes.VERTICAL_PIXEL_SPACING, float(spacing[0]), codes.MILLIMETER))
    return descriptors


def _number(name: Code, value: float, unit: Code) -> NumContentItem:
    return NumContentItem(name=name, value=value, unit=unit, relationship_type=SHARED)


def _image(instance: Dataset, name: CodedConcept) -> Dataset:
    """Return an IMAGE item made here: highdicom takes half a second for the hundreds of a study."""
    reference = Dataset()
    reference.ReferencedSOPClassUID = str(instance.SOPClassUID)
    reference.ReferencedSOPInstanceUID = str(instance.SOPInstanceUID)
    item = Dataset()
    item.RelationshipType = RelationshipTypeValues.CONTAINS.value
    item.ValueType = ValueTypeValues.IMAGE.value
    item.ConceptNameCodeSequence = [name]
    item.ReferencedSOPSequence = [reference]
    return item
