from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from core.errors import InvalidInput
from tests.training.release import made_up_run as made
from training.release.facts import RunFacts, read_facts
from training.release.networks import CheckedMember, CheckedNetwork
from training.settings import MEMBERS

FIRST = MEMBERS[0]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    made.make_pool(tmp_path / "pool")
    made.make_run(tmp_path / "run")
    return tmp_path / "run"


def exported(n_patches: int | None = None) -> CheckedMember:
    network = CheckedNetwork(Path("first.onnx"), "0" * 64, {})
    return CheckedMember(FIRST.name, "first.onnx", FIRST.input, FIRST.loss, network, n_patches)


def facts(run: Path, n_patches: int | None = None) -> RunFacts:
    return read_facts(run, run.parent / "pool", [exported(n_patches)], "given")


def test_the_run_tells_seed_patches_loss_studies_recipe_and_commit(run):
    member = facts(run).members[FIRST.name]
    assert (member.seed, member.n_patches, member.patch_voxels, member.n_studies) == (7, 4000, 64, 3)
    assert (member.recipes, member.commit) == ((made.RECIPE,), made.COMMIT)


def test_the_final_loss_is_the_mean_of_the_last_steps(run):
    # 0.5 over steps 401 to 800, 0.2 over 801 to 1000; the line at 400 is too old
    assert facts(run).members[FIRST.name].final_loss == pytest.approx((400 * 0.5 + 200 * 0.2) / 600, abs=1e-4)


def test_what_a_crash_undid_counts_once(run):
    made.log(run, {"member": FIRST.name, "step": 1000, "loss": 0.3, "studies": 3})
    assert facts(run).members[FIRST.name].final_loss == pytest.approx((400 * 0.5 + 200 * 0.3) / 600, abs=1e-4)


def test_half_a_line_of_a_killed_run_is_left_out(run):
    with (run / "log.jsonl").open("a") as stream:
        stream.write('{"member": "t1_post-cro')
    assert facts(run).members[FIRST.name].final_loss is not None


def test_a_run_without_a_log_has_no_loss(run):
    (run / "log.jsonl").unlink()
    member = facts(run).members[FIRST.name]
    assert (member.final_loss, member.n_studies, member.commit) == (None, 3, "given")


def test_a_commit_the_log_does_not_know_is_the_one_given(run):
    made.log(run, {"event": "start", "commit": "unknown", "members": [FIRST.name], "seed": 9})
    member = facts(run).members[FIRST.name]
    assert (member.commit, member.seed) == ("given", 9)


def test_all_studies_together_are_counted(run):
    training = facts(run).training
    assert (training.n_studies, training.n_lesions, training.n_anatomies, training.n_imported) == (3, 3, 2, 0)
    assert facts(run).anatomies == {"head-0", "head-1"}


def test_trunks_of_the_run_are_told(run):
    trunks = facts(run).training.trunks
    assert [(trunk.name, trunk.n_patches) for trunk in trunks] == [
        ("trunk-t1_post", 4000), ("trunk-subtraction", 4000),
    ]  # fmt: skip


def test_a_run_without_trunks_has_none(tmp_path: Path):
    made.make_pool(tmp_path / "pool")
    made.make_run(tmp_path / "run", trunks=False)
    assert facts(tmp_path / "run").training.trunks == ()


def test_a_file_that_has_seen_more_than_the_run_is_refused(run):
    with pytest.raises(InvalidInput, match=r"has seen 4400 patches, .* only 4000"):
        facts(run, 4400)


def test_a_member_without_a_checkpoint_is_named(run):
    shutil.rmtree(run / FIRST.name)
    with pytest.raises(InvalidInput, match=f"no checkpoint of {FIRST.name}"):
        facts(run)


def test_a_pool_that_lacks_a_study_is_refused(run):
    shutil.rmtree(run.parent / "pool" / made.STUDIES[1])
    with pytest.raises(InvalidInput, match=f"drew from study {made.STUDIES[1]}.*expected the run's pool"):
        facts(run)


def test_a_checkpoint_without_studies_is_refused(run):
    made.add_checkpoint(run, FIRST.name, step=made.STEPS + 1, studies=())
    with pytest.raises(InvalidInput, match="lists no study"):
        facts(run)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path):
    with pytest.raises(InvalidInput, match="is no run of training"):
        facts(tmp_path)
