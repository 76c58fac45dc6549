"""The store in PostgreSQL, for a fleet. Needs the extra `fleet`: imported only for a URL."""
