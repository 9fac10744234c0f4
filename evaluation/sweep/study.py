"""One study at every threshold and with every ensemble, from its candidates: no inference, no volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from evaluation.inference.stored_study import StoredStudy
from evaluation.sweep.candidates import NOWHERE, STEPS, Candidates, Floats, find_candidates
from worker.model_set import Member

THRESHOLDS = (*(round(0.05 * n, 2) for n in range(1, 20)), 0.97, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995)
"""The paper's 0.2 .. 0.8 among them. Above 0.95 in steps of about 0.7 of the logit: a member whose loss
saturates has its whole FROC curve there. 0.9995 is the last number below 1 that a float16 output can be."""

ALL = "all"
"""Name of the ensemble of all members."""

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Subset:
    """Some of the members, as an ensemble of their own."""

    name: str
    member_names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ThresholdTally:
    """What one ensemble finds in one study at one threshold, before small components are left out.

    Parameters
    ----------
    hit_voxels
        Per reference lesion: voxels (1 mm) of the largest component that overlaps it, 0 when none does.
    invented_voxels
        Voxels of each component that overlaps none.
    dice
        Of the scan, components of fewer than the released number of voxels left out; None without
        reference lesions.
    """

    hit_voxels: Counts
    invented_voxels: Counts
    dice: float | None

    def detected(self, minimum_voxels: int) -> NDArray[np.bool_]:
        """Tell which lesions are found when components need this many voxels."""
        return self.hit_voxels >= minimum_voxels

    def false_positives(self, minimum_voxels: int) -> int:
        """Count the inventions of at least this many voxels."""
        return int(np.count_nonzero(self.invented_voxels >= minimum_voxels))


@dataclass(frozen=True, eq=False)
class StudyTally:
    """One study at all thresholds, with every ensemble whose members all took part.

    Parameters
    ----------
    lesion_sizes_mm3
        Volumes of the reference lesions that decide their size classes.
    tallies
        Ensemble's name -> one tally a threshold, in the order of ``THRESHOLDS``.
    """

    name: str
    anatomy: str
    lesion_sizes_mm3: NDArray[np.float64]
    tallies: dict[str, tuple[ThresholdTally, ...]]


def list_subsets(members: Sequence[Member]) -> tuple[Subset, ...]:
    """Return all members, those of each input, those of each loss, and each alone; equal ones once."""
    named = [(ALL, list(members))]
    for key in ("input", "loss"):
        values = dict.fromkeys(getattr(member, key) for member in members)
        named += [
            (value, [member for member in members if getattr(member, key) == value]) for value in values
        ]
    named += [(member.name, [member]) for member in members]
    subsets: dict[tuple[str, ...], Subset] = {}
    for name, some in named:
        names = tuple(member.name for member in some)
        if len(names) != 1 or name == names[0] or len(members) == 1:
            subsets.setdefault(names, Subset(name, names))
    return tuple(subsets.values())


def sweep_study(
    study: StoredStudy, subsets: Sequence[Subset], minimum_voxels: int, candidates: Candidates | None = None
) -> StudyTally:
    """Tally a study with every ensemble it has the members for.

    Parameters
    ----------
    minimum_voxels
        Released; for the Dice alone.
    candidates
        Of this study, when they are there already.
    """
    candidates = candidates or find_candidates(study)
    return StudyTally(
        name=study.name,
        anatomy=study.anatomy,
        lesion_sizes_mm3=candidates.lesion_sizes_mm3,
        tallies={
            subset.name: _sweep(candidates, subset.member_names, minimum_voxels)
            for subset in subsets
            if study.takes(subset.member_names)
        },
    )


def _sweep(
    candidates: Candidates, member_names: tuple[str, ...], minimum_voxels: int
) -> tuple[ThresholdTally, ...]:
    values, source_values = candidates.output(member_names)
    edges, edge_values = _span(values, candidates.edges)
    level = _Level(values, source_values, edges, edge_values, np.arange(len(source_values)))
    tallies = []
    for threshold in THRESHOLDS:
        level = level.rise(np.float32(threshold))
        tallies.append(_tally(candidates, level, np.float32(threshold), minimum_voxels))
    return tuple(tallies)


def _span(values: Floats, edges: NDArray[np.int32]) -> tuple[NDArray[np.int32], Floats]:
    """Return the few edges that connect, at every threshold, what all edges connect; and their values.

    The spanning forest whose lower outputs are as high as can be: one edge a voxel in place of thirteen.
    """
    edge_values = np.minimum(values[edges[0]], values[edges[1]])
    above = np.flatnonzero(edge_values >= np.float32(THRESHOLDS[0]))
    lengths = 2.0 - edge_values[above].astype(np.float64)  # shortest where the output is highest, never 0
    forest = minimum_spanning_tree(_graph(edges[:, above], lengths, len(values))).tocoo()
    kept = np.stack(forest.coords).astype(np.int32)
    return kept, np.minimum(values[kept[0]], values[kept[1]])


def _graph(edges: NDArray[np.int32], lengths: NDArray[np.float64], count: int) -> csr_array:
    """Lay edges that are sorted by their first end into rows."""
    rows = np.concatenate([[0], np.cumsum(np.bincount(edges[0], minlength=count))])
    ends = np.ascontiguousarray(edges[1])  # scipy takes no other
    return csr_array((lengths, ends, rows.astype(np.int32)), shape=(count, count))


@dataclass(frozen=True, eq=False)
class _Level:
    """What of a study's candidates an ensemble gives at least a threshold; it shrinks as that rises.

    Parameters
    ----------
    values, source_values
        The ensemble's outputs at the candidates and at the T1-post voxels, all of them.
    edges, edge_values
        Spanning pairs of candidates at the threshold or above, and the lower output of each pair.
    sources
        T1-post voxels at the threshold or above.
    """

    values: Floats
    source_values: Floats
    edges: NDArray[np.int32]
    edge_values: Floats
    sources: Counts

    def rise(self, threshold: np.float32) -> _Level:
        above = np.flatnonzero(self.edge_values >= threshold)
        return _Level(
            self.values,
            self.source_values,
            self.edges[:, above],
            self.edge_values[above],
            self.sources[self.source_values[self.sources] >= threshold],
        )


def _tally(
    candidates: Candidates, level: _Level, threshold: np.float32, minimum_voxels: int
) -> ThresholdTally:
    """Do what ``worker.lesions.find_lesions`` does, and compare.

    Differs from it in two rare choices: of components equally near to a T1-post voxel between them
    the one that owns it, and the voxel that a component keeps which no T1-post voxel shows.
    """
    component = _label(level.values >= threshold, level.edges)
    sizes = np.bincount(component[component >= 0])
    owner = _owners(candidates, component, level.sources)
    owned = owner >= 0  # rounding can lift a mean of interpolations over all that it was made of
    owner, reference = owner[owned], candidates.reference[level.sources[owned]]
    lost, lost_reference = _keep_one_voxel(candidates, level.values, component, owner, len(sizes))
    owner, reference = np.concatenate([owner, lost]), np.concatenate([reference, lost_reference])
    hits = np.zeros(len(candidates.reference_voxels) + 1, dtype=np.int64)
    np.maximum.at(hits, reference, sizes[owner])
    overlapping = np.zeros(len(sizes), dtype=np.bool_)
    overlapping[owner[reference > 0]] = True
    return ThresholdTally(
        hit_voxels=hits[1:],
        invented_voxels=sizes[~overlapping],
        dice=_dice(candidates, reference[sizes[owner] >= minimum_voxels]),
    )


def _label(above: NDArray[np.bool_], edges: NDArray[np.int32]) -> Counts:
    """Return the 26-connected component of each candidate, -1 where it is below the threshold."""
    count = int(np.count_nonzero(above))
    number = np.cumsum(above, dtype=np.int32) - 1
    graph = _graph(number[edges], np.ones(edges.shape[1]), count)
    component = np.full(len(above), NOWHERE, dtype=np.int64)
    component[above] = connected_components(graph, directed=False)[1]
    return component


def _owners(candidates: Candidates, component: Counts, sources: Counts) -> Counts:
    """Return the component nearest to each T1-post voxel that reaches the threshold.

    Such a voxel has a corner of its cell at the threshold or above, and all corners are among the 27.
    """
    with_nowhere = np.append(component, NOWHERE)
    owner = np.full(len(sources), NOWHERE, dtype=np.int64)
    for step in range(len(STEPS)):
        open_ = np.flatnonzero(owner < 0)
        if open_.size == 0:
            break
        owner[open_] = with_nowhere[candidates.neighbours(sources[open_], step)]
    return owner


def _keep_one_voxel(
    candidates: Candidates, values: Floats, component: Counts, owner: Counts, count: int
) -> tuple[Counts, Counts]:
    """Give each component that no T1-post voxel shows the one nearest to its highest output.

    Returns
    -------
    tuple
        The components, and the reference lesion or 0 at the voxel each one gets.
    """
    shown = np.zeros(count, dtype=np.bool_)
    shown[owner] = True
    hidden = np.flatnonzero((component >= 0) & ~np.append(shown, True)[component])
    by_height = hidden[np.argsort(values[hidden], kind="stable")]
    highest = np.zeros(count, dtype=np.int64)
    highest[component[by_height]] = by_height  # the last one written is the highest
    lost = np.flatnonzero(~shown)
    return lost, candidates.nearest_reference[highest[lost]]


def _dice(candidates: Candidates, reference: Counts) -> float | None:
    """Return the Dice of the scan from the reference lesion (or 0) under every predicted voxel."""
    if len(candidates.reference_voxels) == 0:
        return None
    shared = np.count_nonzero(reference)
    return float(2 * shared / (candidates.reference_voxels.sum() + len(reference)))
