"""What the brain extraction is trained with: soft Dice, and cross-entropy that counts most at the surface."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SURFACE_WEIGHT = 4.0
"""What a voxel at the surface weighs more than one far from it."""

SURFACE_VOXELS = 5
"""Edge of the block whose share of brain says how near the surface is: 4 mm to either side."""


def brain_loss(logits: Tensor, share: Tensor) -> Tensor:
    """Return soft Dice loss plus weighted cross-entropy.

    Parameters
    ----------
    logits, share
        (batch, 1, x, y, z); the share of brain in each voxel is 0 to 1: partial volumes place the surface
        between voxels.
    """
    weight = 1 + SURFACE_WEIGHT * nearness_to_surface(share)
    entropy = functional.binary_cross_entropy_with_logits(logits, share, reduction="none")
    return soft_dice_loss(logits, share) + (weight * entropy).sum() / weight.sum()


def soft_dice_loss(logits: Tensor, share: Tensor) -> Tensor:
    """Return 1 - Dice of probabilities and shares, averaged over the batch."""
    probability = torch.sigmoid(logits)
    axes = (1, 2, 3, 4)
    common = (probability * share).sum(axes)
    sizes = (probability**2).sum(axes) + (share**2).sum(axes)
    return (1 - (2 * common + 1) / (sizes + 1)).mean()


def nearness_to_surface(share: Tensor) -> Tensor:
    """Return 1 where half of the block around a voxel is brain, 0 where all of it or nothing is."""
    mean = functional.avg_pool3d(share, SURFACE_VOXELS, stride=1, padding=SURFACE_VOXELS // 2)
    return 1 - (2 * mean - 1).abs()


def dice(probability: Tensor, share: Tensor, threshold: float = 0.5) -> float:
    """Return the Dice coefficient of two masks: at or above the threshold, at least half brain."""
    found, truth = probability >= threshold, share >= 0.5
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum()).clamp(min=1))
