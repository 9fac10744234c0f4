from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from tests.training.release.made_up_run import COMMIT, export_all, make_pool, make_run
from tests.training.release.tiny_networks import write_network
from training.release.order import ReleaseOrder
from worker.model_set import read_model_set

RELEASED = Path(__file__).parents[3] / "models"

CARD = """\
# Model card

Written by a person.

<!-- figures -->
Figures of another set.
<!-- /figures -->

More words.
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The released set's settings around a tiny brain extraction; its members are elsewhere."""
    folder = tmp_path / "base"
    brain = write_network(folder / "brain_extraction.onnx", edges=3 * (64,), content="base")
    before = read_model_set(RELEASED).manifest.brain_extraction
    text = (RELEASED / "ensemble.toml").read_text()
    text = text.replace(before.sha256, sha256(brain.read_bytes()).hexdigest())
    (folder / "ensemble.toml").write_text(
        text.replace(f"cube_voxels = {before.cube_voxels}", "cube_voxels = 64")
    )
    (folder / "CARD.md").write_text(CARD)
    return folder


@pytest.fixture
def order(tmp_path: Path, base: Path) -> ReleaseOrder:
    """A candidate of a run that is all there."""
    make_pool(tmp_path / "pool")
    make_run(tmp_path / "run")
    export_all(tmp_path / "onnx")
    return ReleaseOrder(
        members=tmp_path / "onnx",
        base=base,
        out=tmp_path / "models",
        name="metserve-test",
        version="2026.11.1",
        trained_on='synthetic studies of "two" heads',
        run=tmp_path / "run",
        pool=tmp_path / "pool",
        commit=COMMIT,
        unmeasured=True,
    )
