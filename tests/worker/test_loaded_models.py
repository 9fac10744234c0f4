from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from core.errors import InvalidInput
from worker.loaded_models import load_models

RELEASED = Path(__file__).parents[2] / "models"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("brain_dilation_mm = 3.0", "brain_dilation_mm = 2.0", r"\[input\] .*2\.0.* expected .*3\.0"),
        ("top_margin_mm = 12.0", "top_margin_mm = 9.0", r"\[brain_extraction\] .*9\.0.* expected .*12\.0"),
    ],
)
def test_a_shadow_set_that_expects_other_input_is_refused(tmp_path, old, new, words):
    shutil.copytree(RELEASED, tmp_path / "shadow")
    manifest = tmp_path / "shadow" / "ensemble.toml"
    manifest.write_text(manifest.read_text().replace(old, new))
    with pytest.raises(InvalidInput, match=words):
        load_models(
            RELEASED,
            profile="preview",
            device="cpu",
            threads=1,
            cache_dir=None,
            shadow_folder=tmp_path / "shadow",
        )
