"""Alembic's entry point: migrates over the connection that `database.migrate` opened."""

from alembic import context

from pipelines.storage.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table="bookrec_migrations",
)
context.run_migrations()
