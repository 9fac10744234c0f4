"""What people write into series descriptions: hints, used where the tags say nothing.

English, German and French as seen on scanners. A description is whatever a technologist typed: it
breaks ties and fills gaps, and never overrules what the scanner recorded.
"""

from __future__ import annotations

import re

_AGENT = r"([ -]?(\+ ?)?(contrast|kontrast(mittel)?|km|gad\w*|gd|inj\w*|iv|c\b))?"
_TREATMENT = (
    r"(?![ -]?(op|surg|resec|srs|srt|rad|rt|wbrt|gk|gamma|cyber|treat|trait|ther|chemo|biops|plan|bestr))"
)
"""``pre SRS``, ``vor Bestrahlung``: a date in the patient's history, not in the examination."""

_NATIVE = re.compile(
    rf"(\bpr[eé]\b{_TREATMENT}|\bvor\b{_TREATMENT}|\bavant\b{_TREATMENT}|\bohne\b|\bsans\b|\bwithout\b"
    rf"|\bw ?/ ?o\b|\bwo\b){_AGENT}|\w*nativ\w*|unenhanced|\bnon[ -]?(contrast|enhanced)|\bnc\b|\bo ?km\b"
    r"|\bno (contrast|gad\w*|gd|c)\b|(?<!\w)-c\b|\bc-(?!\w)"
)
"""With the agent's name where one follows: ``ohne KM`` does not speak of contrast agent given."""

_ENHANCED = re.compile(
    r"\bpost\b(?![ -]?(op|surg|resec))|\bpostgad|\+ ?(c|gd|gad\w*|km|kontrast|contrast|inj\w*)\b|\bc\+|\bkm\+"
    r"|\bgd\+|\bgd\b|\bgado?\w*|\bkm\b|\bce\b|\bce[- ]?t1|\bt1w?(c|ce|gd|gad|km)\b|\bt1w? c$|kontrast"
    r"|contrast|\binj\w*|\bapr[eè]s\b|\bnach\b|\bmit\b|\bavec\b|\bwith\b|\benhanced\b|dotarem|clariscan|multihance"
    r"|prohance|magnevist|vueway|elucirem"
)
_WITH_AND_WITHOUT = re.compile(r"\bw ?(and|&|\+|/)? ?w ?/? ?o\b")
"""The name of a whole examination, copied to each of its series."""

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
    "a localiser": re.compile(r"\w*scout\b|\bsurvey\b"),
    "a report": re.compile(r"\bscreen ?save\b|\breport\b|\bsummary\b"),
}

_FEW_SLICES_NOT_A_SCAN = {
    "a localiser": re.compile(r"\bloc(ali[sz]er)?\b|\brep[eé]rage\b|\b3[- ]?p(lane)?\b"),
}
"""Planning scans are named so too; ``scout`` stays above: a vendor's has 128 slices at T1-like timing."""

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
    """Tell whether a line speaks of contrast agent given (True), not given (False), of neither or both."""
    native = _NATIVE.search(line) is not None
    enhanced = _ENHANCED.search(_NATIVE.sub(" ", line)) is not None
    return None if native == enhanced or _WITH_AND_WITHOUT.search(line) else enhanced


def says_t1(line: str) -> bool:
    """Tell whether a line names a T1-weighted sequence."""
    return _T1.search(line) is not None


def other_weightings(line: str) -> tuple[str, ...]:
    """Return the weightings a line names that are not T1."""
    return tuple(name for name, pattern in _NOT_T1.items() if pattern.search(line))


def not_a_scan(line: str, *, few_slices: bool) -> str | None:
    """Return what a line says the images are, when they are no acquired stack.

    Parameters
    ----------
    few_slices
        The series is no stack that could hold a head: more words count then.
    """
    return _first_named(_NOT_A_SCAN, line) or (
        _first_named(_FEW_SLICES_NOT_A_SCAN, line) if few_slices else None
    )


def _first_named(patterns: dict[str, re.Pattern[str]], line: str) -> str | None:
    return next((name for name, pattern in patterns.items() if pattern.search(line)), None)


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
