"""Found against inserted, as a table."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from phantom.scoring import LesionScore, StudyScore


def print_score(score: StudyScore, console: Console) -> None:
    """Print a line a lesion, then what it comes to."""
    table = Table(title="found against inserted", title_justify="left")
    for heading in ("no.", "kind", "mm", "centroid LPS mm", "true mm3", "found mm3", "found as"):
        table.add_column(heading, justify="right")
    for lesion in score.lesions:
        table.add_row(*_row(lesion))
    console.print(table)
    large = [lesion for lesion in score.lesions if lesion.is_large]
    small = [lesion for lesion in score.lesions if not lesion.is_large]
    console.print(f"above 6 mm: {_found(large)}; up to 6 mm: {_found(small)}")
    if score.median_volume_error_large is not None:
        console.print(f"median volume error above 6 mm: {score.median_volume_error_large:.0%}")
    console.print(f"false positives: {score.false_positives}")


def _row(lesion: LesionScore) -> tuple[str, ...]:
    truth = lesion.truth
    return (
        str(truth.number),
        truth.kind.value,
        f"{truth.equivalent_diameter_mm:.1f}",
        " ".join(f"{c:.0f}" for c in truth.centroid_lps_mm),
        f"{truth.volume_mm3:.0f}",
        f"{lesion.found_volume_mm3:.0f}" if lesion.detected else "-",
        ", ".join(f"BM-{number:02d}" for number in lesion.found_numbers) or "[red]missed[/red]",
    )


def _found(lesions: list[LesionScore]) -> str:
    return f"{sum(lesion.detected for lesion in lesions)} of {len(lesions)} found"
