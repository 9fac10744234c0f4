"""Members as ONNX files: written as the service reads them, and read back to go on training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.errors import InvalidInput
from training.network import Block, UNet
from training.onnx_writer import GraphWriter

WINDOW_VOXELS = 96
"""Edge of the service's windows; the spatial size in the file."""

Weights = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Kernel and bias."""


def export_member(
    network: UNet, path: Path, facts: Mapping[str, str] | None = None, window_voxels: int = WINDOW_VOXELS
) -> None:
    """Write a network's evaluation mode as ONNX; the same weights give the same bytes.

    Input ``image`` and output ``probability``, both float32 [batch, 1, r, a, s]; see ``GraphWriter``.

    Parameters
    ----------
    network
        In whatever mode.
    path
        Of the file.
    facts
        Go into the file's metadata.
    window_voxels
        Edge of the windows.
    """
    graph = GraphWriter()
    graph.add("Sigmoid", [_write_network(graph, network)], "probability")
    path.write_bytes(graph.to_bytes("member", window_voxels, facts))


def load_member(path: Path, widths: Sequence[int]) -> UNet:
    """Read a member, also one written by another exporter, as a network that goes on training.

    The weights are found by their place in the graph. Batch normalisation, which the file no longer has,
    passes its input on and adds the bias: ``network.calibrate`` gives it statistics.

    Raises
    ------
    InvalidInput
        The file is not such a network.
    """
    import onnx

    found = list(_read_weights(onnx.load(path).graph, onnx.numpy_helper.to_array))
    network = UNet(widths)
    expected = list(_convolutions(network))
    shapes = [list(part.weight.shape) for part in expected]
    if [list(kernel.shape) for kernel, _ in found] != shapes:
        raise InvalidInput(f"{path} is no U-Net of widths {tuple(widths)}: its kernels differ")
    with torch.no_grad():
        for part, weights in zip(expected, found, strict=True):
            part.set(weights)
    network.eval()
    return network


def _write_network(graph: GraphWriter, network: UNet) -> str:
    """Add everything up to the logits."""
    features = _write_block(graph, network.e[0], "image", "e.0")
    skips = []
    for level, block in enumerate(list(network.e)[1:], start=1):
        skips.append(features)
        pooled = graph.add("MaxPool", [features], f"pool.{level}", kernel_shape=3 * [2], strides=3 * [2])
        features = _write_block(graph, block, pooled, f"e.{level}")
    for level in reversed(range(len(skips))):
        raised = graph.add_convolution(features, network.up[level], f"up.{level}")
        joined = graph.add("Concat", [skips[level], raised], f"joined.{level}", axis=1)
        features = _write_block(graph, network.d[level], joined, f"d.{level}")
    return graph.add_convolution(features, network.out, "out")


def _write_block(graph: GraphWriter, block: nn.Module, source: str, name: str) -> str:
    assert isinstance(block, Block)  # noqa: S101 - for the type checker
    first = graph.add_convolution(source, block.c1, f"{name}.c1", block.b1)
    inner = graph.add("Relu", [first], f"{name}.inner")
    second = graph.add_convolution(inner, block.c2, f"{name}.c2", block.b2)
    projected = graph.add_convolution(source, block.p, f"{name}.p")
    return graph.add("Relu", [graph.add("Add", [second, projected], f"{name}.sum")], name)


@dataclass(frozen=True, slots=True)
class _Convolution:
    """Where the kernel and bias of one convolution of a file go."""

    weight: Tensor
    bias: Tensor
    normalisation: nn.BatchNorm3d | None = None

    def set(self, weights: Weights) -> None:
        """Copy what the file has; a normalisation between is made to do nothing else."""
        self.weight.copy_(torch.from_numpy(weights[0]))
        self.bias.copy_(torch.from_numpy(weights[1]))
        if self.normalisation is not None:
            layer = self.normalisation
            layer.weight.copy_((layer.running_var.double() + layer.eps).sqrt())


def _convolutions(network: UNet) -> Iterator[_Convolution]:
    """Yield the convolutions as a file has them, from input to output."""
    for block in network.e:
        yield from _block_convolutions(block)
    for level in reversed(range(len(network.up))):
        yield _Convolution(network.up[level].weight, network.up[level].bias)
        yield from _block_convolutions(network.d[level])
    yield _Convolution(network.out.weight, network.out.bias)


def _block_convolutions(block: nn.Module) -> Iterator[_Convolution]:
    assert isinstance(block, Block)  # noqa: S101 - for the type checker
    yield _Convolution(block.c1.weight, block.b1.bias, block.b1)
    yield _Convolution(block.c2.weight, block.b2.bias, block.b2)
    yield _Convolution(block.p.weight, block.p.bias)


def _read_weights(graph: Any, to_array: Any) -> Iterator[Weights]:
    """Yield kernel and bias of the convolutions in the graph's order, which ONNX wants topological."""
    values = {one.name: to_array(one).astype(np.float32) for one in graph.initializer}
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]]
        elif node.op_type in {"Conv", "ConvTranspose"}:
            missing = [name for name in node.input[1:] if name not in values]
            if missing or len(node.input) != 3:
                raise InvalidInput(f"{node.op_type} {node.name} has no stored {missing or 'bias'}")
            yield values[node.input[1]], values[node.input[2]]
