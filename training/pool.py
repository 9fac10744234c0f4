"""The pool of prepared studies: what is in it, and where in each study patches may lie."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.errors import InvalidInput
from training.prepared import STUDY_FILE, PreparedStudy

MINED_FILE = "mined.json"
"""Beside a study, if there: {"centres_ras": [[r, a, s], ...]}, false positives of an earlier network."""

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
    mined_ras
        False positives known when the pool was looked at.
    """

    name: str
    mined_ras: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True, eq=False)
class StudyIndex:
    """Where the patches of one study may lie.

    Parameters
    ----------
    shape
        Of its volumes.
    volumes_mm3, centres_ras
        Of its lesions.
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
    centres_ras: Centres
    starts_ras: Centres
    stops_ras: Centres
    structures_ras: tuple[Centres, ...]
    brain_ras: Centres

    def holds_lesion(self, start_ras: NDArray[np.int64], edge: int) -> bool:
        """Say whether a cube meets the box around a lesion."""
        meets = (self.starts_ras < start_ras + edge) & (self.stops_ras > start_ras)
        return bool(meets.all(axis=1).any())


def list_pool(pool: Path) -> tuple[ListedStudy, ...]:
    """Return the complete studies of a pool, by name.

    Raises
    ------
    InvalidInput
        There is none.
    """
    folders = sorted(path.parent for path in pool.glob(f"*/{STUDY_FILE}") if path.parent.name[0] != ".")
    if not folders:
        raise InvalidInput(f"{pool} holds no prepared study, expected folders with {STUDY_FILE}")
    return tuple(ListedStudy(folder.name, _read_mined(folder)) for folder in folders)


def listing_to_json(listing: tuple[ListedStudy, ...]) -> list[Any]:
    """Write a listing as it goes into a checkpoint."""
    return [[study.name, [list(centre) for centre in study.mined_ras]] for study in listing]


def listing_from_json(content: list[Any]) -> tuple[ListedStudy, ...]:
    """Read what ``listing_to_json`` wrote."""
    return tuple(ListedStudy(name, _centres(mined)) for name, mined in content)


@lru_cache(maxsize=REMEMBERED_STUDIES)
def index_study(folder: Path) -> StudyIndex:
    """Look through a study once; the same study always gives the same centres."""
    study = PreparedStudy.open(folder)
    rng = np.random.default_rng(crc32(folder.name.encode()))
    labels, mask = np.asarray(study.labels_ras), np.asarray(study.t1_post_ras) != 0
    boxes = ndimage.find_objects(labels)
    found = [boxes[lesion.number - 1] for lesion in study.lesions]
    return StudyIndex(
        shape=(labels.shape[0], labels.shape[1], labels.shape[2]),
        numbers=np.array([lesion.number for lesion in study.lesions], np.int64),
        volumes_mm3=np.array([lesion.volume_mm3 for lesion in study.lesions], np.float64),
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


def _read_mined(folder: Path) -> tuple[tuple[int, int, int], ...]:
    path = folder / MINED_FILE
    if not path.exists():
        return ()
    try:
        return _centres(json.loads(path.read_text())["centres_ras"][:MINED_LIMIT])
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{path} is {error!r}, expected centres_ras: a list of [r, a, s]") from error


def _centres(rows: list[Any]) -> tuple[tuple[int, int, int], ...]:
    return tuple((int(r), int(a), int(s)) for r, a, s in rows)
