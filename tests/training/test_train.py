from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from tests.training.toy_studies import fill_toy_pool  # noqa: E402
from training.checkpoint import newest_step  # noqa: E402
from training.run_folder import read_settings  # noqa: E402
from training.train import main  # noqa: E402

ROOT = Path(__file__).parents[2]

TINY = (
    "--widths",
    "2",
    "4",
    "--patch-size",
    "8",
    "--batch",
    "2",
    "--device",
    "cpu",
    "--precision",
    "float32",
    "--threads",
    "1",
)


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    fill_toy_pool(tmp_path / "pool", 2)
    return tmp_path / "pool"


def call(*words: object) -> int:
    return main([str(word) for word in words])


def test_a_run_is_trained_continued_and_exported(tmp_path: Path, pool: Path, capsys: pytest.CaptureFixture):
    run, out = tmp_path / "run", tmp_path / "out"
    assert call("--pool", pool, "--out", run, "--members", "trunk-t1_post", "--patches", 8, *TINY) == 0
    assert (
        call("--pool", pool, "--out", run, "--members", "t1_post-focal", "--trunk", "--precision", "float32")
        == 0
    )
    assert json.loads((run / "t1_post-focal" / "settings.json").read_text())["widths"] == [2, 4]
    capsys.readouterr()
    assert call("export", "--run", run, "--out", out) == 0
    assert [line.split()[1:3] for line in capsys.readouterr().out.splitlines()] == [
        ["t1_post-focal.onnx", "8"], ["trunk-t1_post.onnx", "8"],
    ]  # fmt: skip
    facts = {one.key: one.value for one in onnx.load(out / "t1_post-focal.onnx").metadata_props}
    assert (facts["input"], facts["loss"]) == ("t1_post", "focal")


def test_exported_members_are_something_to_start_from(tmp_path: Path, pool: Path):
    run, out, again = tmp_path / "run", tmp_path / "out", tmp_path / "again"
    call("--pool", pool, "--out", run, "--members", "t1_post-focal", "--patches", 4, *TINY)
    call("export", "--run", run, "--out", out)
    words = (
        "--pool",
        pool,
        "--out",
        again,
        "--members",
        "t1_post-focal",
        "--patches",
        4,
        "--init",
        out,
        *TINY,
    )
    assert call(*words) == 0
    assert len((again / "log.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--members", "focal"), "are unknown"),
        (("--init", "nowhere", "--patches", 4, *TINY), "has no t1_post-cross_entropy"),
        (("--patch-size", 50), "expected a multiple of 16"),
    ],
)
def test_what_cannot_be_used_is_said(
    tmp_path: Path, pool: Path, capsys: pytest.CaptureFixture, words, message: str
):
    assert call("--pool", pool, "--out", tmp_path / "run", "--precision", "float32", *words) == 2
    assert message in capsys.readouterr().err


def test_an_export_without_a_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture):
    assert call("export", "--run", tmp_path, "--out", tmp_path / "out") == 2
    assert "is no run of training" in capsys.readouterr().err


def test_batch_and_widths_of_a_run_stay(tmp_path: Path, pool: Path, capsys: pytest.CaptureFixture):
    words = ("--pool", pool, "--out", tmp_path / "run", "--members", "t1_post-focal")
    assert call(*words, "--patches", 4, *TINY) == 0
    assert call(*words, "--batch", 4) == 2
    assert "batch is 4, expected 2 as in" in capsys.readouterr().err


def records(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_a_member_does_not_change_what_its_trunk_was_trained_with(tmp_path: Path, pool: Path):
    words = ("--pool", pool, "--out", tmp_path / "run", *TINY)
    call(*words, "--members", "trunk-t1_post", "--patches", 8)
    call(*words, "--members", "t1_post-focal", "--trunk", "--patches", 4, "--lr", 1e-5)
    assert read_settings(tmp_path / "run", "trunk-t1_post").patches == 8
    member = read_settings(tmp_path / "run", "t1_post-focal")
    assert (member.patches, member.learning_rate) == (4, 1e-5)


def test_a_trunk_that_has_not_seen_its_patches_is_no_origin_unless_wanted(
    tmp_path: Path, pool: Path, capsys: pytest.CaptureFixture
):
    words = ("--pool", pool, "--out", tmp_path / "run", *TINY)
    call(*words, "--members", "trunk-t1_post", "--patches", 8)
    call(*words, "--members", "trunk-t1_post", "--patches", 400, "--minutes", 0)
    member = (*words, "--members", "t1_post-focal", "--trunk", "--patches", 4)
    assert call(*member) == 2
    assert "trunk-t1_post has seen 8 patches, expected 400" in capsys.readouterr().err
    assert call(*member, "--trunk-anyway") == 0
    assert call(*member) == 0  # it has a checkpoint of its own now


def test_the_log_says_what_each_member_started_from_and_with_which_code(tmp_path: Path, pool: Path):
    run = tmp_path / "run"
    words = ("--pool", pool, "--out", run, "--patches", 4, "--commit", "0123abc", *TINY)
    call(*words, "--members", "trunk-t1_post")
    call(*words, "--members", "t1_post-focal", "t1_post-soft_dice", "--trunk")
    call(*words, "--members", "t1_post-focal")
    starts = [record for record in records(run) if record.get("event") == "start"]
    assert [(one["members"], one["origin"], one["commit"]) for one in starts] == [
        (["trunk-t1_post"], "chance", "0123abc"),
        (["t1_post-focal"], f"{run}/trunk-t1_post at step 2", "0123abc"),
        (["t1_post-soft_dice"], f"{run}/trunk-t1_post at step 2", "0123abc"),
        (["t1_post-focal"], "its checkpoint at step 2", "0123abc"),
    ]


def test_an_origin_that_is_not_followed_is_warned_of(
    tmp_path: Path, pool: Path, capsys: pytest.CaptureFixture
):
    run = tmp_path / "run"
    words = ("--pool", pool, "--out", run, "--members", "t1_post-focal", "--patches", 4, *TINY)
    call(*words)
    capsys.readouterr()
    call(*words, "--init", tmp_path / "models")
    expected = f"--init {tmp_path}/models is ignored: t1_post-focal goes on from its checkpoint at step 2"
    assert expected in [record.get("warning") for record in records(run)]
    assert expected in capsys.readouterr().err


def test_every_member_has_a_turn_before_time_is_up(tmp_path: Path, pool: Path):
    words = ("--pool", pool, "--out", tmp_path / "run", "--patches", 100_000, "--minutes", 0.05, *TINY)
    call(*words, "--members", "trunks")
    assert all(newest_step(tmp_path / "run" / name) for name in ("trunk-t1_post", "trunk-subtraction"))


def test_members_of_two_sizes_are_refused(tmp_path: Path, pool: Path, capsys: pytest.CaptureFixture):
    words = ("--pool", pool, "--out", tmp_path / "run", "--patches", 4)
    call(*words, "--members", "trunk-t1_post", *TINY)
    assert call(*words, "--members", "trunks") == 2
    assert "expected one size" in capsys.readouterr().err


def test_sigterm_saves_and_stops(tmp_path: Path, pool: Path):
    words = ("--pool", pool, "--out", tmp_path / "run", "--members", "t1_post-focal", "--log-steps", 1, *TINY)
    log = tmp_path / "run" / "log.jsonl"
    with subprocess.Popen([sys.executable, "-m", "training.train", *map(str, words)], cwd=ROOT) as process:
        while process.poll() is None and not (log.exists() and "loss" in log.read_text().partition("\n")[2]):
            time.sleep(0.05)
        process.terminate()
        assert process.wait(60) == 0
    steps = [record["step"] for record in map(json.loads, log.read_text().splitlines()) if "step" in record]
    assert newest_step(tmp_path / "run" / "t1_post-focal") == steps[-1]
