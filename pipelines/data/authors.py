"""
Names of authors in one form: "KOONTZ, DEAN R.", "DEAN R. KOONTZ" and "Dean R Koontz" are
"Dean R. Koontz". Nothing is made up: what could be read in two ways stays as it is.
"""

import re

from pipelines.data.text import TEXT, Repairs

_PARTICLES = "al bin da das de del della den der di do dos du ibn la ten ter van vom von zu zum zur"
_NO_GIVEN_NAMES = "and co company corp editors inc ltd llc press publishing services staff the"

PARTICLES = frozenset(_PARTICLES.split())
"""Small in a name unless it begins with one; "la" only behind another."""
SURNAME_BEGINNINGS = PARTICLES | {"el", "le", "mac", "mc", "o", "saint", "san", "st"}
SUFFIXES = frozenset({"jr", "sr", "ii", "iii", "iv", "md", "phd", "esq"})
_NO_GIVEN_NAME = SUFFIXES | frozenset(_NO_GIVEN_NAMES.split())
_TITLES = frozenset({"dr", "sir", "mr", "mrs", "ms", "prof", "lady", "lord"})
_SMALL_WORDS = frozenset({"and", "for", "in", "of", "on", "the", "with"})
_SPELT = {"jr": "Jr", "sr": "Sr", "phd": "PhD", "ph.d": "Ph.D", "md": "MD"}

_UPPER = "[A-ZÀ-ÖØ-Þ]"
_INITIALS = re.compile(rf"(?:{_UPPER}\.-?)+{_UPPER}?\.?")
_BARE_INITIAL = re.compile(rf"(?<![\w.'\u2019-])(?!Y )({_UPPER})(?: ?\.)?(?= )")
_APART = re.compile(rf"(?<=\b{_UPPER}\.) (?={_UPPER}\.)")
_RUN_ON = re.compile(rf"(?<=\b{_UPPER}\.)(?={_UPPER}[^\W\d_])")
_MAX_ACRONYM = 3
_MAX_WORDS = 3


def turned_round(name: str) -> str:
    """
    "Koontz, Dean R." to "Dean R. Koontz", and "Kurt, Jr. Vonnegut" to "Kurt Vonnegut Jr.".

    Where the part before the comma may be a whole name ("Neil Gaiman, Terry Pratchett"), the part
    behind must hold an initial.
    """
    parts = [part.split() for part in name.split(",")]
    if len(parts) != 2 or not all(parts):
        return name
    before, behind = parts
    mark = _bare(behind[0]).replace(".", "")
    if len(behind) > 1 and mark in SUFFIXES:
        return " ".join([*before, *behind[1:], behind[0]])
    if len(behind) > 1 and mark in _TITLES and len(before) < _MAX_WORDS:
        return " ".join([behind[0], *before, *behind[1:]])
    return " ".join([*behind, *before]) if _is_last_first(before, behind) else name


def in_title_case(name: str) -> str:
    """Capitals where a name has them, if all of it is in capitals; a single word is left alone."""
    words = name.split()
    if not name.isupper() or len(words) == 1:
        return name
    return " ".join(_cased(word, words[:i]) for i, word in enumerate(words))


def with_initials(name: str) -> str:
    """Initials with their dots and without blanks between them: "J.R.R. Tolkien"."""
    dotted = _RUN_ON.sub(" ", _BARE_INITIAL.sub(r"\1.", name))
    return _APART.sub("", dotted)


AUTHOR: Repairs = {
    **TEXT,
    "author_turned_round": turned_round,
    "author_capitals": in_title_case,
    "author_initials": with_initials,
}


def _is_last_first(before: list[str], behind: list[str]) -> bool:
    if any(_bare(word) in _NO_GIVEN_NAME for word in behind) or len(behind) > _MAX_WORDS + 2:
        return False
    if not behind[0][0].isupper() or any("." in w or len(_bare(w)) < 2 for w in before[-1:]):
        return False
    if any(_INITIALS.fullmatch(word) or len(word) == 1 for word in behind):
        return len(before) <= _MAX_WORDS
    return all(_bare(word) in SURNAME_BEGINNINGS for word in before[:-1])


def _cased(word: str, earlier: list[str]) -> str:
    bare = _bare(word)
    if earlier and (bare in _SMALL_WORDS or _is_particle(bare, earlier[-1])):
        return word.lower()
    if bare in _SPELT or bare.replace(".", "") in _SPELT:
        return word.lower().replace(bare, _SPELT.get(bare, bare.title()))
    if _INITIALS.fullmatch(word) or _is_acronym(bare) or (earlier and bare in SUFFIXES):
        return word
    return "-".join(_capitalised(part) for part in word.split("-"))


def _is_particle(bare: str, before: str) -> bool:
    return bare in PARTICLES and (bare != "la" or _bare(before) in PARTICLES)


def _is_acronym(bare: str) -> bool:
    """Whether it is short and not to be spoken as a word, as "BBC" and "DK"."""
    speakable = set(bare) & set("aeiouy") or bare in _TITLES or bare == "st"
    return len(bare) <= _MAX_ACRONYM and bare.isascii() and not speakable


def _capitalised(word: str) -> str:
    """As in "McDonald" and "O'Brien"; but "Ben's"."""
    head, sign, tail = next((word.partition(s) for s in "'\u2019" if s in word), (word, "", ""))
    if len(head) == 1 and len(tail) > 1:
        return f"{head.upper()}{sign}{_capitalised(tail)}"
    lowered = word.lower()
    first = next((i for i, c in enumerate(lowered) if c.isalpha()), 0)
    if lowered.startswith("mc", first) and len(lowered) > first + 4:
        return f"{lowered[:first]}Mc{lowered[first + 2 :].capitalize()}"
    return lowered[:first] + lowered[first:].capitalize()


def _bare(word: str) -> str:
    return word.casefold().strip(".,;()")
