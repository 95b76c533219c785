"""What a title says of a work, apart from how one edition prints it."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Self

from rapidfuzz.distance import OSA

_BRACKETED = re.compile(r"\(([^()]*)\)?|\[([^\[\]]*)\]?")
_SUBTITLE = re.compile(r"[:;]|\s[-\u2013\u2014]+\s|,? or,? (?=the |a )")
_GENERIC = re.compile(
    r"[.,:;]\s*(?:(?:an?|the|ein|eine|un|une|una) )?"
    r"(?:(?:historical|classic|love|short|true|suspense|crime|historischer) )?"
    r"(?:novel|novels|novella|memoir|mystery|thriller|romance|story|stories|tale|poems|"
    r"roman|romane|erzahlung|erzahlungen|krimi|kriminalroman|novelle|novela|romanzo)"
    r"(?: of (?:suspense|romance|horror|terror|love|crime))?\W*$"
    r"|(?:[.,:;]|\s-)\s[^:;]*\bedition\W*$"
)
"""What says no more than what kind of book or edition it is, behind a sign at the end."""
_NUMERALS = """
1 one first, 2 two second ii, 3 three third iii, 4 four fourth iv, 5 five fifth, 6 six sixth vi,
7 seven seventh vii, 8 eight eighth viii, 9 nine ninth ix, 10 ten tenth, 11 eleven eleventh xi,
12 twelve twelfth xii
"""
_NUMBER_WORDS = {
    word: figure
    for entry in _NUMERALS.split(",")
    for figure, *words in [entry.split()]
    for word in words
}
_COUNTED = "book volume vol part number no tome band bd episode season"
_COUNTS_BEHIND = frozenset(_COUNTED.split())
"""Behind these a single I, V or X is a number."""
_ROMAN_LETTERS = {"i": "1", "v": "5", "x": "10"}
_DERIVED = """
abridged adaptation boxed boxset calendar cliffs cliffsnotes comic comics companion graphic guide
journal level manga notes omnibus play retold sampler screenplay script set sparknotes study
workbook
"""
_KINDS = frozenset(_DERIVED.split())
"""Words that make another work of a title, also where they stand in brackets."""
_APOSTROPHES = "'`\u2019\u00b4"
_ARTICLES = frozenset({"a", "an", "the"})
_WORD = re.compile(r"[^\W_]+")
_MIN_WORD, _MIN_LETTERS = 5, 12


@dataclass(frozen=True)
class Title:
    """A title taken apart; words are without case, accents, punctuation and articles in front."""

    main: tuple[str, ...]
    subtitle: tuple[str, ...]
    """Without what says no more than that it is a novel."""
    numbers: tuple[str, ...]
    """Of title and subtitle, sorted, also where written as words or Roman numerals."""
    volume: tuple[str, ...]
    """Numbers in brackets or of the series: a place in it, or a year."""
    kinds: frozenset[str]
    brackets: str
    """Of what stands in brackets the letters: a series, or a publisher's."""
    series: str
    """Of what the catalogue gives as series the letters."""

    @classmethod
    def read(cls, title: str, series: str | None = None) -> Self:
        plain = folded(title)
        brackets = _words(" ".join("".join(groups) for groups in _BRACKETED.findall(plain)))
        bare = _GENERIC.sub("", _BRACKETED.sub(" ", plain).rstrip())
        main, *rest = _SUBTITLE.split(bare, maxsplit=1)
        words, below = _core(_words(main)), _core(_words(" ".join(rest)))
        column = _words(folded(series or ""))
        return cls(
            main=words,
            subtitle=() if below == words else below,
            numbers=_numbers(words + below if below != words else words),
            volume=_numbers(brackets + column),
            kinds=_KINDS & {*brackets, *below},
            brackets=_letters(brackets),
            series=_letters(column),
        )

    @property
    def words(self) -> tuple[str, ...]:
        return self.main + self.subtitle

    @property
    def name(self) -> str:
        """The main title in the form of `brackets` and `series`."""
        return _letters(self.main)

    @property
    def is_series(self) -> bool:
        """Whether it is called what its series is called, and no number says which part it is."""
        return bool(self.series) and self.name == self.series and not self.volume


def folded(text: str) -> str:
    """Without case, accents and apostrophes."""
    plain = unicodedata.normalize("NFKD", text.replace("&", " and ")).casefold()
    return "".join(c for c in plain if not unicodedata.combining(c) and c not in _APOSTROPHES)


def alike(these: tuple[str, ...], those: tuple[str, ...]) -> bool:
    """
    Whether two titles differ in spacing alone, or by one slip of the pen in one long word.

    A slip is a letter too many, too few, changed or swapped, but not the first one.
    """
    if these == those or "".join(these) == "".join(those):
        return True
    if len(these) != len(those) or sum(map(len, these)) < _MIN_LETTERS:
        return False
    (one, other), *more = [pair for pair in zip(these, those, strict=True) if pair[0] != pair[1]]
    return not more and _misspelt(one, other)


def _misspelt(one: str, other: str) -> bool:
    are_words = min(len(one), len(other)) >= _MIN_WORD and (one + other).isalpha()
    return are_words and one[0] == other[0] and OSA.distance(one, other, score_cutoff=1) <= 1


def _words(plain: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(plain))


def _core(words: tuple[str, ...]) -> tuple[str, ...]:
    """Without "or" and articles around it: "Secret History, The"."""
    while len(words) > 1 and (words[0] in _ARTICLES or words[0] == "or"):
        words = words[1:]
    return words[:-1] if len(words) > 1 and words[-1] == "the" else words


def _letters(words: tuple[str, ...]) -> str:
    """One word for a series however it is written: no article, no numbers, no "Book"."""
    kept = (w for w in _counted(words) if not w.isdigit() and w not in _COUNTS_BEHIND)
    return "".join(_core(tuple(kept)))


def _numbers(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(word for word in _counted(words) if word.isdigit()))


def _counted(words: tuple[str, ...]) -> tuple[str, ...]:
    """Words with numbers in figures."""
    return tuple(
        _ROMAN_LETTERS.get(word, _NUMBER_WORDS.get(word, word))
        if before in _COUNTS_BEHIND
        else _NUMBER_WORDS.get(word, word)
        for before, word in zip(("", *words), words, strict=False)
    )
