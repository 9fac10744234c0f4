"""The pool of prepared studies: what is in it, and where in each study patches may lie.

Beside a study may lie what ``training.mine`` found, ``mined.json``: {"centres_ras": [[r, a, s], ...],
"missed": [number, ...]}, false positives and missed lesions of earlier networks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.errors import InvalidInput
from training.prepared import MINED_FILE, STUDY_FILE, PreparedStudy, read_description
from training.settings import InputKind, MemberSpec

MINED_LIMIT = 64
"""False positives taken from one study: a listing goes into every checkpoint."""

CENTRES_PER_STRUCTURE = 400
BRAIN_CENTRES = 2000
"""Remembered of every study: enough not to repeat, little enough to remember a thousand studies."""

REMEMBERED_STUDIES = 4096

Centres = NDArray[np.int16]
"""(n, 3) indices along R, A, S."""


@dataclass(frozen=True, slots=True)
class ListedStudy:
    """A study a batch may draw from: a member's draws depend on nothing else in the pool.

    Parameters
    ----------
    name
        Of its folder.
    mined_ras, missed
        False positives, and the numbers of missed lesions, known when the pool was looked at.
    is_imported
        It is a patient's.
    """

    name: str
    mined_ras: tuple[tuple[int, int, int], ...] = ()
    missed: tuple[int, ...] = ()
    is_imported: bool = False


Listing = tuple[ListedStudy, ...]


@dataclass(frozen=True, eq=False)
class StudyIndex:
    """Where the patches of one study may lie.

    Parameters
    ----------
    shape
        Of its volumes.
    volumes_mm3, centres_ras
        Of its lesions.
    conspicuity
        Of its lesions, by the member's input.
    starts_ras, stops_ras
        Corners of the boxes around the lesions, (n, 3).
    numbers
        Of the lesions in the labels.
    structures_ras
        By structure: some of its voxels inside the mask.
    brain_ras
        Some voxels inside the mask.
    """

    shape: tuple[int, int, int]
    numbers: NDArray[np.int64]
    volumes_mm3: NDArray[np.float64]
    conspicuity: Mapping[InputKind, NDArray[np.float64]]
    centres_ras: Centres
    starts_ras: Centres
    stops_ras: Centres
    structures_ras: tuple[Centres, ...]
    brain_ras: Centres

    def sees(self, member: MemberSpec, least_conspicuity: float) -> NDArray[np.bool_]:
        """Say of each lesion whether it can be seen in a member's input."""
        return np.asarray(self.conspicuity[member.input] >= least_conspicuity)

    def holds_lesion(self, start_ras: NDArray[np.int64], edge: int) -> bool:
        """Say whether a cube meets the box around a lesion."""
        meets = (self.starts_ras < start_ras + edge) & (self.stops_ras > start_ras)
        return bool(meets.all(axis=1).any())


def list_pool(pool: Path) -> Listing:
    """Return the complete studies of a pool, by name.

    Raises
    ------
    InvalidInput
        There is none.
    """
    folders = sorted(path.parent for path in pool.glob(f"*/{STUDY_FILE}") if path.parent.name[0] != ".")
    if not folders:
        raise InvalidInput(f"{pool} holds no prepared study, expected folders with {STUDY_FILE}")
    return tuple(
        ListedStudy(folder.name, *_read_mined(folder), _is_imported(folder, _written_ns(folder)))
        for folder in folders
    )


def find_missing(pool: Path, listing: Listing) -> list[str]:
    """Return the names of a listing's studies that are in the pool no more."""
    return [study.name for study in listing if not (pool / study.name / STUDY_FILE).exists()]


def listing_to_json(listing: Listing) -> list[Any]:
    """Write a listing as it goes into a checkpoint."""
    return [asdict(study) for study in listing]


def listing_from_json(content: list[Any]) -> Listing:
    """Read what ``listing_to_json`` wrote."""
    return tuple(
        ListedStudy(one["name"], _centres(one["mined_ras"]), tuple(one["missed"]), one["is_imported"])
        for one in content
    )


def index_study(folder: Path) -> StudyIndex:
    """Look through a study once; the same study always gives the same centres.

    Raises
    ------
    InvalidInput
        It is not there.
    """
    return _index(folder, _written_ns(folder))


@lru_cache(maxsize=REMEMBERED_STUDIES)
def _index(folder: Path, written_ns: int) -> StudyIndex:  # noqa: ARG001 - another study under the same name
    study = PreparedStudy.open(folder)
    rng = np.random.default_rng(crc32(folder.name.encode()))
    labels, mask = np.asarray(study.labels_ras), np.asarray(study.t1_post_ras) != 0
    boxes = ndimage.find_objects(labels)
    found = [boxes[lesion.number - 1] for lesion in study.lesions]
    return StudyIndex(
        shape=(labels.shape[0], labels.shape[1], labels.shape[2]),
        numbers=np.array([lesion.number for lesion in study.lesions], np.int64),
        volumes_mm3=np.array([lesion.volume_mm3 for lesion in study.lesions], np.float64),
        conspicuity={
            "t1_post": np.array([lesion.t1_post_conspicuity for lesion in study.lesions], np.float64),
            "subtraction": np.array([lesion.subtraction_conspicuity for lesion in study.lesions], np.float64),
        },
        centres_ras=_stack([lesion.centre_ras for lesion in study.lesions]),
        starts_ras=_stack([[part.start for part in box] for box in found]),
        stops_ras=_stack([[part.stop for part in box] for box in found]),
        structures_ras=_structure_centres(study, mask, rng),
        brain_ras=_some(np.flatnonzero(mask), mask.shape, BRAIN_CENTRES, rng),
    )


def _structure_centres(
    study: PreparedStudy, mask: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[Centres, ...]:
    if study.structures_ras is None:
        return ()
    structures = np.where(mask, study.structures_ras, 0).ravel()
    marked = np.flatnonzero(structures)
    kinds = structures[marked]
    return tuple(
        _some(marked[kinds == kind], mask.shape, CENTRES_PER_STRUCTURE, rng) for kind in np.unique(kinds)
    )


def _some(flat: NDArray[np.int64], shape: tuple[int, ...], count: int, rng: np.random.Generator) -> Centres:
    chosen = flat if len(flat) <= count else rng.choice(flat, count, replace=False)
    return np.stack(np.unravel_index(chosen, shape), axis=1).astype(np.int16)


def _stack(rows: list[Any]) -> Centres:
    return np.array(rows, np.int16).reshape(-1, 3)


def _written_ns(folder: Path) -> int:
    try:
        return (folder / STUDY_FILE).stat().st_mtime_ns
    except OSError as error:
        raise InvalidInput(f"{folder} is no prepared study: {error}") from error


@lru_cache(maxsize=REMEMBERED_STUDIES)
def _is_imported(folder: Path, written_ns: int) -> bool:  # noqa: ARG001 - another study under the same name
    return read_description(folder)["seed"] is None


def _read_mined(folder: Path) -> tuple[tuple[tuple[int, int, int], ...], tuple[int, ...]]:
    path = folder / MINED_FILE
    if not path.exists():
        return (), ()
    try:
        content = json.loads(path.read_text())
        return _centres(content["centres_ras"][:MINED_LIMIT]), tuple(int(n) for n in content["missed"])
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f"{path} is {error!r}, expected centres_ras: a list of [r, a, s], and missed: a list of numbers"
        ) from error


def _centres(rows: list[Any]) -> tuple[tuple[int, int, int], ...]:
    return tuple((int(r), int(a), int(s)) for r, a, s in rows)
