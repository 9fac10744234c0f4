"""`metserve models verify`."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from worker.model_set import ModelSet, verify_model_set


def verify(folder: Path, console: Console) -> ModelSet:
    """Check a model set and print it; raises when a file is missing or not the one that was released."""
    model_set = verify_model_set(folder)
    manifest = model_set.manifest
    table = Table(title=f"{manifest.name} {manifest.version} in {folder}", title_justify="left")
    for heading in ("member", "input", "loss", "sha256"):
        table.add_column(heading)
    for member in manifest.members:
        table.add_row(member.name, member.input, member.loss, member.sha256[:16])
    console.print(table)
    console.print(f"brain extraction {manifest.brain_extraction.sha256[:16]}")
    console.print(f"licence {manifest.licence}; trained on {manifest.trained_on}")
    console.print(f"digest {model_set.digest}")
    console.print("every file is the one that was released")
    return model_set
