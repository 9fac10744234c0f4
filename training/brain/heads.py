"""Training heads for the brain extraction: random geometry, contrast, disease and scan over a label map.

In the manner of SynthSeg and SynthStrip (Billot 2023, Hoopes 2022): a network that has seen every contrast
looks for the shape of a brain. What the service does to a head before its network is done here too.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from phantom.fields import Floats, Mask, smooth_noise
from phantom.synthesis.anatomy.structures import Structure
from training.brain.anatomy import DEPTHS_PER_MM, PreparedHead
from training.brain.findings import FindingSettings, paint_findings
from training.brain.geometry import GeometrySettings, Placement, draw_placement, in_voxels
from training.brain.scan import BrainScanSettings, scan
from training.brain.tissues import Tissues, TissueSettings, draw_tissues
from worker.axes import to_axes

AXES = ("R", "A", "S")
"""Direction in which each axis of what the network sees increases; the manifest says the same."""

PERCENTILES = (0.5, 99.5)
FOREGROUND_FRACTION = 0.02
CLIP = (0.0, 1.5)

SUBSAMPLES = ((-1, -1, -1), (-1, 1, 1), (1, -1, 1), (1, 1, -1))
"""Quarter voxels: a tetrahedron of points in each voxel gives its partial volumes."""

SERVICE_SMOOTHING_VOXELS = 0.425
"""Sigma with which the service smooths before it samples (worker.brain.SMOOTHING_PER_SPACING)."""

AREA_KNOTS_MM = (8, 32)
"""Distance of the knots of the mottling of tissue, drawn between these."""


@dataclass(frozen=True, slots=True)
class HeadSettings:
    """All knobs of a training head.

    Parameters
    ----------
    geometry, tissues, findings, scan
        Of the stages.
    mottling_range
        Standard deviation of smooth changes within all tissue, as a share of the signal.
    mixture_range
        The same within soft tissue, on top: muscle, fat and glands are one label.
    """

    geometry: GeometrySettings = field(default_factory=GeometrySettings)
    tissues: TissueSettings = field(default_factory=TissueSettings)
    findings: FindingSettings = field(default_factory=FindingSettings)
    scan: BrainScanSettings = field(default_factory=BrainScanSettings)
    mottling_range: tuple[float, float] = (0.0, 0.12)
    mixture_range: tuple[float, float] = (0.0, 0.6)


@dataclass(frozen=True, slots=True, eq=False)
class TrainingHead:
    """What the network sees and should answer, axes ``AXES``.

    Parameters
    ----------
    image
        float16, scaled as the service scales.
    brain
        uint8, the brain's share of each voxel in 255ths.
    """

    image: NDArray[np.float16]
    brain: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class ScannedHead:
    """A scan before the service: (k, j, i) towards Superior, Posterior and Left.

    Parameters
    ----------
    image_kji
        Signal relative to white matter; slices beyond the placement's first and last were not scanned.
    share_kji
        The brain's share of each voxel, 0 to 1.
    depth_mm_kji
        Distance to the brain's surface, negative inside.
    lesions_kji
        Where lesions were painted.
    placement
        With the ends of the scan.
    """

    image_kji: Floats
    share_kji: Floats
    depth_mm_kji: Floats
    lesions_kji: Mask
    placement: Placement


@dataclass(frozen=True, slots=True, eq=False)
class _Samples:
    """A head on the cube: signals, brain's share, and depth in mm."""

    signal: Floats
    share: Floats
    depth_mm: Floats


def render_head(head: PreparedHead, settings: HeadSettings, rng: np.random.Generator) -> TrainingHead:
    """Scan one head and do to it what the service does: continue the cuts, smooth, scale."""
    scanned = scan_head(head, settings, rng)
    image = _continue_cut(scanned.image_kji, scanned.placement)
    image = ndimage.gaussian_filter(image, SERVICE_SMOOTHING_VOXELS, truncate=3.0)
    share = _continue_cut(scanned.share_kji, scanned.placement)
    return TrainingHead(
        np.ascontiguousarray(to_axes(scale_image(image), AXES), dtype=np.float16),
        np.ascontiguousarray(to_axes(np.rint(255 * share).astype(np.uint8), AXES)),
    )


def scan_head(head: PreparedHead, settings: HeadSettings, rng: np.random.Generator) -> ScannedHead:
    """Place a head in the cube, colour its tissues, paint findings, scan."""
    placement = draw_placement(head, settings.geometry, rng)
    samples = _sample(head, placement, draw_tissues(settings.tissues, rng), settings, rng)
    lesions = paint_findings(samples.signal, samples.depth_mm, settings.findings, rng)
    image = scan(samples.signal, samples.depth_mm, settings.scan, rng)
    return ScannedHead(image, samples.share, samples.depth_mm, lesions, placement)


def scale_image(image: Floats) -> Floats:
    """Scale as the service does: the percentiles of the foreground become 0 and 1."""
    foreground = image[image > FOREGROUND_FRACTION * image.max()]
    low, high = np.percentile(foreground, PERCENTILES)
    scaled = (image - low) / max(high - low, np.finfo(np.float32).tiny)
    return np.asarray(np.clip(scaled, *CLIP), dtype=np.float32)


def _sample(
    head: PreparedHead, place: Placement, tissues: Tissues, settings: HeadSettings, rng: np.random.Generator
) -> _Samples:
    """Average signal and brain over the points of each voxel; texture and depth are taken at the first."""
    shape = place.shape_kji
    signal, share, depth = (np.zeros(shape, dtype=np.float32) for _ in range(3))
    texture = _texture(shape, settings, rng)
    source = place.source_index_kji
    for offsets in SUBSAMPLES:
        index = _nearest(source, place.matrix @ (np.array(offsets) / 4), head.labels_kji.shape)
        labels = head.labels_kji.ravel()[index]
        half_mm = head.depth_kji.ravel()[index]
        values = tissues.means[labels]
        values *= np.where(labels == Structure.SOFT_TISSUE, texture[1], texture[0])
        values += tissues.noises[labels] * rng.standard_normal(shape, dtype=np.float32)
        signal += values
        share += half_mm <= 0
        depth += half_mm
    signal /= len(SUBSAMPLES)
    share /= len(SUBSAMPLES)
    depth /= len(SUBSAMPLES) * DEPTHS_PER_MM
    return _Samples(np.maximum(signal, 0, out=signal), share, depth)


def _texture(
    shape: tuple[int, int, int], settings: HeadSettings, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return factors on the signal, of all tissue and of soft tissue."""
    knots = [in_voxels(float(rng.uniform(*AREA_KNOTS_MM)), settings.geometry.spacing_mm) for _ in range(2)]
    fields = [smooth_noise(rng, shape, n) for n in knots]
    plain = 1 + np.float32(rng.uniform(*settings.mottling_range)) * fields[0]
    mixed = plain + np.float32(rng.uniform(*settings.mixture_range)) * fields[1]
    return np.clip(plain, 0, 3), np.clip(mixed, 0, 3)


def _nearest(
    source_kji: Floats, offset_kji: NDArray[np.float64], shape_kji: tuple[int, ...]
) -> NDArray[np.int32]:
    """Return flat indices of the voxels nearest to points; what lies outside becomes the edge.

    The edges of a head are air, except the lowest slice: the neck goes on.
    """
    flat = np.zeros(source_kji.shape[1:], dtype=np.int32)
    for axis, size in enumerate(shape_kji):
        coordinate = source_kji[axis] + np.float32(offset_kji[axis] + 0.5)
        np.clip(coordinate, 0, size - 1, out=coordinate)
        flat *= size
        flat += coordinate.astype(np.int32)
    return flat


def _continue_cut(volume: Floats, place: Placement) -> Floats:
    """Repeat the end slices of the scan beyond its cuts as far as the service does, then leave nothing."""
    slices = np.arange(len(volume))
    first, last = place.first_slice, place.last_slice
    continued = volume[np.clip(slices, first, last)]
    beyond = np.maximum(first - slices, slices - last)
    continued[beyond > place.continued_slices] = 0
    return continued
