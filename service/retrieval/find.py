"""C-FIND: studies, series and instances as a PACS asks for them (PS3.4 C.4.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.datadict import keyword_for_tag
from pynetdicom import evt
from pynetdicom.presentation import build_context

from core.audit import Audit
from core.database import Sessions
from core.errors import InvalidInput
from core.logs import logger
from core.peers import Right
from service.catalogue.query import Level, search, unmatched_keys
from service.receiving.dicom_service import DicomService
from service.retrieval.events import principal_of, query_event
from service.retrieval.identifiers import UNIQUE_KEYS, check_query, identifier_of, level_of
from service.retrieval.sop_classes import PATIENT_ROOT_FIND, STUDY_ROOT_FIND

MAX_ANSWERS = 10_000
"""Matches of one query; a client that asks for everything is told that there is more."""

PAGE = 500
"""Matches read from the database at once; a transaction ends before they are sent."""

SUCCESS = 0x0000
PENDING = 0xFF00
PENDING_WITH_UNMATCHED_KEYS = 0xFF01
CANCELLED = 0xFE00
IDENTIFIER_DOES_NOT_MATCH = 0xA900
LIMIT_REACHED = 0xB001
UNABLE_TO_PROCESS = 0xC000
"""Statuses of PS3.4 C.4.1.1.4."""

Answer = tuple[int | Dataset, Dataset | None]


@dataclass(frozen=True, slots=True)
class QueryProvider:
    """Answers queries from the catalogue.

    Parameters
    ----------
    ae_title
        Ours: where what was found can be retrieved.
    """

    ae_title: str
    read_sessions: Sessions
    audit: Audit
    max_answers: int = MAX_ANSWERS

    def service(self) -> DicomService:
        """Return what the DICOM door serves."""
        models = (STUDY_ROOT_FIND, PATIENT_ROOT_FIND)
        contexts = [build_context(model) for model in models]
        return DicomService(Right.QUERY, contexts, [(evt.EVT_C_FIND, self.answer)])

    def answer(self, event: evt.Event) -> Iterator[Answer]:
        """Yield what matches; never raises."""
        try:
            yield from self._answers(event)
        except InvalidInput as error:
            logger().warning("query refused", reason=str(error))
            yield failure(IDENTIFIER_DOES_NOT_MATCH, str(error)), None
        except Exception as error:  # noqa: BLE001 - the peer must have an answer
            logger().error("query failed", error=type(error).__name__)
            yield failure(UNABLE_TO_PROCESS, "the query could not be processed"), None

    def _answers(self, event: evt.Event) -> Iterator[Answer]:
        identifier = identifier_of(event)
        level = level_of(event, identifier)
        check_query(level, identifier)
        status = PENDING_WITH_UNMATCHED_KEYS if unmatched_keys(level, identifier) else PENDING
        self.audit.record(query_event(event, identifier, self.ae_title))
        for offset in range(0, self.max_answers, PAGE):
            # One more than is sent tells whether there is more.
            wanted = min(PAGE, self.max_answers - offset)
            page = self._page(event, level, identifier, wanted + 1, offset)
            for found in page[:wanted]:
                if event.is_cancelled:
                    yield CANCELLED, None
                    return
                yield status, self._reply(level, identifier, found)
            if len(page) <= wanted:
                return
        yield failure(LIMIT_REACHED, f"more than {self.max_answers} match; narrow the query"), None

    def _page(
        self, event: evt.Event, level: Level, identifier: Dataset, limit: int, offset: int
    ) -> list[Dataset]:
        with self.read_sessions() as session:
            return search(session, level, identifier, principal_of(event), limit=limit, offset=offset)

    def _reply(self, level: Level, identifier: Dataset, found: Dataset) -> Dataset:
        """Return what was asked for, of what is known (PS3.4 C.4.1.1.3.2)."""
        reply = Dataset()
        reply.SpecificCharacterSet = found.SpecificCharacterSet
        for keyword in {UNIQUE_KEYS[level], *map(keyword_for_tag, identifier.keys())}:
            if keyword in found:
                reply[keyword] = found[keyword]
        reply.QueryRetrieveLevel = level.value
        reply.RetrieveAETitle = self.ae_title
        if "InstanceAvailability" in identifier:
            reply.InstanceAvailability = "ONLINE"
        return reply


def failure(status: int, comment: str) -> Dataset:
    """Return a status with a comment for people (LO: 64 characters at most)."""
    answer = Dataset()
    answer.Status = status
    answer.ErrorComment = comment[:64]
    return answer
