"""Folders of DICOM files as people have them: any depth, any names, other files among them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from core.errors import InvalidInput
from core.headers import group_into_studies, read_instance_header
from core.study import InstanceHeader, Study
from core.study_store import sha256_of_file

NAMES_SHOWN = 3
"""How many file names an error message lists."""


@dataclass(frozen=True)
class StudyFolder:
    """The one study of a folder, and where its instances lie."""

    study: Study
    paths: dict[str, Path]
    """SOP Instance UID -> file."""


def read_study_folder(folder: Path) -> StudyFolder:
    """Read the headers of a folder that holds one study.

    Raises
    ------
    InvalidInput
        The folder is missing or empty, holds no DICOM file, a damaged one, or several studies.
    """
    headers = _one_file_an_instance(read_headers(folder))
    studies = group_into_studies(headers.values())
    if len(studies) > 1:
        uids = ", ".join(study.study_instance_uid for study in studies[:NAMES_SHOWN])
        raise InvalidInput(f"{folder} holds {len(studies)} studies ({uids}), expected one")
    return StudyFolder(studies[0], {header.sop_instance_uid: path for path, header in headers.items()})


def _one_file_an_instance(found: Iterable[tuple[Path, InstanceHeader]]) -> dict[Path, InstanceHeader]:
    """Drop copies: a folder exported twice holds every instance twice."""
    paths: dict[str, Path] = {}
    headers: dict[Path, InstanceHeader] = {}
    for path, header in found:
        first = paths.setdefault(header.sop_instance_uid, path)
        if first is path:
            headers[path] = header
        elif sha256_of_file(first) != sha256_of_file(path):
            raise InvalidInput(
                f"{first} and {path} have the same SOP Instance UID {header.sop_instance_uid} "
                "but other content; expected every instance once"
            )
    return headers


def read_headers(folder: Path) -> Iterator[tuple[Path, InstanceHeader]]:
    """Yield each DICOM file below a folder with its header; see ``read_study_folder`` for errors."""
    files = files_below(folder)
    other: list[Path] = []
    found = False
    for path in files:
        dataset = _read(path)
        if dataset is None:
            other.append(path)
        elif "DirectoryRecordSequence" not in dataset:
            found = True
            yield path, _named(path, read_instance_header(dataset))
    if not found:
        raise InvalidInput(
            f"{folder} holds {len(files)} files ({_names(other)}) and none of them is a DICOM instance; "
            "expected the MR images of one study (DICOM Part 10 files)"
        )


def files_below(folder: Path) -> list[Path]:
    """Return the files below a folder, sorted; raise InvalidInput when there is none."""
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is not a folder; expected one that holds DICOM files")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise InvalidInput(f"{folder} is empty; expected the DICOM files of one study")
    return files


def _read(path: Path) -> Dataset | None:
    """Return a header, or None for a file that is not DICOM at all."""
    try:
        return dcmread(path, stop_before_pixels=True)
    except InvalidDicomError:
        return None
    except Exception as error:
        raise InvalidInput(f"{path} begins like a DICOM file but cannot be read: {error}") from error


def _named(path: Path, header: InstanceHeader) -> InstanceHeader:
    """Return the header of an instance that says what it belongs to; a header that was cut off does not."""
    uids = (header.study_instance_uid, header.series_instance_uid, header.sop_instance_uid)
    if not all(uids):
        raise InvalidInput(
            f"{path} names no study, series or instance: it is cut off or no image; "
            "expected a whole DICOM instance"
        )
    return header


def _names(paths: Iterable[Path]) -> str:
    names = [path.name for path in paths]
    return ", ".join(names[:NAMES_SHOWN]) + (", ..." if len(names) > NAMES_SHOWN else "")
