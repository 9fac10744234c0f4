"""RGB pages -> Multi-frame True Color Secondary Capture (PS3.3 A.8.5), a frame a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.tag import Tag

from core.provenance import MANUFACTURER, MODEL_NAME, Provenance
from core.results import SOP_CLASSES, ResultKind
from worker.encoding.provenance import device_serial_number, series_description, software_versions

PAGE_NUMBER_VECTOR = Tag("PageNumberVector")


@dataclass(frozen=True, slots=True)
class CaptureSeries:
    """The series of a capture.

    Parameters
    ----------
    kind
        What its UIDs are derived from, with the provenance.
    number
        Series Number.
    title
        Head of the Series Description.
    """

    kind: ResultKind
    number: int
    title: str


def document_attributes(series: CaptureSeries, provenance: Provenance) -> Dataset:
    """Return what captures and encapsulated documents have in common, not yet stamped."""
    dataset = Dataset()
    dataset.SOPClassUID = SOP_CLASSES[series.kind]
    dataset.SOPInstanceUID = provenance.uid(series.kind.value, "instance")
    dataset.StudyInstanceUID = provenance.study_instance_uid
    dataset.SeriesInstanceUID = provenance.uid(series.kind.value, "series")
    dataset.SeriesNumber = series.number
    dataset.SeriesDescription = series_description(series.title, provenance)
    dataset.InstanceNumber = 1
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = MODEL_NAME
    dataset.SoftwareVersions = list(software_versions(provenance))
    dataset.DeviceSerialNumber = device_serial_number(provenance)
    dataset.ConversionType = "WSD"
    dataset.BurnedInAnnotation = "NO"  # measures and pictures of slices; nobody's name or number
    return dataset


def build_capture(
    pages: Sequence[NDArray[np.uint8]], series: CaptureSeries, provenance: Provenance, derivation: str
) -> Dataset:
    """Return a capture, not yet stamped.

    Parameters
    ----------
    pages
        RGB, all of shape (rows, columns, 3).
    derivation
        How the pages were made.
    """
    dataset = document_attributes(series, provenance)
    dataset.Modality = "OT"
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.PatientOrientation = None  # type 2C: a page has none
    dataset.DerivationDescription = derivation
    dataset.LossyImageCompression = "00"
    _put_pixels(dataset, np.stack(pages))
    return dataset


def _put_pixels(dataset: Dataset, frames: NDArray[np.uint8]) -> None:
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = frames.shape[:3]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    if len(frames) > 1:  # type 1C, PS3.3 C.8.6.3 and C.8.6.4
        dataset.FrameIncrementPointer = PAGE_NUMBER_VECTOR
        dataset.PageNumberVector = [str(n) for n in range(1, len(frames) + 1)]
    content = frames.tobytes()
    dataset.PixelData = content + b"\0" * (len(content) % 2)
