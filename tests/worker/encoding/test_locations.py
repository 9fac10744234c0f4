"""Places of lesions: the codes written are read back as the place that was found."""

from __future__ import annotations

import pytest

from core.errors import Defect
from core.lesion import Location, Region, Side
from tests.dicom_sources import make_grid
from tests.encoded_study import Box, EncodedStudy, make_study
from tests.located_study import EVERY_PLACE, placed
from worker.encoding.locations import code_key, read_location
from worker.encoding.report.readback import read_groups
from worker.encoding.segmentation.readback import read_segment_location

BRAIN, INSULA = ("SCT", "12738006"), ("SCT", "36169008")
LEFT, RIGHT = ("SCT", "7771000"), ("SCT", "24028007")
DEEP_GREY_MATTER = ("99METSERVE", "deep-grey-matter")

BOXES: tuple[Box, ...] = tuple(
    (slice(k, k + 2), slice(j, j + 2), slice(4, 7)) for k in (0, 4, 8, 12) for j in (2, 8, 14, 20)
)


@pytest.fixture(scope="module")
def everywhere() -> EncodedStudy:
    return placed(make_study(BOXES, make_grid((16, 24, 20))), EVERY_PLACE)


def test_every_place_is_written_to_the_report_and_to_the_segmentation(everywhere: EncodedStudy) -> None:
    results = everywhere.encode()
    assert results.seg is not None
    assert [read_segment_location(segment) for segment in results.seg.SegmentSequence] == list(EVERY_PLACE)
    _, *groups = read_groups(results.sr)
    by_template = {
        template: [group.location() for group in groups if group.template == template]
        for template in ("1411", "1410")
    }
    assert by_template == {"1411": list(EVERY_PLACE), "1410": list(EVERY_PLACE)}


def test_the_side_is_the_first_modifier_of_the_region(everywhere: EncodedStudy) -> None:
    seg = everywhere.encode().seg
    assert seg is not None
    deep = EVERY_PLACE.index(Location(Region.DEEP_GREY_MATTER, Side.LEFT))
    region = seg.SegmentSequence[deep].AnatomicRegionSequence[0]
    assert code_key(region) == BRAIN
    assert [code_key(code) for code in region.AnatomicRegionModifierSequence] == [LEFT, DEEP_GREY_MATTER]


@pytest.mark.parametrize(
    ("site", "modifiers"),
    [
        pytest.param(("SCT", "78961009"), [], id="the spleen"),
        pytest.param(INSULA, [LEFT, RIGHT], id="both sides"),
        pytest.param(INSULA, [("SCT", "51440002")], id="a side that is none of ours"),
        pytest.param(INSULA, [DEEP_GREY_MATTER], id="two regions"),
        pytest.param(BRAIN, [DEEP_GREY_MATTER, DEEP_GREY_MATTER], id="a region twice"),
    ],
)
def test_codes_that_state_no_place_are_a_defect(site, modifiers) -> None:
    with pytest.raises(Defect):
        read_location(site, modifiers)
