"""What people write into series descriptions: hints, used where the tags say nothing.

English, German and French as seen on scanners. A description is whatever a technologist typed: it
breaks ties and fills gaps, and never overrules what the scanner recorded.
"""

from __future__ import annotations

import re

_NATIVE = re.compile(
    r"\bpre\b|\bpr[eé]\b|nativ|unenhanced|non[ -]?contrast|\bohne\b|\bsans\b|\bwithout\b"
    r"|\bw ?/ ?o\b|\bvor\b|\bavant\b|\bno (contrast|gad|gd|c)\b|\bnc\b|\bo\.? ?km\b|(?<!\w)-c\b|\bc-(?!\w)"
)
"""Looked for first: ``ohne KM`` names the agent too."""

_ENHANCED = re.compile(
    r"\bpost\b|\bpostgad|\+ ?(c|gd|gad|km|kontrast|contrast|inj)\b|\bc\+|\bkm\+|\bgd\+|\bgd\b|\bgado?\w*"
    r"|\bkm\b|\bce\b|\bce[- ]?t1|kontrast|contrast|\binj\w*|\bapr[eè]s\b|\bnach\b|\bmit\b"
    r"|\bavec\b|\benhanced\b|dotarem|clariscan|multihance|prohance|magnevist|vueway|elucirem"
)

_NOT_T1 = {
    "a T2": re.compile(r"\bt2\w*|\bciss\b|\bfiesta\b|\bdrive\b"),
    "a FLAIR": re.compile(r"(?<!t1 )(?<!t1)\bflair\b|dark ?fluid|\bstir\b"),
    "diffusion": re.compile(r"\bdwi\b|\bdiff\w*|\badc\b|\bdti\b|\btrace\w*|\bep2d\b|\bresolve\b"),
    "susceptibility": re.compile(r"\bswi\b|\bswan\b|\bsuscept\w*|\bvenobold\b"),
    "angiography": re.compile(r"\btof\b|\bangio\w*|\bmra\b|\bmrv\b|\binflow\b|\bpca\b|\btwist\b|\btricks\b"),
    "perfusion": re.compile(
        r"\bperf\w*|\bdsc\b|\bdce\b|\bcbv\b|\bcbf\b|\basl\b|\bmtt\b|\bttp\b|\bk ?trans\b"
    ),
    "functional": re.compile(r"\bbold\b|\bfmri\b|\bfield ?map\w*"),
    "proton density": re.compile(r"\bpd\b|\bpdw\b|\bproton\b"),
    "spectroscopy": re.compile(r"\bsvs\b|\bcsi\b|\bspectr\w*"),
}

_T1 = re.compile(
    r"\bt1\w*|mp ?-?rage|\bbravo\b|\bspgr\b|\btfe\b|\bvibe\b|\bthrive\b|\blava\b|\b3d ?tfl\b"
    r"|\bfspgr\b|\bir ?fspgr"
)

_NOT_A_SCAN = {
    "a subtraction": re.compile(r"\bsub(tr\w*|s)?\b|subtra[ck]\w*|soustraction"),
    "a projection": re.compile(r"\bm[ai]n?ip\b|\bmip\w*|\bprojection\b|\b3d ?render\w*|\bvrt\b"),
    "a localiser": re.compile(
        r"\bloc(ali[sz]er)?\b|\bscout\b|\bsurvey\b|\bplan\b|\brep[eé]rage\b|\b3[- ]?p(lane)?\b"
    ),
    "a report": re.compile(r"\bscreen ?save\b|\breport\b|\bsummary\b"),
}

_REFORMAT = re.compile(r"\bmpr\b|\breformat\w*|\breform\b|\brecon\b")
_DISTORTION_CORRECTED = re.compile(r"\bdis ?3d\b|\b3d ?dis\w*")
_NOT_CORRECTED = re.compile(r"\bnd\b")

_HEAD = re.compile(
    r"head|brain|skull|neuro|cran|cereb|kopf|sch(ae|ä)del|hirn|t[eê]te|enc[eé]phal|c[eé]r[eé]br|hypophys|pituit|orbit|sella"
    r"|stealth|cyberknife|gamma ?knife|\bsrs\b|\bsrt\b"
)
_OTHER_ANATOMY = re.compile(
    r"knee|knie|genou|spine|wirbel|rachis|\b[chlbt]ws\b|\blumb|thora|chest|abdom|pelvi|becken|bassin|prostat|breast"
    r"|mamma|\bsein\b|shoulder|schulter|[eé]paule|\bhip\b|h(ue|ü)ft|hanche|ankle|sprung|cheville|\bfoot\b|\bfu(ss|ß)\b"
    r"|\bpied\b|wrist|handgelenk|poignet|\bhand\b|elbow|ellbogen|coude|liver|leber|\bfoie\b|heart|herz|c(oe|œ)ur|card"
    r"|kidney|niere|\brein\b|uterus|rectum|rektum|extremit|femur|\bleg\b|\barm\b|\bneck\b"
)


def normalise(*texts: str) -> str:
    """Return descriptions as one lower-case line in which underscores and dots separate words."""
    line = " ".join(text for text in texts if text).lower()
    return re.sub(r"[_.,;:()\[\]*]+", " ", line).strip()


def says_contrast(line: str) -> bool | None:
    """Tell whether a line speaks of contrast agent given (True), not given (False), or of neither."""
    if _NATIVE.search(line):
        return False
    return True if _ENHANCED.search(line) else None


def says_t1(line: str) -> bool:
    """Tell whether a line names a T1-weighted sequence."""
    return _T1.search(line) is not None


def other_weighting(line: str) -> str | None:
    """Return the weighting a line names that is not T1."""
    return next((name for name, pattern in _NOT_T1.items() if pattern.search(line)), None)


def not_a_scan(line: str) -> str | None:
    """Return what a line says the images are, when they are no acquired stack."""
    return next((name for name, pattern in _NOT_A_SCAN.items() if pattern.search(line)), None)


def says_reformatted(line: str) -> bool:
    """Tell whether a line names a multiplanar reconstruction."""
    return _REFORMAT.search(line) is not None


def says_corrected(line: str) -> bool | None:
    """Tell whether a line says 3-D distortion corrected (True) or not corrected (False)."""
    if _DISTORTION_CORRECTED.search(line):
        return True
    return False if _NOT_CORRECTED.search(line) else None


def names_head(line: str) -> bool:
    """Tell whether a line names the head."""
    return _HEAD.search(line) is not None


def names_other_anatomy(line: str) -> bool:
    """Tell whether a line names a part of the body that is not the head."""
    return _OTHER_ANATOMY.search(line) is not None
