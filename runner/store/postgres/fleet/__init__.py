"""The nodes of a fleet in the database: leadership, workers, and what they run."""
