"""The diagram of job states in docs/architecture.md is the table the code obeys."""

from __future__ import annotations

import re
from pathlib import Path

from core.job import FINAL_STATES, TRANSITIONS, JobState

ARCHITECTURE = Path(__file__).resolve().parents[2] / "docs" / "architecture.md"
ARROW = re.compile(r"^\s*(\S+)\s*-->\s*(\S+?)\s*(?::.*)?$", re.MULTILINE)
START_OR_END = "[*]"


def arrows_of_diagram() -> set[tuple[str, str]]:
    text = ARCHITECTURE.read_text(encoding="utf-8")
    (diagram,) = re.findall(r"```mermaid\nstateDiagram-v2\n(.*?)```", text, re.DOTALL)
    return set(ARROW.findall(diagram))


def test_diagram_shows_the_transitions_of_the_code_and_no_others() -> None:
    shown = {arrow for arrow in arrows_of_diagram() if START_OR_END not in arrow}
    allowed = {
        (state, following) for state, all_following in TRANSITIONS.items() for following in all_following
    }
    assert shown == allowed


def test_diagram_starts_where_jobs_start_and_ends_where_they_end() -> None:
    arrows = arrows_of_diagram()
    assert {end for start, end in arrows if start == START_OR_END} == {JobState.QUEUED, JobState.UNSUITABLE}
    assert {start for start, end in arrows if end == START_OR_END} == FINAL_STATES
