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
from training.network import Block, UNet, scale_and_shift

OPSET = 17
IR_VERSION = 8
"""What the deployed onnxruntime and its OpenVINO provider read."""

WINDOW_VOXELS = 96
"""Edge of the service's windows; the spatial size in the file."""

HALF_FROM_VALUES = 1000
"""Weights of fewer values stay float32: they cost nothing."""

Weights = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Kernel and bias."""


def export_member(
    network: UNet, path: Path, facts: Mapping[str, str] | None = None, window_voxels: int = WINDOW_VOXELS
) -> None:
    """Write a network's evaluation mode as ONNX; the same weights give the same bytes.

    Input ``image`` and output ``probability``, both float32 [batch, 1, r, a, s]. Batch normalisation is
    folded into the convolutions in float64; large weights are stored as float16 and cast as the file is
    loaded.

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
    from onnx import helper

    graph = _GraphWriter(helper)
    graph.add("Sigmoid", [_write_network(graph, network)], "probability")
    shape = ["batch", 1, *3 * [window_voxels]]
    model = helper.make_model(
        helper.make_graph(
            graph.casts + graph.nodes,
            "member",
            [helper.make_tensor_value_info("image", 1, shape)],
            [helper.make_tensor_value_info("probability", 1, shape)],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="metserve",
    )
    helper.set_model_props(model, dict(sorted((facts or {}).items())))
    path.write_bytes(model.SerializeToString(deterministic=True))


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


class _GraphWriter:
    """Nodes and weights of a graph in the making."""

    def __init__(self, helper: Any) -> None:
        self._helper = helper
        self.nodes: list[Any] = []
        self.casts: list[Any] = []
        self.initializers: list[Any] = []

    def add(self, operation: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node; return the name of its output."""
        self.nodes.append(
            self._helper.make_node(operation, list(inputs), [output], name=output, **attributes)
        )
        return output

    def add_convolution(self, operation: str, source: str, name: str, weights: Weights) -> str:
        """Add a convolution that keeps the edges, or one that doubles them."""
        edge = weights[0].shape[-1]
        strides = 3 * [2 if operation == "ConvTranspose" else 1]
        pads = 6 * [edge // 2 if operation == "Conv" else 0]
        inputs = [
            source,
            self._weight(f"{name}.weight", weights[0]),
            self._weight(f"{name}.bias", weights[1]),
        ]
        return self.add(operation, inputs, name, kernel_shape=3 * [edge], strides=strides, pads=pads)

    def _weight(self, name: str, values: NDArray[np.float32]) -> str:
        if values.size < HALF_FROM_VALUES:
            self._initialize(name, values.astype(np.float32), 1)
            return name
        with np.errstate(over="ignore"):
            self._initialize(f"{name}_fp16", values.astype(np.float16), 10)
        self.casts.append(self._helper.make_node("Cast", [f"{name}_fp16"], [name], name=f"{name}_cast", to=1))
        return name

    def _initialize(self, name: str, values: NDArray[Any], data_type: int) -> None:
        if not np.isfinite(values).all():
            raise InvalidInput(
                f"{name} has values that are not finite in {values.dtype}, expected finite ones"
            )
        self.initializers.append(
            self._helper.make_tensor(name, data_type, values.shape, values.tobytes(), raw=True)
        )


def _write_network(graph: _GraphWriter, network: UNet) -> str:
    """Add everything up to the logits."""
    features = _write_block(graph, network.e[0], "image", "e.0")
    skips = []
    for level, block in enumerate(list(network.e)[1:], start=1):
        skips.append(features)
        pooled = graph.add("MaxPool", [features], f"pool.{level}", kernel_shape=3 * [2], strides=3 * [2])
        features = _write_block(graph, block, pooled, f"e.{level}")
    for level in reversed(range(len(skips))):
        raised = graph.add_convolution("ConvTranspose", features, f"up.{level}", _plain(network.up[level]))
        joined = graph.add("Concat", [skips[level], raised], f"joined.{level}", axis=1)
        features = _write_block(graph, network.d[level], joined, f"d.{level}")
    return graph.add_convolution("Conv", features, "out", _plain(network.out))


def _write_block(graph: _GraphWriter, block: nn.Module, source: str, name: str) -> str:
    assert isinstance(block, Block)  # noqa: S101 - for the type checker
    first = graph.add_convolution("Conv", source, f"{name}.c1", _fold(block.c1, block.b1))
    inner = graph.add("Relu", [first], f"{name}.inner")
    second = graph.add_convolution("Conv", inner, f"{name}.c2", _fold(block.c2, block.b2))
    projected = graph.add_convolution("Conv", source, f"{name}.p", _plain(block.p))
    return graph.add("Relu", [graph.add("Add", [second, projected], f"{name}.sum")], name)


def _fold(convolution: nn.Module, normalisation: nn.BatchNorm3d) -> Weights:
    scale, shift = scale_and_shift(normalisation)
    return _array(convolution.weight.double() * scale[:, None, None, None, None]), _array(shift)


def _plain(convolution: nn.Module) -> Weights:
    return _array(convolution.weight), _array(convolution.bias)


def _array(values: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = values.detach().cpu().float().contiguous().numpy()
    return array


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
