"""The brain extraction as an ONNX file: ``python -m training.brain_onnx --checkpoint FILE --out FILE``."""

from __future__ import annotations

import argparse
import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from core.errors import InvalidInput
from training.brain_checkpoint import load_state
from training.brain_network import BrainNetwork

LOGGER = logging.getLogger(__name__)

OPSET = 17
IR_VERSION = 8
"""What the deployed onnxruntime and its OpenVINO provider read."""

CUBE_VOXELS = 128
"""Edge of the service's cube; fixed in the file, so that engines plan once."""

HALF_FROM_VALUES = 1000
"""Kernels of fewer values stay float32: they cost nothing."""


def export_brain(network: BrainNetwork, path: Path, cube_voxels: int = CUBE_VOXELS) -> str:
    """Write a network's evaluation mode; the same weights give the same bytes.

    Input ``image`` and output ``probability``, both float32 [batch, 1, r, a, s]. Batch normalisation is
    folded into the convolutions; large kernels are stored as float16 and cast when the file is loaded.

    Returns
    -------
    str
        SHA-256 (hexadecimal) of the file: the manifest wants it.

    Raises
    ------
    InvalidInput
        The cube does not fit the network, or a weight is not finite.
    """
    if cube_voxels % network.edge_multiple:
        raise InvalidInput(
            f"the cube has {cube_voxels} voxels, expected a multiple of {network.edge_multiple}"
        )
    graph = _Graph()
    graph.add("Sigmoid", [_write_network(graph, network.eval())], "probability")
    content = graph.to_model(cube_voxels).SerializeToString(deterministic=True)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


class _Graph:
    """Nodes and weights in the making."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._casts: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def add(self, operation: str, inputs: Sequence[str], output: str, **attributes: object) -> str:
        """Add a node; return the name of its output."""
        self._nodes.append(helper.make_node(operation, list(inputs), [output], name=output, **attributes))
        return output

    def add_convolution(self, source: str, layer: nn.Conv3d | nn.ConvTranspose3d, name: str) -> str:
        """Add a convolution or a transposed one, with bias."""
        if layer.bias is None:
            raise InvalidInput(f"{name} has no bias, expected batch normalisation folded into it")
        operation = "ConvTranspose" if isinstance(layer, nn.ConvTranspose3d) else "Conv"
        kernel = self._weight(f"{name}.weight", _array(layer.weight))
        bias = self._weight(f"{name}.bias", _array(layer.bias))
        padding = [int(n) for n in layer.padding]
        return self.add(
            operation, [source, kernel, bias], name,
            kernel_shape=list(layer.kernel_size), strides=list(layer.stride), pads=2 * padding,
        )  # fmt: skip

    def to_model(self, cube_voxels: int) -> onnx.ModelProto:
        """Return the model from ``image`` to ``probability``."""
        shape = ["batch", 1, *3 * [cube_voxels]]
        graph = helper.make_graph(
            self._casts + self._nodes,
            "brain_extraction",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("probability", TensorProto.FLOAT, shape)],
            self._weights,
        )
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="metserve")

    def _weight(self, name: str, values: NDArray[np.float32]) -> str:
        half = values.size >= HALF_FROM_VALUES
        stored = values.astype(np.float16 if half else np.float32)
        if not np.isfinite(stored).all():
            raise InvalidInput(
                f"{name} holds values that are not finite in {stored.dtype}, expected finite ones"
            )
        stored_name = f"{name}_fp16" if half else name
        self._weights.append(numpy_helper.from_array(stored, stored_name))
        if half:
            self._casts.append(
                helper.make_node("Cast", [stored_name], [name], name=f"{name}_cast", to=TensorProto.FLOAT)
            )
        return name


def _write_network(graph: _Graph, network: BrainNetwork) -> str:
    """Add everything up to the logits; follows ``BrainNetwork.forward``."""
    folded = graph.add_convolution("image", network.fold, "fold")
    features = _write_block(graph, network.encoders[0], folded, "encoder.0")
    skips = []
    for level, encoder in enumerate(list(network.encoders)[1:], start=1):
        skips.append(features)
        pooled = graph.add("MaxPool", [features], f"pool.{level}", kernel_shape=[2] * 3, strides=[2] * 3)
        features = _write_block(graph, encoder, pooled, f"encoder.{level}")
    for level in reversed(range(len(skips))):
        raised = graph.add_convolution(features, network.ups[level], f"up.{level}")
        joined = graph.add("Concat", [skips[level], raised], f"joined.{level}", axis=1)
        features = _write_block(graph, network.decoders[level], joined, f"decoder.{level}")
    joined = graph.add("Concat", [folded, features], "joined.fold", axis=1)
    return graph.add_convolution(joined, network.unfold, "unfold")


def _write_block(graph: _Graph, block: nn.Module, source: str, name: str) -> str:
    """Add the convolutions of a block, each with its normalisation folded into it, and ReLU."""
    layers = list(block.children())
    for n, (convolution, normalisation) in enumerate(zip(layers[::3], layers[1::3], strict=True)):
        fused = fuse_conv_bn_eval(convolution, normalisation)
        source = graph.add_convolution(source, fused, f"{name}.{n}")
        source = graph.add("Relu", [source], f"{name}.{n}.relu")
    return source


def _array(values: torch.Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = values.detach().cpu().float().contiguous().numpy()
    return array


def main(arguments: Sequence[str] | None = None) -> None:
    """Export the averaged network of a checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="brain.pt of a training run")
    parser.add_argument("--out", type=Path, required=True, help="ONNX file to write")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    state = load_state(options.checkpoint)
    sha256 = export_brain(state.averaged, options.out)
    LOGGER.info("%s: step %d, sha256 = %s", options.out, state.step, sha256)


if __name__ == "__main__":
    main()
