"""Networks as ONNX graphs for the service: normalisation folded in, large weights in half precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from core.errors import InvalidInput
from training.network import scale_and_shift

OPSET = 17
IR_VERSION = 8
"""What the deployed onnxruntime and its OpenVINO provider read."""

HALF_FROM_VALUES = 1000
"""Weights of fewer values stay float32: they cost nothing."""

FLOAT, FLOAT16 = 1, 10
"""``onnx.TensorProto.DataType``."""


class GraphWriter:
    """Nodes and weights of a graph from ``image`` to ``probability`` in the making.

    Batch normalisation is folded into the convolutions in float64; large weights are stored as float16 and
    cast as the file is loaded. Needs ``onnx``.
    """

    def __init__(self) -> None:
        from onnx import helper  # machines that only train do without it

        self._helper: Any = helper
        self._nodes: list[Any] = []
        self._casts: list[Any] = []
        self._initializers: list[Any] = []

    def add(self, operation: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node; return the name of its output."""
        self._nodes.append(
            self._helper.make_node(operation, list(inputs), [output], name=output, **attributes)
        )
        return output

    def add_convolution(
        self, source: str, layer: nn.Module, name: str, normalisation: nn.BatchNorm3d | None = None
    ) -> str:
        """Add a convolution or a transposed one with its bias; return the name of its output.

        Parameters
        ----------
        source
            What goes in.
        layer
            ``Conv3d`` or ``ConvTranspose3d``.
        name
            Of the output, and the beginning of the weights' names.
        normalisation
            What follows a convolution without bias, to be folded into it.
        """
        kernel, bias = _plain(layer) if normalisation is None else _fold(layer, normalisation)
        return self.add(
            "ConvTranspose" if isinstance(layer, nn.ConvTranspose3d) else "Conv",
            [source, self._weight(f"{name}.weight", kernel), self._weight(f"{name}.bias", bias)],
            name,
            kernel_shape=list(layer.kernel_size),
            strides=list(layer.stride),
            pads=2 * list(layer.padding),
        )

    def to_bytes(self, name: str, edge_voxels: int, facts: Mapping[str, str] | None = None) -> bytes:
        """Return the file: the same weights give the same bytes.

        Parameters
        ----------
        name
            Of the graph.
        edge_voxels
            Of the cubes: ``image`` and ``probability`` are float32 [batch, 1, r, a, s].
        facts
            Go into the file's metadata.
        """
        helper = self._helper
        shape = ["batch", 1, *3 * [edge_voxels]]
        model = helper.make_model(
            helper.make_graph(
                self._casts + self._nodes,
                name,
                [helper.make_tensor_value_info("image", FLOAT, shape)],
                [helper.make_tensor_value_info("probability", FLOAT, shape)],
                self._initializers,
            ),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="metserve",
        )
        helper.set_model_props(model, dict(sorted((facts or {}).items())))
        content: bytes = model.SerializeToString(deterministic=True)
        return content

    def _weight(self, name: str, values: NDArray[np.float32]) -> str:
        if values.size < HALF_FROM_VALUES:
            self._initialize(name, values.astype(np.float32), FLOAT)
            return name
        with np.errstate(over="ignore"):
            self._initialize(f"{name}_fp16", values.astype(np.float16), FLOAT16)
        cast = self._helper.make_node("Cast", [f"{name}_fp16"], [name], name=f"{name}_cast", to=FLOAT)
        self._casts.append(cast)
        return name

    def _initialize(self, name: str, values: NDArray[Any], data_type: int) -> None:
        if not np.isfinite(values).all():
            raise InvalidInput(
                f"{name} has values that are not finite in {values.dtype}, expected finite ones"
            )
        self._initializers.append(
            self._helper.make_tensor(name, data_type, values.shape, values.tobytes(), raw=True)
        )


def _plain(layer: nn.Module) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return kernel and bias."""
    return _array(layer.weight), _array(layer.bias)


def _fold(layer: nn.Module, normalisation: nn.BatchNorm3d) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return kernel and bias of a convolution with what follows it."""
    scale, shift = scale_and_shift(normalisation)
    return _array(layer.weight.double() * scale[:, None, None, None, None]), _array(shift)


def _array(values: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = values.detach().cpu().float().contiguous().numpy()
    return array
