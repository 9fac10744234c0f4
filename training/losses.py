"""The paper's four losses, and the compound one a trunk is trained with."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from training.settings import LossName, LossSettings

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(logits, target, weights) -> scalar; all [batch, 1, r, a, s], target 0 or 1."""


def make_loss(name: LossName, settings: LossSettings) -> Loss:
    """Return the loss of a name, computed in float32 whatever the logits are."""

    def loss(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
        logits, target, weights = logits.float(), target.float(), weights.float()
        match name:
            case "cross_entropy":
                return cross_entropy(logits, target, weights)
            case "balanced_cross_entropy":
                return balanced_cross_entropy(logits, target, weights, settings.balance_limit)
            case "soft_dice":
                return soft_dice(logits, target, weights, settings.dice_smoothing)
            case "focal":
                return focal(logits, target, weights, settings.focal_alpha, settings.focal_gamma)
            case "trunk":
                dice = soft_dice(logits, target, weights, settings.dice_smoothing)
                return cross_entropy(logits, target, weights) + dice

    return loss


def cross_entropy(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean over the voxels of the cross-entropy."""
    return _mean(_entropies(logits, target), weights)


def balanced_cross_entropy(logits: Tensor, target: Tensor, weights: Tensor, limit: float) -> Tensor:
    """Cross-entropy in which lesion and background weigh alike in a batch.

    Parameters
    ----------
    logits, target, weights
        Of a batch; a voxel of weight 0 counts neither as lesion nor as background.
    limit
        Largest weight of a lesion voxel against a background voxel.
    """
    counted = (weights > 0).float()
    lesion = (counted * target).sum()
    balance = ((counted.sum() - lesion) / lesion.clamp(min=1)).clamp(1, limit)
    return _mean(_entropies(logits, target), weights * torch.where(target > 0, balance, 1.0))


def soft_dice(logits: Tensor, target: Tensor, weights: Tensor, smoothing: float) -> Tensor:
    """One minus the Dice coefficient of probabilities, over the batch as a whole.

    Patch by patch it would be undefined in patches without lesion.
    """
    probability = torch.sigmoid(logits)
    overlap = 2 * (weights * probability * target).sum()
    total = (weights * (probability + target)).sum()
    return 1 - (overlap + smoothing) / (total + smoothing)


def focal(logits: Tensor, target: Tensor, weights: Tensor, alpha: float, gamma: float) -> Tensor:
    """Cross-entropy of which the easy voxels are faded out (Lin 2017), weighted mean over the voxels."""
    probability = torch.sigmoid(logits)
    missed = torch.where(target > 0, 1 - probability, probability)
    share = torch.where(target > 0, alpha, 1 - alpha)
    return _mean(share * missed.pow(gamma) * _entropies(logits, target), weights)


def _entropies(logits: Tensor, target: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, target, reduction="none")


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    return (values * weights).sum() / weights.sum()
