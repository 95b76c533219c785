"""Run folders, with the quarantine and the Data Docs in them, that have had their time."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

from pipelines.maintenance.expired import Expired
from pipelines.registry import PIPELINE_RUN, ModelVersion
from pipelines.settings import Settings
from pipelines.storage.artifacts import RunFolder
from pipelines.storage.profiles import ProfileRepository
from pipelines.storage.run_copies import RunCopy, run_copies
from pipelines.storage.unit_of_work import unit_of_work


def expired_runs(settings: Settings, kept: list[ModelVersion]) -> Iterator[Expired]:
    """
    Runs that are old, none of the newest, and made no version that is kept, oldest first.

    Later runs compare themselves with what made the champion, and its card points there.
    """
    copies: defaultdict[str, list[RunCopy]] = defaultdict(list)
    for copy in run_copies(settings.storage_root, settings.home / "mirror"):
        copies[copy.run_id].append(copy)
    written = {run_id: max(c.last_written() for c in found) for run_id, found in copies.items()}
    by_age = sorted(written, key=lambda run_id: written[run_id])
    deadline = datetime.now(UTC) - timedelta(days=settings.maintenance.run_days)
    needed = {v.tags.get(PIPELINE_RUN) for v in kept}
    for run_id in by_age[: -settings.maintenance.keep_runs]:
        if written[run_id] < deadline and run_id not in needed:
            size = sum(copy.size() for copy in copies[run_id])
            yield Expired("run", run_id, size, partial(_remove, settings, run_id, copies[run_id]))


def _remove(settings: Settings, run_id: str, copies: list[RunCopy]) -> None:
    """
    Remove all copies, and say where reports on its batch are asked for that they are gone.

    Raises:
        StorageError: somebody goes on with the run at this moment.
    """
    mirror = settings.home / "mirror"
    with RunFolder(settings.storage_root, run_id, mirror=mirror).reserved():
        for copy in copies:
            copy.remove_all()
    note = f"removed on {datetime.now(UTC):%Y-%m-%d}, when its run had expired"
    with unit_of_work(settings.known_database_url) as session:
        ProfileRepository(session).note_removed_reports([run_id], note)
