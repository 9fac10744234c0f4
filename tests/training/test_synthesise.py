"""A pool fills with studies that follow from their seeds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.errors import InvalidInput
from phantom.synthesis.anatomy.files import write_packed
from phantom.synthesis.anatomy.label_map import Anatomy, canonical_grid
from tests.phantom.synthesis.conftest import ellipsoid_labels
from training.prepared import PreparedStudy
from training.show import main as show
from training.synthesise import main as synthesise
from training.synthesise import recipe_digest, study_name


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heads")
    labels = ellipsoid_labels()
    grid = canonical_grid(labels.shape, np.array([-88.0, -102.0, -84.0]))
    for name in ("mine", "training_seg_20"):
        write_packed(Anatomy(name, labels, grid), folder / f"{name}.npz")
    return folder


@pytest.fixture(scope="module")
def pool(heads: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pool = tmp_path_factory.mktemp("pool")
    arguments = ["--anatomy", str(heads), "--out", str(pool), "--processes", "1"]
    assert synthesise([*arguments, "--studies", "2", "--first-seed", "7"]) == 0
    return pool


def test_a_study_of_each_seed_is_in_the_pool(pool: Path) -> None:
    assert sorted(path.name for path in pool.iterdir()) == [study_name(7), study_name(8)]


def test_heads_kept_for_measuring_are_not_used(pool: Path) -> None:
    assert {PreparedStudy.open(path).anatomy for path in pool.iterdir()} == {"mine"}


def test_the_members_input_is_normalised_in_the_brain(pool: Path) -> None:
    study = PreparedStudy.open(pool / study_name(7))
    for image in (study.t1_post_ras, study.subtraction_ras):
        inside = np.asarray(image[image != 0], dtype=np.float64)
        assert inside.mean() == pytest.approx(0, abs=0.01)
        assert inside.std() == pytest.approx(1, abs=0.01)


def test_a_study_that_is_there_is_not_made_again(heads: Path, pool: Path) -> None:
    marker = pool / study_name(7) / "kept"
    marker.touch()

    folders = ["--anatomy", str(heads), "--out", str(pool)]
    synthesise([*folders, "--processes", "1", "--studies", "1", "--first-seed", "7"])

    assert marker.exists()
    marker.unlink()


@pytest.mark.parametrize("stale", ["recipe", "anatomy"])
def test_a_study_of_another_recipe_or_anatomy_is_made_again(
    heads: Path, pool: Path, tmp_path: Path, stale: str
) -> None:
    study = PreparedStudy.open(pool / study_name(7))
    replace(study, **{stale: "another"}).write(tmp_path / study_name(7))

    folders = ["--anatomy", str(heads), "--out", str(tmp_path)]
    synthesise([*folders, "--processes", "1", "--studies", "1", "--first-seed", "7"])

    made = PreparedStudy.open(tmp_path / study_name(7))
    assert (made.recipe, made.anatomy) == (study.recipe, study.anatomy)


def test_a_folder_of_reserved_heads_alone_is_refused(tmp_path: Path) -> None:
    labels = ellipsoid_labels()
    grid = canonical_grid(labels.shape, np.array([-88.0, -102.0, -84.0]))
    write_packed(Anatomy("training_seg_20", labels, grid), tmp_path / "training_seg_20.npz")

    with pytest.raises(InvalidInput, match="only heads reserved"):
        synthesise(["--anatomy", str(tmp_path), "--out", str(tmp_path / "pool"), "--processes", "1"])


def test_the_recipe_tells_generators_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    before = recipe_digest()
    monkeypatch.setattr("training.synthesise.GENERATOR_VERSION", -1)

    assert recipe_digest() != before


def test_the_contact_sheet_shows_a_row_for_each_seed(heads: Path, tmp_path: Path) -> None:
    from PIL import Image

    sheet = tmp_path / "sheet.png"

    assert show(["--anatomy", str(heads), "--out", str(sheet), "--seeds", "3"]) == 0

    with Image.open(sheet) as picture:
        pixels = np.asarray(picture)
    assert pixels.shape == (192, 9 * 192, 3)
    assert pixels.std() > 10
