"""How the regions of a structure set are named and typed, and the codes of radiotherapy they use."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.sr.coding import Code

from core.results import StructureStyle
from worker.encoding.codes import MORPHOLOGICALLY_ABNORMAL_STRUCTURE

RT_TARGET = Code("130041", "DCM", "RT Target")
GTV = Code("228791009", "SCT", "GTV")


@dataclass(frozen=True, slots=True)
class RegionStyle:
    """What a style says about every region.

    Parameters
    ----------
    name_prefix
        Before the lesion's number.
    interpreted_type
        RT ROI Interpreted Type (PS3.3 C.8.8.8.1); empty where none applies.
    category
        Segmented Property Category, CID 9580.
    therapeutic_role
        Category and type of the role in treatment (CID 9503, CID 9534); None for a finding.
    """

    name_prefix: str
    interpreted_type: str
    category: Code
    therapeutic_role: tuple[Code, Code] | None


REGION_STYLES: dict[StructureStyle, RegionStyle] = {
    StructureStyle.NEUTRAL: RegionStyle("AI_BM", "", MORPHOLOGICALLY_ABNORMAL_STRUCTURE, None),
    StructureStyle.TARGET: RegionStyle("GTV_BM", "GTV", RT_TARGET, (RT_TARGET, GTV)),
}
