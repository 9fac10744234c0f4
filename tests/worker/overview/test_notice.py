"""A notice says why, and what to do, in words for people."""

from __future__ import annotations

import pytest

from core.errors import UnsuitableReason
from worker.overview.notice import ADVICE, REASON_SENTENCES, UNKNOWN_REASON, notice_sheet
from worker.overview.sheet import SHEET_HEIGHT_PX, Sheet


def words(sheet: Sheet) -> str:
    return " ".join(text.text for text in sheet.texts)


def test_every_reason_has_a_sentence_and_an_advice() -> None:
    assert set(REASON_SENTENCES) == set(ADVICE) == set(UnsuitableReason)


@pytest.mark.parametrize("reason", UnsuitableReason)
def test_a_notice_says_reason_message_advice_and_use(reason: UnsuitableReason) -> None:
    shown = words(notice_sheet(reason.value, "3 series, none after contrast.", ("Research use only.",)))
    for expected in ("Not analysed", REASON_SENTENCES[reason], ADVICE[reason], "3 series", "Research use"):
        assert expected in shown


def test_an_unknown_reason_is_told_all_the_same() -> None:
    assert UNKNOWN_REASON in words(notice_sheet("full_moon", "", ()))


def test_the_longest_message_leaves_the_end_of_the_sheet_readable() -> None:
    sheet = notice_sheet("no_post_contrast", "1.2.840.113619." * 400, ("Research use only.",))
    assert max(text.y + text.size for text in sheet.texts) < SHEET_HEIGHT_PX
    assert sheet.texts[-1].text == "Research use only."
