"""Where lists for every reader were exported to."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pipelines.storage.tables import ExportRow


@dataclass(frozen=True)
class Export:
    """A file, and which readers are in it."""

    path: Path
    library: str
    version: int


class ExportRepository:
    """Files that were written; they may have been moved or removed since."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def record(self, export: Export) -> None:
        """Note a file, in the place of what was noted of the same path before."""
        row = ExportRow(
            path=str(export.path),
            library=export.library,
            version=export.version,
            made_at=func.now(),
        )
        self._session.merge(row)

    def all(self) -> list[Export]:
        """Every file on record, by path."""
        rows = self._session.scalars(select(ExportRow).order_by(ExportRow.path))
        return [Export(Path(row.path), row.library, row.version) for row in rows]
