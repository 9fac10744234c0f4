import itertools

import pytest

from core.errors import Defect
from core.job import FINAL_STATES, STAGES, TRANSITIONS, JobState, check_transition


def test_every_state_stands_in_the_table() -> None:
    assert set(TRANSITIONS) == set(JobState)


def test_every_state_but_the_first_can_be_reached() -> None:
    reached = {following for states in TRANSITIONS.values() for following in states}
    assert reached | {JobState.QUEUED} == set(JobState)


def test_from_every_state_a_final_or_restful_state_can_be_reached() -> None:
    restful = FINAL_STATES | {JobState.PARKED}
    for state in JobState:
        seen, frontier = {state}, {state}
        while frontier:
            frontier = {n for s in frontier for n in TRANSITIONS[s]} - seen
            seen |= frontier
        assert seen & restful, f"{state} never ends"


def test_stages_follow_one_another() -> None:
    states = list(STAGES.values())
    for earlier, later in itertools.pairwise(states):
        assert earlier.done is later.waiting


def test_a_forbidden_change_is_a_defect_that_names_what_is_allowed() -> None:
    with pytest.raises(Defect, match="cannot go from delivered to queued; allowed: none"):
        check_transition(JobState.DELIVERED, JobState.QUEUED)
