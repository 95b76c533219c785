"""Whether a version that the gate accepted becomes champion."""

from sqlalchemy.orm import Session

from pipelines.registry import CHAMPION
from pipelines.release.moving import Standing
from pipelines.storage.alias_moves import AliasMove, AliasMoves
from pipelines.storage.repositories import ModelRelease


def planned(session: Session, standing: Standing, release: ModelRelease) -> AliasMove | None:
    """
    The move that makes an accepted version champion, put on record unless it is there already.

    None where it is not to be: a newer version is champion, or was, or this one was and somebody
    has rolled it back. A stage that is repeated never undoes that.
    """
    last, version = standing.last, release.version
    if last is not None and last.action == "promote" and last.to_version == version:
        if last.moved_at is None or standing.champion in (None, version):
            return last
        return None
    newest = max((m.to_version for m in standing.moves if m.moved_at is not None), default=0)
    if standing.champion is not None and max(standing.champion, newest) >= version:
        return None
    return AliasMoves(session, release.model, CHAMPION).record(
        "promote",
        standing.champion,
        version,
        who=f"run:{release.run_id}",
        why="; ".join(release.decision["reasons"]) or "the gate accepted it",
    )
