"""Making another version champion by hand: the one before, or any that may be served."""

from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from sqlalchemy.orm import Session

from pipelines.errors import ReleaseError, UnknownVersionError
from pipelines.registry import CHAMPION, Registry
from pipelines.release.moving import Standing, carry_out, settled, turn
from pipelines.release.servable import check_servable
from pipelines.settings import Settings
from pipelines.storage.alias_moves import Action, AliasMove, AliasMoves
from pipelines.storage.announcements import announce_champion
from pipelines.storage.repositories import ReleaseRepository
from pipelines.storage.unit_of_work import unit_of_work

log = structlog.get_logger()

AUTOMATIC = "automatic:service"
"""Who rolls back, where nobody does."""


def roll_back(
    settings: Settings,
    registry: Registry,
    to: int | None = None,
    *,
    who: str,
    why: str,
    force: bool = False,
    action: Action = "rollback",
    allowed: Callable[[Standing], None] = lambda _: None,
) -> AliasMove:
    """
    Make another version champion, tell running services, and give the move.

    Who was killed at it does the same again: what was begun is finished, and nothing is done twice.

    Args:
        settings: Prepared ones.
        registry: Where the alias is.
        to: The version; the champion before this one if None.
        who: Who wants it, as `<kind>:<name>`.
        why: For those who read the history.
        force: Take also a version that the gate has not accepted.
        action: What the history calls it: a version that is promoted has one to be rolled back to.
        allowed: Raises where things stand otherwise than the caller takes for granted.

    Raises:
        ReleaseError: it cannot be done so; nothing has changed.
        UnknownVersionError: there is no such version.
        RegistryError: the registry is out of reach.
        StorageError: the database is.
    """
    if not why.strip():
        raise ReleaseError("say why: whoever reads the history will want to know")
    url, model = settings.known_database_url, settings.registered_model
    with unit_of_work(url) as session:
        seen = Standing.of(session, registry, model)
        allowed(seen)
        version = _target(seen, to, action)
        _refuse_unknown(registry, version)
        _refuse_unaccepted(session, model, version, force=force)
    check_servable(registry, version, settings.home / "models")
    with turn(url) as session:
        move = _recorded(url, registry, model, seen, version, action, who=who, why=why)
        carry_out(session, registry, model, move)
    announce_champion(settings, version)
    log.info("champion_made", action=action, version=version, before=move.from_version, who=who)
    return move


def take_back(
    settings: Settings, registry: Registry, version: int, *, within_seconds: float, why: str
) -> AliasMove:
    """
    Roll a promotion back that was made a moment ago; `who` is AUTOMATIC.

    Of several who want to, one does: the others find that the version is not champion any more.

    Args:
        settings: Prepared ones.
        registry: Where the alias is.
        version: The champion that has failed.
        within_seconds: For how long after its promotion it may be taken back.
        why: What it has done.

    Raises:
        ReleaseError: it is not champion, or was not promoted lately; or as `roll_back`.
        RegistryError: the registry is out of reach.
        StorageError: the database is.
    """

    def allowed(seen: Standing) -> None:
        last = seen.last
        if last is None or seen.champion != version or not _concerns(last, version):
            raise ReleaseError(f"version {version} is not champion by what was decided last")
        since = (datetime.now(UTC) - (last.moved_at or last.at)).total_seconds()
        if since > within_seconds:
            raise ReleaseError(f"version {version} was not promoted within {within_seconds:g} s")

    # Readers had the one before a moment ago, whatever the gate has thought of it.
    return roll_back(settings, registry, who=AUTOMATIC, why=why, force=True, allowed=allowed)


def _concerns(last: AliasMove, version: int) -> bool:
    """Whether a move was the version's promotion, or a worker's end while it took that back."""
    if last.action == "promote":
        return last.to_version == version
    return last.moved_at is None and (last.who, last.from_version) == (AUTOMATIC, version)


def _target(seen: Standing, to: int | None, action: Action) -> int:
    """Which version is meant; what was begun and not finished is meant again."""
    if seen.champion is None and action == "rollback":
        raise ReleaseError("there is no champion to roll back: run the pipeline first")
    pending = seen.pending
    if pending is not None and pending.action == action and to in (None, pending.to_version):
        return pending.to_version
    if to == seen.champion:
        raise ReleaseError(f"version {to} is champion already")
    version = seen.before if to is None else to
    if version is None:
        raise ReleaseError(
            f"no champion before version {seen.champion} is on record: name a version to go to"
        )
    return version


def _refuse_unknown(registry: Registry, version: int) -> None:
    if all(known.version != version for known in registry.versions()):
        raise UnknownVersionError(version)


def _refuse_unaccepted(session: Session, model: str, version: int, *, force: bool) -> None:
    release = ReleaseRepository(session).find(model, version)
    if force or (release is not None and (release.accepted or release.forced)):
        return
    if release is None:
        verdict = "was never judged by the gate"
    else:
        verdict = f"was refused by the gate ({'; '.join(release.failures)})"
    raise ReleaseError(f"version {version} {verdict}: force it if it has to be")


def _recorded(
    url: str,
    registry: Registry,
    model: str,
    seen: Standing,
    version: int,
    action: Action,
    *,
    who: str,
    why: str,
) -> AliasMove:
    """The move, committed before the alias moves; nobody may have been faster."""
    with unit_of_work(url) as session:
        moves = AliasMoves(session, model, CHAMPION)
        if Standing(seen.champion, tuple(moves.all())) != seen:
            raise ReleaseError(_overtaken(moves.all()[0]))
        now = settled(session, registry, model)
        if now.champion != seen.champion:
            raise ReleaseError(f"version {now.champion} became champion meanwhile: look again")
        if now.last is not None and _is_same(seen.pending, now.last, action, version):
            return now.last
        return moves.record(action, now.champion, version, who=who, why=why)


def _is_same(pending: AliasMove | None, last: AliasMove, action: Action, version: int) -> bool:
    return (
        pending is not None
        and pending.number == last.number
        and (last.action, last.to_version) == (action, version)
    )


def _overtaken(last: AliasMove) -> str:
    return (
        f"{last.who} was faster and made version {last.to_version} champion ({last.why}): "
        "look at `bookrec models history`, and roll back again if it is still wanted"
    )
