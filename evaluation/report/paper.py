"""What Rudie et al. 2021 report of their ensemble and of two readers, to stand beside our figures.

Rudie JD et al., Three-dimensional U-Net Convolutional Neural Network for Detection and Segmentation of
Intracranial Metastases, Radiology: Artificial Intelligence 2021;3(3):e200204, doi 10.1148/ryai.2021200204:
100 test scans with 708 metastases, ensemble of eight at threshold 0.4.
"""

from __future__ import annotations

from dataclasses import dataclass

CITATION = (
    "Rudie JD et al., Radiology: Artificial Intelligence 2021;3(3):e200204, doi 10.1148/ryai.2021200204"
)

THRESHOLD = 0.4
"""Of the paper's ensemble, chosen on its validation scans."""

NOT_REPORTED = "–"


@dataclass(frozen=True, slots=True)
class PaperFigure:
    """One figure as the paper prints it: of its ensemble, and of its two neuroradiologists."""

    ensemble: str
    readers: str = NOT_REPORTED


SENSITIVITY = {
    "all": PaperFigure("70.0 % (496 / 708)", "87.9 %"),
    "lt_3mm": PaperFigure("14.7 %", "63.2 %"),
    "lt_5mm": PaperFigure("50.9 %"),
    "lt_6mm": PaperFigure("59.1 %"),
    "from_3_to_6mm": PaperFigure("76.7 % (266 / 347)", "90.8 %"),
    "ge_3mm": PaperFigure("84.3 % (482 / 572)"),
    "ge_5mm": PaperFigure("94.5 % (308 / 326)"),
    "ge_6mm": PaperFigure("96.4 % (217 / 225)", "98.4 %"),
}
"""By size class of ``evaluation.figures.size_classes``; the paper's own subgroups do not quite sum up."""

SENSITIVITY_SHARES = {
    "all": (0.700, 0.879),
    "lt_3mm": (0.147, 0.632),
    "lt_5mm": (0.509, None),
    "lt_6mm": (0.591, None),
    "from_3_to_6mm": (0.767, 0.908),
    "ge_3mm": (0.843, None),
    "ge_5mm": (0.945, None),
    "ge_6mm": (0.964, 0.984),
}
"""The same as numbers (ensemble, readers), for the plot."""

CASE_SENSITIVITY = PaperFigure("82.5 %", "88 and 87 %")
CASE_FN_RATE = PaperFigure("17.7 ± 22.5 %")
FP_PER_SCAN = PaperFigure("0.46; 0.35 after skull stripping")
FP_PER_SCAN_VALUE = 0.46
PPV = PaperFigure("91.5 %; 93.4 % after skull stripping")
MEDIAN_DICE = PaperFigure("0.75 (0.67–0.83)", "0.85 (0.80–0.89)")
MEAN_DICE = PaperFigure("0.73–0.75 ± 0.14", "0.83 ± 0.09")
MEAN_HD95_MM = PaperFigure("1.9 ± 1.6 mm")
MEDIAN_HD95_MM = PaperFigure("1.5 mm")
VOLUME_R = PaperFigure("0.98")
COUNT_R = PaperFigure("0.95")
LOG_VOLUME_DICE_R = PaperFigure("0.63", "0.50")
LOG_LESION_VOLUME_DICE_R = PaperFigure("0.71")
