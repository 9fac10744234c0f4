"""ONNX files of one node, encoded by hand: the package onnx is not where these tests run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

FLOAT = 1
DOUBLE = 11


def write_network(
    path: Path,
    edges: Sequence[int] = (96, 96, 96),
    metadata: Mapping[str, str] | None = None,
    *,
    image: str = "image",
    batch: str = "batch",
    element: int = FLOAT,
    content: str = "",
) -> Path:
    """Write a network that is a sigmoid; ``content`` makes one file differ from another."""
    node = _text(1, image) + _text(2, "probability") + _text(4, "Sigmoid")
    graph = _part(1, node) + _text(2, "tiny")
    graph += _part(11, _value(image, batch, edges, element))
    graph += _part(12, _value("probability", batch, edges, element))
    model = _number(1, 8) + _text(2, "tests") + _text(6, content) + _part(7, graph) + _part(8, _number(2, 17))
    for key, value in (metadata or {}).items():
        model += _part(14, _text(1, key) + _text(2, value))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model)
    return path


def _value(name: str, batch: str, edges: Sequence[int], element: int) -> bytes:
    dimensions = [_text(2, batch), *(_number(1, edge) for edge in (1, *edges))]
    shape = b"".join(_part(1, dimension) for dimension in dimensions)
    return _text(1, name) + _part(2, _part(1, _number(1, element) + _part(2, shape)))


def _text(field: int, text: str) -> bytes:
    return _part(field, text.encode())


def _part(field: int, content: bytes) -> bytes:
    """Protocol buffers: length-delimited."""
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _varint(value: int) -> bytes:
    groups = []
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])
