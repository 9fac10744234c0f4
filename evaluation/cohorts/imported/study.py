"""ImportedStudy and ImportOptions: what a reader of real studies returns and is told."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import InvalidInput
from worker.volumes import Volume

OPTIONS_NAME = "cohort.toml"
"""Beside the studies; may be missing."""


class ImportOptions(BaseModel):
    """What the files of a cohort do not say; read from ``cohort.toml``, all optional.

    Parameters
    ----------
    skull_stripped
        Voxels outside the brain are 0 in T1-post: the brain is what is not 0.
    registered
        T1 lies on T1-post already: it is not registered again.
    enhancing_label
        Label of the enhancing tumour in a ``-seg`` file; None for BraTS-METS since 2023.
    segments
        Labels of the segments of a DICOM SEG that are metastases; empty for those that say so themselves.
    without_lesions
        Names of studies that have no metastasis and therefore no reference file.
    patients
        Name of a study -> what to call its patient, where several studies are one patient's: they are drawn
        together by the bootstrap, and must not be on both sides of training and test.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    skull_stripped: bool = False
    registered: bool = False
    enhancing_label: int | None = Field(default=None, ge=1)
    segments: tuple[str, ...] = ()
    without_lesions: tuple[str, ...] = ()
    patients: dict[str, str] = {}

    def about(self, study: str) -> dict[str, object]:
        """Return all that these options say about one study; the others' names change nothing for it."""
        common = self.model_dump(mode="json", exclude={"without_lesions", "patients"})
        has_no_lesion = study in self.without_lesions
        return {**common, "has_no_lesion": has_no_lesion, "patient": self.patients.get(study)}


@dataclass(frozen=True, eq=False)
class ImportedStudy:
    """A real study and its reference, in memory.

    Parameters
    ----------
    name
        Of the study's folder.
    patient
        Studies of one patient share it: they are drawn together by the bootstrap.
    t1_post, t1
        As the worker loads them; ``t1`` is None where the study has none.
    reference_kji
        uint16, shape of T1-post: the number of the metastasis whose enhancing part it is, 0 elsewhere.
    """

    name: str
    patient: str
    t1_post: Volume
    t1: Volume | None
    reference_kji: NDArray[np.uint16]


def read_options(folder: Path) -> ImportOptions:
    """Read the options of a folder of studies; without a file, all are at their defaults.

    Raises
    ------
    InvalidInput
        The file is not TOML, or holds a key or value this version does not know.
    """
    path = folder / OPTIONS_NAME
    if not path.exists():
        return ImportOptions()
    try:
        return ImportOptions.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError) as error:
        expected = ", ".join(ImportOptions.model_fields)
        raise InvalidInput(f"{path} cannot be used: {error}; expected only the keys {expected}") from error
