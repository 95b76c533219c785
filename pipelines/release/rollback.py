"""Making another version champion by hand: the one before, or any that may be served."""

import structlog
from sqlalchemy.orm import Session

from pipelines.errors import (
    ArtifactError,
    ConfigurationError,
    RegistryError,
    ReleaseError,
    UnknownVersionError,
)
from pipelines.models.bundle import ModelBundle
from pipelines.models.model_check import checked
from pipelines.registry import CHAMPION, Registry
from pipelines.release.moving import Standing, carry_out, settled, turn
from pipelines.settings import Settings
from pipelines.storage.alias_moves import AliasMove, AliasMoves
from pipelines.storage.announcements import announce_champion
from pipelines.storage.repositories import ReleaseRepository
from pipelines.storage.unit_of_work import unit_of_work

log = structlog.get_logger()


def roll_back(
    settings: Settings,
    registry: Registry,
    to: int | None = None,
    *,
    who: str,
    why: str,
    force: bool = False,
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

    Raises:
        ReleaseError: it cannot be done so; nothing has changed.
        UnknownVersionError: there is no such version.
        RegistryError: the registry is out of reach.
        StorageError: the database is.
    """
    if not why.strip():
        raise ReleaseError("say why: whoever reads the history will want to know")
    url, model = _database_url(settings), settings.registered_model
    with unit_of_work(url) as session:
        seen = Standing.of(session, registry, model)
        version = _target(seen, to)
        _refuse_unknown(registry, version)
        _refuse_unaccepted(session, model, version, force=force)
    _check(settings, registry, version)
    with turn(url) as session:
        move = _recorded(url, registry, model, seen, version, who=who, why=why)
        carry_out(session, registry, model, move)
    announce_champion(settings, version)
    log.info("model_rolled_back", version=version, from_version=move.from_version, who=who)
    return move


def _target(seen: Standing, to: int | None) -> int:
    """Which version is meant; what was begun and not finished is meant again."""
    if seen.champion is None:
        raise ReleaseError("there is no champion to roll back: run the pipeline first")
    pending = seen.pending
    if pending is not None and pending.action == "rollback" and to in (None, pending.to_version):
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
    if force or (release is not None and release.accepted):
        return
    if release is None:
        verdict = "was never judged by the gate"
    else:
        verdict = f"was refused by the gate ({'; '.join(release.decision['reasons'])})"
    raise ReleaseError(f"version {version} {verdict}: force it if it has to be")


def _check(settings: Settings, registry: Registry, version: int) -> None:
    """Whether it can be served: checksums, a first question, golden answers."""
    try:
        checked(ModelBundle.load, registry.fetch(version, settings.home / "models"))
    except (ArtifactError, RegistryError) as error:
        raise ReleaseError(f"version {version} cannot be served: {error}") from error


def _recorded(
    url: str,
    registry: Registry,
    model: str,
    seen: Standing,
    version: int,
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
        if now.last is not None and _is_same(seen.pending, now.last, version):
            return now.last
        return moves.record("rollback", now.champion, version, who=who, why=why)


def _is_same(pending: AliasMove | None, last: AliasMove, version: int) -> bool:
    return (
        pending is not None
        and pending.number == last.number
        and (last.action, last.to_version) == ("rollback", version)
    )


def _overtaken(last: AliasMove) -> str:
    return (
        f"{last.who} was faster and made version {last.to_version} champion ({last.why}): "
        "look at `bookrec models history`, and roll back again if it is still wanted"
    )


def _database_url(settings: Settings) -> str:
    if settings.database_url is None:
        raise ConfigurationError("BOOKREC_DATABASE_URL is not set for this process")
    return settings.database_url.get_secret_value()
