"""A whole head around the public MNI152 brain: skull, scalp, face, eyes, air sinuses, neck.

Extracerebral tissue is built from signed distances and ellipsoids in MNI millimetres. It is rough,
but has the tissues that matter to registration, brain extraction and networks where they belong:
fat and marrow bright, cortical bone and air dark, muscle and mucosa enhancing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.geometry import Grid
from phantom.extracerebral import TISSUES, Tissue, paint_face
from phantom.fields import Floats, Mask, Shape, refine, signed_distance, smooth_noise
from phantom.head import Head, enhance_tissue, head_from_volume
from phantom.template import Template, load_template

__all__ = ["head_from_tissues", "head_from_volume", "template_head", "template_tissues"]

LOWEST_MNI_MM, HIGHEST_MNI_MM = -128, 106
LEFT_RIGHT_MNI_MM = 98
POSTERIOR_MNI_MM, ANTERIOR_MNI_MM = -134, 114
"""The box built, in MNI mm: vertex to chin, ear to ear, occiput to nose."""

BRAIN_VOLUME_L = (1.28, 1.52)
"""Adult brains with their inner CSF; MNI152 itself is 1.88 L, larger than almost any."""

AXIS_JITTER = 0.03
"""Standard deviation of the head's proportions (relative)."""

FACE_TOP_MNI_MM, FACE_BACK_MNI_MM = 8, -56
"""Everything of the face lies below and in front of these."""

COARSE = 2
"""Distances are computed at every second voxel and interpolated: they are smooth, and eight times cheaper."""

CLOSING_MM = 18.0
"""Closes fissures and cisterns, so that the skull wraps the brain as a braincase does."""

MARGIN_VOXELS = 16
"""Room around the box, so that closing meets no edge."""


@dataclass(frozen=True, eq=False)
class Shell:
    """Distances that place everything outside the brain, in template mm.

    Parameters
    ----------
    braincase
        To the closed surface of the brain: negative inside.
    skin
        To the outer surface of the head: negative inside.
    """

    braincase: Floats
    skin: Floats


@dataclass(frozen=True, eq=False)
class TissueMap:
    """The MNI152 brain in a whole head of tissues, before it has signals.

    Parameters
    ----------
    brain
        Its maps, padded to the box of the whole head.
    shell
        Distances that place everything around it.
    labels
        ``Tissue`` of each voxel.
    scale_kji
        Edges of a voxel in mm: the head's size and proportions.
    """

    brain: Template
    shell: Shell
    labels: NDArray[np.uint8]
    scale_kji: NDArray[np.float64]


def template_head(rng: np.random.Generator) -> Head:
    """Build a head around the MNI152 brain; size, proportions, warp and thicknesses come from ``rng``.

    Raises
    ------
    InvalidInput
        nilearn, which carries the brain, is not installed.
    """
    return head_from_tissues(template_tissues(rng), rng)


def template_tissues(rng: np.random.Generator) -> TissueMap:
    """Build the tissues of a head around the MNI152 brain, as ``template_head`` does."""
    brain = _pad(load_template(rng))
    scale_kji = _scale(brain.brain_mask, rng)
    shell = _shell(brain.brain_mask)
    return TissueMap(brain, shell, _label_tissues(shell, brain.brain_mask, rng), scale_kji)


def head_from_tissues(tissues: TissueMap, rng: np.random.Generator) -> Head:
    """Give the tissues of a head their signals and their place in the world."""
    brain, scale_kji = tissues.brain, tissues.scale_kji
    t1, t1_post = _signals(tissues.labels, brain, rng)
    return Head(
        grid=_grid(brain.t1.shape, scale_kji),
        t1=t1,
        t1_post=t1_post,
        grey=brain.grey,
        white=brain.white,
        brain_mask=brain.brain_mask,
        brain_distance_mm=tissues.shell.braincase * np.float32(np.mean(scale_kji)),
        mni_ras_to_lps_mm=_mni_to_lps(scale_kji),
    )


def _pad(template: Template) -> Template:
    """Give every map the box of the whole head."""
    x, y, z = np.rint(template.origin_ras_mm).astype(int)
    before = (z - LOWEST_MNI_MM, ANTERIOR_MNI_MM - y, LEFT_RIGHT_MNI_MM - x)
    shape = (
        HIGHEST_MNI_MM - LOWEST_MNI_MM + 1,
        ANTERIOR_MNI_MM - POSTERIOR_MNI_MM + 1,
        2 * LEFT_RIGHT_MNI_MM + 1,
    )
    widths = [(b, n - b - size) for b, n, size in zip(before, shape, template.t1.shape, strict=True)]
    return Template(
        t1=np.pad(template.t1, widths),
        grey=np.pad(template.grey, widths),
        white=np.pad(template.white, widths),
        brain_mask=np.pad(template.brain_mask, widths),
        origin_ras_mm=np.array([LEFT_RIGHT_MNI_MM, ANTERIOR_MNI_MM, LOWEST_MNI_MM], dtype=np.float64),
    )


def _scale(brain_mask: Mask, rng: np.random.Generator) -> NDArray[np.float64]:
    volume_l = float(np.count_nonzero(brain_mask)) / 1e6
    proportions = np.exp(AXIS_JITTER * rng.standard_normal(3))
    proportions /= np.prod(proportions) ** (1 / 3)
    return np.asarray((rng.uniform(*BRAIN_VOLUME_L) / volume_l) ** (1 / 3) * proportions)


def _shell(brain_mask: Mask) -> Shell:
    coarse = brain_mask[::COARSE, ::COARSE, ::COARSE]
    spacing = (float(COARSE),) * 3
    padded = np.pad(coarse, MARGIN_VOXELS)
    grown = ndimage.distance_transform_edt(~padded, sampling=spacing) <= CLOSING_MM
    inner = slice(MARGIN_VOXELS, -MARGIN_VOXELS)
    closed = (ndimage.distance_transform_edt(grown, sampling=spacing) > CLOSING_MM)[inner, inner, inner]
    braincase = ndimage.gaussian_filter(signed_distance(closed | coarse, spacing), 1.0)
    skin = ndimage.gaussian_filter(_skin_distance(braincase), 2.0)
    return Shell(
        refine(braincase, COARSE, _shape(brain_mask)),
        refine(skin, COARSE, _shape(brain_mask)),
    )


def _skin_distance(braincase: Floats) -> Floats:
    """Union of a scalp around the braincase, a face, a nose, ears and a neck."""
    z, y, x = mni_axes(braincase.shape, COARSE)
    x = np.abs(x)
    scalp = braincase - 13.0
    face = _ellipsoid(x, y - 36, z + 52, (66, 60, 84))
    nose = _ellipsoid(x, y - 92, z + 58, (15, 19, 22))
    ear = _ellipsoid(x - 84, y + 22, z + 42, (8, 17, 27))
    neck = np.maximum((np.hypot(x / 60, (y + 34) / 66) - 1) * 60, z + 30)
    return np.asarray(np.minimum.reduce(np.broadcast_arrays(scalp, face, nose, ear, neck)), dtype=np.float32)


def _ellipsoid(x: Floats, y: Floats, z: Floats, radii: tuple[float, float, float]) -> Floats:
    norm = np.sqrt((x / radii[0]) ** 2 + (y / radii[1]) ** 2 + (z / radii[2]) ** 2)
    return np.asarray((norm - 1) * min(radii), dtype=np.float32)


def mni_axes(shape: tuple[int, ...], step: int = 1) -> tuple[Floats, Floats, Floats]:
    """Return z, y and x in MNI mm along the axes of the padded box, ready to broadcast."""
    z = LOWEST_MNI_MM + step * np.arange(shape[0], dtype=np.float32)
    y = ANTERIOR_MNI_MM - step * np.arange(shape[1], dtype=np.float32)
    x = LEFT_RIGHT_MNI_MM - step * np.arange(shape[2], dtype=np.float32)
    return z[:, None, None], y[None, :, None], x[None, None, :]


def _label_tissues(shell: Shell, brain_mask: Mask, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Paint from the outside inwards; later tissues cover earlier ones."""
    shape = _shape(brain_mask)
    depth, height = -shell.skin, shell.braincase
    wobble = refine(smooth_noise(rng, _halved(shape), 12), COARSE, shape)
    marbling = refine(smooth_noise(rng, _halved(shape), 3), COARSE, shape)
    labels = np.zeros(shape, dtype=np.uint8)
    labels[depth > 0] = Tissue.SKIN
    labels[depth > 2.0] = Tissue.FAT
    muscle = (depth > 6.0 + 1.2 * wobble) & (marbling > -1.1)
    labels[muscle] = Tissue.MUSCLE
    front = (slice(0, FACE_TOP_MNI_MM - LOWEST_MNI_MM), slice(0, ANTERIOR_MNI_MM - FACE_BACK_MNI_MM))
    z, y, x = mni_axes(shape)
    paint_face(labels[front], height[front], marbling[front], (z[front[0]], y[:, front[1]], x))
    skull = 7.0 + wobble
    inside = depth > 2.0
    labels[inside & (height < skull)] = Tissue.CORTICAL_BONE
    labels[inside & (height > 3.6) & (height < skull - 1.4)] = Tissue.MARROW
    labels[height < 2.2] = Tissue.DURA
    labels[height < 1.3] = Tissue.CSF
    _paint_spine(labels, shape)
    labels[brain_mask] = Tissue.BRAIN
    return labels


def _paint_spine(labels: NDArray[np.uint8], shape: Shape) -> None:
    """Continue the brainstem below the template's cut, with its canal and a column of vertebrae."""
    z, y, x = mni_axes(shape)
    below = z < -62
    canal = np.hypot(x, y + 50)
    column = np.hypot(x / 1.3, y + 26)
    labels[below & (column < 12) & (z < -76)] = Tissue.CORTICAL_BONE
    labels[below & (column < 10.5) & (z < -76) & (np.mod(z, 22) > 5)] = Tissue.MARROW
    labels[below & (canal < 13) & (z < -76)] = Tissue.CORTICAL_BONE
    labels[below & (canal < 10.5)] = Tissue.CSF
    labels[(z < -66) & (canal < 6)] = Tissue.CORD


def _signals(labels: NDArray[np.uint8], brain: Template, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Give every tissue its signal and some texture; the brain keeps the template's own."""
    shape = _shape(labels)
    texture = 1 + 0.10 * refine(smooth_noise(rng, _halved(shape), 2), COARSE, shape)
    deep = ndimage.binary_erosion(brain.brain_mask, iterations=2)  # away from the seam, keep the detail
    signals = []
    for column, brain_signal in ((0, brain.t1), (1, enhance_tissue(brain.t1, brain.grey, brain.white))):
        table = np.array([TISSUES[Tissue(n)][column] for n in range(len(Tissue))], dtype=np.float32)
        outside = table[labels] * texture
        whole = np.where(brain.brain_mask, np.maximum(brain_signal, table[Tissue.CSF]), outside)
        smoothed = ndimage.gaussian_filter(whole, 0.6)
        signals.append(np.where(deep, whole, smoothed).astype(np.float32))
    return signals[0], signals[1]


def _grid(shape: tuple[int, ...], scale_kji: NDArray[np.float64]) -> Grid:
    """Axes superior, posterior, left; MNI (0, 0, 0) is LPS (0, 0, 0)."""
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2] = scale_kji
    origin_lps = np.array([-LEFT_RIGHT_MNI_MM, -ANTERIOR_MNI_MM, LOWEST_MNI_MM])
    affine[:3, 3] = origin_lps * scale_kji[::-1]
    affine[3, 3] = 1
    return Grid((shape[0], shape[1], shape[2]), affine)


def _mni_to_lps(scale_kji: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.diag([-scale_kji[2], -scale_kji[1], scale_kji[0], 1.0])


def _shape(array: NDArray[np.generic]) -> Shape:
    return array.shape[0], array.shape[1], array.shape[2]


def _halved(shape: Shape) -> Shape:
    return shape[0] // COARSE + 1, shape[1] // COARSE + 1, shape[2] // COARSE + 1
