from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from cli.evaluate import EvaluationRequest, parse_precision, run_evaluation
from core.errors import InvalidInput
from core.settings import WorkerSettings


def test_a_precision_that_does_not_exist_is_named_with_those_that_do():
    assert parse_precision("bf16") == "bf16"
    with pytest.raises(InvalidInput, match=r"precision 'f16' is unknown, expected one of \['f32', 'bf16'\]"):
        parse_precision("f16")


def test_the_command_that_gives_the_same_results_names_no_folder_of_ours():
    request = EvaluationRequest(Path("/data/test set.toml"), Path("/home/me/out"), limit=3, cases=("a", "b"))
    assert request.command == (
        "metserve evaluate --cohort 'test set.toml' --out out --profile full --precision f32 "
        "--limit 3 --cases a,b"
    )


def test_a_cohort_that_is_not_there_is_told_before_anything_is_loaded(tmp_path):
    request = EvaluationRequest(tmp_path / "absent.toml", tmp_path / "out")
    with pytest.raises(InvalidInput, match="expected a TOML file or a folder of studies"):
        run_evaluation(request, WorkerSettings(), Console(quiet=True))
    assert not (tmp_path / "out").exists()
