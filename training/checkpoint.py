"""A training's state on disk: named arrays in parts small enough for any store, whole or not there at all."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidInput

LOGGER = logging.getLogger(__name__)

MANIFEST_FILE = "manifest.json"
PART_BYTES = 15_000_000
"""Under 16 MB, the limit of some stores and reviews."""

FOLDER_PREFIX = "checkpoint-"

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Everything the next step depends on.

    Parameters
    ----------
    step
        The next one.
    arrays
        Weights, averages and moments by name.
    facts
        Whatever else, as JSON knows it.
    """

    step: int
    arrays: Arrays
    facts: dict[str, Any]


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint beside the ones a folder has, then remove all but the one before it.

    The parts are on the disk before the folder gets its name: a reader never sees half of one. One of the
    same step that is whole stays as it is. Later ones are removed: who went on from an earlier one found them
    damaged.
    """
    target = folder / f"{FOLDER_PREFIX}{checkpoint.step:08d}"
    if _is_whole(target):
        return target
    unfinished = folder / f".{target.name}"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    _write_content(unfinished, checkpoint)
    shutil.rmtree(target, ignore_errors=True)
    unfinished.rename(target)
    _sync(folder)
    earlier = [path for path in _checkpoints(folder) if path.name < target.name]
    for path in _checkpoints(folder):
        if path not in (target, *earlier[-1:]):
            shutil.rmtree(path)
    return target


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """Read the newest checkpoint of a folder that is whole; None where there is none at all.

    Raises
    ------
    InvalidInput
        All of them are damaged; it names what is wrong with the newest.
    """
    damages = []
    for path in reversed(_checkpoints(folder)):
        try:
            return _read(path)
        except InvalidInput as damage:
            LOGGER.warning("%s: going on with the checkpoint before it, if there is one", damage)
            damages.append(damage)
    if damages:
        raise damages[0]
    return None


def has_checkpoints(folder: Path) -> bool:
    """Say whether a folder has checkpoints, whole or damaged."""
    return any(folder.glob(f"{FOLDER_PREFIX}*"))


def newest_step(folder: Path) -> int:
    """Return the step of the newest checkpoint that is whole; 0 where there is none."""
    return next((_step(path) for path in reversed(_checkpoints(folder)) if _is_whole(path)), 0)


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob(f"{FOLDER_PREFIX}*/{MANIFEST_FILE}"))


def _step(path: Path) -> int:
    return int(path.name.removeprefix(FOLDER_PREFIX))


def _is_whole(path: Path) -> bool:
    try:
        _read(path)
    except InvalidInput:
        return False
    return True


def _write_content(folder: Path, checkpoint: Checkpoint) -> None:
    """Write parts and manifest, through to the disk."""
    parts = {}
    for number, content in enumerate(_parts(checkpoint.arrays.values())):
        name = f"part-{number:03d}.bin"
        _write(folder / name, content)
        parts[name] = sha256(content).hexdigest()
    manifest = {
        "step": checkpoint.step,
        "facts": checkpoint.facts,
        "parts": parts,
        "arrays": [[name, one.dtype.str, list(one.shape)] for name, one in checkpoint.arrays.items()],
    }
    _write(folder / MANIFEST_FILE, json.dumps(manifest).encode() + b"\n")
    _sync(folder)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _sync(folder: Path) -> None:
    """Put the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> Checkpoint:
    try:
        manifest = json.loads((path / MANIFEST_FILE).read_text())
        parts, rows = manifest["parts"], manifest["arrays"]
        step, facts = manifest["step"], manifest["facts"]
    except (OSError, ValueError, KeyError) as error:
        raise InvalidInput(f"manifest of checkpoint {path} cannot be read: {error!r}") from error
    content = b"".join(_verified(path / name, digest) for name, digest in parts.items())
    return Checkpoint(step, dict(_split(content, rows)), facts)


def _parts(arrays: Iterable[NDArray[Any]]) -> Iterator[bytes]:
    content = b"".join(np.ascontiguousarray(one).tobytes() for one in arrays)
    for start in range(0, len(content), PART_BYTES):
        yield content[start : start + PART_BYTES]


def _verified(path: Path, digest: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"part {path} of a checkpoint cannot be read: {error}") from error
    found = sha256(content).hexdigest()
    if found != digest:
        raise InvalidInput(f"part {path} of a checkpoint has SHA-256 {found}, expected {digest}")
    return content


def _split(content: bytes, rows: list[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    start = 0
    for name, dtype, shape in rows:
        count = int(np.prod(shape, dtype=np.int64))
        array = np.frombuffer(content, dtype, count, start).reshape(shape)
        start += array.nbytes
        yield name, array
