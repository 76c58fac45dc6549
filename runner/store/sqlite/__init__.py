"""A store in one SQLite file in the state folder, with a lock and a FIFO beside it."""
