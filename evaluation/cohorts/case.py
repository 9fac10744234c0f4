"""Case and Cohort: studies with a known answer, made one at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

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
    lesion_volumes_mm3
        Number of each reference lesion -> true volume of its enhancing part, whatever of it the reference
        shows; None where voxels are all there is.
    lesions_outside
        Lesions of the head that lie outside T1-post; they are not in the reference.
    """

    name: str
    anatomy: str
    t1_post: Volume
    t1: Volume | None
    reference_kji: NDArray[np.uint16]
    structures_kji: NDArray[np.uint8] | None = None
    lesion_volumes_mm3: Mapping[int, float] | None = None
    lesions_outside: int = 0

    def __post_init__(self) -> None:
        self._check_shapes()
        self._check_numbers()

    def _check_shapes(self) -> None:
        expected = self.t1_post.grid.shape_kji
        for name in ("reference_kji", "structures_kji"):
            array = getattr(self, name)
            if array is not None and array.shape != expected:
                raise InvalidInput(f"{name} of case {self.name} has shape {array.shape}, expected {expected}")

    def _check_numbers(self) -> None:
        missing = np.flatnonzero(np.bincount(self.reference_kji.ravel())[1:] == 0) + 1
        if missing.size:
            raise InvalidInput(
                f"the reference of case {self.name} has no lesion {missing.tolist()}, "
                "expected numbers without gaps"
            )
        numbers = list(range(1, int(self.reference_kji.max(initial=0)) + 1))
        if self.lesion_volumes_mm3 is not None and sorted(self.lesion_volumes_mm3) != numbers:
            raise InvalidInput(
                f"case {self.name} has volumes of lesions {sorted(self.lesion_volumes_mm3)}, "
                f"expected {numbers} as in its reference"
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
    case_digests
        Name of a case -> hexadecimal digest of everything that case alone follows from; none where that is
        the cohort's digest and the case's name.
    """

    name: str
    digest: str
    case_names: tuple[str, ...]
    make: Callable[[str], Case]
    origin: Origin = "synthetic"
    groups: tuple[CaseGroup, ...] = ()
    case_digests: Mapping[str, str] = field(default_factory=dict)

    def case_digest(self, case_name: str) -> str:
        """Return what identifies a case without making it: what was inferred of it is kept under this."""
        if case_name in self.case_digests:
            return self.case_digests[case_name]
        return hashlib.sha256(f"{self.digest}/{case_name}".encode()).hexdigest()


def label_lesions(
    mask_kji: NDArray[np.bool_], core_kji: NDArray[np.bool_] | None = None
) -> NDArray[np.uint16]:
    """Return the numbered lesions of a mask: its 26-connected components, the paper's definition.

    Parameters
    ----------
    mask_kji
        What enhances.
    core_kji
        What lies inside and does not: pieces of a rim that it joins are one lesion. It gets no number.

    Raises
    ------
    InvalidInput
        There are more than a label map can number.
    """
    whole_kji = mask_kji if core_kji is None else mask_kji | core_kji
    joined, _ = ndimage.label(whole_kji, structure=CONNECTIVITY_26, output=np.int32)
    labels = close_gaps(np.where(mask_kji, joined, 0))
    count = int(labels.max(initial=0))
    if count > MOST_LESIONS:
        raise InvalidInput(f"the reference mask has {count} components, expected at most {MOST_LESIONS}")
    return labels.astype(np.uint16)


def close_gaps(labels_kji: NDArray[np.integer]) -> NDArray[np.int32]:
    """Return labels numbered from 1 on without gaps, in the same order; 0 stays."""
    is_used = np.bincount(labels_kji.ravel(), minlength=1) > 0
    is_used[0] = False
    numbers = np.where(is_used, np.cumsum(is_used), 0).astype(np.int32)
    return np.asarray(numbers[labels_kji])
