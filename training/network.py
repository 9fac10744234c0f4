"""The network of every member: a three-dimensional U-Net of residual blocks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

INITIAL_PROBABILITY = 1e-3
"""Of an untrained network, everywhere: about one voxel in a thousand is lesion, and losses collapse less."""

AVERAGE_DELAY_STEPS = 10
"""The average follows the weights closely in its first steps: decay (1 + n) / (10 + n) at most."""


class Block(nn.Module):
    """Two convolutions with batch normalisation beside a projection of what comes in."""

    def __init__(self, before: int, after: int, momentum: float) -> None:
        super().__init__()
        self.c1 = nn.Conv3d(before, after, 3, padding=1, bias=False)
        self.b1 = nn.BatchNorm3d(after, momentum=momentum)
        self.c2 = nn.Conv3d(after, after, 3, padding=1, bias=False)
        self.b2 = nn.BatchNorm3d(after, momentum=momentum)
        self.p = nn.Conv3d(before, after, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return as many voxels with ``after`` channels."""
        inner = functional.relu(self.b1(self.c1(features)))
        return functional.relu(self.b2(self.c2(inner)) + self.p(features))


class UNet(nn.Module):
    """Logits of lesion for every voxel.

    Parameters
    ----------
    widths
        Channels a level, finest first.
    momentum
        Of the running statistics.
    """

    def __init__(self, widths: Sequence[int], momentum: float = 0.05) -> None:
        super().__init__()
        self.widths = tuple(widths)
        finer, coarser = self.widths[:-1], self.widths[1:]
        self.e = nn.ModuleList(
            Block(before, after, momentum) for before, after in zip((1, *finer), self.widths, strict=True)
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose3d(low, high, 2, stride=2) for high, low in zip(finer, coarser, strict=True)
        )
        self.d = nn.ModuleList(Block(2 * width, width, momentum) for width in finer)
        self.out = nn.Conv3d(self.widths[0], 1, 1)
        nn.init.constant_(self.out.bias, math.log(INITIAL_PROBABILITY / (1 - INITIAL_PROBABILITY)))

    def forward(self, image: Tensor) -> Tensor:
        """Return logits.

        Parameters
        ----------
        image
            [batch, 1, r, a, s]; the edges are multiples of 2^(levels - 1).
        """
        skips = []
        features = self.e[0](image)
        for block in list(self.e)[1:]:
            skips.append(features)
            features = block(functional.max_pool3d(features, 2))
        for level in reversed(range(len(skips))):
            features = self.d[level](torch.cat([skips[level], self.up[level](features)], 1))
        logits: Tensor = self.out(features)
        return logits


def set_training_mode(network: nn.Module, *, frozen_statistics: bool) -> None:
    """Switch to training, with batch statistics or with the running ones."""
    network.train()
    if frozen_statistics:
        for part in network.modules():
            if isinstance(part, nn.BatchNorm3d):
                part.eval()


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move an average towards the weights and the running statistics of a network."""
    decay = min(decay, (1 + step) / (AVERAGE_DELAY_STEPS + step))
    theirs = network.state_dict()
    for name, tensor in average.state_dict().items():
        if tensor.is_floating_point():
            tensor.lerp_(theirs[name], 1 - decay)
        else:
            tensor.copy_(theirs[name])


def set_momentum(network: nn.Module, momentum: float) -> None:
    """Let the running statistics follow the batches at another pace."""
    for part in network.modules():
        if isinstance(part, nn.BatchNorm3d):
            part.momentum = momentum


def calibrate(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Take the running statistics from batches and leave the function in evaluation mode as it is.

    A network read from ONNX has no statistics left. Here each normalisation gets the mean and variance of
    what really reaches it, and the scale and shift that undo them: the next training step then sees nearly
    the same features. All layers at once, since none changes its output.
    """
    layers = [part for part in network.modules() if isinstance(part, nn.BatchNorm3d)]
    collected: dict[nn.BatchNorm3d, list[tuple[Tensor, Tensor]]] = {layer: [] for layer in layers}

    def collect(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        features = inputs[0].double()
        axes = (0, 2, 3, 4)
        assert isinstance(layer, nn.BatchNorm3d)  # noqa: S101 - for the type checker
        collected[layer].append((features.mean(axes), features.square().mean(axes)))

    hooks = [layer.register_forward_pre_hook(collect) for layer in layers]
    network.eval()
    with torch.no_grad():
        for batch in batches:
            network(batch)
        for hook in hooks:
            hook.remove()
        for layer, moments in collected.items():
            _rebase(layer, *(torch.stack(part).mean(0) for part in zip(*moments, strict=True)))


def _rebase(layer: nn.BatchNorm3d, mean: Tensor, square: Tensor) -> None:
    """Give a normalisation other statistics and the same function."""
    scale, shift = scale_and_shift(layer)
    variance = (square - mean.square()).clamp(min=0)
    layer.weight.copy_(scale * (variance + layer.eps).sqrt())
    layer.bias.copy_(shift + mean * scale)
    layer.running_mean.copy_(mean)
    layer.running_var.copy_(variance)


def scale_and_shift(layer: nn.BatchNorm3d) -> tuple[Tensor, Tensor]:
    """Return what a normalisation does in evaluation mode, as float64: ``x * scale + shift``."""
    scale = layer.weight.double() / (layer.running_var.double() + layer.eps).sqrt()
    return scale, layer.bias.double() - layer.running_mean.double() * scale
