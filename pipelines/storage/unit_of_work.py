"""One transaction: everything in the block is committed together, or nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from pipelines.errors import StorageError
from pipelines.storage.database import connect


@contextmanager
def unit_of_work(database_url: str) -> Iterator[Session]:
    """
    A session that commits when the block ends and rolls back when it raises.

    Raises:
        StorageError: the database does not answer.
    """
    engine = connect(database_url)
    try:
        with Session(engine) as session, session.begin():
            yield session
    except OperationalError as error:
        raise StorageError(f"the database failed: {str(error.orig).strip()}") from error
    finally:
        engine.dispose()
