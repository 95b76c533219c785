import json

import numpy as np
import pytest

from pipelines.data.interactions import Vocabulary
from pipelines.errors import ArtifactError, NoSearchError
from pipelines.models.answers import Read
from pipelines.models.base import RankedBooks
from pipelines.models.bundle import ModelBundle
from pipelines.models.content import ContentRecommender
from pipelines.models.lists import _joined
from pipelines.models.reranking import Filters, Reranking
from tests.factories import N_BOOKS, USERS, bundle, catalogue


@pytest.fixture(scope="module", params=["fresh", "loaded"])
def served(request, tmp_path_factory) -> ModelBundle:
    made = bundle()
    if request.param == "fresh":
        return made
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    made.save(folder)
    return ModelBundle.load(folder)


def read(*book_ids):
    return [Read(book_id) for book_id in book_ids]


def ids(answer):
    return [item.book_id for item in answer.items]


def test_reader_of_fantasy_gets_the_rest_of_the_saga(served):
    answer = served.recommend("ann", 3)
    assert answer.source == "model"
    assert answer.items[0].book_id == 30
    assert answer.items[0].title == "The Grey Sea"
    assert answer.items[0].authors == ("J. K. Tolling",)
    assert answer.items[0].reasons == (
        "because you liked The Grey Wizard",
        "because you liked The Grey Tower",
    )


def test_met_books_are_never_recommended(served):
    for num, user in enumerate(USERS):
        met = {10 * (int(b) + 1) for b in served.interactions.history(num).book_nums}
        assert not met & set(ids(served.recommend(user, N_BOOKS)))


def test_unknown_reader_gets_popular_books(served):
    answer = served.recommend("nobody", 3)
    assert answer == served.popular(3)
    assert answer.source == "fallback"
    assert ids(answer) == [10, 20, 30]
    assert answer.items[0].reasons == ("popular with readers",)


@pytest.mark.parametrize(("user", "expected"), [("dee", [20, 30, 40]), ("eve", [10, 20, 30])])
def test_reader_of_no_known_taste_gets_popular_unmet_books(served, user, expected):
    answer = served.recommend(user, 3)
    assert answer.source == "fallback"
    assert ids(answer) == expected


def test_lists_are_filled_up_with_popular_books():
    served = bundle()
    served.hybrid.parts.pop("content")
    answer = served.recommend("cid", 100)
    n_met = len(served.interactions.history(2))
    assert len(set(ids(answer))) == len(answer.items) == N_BOOKS - n_met
    # Crime readers share no book with others, so item neighbours have nothing new to say.
    assert answer.source == "fallback"
    mixed = served.recommend("ann", 100)
    assert mixed.source == "model"
    assert len(set(ids(mixed))) == len(mixed.items) == N_BOOKS - 4
    assert mixed.items[0].reasons[0].startswith("because")
    popular = [item.score for item in mixed.items if item.reasons == ("popular with readers",)]
    modelled = [item.score for item in mixed.items[: len(mixed.items) - len(popular)]]
    assert max(popular) < min(modelled)
    assert mixed.items[-1].reasons == ("popular with readers",)


def test_scores_never_ascend_even_where_filled_up():
    served = bundle()
    served.hybrid.parts.pop("content")
    for n in range(1, N_BOOKS + 1):
        for ranked in served.recommend_many(range(len(USERS)), n):
            assert len(ranked) <= n
            pairs = list(zip((-ranked.scores).tolist(), ranked.book_nums.tolist(), strict=True))
            assert pairs == sorted(pairs)


def test_batch_equals_single(served):
    for n in (1, 4, N_BOOKS):
        for user, ranked in zip(USERS, served.recommend_many(range(5), n), strict=True):
            items = served.recommend(user, n, explain=False).items
            assert [item.book_id for item in items] == served.books.ids(ranked.book_nums)
            assert [item.score for item in items] == ranked.scores.tolist()


def test_unknown_reader_of_a_history_gets_what_a_known_one_gets(served):
    """`bob` has met nothing that he does not like."""
    liked = [str(10 * (int(b) + 1)) for b in served.interactions.history(1).book_nums]
    answer = served.recommend_for_history(read(*liked, "999", "", liked[0]), N_BOOKS)
    assert answer == served.recommend("bob", N_BOOKS)
    assert answer.source == "model"


def test_liked_books_that_nobody_knows_give_popular_ones(served):
    assert served.recommend_for_history(read("999", "x"), 3) == served.popular(3)
    assert served.recommend_for_history([], 3) == served.popular(3)


def test_unknown_readers_may_have_wishes_too(served):
    reranking = Reranking(filters=Filters(genres=("crime",)))
    answer = served.recommend("nobody", 3, reranking=reranking)
    assert ids(answer) == [80, 90, 100]
    assert answer == served.popular(3, reranking=reranking)
    assert answer == served.recommend_for_history([], 3, reranking=reranking)


def test_similar_books_that_fit(served):
    near = ids(served.similar(["80"], N_BOOKS))
    assert near[0] == 90
    assert len(near) > 1
    fitting = served.similar(["80"], N_BOOKS, reranking=Reranking(filters=Filters(exclude=("90",))))
    assert ids(fitting) == near[1:]


class Searching(ContentRecommender):
    """Finds the last books, whatever the text."""

    def search(self, text: str, n: int) -> RankedBooks:
        found = np.array([11, 10][: n if text else 0], np.int32)
        return RankedBooks(found, np.array([2, 1], np.float32)[: len(found)])


def test_search_asks_the_part_that_can():
    served = bundle()
    served.hybrid.parts["content"].__class__ = Searching
    answer = served.search("a war", 5)
    assert answer.source == "model"
    assert ids(answer) == [120, 110]
    assert answer.items[0].reasons == ()
    assert ids(served.search("a war", 1)) == [120]
    assert served.search("", 5).items == ()


def test_search_without_a_part_that_can_has_no_answer():
    served = bundle()
    served.hybrid.parts.pop("content")
    with pytest.raises(NoSearchError, match="content"):
        served.search("a war", 5)


def test_reasons_can_be_left_out(served):
    explained = served.recommend("ann", 5)
    plain = served.recommend("ann", 5, explain=False)
    assert ids(plain) == ids(explained)
    assert all(item.reasons == () for item in plain.items)


def test_similar_books(served):
    answer = served.similar(["80"], 2)
    assert answer.source == "model"
    assert ids(answer)[0] == 90
    assert 80 not in ids(answer)


@pytest.mark.parametrize("book_id", ["", "81", "080", "+80", " 80", "80.0", "--80", "8" * 5000])
def test_unknown_book(served, book_id):
    assert served.similar([book_id], 3) is None
    assert served.book(book_id) is None


def test_catalogue_entry_is_fit_for_json(served):
    entry = served.book("110")
    assert entry["book_id"] == 110
    assert entry["authors"] == ["Mia Sato", "Ida Noor"]
    assert entry["series"] is None
    assert "row" not in entry
    json.dumps(entry)


def test_text_ids_survive_saving(tmp_path):
    book_ids = sorted(["é", "a/b", "", "09", "9", "漢字", "x", "y", "z", "A", "B", "a b"])
    bundle(book_ids).save(tmp_path / "bundle")
    loaded = ModelBundle.load(tmp_path / "bundle")
    assert list(loaded.books) == book_ids
    assert list(loaded.users) == USERS
    assert loaded.book("漢字")["book_id"] == "漢字"
    assert loaded.similar(["09"], 3) is not None
    assert loaded.similar(["9.0"], 3) is None


def test_missing_title_and_authors_are_no_error():
    served = bundle()
    table = catalogue().to_pandas()
    table["title"], table["authors"] = None, None
    parts = (served.hybrid, served.popularity, served.users, served.books, served.interactions)
    served = ModelBundle(*parts, catalogue().from_pandas(table, preserve_index=False))
    item = served.recommend("ann", 1).items[0]
    assert item.authors == ()
    assert item.reasons[0] == "because you liked an untitled book"


def test_parts_that_do_not_fit_are_refused():
    made = bundle()
    with pytest.raises(ValueError, match="do not fit"):
        ModelBundle(
            made.hybrid,
            made.popularity,
            Vocabulary(["only one"]),
            made.books,
            made.interactions,
            made.catalogue.table,
        )


def test_loaded_histories_are_mapped(tmp_path):
    bundle().save(tmp_path / "bundle")
    matrix = ModelBundle.load(tmp_path / "bundle").interactions.matrix
    for array in (matrix.data, matrix.indices, matrix.indptr):
        while array.base is not None and not isinstance(array, np.memmap):
            array = array.base
        assert isinstance(array, np.memmap)


def test_corrupt_byte_in_any_file_is_refused(tmp_path):
    bundle().save(tmp_path / "bundle")
    files = sorted((tmp_path / "bundle").rglob("*.*"))
    assert len(files) > 15
    for path in files:
        intact = path.read_bytes()
        broken = bytearray(intact)
        broken[len(broken) // 2] ^= 1
        path.write_bytes(broken)
        with pytest.raises(ArtifactError):
            ModelBundle.load(tmp_path / "bundle")
        path.write_bytes(intact)


def test_filled_up_scores_stand_below_even_the_lowest():
    head = RankedBooks(np.array([4, 9], np.int32), np.array([0.5, 0], np.float32))
    tail = RankedBooks(np.array([7, 1, 2], np.int32), np.array([3, 2, 2], np.float32))
    joined = _joined(head, tail)
    assert joined.book_nums.tolist() == [4, 9, 7, 1, 2]
    assert joined.scores.tolist() == [0.5, 0, -1, -2, -2]


def test_filled_up_scores_stand_below_a_varied_head_too():
    head = RankedBooks(np.array([4, 9, 3], np.int32), np.array([0.5, 0, 0.25], np.float32))
    tail = RankedBooks(np.array([7], np.int32), np.array([3], np.float32))
    assert _joined(head, tail).scores.tolist() == [0.5, 0, 0.25, -1]


@pytest.mark.parametrize("book_ids", [None, [f"b{num:02}" for num in range(N_BOOKS)]])
def test_a_book_is_found_by_the_id_of_any_of_its_editions(tmp_path, book_ids):
    made = bundle(book_ids)
    work = list(made.books)[2]
    made.books = made.books.with_aliases({"0-30": work})
    made.save(tmp_path / "bundle")
    served = ModelBundle.load(tmp_path / "bundle")
    assert served.book("0-30")["book_id"] == work
    assert served.similar(["0-30"], 3) == served.similar([str(work)], 3)
    assert served.recommend_for_history(read("0-30"), 3) == made.recommend_for_history(
        read(str(work)), 3
    )
    barred = Reranking(filters=Filters(exclude=("0-30",)))
    assert work not in ids(served.recommend("nobody", N_BOOKS, reranking=barred))


def test_what_was_heard_comes_after_what_the_model_has_seen(served):
    before = served.history("ann")
    heard = served.history_of([Read("60"), Read("10", dismissed=True)], "ann")
    assert len(heard) == len(before) + 1
    weights = dict(zip(heard.book_nums.tolist(), heard.weights.tolist(), strict=True))
    assert weights[5] == 1.0
    assert weights[0] == 0.0
    assert heard.book_nums[-2:].tolist() == [5, 0]


def test_of_nothing_heard_nothing_changes(served):
    same = served.history_of([], "ann")
    assert same.book_nums.tolist() == served.history("ann").book_nums.tolist()
    assert same.weights.tolist() == served.history("ann").weights.tolist()
