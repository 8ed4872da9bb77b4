"""Alembic's entry: runs on the connection, and in the transaction, that cloud.store hands over."""

from alembic import context

from cloud.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
