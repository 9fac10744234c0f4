"""What every segmentation of ours needs beyond its library: fixed UIDs, segments and sources by frame."""

from __future__ import annotations

from highdicom.seg import Segmentation
from pydicom import Dataset

from worker.encoding.sources import plane_uid
from worker.volumes import SliceReference


def name_dimensions(segmentation: Segmentation, uid: str) -> None:
    """Replace the random UID of the dimension organization."""
    for item in (*segmentation.DimensionOrganizationSequence, *segmentation.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid


def name_segment_in_every_frame(segmentation: Segmentation) -> None:
    """Move the identification of an only segment from the shared groups: viewers read it frame by frame."""
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    if "SegmentIdentificationSequence" not in shared:
        return
    for group in segmentation.PerFrameFunctionalGroupsSequence:
        group.SegmentIdentificationSequence = shared.SegmentIdentificationSequence
    del shared.SegmentIdentificationSequence


def refer_to_frames(segmentation: Segmentation, slices: tuple[SliceReference, ...]) -> None:
    """Turn references to stand-in planes into references to frames of the Enhanced instance."""
    frames = {plane_uid(k): reference for k, reference in enumerate(slices) if reference.frame_number}
    if not frames:
        return
    for image in _derivation_images(segmentation):
        reference = frames[image.ReferencedSOPInstanceUID]
        _point_to(image, reference)
        image.ReferencedFrameNumber = reference.frame_number
    for series in segmentation.ReferencedSeriesSequence:
        series.ReferencedInstanceSequence = _instances(slices)
    segmentation.SourceImageSequence = _instances(slices)


def _derivation_images(segmentation: Segmentation) -> list[Dataset]:
    """Return every source image item once: frames of one plane share theirs."""
    groups = segmentation.PerFrameFunctionalGroupsSequence
    images = [group.DerivationImageSequence[0].SourceImageSequence[0] for group in groups]
    return list({id(image): image for image in images}.values())


def _point_to(item: Dataset, reference: SliceReference) -> None:
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid


def _instances(slices: tuple[SliceReference, ...]) -> list[Dataset]:
    """Return one reference an instance, in the order of the slices."""
    items = []
    for reference in {s.sop_instance_uid: s for s in slices}.values():
        item = Dataset()
        _point_to(item, reference)
        items.append(item)
    return items
