"""The one block of CARD.md that nobody writes by hand: what was measured."""

from __future__ import annotations

import textwrap

from core.errors import InvalidInput
from evaluation.figures.results import EvaluationResults
from evaluation.report.comparison_tables import without_t1
from evaluation.report.formats import words
from evaluation.report.paper import CITATION
from evaluation.report.tables import Table, beside_paper
from worker.model_evidence import MeasuredEvaluation

WIDTH = 128
"""Of the card's lines; rows of tables are as long as they are."""

BEGIN = "<!-- figures -->"
END = "<!-- /figures -->"

ORIGINS = {"synthetic": "synthetic studies, no patients", "patients": "patients' scans"}

SERVICE_PRECISION = "f32"
OTHER_PRECISION = f" (the service runs {SERVICE_PRECISION}; its outputs differ slightly)"

NOT_MEASURED = (
    "**Not measured.** This set was released without an evaluation: nothing is known of how well it works."
)


def fill_card(card: str, block: str) -> str:
    """Replace what stands between the markers.

    Raises
    ------
    InvalidInput
        The card does not have each marker once, in order.
    """
    before, _, rest = card.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found or card.count(BEGIN) != 1 or card.count(END) != 1:
        raise InvalidInput(
            f"the card has {card.count(BEGIN)} lines {BEGIN} and {card.count(END)} lines {END}, expected one "
            "of each in this order: the figures are written between them"
        )
    return f"{before}{BEGIN}\n\n{block}\n\n{END}{after}"


def render_figures(results: EvaluationResults, evaluation: MeasuredEvaluation) -> str:
    """Write an evaluation as Markdown: what was measured, and tables with the paper's figures beside it."""
    paragraphs = [_wrap(_measured(results, evaluation)), _render_table(beside_paper(results.released))]
    if results.t1_post_only is not None:
        paragraphs.append(_render_table(without_t1(results.released, results.t1_post_only)))
    paragraphs.append(
        _wrap(f"The paper: {CITATION}. It measured on other scans: the columns do not compete.")
    )
    return "\n\n".join(paragraphs)


def _measured(results: EvaluationResults, evaluation: MeasuredEvaluation) -> str:
    header, released = results.header, results.released
    return (
        f"{_partial(results) if evaluation.partial else ''}"
        f"Cohort {_cell(header.cohort)} ({ORIGINS[header.origin]}; digest `{header.cohort_digest[:12]}`): "
        f"{evaluation.n_studies} scans of {_heads(evaluation)}, with {evaluation.n_lesions} metastases. "
        f"{_refused(results)}Measured with metserve {header.software_version} in {header.precision}"
        f"{'' if header.precision == SERVICE_PRECISION else OTHER_PRECISION}, "
        f"set digest `{header.model_digest[:12]}`: threshold {released.threshold:g}, smallest finding "
        f"{released.minimum_component_voxels} mm³. Written by `training.release` from "
        "the evaluation's results."
    )


def _partial(results: EvaluationResults) -> str:
    header = results.header
    if header.n_cases is None:
        return "**Partial**: nobody knows how many studies the cohort has. "
    run = header.n_studies + len(header.skipped)
    return f"**Partial**: {run} of the cohort's {header.n_cases} studies were run. "


def _heads(evaluation: MeasuredEvaluation) -> str:
    seen = evaluation.n_anatomies_trained_on or "none"
    people = "patients" if evaluation.origin == "patients" else "heads"
    return f"{evaluation.n_anatomies} {people}, {seen} of them trained on"


def _refused(results: EvaluationResults) -> str:
    skipped = results.header.skipped
    if not skipped:
        return ""
    reasons = ", ".join(sorted({words(study.reason) for study in skipped}))
    return f"{len(skipped)} more the service would have turned down ({_cell(reasons)}). "


def _render_table(table: Table) -> str:
    rows = [table.columns, tuple("---" for _ in table.columns), *table.rows]
    lines = [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    return "\n".join((_wrap(table.caption), "", *lines))


def _wrap(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _cell(text: str) -> str:
    """Keep a text in its cell, and free of markup."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
