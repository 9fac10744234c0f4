from __future__ import annotations

from pathlib import Path

import pytest

from training.release.folder import recover, successor_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "old").write_text("old")
    return tmp_path / "models"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_new_folder_takes_the_place_of_the_old_one(folder):
    with successor_of(folder) as new:
        (new / "new").write_text("new")
        assert names(folder) == ["old"]
    assert names(folder) == ["new"]
    assert names(folder.parent) == ["models"]


def test_an_error_leaves_the_old_folder_and_nothing_beside_it(folder):
    with pytest.raises(ValueError, match="broken"), successor_of(folder) as new:  # noqa: PT012
        (new / "new").write_text("new")
        raise ValueError("broken")
    assert (names(folder), names(folder.parent)) == (["old"], ["models"])


def test_a_folder_that_is_not_there_yet_is_made(tmp_path: Path):
    with successor_of(tmp_path / "a" / "models") as new:
        (new / "new").write_text("new")
    assert names(tmp_path / "a" / "models") == ["new"]


def test_a_process_killed_between_the_two_renames_loses_nothing(folder):
    folder.rename(folder.with_name(".models.old"))
    folder.with_name(".models.new").mkdir()
    with pytest.raises(ValueError, match="broken"), successor_of(folder):
        raise ValueError("broken")
    assert (names(folder), names(folder.parent)) == (["old"], ["models"])


def test_recovering_leaves_a_folder_that_is_there_alone(folder):
    folder.with_name(".models.old").mkdir()
    recover(folder)
    assert names(folder) == ["old"]


def test_leftovers_of_a_finished_exchange_are_removed(folder):
    folder.with_name(".models.old").mkdir()
    with successor_of(folder) as new:
        (new / "new").write_text("new")
    assert (names(folder), names(folder.parent)) == (["new"], ["models"])


def test_a_link_to_a_folder_stays_a_link(folder):
    link = folder.with_name("current")
    link.symlink_to(folder)
    with successor_of(link) as new:
        (new / "new").write_text("new")
    assert link.is_symlink()
    assert names(folder) == ["new"]
