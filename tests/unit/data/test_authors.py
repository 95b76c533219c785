import pytest

from pipelines.data.authors import AUTHOR
from pipelines.data.text import repaired


def author(name: str) -> str:
    return repaired(name, AUTHOR)[0]


@pytest.mark.parametrize(
    "name",
    ["KOONTZ, DEAN R.", "DEAN R. KOONTZ", "Dean R Koontz", "Koontz, Dean R", "DEAN R KOONTZ"],
)
def test_all_spellings_of_a_name_become_one(name):
    assert author(name) == "Dean R. Koontz"


@pytest.mark.parametrize(
    ("name", "turned"),
    [
        ("Rowling, Joanne", "Joanne Rowling"),
        ("Le Guin, Ursula K.", "Ursula K. Le Guin"),
        ("van der Berg, Jan", "Jan van der Berg"),
        ("Tolkien, J. R. R.", "J.R.R. Tolkien"),
        ("Seuss, Dr.", "Dr. Seuss"),
        ("Kurt, Jr. Vonnegut", "Kurt Vonnegut Jr."),
        ("Arthur Conan, Sir Doyle", "Sir Arthur Conan Doyle"),
        ("Barbara, Ph.D. De Angelis", "Barbara De Angelis Ph.D."),
    ],
)
def test_last_name_first_is_turned_round(name, turned):
    assert author(name) == turned


@pytest.mark.parametrize(
    "name",
    [
        "Martin Luther King, Jr.",
        "Neil Gaiman, Terry Pratchett",
        "Strunk, William, White, E.B.",
        "Merriam-Webster, Inc.",
        "García Márquez, Gabriel",
        ", Ann",
        "Ann,",
    ],
)
def test_what_may_be_read_in_two_ways_stays(name):
    assert author(name) == name


@pytest.mark.parametrize(
    ("name", "cased"),
    [
        ("JOHN MCDONALD", "John McDonald"),
        ("PATRICK O'BRIEN", "Patrick O'Brien"),
        ("URSULA K. LE GUIN", "Ursula K. Le Guin"),
        ("LUDWIG VAN BEETHOVEN", "Ludwig van Beethoven"),
        ("VAN MORRISON", "Van Morrison"),
        ("JUAN DE LA CRUZ", "Juan de la Cruz"),
        ("TA-NEHISI COATES", "Ta-Nehisi Coates"),
        ("J.R.R. TOLKIEN", "J.R.R. Tolkien"),
        ("HENRY LOUIS GATES JR.", "Henry Louis Gates Jr."),
        ("JOHN SMITH III", "John Smith III"),
        ("DK PUBLISHING", "DK Publishing"),
        ("EDITORS OF TIME", "Editors of Time"),
        ("ЛЕВ ТОЛСТОЙ", "Лев Толстой"),
    ],
)
def test_capitals_become_those_of_a_name(name, cased):
    assert author(name) == cased


@pytest.mark.parametrize(
    "name",
    ["SARK", "CLAMP", "bell hooks", "e.e. cummings", "Malcolm X", "Ortega Y Gasset", "Ian McEwan"],
)
def test_a_name_that_is_meant_so_stays(name):
    assert author(name) == name


@pytest.mark.parametrize("name", ["J. K. Rowling", "J.K.Rowling", "J K Rowling", "J . K . Rowling"])
def test_initials_have_their_dots_and_no_blanks_between(name):
    assert author(name) == "J.K. Rowling"
