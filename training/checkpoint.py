"""A member's state on disk: named arrays in parts small enough for any store, whole or not there at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidInput

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
    """Write a checkpoint beside the ones a folder has, then remove those.

    The parts are written first, the folder renamed when they are complete: a reader never sees half of one.
    """
    target = folder / f"{FOLDER_PREFIX}{checkpoint.step:08d}"
    unfinished = folder / f".{target.name}"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    parts = {}
    for number, content in enumerate(_parts(checkpoint.arrays.values())):
        name = f"part-{number:03d}.bin"
        (unfinished / name).write_bytes(content)
        parts[name] = sha256(content).hexdigest()
    manifest = {
        "step": checkpoint.step,
        "facts": checkpoint.facts,
        "parts": parts,
        "arrays": [[name, one.dtype.str, list(one.shape)] for name, one in checkpoint.arrays.items()],
    }
    (unfinished / MANIFEST_FILE).write_text(json.dumps(manifest) + "\n")
    older = [path for path in _checkpoints(folder) if path != target]
    shutil.rmtree(target, ignore_errors=True)
    unfinished.rename(target)
    for path in older:
        shutil.rmtree(path)
    return target


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """Read the newest checkpoint of a folder; None where there is none.

    Raises
    ------
    InvalidInput
        A part is missing or is not the one that was written.
    """
    paths = _checkpoints(folder)
    if not paths:
        return None
    manifest = json.loads((paths[-1] / MANIFEST_FILE).read_text())
    content = b"".join(_verified(paths[-1] / name, digest) for name, digest in manifest["parts"].items())
    arrays = dict(_split(content, manifest["arrays"]))
    return Checkpoint(manifest["step"], arrays, manifest["facts"])


def newest_step(folder: Path) -> int:
    """Return the step of the newest checkpoint; 0 where there is none."""
    paths = _checkpoints(folder)
    return int(paths[-1].name.removeprefix(FOLDER_PREFIX)) if paths else 0


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob(f"{FOLDER_PREFIX}*/{MANIFEST_FILE}"))


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
