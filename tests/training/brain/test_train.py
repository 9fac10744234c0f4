from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs its own environment")

from phantom.synthesis.anatomy.files import write_packed  # noqa: E402
from tests.training.brain.toy_head import make_toy_anatomy  # noqa: E402
from training.brain.checkpoint import load_state, new_state, save_state  # noqa: E402
from training.brain.export import main as export  # noqa: E402
from training.brain.network import BrainNetworkSettings  # noqa: E402
from training.brain.train import main  # noqa: E402

SMALL = BrainNetworkSettings(widths=(8, 16))


@pytest.fixture(scope="module")
def anatomy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Label maps nobody has published."""
    folder = tmp_path_factory.mktemp("heads")
    for name in ("one", "other"):
        write_packed(make_toy_anatomy(), folder / f"{name}.npz")
    return folder


def finished_run(run: Path) -> Path:
    """A run of two steps, with a network so small that following it takes no time."""
    state = new_state(SMALL, seed=1)
    state.step = 2
    save_state(state, run)
    return run


def call(*words: object) -> int:
    return main([str(word) for word in words])


def test_other_peoples_label_maps_are_trained_on_and_held_out(
    anatomy: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    run = finished_run(tmp_path / "run")
    caplog.set_level("INFO")
    assert call("--anatomy", anatomy, "--out", run, "--resume", "--steps", 2) == 0
    assert "step 2 of 2: trained on one; held out other" in caplog.text
    assert "held-out Dice" in caplog.text


def test_a_run_is_not_overwritten(anatomy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = finished_run(tmp_path / "run")
    assert call("--anatomy", anatomy, "--out", run) == 2
    assert "holds a run already" in capsys.readouterr().err
    assert load_state(run).step == 2


def test_what_is_not_there_cannot_be_resumed(
    anatomy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert call("--anatomy", anatomy, "--out", tmp_path / "run", "--resume") == 2
    assert "no checkpoint of the brain extraction" in capsys.readouterr().err


def test_the_newest_checkpoint_of_a_run_is_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("onnx", reason="training needs its own environment")
    run, out = finished_run(tmp_path / "run"), tmp_path / "brain.onnx"
    assert export(["--run", str(run), "--out", str(out)]) == 0
    assert out.stat().st_size > 0
    assert "brain.onnx  2 steps" in capsys.readouterr().out
