from __future__ import annotations

from typing import Any

import pytest

from core.errors import UnsuitableReason
from core.settings import AssemblySettings
from core.study import AnalysisMode, QualityFlag, SeriesRole
from service.selection.assembly import is_due
from tests.mr_headers import (
    DIFFUSION,
    GE_BRAVO,
    PHILIPS_TFE,
    SAGITTAL,
    SIEMENS_MPRAGE,
    SUSCEPTIBILITY,
    T1_SPIN_ECHO,
    T2_FLAIR_3D,
    T2_TURBO_SPIN_ECHO,
    TIME_OF_FLIGHT,
    ct_series,
    enhanced,
    own_segmentation,
    series,
)
from tests.service.selection.selecting import AGENT, chosen, pair, reasons, refuse, select


@pytest.mark.parametrize("protocol", [SIEMENS_MPRAGE, GE_BRAVO, PHILIPS_TFE, T1_SPIN_ECHO])
def test_the_contrast_tag_tells_t1_from_t1_post(protocol: dict[str, Any]) -> None:
    selection = select(series(2, "scan", protocol), series(5, "scan", protocol, contrast=AGENT))
    assert chosen(selection) == pair(2, 5)
    assert selection.mode is AnalysisMode.FULL
    assert len(selection.selected[0].sop_instance_uids) == 40


@pytest.mark.parametrize(
    ("native", "post"),
    [
        ("AX T1 PRE", "AX T1 POST"),
        ("AX T1 BRAVO", "AX T1 BRAVO +C"),
        ("t1_mprage_sag", "t1_mprage_sag_Gd"),
        ("t1_mpr_nativ", "t1_mpr_KM"),
        ("T1 MPRAGE vor KM", "T1 MPRAGE nach KM"),
        ("T1 ohne KM", "T1 mit KM"),
        ("3D T1 sans injection", "3D T1 avec injection"),
        ("3D T1 avant gado", "3D T1 après gado"),
        ("T1 w/o contrast", "T1 with contrast"),
        ("T1 -C", "T1 C+"),
        ("T1 non-contrast", "T1 postGAD"),
    ],
)
def test_descriptions_tell_where_the_contrast_tag_is_missing(native: str, post: str) -> None:
    selection = select(series(7, post, SIEMENS_MPRAGE), series(3, native, SIEMENS_MPRAGE))
    assert chosen(selection) == pair(3, 7)


def test_the_protocol_name_tells_where_the_description_does_not() -> None:
    post = series(7, "t1 mprage", SIEMENS_MPRAGE, ProtocolName="t1 mprage post KM")
    assert chosen(select(series(3, "t1 mprage", SIEMENS_MPRAGE), post)) == pair(3, 7)


def test_an_agent_tag_on_a_series_called_native_is_believed_of_neither() -> None:
    refusal = refuse(series(2, "T1", SIEMENS_MPRAGE), series(4, "T1 pre", SIEMENS_MPRAGE, contrast=AGENT))
    assert refusal.reason is UnsuitableReason.NO_POST_CONTRAST
    assert "the description says native" in reasons(refusal, 4)


@pytest.mark.parametrize("post_protocol", [SIEMENS_MPRAGE, T1_SPIN_ECHO])
def test_an_agent_typed_once_for_the_examination_leaves_the_pre_scan_a_t1(
    post_protocol: dict[str, Any],
) -> None:
    selection = select(
        series(2, "T1 MPRAGE PRE", SIEMENS_MPRAGE, contrast=AGENT),
        series(5, "T1 POST", post_protocol, contrast=AGENT),
    )
    assert chosen(selection) == pair(2, 5)


def test_an_agent_called_none_is_no_agent() -> None:
    selection = select(
        series(2, "T1", SIEMENS_MPRAGE, contrast="NONE"), series(4, "T1", SIEMENS_MPRAGE, contrast=AGENT)
    )
    assert chosen(selection) == pair(2, 4)


def test_enhanced_mr_is_selected_like_classic_mr() -> None:
    selection = select(enhanced(2, "t1"), enhanced(4, "t1", contrast=True))
    assert chosen(selection) == pair(2, 4)
    assert all(len(selected.sop_instance_uids) == 1 for selected in selection.selected)


@pytest.mark.parametrize(
    ("description", "protocol", "elements", "reason"),
    [
        ("t2_tse_tra KM", T2_TURBO_SPIN_ECHO, {}, "not T1"),
        ("3D FLAIR post", T2_FLAIR_3D, {}, "FLAIR"),
        ("anything", T2_FLAIR_3D, {}, "not T1-weighted by its timing"),
        ("TOF 3D", {**TIME_OF_FLIGHT, "AngioFlag": None}, {}, "angiography"),
        ("anything", TIME_OF_FLIGHT, {}, "angiography"),
        ("SWI", SUSCEPTIBILITY, {}, "susceptibility"),
        ("anything", SUSCEPTIBILITY, {}, "not T1"),
        ("anything", DIFFUSION, {}, "echo planar"),
        ("Sub T1", SIEMENS_MPRAGE, {}, "a subtraction"),
        ("T1", SIEMENS_MPRAGE, {"ImageType": ["DERIVED", "PRIMARY", "SUBTRACTION"]}, "a subtraction"),
        ("T1 MIP tra", SIEMENS_MPRAGE, {}, "a projection"),
        (
            "T1",
            SIEMENS_MPRAGE,
            {"ImageType": ["DERIVED", "SECONDARY", "PROJECTION IMAGE", "MIP"]},
            "a projection",
        ),
        ("T1", SIEMENS_MPRAGE, {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "a localiser"),
        ("T1", SIEMENS_MPRAGE, {"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}, "a phase image"),
        ("T1", SIEMENS_MPRAGE, {"slices": 5}, "5 slices"),
        ("T1", SIEMENS_MPRAGE, {"spacing_mm": 8.0, "slices": 20}, "8.0 mm apart"),
        ("T1", SIEMENS_MPRAGE, {"spacing_mm": 1.0}, "covers 40 mm"),
        ("T1", SIEMENS_MPRAGE, {"PixelSpacing": [3, 3]}, "pixels of 3.0 mm"),
        ("T1", SIEMENS_MPRAGE, {"BodyPartExamined": "CSPINE"}, "body part CSPINE"),
        ("T1 Knie", SIEMENS_MPRAGE, {"BodyPartExamined": ""}, "body part"),
    ],
)
def test_series_that_are_no_t1_are_named_and_left_out(
    description: str, protocol: dict[str, Any], elements: dict[str, Any], reason: str
) -> None:
    selection = select(
        series(1, "T1", SIEMENS_MPRAGE),
        series(2, "T1 post", SIEMENS_MPRAGE, contrast=AGENT),
        series(3, description, protocol, contrast=AGENT, **elements),
    )
    assert chosen(selection) == pair(1, 2)
    assert reason in reasons(selection, 3)
    assert QualityFlag.SEVERAL_POST_CONTRAST_SERIES not in selection.flags


def test_a_t1_flair_is_a_t1() -> None:
    t1_flair = {
        **T1_SPIN_ECHO,
        "ScanningSequence": ["SE", "IR"],
        "RepetitionTime": 2200,
        "InversionTime": 850,
    }
    selection = select(series(1, "Ax T1 FLAIR", t1_flair), series(2, "Ax T1 FLAIR +C", t1_flair))
    assert chosen(selection) == pair(1, 2)


def test_no_t1_leaves_the_t1_post_alone_and_says_so() -> None:
    selection = select(series(5, "mprage KM", SIEMENS_MPRAGE), series(2, "t2", T2_TURBO_SPIN_ECHO))
    assert selection.mode is AnalysisMode.T1_POST_ONLY
    assert QualityFlag.T1_POST_ONLY in selection.flags
    assert chosen(selection) == {SeriesRole.T1_POST: 5}


def test_a_spin_echo_serves_as_t1_when_nothing_else_does() -> None:
    selection = select(series(1, "t1 se", T1_SPIN_ECHO), series(2, "mprage KM", SIEMENS_MPRAGE))
    assert chosen(selection) == pair(1, 2)


def test_the_t1_of_the_same_kind_is_preferred() -> None:
    selection = select(
        series(1, "t1 se", T1_SPIN_ECHO),
        series(2, "t1 mprage", SIEMENS_MPRAGE),
        series(3, "t1 mprage KM", SIEMENS_MPRAGE),
    )
    assert chosen(selection) == pair(2, 3)


def test_the_t1_in_the_same_frame_of_reference_is_preferred() -> None:
    selection = select(
        series(1, "t1", SIEMENS_MPRAGE, FrameOfReferenceUID="2.25.9"),
        series(2, "t1", SIEMENS_MPRAGE),
        series(3, "t1 KM", SIEMENS_MPRAGE),
    )
    assert chosen(selection) == pair(2, 3)


def test_an_unmarked_t1_acquired_after_contrast_is_no_t1() -> None:
    selection = select(
        series(1, "t1", SIEMENS_MPRAGE, time="100000"),
        series(2, "t1", SIEMENS_MPRAGE, contrast=AGENT, time="102000"),
        series(3, "t1", SIEMENS_MPRAGE, time="103000"),
    )
    assert chosen(selection) == pair(1, 2)
    assert "acquired after" in reasons(selection, 3)


def test_an_examination_around_midnight_keeps_its_order() -> None:
    selection = select(
        series(1, "t1", SIEMENS_MPRAGE, time="235000"),
        series(2, "t1", SIEMENS_MPRAGE, contrast=AGENT, time="000500"),
    )
    assert chosen(selection) == pair(1, 2)


@pytest.mark.parametrize(
    "better",
    [
        {"spacing_mm": 1.0, "slices": 160},
        {"ImageType": ["ORIGINAL", "PRIMARY", "M", "DIS3D"]},
        {"time": "120000"},
    ],
)
def test_of_two_t1_posts_the_better_one_for_planning_is_taken(better: dict[str, Any]) -> None:
    plain = {"ImageType": ["ORIGINAL", "PRIMARY", "M", "DIS2D"], "time": "110000"}
    selection = select(
        series(2, "t1 KM", SIEMENS_MPRAGE, contrast=AGENT, **{**plain, **better}),
        series(9, "t1 KM", SIEMENS_MPRAGE, contrast=AGENT, **plain),
    )
    assert chosen(selection) == {SeriesRole.T1_POST: 2}
    assert "series 2 fits better" in reasons(selection, 9)
    is_second = "ImageType" not in better
    assert (QualityFlag.SEVERAL_POST_CONTRAST_SERIES in selection.flags) is (is_second and "time" in better)


def test_two_post_contrast_acquisitions_are_flagged() -> None:
    selection = select(
        series(2, "t1 KM", SIEMENS_MPRAGE, contrast=AGENT, time="100000"),
        series(4, "t1 se KM", T1_SPIN_ECHO, contrast=AGENT, time="101000"),
    )
    assert QualityFlag.SEVERAL_POST_CONTRAST_SERIES in selection.flags
    assert chosen(selection) == {SeriesRole.T1_POST: 2}


def test_distortion_corrected_series_are_preferred_in_both_roles() -> None:
    def image_type(correction: str) -> dict[str, Any]:
        return {"ImageType": ["ORIGINAL", "PRIMARY", "M", "NORM", correction]}

    selection = select(
        series(1, "t1_ND", SIEMENS_MPRAGE, time="100000", **image_type("ND")),
        series(2, "t1", SIEMENS_MPRAGE, time="100000", **image_type("DIS3D")),
        series(3, "t1_KM_ND", SIEMENS_MPRAGE, time="103000", **image_type("ND")),
        series(4, "t1_KM", SIEMENS_MPRAGE, time="103000", **image_type("DIS3D")),
    )
    assert chosen(selection) == pair(2, 4)
    assert selection.flags == ()


def test_an_uncorrected_t1_post_is_flagged_and_paired_with_an_uncorrected_t1() -> None:
    nd = {"ImageType": ["ORIGINAL", "PRIMARY", "M", "NORM", "ND"]}
    selection = select(
        series(1, "t1", SIEMENS_MPRAGE),
        series(2, "t1", SIEMENS_MPRAGE, **nd),
        series(3, "t1 KM", SIEMENS_MPRAGE, **nd),
    )
    assert chosen(selection) == pair(2, 3)
    assert QualityFlag.NOT_DISTORTION_CORRECTED in selection.flags


def test_the_acquired_stack_is_preferred_to_its_reformat() -> None:
    mpr = {"ImageType": ["DERIVED", "SECONDARY", "MPR"]}
    selection = select(
        series(1, "t1 KM", SIEMENS_MPRAGE, orientation=SAGITTAL),
        series(2, "t1 KM mpr tra", SIEMENS_MPRAGE, **mpr),
    )
    assert chosen(selection) == {SeriesRole.T1_POST: 1}
    assert QualityFlag.SEVERAL_POST_CONTRAST_SERIES not in selection.flags


def test_two_echoes_at_the_same_positions_are_split_and_the_short_one_is_taken() -> None:
    short = series(3, "t1 KM", SIEMENS_MPRAGE)
    long = series(3, "t1 KM", SIEMENS_MPRAGE, EchoTime=6.5)
    for number, dataset in enumerate(long):
        dataset.SOPInstanceUID = f"2.25.77.{number}"
    selection = select([d for both in zip(long, short, strict=True) for d in both])
    assert set(selection.selected[0].sop_instance_uids) == {d.SOPInstanceUID for d in short}
    assert "holds several stacks; used: 40 of 80 instances, echo time 2.98 ms" in reasons(selection, 3)


def test_a_localiser_frame_in_a_series_is_left_out() -> None:
    stray = series(3, "t1 KM", SIEMENS_MPRAGE, orientation=SAGITTAL, slices=1)
    stray[0].SOPInstanceUID = "2.25.77"
    selection = select([*stray, *series(3, "t1 KM", SIEMENS_MPRAGE)])
    assert "2.25.77" not in selection.selected[0].sop_instance_uids
    assert len(selection.selected[0].sop_instance_uids) == 40


def test_acquisition_numbers_that_count_slices_do_not_split_a_stack() -> None:
    datasets = series(3, "t1 KM", SIEMENS_MPRAGE)
    for number, dataset in enumerate(datasets):
        dataset.AcquisitionNumber = number
    assert len(select(datasets).selected[0].sop_instance_uids) == 40


def test_a_missing_slice_makes_the_t1_post_unusable() -> None:
    datasets = series(3, "t1 KM", SIEMENS_MPRAGE)
    refusal = refuse(series(1, "t1", SIEMENS_MPRAGE), datasets[:17] + datasets[18:])
    assert refusal.reason is UnsuitableReason.IRREGULAR_GEOMETRY
    assert "series 3: slices are 4.00 to 8.00 mm apart" in refusal.message


def test_positions_rounded_to_a_hundredth_are_regular() -> None:
    datasets = series(3, "t1 KM", SIEMENS_MPRAGE, spacing_mm=0.9, slices=160)
    for dataset in datasets:
        dataset.ImagePositionPatient = [round(float(value), 2) for value in dataset.ImagePositionPatient]
    assert chosen(select(datasets)) == {SeriesRole.T1_POST: 3}


def test_no_contrast_is_unsuitable_and_names_what_was_found() -> None:
    refusal = refuse(series(3, "t1", SIEMENS_MPRAGE), series(4, "t2", T2_TURBO_SPIN_ECHO))
    assert refusal.reason is UnsuitableReason.NO_POST_CONTRAST
    assert "among 2 MR series" in refusal.message
    assert "series 3" in refusal.message
    assert {verdict.series_number for verdict in refusal.verdicts} == {3, 4}


def test_a_ct_alone_is_unsuitable() -> None:
    refusal = refuse(ct_series())
    assert refusal.reason is UnsuitableReason.NO_MR_SERIES
    assert "1 x CT" in refusal.message


def test_own_results_alone_are_unsuitable_and_beside_a_study_ignored() -> None:
    assert refuse([own_segmentation()]).reason is UnsuitableReason.NO_MR_SERIES
    selection = select(
        series(1, "t1", SIEMENS_MPRAGE), series(2, "t1 KM", SIEMENS_MPRAGE), [own_segmentation(3)]
    )
    assert chosen(selection) == pair(1, 2)
    assert "never a source" in reasons(selection, 3)


def test_a_knee_is_unsuitable() -> None:
    knee = {**T1_SPIN_ECHO, "BodyPartExamined": "KNEE"}
    refusal = refuse(series(1, "t1 tse sag", knee), series(2, "t1 tse fs KM", knee, contrast=AGENT))
    assert refusal.reason is UnsuitableReason.WRONG_ANATOMY
    assert "KNEE" in refusal.message


def test_a_wrong_body_part_is_overruled_by_a_description_of_the_head() -> None:
    selection = select(series(2, "t1 Kopf KM", SIEMENS_MPRAGE, BodyPartExamined="CSPINE"))
    assert chosen(selection) == {SeriesRole.T1_POST: 2}


def test_headers_without_timing_fall_back_on_the_description() -> None:
    bare: dict[str, Any] = {"ImageType": ["ORIGINAL", "PRIMARY"]}
    selection = select(series(1, "T1 3D", bare), series(2, "T1 3D +C", bare), series(3, "T2 +C", bare))
    assert chosen(selection) == pair(1, 2)


def test_the_order_of_arrival_does_not_matter() -> None:
    parts = [
        series(1, "t1", SIEMENS_MPRAGE),
        series(2, "t1 KM", SIEMENS_MPRAGE),
        series(3, "t1 se KM", T1_SPIN_ECHO),
    ]
    forward, backward = select(*parts), select(*[part[::-1] for part in parts[::-1]])
    assert forward.selected == backward.selected


@pytest.mark.parametrize(
    ("quiet_s", "is_requested", "with_t1", "due"),
    [
        (19, False, True, False),
        (20, False, True, True),
        (20, False, False, False),
        (300, False, False, True),
        (0, True, False, True),
    ],
)
def test_a_complete_study_waits_shorter_than_an_incomplete_one(
    quiet_s: float, is_requested: bool, with_t1: bool, due: bool
) -> None:
    settings = AssemblySettings(quiet_period_s=20, incomplete_quiet_period_s=300)
    parts = [series(2, "t1 KM", SIEMENS_MPRAGE), *([series(1, "t1", SIEMENS_MPRAGE)] if with_t1 else [])]
    assert is_due(select(*parts), quiet_s=quiet_s, is_requested=is_requested, settings=settings) is due
