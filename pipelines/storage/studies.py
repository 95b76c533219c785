"""
Studies of hyperparameters, in a schema of our database.

They lie in PostgreSQL rather than in a file, because a task that is tried again may run on another
machine; and in a schema of their own, because Optuna has a table `alembic_version` as we do.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from pipelines.errors import StorageError
from pipelines.storage.database import connect, parse_url, ping
from pipelines.storage.locks import Lock, hold

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import RDBStorage

SCHEMA = "tuning"
_IN_A_HURRY = "-c synchronous_commit=off"
"""A dozen commits a trial; if the server dies, the last moments of a study are tried again."""


@contextmanager
def open_study(url: str, name: str) -> Iterator["Study"]:
    """
    The study of this name, which maximises; made where it does not exist yet.

    Raises:
        StorageError: the server does not answer, or refuses the schema.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    ping(url)
    storage = _storage(url)
    try:
        yield optuna.create_study(
            storage=storage, study_name=name, direction="maximize", load_if_exists=True
        )
    finally:
        storage.scoped_session.remove()
        storage.engine.dispose()


def _storage(url: str) -> "RDBStorage":
    from optuna.storages import RDBStorage

    engine = connect(url)
    try:
        with engine.connect() as connection:
            hold(connection, Lock.STUDIES)
            connection.execute(text(f"create schema if not exists {SCHEMA}"))
            connection.commit()
            return RDBStorage(
                parse_url(url).render_as_string(hide_password=False),
                engine_kwargs={
                    "pool_pre_ping": True,
                    "connect_args": {
                        "connect_timeout": 5,
                        "options": f"-c search_path={SCHEMA} {_IN_A_HURRY}",
                    },
                },
            )
    except ProgrammingError as error:
        raise StorageError(
            f"cannot make the schema {SCHEMA}: let this role create it, "
            "or set BOOKREC_TUNING__BUDGET_SECONDS=0"
        ) from error
    finally:
        engine.dispose()  # gives the lock back
