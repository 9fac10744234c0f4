"""A run, its pool and its exported members, as training leaves them; nobody trained them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tests.training.release.tiny_networks import write_network
from training.checkpoint import Checkpoint, write_checkpoint
from training.pool import ListedStudy, listing_to_json
from training.run_folder import write_settings
from training.settings import MEMBERS, TRUNKS, MemberSpec, TrainingSettings

RECIPE = "c0" * 32
STUDIES = ("synthetic-0000000", "synthetic-0000001", "synthetic-0000002")
SETTINGS = TrainingSettings(seed=7, batch=4)
STEPS = 1000
COMMIT = "0123abc"


def make_pool(pool: Path) -> None:
    """Three studies of two heads, with 0, 1 and 2 lesions."""
    for number, name in enumerate(STUDIES):
        add_study(pool, name, anatomy=f"head-{number % 2}", seed=number, lesions=number)


def add_study(
    pool: Path, name: str, *, anatomy: str, seed: int | None, lesions: int, recipe: str = RECIPE
) -> None:
    """The description of a study; nobody reads its voxels here."""
    (pool / name).mkdir(parents=True)
    content = {"name": name, "anatomy": anatomy, "seed": seed, "recipe": recipe, "lesions": [{}] * lesions}
    (pool / name / "study.json").write_text(json.dumps(content))


def make_run(run: Path, *, trunks: bool = True) -> None:
    """Checkpoints of all members at step 1000, and the log of how they got there."""
    run.mkdir()
    specs = MEMBERS + (TRUNKS if trunks else ())
    log(run, {"event": "start", "commit": COMMIT, "members": [spec.name for spec in specs], "seed": 7})
    for spec in specs:
        write_settings(run, spec.name, SETTINGS)
        add_checkpoint(run, spec.name)
        for step, loss in ((400, 0.9), (800, 0.5), (1000, 0.2)):
            log(run, {"member": spec.name, "step": step, "loss": loss, "studies": 2 if step < 1000 else 3})


def add_checkpoint(run: Path, name: str, step: int = STEPS, studies: tuple[str, ...] = STUDIES) -> None:
    facts = {"listing": listing_to_json(tuple(map(ListedStudy, studies))), "seconds": 1.0}
    write_checkpoint(run / name, Checkpoint(step, {"weight": np.zeros(3, np.float32)}, facts))


def log(run: Path, record: Mapping[str, object]) -> None:
    with (run / "log.jsonl").open("a") as stream:
        stream.write(json.dumps(record) + "\n")


def export(folder: Path, spec: MemberSpec, patches: int = 4 * STEPS) -> Path:
    """The file of a member, as ``training.train export`` describes it."""
    metadata = {
        "input": spec.input,
        "loss": spec.loss,
        "training": f"{patches} patches of {SETTINGS.patch_voxels}^3 voxels",
    }
    return write_network(folder / f"{spec.name}.onnx", metadata=metadata)


def export_all(folder: Path) -> None:
    for spec in MEMBERS:
        export(folder, spec)
