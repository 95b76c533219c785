"""Who was erased from the library of a run: such readers come in no more."""

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy.orm import Session

from pipelines.data.erased import IsErased, nobody, rows_of
from pipelines.errors import DataError
from pipelines.stages.run_context import RunContext
from pipelines.storage.erasures import ErasureKey, ErasureRepository


def hashes_of_erased(ctx: RunContext) -> frozenset[str]:
    """
    Of all readers who were erased from this library.

    Raises:
        ConfigurationError: this home has another key than the one that did it.
    """
    with ctx.unit_of_work() as session:
        return _erasures(ctx, session).hashes(ctx.params.dataset)


def is_erased_by(ctx: RunContext, hashes: frozenset[str]) -> IsErased:
    """Whether a reader is among them."""
    if not hashes:
        return nobody
    key, library = ErasureKey.of(ctx.settings), ctx.params.dataset
    return lambda user_id: key.hash(library, user_id) in hashes


def refuse_erased(ctx: RunContext, session: Session, readers: pa.ChunkedArray) -> None:
    """
    Stop a transaction that would bring back who was erased; nobody is erased until it ends.

    Raises:
        DataError: there is such a reader.
    """
    erasures = _erasures(ctx, session)
    erasures.take_turns()
    is_erased = is_erased_by(ctx, erasures.hashes(ctx.params.dataset))
    if is_erased is not nobody and pc.any(rows_of(readers, is_erased)).as_py():
        raise DataError("a reader of this batch was erased after it was read: start a new run")


def _erasures(ctx: RunContext, session: Session) -> ErasureRepository:
    return ErasureRepository(session, ErasureKey.of(ctx.settings))
