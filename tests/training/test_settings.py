from __future__ import annotations

from dataclasses import replace

import pytest

from core.errors import InvalidInput
from training.settings import (
    MEMBERS,
    TRUNKS,
    SamplingSettings,
    TrainingSettings,
    find_members,
    settings_from_json,
    settings_to_json,
)


def test_settings_survive_json():
    settings = TrainingSettings(widths=(4, 8), seed=3, sampling=SamplingSettings(lesion_share=0.7))
    assert settings_from_json(settings_to_json(settings)) == settings


def test_an_unknown_knob_is_refused():
    with pytest.raises(InvalidInput, match="LossSettings has no"):
        settings_from_json(settings_to_json(TrainingSettings()).replace("focal_gamma", "focal_delta"))


def test_a_patch_the_levels_cannot_halve_is_refused():
    with pytest.raises(InvalidInput, match="50 voxels, expected a multiple of 16"):
        TrainingSettings(patch_voxels=50)


def test_the_rate_warms_up_stays_and_falls():
    settings = TrainingSettings(
        batch=4, patches=4000, learning_rate=1e-3, warm_up_patches=400, decay_share=0.5, final_rate_share=0.01
    )
    assert settings.learning_rate_at(0) == pytest.approx(1e-5)
    assert settings.learning_rate_at(100) == pytest.approx(1e-3)
    assert settings.learning_rate_at(500) == pytest.approx(1e-3)
    assert settings.learning_rate_at(750) == pytest.approx(0.505e-3)
    assert settings.learning_rate_at(1000) == pytest.approx(1e-5)


def test_more_patches_do_not_change_the_rate_of_those_seen():
    settings = TrainingSettings(patches=40_000, decay_share=0.4)
    longer = replace(settings, patches=80_000)
    assert all(
        settings.learning_rate_at(step) == longer.learning_rate_at(step) for step in range(0, 6000, 100)
    )


def test_statistics_freeze_in_the_last_tenth():
    settings = TrainingSettings(batch=4, patches=4000, frozen_statistics_share=0.1)
    assert not settings.statistics_are_frozen_at(899)
    assert settings.statistics_are_frozen_at(900)


def test_members_are_found_by_name_and_by_group():
    assert find_members(("all",)) == MEMBERS
    assert find_members(("trunks", "trunk-t1_post")) == TRUNKS
    assert [spec.name for spec in find_members(("subtraction-focal",))] == ["subtraction-focal"]


def test_an_unknown_member_is_refused():
    with pytest.raises(InvalidInput, match=r"\['focal'\] are unknown"):
        find_members(("focal",))
