"""The ONNX files of a release: each checked before anything is written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import onnxruntime

from core.errors import InvalidInput
from worker.model_set import InputKind, Member
from worker.sessions import BATCH_DIMENSION, CPU, SILENT_BELOW_ERROR

MAX_FILE_BYTES = 12_000_000
"""A member with float16 weights has 6.4 MB; twice that are float32 weights, which an export never needs."""

FLOAT = "tensor(float)"
"""onnxruntime's name of float32."""

PATCHES_SEEN = re.compile(r"(\d+) patches of (\d+)\^3 voxels")
"""What ``training.train export`` writes into a file's metadata."""


@dataclass(frozen=True, slots=True)
class CheckedNetwork:
    """A file the service can run.

    Parameters
    ----------
    path, sha256
        The file and its content.
    metadata
        Of the file: its own words on how it was trained.
    """

    path: Path
    sha256: str
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class CheckedMember:
    """A member's new network.

    Parameters
    ----------
    name, file_name, input, loss
        As in the manifest.
    network
        Its file.
    n_patches
        It has seen, as its file says; None when the file does not say.
    """

    name: str
    file_name: str
    input: InputKind
    loss: str
    network: CheckedNetwork
    n_patches: int | None


def check_members(folder: Path, members: tuple[Member, ...], window_voxels: tuple[int, int, int]) -> tuple[
    CheckedMember, ...
]:  # fmt: skip
    """Check the file ``<member>.onnx`` of every member; other files in the folder are left alone.

    Raises
    ------
    InvalidInput
        One is missing, is no network for these windows, or was exported for another input or loss.
    """
    missing = [member.name for member in members if not (folder / f"{member.name}.onnx").is_file()]
    if missing:
        raise InvalidInput(f"{folder} has no file of {missing}, expected <member>.onnx for each member")
    return tuple(_check_member(folder / f"{member.name}.onnx", member, window_voxels) for member in members)


def check_network(path: Path, edges_voxels: tuple[int, int, int]) -> CheckedNetwork:
    """Check that the service can run a file: size, graph, input and output.

    Parameters
    ----------
    path
        Of the ONNX file.
    edges_voxels
        The window or cube it has to take.

    Raises
    ------
    InvalidInput
        It cannot.
    """
    content = _read(path)
    session = _open(path, content)
    expected = ([BATCH_DIMENSION, 1, *edges_voxels], FLOAT)
    for wanted, nodes in (("image", session.get_inputs()), ("probability", session.get_outputs())):
        found = {node.name: (node.shape, node.type) for node in nodes}
        if found != {wanted: expected}:
            raise InvalidInput(f"{path} has {found}, expected {wanted} of {expected[0]} as {expected[1]}")
    return CheckedNetwork(path, sha256(content).hexdigest(), session.get_modelmeta().custom_metadata_map)


def _check_member(path: Path, member: Member, window_voxels: tuple[int, int, int]) -> CheckedMember:
    network = check_network(path, window_voxels)
    for key, expected in (("input", member.input), ("loss", member.loss)):
        found = network.metadata.get(key, expected)
        if found != expected:
            raise InvalidInput(f"{path} was exported with {key} {found}, expected {expected}")
    seen = PATCHES_SEEN.match(network.metadata.get("training", ""))
    return CheckedMember(
        member.name, member.file, member.input, member.loss, network, int(seen[1]) if seen else None
    )


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"network {path} cannot be read: {error}") from error
    if len(content) > MAX_FILE_BYTES:
        raise InvalidInput(f"{path} has {len(content)} bytes, expected at most {MAX_FILE_BYTES}")
    return content


def _open(path: Path, content: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = SILENT_BELOW_ERROR
    try:
        return onnxruntime.InferenceSession(content, options, providers=[CPU])
    except Exception as error:  # onnxruntime's errors have no base of their own
        raise InvalidInput(f"{path} is no network onnxruntime can open: {error}") from error
