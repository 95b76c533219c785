import pytest

from pipelines.storage.alias_moves import AliasMoves
from pipelines.storage.database import migrate
from pipelines.storage.figures import Figures
from pipelines.storage.loads import Load, LoadRepository
from pipelines.storage.profiles import BatchProfile, ProfileRepository
from pipelines.storage.repositories import ModelRelease, ReleaseRepository
from pipelines.storage.unit_of_work import unit_of_work

pytestmark = pytest.mark.integration


def figures(url: str) -> Figures:
    with unit_of_work(url) as session:
        return Figures.of(session, "hybrid")


def test_an_empty_database_has_counts_of_zero(postgres_url: str):
    migrate(postgres_url)
    assert figures(postgres_url) == Figures(
        (),
        (),
        {False: 0, True: 0},
        None,
        {
            "promote": 0,
            "rollback": 0,
        },
    )


def test_the_newest_of_each_dataset_and_library_is_told(postgres_url: str):
    migrate(postgres_url)
    drift = {"columns": [{"column": "rating", "psi": 0.3, "level": "warning", "ks": 0.1}]}
    for number, (dataset, accepted, found) in enumerate(
        [("shop", True, None), ("shop", False, drift), ("other", True, None)]
    ):
        profile = BatchProfile(
            dataset, f"run-{number}", accepted, 80.0 + number, {"drift": found}, {}
        )
        load = Load(dataset, f"run-{number}", "full", "sample", {}, {}, 1, 0, number, None, {})
        with unit_of_work(postgres_url) as session:  # their times are those of transactions
            ProfileRepository(session).record(profile)
            LoadRepository(session, dataset).record(load)
    told = figures(postgres_url)
    assert [(b.dataset, b.accepted, b.score, b.columns) for b in told.batches] == [
        ("other", True, 82.0, []),
        ("shop", False, 81.0, [("rating", 0.3, "warning")]),
    ]
    assert [(of.library, of.ratings) for of in told.libraries] == [("other", 2), ("shop", 1)]


def test_decisions_and_moves_of_this_model_are_counted(postgres_url: str):
    migrate(postgres_url)
    with unit_of_work(postgres_url) as session:
        for version, (model, accepted) in enumerate(
            [("hybrid", True), ("hybrid", True), ("hybrid", False), ("another", True)]
        ):
            release = ModelRelease(model, version, f"run-{version}", accepted, {}, {}, "data")
            ReleaseRepository(session).record(release)
        for model, action in [
            ("hybrid", "promote"),
            ("hybrid", "rollback"),
            ("another", "rollback"),
        ]:
            AliasMoves(session, model, "champion").record(action, 1, 2, who="test", why="test")
    told = figures(postgres_url)
    assert told.decisions == {True: 2, False: 1}
    assert told.decided_at is not None
    assert told.moves == {"promote": 1, "rollback": 1}
