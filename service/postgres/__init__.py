"""PostgreSQL: sessions, tables and all SQL."""
