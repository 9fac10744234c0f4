"""The PACS that gets the results: well, down, refusing, aborting, silent; it remembers what it has."""

from __future__ import annotations

import threading
import time
from collections import Counter
from enum import StrEnum

from pydicom.uid import Comprehensive3DSRStorage, ExplicitVRLittleEndian, SegmentationStorage
from pynetdicom import AE, evt

from tests.system.peers import free_port

OUT_OF_RESOURCES = 0xA700
SILENT_S = 4.0
"""Longer than metserve's time limit in these tests."""


class Mood(StrEnum):
    """How it behaves."""

    WELL = "well"
    REFUSING = "refusing"
    """0xA700 to everything."""
    ABORTING = "aborting every third instance"
    SILENT = "silent"
    """Takes the data and does not answer in time."""


class Destination:
    """A Storage SCP in this process."""

    AE_TITLE = "CHAOSPACS"

    def __init__(self) -> None:
        self.port = free_port()
        self.mood = Mood.WELL
        self.misbehaved = 0
        self.arrivals: Counter[tuple[str, str, str]] = Counter()
        """(study, SOP class, SOP instance) -> how often it was stored."""
        self._lock = threading.Lock()
        self._instances = 0
        self._server: object | None = None

    def start(self) -> None:
        ae = AE(self.AE_TITLE)
        ae.maximum_associations = 50
        for sop_class in (SegmentationStorage, Comprehensive3DSRStorage):
            ae.add_supported_context(sop_class, ExplicitVRLittleEndian)
        handlers = [(evt.EVT_C_STORE, self._store)]
        self._server = ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)

    def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()  # type: ignore[attr-defined]

    @property
    def studies(self) -> int:
        """Number of studies some object of which has arrived."""
        with self._lock:
            return len({study for study, _, _ in self.arrivals})

    def result_sets(self, study_instance_uid: str) -> dict[str, set[str]]:
        """Return SOP class -> the distinct instances of a study."""
        found: dict[str, set[str]] = {}
        with self._lock:
            for study, sop_class, instance in self.arrivals:
                if study == study_instance_uid:
                    found.setdefault(sop_class, set()).add(instance)
        return found

    def _store(self, event: evt.Event) -> int:
        with self._lock:
            self._instances += 1
            third = self._instances % 3 == 0
        if self.mood is Mood.REFUSING:
            self.misbehaved += 1
            return OUT_OF_RESOURCES
        if self.mood is Mood.ABORTING and third:
            self.misbehaved += 1
            event.assoc.abort()
            return 0x0000
        if self.mood is Mood.SILENT:
            self.misbehaved += 1
            time.sleep(SILENT_S)
            return OUT_OF_RESOURCES
        dataset = event.dataset
        key = (
            str(dataset.StudyInstanceUID),
            str(event.request.AffectedSOPClassUID),
            str(event.request.AffectedSOPInstanceUID),
        )
        with self._lock:
            self.arrivals[key] += 1
        return 0x0000
