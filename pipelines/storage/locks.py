"""Advisory locks of PostgreSQL: all of their numbers, so that no two things share one."""

from enum import IntEnum, unique

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session


@unique
class Lock(IntEnum):
    """What is done by one at a time, whatever the machine."""

    MIGRATION = 7_204_001
    """Two processes that start at once migrate one after the other."""
    RELEASE = 7_204_002
    """Decisions about models are made one after the other."""
    READERS = 7_204_003
    """What is written for readers, and what is erased, come one after the other."""
    STUDIES = 7_204_004
    """Models are trained at the same time, and Optuna's set-up is not safe to race."""


def take_turns(connection: Connection | Session, lock: Lock) -> None:
    """Wait until nobody else has it; held until this transaction ends."""
    connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": lock.value})


def hold(connection: Connection, lock: Lock) -> None:
    """Wait until nobody else has it; held until this connection is closed, over transactions."""
    connection.execute(text("select pg_advisory_lock(:key)"), {"key": lock.value})
