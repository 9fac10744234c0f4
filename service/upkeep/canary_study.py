"""The canary's study: images that lie ready, what is to be found in them, and a fresh copy to send."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from core.errors import InvalidInput
from core.uids import derive_uid
from service.delivery.canaries import CANARY_ISSUER, CANARY_PATIENT_ID
from service.delivery.results import ResultObject

IMAGES, ANSWER = "study", "truth.json"
"""In the folder that ``metserve canary`` makes."""

TOKEN_CHARACTERS = 32
"""Of a token's; with the prefix they fit PatientID (LO, 64 characters)."""


@dataclass(frozen=True, slots=True)
class KnownLesion:
    """A lesion that was put into the images.

    Parameters
    ----------
    centroid_lps_mm
        In the frame of T1-post.
    """

    number: int
    centroid_lps_mm: tuple[float, float, float]
    volume_mm3: float
    equivalent_diameter_mm: float


@dataclass(frozen=True, slots=True)
class CanaryStudy:
    """Images and the lesions in them."""

    images: tuple[Path, ...]
    lesions: tuple[KnownLesion, ...]


_LESIONS = TypeAdapter(tuple[KnownLesion, ...])


def load_canary(folder: Path) -> CanaryStudy:
    """Read where the images are, and the answer.

    Raises
    ------
    InvalidInput
        The folder is not what ``metserve canary`` makes.
    """
    images = tuple(sorted((folder / IMAGES).rglob("*.dcm")))
    if not images:
        raise InvalidInput(
            f"{folder / IMAGES} holds no images; expected a folder that `metserve canary` made"
        )
    try:
        content = json.loads((folder / ANSWER).read_text(encoding="utf-8"))
        lesions = _LESIONS.validate_python(content["lesions"])
    except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
        raise InvalidInput(
            f"{folder / ANSWER} cannot be used ({type(error).__name__}); "
            "expected the answer that `metserve canary` wrote"
        ) from error
    return CanaryStudy(images, lesions)


def write_copy(study: CanaryStudy, folder: Path, token: str) -> list[ResultObject]:
    """Write the images anew as a study, and a patient, that nobody has seen.

    Parameters
    ----------
    token
        Random; every UID and the PatientID follow from it.

    Raises
    ------
    InvalidInput
        An image cannot be read.
    """
    return [_copy(path, folder / f"{number:04d}.dcm", token) for number, path in enumerate(study.images)]


def _copy(source: Path, target: Path, token: str) -> ResultObject:
    try:
        dataset = dcmread(source)
    except (OSError, InvalidDicomError) as error:
        raise InvalidInput(f"{source} of the canary cannot be read ({type(error).__name__})") from error
    _rename(dataset, token)
    dataset.save_as(target)
    return ResultObject("image", target, str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), sha256="")


def _rename(dataset: Dataset, token: str) -> None:
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        if keyword in dataset:
            setattr(dataset, keyword, derive_uid("canary", token, str(dataset[keyword].value)))
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.PatientName = "Canary^Metserve"
    dataset.PatientID = CANARY_PATIENT_ID + token[:TOKEN_CHARACTERS]
    dataset.IssuerOfPatientID = CANARY_ISSUER
