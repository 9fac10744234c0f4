"""T1, proton density and gadolinium uptake of the tissues of a head.

T1 in ms, rounded from Rooney 2007 (1.5 T), Wansapura 1999 and Bojorquez 2017 (3 T) for brain and CSF, Lu
2004 for blood, Stanisz 2005 for muscle, de Bazelaire 2004 for fat and marrow; tissues without a source of
their own are chosen between these.

Gadolinium in mmol/L a few minutes after 0.1 mmol/kg: blood 0.5 to 1.0; brain tissue that of its blood, 2 to
4 % of its volume; the others chosen so that they gain the 10 to 200 % of signal they are seen to gain.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from phantom.synthesis.anatomy.structures import Enhancing, Structure

FIELDS_T = (1.5, 3.0)
"""Field strengths with T1 below."""


@dataclass(frozen=True, slots=True)
class Tissue:
    """What the signal of a tissue comes from.

    Parameters
    ----------
    t1_ms
        T1 without contrast at each of ``FIELDS_T``.
    proton_density
        Relative to white matter, T2* decay included.
    gd_mmol_l
        Typical concentration of gadolinium a few minutes after 0.1 mmol/kg.
    texture
        Standard deviation of the signal within the tissue, relative to its mean.
    uptake_spread
        Standard deviation of the enhancement within the tissue, relative to its mean.
    fat_share
        Mean share of fat mixed into it.
    """

    t1_ms: tuple[float, float]
    proton_density: float
    gd_mmol_l: float = 0.0
    texture: float = 0.02
    uptake_spread: float = 0.3
    fat_share: float = 0.0


BLOOD = Tissue((1480, 1700), 1.0, 0.75, 0.05, 0.06)
FAT = Tissue((345, 380), 1.1, 0.01, 0.05)

TISSUES: MappingProxyType[Structure, Tissue] = MappingProxyType(
    {
        Structure.AIR: Tissue((4000, 4000), 0.0, 0.0, 0.0),
        Structure.WHITE_MATTER: Tissue((650, 850), 1.0, 0.015, 0.020, 0.25),
        Structure.CORTEX: Tissue((1100, 1380), 1.08, 0.030, 0.035, 0.35),
        Structure.DEEP_GREY: Tissue((980, 1240), 1.06, 0.025, 0.025, 0.3),
        Structure.THALAMUS: Tissue((880, 1120), 1.04, 0.025, 0.035, 0.3),
        Structure.PALLIDUM: Tissue((760, 960), 1.0, 0.020, 0.03, 0.3),
        Structure.HIPPOCAMPUS: Tissue((1120, 1400), 1.08, 0.030, 0.03, 0.3),
        Structure.CEREBELLAR_WHITE: Tissue((670, 880), 1.0, 0.020, 0.025, 0.25),
        Structure.CEREBELLAR_CORTEX: Tissue((1050, 1320), 1.08, 0.035, 0.045, 0.3),
        Structure.BRAINSTEM: Tissue((740, 960), 1.02, 0.020, 0.03, 0.25),
        Structure.LATERAL_VENTRICLE: Tissue((4200, 4300), 1.1, 0.0, 0.03),
        Structure.INFERIOR_HORN: Tissue((4200, 4300), 1.1, 0.0, 0.03),
        Structure.THIRD_VENTRICLE: Tissue((4200, 4300), 1.1, 0.0, 0.05),
        Structure.FOURTH_VENTRICLE: Tissue((4200, 4300), 1.1, 0.0, 0.05),
        Structure.CSF: Tissue((4000, 4100), 1.1, 0.004, 0.10, 0.6),
        Structure.CHIASM: Tissue((740, 950), 1.0, 0.015, 0.03),
        Structure.CAROTID: Tissue(BLOOD.t1_ms, 1.0, BLOOD.gd_mmol_l, 0.06, 0.08),
        Structure.SINUS: Tissue(BLOOD.t1_ms, 1.0, BLOOD.gd_mmol_l, 0.06, 0.08),
        Structure.EYE: Tissue((4000, 4100), 1.1, 0.0, 0.05),
        Structure.SOFT_TISSUE: Tissue((1010, 1410), 1.0, 0.12, 0.08, 0.4, fat_share=0.4),
        Structure.MUCOSA: Tissue((1000, 1250), 1.0, 0.35, 0.15, 0.4),
        Structure.SKIN: Tissue((900, 1150), 0.85, 0.15, 0.10, 0.4, fat_share=0.45),
        Structure.CORD: Tissue((740, 960), 1.0, 0.015, 0.03),
        Structure.CORTICAL_BONE: Tissue((900, 1000), 0.10, 0.10, 0.3, 0.5),
        Structure.DIPLOE: Tissue((800, 1000), 0.7, 0.08, 0.15, 0.5, fat_share=0.5),
        Structure.OTHER: Tissue((900, 1100), 0.6, 0.08, 0.15, 0.4),
    }
)
"""The tissue of each structure."""

UPTAKE: MappingProxyType[Enhancing, Tissue] = MappingProxyType(
    {
        Enhancing.SINUS: BLOOD,
        Enhancing.CAVERNOUS_SINUS: Tissue((1300, 1550), 1.0, 0.65, 0.08, 0.1),
        Enhancing.VEIN: BLOOD,
        Enhancing.ARTERY: BLOOD,
        Enhancing.DURA: Tissue((950, 1180), 0.95, 0.45, 0.08, 0.3),
        Enhancing.CHOROID_PLEXUS: Tissue((1400, 1680), 1.0, 0.60, 0.10, 0.2),
        Enhancing.PITUITARY: Tissue((1000, 1280), 1.0, 0.60, 0.05, 0.15),
        Enhancing.PINEAL: Tissue((1050, 1350), 1.0, 0.45, 0.08, 0.2),
        Enhancing.VENOUS_ANOMALY: BLOOD,
        Enhancing.DOT_MIMIC: BLOOD,
    }
)
"""Tissue of what enhances but is no structure of the label map."""


def t1_ms_at(tissue: Tissue, field_t: float) -> float:
    """Return the T1 of a tissue at 1.5 T or 3 T."""
    return tissue.t1_ms[FIELDS_T.index(field_t)]
