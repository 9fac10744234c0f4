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
    assert json.loads((run / "settings.json").read_text())["widths"] == [2, 4]
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
