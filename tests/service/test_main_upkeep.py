"""The upkeep role, put together: what it does with nothing set, and with a canary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from core.errors import InvalidInput
from core.settings import (
    ApiSettings,
    AuditSettings,
    CommonSettings,
    DeliverySettings,
    ReceiverSettings,
    TlsSettings,
    UpkeepSettings,
)
from service.main.parts import open_audit, open_parts
from service.main.upkeep import UpkeepRoleSettings, open_steps
from service.upkeep.steps import Step, attempt
from tests.service.upkeep.test_canary import canary_folder


def steps_of(folder: Path, **upkeep: Any) -> list[Step]:
    settings = UpkeepRoleSettings(
        CommonSettings(data_dir=folder / "data"),
        UpkeepSettings(**upkeep),
        DeliverySettings(),
        AuditSettings(),
        ReceiverSettings(),
        TlsSettings(),
        ApiSettings(),
    )
    parts = open_parts(settings.common)
    with httpx.Client() as http:
        return open_steps(parts, settings, open_audit(parts, settings.audit), http)


def test_with_nothing_set_it_sends_the_audit_trail_and_looks_for_conditions(tmp_path: Path) -> None:
    steps = steps_of(tmp_path)
    assert [step.name for step in steps] == [
        "take up waiting audit events",
        "send the audit trail",
        "look for conditions",
    ]
    assert all(attempt(step) for step in steps)


def test_a_canary_is_sent_before_conditions_are_looked_for(tmp_path: Path) -> None:
    steps = steps_of(tmp_path, canary_study=canary_folder(tmp_path / "canary"), keep_days=30)
    assert [step.name for step in steps[2:]] == ["purge", "canary", "look for conditions"]


def test_a_canary_that_is_none_is_refused_when_the_role_starts(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="holds no images"):
        steps_of(tmp_path, canary_study=tmp_path)
