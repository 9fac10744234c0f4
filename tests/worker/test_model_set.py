from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from core.errors import InvalidInput
from core.study import AnalysisMode
from worker.model_set import read_model_set, verify_model_set

RELEASED = Path(__file__).parents[2] / "models"

EVIDENCE = re.compile(r"^\[+(training|evaluation|members\.training)", re.MULTILINE)

KNOWN_HERE = (
    (r'(?m)^name = "metserve.*"', 'name = "metserve-known"'),
    (r'(?m)^version = ".*"', 'version = "2026.1.0"'),
    (r"(\[operating_point\]\nthreshold =) \S+", r"\1 0.4"),
    (r"(\[operating_point_t1_post_only\]\nthreshold =) \S+", r"\1 0.5"),
    (r'(file = "subtraction-focal.onnx"\nsha256 = )".*"', rf'\1"{"8d" * 32}"'),
    (r"(?m)^top_margin_mm = \S+", "top_margin_mm = 12.0"),
)
"""What the next release may change: pattern and value."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The released manifest with known values and without its evidence."""
    paragraphs = (RELEASED / "ensemble.toml").read_text().rstrip("\n").split("\n\n")
    text = "\n\n".join(one for one in paragraphs if not EVIDENCE.search(one)) + "\n"
    for pattern, value in KNOWN_HERE:
        text, replaced = re.subn(pattern, value, text)
        assert replaced == 1, pattern
    (tmp_path / "ensemble.toml").write_text(text)
    return tmp_path


def edit(folder: Path, old: str, new: str) -> Path:
    path = folder / "ensemble.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return folder


def test_the_released_model_set_is_whole():
    model_set = verify_model_set(RELEASED)
    assert len(model_set.manifest.members) == 8
    assert len(model_set.digest) == 64


def test_a_changed_file_is_named_with_both_digests(folder):
    for path in RELEASED.glob("*.onnx"):
        (folder / path.name).symlink_to(path)
    changed = folder / "subtraction-focal.onnx"
    changed.unlink()
    changed.write_bytes(b"not a network")
    found = hashlib.sha256(b"not a network").hexdigest()
    with pytest.raises(
        InvalidInput, match=f"subtraction-focal.onnx has SHA-256 {found}, expected {'8d' * 32}"
    ):
        verify_model_set(folder)


def test_a_missing_file_is_named(folder):
    with pytest.raises(InvalidInput, match=r"model file .*t1_post-cross_entropy.onnx cannot be read"):
        verify_model_set(folder)


def test_a_missing_manifest_is_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"ensemble\.toml"):
        read_model_set(tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('axes = ["R", "A", "S"]', 'axes = ["R", "A", "A"]'),
        ('axes = ["R", "A", "S"]', 'axes = ["X", "A", "S"]'),
        ('"median_ratio_in_brain"', '"mean_ratio"'),
        ('"z_score_in_brain"', '"min_max"'),
        ("background_value = 0.0", "background_value = 1.0"),
        ("schema_version = 1", "schema_version = 2"),
        ("threshold = 0.4", "threshold = 1.4"),
        ("spacing_mm = 1.0", "spacing_mm = 1.0\nresolution = 1"),
        ('file = "brain_extraction.onnx"', 'file = "../brain_extraction.onnx"'),
        ("stride_voxels = [32, 32, 32]", "stride_voxels = [97, 32, 32]"),
        ('"subtraction-soft_dice"]', '"unknown"]'),
        ('name = "t1_post-focal"', 'name = "t1_post-soft_dice"'),
        ("schema_version = 1", "schema_version = "),
    ],
)
def test_a_manifest_this_version_does_not_understand_is_refused(folder, old, new):
    with pytest.raises(InvalidInput, match=r"ensemble\.toml is not a model set of schema 1"):
        read_model_set(edit(folder, old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("threshold = 0.4", "threshold = 0.41"),
        ("stride_voxels = [32, 32, 32]", "stride_voxels = [32, 32, 31]"),
        ("stride_voxels = [64, 64, 64]", "stride_voxels = [64, 64, 63]"),
        ("brain_dilation_mm = 3.0", "brain_dilation_mm = 2.0"),
        ("top_margin_mm = 12.0", "top_margin_mm = 13.0"),
        ('sha256 = "8d8d', 'sha256 = "9d8d'),
    ],
)
def test_the_digest_changes_with_everything_that_changes_a_result(folder, old, new):
    before = read_model_set(folder).digest
    assert read_model_set(edit(folder, old, new)).digest != before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('licence = "Apache-2.0"', 'licence = "MIT"'),
        ('name = "metserve-known"', 'name = "renamed"'),
        ("a quick look", "a look"),
        ('file = "brain_extraction.onnx"', 'file = "brain.onnx"'),
    ],
)
def test_the_digest_does_not_depend_on_words(folder, old, new):
    before = read_model_set(folder).digest
    assert read_model_set(edit(folder, old, new)).digest == before


def test_a_profile_selects_members_and_stride():
    model_set = read_model_set(RELEASED)
    full, preview = model_set.select_profile("full"), model_set.select_profile("preview")
    assert (len(full.members), full.stride_voxels) == (8, (32, 32, 32))
    assert [m.name for m in preview.members] == ["t1_post-soft_dice", "subtraction-soft_dice"]
    assert preview.stride_voxels == (64, 64, 64)


def test_an_unknown_profile_is_named_with_the_known_ones():
    with pytest.raises(InvalidInput, match=r"'fast' is unknown, expected one of \['full', 'preview'\]"):
        read_model_set(RELEASED).select_profile("fast")


def test_t1_post_members_alone_have_their_own_threshold(folder):
    model_set = read_model_set(folder)
    assert model_set.operating_point(AnalysisMode.FULL).threshold == 0.4
    assert model_set.operating_point(AnalysisMode.T1_POST_ONLY).threshold == 0.5


def test_the_identity_names_set_version_digest_and_profile(folder):
    model_set = read_model_set(folder)
    identity = model_set.identity("preview")
    assert (identity.name, identity.version) == ("metserve-known", "2026.1.0")
    assert (identity.digest, identity.profile) == (model_set.digest, "preview")


MEMBER_TRAINING = """\
[members.training]
seed = 3
n_patches = 4000
patch_voxels = 64
final_loss = 0.21
n_studies = 400
recipes = ["imported"]
commit = "0123abc"
"""

TRAINING = """
[training]
n_studies = 400
n_lesions = 2500
n_anatomies = 11
n_imported = 0
recipes = ["imported"]
"""

EVALUATION = f"""
[evaluation]
measured = true
model_digest = "{"ab" * 32}"
cohort = "test-100"
cohort_digest = "{"cd" * 32}"
origin = "synthetic"
precision = "f32"
software_version = "0.2.0"
n_studies = 100
n_lesions = 700
n_refused = 0
n_anatomies = 7
n_anatomies_trained_on = 0
false_positives_per_scan = 0.8

[evaluation.sensitivity]
all = 0.7
"""


def add_evidence(folder: Path, text: str) -> Path:
    """Append tables: those of the last member must come first."""
    path = folder / "ensemble.toml"
    path.write_text(path.read_text() + text)
    return folder


def test_evidence_is_read(folder):
    manifest = read_model_set(add_evidence(folder, MEMBER_TRAINING + TRAINING + EVALUATION)).manifest
    assert manifest.members[-1].training.n_patches == 4000
    assert (manifest.training.n_anatomies, manifest.training.trunks) == (11, ())
    assert (manifest.evaluation.sensitivity.all, manifest.evaluation.sensitivity.ge_6mm) == (0.7, None)


def test_evidence_changes_no_result_and_no_digest(folder):
    before = read_model_set(folder).digest
    assert read_model_set(add_evidence(folder, MEMBER_TRAINING + TRAINING + EVALUATION)).digest == before


def test_a_set_may_say_that_nobody_measured_it(folder):
    manifest = read_model_set(add_evidence(folder, "[evaluation]\nmeasured = false\n")).manifest
    assert manifest.evaluation.measured is False


@pytest.mark.parametrize(
    "text",
    [
        EVALUATION.replace("all = 0.7", "all = 70"),
        EVALUATION.replace("measured = true", "measured = false"),
        EVALUATION.replace('origin = "synthetic"', 'origin = "somewhere"'),
        EVALUATION + "ge_4mm = 0.9\n",
        TRAINING.replace("n_studies = 400", "n_studies = 0"),
        MEMBER_TRAINING + "note = 1\n",
    ],
    ids=["share", "figures-of-nothing", "origin", "size", "no-study", "unknown"],
)
def test_evidence_this_version_does_not_understand_is_refused(folder, text):
    with pytest.raises(InvalidInput, match=r"ensemble\.toml is not a model set of schema 1"):
        read_model_set(add_evidence(folder, text))
