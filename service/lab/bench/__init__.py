"""`make bench`: how fast the service is, beside what PostgreSQL and HTTP allow on the same machine."""
