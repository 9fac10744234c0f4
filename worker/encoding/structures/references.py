"""What a structure set says it was drawn on: frame of reference, study, series and every image."""

from __future__ import annotations

from pydicom import Dataset

from worker.encoding.sources import EncodingSources
from worker.volumes import SliceReference

DETACHED_STUDY_MANAGEMENT = "1.2.840.10008.3.1.2.3.1"
"""Retired, and still what PS3.3 C.8.8.5.4 and planning systems expect as the class of a study."""


def image_reference(reference: SliceReference) -> Dataset:
    """Return the item that points to the image of a slice, and to its frame of an Enhanced instance."""
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    if reference.frame_number is not None:
        item.ReferencedFrameNumber = reference.frame_number
    return item


def referenced_frame_of_reference(sources: EncodingSources) -> Dataset:
    """Return the item of the Referenced Frame of Reference Sequence: the T1-post series, all its slices."""
    series = Dataset()
    series.SeriesInstanceUID = sources.series_instance_uid
    series.ContourImageSequence = [image_reference(reference) for reference in sources.slices]
    study = Dataset()
    study.ReferencedSOPClassUID = DETACHED_STUDY_MANAGEMENT
    study.ReferencedSOPInstanceUID = str(sources.t1_post[0].StudyInstanceUID)
    study.RTReferencedSeriesSequence = [series]
    item = Dataset()
    item.FrameOfReferenceUID = sources.frame_of_reference_uid
    item.RTReferencedStudySequence = [study]
    return item
