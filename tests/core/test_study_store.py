import os
import stat
from pathlib import Path

import pytest

from core.errors import Transient
from core.study_store import StudyStore, atomic_file, sha256_of_file

HOSTILE_UID = "../../../etc/cron.d/x"


@pytest.fixture
def store(tmp_path: Path) -> StudyStore:
    return StudyStore(tmp_path / "data")


def test_a_committed_file_is_found_under_its_name_and_the_temporary_one_is_gone(store: StudyStore) -> None:
    temporary = store.temporary_path()
    temporary.write_bytes(b"pixels")
    committed = store.commit(temporary, store.instance_path("1.2", "1.2.3", "ab" * 32))
    assert committed.read_bytes() == b"pixels"
    assert not temporary.exists()


def test_names_never_come_from_the_peer(store: StudyStore) -> None:
    path = store.resolve(store.instance_path(HOSTILE_UID, HOSTILE_UID, "ab" * 32))
    assert path.is_relative_to(store.instances)
    assert "cron" not in str(path)


def test_a_path_that_leaves_the_store_is_refused(store: StudyStore) -> None:
    with pytest.raises(ValueError, match="leaves the store"):
        store.resolve("../outside")


def test_what_a_killed_process_left_is_swept(store: StudyStore) -> None:
    store.temporary_path().write_bytes(b"half")
    assert store.sweep_temporary() == 1
    assert list(store.temporary_folder.iterdir()) == []


def test_a_failing_commit_is_transient_and_leaves_no_temporary_file(store: StudyStore) -> None:
    temporary = store.temporary_path()
    temporary.write_bytes(b"pixels")
    (store.root / "occupied").write_bytes(b"a file where a folder is needed")
    with pytest.raises(Transient, match="cannot store"):
        store.commit(temporary, "occupied/x/y.dcm")
    assert not temporary.exists()


def test_quarantine_keeps_the_object_and_the_reason(store: StudyStore) -> None:
    temporary = store.temporary_path()
    temporary.write_bytes(b"odd")
    kept = store.quarantine(temporary, "no SOP Instance UID")
    assert kept.read_bytes() == b"odd"
    assert kept.with_suffix(".reason.txt").read_text(encoding="utf-8") == "no SOP Instance UID\n"


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "findings.json"
    target.write_text("old")

    def write_half() -> None:
        with atomic_file(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        write_half()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_sha256_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    assert sha256_of_file(path).startswith("ba7816bf8f01cfea")


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Return the inodes of the files and folders that were flushed to the disk, filled as it happens."""
    inodes: set[int] = set()
    flush = os.fsync

    def flush_and_note(descriptor: int) -> None:
        flush(descriptor)
        inodes.add(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", flush_and_note)
    return inodes


def inodes_up_to(root: Path, path: Path) -> set[int]:
    levels = [path, *path.parents]
    return {level.stat().st_ino for level in levels[: levels.index(root) + 1]}


def test_a_committed_file_and_every_folder_above_it_outlive_a_power_cut(
    store: StudyStore, synced: set[int]
) -> None:
    temporary = store.temporary_path()
    temporary.write_bytes(b"pixels")
    committed = store.commit(temporary, store.instance_path("1.2", "1.2.3", "ab" * 32))
    assert inodes_up_to(store.root, committed) <= synced


def test_a_folder_another_thread_has_just_made_is_synced_too(store: StudyStore, synced: set[int]) -> None:
    relative = store.instance_path("1.2", "1.2.3", "ab" * 32)
    store.resolve(relative).parent.mkdir(parents=True)
    temporary = store.temporary_path()
    temporary.write_bytes(b"pixels")
    assert inodes_up_to(store.root, store.commit(temporary, relative)) <= synced


def test_a_result_and_every_folder_above_it_outlive_a_power_cut(store: StudyStore, synced: set[int]) -> None:
    result = store.results_folder("job", 3) / "findings.json"
    with atomic_file(result) as temporary:
        temporary.write_text("{}")
    assert inodes_up_to(store.root, result) <= synced


def test_a_quarantined_object_and_its_reason_outlive_a_power_cut(store: StudyStore, synced: set[int]) -> None:
    temporary = store.temporary_path()
    temporary.write_bytes(b"odd")
    kept = store.quarantine(temporary, "no SOP Instance UID")
    paths = (kept, kept.with_suffix(".reason.txt"), kept.parent)
    assert {path.stat().st_ino for path in paths} <= synced


def test_every_folder_is_for_its_owner_only(store: StudyStore) -> None:
    store.results_folder("job", 3)
    temporary = store.temporary_path()
    temporary.write_bytes(b"pixels")
    store.commit(temporary, store.instance_path("1.2", "1.2.3", "ab" * 32))
    folders = [store.root, *(path for path in store.root.rglob("*") if path.is_dir())]
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}
