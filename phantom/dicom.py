"""Phantom studies as DICOM files, and their truth beside them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from core.study import SeriesRole
from core.uids import derive_uid
from phantom.classic_mr import classic_datasets
from phantom.enhanced_mr import enhanced_dataset
from phantom.mr_headers import SeriesHeader
from phantom.study import PhantomSpec, PhantomStudy, Scan

TRUTH_FILE_NAME = "truth.json"

_DESCRIPTIONS = {SeriesRole.T1: "T1 3D", SeriesRole.T1_POST: "T1 3D POST"}
_PLANES = {"axial": "AX", "sagittal": "SAG", "coronal": "COR"}
_SERIES_NUMBERS = {SeriesRole.T1: 2, SeriesRole.T1_POST: 5}
_TIMES = {SeriesRole.T1: "101500", SeriesRole.T1_POST: "103000"}


@dataclass(frozen=True, slots=True)
class PhantomIdentity:
    """Who the phantom is in DICOM.

    Parameters
    ----------
    patient_name, patient_id
        As in the header.
    key
        Every UID of the study is derived from it: the same key, the same UIDs.
    study_date
        YYYYMMDD; a phantom has no clock.
    """

    patient_name: str
    patient_id: str
    key: str
    study_date: str = "20260105"

    @classmethod
    def of(cls, spec: PhantomSpec, anatomy: str = "mni152") -> PhantomIdentity:
        """Name a phantom after its seed; its UIDs follow the whole specification and the anatomy."""
        return cls(f"PHANTOM^SEED{spec.seed}", f"PHANTOM-{spec.seed:04d}", f"{anatomy} {spec!r}")

    def uid(self, *kind: str) -> str:
        """Return the UID of one of the study's objects."""
        return derive_uid("phantom", self.key, *kind)


def write_study(
    study: PhantomStudy,
    folder: Path,
    *,
    identity: PhantomIdentity | None = None,
    enhanced: bool = False,
) -> list[Path]:
    """Write a study's series as MR Image Storage, or as one Enhanced MR Image a series.

    Parameters
    ----------
    study
        What to write.
    folder
        Made if missing; gets a folder for each series.
    identity
        Named after the seed by default.
    enhanced
        One multi-frame instance a series.

    Returns
    -------
    list of Path
        The files, explicit little endian: T1 first, slices in the order of the grid.
    """
    who = PhantomIdentity.of(study.spec) if identity is None else identity
    paths: list[Path] = []
    for role, scan in ((SeriesRole.T1, study.t1), (SeriesRole.T1_POST, study.t1_post)):
        if scan is not None:
            header = _series_header(study, role, who)
            paths += _write_series(scan, header, folder / role.value, enhanced=enhanced)
    return paths


def write_truth(study: PhantomStudy, folder: Path) -> Path:
    """Write lesions and transform as ``truth.json``, beside the series' folders and not among them.

    The label map is not in it: it follows from the specification.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / TRUTH_FILE_NAME
    grid = study.t1_post.grid
    truth = {
        "specification": asdict(study.spec),
        "frame": "LPS mm, T1-post",
        "t1_to_t1_post_lps": study.truth.t1_to_t1_post_lps.tolist(),
        "t1_post_shape_kji": list(grid.shape_kji),
        "t1_post_affine_kji_to_lps_mm": grid.affine_kji_to_lps_mm.tolist(),
        "lesions": [asdict(lesion) for lesion in study.truth.lesions],
    }
    path.write_text(json.dumps(truth, indent=2) + "\n", encoding="utf-8")
    return path


def _series_header(study: PhantomStudy, role: SeriesRole, identity: PhantomIdentity) -> SeriesHeader:
    plane = _PLANES[str(study.spec.orientation)]
    return SeriesHeader(
        patient_name=identity.patient_name,
        patient_id=identity.patient_id,
        study_date=identity.study_date,
        study_instance_uid=identity.uid("study"),
        series_instance_uid=identity.uid(role.value),
        frame_of_reference_uid=identity.uid("frame of reference"),
        instance_uid_of=lambda number: identity.uid(role.value, str(number)),
        concept_uid_of=lambda kind: identity.uid(role.value, kind),
        series_number=_SERIES_NUMBERS[role],
        series_description=f"{plane} {_DESCRIPTIONS[role]}",
        acquisition_time=_TIMES[role],
        has_contrast=role is SeriesRole.T1_POST,
    )


def _write_series(scan: Scan, header: SeriesHeader, folder: Path, *, enhanced: bool) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    stored = np.clip(np.rint(scan.voxels_kji), 0, np.iinfo(np.uint16).max).astype("<u2")
    datasets = [enhanced_dataset(stored, scan.grid, header)] if enhanced else None
    paths = []
    for number, dataset in enumerate(datasets or classic_datasets(stored, scan.grid, header), start=1):
        path = folder / f"{number:04d}.dcm"
        _write(dataset, path)
        paths.append(path)
    return paths


def _write(dataset: Dataset, path: Path) -> None:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(path, enforce_file_format=True)
