"""How members agree with each other, and outputs with the truth: sums over studies, then figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.figures.sweeps import MemberCorrelation, Reliability, ReliabilityBin
from evaluation.sweep.candidates import FLOOR, Candidates

Floats = NDArray[np.float64]

BIN_EDGES = np.array([0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
"""Of the reliability diagram; the last bin holds 1 itself."""


@dataclass(frozen=True, eq=False)
class AgreementSums:
    """What one study adds.

    Parameters
    ----------
    peaks
        (members, lesions); None where a member took no part in the study.
    voxel_count, voxel_sums, voxel_products
        Of the members' outputs over the candidates: number, (members,), (members, members).
    bin_voxels, bin_outputs, bin_lesion
        Per reliability bin: T1-post voxels, the sum of their outputs, those that are lesion.
    """

    peaks: Floats | None
    voxel_count: int
    voxel_sums: Floats
    voxel_products: Floats
    bin_voxels: Floats
    bin_outputs: Floats
    bin_lesion: Floats


def sum_agreement(candidates: Candidates, member_names: tuple[str, ...]) -> AgreementSums:
    """Return what a study adds; a study without all the members adds its reliability alone."""
    number = len(member_names)
    outputs = np.zeros((number, 0))
    peaks = None
    if set(member_names) == set(candidates.member_names):
        rows = [candidates.member_names.index(name) for name in member_names]
        outputs, peaks = candidates.members[rows].astype(np.float64), candidates.lesion_peaks[rows]
    kept = candidates.source_mean >= FLOOR
    mean, lesion = candidates.source_mean[kept].astype(np.float64), candidates.reference[kept] > 0
    index = np.clip(np.searchsorted(BIN_EDGES, mean, side="right") - 1, 0, len(BIN_EDGES) - 2)

    def per_bin(weights: Floats) -> Floats:
        return np.bincount(index, weights=weights, minlength=len(BIN_EDGES) - 1).astype(np.float64)

    return AgreementSums(
        peaks=None if peaks is None else peaks.astype(np.float64),
        voxel_count=outputs.shape[1],
        voxel_sums=outputs.sum(axis=1),
        voxel_products=outputs @ outputs.T,
        bin_voxels=per_bin(np.ones_like(mean)),
        bin_outputs=per_bin(mean),
        bin_lesion=per_bin(lesion.astype(np.float64)),
    )


def correlate_members(sums: Sequence[AgreementSums], member_names: tuple[str, ...]) -> MemberCorrelation:
    """Return Pearson's r between members over all studies that have all of them."""
    number = len(member_names)
    peaks = np.concatenate([s.peaks for s in sums if s.peaks is not None] or [np.zeros((number, 0))], axis=1)
    empty = np.zeros((number, number))
    return MemberCorrelation(
        members=member_names,
        lesion_peaks=_correlate(peaks.shape[1], peaks.sum(axis=1), peaks @ peaks.T),
        voxels=_correlate(
            sum(s.voxel_count for s in sums),
            sum((s.voxel_sums for s in sums), empty[0]),
            sum((s.voxel_products for s in sums), empty),
        ),
    )


def _correlate(count: int, sums: Floats, products: Floats) -> tuple[tuple[float | None, ...], ...]:
    covariance = products - np.outer(sums, sums) / max(count, 1)
    variance = covariance.diagonal()
    # A constant member's variance is 0 but for rounding.
    varies = variance > 1e-9 * np.maximum(products.diagonal(), 1e-12)
    scale = np.sqrt(np.where(varies, variance, 1))
    r = np.clip(covariance / np.outer(scale, scale), -1, 1)
    known = np.outer(varies, varies)
    return tuple(
        tuple(value if there else None for value, there in zip(row, row_known, strict=True))
        for row, row_known in zip(r.tolist(), known.tolist(), strict=True)
    )


def measure_reliability(sums: Sequence[AgreementSums]) -> Reliability:
    """Return the reliability diagram of all studies, and the mean gap weighted by voxels."""
    none = np.zeros(len(BIN_EDGES) - 1)
    voxels = sum((s.bin_voxels for s in sums), none)
    outputs = sum((s.bin_outputs for s in sums), none)
    lesion = sum((s.bin_lesion for s in sums), none)
    total = voxels.sum()
    rows = np.stack([BIN_EDGES[:-1], BIN_EDGES[1:], voxels, outputs, lesion], axis=1).tolist()
    bins = tuple(
        ReliabilityBin(low, high, int(n), output / n if n else None, hits / n if n else None)
        for low, high, n, output, hits in rows
    )
    error = float(np.abs(outputs - lesion).sum() / total) if total else None
    return Reliability(float(FLOOR), bins, error)
