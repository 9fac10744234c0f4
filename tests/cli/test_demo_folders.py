from __future__ import annotations

from pathlib import Path

import pytest

from cli.demo_study import prepare_folder
from cli.embedded import environment_of_a_demo
from core.errors import InvalidInput


def test_a_demos_folder_is_emptied_by_the_next_demo(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    prepare_folder(out)
    (out / "seg.dcm").write_bytes(b"old")
    prepare_folder(out)
    assert [path.name for path in out.iterdir()] == [".metserve-demo"]


def test_somebodys_own_files_are_never_removed(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InvalidInput, match="not empty"):
        prepare_folder(tmp_path)
    assert (tmp_path / "thesis.tex").is_file()


def test_a_demo_knows_nothing_of_a_sites_database_queue_or_pacs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METSERVE_DATABASE_URL", "postgresql+psycopg://production")
    monkeypatch.setenv("METSERVE_BROKER_URL", "redis://production")
    monkeypatch.setenv("METSERVE_DELIVERY_DESTINATIONS", "[]")
    monkeypatch.setenv("METSERVE_CONFIG", "/etc/metserve.toml")
    monkeypatch.setenv("METSERVE_WORKER_THREADS", "2")
    kept = {name for name in environment_of_a_demo() if name.startswith("METSERVE_")}
    assert kept <= {"METSERVE_WORKER_THREADS"}
