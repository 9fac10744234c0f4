"""The network of the brain extraction: a U-Net whose body runs at half the resolution of its input.

The first layer folds 2 x 2 x 2 voxels into one of more than eight channels, so nothing is lost; the last
layer unfolds them again. A voxel of the input costs an eighth of what it would cost in a plain U-Net.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

FOLD = 2
"""Edge of the block of input voxels that becomes one voxel of the body."""

BATCH_NORM_MOMENTUM = 0.05
"""Batches are small: the running statistics average the last twenty and more."""


@dataclass(frozen=True, slots=True)
class BrainNetworkSettings:
    """Shape of the network.

    Parameters
    ----------
    widths
        Channels of each level; the first runs at half the input's resolution.
        Multiples of 16: the matrix units of processors and GPUs take no less.
    """

    widths: tuple[int, ...] = (16, 32, 64, 96, 128)


class BrainNetwork(nn.Module):
    """Maps heads (batch, 1, x, y, z), edges multiples of ``edge_multiple``, to logits of that shape."""

    def __init__(self, settings: BrainNetworkSettings) -> None:
        super().__init__()
        widths = settings.widths
        self.settings = settings
        self.fold = nn.Conv3d(1, widths[0], FOLD, stride=FOLD)
        self.encoders = nn.ModuleList(
            _block(before, after) for before, after in pairwise((widths[0], *widths))
        )
        pairs = list(pairwise(widths))
        self.ups = nn.ModuleList(nn.ConvTranspose3d(below, width, 2, stride=2) for width, below in pairs)
        self.decoders = nn.ModuleList(_block(2 * width, width) for width, _ in pairs)
        self.unfold = nn.ConvTranspose3d(2 * widths[0], 1, FOLD, stride=FOLD)

    @property
    def edge_multiple(self) -> int:
        """What the edges of the input must be multiples of."""
        return FOLD * 2 ** len(self.ups)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits of an image."""
        folded = self.fold(image)
        skips = []
        features = self.encoders[0](folded)
        for encoder in list(self.encoders)[1:]:
            skips.append(features)
            features = encoder(functional.max_pool3d(features, 2))
        for up, decoder in zip(reversed(self.ups), reversed(self.decoders), strict=True):
            features = decoder(torch.cat([skips.pop(), up(features)], dim=1))
        logits: Tensor = self.unfold(torch.cat([folded, features], dim=1))
        return logits


def _block(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(*_convolution(before, after), *_convolution(after, after))


def _convolution(before: int, after: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv3d(before, after, 3, padding=1, bias=False),
        nn.BatchNorm3d(after, momentum=BATCH_NORM_MOMENTUM),
        nn.ReLU(inplace=True),
    )
