from __future__ import annotations

from dataclasses import replace

import pytest

from training.release.__main__ import main
from training.release.order import ReleaseOrder
from worker.model_set import verify_model_set


def words(order: ReleaseOrder, *more: object) -> list[str]:
    options = {
        "members": order.members, "base": order.base, "out": order.out, "name": order.name,
        "version": order.version, "trained-on": order.trained_on, "run": order.run, "pool": order.pool,
        "commit": order.commit,
    }  # fmt: skip
    given = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    return [*given, *map(str, more)]


def test_a_candidate_is_released_and_its_digest_shown(order, capsys: pytest.CaptureFixture[str]):
    assert main(words(order, "--unmeasured")) == 0
    assert f"metserve-test 2026.11.1, digest {verify_model_set(order.out).digest}" in capsys.readouterr().out


def test_a_validation_that_is_not_there_is_told(order, capsys: pytest.CaptureFixture[str]):
    assert main(words(order, "--unmeasured", "--operating-points", order.run / "absent.json")) == 2
    assert "absent.json is no results.json" in capsys.readouterr().err


def test_what_is_missing_is_told_on_the_error_stream(order, capsys: pytest.CaptureFixture[str]):
    assert main(words(order)) == 2
    assert "no evaluation was given" in capsys.readouterr().err


@pytest.mark.parametrize(("more", "alone"), [((), 9), (("--t1-post-only-minimum-component-voxels", 5), 5)])
def test_the_smallest_finding_counts_for_both_operating_points_unless_told(order, more, alone):
    points = ("--threshold", 0.3, "--t1-post-only-threshold", 0.6, "--minimum-component-voxels", 9)
    main(words(order, "--unmeasured", *points, *more))
    manifest = verify_model_set(order.out).manifest
    both = (manifest.operating_point, manifest.operating_point_t1_post_only)
    assert [(point.threshold, point.minimum_component_voxels) for point in both] == [(0.3, 9), (0.6, alone)]


def test_a_brain_extraction_is_taken_with_its_cube(order, base, capsys: pytest.CaptureFixture[str]):
    brain = ("--brain", base / "brain_extraction.onnx", "--brain-spacing-mm", 3.5)
    assert main(words(order, "--unmeasured", *brain)) == 2
    assert "128, 128, 128" in capsys.readouterr().err
    assert main(words(replace(order), "--unmeasured", *brain, "--brain-cube", 64)) == 0
    assert verify_model_set(order.out).manifest.brain_extraction.spacing_mm == 3.5
