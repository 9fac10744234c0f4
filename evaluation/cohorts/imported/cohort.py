"""A folder of real studies -> Cohort: one study a sub-folder, NIfTI, BraTS-METS or DICOM with a SEG."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

from core.errors import InvalidInput, UnsuitableStudy
from core.study_store import sha256_of_file
from evaluation.cohorts.case import Case, Cohort, label_lesions
from evaluation.cohorts.imported.dicom_studies import ChooseSeries, read_dicom_study
from evaluation.cohorts.imported.nifti_studies import is_nifti_study, read_nifti_study
from evaluation.cohorts.imported.study import OPTIONS_NAME, ImportedStudy, ImportOptions, read_options
from evaluation.figures.results import SkippedStudy

INVALID_INPUT = "invalid_input"
"""Reason of a study whose files cannot be used; the others are ``UnsuitableReason``."""


def open_imported(folder: Path, choose: ChooseSeries) -> Cohort:
    """Find the studies of a folder; each is read only when it is asked for.

    A study that cannot be read raises when its case is made, so that the others are measured all the same.

    Parameters
    ----------
    folder
        One study a sub-folder, and perhaps ``cohort.toml`` beside them (``ImportOptions``).
    choose
        Chooses the series of a DICOM study.

    Raises
    ------
    InvalidInput
        The folder has no sub-folder, or options that cannot be used.
    """
    options = read_options(folder)
    folders = {path.name: path for path in study_folders(folder)}
    _check_names(options, folders, folder)
    return Cohort(
        name=folder.resolve().name,
        digest=_digest(folder, list(folders.values())),
        case_names=tuple(folders),
        make=partial(_make_case, folders, options, choose),
        origin="patients",
    )


def read_study(folder: Path, options: ImportOptions, choose: ChooseSeries) -> ImportedStudy:
    """Read one study in whichever form it is.

    Raises
    ------
    InvalidInput
        What is wrong in which file, and what was expected.
    UnsuitableStudy
        The service would turn the study down.
    """
    if is_nifti_study(folder):
        return read_nifti_study(folder, options)
    return read_dicom_study(folder, options, choose)


def skipped(case_name: str, error: InvalidInput | UnsuitableStudy) -> SkippedStudy:
    """Put down a study that could not be read, for the report's list."""
    reason = error.reason.value if isinstance(error, UnsuitableStudy) else INVALID_INPUT
    return SkippedStudy(case_name, reason, str(error))


def study_folders(folder: Path) -> list[Path]:
    """Return the folders of the studies by name; hidden ones are none.

    Raises
    ------
    InvalidInput
        There is no folder, or nothing in it.
    """
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is not a folder, expected one with a sub-folder for each study")
    found = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not found:
        raise InvalidInput(f"{folder} has no sub-folder, expected one for each study")
    return found


def _make_case(
    folders: dict[str, Path], options: ImportOptions, choose: ChooseSeries, case_name: str
) -> Case:
    study = read_study(folders[case_name], options, choose)
    return Case(
        name=study.name,
        anatomy=study.patient,
        t1_post=study.t1_post,
        t1=study.t1,
        reference_kji=label_lesions(study.reference_kji),
    )


def _check_names(options: ImportOptions, folders: dict[str, Path], folder: Path) -> None:
    unknown = sorted(set(options.without_lesions) - set(folders))
    if unknown:
        raise InvalidInput(f"{folder / OPTIONS_NAME}: without_lesions names {unknown}, expected studies here")


def _digest(folder: Path, folders: list[Path]) -> str:
    """Cover the content of every file: another mask is another cohort."""
    files = [path for study in folders for path in sorted(study.rglob("*")) if path.is_file()]
    options = folder / OPTIONS_NAME
    digest = hashlib.sha256()
    for path in [options, *files] if options.exists() else files:
        digest.update(f"{path.relative_to(folder).as_posix()}\0{sha256_of_file(path)}\n".encode())
    return digest.hexdigest()
