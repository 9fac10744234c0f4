from __future__ import annotations

import numpy as np
import pytest

from core.study import AnalysisMode, QualityFlag
from tests.synthetic import STUDY_UID
from tests.worker.conftest import LESIONS
from worker.pipeline import build_report
from worker.volumes import load_volume


def nearest_lesion(report, sphere):
    return min(
        report.lesions, key=lambda n: np.linalg.norm(np.subtract(n.centroid_lps_mm, sphere.centre_lps_mm))
    )


@pytest.mark.parametrize("sphere", LESIONS)
def test_each_lesion_is_found_where_it_is_with_its_size(analysed_study, sphere):
    lesion = nearest_lesion(analysed_study.analysis.report, sphere)
    np.testing.assert_allclose(lesion.centroid_lps_mm, sphere.centre_lps_mm, atol=1.0)
    assert lesion.volume_mm3 == pytest.approx(4 / 3 * np.pi * sphere.radius_mm**3, rel=0.35)
    assert lesion.longest_diameter_mm == pytest.approx(2 * sphere.radius_mm, abs=3.0)
    assert lesion.peak_probability > 0.9


def test_the_label_map_lies_on_the_t1_post_slices(analysed_study):
    findings = analysed_study.analysis.findings
    t1_post = load_volume(analysed_study.images.t1_post)
    assert findings.grid.is_close_to(t1_post.grid)
    assert findings.label_map_kji.shape == t1_post.grid.shape_kji
    assert analysed_study.analysis.prepared.source_slices == t1_post.slices


def test_the_report_says_what_was_done(analysed_study, model_set):
    report = analysed_study.analysis.report
    assert (report.study_instance_uid, report.series_instance_uid) == (STUDY_UID, "2.25.3001")
    threshold = model_set.operating_point(AnalysisMode.FULL).threshold
    assert (report.mode, report.threshold, report.revision) == (AnalysisMode.FULL, threshold, 1)
    assert report.model.profile == "preview"
    assert report.registration is not None
    assert report.registration.succeeded
    assert report.flags == (QualityFlag.PREVIEW_PROFILE,)
    assert report.brain_volume_mm3 == pytest.approx(1_400_000, rel=0.1)


def test_lesions_are_named_after_their_number_and_the_analysis(analysed_study):
    for number, lesion in enumerate(analysed_study.analysis.report.lesions, start=1):
        assert lesion.number == number
        assert lesion.tracking_id == f"BM-{number:02d}"
        assert lesion.tracking_uid == analysed_study.provenance.uid("lesion", str(number))


def test_progress_names_the_stages_in_order_and_reaches_the_end(analysed_study):
    stages = list(dict.fromkeys(stage for stage, _ in analysed_study.progress))
    assert stages == ["prepare", "infer", "find", "encode"]
    shares = [share for stage, share in analysed_study.progress if stage == "infer"]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_flags_of_the_selection_come_first_and_none_twice(analysed_study, preview):
    analysis = analysed_study.analysis
    given = (QualityFlag.NOT_DISTORTION_CORRECTED, QualityFlag.PREVIEW_PROFILE)
    report = build_report(
        analysis.findings, analysis.prepared, preview, analysed_study.provenance, "2.25.3001", given
    )
    assert report.flags == given
