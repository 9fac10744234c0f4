"""A folder of real studies -> Cohort: one study a sub-folder, NIfTI, BraTS-METS or DICOM with a SEG."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

from core.errors import InvalidInput, UnsuitableStudy
from core.study_store import sha256_of_file
from evaluation.cohorts.case import Case, Cohort
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
    digests = {name: _digest_study(path, options) for name, path in folders.items()}
    return Cohort(
        name=folder.resolve().name,
        digest=hashlib.sha256(json.dumps(digests).encode()).hexdigest(),
        case_names=tuple(folders),
        make=partial(_make_case, folders, options, choose),
        origin="patients",
        case_digests=digests,
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
        study = read_nifti_study(folder, options)
    else:
        study = read_dicom_study(folder, options, choose)
    return replace(study, patient=options.patients.get(study.name, study.patient))


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
        reference_kji=study.reference_kji,
    )


def _check_names(options: ImportOptions, folders: dict[str, Path], folder: Path) -> None:
    for option, names in (("without_lesions", options.without_lesions), ("patients", options.patients)):
        unknown = sorted(set(names) - set(folders))
        if unknown:
            raise InvalidInput(f"{folder / OPTIONS_NAME}: {option} names {unknown}, expected studies here")


def _digest_study(folder: Path, options: ImportOptions) -> str:
    """Cover the content of the study's files and what the options say about it.

    The reference counts as the scans do, since it is kept with what was inferred: a corrected one is another
    case, and the only one that is run again.
    """
    digest = hashlib.sha256(json.dumps([folder.name, options.about(folder.name)], sort_keys=True).encode())
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(folder).as_posix()}\0{sha256_of_file(path)}\n".encode())
    return digest.hexdigest()
