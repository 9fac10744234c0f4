"""Studies with known lesions, ready to be encoded: label map, lesions, report, sources, provenance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from core.geometry import Grid
from core.lesion import Axis, FindingsReport, Lesion, ModelIdentity
from core.provenance import Provenance
from core.study import AnalysisMode, QualityFlag
from core.uids import derive_uid
from tests.dicom_sources import STUDY_UID, classic_series, make_grid
from worker.encoding import EncodedResults, EncodingSources, encode
from worker.filling import fill_lesions
from worker.lesions import Findings
from worker.volumes import SliceReference

MODEL = ModelIdentity("test-set", "2026.11.0", "ab" * 32, "full")
CREATED_AT = datetime(2026, 11, 23, 10, 30, 15, 250000, tzinfo=UTC)

Box = tuple[slice, slice, slice]
SeriesMaker = Callable[..., tuple[tuple[Dataset, ...], tuple[SliceReference, ...]]]

LARGE: Box = (slice(2, 6), slice(3, 9), slice(4, 12))
SMALL: Box = (slice(7, 9), slice(14, 17), slice(2, 5))
ON_FIRST_SLICE: Box = (slice(0, 1), slice(18, 20), slice(15, 18))
ONE_VOXEL: Box = (slice(10, 11), slice(20, 21), slice(17, 18))
"""Boxes off every centre of symmetry: a mirrored axis moves them."""


@dataclass(frozen=True, eq=False)
class EncodedStudy:
    """The arguments of ``encode``, kept together."""

    findings: Findings
    report: FindingsReport
    sources: EncodingSources
    provenance: Provenance

    def encode(self) -> EncodedResults:
        return encode(self.findings, self.report, self.sources, self.provenance)

    def with_sources(self, sources: EncodingSources) -> EncodedStudy:
        return replace(self, sources=sources)


def make_study(
    boxes: Sequence[Box] = (LARGE, SMALL),
    grid: Grid | None = None,
    series: SeriesMaker = classic_series,
    patient: Dataset | None = None,
    with_t1: bool = True,
    flags: tuple[QualityFlag, ...] = (),
) -> EncodedStudy:
    grid = make_grid() if grid is None else grid
    findings = make_findings(boxes, grid)
    t1_post, slices = series(grid, "t1 post", patient)
    t1 = series(grid, "t1", patient)[0] if with_t1 else None
    provenance = Provenance(STUDY_UID, 1, MODEL, "0.1.0", CREATED_AT)
    report = FindingsReport(
        study_instance_uid=STUDY_UID,
        series_instance_uid=str(t1_post[0].SeriesInstanceUID),
        revision=1,
        mode=AnalysisMode.FULL if with_t1 else AnalysisMode.T1_POST_ONLY,
        threshold=0.4,
        model=MODEL,
        lesions=findings.lesions,
        flags=flags,
        registration=None,
        brain_volume_mm3=1_400_000.0,
        software_version="0.1.0",
    )
    return EncodedStudy(findings, report, EncodingSources(t1_post, t1, slices), provenance)


def make_findings(boxes: Sequence[Box], grid: Grid) -> Findings:
    labels = np.zeros(grid.shape_kji, dtype=np.uint16)
    for number, box in enumerate(boxes, 1):
        assert not labels[box].any(), f"box {number} overlaps another one"
        labels[box] = number
    filled_voxels = np.bincount(fill_lesions(labels).ravel(), minlength=len(boxes) + 1).tolist()
    lesions = (_measure(box, grid, n, filled_voxels[n]) for n, box in enumerate(boxes, 1))
    return Findings(labels, grid, tuple(lesions))


def _measure(box: Box, grid: Grid, number: int, filled_voxels: int) -> Lesion:
    """Measures of a box of voxels; its axes run along rows and columns of its first slice."""
    voxels = np.argwhere(np.ones([edge.stop - edge.start for edge in box])) + [edge.start for edge in box]
    low, high = voxels.min(axis=0), voxels.max(axis=0)
    points = grid.to_lps_mm(voxels)
    edges = grid.to_lps_mm([low - 0.5, high + 0.5])
    along_i, along_j = _axis(grid, low, high, 2), _axis(grid, low, high, 1)
    long_axis, short_axis = sorted([along_i, along_j], key=lambda axis: -axis.length_mm)
    return Lesion(
        number=number,
        tracking_id=f"BM-{number:02d}",
        tracking_uid=derive_uid(STUDY_UID, "lesion", str(number)),
        volume_mm3=len(voxels) * grid.voxel_volume_mm3,
        filled_volume_mm3=filled_voxels * grid.voxel_volume_mm3,
        centroid_lps_mm=_vector(points.mean(axis=0)),
        extent_min_lps_mm=_vector(edges.min(axis=0)),
        extent_max_lps_mm=_vector(edges.max(axis=0)),
        longest_diameter_mm=float(np.linalg.norm(edges[1] - edges[0])),
        slice_index_k=int(low[0]),
        long_axis=long_axis,
        short_axis=short_axis,
        mean_probability=0.8123,
        peak_probability=0.98765,
        members_agreeing=7,
        members_total=8,
    )


def _axis(grid: Grid, low: NDArray[np.int64], high: NDArray[np.int64], along: int) -> Axis:
    start, end = low.astype(float), low.astype(float)
    start[along], end[along] = low[along] - 0.5, high[along] + 0.5
    ends = grid.to_lps_mm([start, end])
    return Axis(_vector(ends[0]), _vector(ends[1]), float(np.linalg.norm(ends[1] - ends[0])))


def _vector(values: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in values)
    return x, y, z
