"""Which version was in service last, kept on disk: a start need not wait for the registry."""

import os
from dataclasses import dataclass
from pathlib import Path

import structlog
from pydantic import TypeAdapter, ValidationError

from pipelines.registry import CONTENT, ModelVersion, content_of

log = structlog.get_logger()


@dataclass(frozen=True)
class KeptModel:
    """A version, and where its bundle lies on this machine."""

    version: ModelVersion
    folder: Path


_KEPT = TypeAdapter(KeptModel)


class LastModel:
    """
    A file that every worker writes and the next start reads.

    Args:
        path: The file; of one registry, one model and one alias.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def remember(self, version: ModelVersion, folder: Path) -> None:
        """Replace what is there; where it cannot be, the next start asks the registry first."""
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(_KEPT.dump_json(KeptModel(version, folder)))
            draft.replace(self._path)
        except OSError as error:
            log.warning("model_not_remembered", reason=str(error))

    def recall(self) -> KeptModel | None:
        """What was remembered; None where its bundle is gone, or changed as by an erasure."""
        try:
            kept = _KEPT.validate_json(self._path.read_bytes())
            is_same = content_of(kept.folder) == kept.version.tags.get(CONTENT)
        except (OSError, ValidationError):
            return None
        return kept if is_same else None
