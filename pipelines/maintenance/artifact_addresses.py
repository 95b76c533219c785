"""Where MLflow's tables say that artifacts lie, after these have moved."""

from pathlib import Path

from sqlalchemy import inspect, text
from sqlalchemy.exc import DataError

from pipelines.errors import StorageError
from pipelines.storage.database import connect

_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def move_artifacts(url: str, old: Path, new: Path) -> None:
    """
    Have MLflow's database look below another artifact root.

    MLflow keeps absolute addresses, and has no way to change them.

    Raises:
        StorageError: the new addresses are too long for it.
    """
    if old == new:
        return
    engine = connect(url)
    try:
        with engine.begin() as connection:
            tables = set(inspect(connection).get_table_names())
            for table, column in _COLUMNS:
                if table in tables:
                    statement = text(
                        f"update {table} set {column} = :new || substr({column}, length(:old) + 1)"  # noqa: S608 - names of ours
                        f" where {column} = :old or {column} like :below"
                    )
                    for before, after in ((old.as_uri(), new.as_uri()), (str(old), str(new))):
                        below = before.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
                        told = {"old": before, "new": after, "below": f"{below}/%"}
                        connection.execute(statement, told)
    except DataError as error:
        raise StorageError(f"{new} is a longer path than MLflow can keep: take another") from error
    finally:
        engine.dispose()
