"""The brain extraction as an ONNX file: ``python -m training.brain.export --run RUN --out FILE``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from torch import nn

from core.errors import InvalidInput, MetserveError
from training.brain.checkpoint import load_state
from training.brain.network import BrainNetwork
from training.onnx_writer import GraphWriter

CUBE_VOXELS = 128
"""Edge of the service's cube; fixed in the file, so that engines plan once."""


def export_brain(network: BrainNetwork, path: Path, cube_voxels: int = CUBE_VOXELS) -> str:
    """Write a network's evaluation mode; the same weights give the same bytes.

    Input ``image`` and output ``probability``, both float32 [batch, 1, r, a, s]; see ``GraphWriter``.

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
    graph = GraphWriter()
    graph.add("Sigmoid", [_write_network(graph, network)], "probability")
    content = graph.to_bytes("brain_extraction", cube_voxels)
    path.write_bytes(content)
    return sha256(content).hexdigest()


def _write_network(graph: GraphWriter, network: BrainNetwork) -> str:
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


def _write_block(graph: GraphWriter, block: nn.Module, source: str, name: str) -> str:
    """Add the convolutions of a block, each with its normalisation folded into it, and ReLU."""
    layers = list(block.children())
    for n, (convolution, normalisation) in enumerate(zip(layers[::3], layers[1::3], strict=True)):
        source = graph.add_convolution(source, convolution, f"{name}.{n}", normalisation)
        source = graph.add("Relu", [source], f"{name}.{n}.relu")
    return source


def main(arguments: Sequence[str] | None = None) -> int:
    """Export the averaged network of a run; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m training.brain.export", description="Write the averaged network of a run as ONNX."
    )
    parser.add_argument("--run", type=Path, required=True, help="folder of checkpoints")
    parser.add_argument("--out", type=Path, required=True, help="ONNX file to write")
    options = parser.parse_args(arguments)
    try:
        state = load_state(options.run)
        digest = export_brain(state.averaged, options.out)
    except MetserveError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{digest}  {options.out}  {state.step} steps\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
