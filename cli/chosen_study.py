"""A folder of DICOM -> the series the service would analyse, and the segmentations beside them."""

from __future__ import annotations

from pathlib import Path

from cli.analyze import read_images
from cli.folders import StudyFolder, read_study_folder
from core.errors import UnsuitableStudy
from evaluation.cohorts.imported.dicom_studies import SEGMENTATION_STORAGES, DicomStudy
from service.selection.assembly import Refusal, select_series


def choose_dicom_study(folder: Path) -> DicomStudy:
    """Read a study's folder and choose its series as for an analysis; a ``ChooseSeries``.

    Raises
    ------
    InvalidInput
        The folder does not hold one readable study.
    UnsuitableStudy
        It has no series that could be T1-post.
    """
    found = read_study_folder(folder)
    choice = select_series(found.study)
    if isinstance(choice, Refusal):
        raise UnsuitableStudy(choice.reason, choice.message)
    return DicomStudy(read_images(found, choice), _segmentations(found))


def _segmentations(found: StudyFolder) -> tuple[Path, ...]:
    return tuple(
        found.paths[header.sop_instance_uid]
        for series in found.study.series
        for header in series.instances
        if header.sop_class_uid in SEGMENTATION_STORAGES
    )
