"""
Features on disk, each under the hash of all that it was made from.

What is found under a hash needs no check of its age: other inputs have another hash. Any number of
processes may use one folder; a feature that was cut short or damaged is made again.
"""

import hashlib
import zipfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import structlog
from scipy import sparse

log = structlog.get_logger()

FOLDER = "features"
KEPT = 8
"""How many versions of a feature stay: those used last."""


def content_hash(parts: Iterable[str]) -> str:
    """A hash of texts and of where one ends and the next begins."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode(errors="surrogatepass")
        digest.update(len(raw).to_bytes(8, "little"))
        digest.update(raw)
    return digest.hexdigest()


class FeatureCache:
    """
    Sparse matrices by name and version.

    Args:
        folder: Where they lie; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = None if folder is None else folder / FOLDER

    def get(
        self, name: str, version: str, make: Callable[[], sparse.csr_array]
    ) -> sparse.csr_array:
        """The feature of that version, made if it is not there."""
        if self._folder is None:
            return make()
        path = self._folder / f"{name}-{version}.npz"
        found = _read(path)
        if found is not None:
            return found
        made = make()
        self._keep(path, made, name)
        return made

    def _keep(self, path: Path, made: sparse.csr_array, name: str) -> None:
        draft = path.with_name(f".{path.stem}.{uuid4().hex}.npz")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            sparse.save_npz(draft, made, compressed=False)
            draft.replace(path)
            versions = sorted(path.parent.glob(f"{name}-*.npz"), key=lambda p: p.stat().st_mtime)
            for old in versions[:-KEPT]:
                old.unlink(missing_ok=True)
        except OSError as error:  # a full disk costs time, not the training
            log.warning("feature_not_kept", path=str(path), reason=str(error))
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)


def _read(path: Path) -> sparse.csr_array | None:
    try:
        with path.open("rb") as stream:  # SciPy leaves what it cannot read open
            found = sparse.csr_array(sparse.load_npz(stream))
        path.touch()  # so that what is used is not what goes
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        log.warning("feature_unreadable", path=str(path), reason=str(error))
        return None
    return found
