"""What the pages for people name must exist: files, settings, REST paths, packages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.settings import CONFIG_FILE_VARIABLE, ROLE_SETTINGS
from service.access.policy import RIGHTS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "deploy").rglob("*.md"),
        *(ROOT / "models").glob("*.md"),
    ]
)
EXAMPLES = [ROOT / "docker-compose.yml", ROOT / "deploy" / "compose.env.example", ROOT / "Dockerfile"]

VARIABLES_OF_NO_ROLE = {
    "METSERVE_DICOM_BIND",
    "METSERVE_DICOM_PUBLISHED_PORT",
    "METSERVE_HTTP_BIND",
    "METSERVE_HTTP_PUBLISHED_PORT",
    "METSERVE_CPU_QUEUES",
    "METSERVE_HOST",
    "METSERVE_TEST_PICTURES_DIR",
    "METSERVE_TEST_T1_DIR",
}
"""Variables of docker-compose.yml, the test PACS and the tests that no role reads."""

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
SETTING = re.compile(r"METSERVE_[A-Z0-9_]*[A-Z0-9]")
REST_PATH = re.compile(r"/api/v1/[\w$/{}.-]+|(?<![\w/$.])/(?:health/[a-z]+|metrics|version)\b")
PLACEHOLDER = re.compile(r"\{\w+\}|\$\w+")


def page_id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_to_files_that_exist(page: Path) -> None:
    targets = [t for t in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in t]
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("page", [*PAGES, *EXAMPLES], ids=page_id)
def test_settings_that_are_named_exist(page: Path) -> None:
    named = set(SETTING.findall(page.read_text(encoding="utf-8")))
    assert named - settings_that_exist() == set()


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_rest_paths_that_are_named_exist(page: Path) -> None:
    named = {as_template(path) for path in REST_PATH.findall(page.read_text(encoding="utf-8"))}
    assert named - rest_paths_that_exist() == set()


def test_every_page_is_on_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    listed = {(index.parent / target).resolve() for target in LINK.findall(index.read_text(encoding="utf-8"))}
    assert {page for page in PAGES if page != index} <= listed


def settings_that_exist() -> set[str]:
    names = {
        f"{role.model_config.get('env_prefix', '')}{field.upper()}"
        for role in ROLE_SETTINGS
        for field in role.model_fields
    }
    return names | VARIABLES_OF_NO_ROLE | {CONFIG_FILE_VARIABLE}


def rest_paths_that_exist() -> set[str]:
    """Return the paths of the policy, which knows every route."""
    return {as_template(path) for _, path in RIGHTS}


def as_template(path: str) -> str:
    return PLACEHOLDER.sub("*", path.rstrip("/."))
