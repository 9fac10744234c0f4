from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs its own environment")

from core.errors import InvalidInput  # noqa: E402
from training.brain.settings import BrainTraining  # noqa: E402

SETTINGS = BrainTraining(steps=1000, warm_up_steps=10, learning_rate=1.0, final_share=0.1, frozen_share=0.25)


def test_the_learning_rate_rises_and_falls_with_the_steps():
    rates = [SETTINGS.learning_rate_at(step) for step in range(1001)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[500] == pytest.approx(0.55)
    assert rates[1000] == pytest.approx(0.1)


def test_statistics_are_frozen_in_the_last_part():
    assert [step for step in range(1000) if SETTINGS.statistics_are_frozen_at(step)] == list(range(751, 1000))


def test_each_head_is_seen_its_number_of_times_on_average():
    assert sum(SETTINGS.heads_due_at(step) for step in range(1000)) == 1000 * 2 / 4


def test_a_training_without_steps_is_refused():
    with pytest.raises(InvalidInput, match="0 steps of training, expected at least one"):
        BrainTraining(steps=0)
