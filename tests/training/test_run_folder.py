from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.errors import InvalidInput
from training.run_folder import RunLog, check_run, read_settings, renew_settings, write_settings
from training.settings import TrainingSettings

REMEMBERED = TrainingSettings(patches=4000, seed=3)


def test_what_is_given_replaces_what_is_remembered_and_the_rest_stays(tmp_path: Path):
    write_settings(tmp_path, "trunk-t1_post", REMEMBERED)
    renewed = renew_settings(tmp_path, "trunk-t1_post", {"patches": 8000})
    assert (renewed.patches, renewed.seed) == (8000, 3)
    assert read_settings(tmp_path, "trunk-t1_post") == REMEMBERED


def test_a_new_member_takes_over_the_settings_of_its_trunk(tmp_path: Path):
    write_settings(tmp_path, "trunk-t1_post", REMEMBERED)
    given = {"learning_rate": 2e-4}
    assert renew_settings(tmp_path, "t1_post-focal", given, "trunk-t1_post").seed == 3
    assert renew_settings(tmp_path, "t1_post-focal", given).seed == 0


def test_the_batch_of_a_member_stays(tmp_path: Path):
    write_settings(tmp_path, "t1_post-focal", REMEMBERED)
    with pytest.raises(InvalidInput, match="batch is 8, expected 4 as in"):
        renew_settings(tmp_path, "t1_post-focal", {"batch": 8})


def test_a_folder_without_members_is_no_run(tmp_path: Path):
    with pytest.raises(InvalidInput, match="is no run of training"):
        check_run(tmp_path)


def test_a_log_grows_by_lines_and_shows_them(tmp_path: Path, capsys: pytest.CaptureFixture):
    for number in (1, 2):
        RunLog(tmp_path)({"step": number})
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"step": 1}, {"step": 2}]
    assert capsys.readouterr().err.splitlines() == lines
