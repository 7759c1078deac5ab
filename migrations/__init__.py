"""The schema's history, applied by Alembic through ``cobalt-appointments db upgrade``."""
