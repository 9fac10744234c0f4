from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.errors import InvalidInput
from training.checkpoint import PART_BYTES, Checkpoint, newest_step, read_checkpoint, write_checkpoint


def a_checkpoint(step: int) -> Checkpoint:
    rng = np.random.default_rng(step)
    arrays = {
        "weights/large": rng.standard_normal(5_000_000).astype(np.float32),
        "adam/step": np.array(3.0, np.float32),
        "weights/count": np.array(7, np.int64),
    }
    return Checkpoint(step, arrays, {"seconds": 1.5, "listing": [["a", []]]})


def test_a_checkpoint_is_read_as_it_was_written(tmp_path: Path):
    written = a_checkpoint(12)
    write_checkpoint(tmp_path, written)
    read = read_checkpoint(tmp_path)
    assert read is not None
    assert (read.step, read.facts) == (12, written.facts)
    for name, array in written.arrays.items():
        np.testing.assert_array_equal(read.arrays[name], array)
        assert (read.arrays[name].dtype, read.arrays[name].shape) == (array.dtype, array.shape)


def test_no_part_exceeds_the_limit(tmp_path: Path):
    folder = write_checkpoint(tmp_path, a_checkpoint(1))
    sizes = [path.stat().st_size for path in folder.iterdir()]
    assert len(sizes) == 3
    assert max(sizes) <= PART_BYTES


def test_the_two_newest_checkpoints_stay(tmp_path: Path):
    for step in (8, 9, 10):
        write_checkpoint(tmp_path, a_checkpoint(step))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["checkpoint-00000009", "checkpoint-00000010"]
    assert newest_step(tmp_path) == 10


def test_the_same_step_again_touches_nothing(tmp_path: Path):
    folder = write_checkpoint(tmp_path, a_checkpoint(3))
    (folder / "mark").touch()
    assert write_checkpoint(tmp_path, a_checkpoint(3)) == folder
    assert (folder / "mark").exists()


def test_a_damaged_checkpoint_is_passed_over_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    write_checkpoint(tmp_path, a_checkpoint(3))
    (write_checkpoint(tmp_path, a_checkpoint(4)) / "part-000.bin").write_bytes(b"?")
    assert newest_step(tmp_path) == 3
    read = read_checkpoint(tmp_path)
    assert read is not None
    assert read.step == 3
    assert "part-000.bin of a checkpoint has SHA-256" in caplog.text


def test_a_damaged_checkpoint_is_replaced_by_one_of_its_step(tmp_path: Path):
    (write_checkpoint(tmp_path, a_checkpoint(4)) / "manifest.json").write_text("{")
    write_checkpoint(tmp_path, a_checkpoint(4))
    assert newest_step(tmp_path) == 4


def test_a_damaged_later_checkpoint_goes_when_its_forerunner_went_on(tmp_path: Path):
    for step in (3, 9):
        folder = write_checkpoint(tmp_path, a_checkpoint(step))
    (folder / "part-000.bin").unlink()
    write_checkpoint(tmp_path, a_checkpoint(4))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["checkpoint-00000003", "checkpoint-00000004"]


def test_an_unfinished_checkpoint_is_not_seen(tmp_path: Path):
    write_checkpoint(tmp_path, a_checkpoint(3))
    (tmp_path / ".checkpoint-00000004").mkdir()
    (tmp_path / ".checkpoint-00000004" / "manifest.json").write_text("{}")
    assert newest_step(tmp_path) == 3


def test_without_a_checkpoint_there_is_none(tmp_path: Path):
    assert read_checkpoint(tmp_path / "nowhere") is None
    assert newest_step(tmp_path / "nowhere") == 0


def test_a_damaged_part_is_refused(tmp_path: Path):
    folder = write_checkpoint(tmp_path, a_checkpoint(1))
    part = folder / "part-001.bin"
    part.write_bytes(part.read_bytes()[:-1] + b"?")
    with pytest.raises(InvalidInput, match=r"part-001\.bin of a checkpoint has SHA-256"):
        read_checkpoint(tmp_path)


def test_a_missing_part_is_refused(tmp_path: Path):
    folder = write_checkpoint(tmp_path, a_checkpoint(1))
    (folder / "part-000.bin").unlink()
    with pytest.raises(InvalidInput, match=r"part-000\.bin of a checkpoint cannot be read"):
        read_checkpoint(tmp_path)
