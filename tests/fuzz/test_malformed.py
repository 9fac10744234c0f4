"""The catalogue of malformed content, and some of the mutations that `make fuzz` makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.catalogue import FILES, STUDIES, FileItem, StudyItem
from tests.fuzz.fuzz import fuzz_ingest, fuzz_network
from tests.fuzz.run import outcome_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
"""pydicom warns of the very values that are tried here."""

PAST_THE_NETWORK, THROUGH_THE_NETWORK = 300, 30
FOUND_EARLIER = (1103, 2388, 2682)
"""Seeds whose file once went through the receiver without an answer."""


@pytest.mark.parametrize("item", [*FILES, *STUDIES], ids=lambda item: item.name)
def test_malformed_content_becomes_of_it_what_the_catalogue_says(
    item: FileItem | StudyItem, tmp_path: Path
) -> None:
    assert outcome_of(item, tmp_path / "site") == item.expected


def test_mutated_files_are_stored_or_refused_with_a_reason(tmp_path: Path) -> None:
    report = fuzz_ingest(tmp_path, [*range(PAST_THE_NETWORK), *FOUND_EARLIER])
    assert report.is_clean, (report.crashes, report.leftovers)


def test_mutated_files_sent_by_c_store_leave_the_receiver_well(tmp_path: Path) -> None:
    statuses = fuzz_network(tmp_path, range(THROUGH_THE_NETWORK))
    assert statuses["echo"] == 1
    assert {"0x0000", "0xC000"} <= statuses.keys()
    assert "0x0110" not in statuses, "the receiver failed on a file"
