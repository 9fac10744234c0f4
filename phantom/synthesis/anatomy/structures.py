"""What a voxel of a synthetic head is: its tissue, and what in it takes up contrast but is no lesion."""

from __future__ import annotations

from enum import IntEnum


class Structure(IntEnum):
    """Tissue of a voxel; left and right are one."""

    AIR = 0
    WHITE_MATTER = 1
    CORTEX = 2
    DEEP_GREY = 3
    """Caudate, putamen, accumbens, amygdala, basal forebrain."""
    THALAMUS = 4
    PALLIDUM = 5
    HIPPOCAMPUS = 6
    CEREBELLAR_WHITE = 7
    CEREBELLAR_CORTEX = 8
    BRAINSTEM = 9
    """With the ventral diencephalon."""
    LATERAL_VENTRICLE = 10
    INFERIOR_HORN = 11
    """Temporal horn of the lateral ventricle."""
    THIRD_VENTRICLE = 12
    FOURTH_VENTRICLE = 13
    CSF = 14
    """Outside the ventricles: sulci, cisterns, spinal canal."""
    CHIASM = 15
    CAROTID = 16
    SINUS = 17
    """Dural venous sinuses."""
    EYE = 18
    SOFT_TISSUE = 19
    """Muscle, fat and what lies between."""
    MUCOSA = 20
    SKIN = 21
    CORD = 22
    CORTICAL_BONE = 23
    DIPLOE = 24
    """Marrow between the tables of the skull."""
    OTHER = 25


class Enhancing(IntEnum):
    """What takes up contrast without being a lesion: negatives, and rows of the false-positive table."""

    NONE = 0
    SINUS = 1
    CAVERNOUS_SINUS = 2
    VEIN = 3
    ARTERY = 4
    DURA = 5
    """With falx and tentorium."""
    CHOROID_PLEXUS = 6
    PITUITARY = 7
    """With its stalk."""
    PINEAL = 8
    """With other organs outside the blood-brain barrier."""
    VENOUS_ANOMALY = 9
    DOT_MIMIC = 10
    """A short piece of vessel that looks like a small lesion in cross-section."""
    T1_BRIGHT = 11
    """Bright before and after contrast: blood products, fat, melanin. Does not enhance."""
    EXTRACEREBRAL = 12
    """Mucosa, scalp, muscle, marrow."""
