"""The notice of a study that was not analysed: why, and what to do."""

from __future__ import annotations

from core.errors import UnsuitableReason
from worker.overview.lettering import LINE_HEIGHT, paragraph
from worker.overview.sheet import MARGIN_PX, SHEET_WIDTH_PX, Ink, Rule, Sheet

TITLE = "Not analysed"
SUBTITLE = "The software did not look for brain metastases in this study."

REASON_SENTENCES: dict[UnsuitableReason, str] = {
    UnsuitableReason.NO_MR_SERIES: "The study has no MR series that can be used.",
    UnsuitableReason.NO_POST_CONTRAST: "No T1-weighted series after contrast agent was found.",
    UnsuitableReason.WRONG_ANATOMY: "The images do not seem to show a head.",
    UnsuitableReason.IDENTICAL_SERIES: "T1 and T1-post hold the same images.",
    UnsuitableReason.NO_ENHANCEMENT: "The series taken for post-contrast shows no enhancement.",
    UnsuitableReason.IRREGULAR_GEOMETRY: (
        "The slices of the series are not evenly spaced: some may be missing or sent twice."
    ),
    UnsuitableReason.UNSUPPORTED_GEOMETRY: "The slices lie in a way that the software does not support.",
    UnsuitableReason.UNREADABLE_PIXELS: "The pixels of the series could not be read.",
    UnsuitableReason.NO_BRAIN_FOUND: "No brain was found in the images.",
}
"""Every reason has its sentence; a test holds it."""

ADVICE: dict[UnsuitableReason, str] = {
    UnsuitableReason.NO_MR_SERIES: "Send the T1-weighted MR series after contrast agent.",
    UnsuitableReason.NO_POST_CONTRAST: "Send the T1-weighted series after contrast agent (T1-post).",
    UnsuitableReason.WRONG_ANATOMY: "Send the series of the head, or check what the series says it shows.",
    UnsuitableReason.IDENTICAL_SERIES: "Send the true T1 and T1-post series, or T1-post alone.",
    UnsuitableReason.NO_ENHANCEMENT: "Check which series was acquired after contrast agent, and send it.",
    UnsuitableReason.IRREGULAR_GEOMETRY: "Send the complete series again.",
    UnsuitableReason.UNSUPPORTED_GEOMETRY: "Send the series as it was acquired, not a reformatted one.",
    UnsuitableReason.UNREADABLE_PIXELS: "Send the series again, uncompressed or losslessly compressed.",
    UnsuitableReason.NO_BRAIN_FOUND: "Send a series that covers the whole brain.",
}
"""What to do next, for every reason."""

UNKNOWN_REASON = "The study could not be analysed."
UNKNOWN_ADVICE = "Ask whoever runs the service."
READ_AS_USUAL = "This says nothing about the patient: the images are to be read as usual."

TITLE_SIZE, HEADING_SIZE, BODY_SIZE = 46.0, 22.0, 24.0
TEXT_WIDTH_PX = SHEET_WIDTH_PX - 4 * MARGIN_PX
MESSAGE_LIMIT = 900
"""Characters of a message that are shown: what fits on the sheet."""


def reason_sentence(reason: str) -> str:
    """Return why a study was not analysed, in plain words; an unknown reason has a sentence too."""
    return REASON_SENTENCES[UnsuitableReason(reason)] if _is_known(reason) else UNKNOWN_REASON


def advice(reason: str) -> str:
    """Return what to do next."""
    return ADVICE[UnsuitableReason(reason)] if _is_known(reason) else UNKNOWN_ADVICE


def notice_sheet(reason: str, message: str, footer: tuple[str, ...]) -> Sheet:
    """Return the one sheet of a notice.

    Parameters
    ----------
    reason
        An ``UnsuitableReason``'s value, or another word.
    message
        What was found and what was expected, as the software says it.
    footer
        Lines for the end, such as the intended use.
    """
    left, y = 2 * MARGIN_PX, 2.0 * MARGIN_PX
    sheet, y = paragraph(TITLE, (left, y), TEXT_WIDTH_PX, TITLE_SIZE, Ink.ALERT, bold=True)
    part, y = paragraph(SUBTITLE, (left, y), TEXT_WIDTH_PX, BODY_SIZE)
    sheet += part + Sheet(rules=(Rule(left, y + MARGIN_PX, TEXT_WIDTH_PX),))
    details = message if len(message) <= MESSAGE_LIMIT else message[:MESSAGE_LIMIT] + "..."
    blocks = (("Why", reason_sentence(reason)), ("Details", details), ("What to do", advice(reason)))
    for heading, text in blocks:
        part, y = paragraph(heading, (left, y + 2 * MARGIN_PX), TEXT_WIDTH_PX, HEADING_SIZE, Ink.FAINT)
        sheet += part
        part, y = paragraph(text, (left, y), TEXT_WIDTH_PX, BODY_SIZE)
        sheet += part
    y += 2 * MARGIN_PX
    sheet += Sheet(rules=(Rule(left, y, TEXT_WIDTH_PX),))
    for line in (READ_AS_USUAL, *footer):
        part, y = paragraph(
            line, (left, y + HEADING_SIZE * (LINE_HEIGHT - 1)), TEXT_WIDTH_PX, 20.0, Ink.FAINT
        )
        sheet += part
    return sheet


def _is_known(reason: str) -> bool:
    return reason in set(UnsuitableReason)
