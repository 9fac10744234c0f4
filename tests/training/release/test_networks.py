from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import InvalidInput
from tests.training.release.tiny_networks import DOUBLE, write_network
from training.release.networks import MAX_FILE_BYTES, check_members, check_network
from worker.model_set import Member

WINDOW = (96, 96, 96)
MEMBER = Member(name="t1_post-focal", file="focal.onnx", sha256="0" * 64, input="t1_post", loss="focal")


def test_a_member_is_known_by_its_name_and_keeps_the_files_words(tmp_path: Path):
    metadata = {"input": "t1_post", "loss": "focal", "training": "1200 patches of 64^3 voxels"}
    write_network(tmp_path / "t1_post-focal.onnx", metadata=metadata)
    (checked,) = check_members(tmp_path, (MEMBER,), WINDOW)
    assert (checked.name, checked.file_name, checked.n_patches) == ("t1_post-focal", "focal.onnx", 1200)
    assert checked.network.metadata == metadata


def test_a_file_that_does_not_tell_its_training_is_accepted(tmp_path: Path):
    write_network(tmp_path / "t1_post-focal.onnx")
    assert check_members(tmp_path, (MEMBER,), WINDOW)[0].n_patches is None


def test_missing_members_are_named(tmp_path: Path):
    with pytest.raises(InvalidInput, match=r"has no file of \['t1_post-focal'\]"):
        check_members(tmp_path, (MEMBER,), WINDOW)


@pytest.mark.parametrize(("key", "value"), [("input", "subtraction"), ("loss", "soft_dice")])
def test_a_file_of_another_member_is_refused(tmp_path: Path, key: str, value: str):
    write_network(tmp_path / "t1_post-focal.onnx", metadata={key: value})
    with pytest.raises(InvalidInput, match=f"exported with {key} {value}"):
        check_members(tmp_path, (MEMBER,), WINDOW)


@pytest.mark.parametrize(
    "wrong",
    [{"edges": (64, 64, 64)}, {"image": "picture"}, {"batch": "n"}, {"element": DOUBLE}],
    ids=["window", "name", "batch", "type"],
)
def test_a_network_the_service_cannot_feed_is_refused(tmp_path: Path, wrong: dict[str, object]):
    path = write_network(tmp_path / "one.onnx", **wrong)
    with pytest.raises(
        InvalidInput, match=r"expected image of \['batch', 1, 96, 96, 96\] as tensor\(float\)"
    ):
        check_network(path, WINDOW)


def test_a_file_that_is_no_network_is_refused(tmp_path: Path):
    (tmp_path / "one.onnx").write_bytes(b"not a network")
    with pytest.raises(InvalidInput, match=r"one\.onnx is no network onnxruntime can open"):
        check_network(tmp_path / "one.onnx", WINDOW)


def test_a_file_larger_than_float16_weights_need_is_refused(tmp_path: Path):
    path = write_network(tmp_path / "one.onnx", content=" " * MAX_FILE_BYTES)
    with pytest.raises(InvalidInput, match="expected at most 12000000"):
        check_network(path, WINDOW)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(InvalidInput, match=r"one\.onnx cannot be read"):
        check_network(tmp_path / "one.onnx", WINDOW)
