"""docker-compose.yml is accepted, asks for its passwords, and publishes nothing by accident."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PASSWORDS = {"POSTGRES_PASSWORD": "secretdb", "REDIS_PASSWORD": "secretbroker"}

pytestmark = pytest.mark.system


def compose(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run docker-compose config with the example's values; no engine is needed."""
    files = ["--env-file", "deploy/compose.env.example", "--file", "docker-compose.yml"]
    command = ["docker-compose", *files, "config", *arguments]
    env = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)


def rendered(**variables: str) -> str:
    result = compose(**{**PASSWORDS, **variables})
    assert result.returncode == 0, result.stderr
    return result.stdout


def services_by_profile() -> dict[str, set[str]]:
    """Return profile -> services; '' for those that start by default."""
    text = rendered().split("\nservices:\n")[1].split("\nversion:")[0].split("\nvolumes:")[0]
    found: dict[str, set[str]] = {}
    for name, body in re.findall(r"^  (\S+):\n((?:    .*\n?)+)", text, re.MULTILINE):
        profile = re.search(r"profiles:\n\s+- (\S+)", body)
        found.setdefault(profile[1] if profile else "", set()).add(name)
    return found


def test_roles_and_servers_start_by_default_and_the_rest_on_request() -> None:
    assert services_by_profile() == {
        "": {"receiver", "api", "deliver", "upkeep", "worker-cpu", "postgres", "redis"},
        "gpu": {"worker-gpu"},
        "test-pacs": {"test-pacs"},
    }


@pytest.mark.parametrize("missing", sorted(PASSWORDS))
def test_a_missing_password_is_an_error_that_names_it(missing: str) -> None:
    result = compose(**{name: value for name, value in PASSWORDS.items() if name != missing})
    assert result.returncode != 0
    assert f"set {missing} in .env" in result.stderr


def test_ports_are_published_on_loopback_unless_told_otherwise() -> None:
    published = re.findall(r"- (\S+):\d+:\d+/tcp", rendered(COMPOSE_PROFILES="gpu,test-pacs"))
    assert published
    assert set(published) == {"127.0.0.1"}


def test_the_dicom_port_is_published_where_the_site_says() -> None:
    assert "10.1.2.3:104:11112/tcp" in rendered(
        METSERVE_DICOM_BIND="10.1.2.3", METSERVE_DICOM_PUBLISHED_PORT="104"
    )


def test_destinations_reach_delivery_and_rest_unchanged() -> None:
    destinations = '[{"name":"pacs","ae_title":"PACS","host":"pacs.example.org","port":104}]'
    assert rendered(METSERVE_DELIVERY_DESTINATIONS=destinations).count(f"'{destinations}'") == 4


def test_with_a_gpu_the_cpu_worker_leaves_inference_alone() -> None:
    text = rendered(COMPOSE_PROFILES="gpu", METSERVE_CPU_QUEUES='["prepare","encode"]')
    assert re.findall(r"METSERVE_WORKER_QUEUES: '(.*)'", text) == ['["prepare","encode"]', '["infer"]']
