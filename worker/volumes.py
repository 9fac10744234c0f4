"""Datasets -> Volume: slices sorted by position, spacing checked, one affine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from core.geometry import Grid


@dataclass(frozen=True, slots=True)
class SliceReference:
    """Where the pixels of one slice of a volume came from.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid
        The source instance.
    frame_number
        1-based frame of an Enhanced MR instance, None for a classic one.
    """

    sop_class_uid: str
    sop_instance_uid: str
    frame_number: int | None


@dataclass(frozen=True, eq=False)
class Volume:
    """A scan in memory.

    Parameters
    ----------
    voxels_kji
        float32, (slices, rows, columns); modality values (rescale slope and intercept applied).
    grid
        Slice k lies at increasing position along the slice normal (row direction x column direction).
    frame_of_reference_uid
        Of the source series.
    slices
        One reference per k, in the order of ``voxels_kji``.
    """

    voxels_kji: NDArray[np.float32]
    grid: Grid
    frame_of_reference_uid: str
    slices: tuple[SliceReference, ...]


@dataclass(frozen=True, eq=False)
class SourceImages:
    """The instances a job is bound to, as datasets with pixels; ``t1`` is None without a usable T1."""

    t1_post: tuple[Dataset, ...]
    t1: tuple[Dataset, ...] | None
