"""Dockerfile, units and compose file name commands, targets and lock files that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cli.supervisor import ROLES
from core.settings import ReceiverSettings

ROOT = Path(__file__).resolve().parents[2]
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def test_there_is_one_unit_a_role() -> None:
    assert {unit.stem for unit in UNITS} == {f"metserve-{role}" for role in ROLES}


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_starts_its_own_role(unit: Path) -> None:
    (command,) = re.findall(r"^ExecStart=\S+/metserve (.*)$", unit.read_text(encoding="utf-8"), re.MULTILINE)
    assert unit.stem == f"metserve-{command}"


def test_images_are_built_from_lock_files_that_exist() -> None:
    locks = re.findall(r"COPY (requirements/\S+)", read("Dockerfile"))
    assert len(locks) == 3
    assert [lock for lock in locks if not (ROOT / lock).is_file()] == []


def test_compose_builds_targets_of_the_dockerfile() -> None:
    targets = set(re.findall(r"^FROM \S+ AS (\S+)", read("Dockerfile"), re.MULTILINE))
    assert set(re.findall(r"target: (\S+)", read("docker-compose.yml"))) <= targets


def test_what_the_dockerfile_copies_is_not_ignored() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", read("Dockerfile"), re.MULTILINE)
    kept = re.findall(r"^!(\S+)", read(".dockerignore"), re.MULTILINE)
    names = {name for line in copied for name in line.split() if not name.startswith("requirements/")}
    assert names <= set(kept)


def test_compose_runs_commands_of_metserve() -> None:
    commands = {json.loads(text)[0] for text in re.findall(r"command: (\[.*\])", read("docker-compose.yml"))}
    assert commands <= set(ROLES)


def test_the_test_pacs_routes_to_the_receivers_default_address() -> None:
    without_comments = re.sub(r"^\s*//.*$", "", read("deploy/test-pacs/orthanc.json"), flags=re.MULTILINE)
    modality = json.loads(without_comments)["DicomModalities"]["metserve"]
    receiver = ReceiverSettings.model_fields
    assert modality["AET"] == receiver["ae_title"].default
    assert modality["Port"] == receiver["port"].default
