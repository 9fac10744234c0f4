"""Case and Cohort: studies with a known answer, made one at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.errors import InvalidInput
from evaluation.figures.results import Origin
from worker.lesions import CONNECTIVITY_26
from worker.volumes import Volume

MOST_LESIONS = int(np.iinfo(np.uint16).max)
"""Reference lesions a label map can number."""


@dataclass(frozen=True, eq=False)
class Case:
    """One study and what is in it.

    Parameters
    ----------
    name
        Unique in its cohort; safe as a file name.
    anatomy
        Whose head it is: the unit of every bootstrap, since scans of one head are alike.
    t1_post, t1
        As the service would load them; ``t1`` is None without one.
    reference_kji
        On the T1-post grid: 0, or the number of the reference lesion (``label_lesions``).
    structures_kji
        On the T1-post grid: what else takes up contrast (``phantom.synthesis.anatomy.structures.Enhancing``);
        None where nobody knows.
    """

    name: str
    anatomy: str
    t1_post: Volume
    t1: Volume | None
    reference_kji: NDArray[np.uint16]
    structures_kji: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        expected = self.t1_post.grid.shape_kji
        for name in ("reference_kji", "structures_kji"):
            array = getattr(self, name)
            if array is not None and array.shape != expected:
                raise InvalidInput(f"{name} of case {self.name} has shape {array.shape}, expected {expected}")
        missing = np.flatnonzero(np.bincount(self.reference_kji.ravel())[1:] == 0) + 1
        if missing.size:
            raise InvalidInput(
                f"the reference of case {self.name} has no lesion {missing.tolist()}, "
                "expected numbers without gaps"
            )


@dataclass(frozen=True, slots=True)
class CaseGroup:
    """Cases of one kind, summarised on their own."""

    name: str
    case_names: tuple[str, ...]


@dataclass(frozen=True)
class Cohort:
    """Studies that are measured together and made only when they are needed.

    Parameters
    ----------
    name
        For people.
    digest
        Hexadecimal; covers everything the cases' voxels follow from.
    case_names
        In the order in which they are run.
    make
        Case name -> case; the same name gives the same case.
    origin
        Synthetic studies, or patients'.
    groups
        Kinds of cases, each case in one of them; none where all are alike.
    """

    name: str
    digest: str
    case_names: tuple[str, ...]
    make: Callable[[str], Case]
    origin: Origin = "synthetic"
    groups: tuple[CaseGroup, ...] = ()

    def case_digest(self, case_name: str) -> str:
        """Return what identifies a case without making it."""
        return hashlib.sha256(f"{self.digest}/{case_name}".encode()).hexdigest()


def label_lesions(mask_kji: NDArray[np.bool_]) -> NDArray[np.uint16]:
    """Return the numbered lesions of a mask: its 26-connected components, the paper's definition.

    Raises
    ------
    InvalidInput
        There are more than a label map can number.
    """
    labels, count = ndimage.label(mask_kji, structure=CONNECTIVITY_26, output=np.int32)
    if count > MOST_LESIONS:
        raise InvalidInput(f"the reference mask has {count} components, expected at most {MOST_LESIONS}")
    return np.asarray(labels, dtype=np.uint16)
