"""docs/licences.md lists what the lock files pin; nothing of it is under the GPL."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
PINNED = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[.*\])?==", re.MULTILINE)
ROW = re.compile(r"^\| ([a-z0-9][a-z0-9._-]*) \| ([^|]+) \|", re.MULTILINE)
GPL = re.compile(r"(?<!L)\bA?GPL|GNU (?:Affero )?General Public License")


def pinned_packages() -> set[str]:
    return {name for lock in LOCKS for name in PINNED.findall(lock.read_text(encoding="utf-8"))}


def listed_packages() -> dict[str, str]:
    rows = ROW.findall((ROOT / "docs" / "licences.md").read_text(encoding="utf-8"))
    return {name: licence.strip() for name, licence in rows if name != "package"}


def declared_licence(package: str) -> str:
    """Return licence expression and classifiers: the free text of some wheels holds whole licences."""
    metadata = importlib.metadata.metadata(package)
    classifiers = [text for text in metadata.get_all("Classifier", []) if text.startswith("License ::")]
    return " ".join([metadata.get("License-Expression") or "", *classifiers])


def test_every_pinned_package_is_listed_and_no_other() -> None:
    assert set(listed_packages()) == pinned_packages()


def test_no_listed_licence_is_the_gpl() -> None:
    assert [name for name, licence in listed_packages().items() if GPL.search(licence)] == []


def is_installed(package: str) -> bool:
    """Tell whether a package is here; those of the other roles are judged by the table alone."""
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


@pytest.mark.parametrize("package", sorted(filter(is_installed, pinned_packages())))
def test_no_installed_package_declares_the_gpl(package: str) -> None:
    assert not GPL.search(declared_licence(package))
