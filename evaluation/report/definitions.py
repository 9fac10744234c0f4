"""Every term of the page, in the words of one sentence or two."""

from __future__ import annotations

from types import MappingProxyType

from evaluation.figures.size_classes import VOLUME_LIMIT_MM3
from evaluation.scoring.surfaces import TOLERANCE_MM

_LIMITS = ", ".join(f"{mm} mm for more than {volume:g} mm³" for mm, volume in VOLUME_LIMIT_MM3.items())

DEFINITIONS = MappingProxyType(
    {
        "metastasis (reference lesion)": "Of synthetic studies one drawn metastasis, by its number: a thin "
        "rim that falls into pieces is one, and two that touch stay two. Of imported studies a 26-connected "
        "component of the reference mask, as in the paper, pieces joined by a marked core taken as one. Both "
        "on the grid of the T1-post series, and only the part that enhances, not necrosis, not oedema.",
        "detected": "Any voxel of a finding overlaps the metastasis: the paper's rule. One finding may "
        "detect several.",
        "one-to-one matching": "Stricter: each metastasis needs a finding of its own; pairs are made so that "
        "their Dice is highest.",
        "false positive": "A finding that overlaps no metastasis.",
        "sensitivity": "TP / (TP + FN): detected metastases by all metastases, all scans together.",
        "positive predictive value (PPV)": "TP / (TP + FP): detected metastases by those and the false "
        "positives.",
        "FN / (TP + FN), FP / (TP + FN) of a scan": "The paper's false-negative rate and its false-discovery "
        "rate, which it divides by the number of metastases and not, as is usual, by that of findings; it "
        "can exceed 100 %.",
        "equivalent diameter": "Of the sphere of the same volume: of what was drawn in synthetic studies, "
        "of the reference's voxels in imported ones. Correlations of volumes, and Dice, take the voxels in "
        f"both. The limits are the paper's volumes: {_LIMITS}.",
        "Dice": "Twice the volume two masks share, by the sum of their volumes: 1 is the same mask, 0 no "
        "overlap.",
        "HD95": "95th percentile of the distances from the surface of the finding to that of the metastasis, "
        "of detected metastases. The paper measures in this direction; the larger of both is stricter.",
        "surface Dice (NSD)": "Share of the surface voxels of finding and metastasis that lie within "
        f"{TOLERANCE_MM:g} mm of the other's surface, of detected metastases.",
        "BraTS-METS lesion-wise scores": "Mean over metastases and false positives of a scan; each missed or "
        "invented one counts as Dice 0 and HD95 374 mm. Metastases of up to two voxels are left out, as in "
        "the challenge.",
        "r": "Pearson's correlation coefficient.",
        "limits of agreement": "Mean difference of found and reference volume, and 1.96 standard deviations "
        "to both sides (Bland and Altman).",
        "95 % interval over heads": "Bootstrap that draws whole heads (patients, or anatomies of synthetic "
        "studies) with replacement: scans of one head, and metastases of one scan, go together. The number "
        "of heads stands beside it; of a single one there is no interval.",
        "not reached": "No threshold up to 0.9995 leaves so few false positives and any finding. The "
        "sensitivity shown is that at the fewest, more than the curve is known to have at the level.",
        "95 % interval, Wilson": "Of a share, as if every metastasis were independent of the others.",
        "threshold, smallest finding": "A voxel belongs to a finding from this mean output of the members "
        "on; a finding with fewer voxels at 1 mm is dropped.",
        "expected calibration error": "Mean distance of output and share of metastasis over the bins, "
        "weighted by their voxels.",
        "correlation of members": "Pearson's r between two members' outputs, over metastases or over voxels.",
    }
)
"""Term -> meaning, in the order of the page."""
