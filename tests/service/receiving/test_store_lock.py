from __future__ import annotations

import threading
from pathlib import Path

import pytest

from core.errors import InvalidInput
from core.study_store import StudyStore
from service.receiving.store_lock import LOCK_FILE, sole_receiver


@pytest.fixture
def store(tmp_path: Path) -> StudyStore:
    return StudyStore(tmp_path / "data")


def test_a_second_receiver_is_told_which_file_is_locked(store: StudyStore) -> None:
    with sole_receiver(store, threading.Event()):
        second = sole_receiver(StudyStore(store.root), threading.Event(), wait_s=0)
        with pytest.raises(InvalidInput, match=str(store.root / LOCK_FILE)), second:
            pass


class EndOfAnother(threading.Event):
    """A stop signal that never comes; while it is waited for, another receiver ends."""

    def __init__(self, end: threading.Event, receiver: threading.Thread) -> None:
        super().__init__()
        self._end, self._receiver = end, receiver

    def wait(self, timeout: float | None = None) -> bool:
        self._end.set()
        self._receiver.join()
        return False


def test_a_receiver_waits_for_the_one_before_to_end(store: StudyStore) -> None:
    locked, end = threading.Event(), threading.Event()

    def receive() -> None:
        with sole_receiver(store, threading.Event()):
            locked.set()
            end.wait()

    before = threading.Thread(target=receive, daemon=True)
    before.start()
    locked.wait()
    with sole_receiver(store, EndOfAnother(end, before)):
        assert not before.is_alive()


def test_a_receiver_that_is_told_to_stop_waits_no_longer(store: StudyStore) -> None:
    stop = threading.Event()
    stop.set()
    with sole_receiver(store, threading.Event()):
        second = sole_receiver(store, stop, wait_s=3600)
        with pytest.raises(InvalidInput, match="is locked"), second:
            pass


def test_the_lock_ends_with_its_receiver(store: StudyStore) -> None:
    for _ in range(2):
        with sole_receiver(store, threading.Event(), wait_s=0):
            pass
