import pytest

from pipelines.data.titles import Title, alike


@pytest.mark.parametrize(
    "printed",
    [
        "The Grey Wizard",
        "THE GREY WIZARD",
        "Grey Wizard, The",
        "The Grey Wizard (Penguin Classics)",
        "The Grey Wizard (Grey Saga (Paperback)) [large print",
        "The Grey Wizard: A Novel",
        "The Grey Wizard : a novel of suspense",
        "The Grey Wizard. Roman.",
        "The Grey Wizard: Anniversary Edition",
        "The Grey Wizard: the grey wizard",
        "The Gréy Wizard",
    ],
)
def test_what_an_edition_adds_is_left_out(printed):
    title = Title.read(printed)
    assert (title.main, title.subtitle) == (("grey", "wizard"), ())
    assert title.kinds == frozenset()


def test_parts_of_a_title():
    title = Title.read("Tales & Songs: the Second Part (Saga, Book 3)", "The Saga")
    assert title.main == ("tales", "and", "songs")
    assert title.subtitle == ("second", "part")
    assert title.numbers == ("2",)
    assert title.volume == ("3",)
    assert title.series == title.brackets == "saga"


@pytest.mark.parametrize(
    ("printed", "numbers"),
    [
        ("Saga, Vol. 1", ["1"]),
        ("Saga, Volume One", ["1"]),
        ("Saga Book I", ["1"]),
        ("I, Robot", []),
        ("V for Vendetta", []),
        ("Henry IV, Part Two", ["2", "4"]),
        ("One Hundred Years", ["1"]),
        ("1984", ["1984"]),
    ],
)
def test_numbers_are_read_however_they_are_written(printed, numbers):
    assert list(Title.read(printed).numbers) == numbers


@pytest.mark.parametrize(
    "printed", ["Emma (Graphic Novel)", "Emma [Boxed Set]", "Emma: The Play", "Emma (Cliffs Notes)"]
)
def test_another_kind_of_book_is_told_from_the_work(printed):
    assert Title.read(printed).kinds != Title.read("Emma").kinds


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("final judgment", "final judgement"),
        ("spycatcher", "spy catcher"),
        ("moby dick", "mobydick"),
    ],
)
def test_a_slip_of_the_pen_makes_no_difference(one, other):
    assert alike(tuple(one.split()), tuple(other.split()))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("emma", "emmas"),
        ("little women", "little men"),
        ("dark fire", "dark fury"),
        ("the summer house", "the winter house"),
        ("tower of the east", "power of the east"),
        ("secret of the mill", "secret of the hill"),
        ("chronicle of 10001", "chronicle of 10002"),
        ("untitled book b00012x", "untitled book b00013x"),
        ("dragons dragons dragons", "dragoon dragoon dragoon"),
    ],
)
def test_another_word_makes_a_difference(one, other):
    assert not alike(tuple(one.split()), tuple(other.split()))
