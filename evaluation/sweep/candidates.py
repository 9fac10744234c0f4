"""The few voxels of a study that could be lesion at any threshold, ready to be looked at many times.

The service labels components at 1 mm and outlines them on the T1-post grid (``worker.lesions``). Doing
that over whole volumes for hundreds of thresholds and ensembles takes minutes a study; over the voxels
that some member gives at least ``FLOOR`` it takes seconds. Interpolation is linear, so each member is
carried to the T1-post grid once, and the means of ensembles are taken there.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.geometry import Grid
from evaluation.inference.stored_study import StoredStudy
from worker.resampling import resample_linear

FLOOR = np.float32(0.05)
"""Lowest output looked at; the lowest threshold of every sweep."""

RIM = 2
"""Voxels around the analysis grid: a T1-post voxel may lie one outside, and its neighbours one more."""

NOWHERE = -1
"""Stands for a neighbour that is no candidate."""

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


def _steps_outward() -> Indices:
    steps = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    return np.asarray(steps[np.argsort((steps**2).sum(axis=1), kind="stable")])


STEPS = _steps_outward()
"""(27, 3): from a voxel to itself and its 26 neighbours, nearest first."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """Candidate voxels of the analysis grid, and the T1-post voxels that interpolate from them.

    Parameters
    ----------
    mean, members
        Outputs at the n candidates: (n,) of all members, (members, n) of each.
    edges
        (2, e): pairs of candidates that share a face, edge or corner, each pair once, by their first.
    source_mean, source_members
        Interpolated outputs at the s T1-post voxels.
    lattice
        The analysis grid with a rim of ``RIM`` voxels: the candidate at each, or ``NOWHERE``.
    source_places
        (s,): flat index in the lattice of the analysis voxel nearest to each T1-post voxel.
    nearest_source
        (n,): flat index on the T1-post grid of the voxel nearest to each candidate.
    reference, nearest_reference
        Reference lesion, or 0, of the s T1-post voxels and of the n nearest ones.
    reference_voxels
        Of every reference lesion, all of its T1-post voxels.
    lesion_sizes_mm3
        Of every reference lesion, its true volume where that is known, else that of its voxels.
    lesion_peaks
        (members, lesions): highest output of each member inside each reference lesion.
    """

    member_names: tuple[str, ...]
    mean: Floats
    members: Floats
    edges: NDArray[np.int32]
    source_mean: Floats
    source_members: Floats
    lattice: NDArray[np.int32]
    source_places: Indices
    nearest_source: Indices
    reference: NDArray[np.int64]
    nearest_reference: NDArray[np.int64]
    reference_voxels: NDArray[np.int64]
    lesion_sizes_mm3: NDArray[np.float64]
    lesion_peaks: Floats

    def output(self, member_names: tuple[str, ...]) -> tuple[Floats, Floats]:
        """Return the mean of some members at the candidates and at the T1-post voxels."""
        if set(member_names) == set(self.member_names):
            return self.mean, self.source_mean
        rows = [self.member_names.index(name) for name in member_names]
        return self.members[rows].mean(axis=0), self.source_members[rows].mean(axis=0)

    def neighbours(self, sources: Indices, step: int) -> NDArray[np.int32]:
        """Return the candidate one of ``STEPS`` away from each of some T1-post voxels."""
        (offset,) = _flat_steps(STEPS[step : step + 1], self.lattice.shape)
        return np.asarray(self.lattice.reshape(-1)[self.source_places[sources] + offset])


def find_candidates(study: StoredStudy) -> Candidates:
    """Gather the candidates of a study."""
    members = study.members.astype(np.float32)
    kept = np.maximum(members.max(axis=0, initial=0), study.mean) >= FLOOR
    index_kji = np.stack(np.unravel_index(study.voxels[kept], study.grid.shape_kji), axis=-1)
    lattice = np.full(np.add(study.grid.shape_kji, 2 * RIM), NOWHERE, dtype=np.int32)
    lattice[tuple((index_kji + RIM).T)] = np.arange(len(index_kji))
    source = _source_voxels(study, study.voxels[kept])
    local = _local(study, source)
    nearest = _nearest_source(index_kji, study.grid, study.source_grid)
    reference = study.reference_kji.ravel()
    reference_voxels = np.bincount(reference)[1:].astype(np.int64)
    return Candidates(
        member_names=study.member_names,
        mean=study.mean[kept],
        members=members[:, kept],
        edges=_edges(_places(index_kji, lattice.shape), lattice),
        source_mean=_interpolate(study, study.mean, local),
        source_members=np.stack([_interpolate(study, row, local) for row in members]),
        lattice=lattice,
        source_places=_places(np.rint(local).astype(np.int64), lattice.shape),
        nearest_source=nearest,
        reference=reference[source].astype(np.int64),
        nearest_reference=reference[nearest].astype(np.int64),
        reference_voxels=reference_voxels,
        lesion_sizes_mm3=_lesion_sizes(study, reference_voxels),
        lesion_peaks=_lesion_peaks(study, members, len(reference_voxels)),
    )


def _source_voxels(study: StoredStudy, candidates: NDArray[np.int32]) -> Indices:
    """Return the flat indices of the T1-post voxels with a candidate at a corner of their cell."""
    marks = np.zeros(study.grid.shape_kji, dtype=np.float32)
    marks.reshape(-1)[candidates] = 1
    return np.flatnonzero(resample_linear(marks, study.grid, study.source_grid))


def _local(study: StoredStudy, source: Indices) -> NDArray[np.float64]:
    """Return where T1-post voxels lie on the analysis grid."""
    source_kji = np.stack(np.unravel_index(source, study.source_grid.shape_kji), axis=-1)
    return study.grid.to_index_kji(study.source_grid.to_lps_mm(source_kji))


def _lesion_sizes(study: StoredStudy, reference_voxels: Indices) -> NDArray[np.float64]:
    if study.lesion_volumes_mm3 is not None:
        return np.array(study.lesion_volumes_mm3, dtype=np.float64)
    return np.multiply(reference_voxels, study.source_grid.voxel_volume_mm3, dtype=np.float64)


def _lesion_peaks(study: StoredStudy, members: Floats, lesions: int) -> Floats:
    """Return each member's highest output in each reference lesion, below ``FLOOR`` too."""
    inside = np.flatnonzero(study.reference_kji)
    number, local = study.reference_kji.ravel()[inside], _local(study, inside)
    peaks = np.zeros((len(members), lesions + 1), dtype=np.float32)
    for peak, row in zip(peaks, members, strict=True):
        np.maximum.at(peak, number, _interpolate(study, row, local))
    return peaks[:, 1:]


def _interpolate(study: StoredStudy, values: Floats, local: NDArray[np.float64]) -> Floats:
    volume = np.asarray(study.on_grid(values), dtype=np.float32)
    return np.asarray(ndimage.map_coordinates(volume, local.T, order=1, mode="constant"), dtype=np.float32)


def _places(index_kji: Indices, shape: tuple[int, ...]) -> Indices:
    return np.asarray(np.ravel_multi_index(tuple((index_kji + RIM).T), shape), dtype=np.int64)


def _flat_steps(steps: Indices, shape: tuple[int, ...]) -> list[int]:
    slices, rows, columns = (math.prod(shape[n:]) for n in (1, 2, 3))
    return [int(step) for step in steps @ np.array([slices, rows, columns])]


def _edges(places: Indices, lattice: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the pairs of neighbours: half of the 26 directions find each pair once."""
    half = STEPS[[tuple(step) > (0, 0, 0) for step in STEPS.tolist()]]
    pairs = []
    for step in _flat_steps(half, lattice.shape):
        neighbour = lattice.reshape(-1)[places + step]
        start = np.flatnonzero(neighbour != NOWHERE).astype(np.int32)
        pairs.append(np.stack([start, neighbour[start]]))
    edges = np.concatenate(pairs, axis=1)
    return np.asarray(edges[:, np.argsort(edges[0], kind="stable")])


def _nearest_source(index_kji: Indices, grid: Grid, source_grid: Grid) -> Indices:
    """Return flat indices of the T1-post voxels nearest to voxels of the analysis grid."""
    fractional = source_grid.to_index_kji(grid.to_lps_mm(index_kji))
    voxel = np.clip(np.rint(fractional).astype(np.int64), 0, np.array(source_grid.shape_kji) - 1)
    return np.asarray(np.ravel_multi_index(tuple(voxel.T), source_grid.shape_kji), dtype=np.int64)
