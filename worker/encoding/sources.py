"""The source instances our objects refer to, reduced to what the writers need.

highdicom reads many attributes of the images it is given and refuses a study for a bad one. It is
handed small datasets made here instead, so that the same code serves classic and Enhanced MR.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset
from pydicom.valuerep import format_number_as_ds

from core.errors import Defect
from core.geometry import Grid
from core.headers import MR_IMAGE_STORAGE, frame_groups
from worker.volumes import SliceReference

LOSSY_COMPRESSION_KEYWORDS = (
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)


@dataclass(frozen=True, eq=False)
class EncodingSources:
    """What results refer to; pixel data are not needed.

    Parameters
    ----------
    t1_post
        The instances of the T1-post series: one a slice, or one Enhanced multi-frame.
    t1
        The same for T1, None without a usable one.
    slices
        The source of each slice k of the T1-post volume, in k order.
    predecessor
        The report of an earlier revision that this one supersedes, if there is one.
    superseded
        Headers of all objects of earlier revisions that a rejection note is to name.
    """

    t1_post: tuple[Dataset, ...]
    t1: tuple[Dataset, ...] | None
    slices: tuple[SliceReference, ...]
    predecessor: Dataset | None = None
    superseded: tuple[Dataset, ...] = ()

    @property
    def frame_of_reference_uid(self) -> str:
        """Frame of Reference UID of the T1-post series."""
        return str(self.t1_post[0].FrameOfReferenceUID)

    @property
    def series_instance_uid(self) -> str:
        """Series Instance UID of the T1-post series."""
        return str(self.t1_post[0].SeriesInstanceUID)


def plane_images(sources: EncodingSources, grid: Grid) -> list[Dataset]:
    """Return one classic image header a slice, in k order, with the geometry as the source states it.

    Of an Enhanced source every plane has the UID ``plane_uid(k)``; references to it are replaced once
    the object is built.
    """
    by_uid = {str(dataset.SOPInstanceUID): dataset for dataset in sources.t1_post}
    first = sources.t1_post[0]
    places = [_places(by_uid, reference) for reference in sources.slices]
    # Every plane takes the first one's orientation: scanners let its last digit vary between slices.
    orientation = _required(places[0], "ImageOrientationPatient")
    slice_distance_mm = format_number_as_ds(grid.spacing_kji_mm[0])
    images = []
    for k, reference in enumerate(sources.slices):
        image = _blank_image(first)
        image.SOPInstanceUID = reference.sop_instance_uid if reference.frame_number is None else plane_uid(k)
        image.SOPClassUID = MR_IMAGE_STORAGE
        image.ImageOrientationPatient = orientation
        image.ImagePositionPatient = _required(places[k], "ImagePositionPatient")
        image.PixelSpacing = _required(places[0], "PixelSpacing")
        image.SliceThickness = _found(places[k], "SliceThickness") or slice_distance_mm
        image.SpacingBetweenSlices = slice_distance_mm
        images.append(image)
    return images


def plane_uid(k: int) -> str:
    """Return the stand-in UID of plane k of an Enhanced instance; it never leaves the process."""
    return f"2.25.{k + 1}"


def instance_references(datasets: Sequence[Dataset]) -> list[Dataset]:
    """Return the headers a report needs of what it refers to: the first in full, of the others the UIDs."""
    references: list[Dataset] = []
    for dataset in datasets:
        reference = Dataset() if references else _blank_image(dataset)
        for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
            setattr(reference, keyword, dataset[keyword].value)
        references.append(reference)
    return references


def first_plane(datasets: Sequence[Dataset]) -> list[Dataset]:
    """Return the places that hold the attributes of the first plane: instance, then functional groups."""
    return [datasets[0], *frame_groups(datasets[0], 0)]


def _blank_image(dataset: Dataset) -> Dataset:
    """Return the mandatory series-level attributes; identity is applied to the finished object."""
    image = Dataset()
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber"):
        setattr(image, keyword, "")
    for keyword in ("StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName"):
        setattr(image, keyword, "")
    image.Modality = "MR"
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "Rows", "Columns"):
        setattr(image, keyword, dataset[keyword].value)
    # A T1 without a frame of reference takes part all the same; T1-post always has one.
    for keyword in ("FrameOfReferenceUID", "PositionReferenceIndicator", *LOSSY_COMPRESSION_KEYWORDS):
        if dataset.get(keyword) not in (None, ""):
            setattr(image, keyword, dataset[keyword].value)
    return image


def _places(by_uid: dict[str, Dataset], reference: SliceReference) -> list[Dataset]:
    dataset = by_uid.get(reference.sop_instance_uid)
    if dataset is None:
        raise Defect(
            f"slice refers to instance {reference.sop_instance_uid}, not one of {len(by_uid)} sources"
        )
    frame = 0 if reference.frame_number is None else reference.frame_number - 1
    return [*frame_groups(dataset, frame), dataset]


def _found(places: list[Dataset], keyword: str) -> Any:
    return next((v for place in places if (v := place.get(keyword)) not in (None, "")), None)


def _required(places: list[Dataset], keyword: str) -> Any:
    value = _found(places, keyword)
    if value is None:
        raise Defect(f"source instance {places[-1].get('SOPInstanceUID')} has no {keyword}")
    return value
