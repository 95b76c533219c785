"""What follows when ids that were books of their own have become editions of works."""

from sqlalchemy import text
from sqlalchemy.orm import Session

from pipelines.storage.merging import NEWER

_NO_EDITIONS = """
delete from editions where source = :source and edition_id = any(:works)
"""
"""A work of the batch is no edition any more, whatever was known before."""

_OF_EDITIONS = """
update editions set book_id = work.book_id, updated_at = now()
from editions work
where editions.source = :source and work.source = :source and editions.book_id = work.edition_id
"""
"""Editions of what is now an edition itself are of its work."""

_RATINGS = f"""
with gone as (
    delete from ratings using editions
    where ratings.source = :source and editions.source = :source
      and ratings.book_id = editions.edition_id
    returning ratings.user_id, editions.book_id, rating, rated_at, position
), newest as (
    select distinct on (user_id, book_id) * from gone
    order by user_id, book_id, rated_at desc nulls last, position desc
), moved as (
    insert into ratings (source, user_id, book_id, rating, rated_at, position)
    select :source, user_id, book_id, rating, rated_at, position from newest
    on conflict (source, user_id, book_id) do update
    set rating = excluded.rating, rated_at = excluded.rated_at,
        position = excluded.position, updated_at = now()
    where {NEWER}
)
select count(*) from gone
"""  # noqa: S608 - NEWER is a constant of ours

_BOOKS = """
delete from books using editions
where books.source = :source and editions.source = :source and books.book_id = editions.edition_id
"""


def begin_works(session: Session, source: str, works: list[str]) -> None:
    """Before editions are merged: what the batch has as works is an edition of none."""
    session.execute(text(_NO_EDITIONS), {"source": source, "works": works})


def move_to_works(session: Session, source: str) -> int:
    """
    After editions are merged: ratings of each go to its work, and the newest of a pair stays.

    Returns:
        How many ratings left an edition.
    """
    library = {"source": source}
    session.execute(text(_OF_EDITIONS), library)
    moved = int(session.execute(text(_RATINGS), library).scalar_one())
    session.execute(text(_BOOKS), library)
    return moved
